"""Windows: exact integer sums of products, sums and maxima over images (N, C, H, W)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Window:
    """Kernel, strides, dilations (y, x), padding (top, left, bottom, right) and output size of a window."""

    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    pads: tuple[int, int, int, int]
    out: tuple[int, int]

    def taps(self, padded: np.ndarray) -> Iterator[tuple[int, int, np.ndarray]]:
        """Yield (ky, kx, slice (N, OH, OW, C)) of an image (N, H', W', C) that `pad` made."""
        for ky in range(self.kernel[0]):
            for kx in range(self.kernel[1]):
                y, x = ky * self.dilations[0], kx * self.dilations[1]
                (sy, sx), (oh, ow) = self.strides, self.out
                yield ky, kx, padded[:, y : y + (oh - 1) * sy + 1 : sy, x : x + (ow - 1) * sx + 1 : sx]

    def pad(self, image: np.ndarray, value: float) -> np.ndarray:
        """Return (N, C, H, W) as (N, H', W', C), with `value` wherever a window looks outside."""
        n, c, h, w = image.shape
        spans = [(self.out[i] - 1) * self.strides[i] + (self.kernel[i] - 1) * self.dilations[i] + 1 for i in range(2)]
        height, width = max(h + self.pads[0], spans[0]), max(w + self.pads[1], spans[1])
        padded = np.full((n, height, width, c), value, image.dtype)
        padded[:, self.pads[0] : self.pads[0] + h, self.pads[1] : self.pads[1] + w] = image.transpose(0, 2, 3, 1)
        return padded


def window_of(attributes: dict[str, Any], size: tuple[int, ...], kernel: tuple[int, ...], *, ceil: bool = False) -> Window:
    """Read strides, dilations, pads and auto_pad for an image of spatial `size` (1 or 2 dimensions; one is a row)."""
    rank = len(size)
    strides, dilations = (list(attributes.get(k, [1] * rank)) for k in ("strides", "dilations"))
    pads = list(attributes.get("pads", [0] * 2 * rank))
    mode = attributes.get("auto_pad", b"NOTSET").decode()
    if any(pads) and mode != "NOTSET":
        raise ValueError(f"window: found pads {pads} and auto_pad {mode}; expected one of them; leave the other out")
    if list(attributes.get("kernel_shape", kernel)) != list(kernel):
        raise ValueError(f"window: found a kernel_shape {attributes['kernel_shape']}; expected {list(kernel)}, that of the weights; leave it out")
    axes = []
    for i in range(rank):
        reach = (kernel[i] - 1) * dilations[i] + 1
        begin, end = pads[i], pads[rank + i]
        if mode == "VALID":
            begin = end = 0
        if mode.startswith("SAME"):
            out = -(-size[i] // strides[i])
            total = max((out - 1) * strides[i] + reach - size[i], 0)
            begin = total // 2 if mode == "SAME_UPPER" else total - total // 2
            axes.append((kernel[i], strides[i], dilations[i], begin, total - begin, out))
            continue
        starts = range(-begin, size[i] + end - reach + 1, strides[i])
        out = len(starts)
        if ceil:
            # A window may reach past the padding at the end, but none begins past the image.
            out += starts[-1] + reach < size[i] + end
            out -= -begin + (out - 1) * strides[i] >= size[i]
        axes.append((kernel[i], strides[i], dilations[i], begin, end, out))
    if rank == 1:
        axes.insert(0, (1, 1, 1, 0, 0, 1))
    (ky, sy, dy, top, bottom, oh), (kx, sx, dx, left, right, ow) = axes
    return Window((ky, kx), (sy, sx), (dy, dx), (top, left, bottom, right), (oh, ow))


def products(image: np.ndarray, weight: np.ndarray, window: Window, group: int) -> np.ndarray:
    """Return the int64 sums (N, OC, OH, OW) of centred images (N, C, H, W) and centred weights (OC, C/group, KH, KW).

    Exact: computed in float32 where no partial sum can reach 2^24, otherwise in float64 (2^53).
    """
    n = image.shape[0]
    oc, ic = weight.shape[:2]
    largest = int(np.abs(image).max(initial=0)) * int(np.abs(weight).sum((1, 2, 3)).max(initial=0))
    kind = np.float32 if largest < 2**24 else np.float64
    padded = window.pad(image.astype(kind), 0)
    kernel = weight.astype(kind).reshape(group, oc // group, ic, *weight.shape[2:])
    total = np.zeros((n, *window.out, group, oc // group), kind)
    for ky, kx, part in window.taps(padded):
        taps = kernel[:, :, :, ky, kx]
        if ic == 1:
            total += part[..., None] * taps[:, :, 0]
        else:
            rows = part.reshape(-1, group, ic).transpose(1, 0, 2)
            total += (rows @ taps.transpose(0, 2, 1)).transpose(1, 0, 2).reshape(total.shape)
    return total.reshape(n, *window.out, oc).transpose(0, 3, 1, 2).astype(np.int64)


def volume_products(image: np.ndarray, weight: np.ndarray, attributes: dict[str, Any]) -> np.ndarray:
    """Return the int64 sums (N, OC, OD, OH, OW) of centred volumes (N, C, D, H, W) and centred weights (OC, C/group, KD, KH, KW).

    A sum over the kernel's depth of convolutions of images.
    """
    depth: dict[str, Any] = {name: list(attributes[name])[:1] for name in ("strides", "dilations", "kernel_shape") if name in attributes}
    plane: dict[str, Any] = {name: list(attributes[name])[1:] for name in ("strides", "dilations", "kernel_shape") if name in attributes}
    if "pads" in attributes:
        pads = list(attributes["pads"])
        depth["pads"], plane["pads"] = [pads[0], pads[3]], [*pads[1:3], *pads[4:]]
    if "auto_pad" in attributes:
        depth["auto_pad"] = plane["auto_pad"] = attributes["auto_pad"]
    along = window_of(depth, (image.shape[2],), (weight.shape[2],))
    window = window_of(plane, image.shape[3:], weight.shape[3:])
    total = np.zeros((image.shape[0], weight.shape[0], along.out[1], *window.out), np.int64)
    for position in range(along.out[1]):
        for tap in range(weight.shape[2]):
            at = position * along.strides[1] - along.pads[1] + tap * along.dilations[1]
            if 0 <= at < image.shape[2]:
                total[:, :, position] += products(image[:, :, at], weight[:, :, tap], window, attributes.get("group", 1))
    return total


def wrap(sums: np.ndarray) -> np.ndarray:
    """Return int64 sums modulo 2^32 as int32."""
    return (sums & 0xFFFFFFFF).astype(np.uint32).view(np.int32)


def window_maxima(image: np.ndarray, window: Window) -> np.ndarray:
    """Return the largest element of each window, (N, C, OH, OW), in the type of `image`; padding is ignored."""
    lowest = np.iinfo(image.dtype).min if image.dtype.kind in "iu" else -np.inf
    padded = window.pad(image, lowest)
    result: np.ndarray | None = None
    for _, _, part in window.taps(padded):
        result = part if result is None else np.maximum(result, part)
    assert result is not None
    return result.transpose(0, 3, 1, 2)


def window_sums(image: np.ndarray, window: Window) -> np.ndarray:
    """Return the int32 sum of each window, (N, C, OH, OW)."""
    padded = window.pad(image.astype(np.int32), 0)
    total = np.zeros((image.shape[0], *window.out, image.shape[1]), np.int32)
    for _, _, part in window.taps(padded):
        total += part
    return total.transpose(0, 3, 1, 2)


def window_sizes(size: tuple[int, int], window: Window, *, count_padding: bool) -> np.ndarray:
    """Return how many elements each window averages, (OH, OW): those in the image, with `count_padding` in the padding too."""
    top, left, bottom, right = window.pads if count_padding else (0, 0, 0, 0)
    inside = np.zeros((size[0] + sum(window.pads[0::2]), size[1] + sum(window.pads[1::2])), np.int32)
    inside[window.pads[0] - top : window.pads[0] + size[0] + bottom, window.pads[1] - left : window.pads[1] + size[1] + right] = 1
    plain = Window(window.kernel, window.strides, window.dilations, (0, 0, 0, 0), window.out)
    return window_sums(inside[None, None], plain)[0, 0]
