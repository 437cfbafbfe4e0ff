"""Kernel, strides, dilations, padding and output size of convolutions and pools, in two dimensions.

A one-dimensional window is one of height 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from compiler.front.constraints import kernel_of_weights, output_not_empty, padding_not_negative, two_dimensions_at_most
from compiler.front.state.onnx_node import OnnxNode
from compiler.front.state.values import Shape
from compiler.ir.network import Pads, Pair


@dataclass(frozen=True)
class Window:
    """A window and the size of its output; `onnx_shape` is the output's shape in ONNX, channels included."""

    kernel: Pair
    strides: Pair
    dilations: Pair
    pads: Pads
    out: Pair
    rank: int

    def onnx_shape(self, batch: int, channels: int) -> Shape:
        """Return the ONNX shape of the result: (N, C, L) or (N, C, H, W)."""
        return (batch, channels, *self.out) if self.rank == 4 else (batch, channels, self.out[1])


def _axis(size: int, kernel: int, stride: int, dilation: int, begin: int, end: int, ceil: bool) -> int:
    room = size + begin + end - (kernel - 1) * dilation - 1
    if room < 0:
        return 0
    if not ceil:
        return room // stride + 1
    count = -(-room // stride) + 1
    # A window that would begin past the padding at the start and the input is not computed (ONNX, onnxruntime, PyTorch).
    return count - 1 if (count - 1) * stride >= size + begin else count


def read_window(node: OnnxNode, shape: Shape, kernel: Sequence[int], *, ceil: bool = False) -> Window:
    """Read the attributes of a node whose input has ONNX `shape` and whose window spans `kernel`."""
    node.require(two_dimensions_at_most, len(shape), found=f"an input of shape {shape}")
    spatial = len(shape) - 2
    sizes = shape[2:]
    kernel = list(kernel)
    given = list(node.attribute("kernel_shape", kernel))
    node.require(kernel_of_weights, given, kernel, found=f"{given} for weights of {kernel}")
    strides = list(node.attribute("strides", [1] * spatial))
    dilations = list(node.attribute("dilations", [1] * spatial))
    begins, ends = [0] * spatial, [0] * spatial
    auto = node.attribute("auto_pad", b"NOTSET").decode()
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        ceil = False
        for i in range(spatial):
            total = max((-(-sizes[i] // strides[i]) - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + 1 - sizes[i], 0)
            small, large = total // 2, total - total // 2
            begins[i], ends[i] = (small, large) if auto == "SAME_UPPER" else (large, small)
    elif auto == "NOTSET":
        pads = list(node.attribute("pads", [0] * 2 * spatial))
        node.require(padding_not_negative, pads, found=f"pads {pads}")
        begins, ends = pads[:spatial], pads[spatial:]
    out = [_axis(sizes[i], kernel[i], strides[i], dilations[i], begins[i], ends[i], ceil) for i in range(spatial)]
    node.require(output_not_empty, out, found=f"kernel {kernel} on an input of shape {shape}")
    if spatial == 1:
        kernel, strides, dilations, out = [1, *kernel], [1, *strides], [1, *dilations], [1, *out]
        begins, ends = [0, *begins], [0, *ends]
    return Window(
        (kernel[0], kernel[1]),
        (strides[0], strides[1]),
        (dilations[0], dilations[1]),
        (begins[0], begins[1], ends[0], ends[1]),
        (out[0], out[1]),
        len(shape),
    )
