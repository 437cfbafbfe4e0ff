"""A network in the manner of MobileNetV3: squeeze and excitation, hard swish, residual sums; float, and quantised as people do it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

SHAPE = (1, 3, 16, 16)


class _Layers:
    """Float layers, one after the other; `decomposed`: HardSwish and HardSigmoid as Add, Clip, Mul, Div."""

    def __init__(self, *, decomposed: bool) -> None:
        self.rng = np.random.default_rng(0)
        self.decomposed = decomposed
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.count = 0

    def number(self, array) -> str:
        """Add a constant."""
        self.count += 1
        self.initializers.append(numpy_helper.from_array(np.asarray(array, np.float32), f"c{self.count}"))
        return f"c{self.count}"

    def node(self, op: str, *inputs: str, **attributes) -> str:
        """Add a node."""
        self.count += 1
        self.nodes.append(helper.make_node(op, list(inputs), [f"t{self.count}"], name=f"{op}_{self.count}", **attributes))
        return f"t{self.count}"

    def conv(self, x: str, channels: int, out: int, kernel: int = 1, *, group: int = 1, stride: int = 1) -> str:
        """Add a convolution that keeps the size, but for its stride."""
        depth = channels // group * kernel * kernel
        weight = self.number(self.rng.normal(0, depth**-0.5, (out, channels // group, kernel, kernel)))
        bias = self.number(self.rng.normal(0, 0.1, out))
        return self.node("Conv", x, weight, bias, kernel_shape=[kernel] * 2, pads=[kernel // 2] * 4, group=group, strides=[stride] * 2)

    def gate(self, x: str) -> str:
        """Hard sigmoid."""
        if not self.decomposed:
            return self.node("HardSigmoid", x, alpha=1 / 6, beta=0.5)
        clipped = self.node("Clip", self.node("Add", x, self.number(3)), self.number(0), self.number(6))
        return self.node("Div", clipped, self.number(6))

    def swish(self, x: str) -> str:
        """Hard swish."""
        return self.node("Mul", x, self.gate(x)) if self.decomposed else self.node("HardSwish", x)


def float_network(*, decomposed: bool, mean: str = "GlobalAveragePool") -> onnx.ModelProto:
    """The float network, 3 x 16 x 16 images to 10 logits; `mean` the operator that averages over the image at its end."""
    n = _Layers(decomposed=decomposed)
    x = n.swish(n.conv("x", 3, 16, 3, stride=2))
    for wide in (32, 48):
        y = n.swish(n.conv(n.swish(n.conv(x, 16, wide)), wide, wide, 3, group=wide))
        squeezed = n.node("Relu", n.conv(n.node("GlobalAveragePool", y), wide, 8))
        y = n.node("Mul", y, n.gate(n.conv(squeezed, 8, wide)))
        x = n.node("Add", x, n.conv(y, wide, 16))
    x = n.swish(n.conv(x, 16, 40))
    x = n.node("ReduceMean", x, axes=[2, 3], keepdims=0) if mean == "ReduceMean" else n.node("Flatten", n.node(mean, x))
    logits = n.node("Gemm", x, n.number(n.rng.normal(0, 0.2, (40, 10))), n.number(n.rng.normal(0, 0.2, 10)))
    values = [helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE), helper.make_tensor_value_info(logits, TensorProto.FLOAT, (1, 10))]
    graph = helper.make_graph(n.nodes, "mobile", values[:1], values[1:], n.initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


class _Samples(CalibrationDataReader):
    def __init__(self) -> None:
        self.left = iter([{"x": np.random.default_rng(k).normal(0, 1, SHAPE).astype(np.float32)} for k in range(8)])

    def get_next(self):
        return next(self.left, None)


def quantised_network(folder: Path, *, signed: bool, decomposed: bool, operators: bool = False, mean: str = "GlobalAveragePool") -> onnx.ModelProto:
    """The network quantised by onnxruntime, per channel; `signed`: int8 activations; `operators`: in QOperator form."""
    onnx.save(float_network(decomposed=decomposed, mean=mean), folder / "float.onnx")
    quantize_static(
        folder / "float.onnx", folder / "quantised.onnx", _Samples(), quant_format=QuantFormat.QOperator if operators else QuantFormat.QDQ,
        activation_type=QuantType.QInt8 if signed else QuantType.QUInt8, weight_type=QuantType.QInt8, per_channel=True, reduce_range=True,
    )
    return onnx.load(folder / "quantised.onnx")


__all__ = ["SHAPE", "float_network", "quantised_network"]
