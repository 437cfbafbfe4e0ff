"""The smallest network of each operator, and for each attribute and optional input of its schemas one in which it says something.

`BASES` has a network for each operator; `VARIANTS` what changes for (operator, attribute): the attributes given, other inputs where they need some.
An operand is `x` (a dequantised activation), `q` (integers), `w` (dequantised constant weights), an array, or None where it is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, defs, helper, numpy_helper

U8, I8 = TensorProto.UINT8, TensorProto.INT8
SCALE, ZERO = np.float32(0.021), np.uint8(121)


@dataclass(frozen=True)
class Tensor:
    """An operand that is computed or dequantised: `kind` x, p (x without negative numbers), b (bool: which numbers of an x are not negative), q, few (q of few different numbers) or w; `values` of weights, `shape` of activations; scale and zero point of w."""

    kind: str
    shape: tuple[int, ...] = ()
    values: np.ndarray | None = None
    scale: Any = 0.011
    dtype: Any = np.uint8


def x(*shape: int, dtype: Any = np.uint8) -> Tensor:
    """A dequantised activation."""
    return Tensor("x", shape, dtype=dtype)


def q(*shape: int, dtype: Any = np.uint8) -> Tensor:
    """An integer activation."""
    return Tensor("q", shape, dtype=dtype)


def integers(*shape: int, seed: int = 0, dtype: Any = np.int8) -> np.ndarray:
    """Integers from a seed, all over their type."""
    info = np.iinfo(dtype)
    return np.random.default_rng(seed).integers(info.min, info.max + 1, shape).astype(dtype)


def w(*shape: int) -> Tensor:
    """Dequantised constant weights."""
    return Tensor("w", values=integers(*shape))


def floats(*shape: int, low: float = 0.5, high: float = 1.5) -> np.ndarray:
    """Constants from a seed."""
    return np.random.default_rng(1).uniform(low, high, shape).astype(np.float32)


Operands = Sequence[Any]


@dataclass(frozen=True)
class Base:
    """A network: the operands, the attributes without which the operator is none, and what its result is: `x` is quantised, `truth` is cast to float32 and
    quantised, `shape` is what the last operand expands to, any other type is kept."""

    operands: Operands
    attributes: Mapping[str, Any] = field(default_factory=dict)
    result: str = "x"
    outputs: int = 1
    domain: str = ""


@dataclass(frozen=True)
class Variant:
    """What a network says besides: attributes, and operands where they must be others; `outputs` where there are more."""

    attributes: Mapping[str, Any]
    operands: Operands | None = None
    outputs: int | None = None


def model_of(op: str, base: Base, opset: int, variant: Variant | None = None) -> onnx.ModelProto:
    """Return the network; outputs are described by type alone."""
    operands = base.operands if variant is None or variant.operands is None else variant.operands
    attributes = {**base.attributes, **(variant.attributes if variant else {})}
    attributes = {name: value for name, value in attributes.items() if value is not None}
    count = (variant.outputs if variant else None) or base.outputs
    nodes, inputs, constants, names = [], [], {"s": SCALE, "z": ZERO, "sy": np.float32(0.03), "zy": np.uint8(117)}, []
    for i, operand in enumerate(operands):
        if operand is None:
            names.append("")
            continue
        names.append(f"v{i}")
        if not isinstance(operand, Tensor):
            constants[f"v{i}"] = np.asarray(operand)
        elif operand.kind == "w":
            constants |= {f"i{i}": operand.values, f"s{i}": np.float32(operand.scale), f"z{i}": np.zeros(np.shape(operand.scale), operand.values.dtype)}
            axis = {"axis": 0} if np.ndim(operand.scale) else {}
            nodes.append(helper.make_node("DequantizeLinear", [f"i{i}", f"s{i}", f"z{i}"], [f"v{i}"], name=f"weights{i}", **axis))
        else:
            name = f"v{i}" if operand.kind in ("q", "few") else f"q{i}"
            inputs.append(helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(operand.dtype)), operand.shape))
            if operand.kind not in ("q", "few"):
                constants[f"zero{i}"] = np.uint8(0) if operand.kind == "p" else ZERO if operand.dtype == np.uint8 else np.int8(-7)
                made = f"x{i}" if operand.kind == "b" else f"v{i}"
                nodes.append(helper.make_node("DequantizeLinear", [name, "s", f"zero{i}"], [made], name=f"dequantise{i}"))
            if operand.kind == "b":
                constants["nothing"] = np.float32(0)
                nodes += [helper.make_node("Less", [f"x{i}", "nothing"], [f"n{i}"], name=f"less{i}"), helper.make_node("Not", [f"n{i}"], [f"v{i}"], name=f"not{i}")]
    if op == "Split" and opset >= 18 and len(operands) < 2:
        attributes.setdefault("num_outputs", count)
    results = [f"r{i}" for i in range(count)]
    last = names.pop() if base.result == "shape" else ""
    nodes.append(helper.make_node(op, names, results, name="node", domain=base.domain, **attributes))
    outputs = []
    for i, name in enumerate(results):
        kind = U8
        if last:
            nodes.append(helper.make_node("Expand", [last, name], [f"e{i}"], name="expand"))
            name = f"e{i}"
        if base.result == "truth":
            nodes.append(helper.make_node("Cast", [name], [f"c{i}"], name="cast", to=TensorProto.FLOAT))
            name = f"c{i}"
        if base.result in ("x", "truth", "shape"):
            nodes.append(helper.make_node("QuantizeLinear", [name, "sy", "zy"], [f"y{i}"], name=f"quantise{i}"))
            name = f"y{i}"
        elif base.result == "f":
            kind = TensorProto.FLOAT
        elif base.result != "q":
            kind = TensorProto.DataType.Value(base.result.upper())
        outputs.append(helper.make_tensor_value_info(name, kind, None))
    tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, op, inputs, outputs, tensors)
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8 if opset < 20 else 10 if opset < 23 else 11)


def base_of(domain: str, op: str, opset: int) -> Base:
    """Return an operator's network in an opset."""
    old = [until for name, until in OLD if name == op and opset <= until and not domain]
    return OLD[op, min(old)] if old else BASES[domain, op]


