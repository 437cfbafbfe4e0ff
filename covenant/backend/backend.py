"""ONNX's backend interface over the compiler and the functional simulator.

    rep = CovenantBackend.prepare(model); outputs = rep.run(inputs)

What the interface leaves until the run is decided then: operands that a program holds as constants (weights, scales, shapes, indices: every
input but an operator's data) are frozen with the values given. A network of nothing but data movement may have elements of any width: it
runs once for each byte of an element, as the movement is the same for all of them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.base import Backend, BackendRep

from acg.graph import Graph, load_graph
from compiler.errors import CompilerError, UnsupportedError
from compiler.front.reading.clean import clean
from compiler.passes import compile_network
from compiler.read_network import read_network
from covenant.run import execute_iss

__all__ = ["CovenantBackend", "CovenantRep"]

#: Operators with a second operand that may be a constant or data.
TWO_OPERANDS = {"ConvInteger": 1, "MatMulInteger": 1, "QLinearMatMul": 3}
#: Operators with a second data operand: what they put into the first.
UPDATES = {"Scatter": 2, "ScatterElements": 2, "ScatterND": 2}
#: Operators all of whose inputs are data; of the others only the first is.
ALL_DATA = frozenset({
    "Add", "Concat", "Div", "MatMul", "Max", "Mean", "Min", "Mul", "Sub", "Sum", "Where",
})
#: Operators whose results are elements of their first input (all inputs for Concat), or one constant.
MOVEMENT = frozenset({
    "CenterCropPad", "Compress", "Concat", "DepthToSpace", "Expand", "Flatten", "Gather", "GatherElements", "GatherND", "Identity", "Pad",
    "Reshape", "Resize", "ReverseSequence", "ScatterElements", "ScatterND", "Slice", "SpaceToDepth", "Split", "Squeeze", "Tile", "Transpose",
    "Trilu", "Unsqueeze", "Upsample",
})


def _refused(found: str, expected: str) -> CompilerError:
    return CompilerError("backend", found=found, expected=expected, do="run it elsewhere")


def data_inputs(model: onnx.ModelProto, *, both: bool = False) -> set[str]:
    """Graph inputs that are data of some node, with ``both`` the second operand of a product too; the others are held as constants."""
    found: set[str] = set()
    for node in model.graph.node:
        found |= set(node.input if node.op_type in ALL_DATA else node.input[:1])
        if node.op_type in UPDATES:
            found.add(node.input[UPDATES[node.op_type]])
        if both and node.op_type in TWO_OPERANDS:
            found.add(node.input[TWO_OPERANDS[node.op_type]])
    return found


def frozen(model: onnx.ModelProto, arrays: dict[str, np.ndarray], data: set[str]) -> onnx.ModelProto:
    """Return the model with every input but those of ``data`` as an initializer, and these in the shapes of the arrays."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    kept = []
    for value in model.graph.input:
        if value.name in data:
            tensor = value.type.tensor_type
            tensor.ClearField("shape")
            tensor.shape.CopyFrom(onnx.helper.make_tensor_type_proto(tensor.elem_type, arrays[value.name].shape).tensor_type.shape)
            kept.append(value)
        else:
            model.graph.initializer.append(numpy_helper.from_array(arrays[value.name], value.name))
    del model.graph.input[:]
    model.graph.input.extend(kept)
    model.ir_version = max(model.ir_version, 4)  # before, initializers had to be inputs too
    return clean(model)


def _moves(node: onnx.NodeProto) -> bool:
    """Whether every element of a node's results is one of its input's, or one constant."""
    mode = next((attribute.s for attribute in node.attribute if attribute.name == "mode"), b"nearest")
    return node.op_type in MOVEMENT and node.domain in ("", "ai.onnx") and (node.op_type not in ("Resize", "Upsample") or mode == b"nearest")


def _planes(array: np.ndarray) -> list[np.ndarray]:
    """The bytes of an array's elements: uint8 arrays of its shape, least significant first."""
    raw = np.ascontiguousarray(array).reshape(-1).view(np.uint8).reshape(array.size, array.itemsize)
    return [raw[:, byte].reshape(array.shape) for byte in range(array.itemsize)]


