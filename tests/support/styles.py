"""Small float networks in the manner of what exporters write, and their quantisation by onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static


class Layers:
    """Collects nodes and constants; calling it adds a node and returns its output, or outputs."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)
        self.count = 0
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def number(self, array, dtype=np.float32) -> str:
        """Add a constant."""
        self.count += 1
        self.initializers.append(numpy_helper.from_array(np.asarray(array, dtype), f"c{self.count}"))
        return f"c{self.count}"

    def __call__(self, op: str, *inputs: str, outputs: int = 1, **attributes):
        self.count += 1
        names = [f"t{self.count}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op, list(inputs), names, name=f"{op}_{self.count}", **attributes))
        return names[0] if outputs == 1 else names

    def conv(self, x: str, channels: int, out: int, kernel: int = 1, *, group: int = 1, stride: int = 1, bias: bool = True) -> str:
        """Add a convolution that keeps the size, but for its stride."""
        depth = channels // group * kernel * kernel
        inputs = [x, self.number(self.rng.normal(0, depth**-0.5, (out, channels // group, kernel, kernel)))]
        inputs += [self.number(self.rng.normal(0, 0.1, out))] if bias else []
        return self("Conv", *inputs, kernel_shape=[kernel] * 2, pads=[kernel // 2] * 4, group=group, strides=[stride] * 2)

    def dense(self, x: str, depth: int, out: int) -> str:
        """MatMul and Add."""
        product = self("MatMul", x, self.number(self.rng.normal(0, depth**-0.5, (depth, out))))
        return self("Add", product, self.number(self.rng.normal(0, 0.1, out)))

    def silu(self, x: str) -> str:
        """x * sigmoid(x)."""
        return self("Mul", x, self("Sigmoid", x))


def paddle(n: Layers) -> tuple[str, tuple[int, ...], tuple[int, ...]]:
    """BatchNormalization behind convolutions, decomposed HardSwish, upsampling two ways."""
    def norm(x: str, c: int) -> str:
        draws = n.rng.uniform(0.5, 1.5, c), n.rng.normal(0, 0.2, c), n.rng.normal(0, 0.2, c), n.rng.uniform(0.5, 1.5, c)
        return n("BatchNormalization", x, *map(n.number, draws))

    def swish(x: str) -> str:
        return n("Div", n("Mul", x, n("Clip", n("Add", x, n.number(3)), n.number(0), n.number(6))), n.number(6))

    x = swish(norm(n.conv("x", 3, 8, 3, stride=2, bias=False), 8))
    y = swish(norm(n.conv(x, 8, 16, bias=False), 16))
    gate = n("HardSigmoid", n.conv(n("GlobalAveragePool", y), 16, 16), alpha=0.2, beta=0.5)
    x = n("Add", x, norm(n.conv(n("Mul", y, gate), 16, 8, bias=False), 8))
    up = n("Resize", x, "", n.number([1, 1, 2, 2]), mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    smooth = n("Resize", x, "", n.number([1, 1, 2, 2]), mode="linear")
    return n("Sigmoid", n.conv(n("Concat", up, smooth, axis=1), 16, 4)), (1, 3, 12, 12), (1, 4, 12, 12)


def efficient(n: Layers) -> tuple[str, tuple[int, ...], tuple[int, ...]]:
    """SiLU, squeeze and excitation by ReduceMean, Softmax."""
    x = n.silu(n.conv("x", 3, 8, 3, stride=2))
    y = n.silu(n.conv(n.silu(n.conv(x, 8, 24)), 24, 24, 3, group=24))
    gate = n("Sigmoid", n.conv(n.silu(n.conv(n("ReduceMean", y, axes=[2, 3]), 24, 4)), 4, 24))
    x = n("Add", n.conv(n("Mul", y, gate), 24, 8), x)
    x = n("Flatten", n("GlobalAveragePool", n.silu(n.conv(x, 8, 32))))
    return n("Softmax", n.dense(x, 32, 10), axis=1), (1, 3, 12, 12), (1, 10)


def channels_last(n: Layers) -> tuple[str, tuple[int, ...], tuple[int, ...]]:
    """Transpositions, factors and addends a channel, Min of a number, an average over positions, as converters from TensorFlow write."""
    x = n("Transpose", "x", perm=[0, 3, 1, 2])
    for i, o in ((3, 8), (8, 16)):
        x = n("Mul", n.conv(x, i, o, 3, stride=2, bias=False), n.number(n.rng.uniform(0.5, 1.5, (1, o, 1, 1))))
        x = n("Min", n("Relu", n("Add", x, n.number(n.rng.normal(0, 0.2, (1, o, 1, 1))))), n.number(6))
    x = n("Reshape", n("Transpose", x, perm=[0, 2, 3, 1]), n.number([1, -1, 16], np.int64))
    return n.dense(n("ReduceMean", x, axes=[1], keepdims=0), 16, 10), (1, 12, 12, 3), (1, 10)


def detector(n: Layers) -> tuple[str, tuple[int, ...], tuple[int, ...]]:
    """A head that turns sigmoids into boxes: splits, grids and anchors as constants, squares."""
    x = n.silu(n.conv("x", 3, 8, 3, stride=2))
    p = [n.silu(n.conv(x, 8, 8, 3, stride=2))]
    for _ in range(2):
        p.append(n("MaxPool", p[-1], kernel_shape=[5, 5], pads=[2] * 4, strides=[1, 1]))
    up = n("Resize", n.silu(n.conv(n("Concat", *p, axis=1), 24, 8)), "", n.number([1, 1, 2, 2]), mode="nearest")
    y = n.conv(n.silu(n.conv(n("Concat", up, x, axis=1), 16, 8)), 8, 18)
    y = n("Sigmoid", n("Transpose", n("Reshape", y, n.number([1, 3, 6, 6, 6], np.int64)), perm=[0, 1, 3, 4, 2]))
    centre, size, rest = n("Split", y, n.number([2, 2, 2], np.int64), outputs=3, axis=4)
    grid = np.stack(np.meshgrid(np.arange(6), np.arange(6)), -1)[None, None] - 0.5
    centre = n("Mul", n("Add", n("Mul", centre, n.number(2)), n.number(np.broadcast_to(grid, (1, 3, 6, 6, 2)))), n.number(4))
    anchors = np.broadcast_to(n.rng.uniform(10, 40, (1, 3, 1, 1, 2)), (1, 3, 6, 6, 2))
    size = n("Mul", n("Pow", n("Mul", size, n.number(2)), n.number(2)), n.number(anchors))
    return n("Reshape", n("Concat", centre, size, rest, axis=4), n.number([1, -1, 6], np.int64)), (1, 3, 12, 12), (1, 108, 6)


def mixer(n: Layers) -> tuple[str, tuple[int, ...], tuple[int, ...]]:
    """A perceptron on tokens: both forms of GELU, a position embedding."""
    h = n.dense("x", 24, 48)
    g = n("Mul", n("Mul", h, n("Add", n("Erf", n("Div", h, n.number(2**0.5))), n.number(1))), n.number(0.5))
    y = n("Add", n("Add", n.dense(g, 48, 24), "x"), n.number(n.rng.normal(0, 1, (1, 9, 24))))
    inner = n("Mul", n("Add", y, n("Mul", n("Pow", y, n.number(3)), n.number(0.044715))), n.number(0.7978845))
    return n("Mul", n("Mul", y, n("Add", n("Tanh", inner), n.number(1))), n.number(0.5)), (2, 9, 24), (2, 9, 24)


STYLES: dict[str, Callable[[Layers], tuple[str, tuple[int, ...], tuple[int, ...]]]] = {
    "paddle": paddle, "efficient": efficient, "channels last": channels_last, "detector": detector, "mixer": mixer,
}  # fmt: skip


def quantised(style: str, folder: Path, *, signed: bool, operators: bool = False) -> tuple[onnx.ModelProto, tuple[int, ...]]:
    """A network quantised by onnxruntime, per channel, and the shape of its input x. `signed`: int8 activations; `operators`: in QOperator form."""
    n = Layers()
    result, shape, out = STYLES[style](n)
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name, dims in (("x", shape), (result, out))]
    graph = helper.make_graph(n.nodes, style.replace(" ", "_"), values[:1], values[1:], n.initializers)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "float.onnx")

    class Samples(CalibrationDataReader):
        def __init__(self) -> None:
            self.left = iter([{"x": np.random.default_rng(k).normal(0, 1, shape).astype(np.float32)} for k in range(8)])

        def get_next(self):
            return next(self.left, None)

    quantize_static(
        folder / "float.onnx", folder / "quantised.onnx", Samples(), quant_format=QuantFormat.QOperator if operators else QuantFormat.QDQ,
        activation_type=QuantType.QInt8 if signed else QuantType.QUInt8, weight_type=QuantType.QInt8, per_channel=True, reduce_range=True,
        extra_options={"QDQDisableWeightAdjustForInt32Bias": True},
    )
    return onnx.load(folder / "quantised.onnx"), shape


__all__ = ["STYLES", "quantised"]
