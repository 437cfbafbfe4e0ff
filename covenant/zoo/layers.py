"""A float ONNX network, layer by layer, with weights drawn from one seed and batch normalisation already folded into them."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

__all__ = ["Net"]

OPSET = 17


class Net:
    """Collects the nodes of a network of one input and one output; every method returns the name of its result.

    Weights are normal with variance 2 / fan-in, biases normal with deviation 0.1: activations keep their size from layer to layer.
    """

    def __init__(self, name: str, shape: tuple[int, ...], *, seed: int = 0) -> None:
        self.name, self.shape = name, shape
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.channels: dict[str, int] = {"input": shape[1]}

    def _node(self, op: str, inputs: list[str], channels: int, **attributes) -> str:
        name = f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        self.channels[name] = channels
        return name

    def _constant(self, name: str, array: np.ndarray) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(array, np.float32), name))
        return name

    def _weights(self, shape: tuple[int, ...], fan_in: int, gain: float) -> tuple[str, str]:
        number = len(self.nodes)
        weight = self.rng.standard_normal(shape) * np.sqrt(2.0 / fan_in) * gain
        out = shape[0] if len(shape) == 4 else shape[1]
        return self._constant(f"w_{number}", weight), self._constant(f"b_{number}", self.rng.standard_normal(out) * 0.1)

    def conv(self, x: str, filters: int, kernel: int | tuple[int, int] = 1, *, stride: int | tuple[int, int] = 1, pads: list[int] | None = None,
             group: int = 1, act: str | None = "Relu", gain: float = 1.0) -> str:
        """Conv with 'same' padding unless `pads` says otherwise, then `act`: 'Relu', 'Relu6' or None."""
        ky, kx = (kernel, kernel) if isinstance(kernel, int) else kernel
        sy, sx = (stride, stride) if isinstance(stride, int) else stride
        inner = self.channels[x] // group
        weights = self._weights((filters, inner, ky, kx), inner * ky * kx, gain)
        pads = [ky // 2, kx // 2, ky // 2, kx // 2] if pads is None else pads
        y = self._node("Conv", [x, *weights], filters, kernel_shape=[ky, kx], strides=[sy, sx], pads=pads, group=group)
        return y if act is None else self.relu(y, six=act == "Relu6")

    def depthwise(self, x: str, *, stride: int = 1, act: str = "Relu") -> str:
        """3x3 depthwise convolution."""
        return self.conv(x, self.channels[x], 3, stride=stride, group=self.channels[x], act=act)

    def relu(self, x: str, *, six: bool = False) -> str:
        """Relu, or Clip to [0, 6]."""
        if not six:
            return self._node("Relu", [x], self.channels[x])
        number = len(self.nodes)
        return self._node("Clip", [x, self._constant(f"low_{number}", np.array(0.0)), self._constant(f"high_{number}", np.array(6.0))], self.channels[x])

    def add(self, a: str, b: str) -> str:
        """Sum of two tensors."""
        return self._node("Add", [a, b], self.channels[a])

    def max_pool(self, x: str, kernel: int, stride: int, pad: int) -> str:
        """Maximum of windows."""
        return self._node("MaxPool", [x], self.channels[x], kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pad] * 4)

    def global_average(self, x: str) -> str:
        """Mean over the image."""
        return self._node("GlobalAveragePool", [x], self.channels[x])

    def dense(self, x: str, units: int, *, flatten: bool = True, act: bool = False) -> str:
        """Fully connected layer."""
        if flatten:
            x = self._node("Flatten", [x], self.channels[x])
        y = self._node("Gemm", [x, *self._weights((self.channels[x], units), self.channels[x], 1.0)], units)
        return self.relu(y) if act else y

    def model(self, y: str) -> onnx.ModelProto:
        """The float network whose output is `y` (1, classes)."""
        graph = helper.make_graph(
            [*self.nodes, helper.make_node("Identity", [y], ["output"])], self.name,
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, list(self.shape))],
            [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, self.channels[y]])], self.constants,
        )
        return onnx.shape_inference.infer_shapes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8))