def _element_type(model: onnx.ModelProto, arrays: dict[str, np.ndarray]) -> np.dtype | None:
    """Type of the elements that a network of nothing but movement moves, when it is not an 8-bit one; None for all other networks."""
    nodes = [node for node in model.graph.node if node.op_type != "Constant"]
    if not nodes or not all(_moves(node) for node in nodes):
        return None
    types = {arrays[value.name].dtype for value in model.graph.input}
    dtype = types.pop() if len(types) == 1 else np.dtype(np.uint8)
    return None if dtype in (np.int8, np.uint8) or dtype.kind not in "biufc" else dtype


def _of_bytes(model: onnx.ModelProto, dtype: np.dtype, byte: int) -> onnx.ModelProto:
    """The same movement for one byte of each element: inputs, outputs and the constant that Pad fills in become uint8."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = onnx.TensorProto.UINT8
    del model.graph.value_info[:]
    fills = {node.input[index] for node in model.graph.node for index in (2,) if node.op_type == "Pad" and len(node.input) > index}
    for item in model.graph.initializer:
        if item.name in fills:
            item.CopyFrom(numpy_helper.from_array(_planes(numpy_helper.to_array(item).astype(dtype))[byte], item.name))
    return model


class CovenantRep(BackendRep):
    """A model, ready to be compiled for the values of its operands."""

    def __init__(self, model: onnx.ModelProto, graph: Graph) -> None:
        self.model, self.graph = model, graph

    def run(self, inputs: Sequence[Any], **_options: Any) -> tuple[np.ndarray, ...]:
        """Return the outputs for the inputs in the graph's order. Raises CompilerError (ModelError, UnsupportedError) for what cannot run."""
        given = [value for value in self.model.graph.input if value.name not in {item.name for item in self.model.graph.initializer}]
        for value in (*given, *self.model.graph.output):
            if value.type.WhichOneof("value") != "tensor_type":
                raise _refused(f"{value.name}, of type {str(value.type.WhichOneof('value')).removesuffix('_type')}", "tensors")
        arrays = {value.name: np.asarray(array) for value, array in zip(given, inputs, strict=True)}
        for value in given:
            array = arrays[value.name]
            if array.dtype.kind not in "biuf" or array.dtype.name not in np.sctypeDict:
                kind = onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type).lower()
                raise _refused(f"{value.name}, a tensor of {kind}", "integers or floats of whole bytes that numpy knows")
        try:
            return self._run(arrays, data_inputs(self.model))
        except UnsupportedError as error:
            data = data_inputs(self.model, both=True)
            if data != data_inputs(self.model):
                with contextlib.suppress(UnsupportedError):
                    return self._run(arrays, data)
            raise error

    def _run(self, arrays: dict[str, np.ndarray], data: set[str]) -> tuple[np.ndarray, ...]:
        model = frozen(self.model, arrays, data)
        arrays = {value.name: arrays[value.name] for value in model.graph.input}
        dtype = _element_type(model, arrays)
        if dtype is None:
            return self._each(model, [arrays])[0]
        planes = {name: _planes(array) for name, array in arrays.items()}
        samples: dict[bytes, list[int]] = {}  # one program serves all bytes, unless a constant is filled in
        for byte in range(dtype.itemsize):
            samples.setdefault(_of_bytes(model, dtype, byte).SerializeToString(deterministic=True), []).append(byte)
        parts: dict[int, tuple[np.ndarray, ...]] = {}
        for text, together in samples.items():
            given = [{name: planes[name][byte] for name in arrays} for byte in together]
            parts |= dict(zip(together, self._each(onnx.ModelProto.FromString(text), given), strict=True))
        columns = zip(*(parts[byte] for byte in range(dtype.itemsize)), strict=True)
        return tuple(np.ascontiguousarray(np.stack(column, -1)).view(dtype)[..., 0] for column in columns)

    def _each(self, model: onnx.ModelProto, samples: list[dict[str, np.ndarray]]) -> list[tuple[np.ndarray, ...]]:
        program = compile_network(read_network(model, name="model"), self.graph)
        return [tuple(outputs[value.name] for value in model.graph.output) for outputs in execute_iss(self.graph, program, samples).outputs]


class CovenantBackend(Backend):
    """The interface of onnx.backend.base on an architecture of archs/ (`arch`)."""

    arch: ClassVar[str] = "tiny"

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **_options: Any) -> CovenantRep:
        """Return what runs a model. The device is this machine's: the functional simulator runs on it."""
        return CovenantRep(model, load_graph(cls.arch))

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Whether a device of onnx's naming is served."""
        return device == "CPU"
