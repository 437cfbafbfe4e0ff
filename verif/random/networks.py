"""Seeded random quantised ONNX networks, for every test that wants one.

    model = random_network(7, size="small", max_nodes=4)     # the same bytes for the same arguments, always
    inputs = random_inputs(model, 7)

Drawn: kernel, stride, dilation, padding (asymmetric, auto_pad), groups (none, depthwise with a multiplier, others), channels that
no array size divides, zero points, signedness, per-tensor and per-channel weights, bias or none, residual Adds, batch 1 to 3,
pools, Relu and Clip, heads of Flatten/GlobalAveragePool and Gemm/MatMul, one-dimensional images, QDQ and QOperator forms, opset,
float and integer inputs and outputs, and what `random_elementwise`, `random_rowwise`, `random_normalise`, `random_products` and `random_movement` list.
Scales use the 8-bit range (each is calibrated on one random input).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from verif.random.draw import Draw, Size
from verif.random.elementwise import ELEMENTWISE
from verif.random.movement import MOVEMENT
from verif.random.network_builder import LIMITS, MICROSOFT, Activation, NetworkBuilder
from verif.random.normalise import NORMALISING
from verif.random.products import PRODUCTS
from verif.random.rowwise import ROWWISE

#: Operators that `ops` chooses from.
OPS = (
    "conv", "pointwise", "depthwise", "grouped", "maxpool", "averagepool", "add", "unary", "requantise",
    "globalpool", "gemm", "matmul", "flatten",
)  # fmt: skip

#: These and those of the other modules of random operators.
EVERY = (*OPS, *ELEMENTWISE, *ROWWISE, *NORMALISING, *PRODUCTS, *MOVEMENT)


SIZES = {"tiny": Size(6, 6, 3, 2), "small": Size(10, 20, 4, 3), "medium": Size(20, 48, 5, 3)}


_ANY_RANK = ("add", "unary", "requantise", "combine", "constant", "activation", "batchnorm", "rmsnorm", *ROWWISE, *PRODUCTS)
_HEADS = ("globalpool", "gemm", "matmul", "flatten")


def random_network(
    seed: int,
    *,
    size: str = "small",
    max_nodes: int = 5,
    ops: Sequence[str] = EVERY,
    activations: Sequence[str] = ("relu", "clip"),
    weight_bits: int = 8,
    form: str | None = None,
    mixed_types: bool | None = None,
) -> onnx.ModelProto:
    """Return a random quantised network; equal arguments give equal bytes.

    size: 'tiny', 'small' or 'medium' (see SIZES); max_nodes: operators drawn (a residual Add brings a convolution of its own);
    ops: which of EVERY; activations: which may follow a product or an Add;
    weight_bits: 7 keeps every x86 kernel of onnxruntime from saturating; form: 'qdq', 'qoperator' or drawn; mixed_types: int8 and uint8
    activations in one network, drawn for 'qdq' and never for 'qoperator', where onnxruntime has no kernels for it.
    """
    rng = np.random.default_rng([seed, 0x5EED])
    qdq = bool(rng.random() < 0.65) if form is None else form == "qdq"
    mixed = qdq and (bool(rng.random() < 0.5) if mixed_types is None else mixed_types)
    kind = None if mixed else np.dtype(np.int8 if rng.random() < 0.5 else np.uint8)
    builder = NetworkBuilder(rng, opset=int(rng.integers(13, 22)), qdq=qdq, weight_bits=weight_bits, activation_type=kind)
    bounds = SIZES[size]
    draw = Draw(builder, bounds, activations)
    batch = int(rng.choice([1, 1, 1, *range(2, bounds.batch + 1)]))
    spatial = [draw.integer(2, bounds.spatial) for _ in range(1 if draw.chance(0.1) else 2)]
    images = any(op not in ("gemm", "matmul") for op in ops)
    shape = (batch, draw.integer(1, bounds.channels), *spatial) if images else (batch, draw.integer(1, 4 * bounds.channels))
    x = builder.input(shape, real=draw.chance(0.6))
    body = [op for op in ops if op not in _HEADS]
    for _ in range(draw.integer(1, max_nodes)):
        heads = [op for op in ops if op in _HEADS]
        flat = len(x.shape) == 2 or max(x.shape[2:]) == 1
        choices = [op for op in body if not (flat and len(x.shape) == 2) or op in _ANY_RANK]
        if heads and (not choices or draw.chance(0.15)):
            choices = [h for h in heads if not (len(x.shape) == 2 and h in ("globalpool", "flatten"))] or choices
        if not builder.qdq:
            choices = [op for op in choices if op not in ("unary", "requantise", *ELEMENTWISE, *ROWWISE, *NORMALISING, *PRODUCTS)]
        if not choices:
            break
        x = draw.operator(str(rng.choice(choices)), x)
    if not any(n.op_type not in ("QuantizeLinear", "DequantizeLinear", "Flatten") for n in builder.nodes):
        x = draw.operator("gemm" if len(x.shape) == 2 else ops[0], x)
    _output(builder, draw, x)
    return builder.model(f"random_{seed}")


def _output(builder: NetworkBuilder, draw: Draw, x: Activation) -> None:
    """Make the last activation an output, float or integer; now and then the sums of an Integer operator too."""
    real = draw.chance(0.6)
    name = builder.dequantised(x) if real else x.name
    kind = TensorProto.FLOAT if real else helper.np_dtype_to_tensor_dtype(x.dtype)
    builder.outputs.append(helper.make_tensor_value_info(name, kind, x.shape))
    if not builder.qdq and len(x.shape) == 2 and draw.chance(0.3):
        weight = draw.rng.integers(-100, 101, (x.shape[1], draw.integer(1, 9))).astype(np.int8)
        sums = builder.node("MatMulInteger", [x.name, builder.constant("weight", weight), x.zero_name])
        builder.outputs.append(helper.make_tensor_value_info(sums, TensorProto.INT32, (x.shape[0], weight.shape[1])))


def random_inputs(model: onnx.ModelProto, seed: int, *, samples: int = 1) -> dict[str, np.ndarray]:
    """Return random inputs of a model by name; float ones spread over the range of their QuantizeLinear and a little beyond.

    A leading dimension is that of the model times `samples`; several scalars are an array of them.
    """
    rng = np.random.default_rng([seed, 0x1D])
    constants = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    inputs = {}
    for value in model.graph.input:
        if value.name in constants:
            continue
        tensor = value.type.tensor_type
        dims = [d.dim_value for d in tensor.shape.dim]
        shape = (samples * dims[0], *dims[1:]) if dims else (samples,) if samples > 1 else ()
        if tensor.elem_type != TensorProto.FLOAT:
            dtype = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.elem_type))
            low, high = LIMITS[dtype]
            inputs[value.name] = np.asarray(rng.integers(low, high + 1, shape), dtype)
            continue
        reader = next((n for n in model.graph.node if n.op_type == "QuantizeLinear" and n.input[0] == value.name), None)
        low, high = -1.0, 1.0  # type: ignore[assignment]
        if reader is not None:
            zero = constants[reader.input[2]]
            low, high = ((np.array(LIMITS[zero.dtype]) - float(zero)) * float(constants[reader.input[1]])).tolist()
        middle, half = (low + high) / 2, (high - low) / 2 * 1.05
        inputs[value.name] = np.asarray(rng.uniform(middle - half, middle + half, shape), np.float32)
    return inputs


__all__ = ["MICROSOFT", "OPS", "SIZES", "random_inputs", "random_network"]
