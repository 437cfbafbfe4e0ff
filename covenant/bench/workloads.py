"""Single layers as ONNX networks: for figures that stand beside a roofline, and for a demonstration that any simulator runs in a moment."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

__all__ = ["convolution", "demonstration"]


def convolution(*, channels: int, filters: int, size: int, kernel: int = 3, stride: int = 1, seed: int = 0) -> onnx.ModelProto:
    """One QLinearConv with 'same' padding: uint8 (1, channels, size, size) to (1, filters, size/stride, size/stride), random weights."""
    rng = np.random.default_rng(seed)
    weights = rng.integers(-127, 127, (filters, channels, kernel, kernel), np.int8, endpoint=True)
    pad = kernel // 2
    out = (size + 2 * pad - kernel) // stride + 1
    # Scales that spread the sums of channels*kernel^2 products over the 8-bit range.
    y_scale = np.float32(0.02 * 0.005 * 74 * 74 * np.sqrt(channels * kernel * kernel) / 40)
    constants = {
        "x_scale": np.float32(0.02), "x_zero": np.uint8(128), "w": weights, "w_scale": np.full(filters, 0.005, np.float32),
        "w_zero": np.zeros(filters, np.int8), "y_scale": y_scale, "y_zero": np.uint8(128), "bias": rng.integers(-1000, 1000, filters, np.int32),
    }
    node = helper.make_node("QLinearConv", ["x", "x_scale", "x_zero", "w", "w_scale", "w_zero", "y_scale", "y_zero", "bias"], ["y"], name="conv",
                            kernel_shape=[kernel, kernel], pads=[pad] * 4, strides=[stride, stride])
    graph = helper.make_graph(
        [node], f"conv{kernel}x{kernel}_{channels}_{filters}_{size}",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, [1, channels, size, size])],
        [helper.make_tensor_value_info("y", TensorProto.UINT8, [1, filters, out, out])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def demonstration(*, channels: int = 3, filters: int = 5, size: int = 5, seed: int = 0) -> onnx.ModelProto:
    """A quantised convolution with floats at its edges: float32 (1, channels, size, size) to (1, filters, size, size), random weights."""
    model = convolution(channels=channels, filters=filters, size=size, seed=seed)
    (layer,), graph = model.graph.node, model.graph
    scales = [("x_scale", "x_zero"), ("y_scale", "y_zero")]
    edges = [helper.make_node(kind, [before, *numbers], [after], name=kind) for (kind, before, after), numbers in
             zip((("QuantizeLinear", "image", "x"), ("DequantizeLinear", "y", "features")), scales, strict=True)]
    graph = helper.make_graph(
        [edges[0], layer, edges[1]], "demonstration", [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, channels, size, size])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [1, filters, size, size])], list(graph.initializer))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
