"""ReduceMean, ReduceSum, ReduceMax over any axes, and GlobalMaxPool.

The axes of the tensor are cut into runs that make N, C, H, W, each wholly reduced or wholly kept: of all cuts the one that
moves fewest elements. Sums and averages may reduce all, N only together with H or where H is 1; the largest element is found over H and W.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations_with_replacement
from math import prod

from compiler.front.constraints import quantised_operand, reducible_axes
from compiler.front.floats.lower import lower
from compiler.front.floats.reductions.averages import average_of_function
from compiler.front.floats.reductions.window_averages import average_of_axes
from compiler.front.floats.reductions.window_sums import averaged
from compiler.front.state.broadcast import elements_moved, runs
from compiler.front.state.builder import default_view
from compiler.front.state.onnx_node import OnnxNode
from compiler.front.state.values import Formula, Pending, Quant, Quantisation, Real, Shape, Table, Unquantised, Value
from compiler.front.state.windows import Window
from compiler.ir.elementwise import Reduction
from compiler.ir.network import RANGES, Shape4
from compiler.ir.pools import GlobalAveragePool, MaxPool


def _axes(node: OnnxNode, shape: Shape) -> tuple[int, ...]:
    """The axes to reduce, sorted; all when none are named, unless noop_with_empty_axes."""
    if node.op.startswith("Global"):
        return tuple(range(2, len(shape)))
    given = node.constant(1)
    axes = node.attribute("axes", None) if given is None else [int(a) for a in given.reshape(-1)]
    if not axes:
        return () if node.attribute("noop_with_empty_axes", 0) else tuple(range(len(shape)))
    return tuple(sorted({a % len(shape) for a in axes}))


def _view(shape: Shape, reduced: tuple[int, ...], current: Shape4, allowed: tuple[int, ...]) -> tuple[Shape4, tuple[int, ...]] | None:
    """Return the view and which of its axes are reduced: only `allowed` ones; None where no cut fits."""
    best: tuple[int, Shape4, tuple[int, ...]] | None = None
    for cuts in combinations_with_replacement(range(len(shape) + 1), 3):
        sizes, over = [], []
        for run, axes in enumerate(runs(len(shape), cuts)):
            long = [a in reduced for a in axes if shape[a] > 1]
            if any(long) and (not all(long) or run not in allowed):
                break
            sizes.append(prod(shape[a] for a in axes))
            over += [run] if any(long) else []
        else:
            if 0 in over and 2 not in over and sizes[2] > 1:
                continue
            view: Shape4 = tuple(sizes)  # type: ignore[assignment]
            cost = elements_moved(current, view, view)
            if best is None or cost < best[0]:
                best = (cost, view, tuple(over))
    return None if best is None else best[1:]


def _shape(node: OnnxNode, shape: Shape, axes: tuple[int, ...]) -> Shape:
    keep = node.op.startswith("Global") or bool(node.attribute("keepdims", 1))
    return tuple(1 if i in axes else d for i, d in enumerate(shape) if keep or i not in axes)


@dataclass(frozen=True)
class Reduced:
    """A sum of `value` over `axes` divided by `divisor`, of ONNX shape `shape`, whose axes are `kept` ones of the value's, or were reduced (None)."""

    value: Real
    axes: tuple[int, ...]
    divisor: int
    shape: Shape
    kept: tuple[int | None, ...]


def joined(value: Value | None) -> Reduced | None:
    """The reduction that a float result is, as long as nothing has changed it since."""
    return value.of if isinstance(value, Pending) and isinstance(value.of, Reduced) and value.of.shape == value.shape else None


def reduce(node: OnnxNode) -> list[Value]:
    """ReduceMean, ReduceSum and GlobalAveragePool: wait for their QuantizeLinear. Of the result of another they reduce more of its operand."""
    value, before = node.value(0), joined(node.value(0))
    if before is not None:
        return [_further(node, before)]
    if isinstance(value, Unquantised):
        axes = _axes(node, value.shape)
        found = _view(value.shape, axes, default_view(value.shape), (2, 3))
        shape = _shape(node, value.shape, axes)
        average = None if found is None else average_of_axes(node, value, *found, shape, mean=_is_mean(node))
        if average is not None:
            return [average]
    if not isinstance(value, Table):
        node.require(quantised_operand, value, found=node.describe(0))
    assert isinstance(value, Real | Table)
    axes = _axes(node, value.shape)
    shape = _shape(node, value.shape, axes)
    count = prod(value.shape[a] for a in axes)
    if count == 1:
        return [replace(value, shape=shape)]
    mean = _is_mean(node)
    if isinstance(value, Table):
        view, over = _found(node, value, axes, (2, 3))
        return [average_of_function(node, value, view, over, shape, mean=mean)]
    keep = len(shape) == len(value.shape)
    kept = tuple(None if a in axes else a for a in range(len(value.shape)) if keep or a not in axes)
    return [_pending(node, Reduced(value, axes, count if mean else 1, shape, kept), (node.label,))]


def _is_mean(node: OnnxNode) -> bool:
    return node.op in ("ReduceMean", "GlobalAveragePool")


