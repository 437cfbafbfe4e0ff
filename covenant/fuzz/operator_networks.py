"""The smallest network of every supported operator, attributes written out, as a start for changes to them.

    float x -> QuantizeLinear -> DequantizeLinear -> operator -> QuantizeLinear -> y         for float operators
    uint8 x -> operator -> y                                                                 for QLinear and Integer operators

`FOLDED` are operators on constants, whose result an activation then meets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

__all__ = ["FOLDED", "NETWORKS", "operator_network"]

MICROSOFT = "com.microsoft"


class OperatorNetwork:
    """Collects nodes, inputs and constants; a call adds a node and returns its output, or outputs."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)
        self.opset = 18
        self.count = 0
        self.nodes: list[onnx.NodeProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.constants: list[onnx.TensorProto] = []

    def _name(self, stem: str) -> str:
        self.count += 1
        return f"{stem}{self.count}"

    def __call__(self, op: str, *inputs: str, outputs: int = 1, domain: str = "", **attributes: Any) -> Any:
        names = [self._name("t") for _ in range(outputs)]
        self.nodes.append(helper.make_node(op, inputs, names, name=f"n_{op}_{self.count}", domain=domain, **attributes))
        return names[0] if outputs == 1 else names

    def raw(self, *shape: int, kind: int = TensorProto.UINT8) -> str:
        """A graph input."""
        name = self._name("x")
        self.inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def x(self, *shape: int) -> str:
        """A dequantised float input."""
        return self("DequantizeLinear", self.quantised(self.raw(*shape, kind=TensorProto.FLOAT)), *self.scale(0.05, 120))

    def c(self, array: Any, dtype: Any = np.float32) -> str:
        """A constant."""
        name = self._name("c")
        self.constants.append(numpy_helper.from_array(np.asarray(array, dtype), name))
        return name

    def i(self, *numbers: int) -> str:
        """A constant list of integers."""
        return self.c(numbers, np.int64)

    def scale(self, scale: float = 0.1, zero: int = 100, dtype: Any = np.uint8) -> tuple[str, str]:
        """Scale and zero point."""
        return self.c(scale), self.c(zero, dtype)

    def integers(self, *shape: int) -> str:
        """Constant int8 weights."""
        return self.c(self.rng.integers(-90, 90, shape), np.int8)

    def w(self, *shape: int) -> str:
        """Dequantised constant weights."""
        return self("DequantizeLinear", self.integers(*shape), *self.scale(0.02, 0, np.int8))

    def bias(self, channels: int) -> str:
        """Dequantised int32 bias for `x` and `w`."""
        return self("DequantizeLinear", self.c(self.rng.integers(-500, 500, channels), np.int32), *self.scale(0.05 * 0.02, 0, np.int32))

    def quantised(self, name: str) -> str:
        """QuantizeLinear as the input's."""
        return str(self("QuantizeLinear", name, *self.scale(0.05, 120)))

    def model(self, results: str | list[str], kind: int) -> onnx.ModelProto:
        """The network with these results."""
        names = [results] if isinstance(results, str) else results
        outputs = [helper.make_tensor_value_info(name, kind, None) for name in names]
        graph = helper.make_graph(self.nodes, "operator", self.inputs, outputs, self.constants)
        opsets = [helper.make_opsetid("", self.opset), helper.make_opsetid(MICROSOFT, 1)]
        model = onnx.shape_inference.infer_shapes(helper.make_model(graph, opset_imports=opsets, ir_version=10 if self.opset > 19 else 8))
        for value in model.graph.output:
            if not value.type.tensor_type.HasField("shape"):  # onnx does not know what the operators of com.microsoft give: an operand's rank
                sizes = [None] * len(self.inputs[0].type.tensor_type.shape.dim)
                value.CopyFrom(helper.make_tensor_value_info(value.name, kind, sizes))
        del model.graph.value_info[:]
        return model


Make = Callable[[OperatorNetwork], Any]


def _unary(op: str, **attributes: Any) -> Make:
    return lambda n: n(op, n.x(1, 4, 3, 3), **attributes)


def _positive(op: str) -> Make:
    return lambda n: n(op, n("Clip", n.x(1, 4, 3), n.c(0.5)))


def _binary(op: str) -> Make:
    return lambda n: n(op, n.x(1, 4, 3, 3), n.x(1, 4, 1, 1))


def _reduce(op: str, *axes: int) -> Make:
    return lambda n: n(op, n.x(1, 4, 3, 5), n.i(*axes), keepdims=1, noop_with_empty_axes=0)


def _norm(op: str, channels: int, **attributes: Any) -> Make:
    return lambda n: n(op, n.x(1, 4, 3, 4), n.c(np.ones(channels)), n.c(np.zeros(channels)), **attributes)


def _images(n: OperatorNetwork) -> str:
    return n.raw(1, 4, 6, 6)


def _qlinear(op: str, **attributes: Any) -> Make:
    return lambda n: n(op, _images(n), *n.scale(), *n.scale(), domain=MICROSOFT, **attributes)


def _qlinear_binary(op: str) -> Make:
    return lambda n: n(op, n.raw(1, 4, 3, 3), *n.scale(), n.raw(1, 4, 1, 1), *n.scale(), *n.scale(), domain=MICROSOFT)


def _edge(domain: str) -> Make:
    """QuantizeLinear and DequantizeLinear of a domain, there and back."""
    return lambda n: n("QuantizeLinear", n("DequantizeLinear", n.raw(1, 4, 3), *n.scale(), domain=domain), *n.scale(0.2, 90), domain=domain)


_WINDOW: dict[str, Any] = {"kernel_shape": [3, 2], "strides": [1, 2], "pads": [1, 0, 1, 1], "dilations": [1, 1]}
_POOL: dict[str, Any] = {"kernel_shape": [3, 2], "strides": [1, 2], "pads": [1, 0, 1, 1], "ceil_mode": 0}

#: Float operators on activations, by name: what makes the result that is then quantised.
_FLOAT: dict[str, Make] = {
    **{op: _unary(op) for op in (
        "Abs", "Asinh", "Atan", "Ceil", "Cos", "Cosh", "Erf", "Exp", "Floor", "HardSwish", "Identity", "Mish", "Neg", "Relu", "Round", "Sigmoid", "Sign",
        "Sin", "Sinh", "Softplus", "Softsign", "Tan", "Tanh", "GlobalAveragePool", "GlobalMaxPool")},
    "Celu": _unary("Celu", alpha=0.5), "Elu": _unary("Elu", alpha=0.5), "HardSigmoid": _unary("HardSigmoid", alpha=0.2, beta=0.5),
    "LeakyRelu": _unary("LeakyRelu", alpha=0.1), "Selu": _unary("Selu", alpha=1.5, gamma=1.1), "Shrink": _unary("Shrink", bias=0.1, lambd=0.5),
    "ThresholdedRelu": _unary("ThresholdedRelu", alpha=1.0), "LogSoftmax": _unary("LogSoftmax", axis=-1), "Softmax": _unary("Softmax", axis=-1),
    "LpNormalization": _unary("LpNormalization", axis=1, p=2),
    "LRN": _unary("LRN", alpha=0.01, beta=0.75, bias=1.0, size=3), "Flatten": _unary("Flatten", axis=2), "Transpose": _unary("Transpose", perm=[0, 2, 3, 1]),
    "Dropout": _unary("Dropout", seed=0), "Cast": _unary("Cast", to=TensorProto.FLOAT),
    **{op: _positive(op) for op in ("Log", "Reciprocal", "Sqrt")},
    "Clip": lambda n: n("Clip", n.x(1, 4, 3), n.c(-1.0), n.c(2.0)), "Pow": lambda n: n("Pow", n.x(1, 4, 3), n.c(2.0)),
    **{op: _binary(op) for op in ("Add", "Max", "Mean", "Min", "Mul", "Sub", "Sum")},
    "Scalar": lambda n: n("ReduceMean", n.x(6), n.i(0), keepdims=0),
    "Div": lambda n: n("Div", n.x(1, 4, 3), n.c(2.5)), "PRelu": lambda n: n("PRelu", n.x(1, 4, 3, 3), n.c(np.full((4, 1, 1), 0.25))),
    "ReduceMax": _reduce("ReduceMax", 2, 3), "ReduceMean": _reduce("ReduceMean", 2, 3), "ReduceSum": _reduce("ReduceSum", 1),
    "ReduceMean keepdims": lambda n: n("ReduceMean", n.x(1, 4, 3), n.i(-1), keepdims=0),
    "Conv": lambda n: n("Conv", n.x(1, 4, 6, 6), n.w(6, 2, 3, 2), n.bias(6), group=2, **_WINDOW),
    "Conv 1-D": lambda n: n("Conv", n.x(2, 4, 9), n.w(6, 4, 3), n.bias(6), group=1, kernel_shape=[3], strides=[2], pads=[1, 1], dilations=[2]),
    "Conv 3-D": lambda n: n("Conv", n.x(1, 2, 3, 4, 4), n.w(3, 2, 2, 2, 2), kernel_shape=[2, 2, 2], strides=[1, 1, 2], pads=[0] * 6, dilations=[1, 1, 1]),
    "Conv SAME": lambda n: n("Conv", n.x(1, 2, 5, 5), n.w(3, 2, 3, 3), auto_pad="SAME_UPPER", strides=[2, 2]),
    "ConvTranspose": lambda n: n("ConvTranspose", n.x(1, 4, 3, 3), n.w(4, 2, 2, 3), n.bias(4), group=2, kernel_shape=[2, 3], strides=[2, 3], pads=[0, 1, 0, 1],
                                 dilations=[1, 1], output_padding=[1, 0]),
    "Gemm": lambda n: n("Gemm", n.x(2, 5), n.w(3, 5), n.bias(3), alpha=1.0, beta=1.0, transA=0, transB=1),
    "MatMul": lambda n: n("MatMul", n.x(1, 3, 5), n.w(5, 4)), "MatMul computed": lambda n: n("MatMul", n.x(2, 3, 5), n.x(2, 5, 4)),
    "Einsum": lambda n: n("Einsum", n.x(2, 3, 5), n.x(2, 5, 4), equation="bij,bjk->bik"),
    "MaxPool": lambda n: n("MaxPool", n.x(1, 4, 6, 6), storage_order=0, dilations=[1, 1], **_POOL),
    "AveragePool": lambda n: n("AveragePool", n.x(1, 4, 6, 6), count_include_pad=0, **_POOL),
    "BatchNormalization": lambda n: n("BatchNormalization", n.x(1, 4, 3, 3), *(n.c(np.ones(4)) for _ in range(4)), epsilon=1e-5, momentum=0.9, training_mode=0),
    "InstanceNormalization": _norm("InstanceNormalization", 4, epsilon=1e-5), "LayerNormalization": _norm("LayerNormalization", 4, axis=-1, epsilon=1e-5),
    "Reshape": lambda n: n("Reshape", n.x(1, 4, 3, 2), n.i(0, -1, 2), allowzero=0),
    "Squeeze": lambda n: n("Squeeze", n.x(1, 4, 3, 1), n.i(0, -1)), "Unsqueeze": lambda n: n("Unsqueeze", n.x(4, 3), n.i(0, 3)),
    "Concat": lambda n: n("Concat", n.x(1, 4, 3), n.x(1, 2, 3), axis=1),
    "Slice": lambda n: n("Slice", n.x(1, 6, 5), n.i(1, -1), n.i(5, -9), n.i(1, 2), n.i(2, -2)),
    "Split": lambda n: n("Split", n.x(1, 6, 4), outputs=3, axis=1, num_outputs=3),
    "Split sizes": lambda n: n("Split", n.x(1, 6, 4), n.i(4, 2), outputs=2, axis=1),
    "Gather": lambda n: n("Gather", n.x(1, 6, 4), n.i(0, -1, 3), axis=1),
    "GatherElements": lambda n: n("GatherElements", n.x(1, 3, 4), n.c([[[0, 1, 2, 0]]], np.int64), axis=1),
    "GatherND": lambda n: n("GatherND", n.x(2, 3, 4), n.c([[0, 1], [1, -1]], np.int64), batch_dims=0),
    "ScatterND": lambda n: n("ScatterND", n.x(4, 3), n.c([[1], [3]], np.int64), n.x(2, 3), reduction="none"),
    "ScatterElements": lambda n: n("ScatterElements", n.x(1, 3, 4), n.c([[[0, 1, 2, 0]]], np.int64), n.x(1, 1, 4), axis=1, reduction="none"),
    "ReverseSequence": lambda n: n("ReverseSequence", n.x(4, 3, 2), n.i(4, 2, 1), batch_axis=1, time_axis=0),
    "Compress": lambda n: n("Compress", n.x(1, 4, 3), n.c([1, 0, 1, 1], bool), axis=1),
    "Trilu": lambda n: n("Trilu", n.x(1, 4, 4), n.c(1, np.int64), upper=1),
    "CenterCropPad": lambda n: n("CenterCropPad", n.x(1, 4, 5), n.i(6, 3), axes=[1, 2]),
    "Pad": lambda n: n("Pad", n.x(1, 4, 3), n.i(0, 1, 1, 0, 0, 2), n.c(0.5), mode="constant"),
    "Pad axes": lambda n: n("Pad", n.x(1, 4, 3), n.i(1, 1), "", n.i(-1), mode="reflect"),
    "DepthToSpace": _unary("DepthToSpace", blocksize=2, mode="CRD"),
    "SpaceToDepth": lambda n: n("SpaceToDepth", n.x(1, 2, 4, 6), blocksize=2), "Expand": lambda n: n("Expand", n.x(1, 4, 1), n.i(2, 1, 3)),
    "Tile": lambda n: n("Tile", n.x(1, 4, 3), n.i(2, 1, 2)),
    "Resize": lambda n: n("Resize", n.x(1, 2, 3, 4), "", n.c([1, 1, 2, 2]), mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
    "Resize linear": lambda n: n("Resize", n.x(1, 2, 3, 4), "", "", n.i(1, 2, 6, 8), mode="linear", coordinate_transformation_mode="half_pixel"),
    "Shape": lambda n: n("Reshape", n.x(2, 3, 4), n("Concat", n("Shape", n.x(2, 7, 5), start=0, end=1), n.i(-1), axis=0)),
}

#: Newer operators, with the first opset that has them.
_NEWER: dict[str, tuple[int, Make]] = {
    "Gelu": (20, _unary("Gelu", approximate="tanh")),
    "GroupNormalization": (21, _norm("GroupNormalization", 4, epsilon=1e-5, num_groups=2)),
    "RMSNormalization": (23, lambda n: n("RMSNormalization", n.x(1, 3, 4), n.c(np.ones(4)), axis=-1, epsilon=1e-5)),
}

#: Operators on integers: what makes the result, and its type.
_INTEGER: dict[str, tuple[int, Make]] = {
    "QuantizeLinear": (TensorProto.UINT8, _edge("")), "com.microsoft.QuantizeLinear": (TensorProto.UINT8, _edge(MICROSOFT)),
    "QLinearConv": (TensorProto.UINT8, lambda n: n("QLinearConv", _images(n), *n.scale(), n.integers(6, 2, 3, 2), *n.scale(0.02, 0, np.int8), *n.scale(),
                                                   n.c(np.arange(6), np.int32), group=2, **_WINDOW)),
    "QLinearMatMul": (TensorProto.UINT8, lambda n: n("QLinearMatMul", n.raw(2, 5), *n.scale(), n.integers(5, 3), *n.scale(0.02, 0, np.int8), *n.scale())),
    "ConvInteger": (TensorProto.INT32, lambda n: n("ConvInteger", _images(n), n.integers(6, 2, 3, 2), n.c(100, np.uint8), n.c(0, np.int8), group=2, **_WINDOW)),
    "MatMulInteger": (TensorProto.INT32, lambda n: n("MatMulInteger", n.raw(2, 5), n.integers(5, 3), n.c(100, np.uint8), n.c(0, np.int8))),
    "ArgMax": (TensorProto.INT64, lambda n: n("ArgMax", n.x(1, 4, 3), axis=1, keepdims=1, select_last_index=0)),
    "com.microsoft.QGemm": (TensorProto.UINT8, lambda n: n("QGemm", n.raw(2, 5), *n.scale(), n.integers(3, 5), *n.scale(0.02, 0, np.int8),
                                                           n.c(np.arange(3), np.int32), *n.scale(), domain=MICROSOFT, alpha=1.0, transA=0, transB=1)),
    **{f"com.microsoft.{op}": (TensorProto.UINT8, _qlinear_binary(op)) for op in ("QLinearAdd", "QLinearMul")},
    "com.microsoft.QLinearAveragePool": (TensorProto.UINT8, _qlinear("QLinearAveragePool", channels_last=0, count_include_pad=0, **_POOL)),
    "com.microsoft.QLinearGlobalAveragePool": (TensorProto.UINT8, _qlinear("QLinearGlobalAveragePool", channels_last=0)),
    "com.microsoft.QLinearLeakyRelu": (TensorProto.UINT8, _qlinear("QLinearLeakyRelu", alpha=0.1)),
    "com.microsoft.QLinearSigmoid": (TensorProto.UINT8, _qlinear("QLinearSigmoid")),
    "com.microsoft.QLinearSoftmax": (TensorProto.UINT8, _qlinear("QLinearSoftmax", axis=-1, opset=13)),
    "com.microsoft.QLinearConcat": (TensorProto.UINT8, lambda n: n("QLinearConcat", *n.scale(), n.raw(1, 4, 3), *n.scale(), n.raw(1, 2, 3), *n.scale(0.2, 9),
                                                                   domain=MICROSOFT, axis=1)),
}

#: Operators on constants, by name: what makes an array that broadcasts against (1, 4, 3).
FOLDED: dict[str, Make] = {
    "ConstantOfShape": lambda n: n("ConstantOfShape", n.i(4, 3), value=numpy_helper.from_array(np.full(1, 0.5, np.float32))),
    "Range": lambda n: n("Cast", n("Range", n.c(0, np.int64), n.c(3, np.int64), n.c(1, np.int64)), to=TensorProto.FLOAT),
    "Expand": lambda n: n("Expand", n.c(0.5), n.i(4, 3)), "Tile": lambda n: n("Tile", n.c([[0.5]]), n.i(4, 3)),
    "Pad": lambda n: n("Pad", n.c([0.5]), n.i(1, 1)), "Resize": lambda n: n("Resize", n.c([[0.5]]), "", n.c([4.0, 3.0])),
    "OneHot": lambda n: n("OneHot", n.i(0, 1, 2, 0), n.c(3, np.int64), n.c([0.0, 1.0]), axis=-1),
    "EyeLike": lambda n: n("EyeLike", n.c(np.zeros((4, 3))), k=0, dtype=TensorProto.FLOAT),
    "Reshape": lambda n: n("Reshape", n.c(np.ones(12)), n.i(4, 3)),
    "Transpose": lambda n: n("Transpose", n.c(np.ones((3, 4))), perm=[1, 0]), "Gather": lambda n: n("Gather", n.c(np.ones((2, 3))), n.i(0, 1, 1, 0), axis=0),
    "Concat": lambda n: n("Concat", n.c(np.ones((2, 3))), n.c(np.ones((2, 3))), axis=0),
    "Slice": lambda n: n("Slice", n.c(np.ones((9, 3))), n.i(1), n.i(5), n.i(0), n.i(1)),
    "Unsqueeze": lambda n: n("Unsqueeze", n.c(np.ones(3)), n.i(0)), "Squeeze": lambda n: n("Squeeze", n.c(np.ones((1, 3))), n.i(0)),
    "Flatten": lambda n: n("Flatten", n.c(np.ones((2, 2, 3))), axis=2), "MatMul": lambda n: n("MatMul", n.c(np.ones((4, 2))), n.c(np.ones((2, 3)))),
    "Add": lambda n: n("Add", n.c(np.ones((4, 1))), n.c(np.ones(3))),
    "CumSum": lambda n: n("CumSum", n.c(np.ones((4, 3))), n.c(1, np.int32), exclusive=0, reverse=0),
    "Split": lambda n: n("Split", n.c(np.ones((8, 3))), n.i(4, 4), outputs=2, axis=0)[1],
    "ReduceSum": lambda n: n("ReduceSum", n.c(np.ones((2, 4, 3))), n.i(0), keepdims=0),
    "Upsampled": lambda n: n("Expand", n.c(0.5), n("Cast", n("Mul", n.c([2.0, 1.5]), n.c([2.0, 2.0])), to=TensorProto.INT64)),
}


def _quantise_all(n: OperatorNetwork, results: Any) -> str | list[str]:
    return n.quantised(results) if isinstance(results, str) else [n.quantised(result) for result in results]


def operator_network(name: str) -> onnx.ModelProto:
    """Return the network of a name in `NETWORKS`."""
    n = OperatorNetwork()
    if name.startswith("constant "):
        folded = FOLDED[name.removeprefix("constant ")](n)
        return n.model(n.quantised(n("Add", n.x(1, 4, 3), folded)), TensorProto.UINT8)
    if name in _INTEGER:
        kind, make = _INTEGER[name]
        return n.model(make(n), kind)
    n.opset, make = _NEWER[name] if name in _NEWER else (n.opset, _FLOAT[name])
    return n.model(_quantise_all(n, make(n)), TensorProto.UINT8)


#: Names of all networks: of an operator, with a word behind it where there are several, or `constant` in front of a folded one.
NETWORKS: tuple[str, ...] = (*_FLOAT, *_NEWER, *_INTEGER, *(f"constant {name}" for name in FOLDED))