def inputs_of(base: Base, model: onnx.ModelProto, seed: int = 5) -> dict[str, np.ndarray]:
    """Numbers for a network's inputs, all over their types; few different ones where these are to be alike."""
    few = any(isinstance(operand, Tensor) and operand.kind == "few" for operand in base.operands)
    arrays = {}
    for value in model.graph.input:
        dtype = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        numbers = integers(*(d.dim_value for d in value.type.tensor_type.shape.dim), seed=seed, dtype=dtype)
        arrays[value.name] = numbers % 3 if few else numbers
    return arrays


@cache
def _first() -> dict[str, int]:
    schemas = [s for s in defs.get_all_schemas_with_history() if s.domain == "" and not s.deprecated]
    return {s.name: min(t.since_version for t in schemas if t.name == s.name) for s in schemas}


def exists(op: str, opset: int) -> bool:
    """Whether an opset has an operator."""
    return _first()[op] <= opset


def said(op: str, opset: int) -> tuple[Any, ...]:
    """What can be said of an operator in an opset: attributes with their defaults, inputs."""
    schema = defs.get_schema(op, opset)
    attributes = ((name, a.default_value.SerializeToString(), a.required) for name, a in sorted(schema.attributes.items()))
    return *attributes, *((i.name, str(i.option)) for i in schema.inputs)


def versions(op: str, first: int, last: int) -> list[int]:
    """Opsets from `first` to `last` in which other things can be said of an operator than in the one before; the first that has it among them."""
    found: list[int] = []
    for opset in range(first, last + 1):
        if exists(op, opset) and (not found or said(op, opset) != said(op, found[-1])):
            found.append(opset)
    return found


CONV = [x(1, 4, 7, 6), w(4, 4, 3, 2)]
QCONV = [q(1, 4, 7, 6), SCALE, ZERO, integers(4, 4, 3, 2), np.float32(0.011), np.int8(0), np.float32(0.05), np.uint8(99)]
ICONV = [q(1, 4, 7, 6), integers(4, 4, 3, 2)]
TCONV = [x(1, 4, 5, 4), w(4, 3, 3, 2)]
POOL = [x(1, 3, 7, 6)]
QPOOL = [q(1, 3, 7, 6), SCALE, ZERO, np.float32(0.02), np.uint8(99)]
GEMM = [x(5, 6), w(6, 4), w(4)]
QGEMM = [q(5, 6), SCALE, ZERO, integers(6, 4), np.float32(0.011), np.int8(0), integers(4, dtype=np.int16).astype(np.int32) // 8,
         np.float32(0.05), np.uint8(99)]  # fmt: skip
#: Weights of 4 bits, two blocks of each of 6 columns, and their scales.
PACKED = [x(2, 3, 20), integers(6, 2, 8, dtype=np.uint8), floats(12, low=0.005, high=0.02)]
QX = [q(2, 3, 4, 5), SCALE, ZERO, np.float32(0.013), np.uint8(50)]
RESIZE = [x(1, 2, 4, 5), None, None, np.array([1, 2, 8, 10])]
IMAGE = x(1, 4, 5, 6)
GROUPS = [x(1, 6, 4, 3), floats(6), floats(6, low=-0.5, high=0.5)]
UPDATES = [x(4, 5), np.array([[1, 0, 3]]), x(1, 3)]
FUNCTION = [x(2, 3, 4, 9)]
#: One of the numbers of an activation.
BOUND = np.float32(23) * SCALE

