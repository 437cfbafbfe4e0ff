"""Operators that move elements, by definition: onnx.reference moves the numbers of the elements, and the values follow.

Transposed convolution stands here too: it is a convolution whose input positions are spread apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from verif.reference.products.weights import product, with_bias
from verif.reference.values import Dequantised, Plain, Sum, Value


@dataclass(frozen=True, eq=False)
class Moved:
    """Elements `index` (an array of one sample's shape) of the elements of all `parts`, counted one part after the other."""

    parts: tuple[Any, ...]
    index: np.ndarray
    constant: bool = False

    def _taken(self, arrays: Sequence[np.ndarray]) -> np.ndarray:
        samples = max((a.shape[0] for a, p in zip(arrays, self.parts, strict=True) if not p.constant), default=1)
        flat = [np.broadcast_to(a.reshape(1, -1), (samples, a.size)) if p.constant else a.reshape(samples, -1)
                for a, p in zip(arrays, self.parts, strict=True)]  # fmt: skip
        return np.concatenate(flat, axis=1)[:, self.index]

    @property
    def array(self) -> np.ndarray:
        """The numbers (for their shape)."""
        return self.real()

    def real(self) -> np.ndarray:
        """Return the float32 numbers."""
        return self._taken([p.real() for p in self.parts])

    def integers(self) -> np.ndarray:
        """Return the integers of parts that are not yet, or never, real numbers."""
        return self._taken([p.array for p in self.parts])

    def reshaped(self, shape: tuple[int, ...]) -> Moved:
        """Return the value with another shape, samples in front."""
        return replace(self, index=self.index.reshape(shape[1:]))

    def clamped(self, low: float, high: float) -> Moved:
        """Return min(max(self, low), high)."""
        parts = [p.clamped(low, high) if isinstance(p, Sum | Moved) else Plain(np.clip(p.real(), low, high), p.constant) for p in self.parts]
        return replace(self, parts=tuple(parts))

    def quantised(self, scale: np.ndarray, zero: np.ndarray) -> np.ndarray:
        """Return QuantizeLinear: every part is quantised before it moves."""
        scale, zero = scale.reshape(()), zero.reshape(())
        return self._taken([p.quantised(scale, zero) for p in self.parts])


def settled(moved: Moved) -> Value:
    """Return what moves as the plainest state that says the same."""
    parts = moved.parts
    if all(isinstance(p, Plain) for p in parts):
        function = (parts[0].codes, parts[0].source) if len(parts) == 1 else ()
        return Plain(moved.integers(), False, *function)
    kinds = {(float(p.scale.reshape(())), int(p.zero.reshape(())), p.array.dtype) if isinstance(p, Dequantised) and p.scale.size == p.zero.size == 1
             else None for p in parts}  # fmt: skip
    if len(kinds) == 1 and None not in kinds:
        return Dequantised(moved.integers(), parts[0].scale.reshape(()), parts[0].zero.reshape(()))
    if any(isinstance(p, Sum | Moved) for p in parts):
        return moved  # type: ignore[return-value]
    return Plain(moved.real())


def numbers_of(parts: Sequence[Any]) -> list[np.ndarray]:
    """Return the numbers of the elements of each part, counted one part after the other, in arrays of their (one sample's) shapes."""
    numbers, base = [], 0
    for part in parts:
        shape = part.array.shape if part.constant else part.array.shape[1:]
        numbers.append(base + np.arange(int(np.prod(shape)), dtype=np.int64).reshape(shape))
        base += int(np.prod(shape))
    return numbers


def movement(evaluate: Callable[..., list[np.ndarray]]) -> Callable[[Any], list[Value]]:
    """Return the operator of all nodes whose data operands are moved; `evaluate` runs one node on arrays by onnx.reference."""

    def operator(call: Any) -> list[Value]:
        node = call.entire()
        present = [v for v in call.inputs if v is not None]
        if all(v.constant for v in present):
            moving = present if node.op_type == "Concat" else present[:1]
            if node.op_type != "Pad" and all(isinstance(v, Dequantised) for v in moving):
                return _constants(call, moving, evaluate)
            outputs = evaluate(node, call.opset, [None if v is None else v.real() for v in call.inputs])
            return [Plain(a, True) for a in outputs]
        data = range(len(call.inputs)) if node.op_type == "Concat" else [0]
        parts = [call.value(i) for i in data]
        arrays: list[np.ndarray | None] = [None if v is None or i in data else call.number(i) for i, v in enumerate(call.inputs)]
        for i, numbers in zip(data, numbers_of(parts), strict=True):
            arrays[i] = numbers
        if node.op_type == "GatherElements":  # of fewer rows than there are, which onnx.reference refuses
            axis, sizes = call.attributes.get("axis", 0), np.asarray(arrays[1]).shape
            arrays[0] = np.asarray(arrays[0])[tuple(slice(None if i == axis % len(sizes) else n) for i, n in enumerate(sizes))]
        if node.op_type == "Pad" and np.asarray(arrays[0]).ndim == 0:  # nothing to pad a number along, which onnx.reference does not know
            return [settled(Moved(tuple(parts), np.asarray(arrays[0])))]
        if node.op_type == "Pad":
            arrays[:2] = _cut(np.asarray(arrays[0]), np.asarray(arrays[1]), arrays[3] if len(arrays) > 3 else None)
        if node.op_type == "Pad" and call.attributes.get("mode", b"constant") == b"constant":
            fill = call.optional(2)
            x = parts[0]
            kind = x.array.dtype if isinstance(x, Plain) else np.dtype(np.float32)
            parts.append(Plain(np.zeros(1, kind), True) if fill is None else Plain(fill.real().reshape(1).astype(kind), True))
            last = np.array(numbers_of(parts)[1][0])
            arrays = [arrays[0], arrays[1], last, *arrays[3:]]
            node = type(node).FromString(node.SerializeToString())
            names = [*node.input, "", "", ""][: len(arrays)]
            names[2] = names[2] or "fill"
            del node.input[:]
            node.input.extend(names)
        return [settled(Moved(tuple(parts), index)) for index in evaluate(node, call.opset, arrays)]

    return operator


def _constants(call: Any, data: Sequence[Dequantised], evaluate: Callable[..., list[np.ndarray]]) -> list[Value]:
    """Return the results of a movement of dequantised constants, `data`: integers, scales and zero points move alike."""
    others = [None if v is None else v.real() for v in call.inputs[len(data) :]]
    moved = [
        evaluate(call.node, call.opset, [*(np.broadcast_to(getattr(v, name), v.array.shape) for v in data), *others])
        for name in ("array", "scale", "zero")
    ]
    return [Dequantised(array, scale, zero, True) for array, scale, zero in zip(*moved, strict=True)]


def _cut(numbers: np.ndarray, pads: np.ndarray, axes: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Return what negative padding leaves, and the padding without it (onnx.reference knows none)."""
    at = range(numbers.ndim) if axes is None else [int(a) for a in axes]
    ends = pads.reshape(2, -1)
    for axis, before, after in zip(at, *ends.tolist(), strict=True):
        numbers = np.take(numbers, np.arange(max(0, -before), numbers.shape[axis] - max(0, -after)), axis)
    return numbers, np.maximum(pads, 0)


def qlinear_concat(call: Any) -> Value:
    """com.microsoft QLinearConcat: y_scale, y_zero, then x, x_scale, x_zero of each operand."""
    parts = []
    for i in range(2, len(call.inputs), 3):
        value = call.value(i)
        parts.append(Dequantised(value.array, call.number(i + 1).reshape(()), call.number(i + 2).reshape(()), value.constant))
    index = np.concatenate(numbers_of(parts), axis=call.attributes["axis"])
    return Plain(Moved(tuple(parts), index).quantised(call.number(0), call.number(1)))


def conv_transpose(call: Any) -> Value:
    """Each input element adds its multiple of the kernel to the output."""
    x, w, bias = call.value(0), call.value(1), call.optional(2)
    if not isinstance(x, Dequantised) or not isinstance(w, Dequantised) or x.constant or not w.constant:
        raise call.refuse("operands other than a dequantised activation and dequantised constant weights")
    image = x.centred().astype(np.int64)
    samples, batch, channels, *size = image.shape
    spatial, a = len(size), call.attributes
    group, filters, *taps = a.get("group", 1), *w.array.shape[1:]
    if list(a.get("kernel_shape", taps)) != list(taps):
        raise call.refuse(f"a kernel_shape {a['kernel_shape']} for weights of {list(taps)}")
    strides, dilations = list(a.get("strides", [1] * spatial)), list(a.get("dilations", [1] * spatial))
    whole = [(size[i] - 1) * strides[i] + (taps[i] - 1) * dilations[i] + 1 for i in range(spatial)]
    extra = list(a.get("output_padding", [0] * spatial))
    begins, ends = _pads(a, size, strides, whole, extra)
    cut = tuple(slice(b, full + e - after) for b, after, full, e in zip(begins, ends, whole, extra, strict=True))
    rows = image.reshape(samples * batch, group, channels // group, *size)

    def outputs_first(array: np.ndarray) -> np.ndarray:
        return array.reshape(group, channels // group, filters, *taps).swapaxes(1, 2).reshape(group * filters, channels // group, *taps)

    def sums_of(kernel: np.ndarray) -> np.ndarray:
        grouped = kernel.reshape(group, filters, channels // group, *taps).astype(np.int64)
        sums = np.zeros((samples * batch, group, filters, *[w + max(e, 0) for w, e in zip(whole, extra, strict=True)]), np.int64)
        for at in np.ndindex(*taps):
            place = tuple(slice(t * d, t * d + (n - 1) * s + 1, s) for t, d, n, s in zip(at, dilations, size, strides, strict=True))
            sums[(slice(None),) * 3 + place] += np.einsum("bgc...,gfc->bgf...", rows, grouped[(slice(None),) * 3 + at])
        sums = sums[(slice(None),) * 3 + cut]
        return sums.reshape(samples, batch, group * filters, *sums.shape[3:])

    return with_bias(call, product(x, w, sums_of, outputs_first=outputs_first, trailing=spatial, takes=frozenset({"bias", "channels"})), bias, trailing=spatial)


def _pads(a: dict[str, Any], size: Sequence[int], strides: Sequence[int], whole: Sequence[int], extra: Sequence[int]) -> tuple[list[int], list[int]]:
    """Return what is cut off at the beginning and the end of each axis."""
    spatial = len(size)
    mode = a.get("auto_pad", b"NOTSET").decode()
    target = a.get("output_shape")
    if target is None and mode in ("NOTSET", "VALID"):
        pads = list(a.get("pads", [0] * 2 * spatial)) if mode == "NOTSET" else [0] * 2 * spatial
        return pads[:spatial], pads[spatial:]
    wanted = list(target) if target is not None else [n * s for n, s in zip(size, strides, strict=True)]
    total = [max(w + e - t, 0) for w, e, t in zip(whole, extra, wanted, strict=True)]
    small = [t // 2 for t in total]
    large = [t - s for t, s in zip(total, small, strict=True)]
    return (small, large) if mode == "SAME_UPPER" else (large, small)


#: Operators whose data operands keep their values.
MOVING = ("Concat", "DepthToSpace", "Expand", "Gather", "GatherElements", "Pad", "Slice", "SpaceToDepth", "Split", "Tile")
__all__ = ["MOVING", "Moved", "conv_transpose", "movement", "numbers_of", "qlinear_concat", "settled"]
