"""Conv and QLinearConv of volumes (N, C, D, H, W): a convolution of images whose channels are the depth slices that a window sees.

    x (N, C, D, H, W)  --Move-->  (N * OD, C * KD, H, W)  --Conv--> (N * OD, OC, OH, OW)  --Move-->  y (N, OC, OD, OH, OW)

Slices outside the volume hold the zero point. Where the window spans the whole depth neither Move moves anything. Other ranks go to
`compiler.front.operators.products.convolution` as they are.
"""

from __future__ import annotations

import numpy as np

from compiler.front.constraints import constant_weights, kernel_of_weights, output_not_empty, padding_not_negative, three_dimensions_at_most
from compiler.front.operators.movement.movement import moved, numbered
from compiler.front.operators.products import convolution
from compiler.front.state.onnx_node import OnnxNode
from compiler.front.state.values import Const, Quant, Real, RealConst, Value

#: Number of spatial dimensions of a volume.
SPATIAL = 3


def _depth(node: OnnxNode, size: int, kernel: int) -> np.ndarray:
    """Input slice that each window position sees, int (OD, KD); -1 outside."""
    stride, dilation = (node.attribute(name, [1] * SPATIAL)[0] for name in ("strides", "dilations"))
    reach = (kernel - 1) * dilation + 1
    mode = node.attribute("auto_pad", b"NOTSET").decode()
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        out = -(-size // stride)
        total = max((out - 1) * stride + reach - size, 0)
        begin = total // 2 if mode == "SAME_UPPER" else total - total // 2
    else:
        pads = node.attribute("pads", [0] * 2 * SPATIAL) if mode == "NOTSET" else [0] * 2 * SPATIAL
        node.require(padding_not_negative, pads, found=f"pads {pads}")
        begin = pads[0]
        out = (size + begin + pads[SPATIAL] - reach) // stride + 1
    whole = node.attribute("kernel_shape", None)
    node.require(kernel_of_weights, [kernel] if whole is None else list(whole)[:1], [kernel], found=f"{whole} for weights {kernel} deep")
    node.require(output_not_empty, [out], found=f"a kernel {kernel} deep on a depth of {size}")
    slices = np.arange(out)[:, None] * stride - begin + np.arange(kernel) * dilation
    return np.where((slices >= 0) & (slices < size), slices, -1)


def _planes(node: OnnxNode, weights: int) -> tuple[OnnxNode, int] | None:
    """The node as a convolution of images and the depth of its output; None for other ranks. `weights`: input that holds them."""
    source, kernel = node.value(0), node.value(weights)
    rank = len(source.shape) if isinstance(source, Real | Quant) else 0
    if rank:
        node.require(three_dimensions_at_most, rank, found=f"an input of shape {source.shape}")  # type: ignore[union-attr]
    if rank != SPATIAL + 2 or not isinstance(source, Real | Quant):
        return None
    if not isinstance(kernel, Const | RealConst):
        node.refuse(constant_weights, node.describe(weights))
    slices = _depth(node, source.shape[2], kernel.shape[2])
    zero: Const | RealConst = Const(np.zeros(1, np.float32))
    if isinstance(source, Quant):
        zero = Const(np.full(1, node.quantisation(1, 2)[1]))
    volume, outside = numbered([source, zero])
    padded = np.concatenate([volume, np.broadcast_to(outside[0], (*volume.shape[:2], 1, *volume.shape[3:]))], axis=2)
    seen = padded[:, :, slices].transpose(0, 2, 1, 3, 4, 5)  # the last slice is the one outside
    n, depth, channels, taps, height, width = seen.shape
    attributes = {name: list(node.attribute(name, []))[1:] for name in ("strides", "dilations", "kernel_shape") if node.attribute(name, None) is not None}
    if node.attribute("pads", None) is not None:
        pads = list(node.attribute("pads", []))
        attributes["pads"] = [*pads[1:SPATIAL], *pads[SPATIAL + 1 :]]
    shape = (kernel.shape[0], -1, *kernel.shape[3:])
    flat = kernel.moved(lambda array: array.reshape(shape)) if isinstance(kernel, RealConst) else Const(kernel.array.reshape(shape))
    slices_of = moved(node, [source, zero], seen.reshape(n * depth, channels * taps, height, width), name=f"{node.output}/slices")
    planes = node.varied(attributes=attributes, values={0: slices_of, weights: flat})
    return planes, depth


def _volume(node: OnnxNode, result: Value, depth: int) -> list[Value]:
    assert result.shape is not None
    (images,) = numbered([result])
    n = images.shape[0] // depth
    return [moved(node, [result], images.reshape(n, depth, *images.shape[1:]).transpose(0, 2, 1, 3, 4))]


def conv(node: OnnxNode) -> list[Value]:
    """Conv of dequantised tensors in one to three dimensions."""
    planes = _planes(node, 1)
    return convolution.conv(node) if planes is None else _volume(node, convolution.conv(planes[0])[0], planes[1])


def qlinear_conv(node: OnnxNode) -> list[Value]:
    """QLinearConv in one to three dimensions."""
    planes = _planes(node, 3)
    return convolution.qlinear_conv(node) if planes is None else _volume(node, convolution.qlinear_conv(planes[0])[0], planes[1])