def _found(node: OnnxNode, value: Real | Table, axes: tuple[int, ...], allowed: tuple[int, ...]) -> tuple[Shape4, tuple[int, ...]]:
    """The view and which of its axes are reduced; refuses where there is none."""
    found = _view(value.shape, axes, node.builder.tensors[value.tensor].shape, allowed)
    if found is None:
        node.refuse(reducible_axes, f"axes {axes} of shape {value.shape}")
    return found


def _further(node: OnnxNode, before: Reduced) -> Pending:
    """A reduction of a reduction: sums of sums are sums, and the divisors multiply."""
    axes = _axes(node, before.shape)
    shape = _shape(node, before.shape, axes)
    keep = len(shape) == len(before.shape)
    more = tuple(a for i in axes if (a := before.kept[i]) is not None)
    kept = tuple(None if i in axes else before.kept[i] for i in range(len(before.shape)) if keep or i not in axes)
    divisor = before.divisor * (prod(before.shape[i] for i in axes) if _is_mean(node) else 1)
    whole = Reduced(before.value, tuple(sorted((*before.axes, *more))), divisor, shape, kept)
    assert isinstance(node.value(0), Pending)
    return _pending(node, whole, (*node.value(0).origin, node.label))  # type: ignore[union-attr]


def _pending(node: OnnxNode, whole: Reduced, origin: tuple[str, ...]) -> Pending:
    """Return the reduction as a float result that waits for its quantisation."""
    builder, value, divisor = node.builder, whole.value, whole.divisor
    view, over = _found(node, value, whole.axes, (0, 1, 2, 3))
    count = prod(value.shape[a] for a in whole.axes)
    out_view: Shape4 = tuple(1 if i in over else d for i, d in enumerate(view))  # type: ignore[assignment]

    def emit(target: Quantisation, origin: tuple[str, ...]) -> str:
        numbers = (value.scale, value.zero, target.scale, target.zero, target.low, target.high)
        image = divisor == count and not {0, 1} & set(over) and all(i in over or view[i] == 1 for i in (2, 3))
        attrs = GlobalAveragePool(*numbers) if image else Reduction(over, divisor, *numbers)
        out = builder.tensor(target.name, out_view, target.dtype, target.scale, target.zero)
        return builder.node(node.label, attrs, (builder.view(value.tensor, view),), out, origin)

    def formula() -> Formula:
        kernel = view[2] if 2 in over else 1, view[3] if 3 in over else 1
        return averaged(node, value, view, Window(kernel, (1, 1), (1, 1), (0, 0, 0, 0), (out_view[2], out_view[3]), 4), whole.shape, divisor)

    return Pending(whole.shape, origin, emit, whole, None if {0, 1} & set(over) else formula)


def largest(node: OnnxNode) -> list[Value]:
    """ReduceMax and GlobalMaxPool: of integers, as dequantisation keeps order; of a float result once it is quantised, for the same reason."""
    value = node.value(0)
    if not isinstance(value, Real | Quant | Unquantised | Table):
        node.refuse(quantised_operand, node.describe(0))
    axes = tuple(a for a in _axes(node, value.shape) if value.shape[a] > 1)
    shape = _shape(node, value.shape, _axes(node, value.shape))
    if isinstance(value, Real | Quant):
        return [_largest(node, value, axes, shape, node.output)]

    def emit(target: Quantisation, origin: tuple[str, ...]) -> str:
        tensor = lower(node.builder, value, replace(target, name=f"{target.name}/unreduced"), value.origin)
        return _largest(node, Quant(tensor, value.shape, target.dtype), axes, shape, target.name).tensor

    return [Pending(shape, (*value.origin, node.label), emit)]


def _largest(node: OnnxNode, value: Real | Quant, axes: tuple[int, ...], shape: Shape, name: str) -> Real | Quant:
    """The largest over all axes at once where a view has them, else over one after the other."""
    found = _view(value.shape, axes, node.builder.tensors[value.tensor].shape, (2, 3))
    for number, group in enumerate([axes] if found is not None else [(axis,) for axis in axes]):
        found = _view(value.shape, group, node.builder.tensors[value.tensor].shape, (2, 3))
        assert found is not None, "a single axis can always be the rows"
        kept = tuple(1 if i in group else d for i, d in enumerate(value.shape))
        value = _maximum(node, value, kept, *found, name if group == axes or number + 1 == len(axes) else f"{name}/{number}")
    return replace(value, shape=shape)


def _maximum(node: OnnxNode, value: Real | Quant, shape: Shape, view: Shape4, over: tuple[int, ...], name: str) -> Real | Quant:
    builder = node.builder
    source = builder.view(value.tensor, view)
    t = builder.tensors[source]
    kernel = (view[2] if 2 in over else 1, view[3] if 3 in over else 1)
    out_view: Shape4 = tuple(1 if i in over else d for i, d in enumerate(view))  # type: ignore[assignment]
    out = builder.tensor(name, out_view, t.dtype, t.scale, t.zero_point)
    low, high = RANGES[t.dtype]
    builder.node(node.label, MaxPool(kernel, y_low=low, y_high=high), (source,), out, (node.label,))
    if isinstance(value, Real):
        builder.provisional.add(out)
    return replace(value, tensor=out, shape=shape)


__all__ = ["Reduced", "joined", "largest", "reduce"]
