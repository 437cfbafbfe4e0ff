"""Input samples of a model: from an .npz file, or drawn from a seed."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper

from compiler.program import Program
from covenant.arrays import ArrayFile
from covenant.errors import UserError

__all__ = ["ModelInput", "draw", "model_inputs", "program_inputs", "require_numbers", "take"]


@dataclass(frozen=True)
class ModelInput:
    """An ONNX graph input or output: ``dtype`` of numpy, fixed ``shape``; for float inputs that are quantised at once the
    ``scale`` and zero point and integer type of that quantisation."""

    name: str
    dtype: np.dtype
    shape: tuple[int, ...]
    scale: float | None = None
    zero_point: int = 0
    low: int = 0
    high: int = 0


#: Types of elements that numpy and onnxruntime hand to each other; 16-bit floats are read as float32.
_NUMBERS = frozenset(helper.np_dtype_to_tensor_dtype(np.dtype(kind)) for kind in "?bhilqBHILQfd")


def _value(info: onnx.ValueInfoProto) -> ModelInput:
    tensor = info.type.tensor_type
    dims = [dim.dim_value for dim in tensor.shape.dim]
    if any(size < 1 for size in dims):
        raise UserError(f"model value {info.name}: found a dynamic dimension; expected fixed sizes, export the model with a fixed batch and shape")
    return ModelInput(info.name, np.dtype(helper.tensor_dtype_to_np_dtype(tensor.elem_type)), tuple(dims))


def require_numbers(model: onnx.ModelProto, *, where: str) -> None:
    """Refuse a network whose inputs or outputs are not tensors of numbers that numpy has. Raises UserError."""
    constants = {item.name for item in model.graph.initializer}
    for what, values in (("input", model.graph.input), ("output", model.graph.output)):
        for info in values:
            if info.name in constants:
                continue
            code = info.type.tensor_type.elem_type
            name = onnx.TensorProto.DataType.Name(code).lower() if code in onnx.TensorProto.DataType.values() else f"number {code}"
            found = f"elements of type {name}" if info.type.WhichOneof("value") in (None, "tensor_type") else f"a {info.type.WhichOneof('value')}"
            if not found.startswith("elements") or code not in _NUMBERS:
                raise UserError(f"{where}: {what} {info.name}: found {found}; expected a tensor of integers, float32, float64 or bool")


def model_inputs(model: onnx.ModelProto) -> list[ModelInput]:
    """Inputs that are not initializers, in order."""
    constants = {item.name: item for item in model.graph.initializer}
    result = []
    for info in model.graph.input:
        if info.name in constants:
            continue
        value = _value(info)
        for node in model.graph.node:
            if node.op_type == "QuantizeLinear" and node.input[0] == info.name and node.input[1] in constants:
                scale = numpy_helper.to_array(constants[node.input[1]])
                zero = numpy_helper.to_array(constants[node.input[2]]) if len(node.input) > 2 and node.input[2] in constants else np.uint8(0)
                limits = np.iinfo(zero.dtype)
                if scale.size == zero.size == 1:
                    value = ModelInput(info.name, value.dtype, value.shape, float(scale.reshape(())), int(zero.reshape(())), int(limits.min), int(limits.max))
                break
        result.append(value)
    return result


_TYPES = {"f32": np.float32, "i8": np.int8, "u8": np.uint8, "i32": np.int32}


def program_inputs(program: Program) -> list[ModelInput]:
    """Inputs as a program file describes them."""
    result = {}
    for item in program.inputs:
        limits = np.iinfo(np.dtype(_TYPES[item.tensor_dtype]).name)  # type: ignore[arg-type]
        result[item.name] = ModelInput(item.name, np.dtype(_TYPES[item.dtype]), item.shape, item.scale, item.zero_point, int(limits.min), int(limits.max))
    return list(result.values())


def draw(inputs: list[ModelInput], *, seed: int, count: int) -> list[dict[str, np.ndarray]]:
    """``count`` random samples: integers over their whole type; floats over what their quantisation can hold, else standard normal."""
    rng = np.random.default_rng(seed)
    samples = []
    for _ in range(count):
        sample = {}
        for value in inputs:
            if value.dtype.kind in "iu":
                limits = np.iinfo(value.dtype.name)  # type: ignore[arg-type]
                drawn = rng.integers(limits.min, limits.max, value.shape, value.dtype, endpoint=True)
            elif value.scale is not None:
                steps = rng.integers(value.low, value.high, value.shape, endpoint=True) - value.zero_point
                drawn = steps * np.float32(value.scale)
            else:
                drawn = rng.standard_normal(value.shape)
            sample[value.name] = np.asarray(drawn, value.dtype)  # an array also of rank 0, where numpy draws a number
        samples.append(sample)
    return samples


def _count(value: ModelInput, dtype: np.dtype, shape: tuple[int, ...], *, where: str) -> int:
    """How many samples of an input an array of this type and shape holds. Raises UserError for none."""
    if dtype != value.dtype and not (dtype == np.float16 and value.dtype == np.float32):  # every float16 is a float32
        raise UserError(f"{where}: array {value.name!r} is {dtype}; expected {value.dtype}, as the model declares")
    batch = value.shape[0] if value.shape else 1
    if shape == value.shape:
        return 1
    if len(shape) != max(len(value.shape), 1) or shape[1:] != value.shape[1:] or shape[0] % batch or not shape[0]:
        several = "or a multiple of its leading dimension" if value.shape else "or (N,), one number a sample"
        raise UserError(f"{where}: array {value.name!r} has shape {shape}; expected {value.shape}, {several}")
    return shape[0] // batch


def take(arrays: Mapping[str, np.ndarray], inputs: list[ModelInput], *, limit: int | None, where: str) -> list[dict[str, np.ndarray]]:
    """Cut arrays into samples along their leading dimension, a multiple of the model's batch; at most ``limit`` of them.

    Of an `ArrayFile` no more is read than that. Raises UserError for a missing array, another type or shape, or arrays that disagree on the
    number of samples.
    """
    counts = {}
    for value in inputs:
        if value.name not in arrays:
            listed = arrays.listed() if isinstance(arrays, ArrayFile) else ", ".join(sorted(arrays)) or "none"
            raise UserError(f"{where}: no array {value.name!r}, found {listed}; expected one for each input of the model")
        known = arrays.header(value.name) if isinstance(arrays, ArrayFile) else arrays[value.name]
        counts[value.name] = _count(value, known.dtype, known.shape, where=where)
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name}: {count}" for name, count in counts.items())
        raise UserError(f"{where}: arrays hold different numbers of samples ({listed}); expected one number")
    number = next(iter(counts.values()), 1)
    if limit is not None:
        number = min(number, limit)
    rows = {value.name: number * (value.shape[0] if value.shape else 1) for value in inputs}
    read = {name: arrays.rows(name, count) if isinstance(arrays, ArrayFile) else arrays[name] for name, count in rows.items()}
    samples: list[dict[str, np.ndarray]] = [{} for _ in range(number)]
    for value in inputs:
        array, batch = read[value.name], rows[value.name] // number
        if array.dtype.kind == "f" and np.isnan(array).any():
            raise UserError(f"{where}: array {value.name!r} holds a NaN; expected numbers, a NaN has no quantised value")
        array = array.astype(value.dtype, copy=False)
        for index, sample in enumerate(samples):
            part = array if counts[value.name] == 1 else array[index * batch : (index + 1) * batch]
            sample[value.name] = part.reshape(value.shape)
    return samples
