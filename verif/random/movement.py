"""Random operators that move data, drawn onto a network that `verif.random.networks` builds.

    transpose   rows and columns change places
    join        Concat of two or three tensors, along channels or rows
    split       Split along channels; the parts are joined again in another order
    shuffle     channels in turn, by Reshape, Transpose, Reshape
    slice       Slice of channels, rows and columns, with steps and backwards
    gather      Gather of channels, some twice
    pad         Pad in every mode
    resize      Resize to any size, nearest
    rearrange   DepthToSpace or SpaceToDepth
    expand      Tile of rows and columns
    deconv      ConvTranspose

In `qdq` form the result is quantised as its operand was, or anew; in `qoperator` form the integers themselves are moved.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from verif.random.network_builder import MICROSOFT, Activation

Drawn = Callable[[Any, Activation], Activation]


def _moved(draw: Any, x: Activation, op: str, *constants: np.ndarray | None, **attributes: Any) -> Activation:
    """Add one operator that moves the elements of x."""
    b = draw.b
    names = ["" if a is None else b.constant(op.lower(), a) for a in constants]
    result = b.node(op, [b.dequantised(x) if b.qdq else x.name, *names], **attributes)
    return _kept(draw, result, x)


def _kept(draw: Any, result: str, x: Activation) -> Activation:
    """The result of a movement as an activation: quantised as x was, or anew."""
    b = draw.b
    shape = b.values[result].array.shape[1:]
    if not b.qdq:
        return Activation(result, shape, x.scale_name, x.zero_name, x.scale, x.zero, x.dtype)
    if draw.chance(0.4):
        return b.quantised(result, shape)
    names = x.scale_name, x.zero_name
    return Activation(b.node("QuantizeLinear", [result, *names]), shape, *names, x.scale, x.zero, x.dtype)


def _ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def _large(draw: Any, x: Activation) -> bool:
    """Whether x should not grow any more."""
    return max(x.shape[2:]) > draw.size.spatial or x.shape[1] > 2 * draw.size.channels


def transpose(draw: Any, x: Activation) -> Activation:
    """Spatial axes in the opposite order."""
    order = [0, 1, *reversed(range(2, len(x.shape)))]
    return _moved(draw, x, "Transpose", perm=order if len(order) > 3 else [0, 2, 1])


def join(draw: Any, x: Activation) -> Activation:
    """x beside one or two convolutions of it."""
    b = draw.b
    axis = draw.integer(1, len(x.shape) - 1)
    others = [draw.conv(x, "conv", keep=True) if axis > 1 else draw.conv(x, "pointwise") for _ in range(draw.integer(1, 2))]
    parts = [x, *others] if draw.chance(0.7) else [*others, x]
    if b.qdq:
        result = b.node("Concat", [b.dequantised(p) for p in parts], axis=axis)
        if draw.chance(0.3):
            result = b.node("Relu", [result])
        return b.quantised(result, b.values[result].array.shape[1:])
    real = np.concatenate([(b.values[p.name].array.astype(np.float32) - p.zero) * p.scale for p in parts], axis=axis + 1)
    scale, zero, dtype = b.calibrated(real)
    names = b.constant("scale", scale), b.constant("zero", np.array(zero, dtype))
    operands = [n for p in parts for n in (p.name, p.scale_name, p.zero_name)]
    out = b.node("QLinearConcat", [*names, *operands], domain=MICROSOFT, axis=axis)
    return Activation(out, b.values[out].array.shape[1:], *names, scale, zero, dtype)


def split(draw: Any, x: Activation) -> Activation:
    """Parts of the channels, put together again in another order."""
    b, channels = draw.b, x.shape[1]
    if channels < 2:
        return transpose(draw, x)
    cut = draw.integer(1, channels - 1)
    sizes = b.constant("split", _ints(cut, channels - cut))
    source = b.dequantised(x) if b.qdq else x.name
    names = b.split(source, [sizes], 1, 2)
    return _kept(draw, b.node("Concat", names[::-1], axis=1), x)


def shuffle(draw: Any, x: Activation) -> Activation:
    """Channels of two or three groups in turn."""
    b, channels = draw.b, x.shape[1]
    groups = next((g for g in (2, 3, 5) if channels % g == 0), 1)
    source = b.dequantised(x) if b.qdq else x.name
    apart = b.node("Reshape", [source, b.constant("shape", _ints(x.shape[0], groups, channels // groups, *x.shape[2:]))])
    turned = b.node("Transpose", [apart], perm=[0, 2, 1, *range(3, len(x.shape) + 1)])
    return _kept(draw, b.node("Reshape", [turned, b.constant("shape", _ints(*x.shape))]), x)


def slice_(draw: Any, x: Activation) -> Activation:
    """Some of every axis but the batch."""
    starts, ends, steps = [], [], []
    for size in x.shape[1:]:
        low = draw.integer(0, size - 1)
        high = draw.integer(low + 1, size)
        step = draw.integer(1, 2) * (-1 if draw.chance(0.3) else 1)
        starts.append(low if step > 0 else high - 1)
        ends.append(high if step > 0 else low - 1 - size if low == 0 else low - 1)
        steps.append(step)
    return _moved(draw, x, "Slice", _ints(*starts), _ints(*ends), _ints(*range(1, len(x.shape))), _ints(*steps))


def gather(draw: Any, x: Activation) -> Activation:
    """Any channels in any order."""
    indices = draw.rng.integers(-x.shape[1], x.shape[1], draw.integer(1, x.shape[1] + 2))
    return _moved(draw, x, "Gather", indices, axis=1)


def pad(draw: Any, x: Activation) -> Activation:
    """A frame around the image, now and then around the channels too."""
    b = draw.b
    if _large(draw, x):
        return slice_(draw, x)
    mode = str(draw.rng.choice(["constant", "constant", "edge", "reflect"]))
    ends = [[0, int(draw.chance(0.3) and mode == "constant"), *[draw.integer(0, min(2, d - 1)) for d in x.shape[2:]]] for _ in range(2)]
    if mode != "constant":
        return _moved(draw, x, "Pad", _ints(*ends[0], *ends[1]), mode=mode)
    value: np.ndarray | None = None
    if draw.chance(0.6):
        low, high = np.iinfo(x.dtype).min, np.iinfo(x.dtype).max
        integer = draw.integer(low, high)
        value = np.array(np.float32(integer - x.zero) * x.scale, np.float32) if b.qdq else np.array(integer, x.dtype)
    return _moved(draw, x, "Pad", _ints(*ends[0], *ends[1]), value)


def resize(draw: Any, x: Activation) -> Activation:
    """Any size, or twice or half."""
    if _large(draw, x):
        return slice_(draw, x)
    mode, rounding = (str(draw.rng.choice(options)) for options in (
        ["asymmetric", "half_pixel", "align_corners", "pytorch_half_pixel"], ["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"]
    ))  # fmt: skip
    attributes = {"mode": "nearest", "coordinate_transformation_mode": mode, "nearest_mode": rounding}
    if draw.chance(0.6):
        scales = np.array([1, 1, *[2.0 if draw.chance(0.8) or d == 1 else 1.5 for d in x.shape[2:]]], np.float32)
        return _moved(draw, x, "Resize", None, scales, **attributes)
    sizes = _ints(*x.shape[:2], *[draw.integer(1, 2 * d) for d in x.shape[2:]])
    return _moved(draw, x, "Resize", None, None, sizes, **attributes)


def rearrange(draw: Any, x: Activation) -> Activation:
    """Blocks of pixels become channels, or channels blocks of pixels."""
    if len(x.shape) != 4:
        return transpose(draw, x)
    if x.shape[2] % 2 == x.shape[3] % 2 == 0 and (_large(draw, x) or draw.chance(0.5)):
        return _moved(draw, x, "SpaceToDepth", blocksize=2)
    if x.shape[1] % 4 == 0 and not _large(draw, x):
        return _moved(draw, x, "DepthToSpace", blocksize=2, mode=str(draw.rng.choice(["DCR", "CRD"])))
    return slice_(draw, x)


def expand(draw: Any, x: Activation) -> Activation:
    """The image beside itself."""
    if _large(draw, x):
        return slice_(draw, x)
    return _moved(draw, x, "Tile", _ints(1, 1, *[draw.integer(1, 2) for _ in x.shape[2:]]))


def deconv(draw: Any, x: Activation) -> Activation:
    """ConvTranspose; there is no QLinear form of it."""
    b = draw.b
    if _large(draw, x) or not b.qdq:
        return slice_(draw, x)
    spatial, channels = len(x.shape) - 2, x.shape[1]
    group = channels if draw.chance(0.2) else 1
    filters = draw.integer(1, 2 if group > 1 else draw.size.channels)
    kernel = [draw.integer(1, draw.size.kernel) for _ in range(spatial)]
    strides = [draw.integer(1, 2) if draw.chance(0.8) else 3 for _ in range(spatial)]
    dilations = [2 if draw.chance(0.15) else 1 for _ in range(spatial)]
    pads = [[draw.integer(0, (k - 1) * d // 2) for k, d in zip(kernel, dilations, strict=True)] for _ in range(2)]
    extra = [draw.integer(0, s - 1) if draw.chance(0.3) else 0 for s in strides]
    names, scales, _ = b.weights((channels, filters, *kernel), 1)
    per_axis = {} if scales.ndim == 0 else {"axis": 1}
    inputs = [b.dequantised(x), b.node("DequantizeLinear", names, **per_axis)]
    if draw.chance(0.5):
        integers, scale = b.bias(x, np.tile(scales, group) if scales.ndim else scales, filters * group, channels // group * int(np.prod(kernel)))
        bias = [b.constant("bias", integers), b.constant("bias_scale", scale), b.constant("bias_zero", np.zeros(scale.shape, np.int32))]
        inputs.append(b.node("DequantizeLinear", bias, **({"axis": 0} if scale.ndim else {})))
    result = b.node("ConvTranspose", inputs, kernel_shape=kernel, strides=strides, dilations=dilations, pads=[*pads[0], *pads[1]],
                    output_padding=extra, group=group)  # fmt: skip
    result, lowest = draw.activated(result)
    return b.quantised(result, b.values[result].array.shape[1:], lowest_zero=lowest)


MOVEMENT: dict[str, Drawn] = {
    "transpose": transpose, "join": join, "split": split, "shuffle": shuffle, "slice": slice_, "gather": gather, "pad": pad,
    "resize": resize, "rearrange": rearrange, "expand": expand, "deconv": deconv,
}  # fmt: skip

__all__ = ["MOVEMENT"]