#: (domain, operator) -> its network.
BASES: dict[tuple[str, str], Base] = {
    **{("", name): Base(FUNCTION) for name in (
        "Abs", "Ceil", "Celu", "Cos", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Mish", "Neg", "Round", "Selu",
        "Sigmoid", "Sign", "Sin", "Softplus", "Softsign", "Tanh", "ThresholdedRelu", "Asinh", "Atan", "Cosh", "Shrink", "Sinh", "Tan", "Relu", "Clip",
        "Reciprocal", "Identity", "GlobalAveragePool", "GlobalMaxPool", "LogSoftmax", "Softmax", "Flatten", "Transpose", "LpNormalization", "Trilu", "Dropout",
        "Squeeze", "ReduceMax", "ReduceMean", "ReduceSum",
    )},
    **{("", name): Base([Tensor("p", (2, 3, 4, 9))]) for name in ("Log", "Sqrt")},
    ("", "Pow"): Base([*FUNCTION, np.float32(2)]),
    **{("", name): Base([x(2, 3, 4, 5), x(2, 3, 4, 5)]) for name in ("Add", "Sub", "Mul", "Div", "Max", "Mean", "Min", "Sum")},
    ("", "PRelu"): Base([x(2, 3, 4, 5), floats(3, 1, 1, low=0.1, high=0.6)]),
    **{("", name): Base([*FUNCTION, BOUND], result="truth") for name in ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual")},
    **{("", name): Base([Tensor("b", (2, 3, 4, 9)), np.array(True)], result="truth") for name in ("And", "Or", "Xor")},
    ("", "Not"): Base([Tensor("b", (2, 3, 4, 9))], result="truth"),
    ("", "Where"): Base([Tensor("b", (2, 3, 4, 5)), x(2, 3, 4, 5), x(2, 3, 4, 5)]),
    ("", "ArgMax"): Base([Tensor("few", (2, 3, 4, 5))], result="int64"),
    ("", "AveragePool"): Base(POOL, {"kernel_shape": [3, 2]}),
    ("", "MaxPool"): Base(POOL, {"kernel_shape": [3, 2]}),
    ("", "BatchNormalization"): Base([x(2, 3, 4, 5), floats(3), floats(3, low=-0.2, high=0.2), floats(3, low=-0.2, high=0.2), floats(3)]),
    ("", "Cast"): Base([q(2, 3, 4)], {"to": TensorProto.FLOAT}),
    ("", "CenterCropPad"): Base([x(2, 3, 6, 5), np.array([2, 3, 4, 7])]),
    ("", "Compress"): Base([x(2, 3, 4), np.array([True, False, True])]),
    ("", "Concat"): Base([x(2, 3, 3), x(2, 3, 3)], {"axis": 1}),
    ("", "Conv"): Base(CONV),
    ("", "QLinearConv"): Base(QCONV, result="q"),
    ("", "ConvInteger"): Base(ICONV, result="int32"),
    ("", "ConvTranspose"): Base(TCONV),
    ("", "DepthToSpace"): Base([x(1, 16, 2, 3)], {"blocksize": 2}),
    ("", "SpaceToDepth"): Base([x(1, 2, 8, 4)], {"blocksize": 2}),
    ("", "DequantizeLinear"): Base([q(2, 3, 4), SCALE, ZERO]),
    ("", "QuantizeLinear"): Base([x(2, 3, 4), np.float32(0.05), np.uint8(99)], result="q"),
    ("", "Einsum"): Base([x(3, 4), w(4, 5)], {"equation": "ij,jk->ik"}),
    ("", "Expand"): Base([x(2, 1, 4), np.array([2, 3, 4])]),
    ("", "Gather"): Base([x(4, 4, 3), np.array([2, 0, 3])]),
    ("", "GatherElements"): Base([x(4, 4), np.array([[2, 0, 3, 1], [1, 1, 0, 2]])]),
    ("", "GatherND"): Base([x(2, 3, 4), np.array([[1], [0]])]),
    ("", "Gemm"): Base(GEMM),
    ("", "MatMul"): Base([x(5, 6), w(6, 4)]),
    ("", "MatMulInteger"): Base([q(5, 6), integers(6, 4)], result="int32"),
    ("", "QLinearMatMul"): Base([q(5, 6), SCALE, ZERO, integers(6, 4), np.float32(0.011), np.int8(0), np.float32(0.05), np.uint8(99)], result="q"),
    ("", "GroupNormalization"): Base(GROUPS, {"num_groups": 2}),
    ("", "InstanceNormalization"): Base(GROUPS),
    ("", "LRN"): Base([x(1, 6, 3, 4)], {"size": 3}),
    ("", "LayerNormalization"): Base([x(2, 3, 4), floats(4)]),
    ("", "RMSNormalization"): Base([x(2, 3, 4), floats(4)]),
    ("", "Pad"): Base([x(1, 2, 4, 5), np.array([0, 0, 1, 2, 0, 0, 2, 1])]),
    ("", "Reshape"): Base([x(2, 3, 4), np.array([4, 6])]),
    ("", "Resize"): Base(RESIZE),
    ("", "ReverseSequence"): Base([x(3, 3, 2), np.array([1, 3, 2])]),
    ("", "ScatterElements"): Base(UPDATES),
    ("", "ScatterND"): Base([x(4, 5), np.array([[1], [3]]), x(2, 5)]),
    ("", "Shape"): Base([x(2, 3, 4), x(1)], result="shape"),
    ("", "Slice"): Base([x(4, 5, 6), np.array([1, 2]), np.array([3, 4])]),
    ("", "Split"): Base([x(6, 6)], outputs=2),
    ("", "Tile"): Base([x(2, 3), np.array([2, 3])]),
    ("", "Unsqueeze"): Base([x(2, 3), np.array([1])]),
    ("com.microsoft", "QuantizeLinear"): Base([x(2, 3, 4), np.float32(0.05), np.uint8(99)], result="q", domain="com.microsoft"),
    ("com.microsoft", "DequantizeLinear"): Base([q(2, 3, 4), SCALE, ZERO], domain="com.microsoft"),
    ("com.microsoft", "MatMulNBits"): Base(PACKED, {"K": 20, "N": 6, "bits": 4, "block_size": 16}, domain="com.microsoft"),
    ("com.microsoft", "QGemm"): Base([*QGEMM[:6], None, *QGEMM[7:]], result="q", domain="com.microsoft"),
    **{("com.microsoft", name): Base([*QX[:3], q(2, 3, 4, 5), SCALE, ZERO, np.float32(0.05), np.uint8(99)], result="q", domain="com.microsoft")
       for name in ("QLinearAdd", "QLinearMul")},
    **{("com.microsoft", name): Base(QX, result="q", domain="com.microsoft") for name in ("QLinearLeakyRelu", "QLinearSigmoid")},
    ("com.microsoft", "QLinearGlobalAveragePool"): Base(QX, result="q", domain="com.microsoft"),
    ("com.microsoft", "QLinearAveragePool"): Base(QPOOL, {"kernel_shape": [3, 2]}, result="q", domain="com.microsoft"),
    ("com.microsoft", "QLinearSoftmax"): Base([q(2, 3, 4, 5), SCALE, ZERO, np.float32(1 / 256), np.uint8(0)], {"opset": 13}, "q", domain="com.microsoft"),
    ("com.microsoft", "QLinearConcat"): Base(
        [np.float32(0.03), np.uint8(9), q(2, 3, 3), SCALE, ZERO, q(2, 3, 3), np.float32(0.04), np.uint8(7)], {"axis": 1}, "q", domain="com.microsoft"
    ),
}  # fmt: skip

_PADS = [0, 0, 1, 2, 0, 0, 2, 1]
#: (operator, last opset) -> its network up to that.
OLD: dict[tuple[str, int], Base] = {
    ("Pad", 10): Base([x(1, 2, 4, 5)], {"pads": _PADS}),
    ("Unsqueeze", 12): Base([x(2, 3)], {"axes": [1]}),
    ("Slice", 9): Base([x(4, 5, 6)], {"starts": [1], "ends": [3]}),
    ("Resize", 10): Base([x(1, 2, 4, 5), np.array([1, 1, 2, 1.5], np.float32)]),
    ("Resize", 12): Base([x(1, 2, 4, 5), np.zeros(0, np.float32), np.zeros(0, np.float32), np.array([1, 2, 8, 10])]),
}


def _windows(kernel: str, more: Mapping[str, list[Variant]]) -> dict[str, list[Variant]]:
    """Variants of what windows have in common."""
    padded = [Variant({"auto_pad": "SAME_UPPER"}), Variant({"auto_pad": "SAME_LOWER"}), Variant({"auto_pad": "VALID", "strides": [2, 2]})]
    return {
        "auto_pad": padded, "dilations": [Variant({"dilations": [2, 3]})], "pads": [Variant({"pads": [1, 0, 2, 1]})],
        "strides": [Variant({"strides": [2, 3]})], "kernel_shape": [Variant({"kernel_shape": [3, 2]}), Variant({"kernel_shape": [2, 2]})], **more,
    }  # fmt: skip


_GROUPED = {"group": [Variant({"group": 2}, [CONV[0], w(4, 2, 3, 2)])]}
_POOLED = {
    "ceil_mode": [Variant({"ceil_mode": 1, "strides": [3, 3]})],
    "count_include_pad": [Variant({"count_include_pad": 1, "pads": [1, 1, 1, 1]})],
    "storage_order": [Variant({"storage_order": 1}), Variant({"storage_order": 1}, outputs=2)],
}
_REDUCED = {
    "axes": [Variant({"axes": [1, 2]}), Variant({"axes": [-1]})], "keepdims": [Variant({"keepdims": 0})],
    "noop_with_empty_axes": [Variant({"noop_with_empty_axes": 1}), Variant({"noop_with_empty_axes": 1}, [*FUNCTION, np.array([1, 2])])],
}  # fmt: skip
_EPSILON = {"epsilon": [Variant({"epsilon": 0.3})]}
_STASH = {"stash_type": [Variant({"stash_type": TensorProto.BFLOAT16})]}
_SATURATE = {"saturate": [Variant({"saturate": 0})]}
#: Operator -> attribute -> networks in which it says something, or could.
VARIANTS: dict[str, dict[str, list[Variant]]] = {
    "ArgMax": {"axis": [Variant({"axis": 2}), Variant({"axis": -1})], "keepdims": [Variant({"keepdims": 0})],
               "select_last_index": [Variant({"select_last_index": 1})]},
    "AveragePool": _windows("", _POOLED),
    "MaxPool": _windows("", _POOLED),
    "QLinearAveragePool": _windows("", {**_POOLED, "channels_last": [Variant({"channels_last": 1})]}),
    "QLinearGlobalAveragePool": {"channels_last": [Variant({"channels_last": 1})]},
    "BatchNormalization": {**_EPSILON, "momentum": [Variant({"momentum": 0.5})], "training_mode": [Variant({"training_mode": 1}, outputs=3)],
                           "spatial": [Variant({"spatial": 0})]},
    "Cast": {"to": [Variant({"to": TensorProto.INT32}), Variant({"to": TensorProto.FLOAT16})], **_SATURATE, "round_mode": [Variant({"round_mode": "down"})]},
    **{name: {"alpha": [Variant({"alpha": 0.3})]} for name in ("Celu", "Elu", "LeakyRelu", "ThresholdedRelu", "QLinearLeakyRelu")},
    "CenterCropPad": {"axes": [Variant({"axes": [2, 1]}, [x(2, 3, 6, 5), np.array([4, 7])])]},
    "Compress": {"axis": [Variant({"axis": 1}), Variant({"axis": -1})]},
    "Concat": {"axis": [Variant({"axis": 2}), Variant({"axis": -3})]},
    "QLinearConcat": {"axis": [Variant({"axis": 2}), Variant({"axis": -3})]},
    "Conv": _windows("", _GROUPED),
    "QLinearConv": _windows("", {"group": [Variant({"group": 2}, [*QCONV[:3], integers(4, 2, 3, 2), *QCONV[4:]])]}),
    "ConvInteger": _windows("", {"group": [Variant({"group": 2}, [ICONV[0], integers(4, 2, 3, 2)])]}),
    "ConvTranspose": _windows("", {"group": [Variant({"group": 2})], "output_padding": [Variant({"output_padding": [1, 0], "strides": [2, 2]})],
                                   "output_shape": [Variant({"output_shape": [6, 5]}), Variant({"output_shape": [6, 5], "pads": [1, 0, 0, 0]})]}),
    "DepthToSpace": {"blocksize": [Variant({"blocksize": 4})], "mode": [Variant({"mode": "CRD"})]},
    "SpaceToDepth": {"blocksize": [Variant({"blocksize": 4})], "mode": [Variant({"mode": "CRD"})]},
    "DequantizeLinear": {
        "axis": [Variant({"axis": 0}), Variant({"axis": 2}, [integers(2, 3, 4), floats(4), np.zeros(4, np.int8)])],
        "block_size": [Variant({"block_size": 2, "axis": 2}, [q(2, 3, 4), floats(2, 3, 2), np.zeros((2, 3, 2), np.uint8)])],
        "output_dtype": [Variant({"output_dtype": TensorProto.FLOAT}), Variant({"output_dtype": TensorProto.FLOAT16})],
    },
    "QuantizeLinear": {
        "axis": [Variant({"axis": 0}), Variant({"axis": 2}, [x(2, 3, 4), floats(4), np.zeros(4, np.uint8)])],
        "block_size": [Variant({"block_size": 2, "axis": 2}, [x(2, 3, 4), floats(2, 3, 2), np.zeros((2, 3, 2), np.uint8)])],
        "output_dtype": [Variant({"output_dtype": TensorProto.UINT8}), Variant({"output_dtype": TensorProto.UINT8}, [x(2, 3, 4), np.float32(0.05)])],
        "precision": [Variant({"precision": TensorProto.FLOAT}), Variant({"precision": TensorProto.FLOAT16})], **_SATURATE,
    },
    "Dropout": {"seed": [Variant({"seed": 3})], "ratio": [Variant({"ratio": 0.3})]},
    "Einsum": {"equation": [Variant({"equation": "ji,ki->jk"}, [x(3, 4), w(5, 4)])]},
    "Flatten": {"axis": [Variant({"axis": 2}), Variant({"axis": -1})]},
    "Gather": {"axis": [Variant({"axis": 1}), Variant({"axis": -2})]},
    "GatherElements": {"axis": [Variant({"axis": 1}, [x(4, 4), np.array([[2, 0, 3, 1], [1, 1, 0, 2], [0, 0, 1, 1], [3, 3, 3, 3]])])]},
    "GatherND": {"batch_dims": [Variant({"batch_dims": 1})]},
    "Gelu": {"approximate": [Variant({"approximate": "tanh"})]},
    "Gemm": {"alpha": [Variant({"alpha": 0.5})], "beta": [Variant({"beta": 0.5}), Variant({"beta": 0.5}, GEMM[:2])],
             "transA": [Variant({"transA": 1}, [x(6, 5), *GEMM[1:]])], "transB": [Variant({"transB": 1}, [GEMM[0], w(4, 6), GEMM[2]])]},
    "QGemm": {"alpha": [Variant({"alpha": 0.5})], "transA": [Variant({"transA": 1}, [q(6, 5), *QGEMM[1:6], None, *QGEMM[7:]])],
              "transB": [Variant({"transB": 1}, [*QGEMM[:3], integers(4, 6), *QGEMM[4:6], None, *QGEMM[7:]])]},
    "MatMulNBits": {
        "K": [Variant({"K": 19}, [x(2, 3, 19), *PACKED[1:]])], "N": [Variant({"N": 5}, [PACKED[0], PACKED[1][:5], PACKED[2][:10]])],
        "bits": [Variant({"bits": 8}, [PACKED[0], integers(6, 2, 16, dtype=np.uint8), PACKED[2] / 16]),
                 Variant({"bits": 2}, [PACKED[0], integers(6, 2, 4, dtype=np.uint8), PACKED[2]])],
        "block_size": [Variant({"block_size": 32}, [PACKED[0], integers(6, 1, 16, dtype=np.uint8), PACKED[2][:6]])],
        "accuracy_level": [Variant({"accuracy_level": level}) for level in (1, 4)], "weight_prepacked": [Variant({"weight_prepacked": 1})],
    },
    "GroupNormalization": {**_EPSILON, "num_groups": [Variant({"num_groups": 3})], **_STASH},
    "HardSigmoid": {"alpha": [Variant({"alpha": 0.4})], "beta": [Variant({"beta": 0.3})]},
    "InstanceNormalization": _EPSILON,
    "LRN": {"size": [Variant({"size": 5, "alpha": 2.0})], "alpha": [Variant({"alpha": 0.5})], "beta": [Variant({"beta": 1.0, "alpha": 0.5})],
            "bias": [Variant({"bias": 2.0})]},
    "LayerNormalization": {"axis": [Variant({"axis": 1}, [x(2, 3, 4), floats(3, 4)])], **_EPSILON, **_STASH},
    "RMSNormalization": {"axis": [Variant({"axis": 1}, [x(2, 3, 4), floats(3, 4)])], **_EPSILON, **_STASH},
    "LpNormalization": {"axis": [Variant({"axis": 1})], "p": [Variant({"p": 1})]},
    "Pad": {
        "mode": [Variant({"mode": "reflect"}), Variant({"mode": "edge"}), Variant({"mode": "wrap"})],
        "value": [Variant({"value": 0.5})], "pads": [Variant({"pads": [0, 0, 2, 0, 0, 0, 0, 1]})],
    },
    **dict.fromkeys(("ReduceMax", "ReduceMean", "ReduceSum"), _REDUCED),
    "Reshape": {"allowzero": [Variant({"allowzero": 1}), Variant({"allowzero": 1}, [x(2, 3, 4), np.array([0, 12])])]},
    "Resize": {
        "antialias": [Variant({"antialias": 1, "mode": "linear"}, [*RESIZE[:3], np.array([1, 2, 3, 2])])],
        "axes": [Variant({"axes": [3, 2]}, [*RESIZE[:3], np.array([8, 7])])],
        "coordinate_transformation_mode": [Variant({"coordinate_transformation_mode": mode, "mode": how}) for how in ("nearest", "linear") for mode in (
            "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric", "tf_half_pixel_for_nn")],
        "cubic_coeff_a": [Variant({"cubic_coeff_a": -0.5, "mode": "cubic"}), Variant({"cubic_coeff_a": -0.5})],
        "exclude_outside": [Variant({"exclude_outside": 1, "mode": how}) for how in ("cubic", "linear")],
        "extrapolation_value": [
            Variant({"extrapolation_value": 1.0}),
            Variant({"extrapolation_value": 1.0, "coordinate_transformation_mode": "tf_crop_and_resize", "mode": "linear"},
                    [RESIZE[0], np.array([0, 0, -0.2, 0.1, 1, 1, 1.2, 0.9], np.float32), *RESIZE[2:]]),
        ],
        "keep_aspect_ratio_policy": [Variant({"keep_aspect_ratio_policy": policy, "axes": [2, 3]}, [*RESIZE[:3], np.array([7, 8])])
                                     for policy in ("not_larger", "not_smaller")],
        "mode": [Variant({"mode": "linear"}), Variant({"mode": "cubic"})],
        "nearest_mode": [Variant({"nearest_mode": mode, "coordinate_transformation_mode": "asymmetric"}) for mode in ("round_prefer_ceil", "floor", "ceil")]
        + [Variant({"nearest_mode": "floor", "mode": "linear"})],
    },
    "ReverseSequence": {"batch_axis": [Variant({"batch_axis": 0, "time_axis": 1})], "time_axis": [Variant({"batch_axis": 0, "time_axis": 1})]},
    "ScatterElements": {"axis": [Variant({"axis": 1}, [x(4, 5), np.array([[1, 0, 3]]), x(1, 3)])], "reduction": [Variant({"reduction": how}) for how in ("add", "mul", "max", "min")]},
    "ScatterND": {"reduction": [Variant({"reduction": how}) for how in ("add", "mul", "max", "min")]},
    "Selu": {"alpha": [Variant({"alpha": 0.8})], "gamma": [Variant({"gamma": 1.3})]},
    "Shape": {"start": [Variant({"start": 1})], "end": [Variant({"end": -1})]},
    "Shrink": {"bias": [Variant({"bias": 0.3})], "lambd": [Variant({"lambd": 1.0})]},
    "Softmax": {"axis": [Variant({"axis": 1}), Variant({"axis": -2})]},
    "LogSoftmax": {"axis": [Variant({"axis": 1}), Variant({"axis": -2})]},
    "QLinearSoftmax": {"axis": [Variant({"axis": 1}), Variant({"axis": -2})], "opset": [Variant({"opset": 12, "axis": 2})]},
    "Split": {"axis": [Variant({"axis": 1}), Variant({"axis": -1})], "num_outputs": [Variant({"num_outputs": 3}, outputs=3)], "split": [Variant({"split": [2, 4]})]},
    "Transpose": {"perm": [Variant({"perm": [0, 2, 1, 3]})]},
    "Trilu": {"upper": [Variant({"upper": 0})]},
    "Clip": {"min": [Variant({"min": -0.5})], "max": [Variant({"max": 0.5})]},
    "Slice": {"starts": [Variant({"starts": [2]})], "ends": [Variant({"ends": [3]})], "axes": [Variant({"axes": [1]})]},
    "Squeeze": {"axes": [Variant({"axes": [1]}, [x(2, 1, 4)])]},
    "Unsqueeze": {"axes": [Variant({"axes": [2]})]},
}  # fmt: skip

ICONV_ZEROS = [*ICONV, np.uint8(77), np.int8(3)]
#: (operator, input) -> networks with an input that may be left out, and where all is there, without it.
INPUTS: dict[tuple[str, int], list[Variant]] = {
    ("Clip", 1): [Variant({}, [*FUNCTION, np.float32(-0.4)])],
    ("Clip", 2): [Variant({}, [*FUNCTION, None, np.float32(0.7)]), Variant({}, [*FUNCTION, np.float32(-0.4), np.float32(0.7)])],
    ("Conv", 2): [Variant({}, [*CONV, floats(4)])],
    ("ConvInteger", 2): [Variant({}, ICONV_ZEROS[:3])],
    ("ConvInteger", 3): [Variant({}, ICONV_ZEROS), Variant({}, [*ICONV, None, np.int8(3)])],
    ("ConvTranspose", 2): [Variant({}, [*TCONV, floats(3)])],
    ("DequantizeLinear", 2): [Variant({}, [q(2, 3, 4), SCALE]), Variant({}, [q(2, 3, 4, dtype=np.int8), SCALE])],
    ("QuantizeLinear", 2): [Variant({}, [x(2, 3, 4), SCALE])],
    ("Dropout", 1): [Variant({}, [*FUNCTION, np.float32(0.3)])],
    ("Dropout", 2): [Variant({}, [*FUNCTION, np.float32(0.3), np.array(False)]), Variant({}, [*FUNCTION, np.float32(0.3), np.array(True)])],
    ("Gemm", 2): [Variant({}, GEMM[:2])],
    ("LayerNormalization", 2): [Variant({}, [x(2, 3, 4), floats(4), floats(4, low=-0.5, high=0.5)])],
    ("MatMulInteger", 2): [Variant({}, [q(5, 6), integers(6, 4), np.uint8(77)])],
    ("MatMulInteger", 3): [Variant({}, [q(5, 6), integers(6, 4), np.uint8(77), np.int8(3)]), Variant({}, [q(5, 6), integers(6, 4), None, np.int8(3)])],
    ("MatMulNBits", 3): [Variant({}, [*PACKED, integers(6, seed=2, dtype=np.uint8)]), Variant({}, [*PACKED, integers(6, 2, seed=2, dtype=np.uint8) % 16 * np.float32(1)])],
    ("MatMulNBits", 4): [Variant({}, [*PACKED, None, np.arange(20, dtype=np.int32) // 10])],
    ("MatMulNBits", 5): [Variant({}, [*PACKED, None, None, floats(6, low=-0.5, high=0.5)])],
    ("Pad", 2): [Variant({}, [x(1, 2, 4, 5), np.array([0, 0, 1, 2, 0, 0, 2, 1]), np.float32(0.9)]),
                 Variant({"mode": "edge"}, [x(1, 2, 4, 5), np.array([0, 0, 1, 2, 0, 0, 2, 1]), np.float32(0.9)])],
    ("Pad", 3): [Variant({}, [x(1, 2, 4, 5), np.array([1, 2]), None, np.array([-2])]),
                 Variant({"mode": "edge"}, [x(1, 2, 4, 5), np.array([1, 2, 0, 1]), None, np.array([3, 2])])],
    ("QLinearConv", 8): [Variant({}, [*QCONV, integers(4, dtype=np.int16).astype(np.int32) // 8])],
    **{(name, 1): [Variant({}, [*FUNCTION, np.array([1, 2])])] for name in ("ReduceMax", "ReduceMean", "ReduceSum")},
    ("Resize", 1): [Variant({}, [RESIZE[0], np.array([0, 0, 0.1, 0.1, 1, 1, 0.9, 0.9], np.float32), *RESIZE[2:]]),
                    Variant({"coordinate_transformation_mode": "tf_crop_and_resize"},
                            [RESIZE[0], np.array([0, 0, 0.1, 0.1, 1, 1, 0.9, 0.9], np.float32), *RESIZE[2:]])],
    ("Resize", 2): [Variant({}, [RESIZE[0], None, np.array([1, 1, 2, 1.5], np.float32)]),
                    Variant({}, [RESIZE[0], np.zeros(0, np.float32), np.zeros(0, np.float32), RESIZE[3]])],
    ("Resize", 3): [Variant({}, [RESIZE[0], None, None, np.array([1, 2, 9, 5])])],
    ("Slice", 3): [Variant({}, [x(4, 5, 6), np.array([1, 2]), np.array([3, 4]), np.array([2, 0])])],
    ("Slice", 4): [Variant({}, [x(4, 5, 6), np.array([1, 4]), np.array([6, 0]), np.array([2, 1]), np.array([2, -1])])],
    ("Split", 1): [Variant({}, [x(6, 6), np.array([2, 4])])],
    ("Squeeze", 1): [Variant({}, [x(2, 1, 4, 1), np.array([1])])],
    ("Trilu", 1): [Variant({}, [*FUNCTION, np.int64(1)])],
    ("QGemm", 6): [Variant({}, QGEMM)],
    ("QGemm", 7): [Variant({}, QGEMM[:6])],
    ("QGemm", 8): [Variant({}, [*QGEMM[:6], None, QGEMM[7]])],
    ("QLinearAdd", 2): [Variant({}, [q(2, 3, 4, 5), SCALE, None, q(2, 3, 4, 5), SCALE, ZERO, np.float32(0.05), np.uint8(99)])],
    ("QLinearAdd", 5): [Variant({}, [q(2, 3, 4, 5), SCALE, ZERO, q(2, 3, 4, 5), SCALE, None, np.float32(0.05), np.uint8(99)])],
    ("QLinearAdd", 7): [Variant({}, [q(2, 3, 4, 5), SCALE, ZERO, q(2, 3, 4, 5), SCALE, ZERO, np.float32(0.05)]),
                        Variant({}, [q(2, 3, 4, 5, dtype=np.int8), SCALE, np.int8(3), q(2, 3, 4, 5, dtype=np.int8), SCALE, np.int8(-9), np.float32(0.05)])],
    ("QLinearMul", 2): [Variant({}, [q(2, 3, 4, 5), SCALE, None, q(2, 3, 4, 5), SCALE, ZERO, np.float32(0.05), np.uint8(99)])],
    ("QLinearMul", 5): [Variant({}, [q(2, 3, 4, 5), SCALE, ZERO, q(2, 3, 4, 5), SCALE, None, np.float32(0.05), np.uint8(99)])],
    ("QLinearMul", 7): [Variant({}, [q(2, 3, 4, 5), SCALE, ZERO, q(2, 3, 4, 5), SCALE, ZERO, np.float32(0.05)])],
    **{(name, 2): [Variant({}, [QX[0], SCALE, None, *QX[3:]])] for name in ("QLinearLeakyRelu", "QLinearSigmoid")},
    **{(name, 4): [Variant({}, [*QX[:4], None])] for name in ("QLinearLeakyRelu", "QLinearSigmoid")},
    ("QLinearAveragePool", 2): [Variant({}, [QPOOL[0], SCALE, None, *QPOOL[3:]])],
    ("QLinearAveragePool", 4): [Variant({}, [*QPOOL[:4], None])],
}  # fmt: skip
