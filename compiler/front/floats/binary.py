"""Add, Sub, Mul, Div, Min, Max, Sum, Mean and PRelu of two and more operands; their QLinear forms.

Where every operand is a function of one 8-bit tensor the result is too, and becomes a table (`compiler.front.floats.tables`).
Otherwise two tensors, or a tensor and a constant, meet in a `Binary` node:

    Sub               an Add with a negative scale
    sums of three and more: `compiler.front.floats.sums`; Div by a computed tensor: `compiler.front.floats.quotients`
    Min, Max of n     one after the other, quantised as the result in between: quantisation keeps order
    Div by a constant with one value a channel: a Mul by its float32 reciprocal
    PRelu             max(x, slope * x) where all slopes are at most 1, min where all are at least 1
"""

from __future__ import annotations

from dataclasses import replace
from functools import reduce

import numpy as np

from compiler.constraints import (
    broadcast_shapes,
    channel_bias,
    computed_divisor,
    equal_sides,
    finite_constant,
    quantised_operand,
    usable_scale,
)
from compiler.front.floats.batch_normalization import a_channel
from compiler.front.floats.elementwise import add_node, table_function
from compiler.front.floats.expressions import combined, formula_of, operation
from compiler.front.floats.quantise import table_bytes
from compiler.front.floats.quotients import divide
from compiler.front.floats.scaled import scaled
from compiler.front.floats.sums import Leaf, Tree, leaves, left_to_right, negated, sum_pending, tree_of
from compiler.front.floats.tables import common_root, one_root, scalar_of
from compiler.front.operators.products.convolution import constant_operand, real_operand, result_target
from compiler.front.state.broadcast import Seen, common_view, views
from compiler.front.state.builder import Builder
from compiler.front.state.step import Step
from compiler.front.state.values import Const, Pending, Quant, Quantisation, Real, RealConst, Shape, Table, Value
from compiler.ir.elementwise import Binary
from compiler.ir.graph import RANGES, Conv, Shape4, Unary

KINDS = {"Add": "add", "Mul": "mul", "Min": "min", "Max": "max"}


def _is_quantised(value: Value) -> bool:
    """Whether a constant is one of 8-bit integers with one scale."""
    return isinstance(value, RealConst) and value.array.dtype in (np.int8, np.uint8) and value.scale.size == value.zero.size == 1


def _shape(step: Step, shapes: list[Shape]) -> Shape:
    try:
        return tuple(int(d) for d in np.broadcast_shapes(*shapes))
    except ValueError:
        step.refuse(broadcast_shapes, f"shapes {' and '.join(map(str, shapes))}")


def _tensor(builder: Builder, value: Real, view: Shape4, channels: int, origin: tuple[str, ...]) -> str:
    """Return a tensor operand under its view; one channel for many is repeated by a convolution with weights of one, which is exact."""
    tensor = builder.view(value.tensor, view)
    if view[1] == channels:
        return tensor
    attrs = Conv(
        weight=np.ones((channels, 1, 1, 1), np.int8), bias=None, x_scale=value.scale, x_zero=value.zero, w_scale=np.ones(1, np.float32),
        w_zero=0, y_scale=value.scale, y_zero=value.zero, y_low=RANGES[value.dtype][0], y_high=RANGES[value.dtype][1],
    )  # fmt: skip
    out = builder.tensor(f"{value.tensor}/repeated", (view[0], channels, *view[2:]), value.dtype, value.scale, value.zero)
    return builder.node(f"repeat {out}", attrs, (tensor,), out, origin)


def pair(step: Step, kind: str, a: Leaf, b: Leaf) -> Pending:
    """Return `kind` of two operands, one of which is a tensor, as a float result that waits for its quantisation."""
    if not isinstance(a.value, Real):
        a, b = b, a
    assert isinstance(a.value, Real)
    if isinstance(b.value, Real):
        return _tensors(step, kind, a, b)
    return _quantised_constant(step, kind, a, b) if _is_quantised(b.value) else _float_constant(step, kind, a, b)


def _emit(step: Step, seen: Seen, attrs: Binary, operands: list[Real], target: Quantisation, origin: tuple[str, ...]) -> str:
    """Add the node; `operands` are its tensors, `seen` how they and the result are seen, in this order."""
    builder = step.builder
    names = tuple(_tensor(builder, value, seen.operands[i], seen.out[1], origin) for i, value in enumerate(operands))
    out = builder.tensor(target.name, seen.out, target.dtype, target.scale, target.zero)
    attrs = replace(attrs, y_scale=target.scale, y_zero=target.zero, y_low=target.low, y_high=target.high)
    return builder.node(step.label, attrs, names, out, origin)


def _pending(step: Step, shape: Shape, seen: Seen, attrs: Binary, operands: list[Real]) -> Pending:
    def emit(target: Quantisation, origin: tuple[str, ...]) -> str:
        return _emit(step, seen, attrs, operands, target, origin)

    return Pending(shape, (step.label,), emit)


def _scales(term: Leaf, scale: float) -> np.ndarray:
    return np.array([term.sign * scale], np.float32)


def _tensors(step: Step, kind: str, a: Leaf, b: Leaf) -> Pending:
    builder, values = step.builder, [a.value, b.value]
    assert isinstance(a.value, Real) and isinstance(b.value, Real)
    shape = _shape(step, [a.value.shape, b.value.shape])
    if kind == "add" and a.sign == b.sign == 1 and a.value.shape == b.value.shape:
        return add_node(step, a.value, b.value)
    seen = common_view(shape, [(v.shape, builder.tensors[v.tensor].shape) for v in (a.value, b.value)])
    if seen is None:
        step.refuse(broadcast_shapes, f"shapes {a.value.shape} and {b.value.shape}")
    attrs = Binary(kind, _scales(a, a.value.scale), a.value.zero, b.sign * b.value.scale, b.value.zero, 1.0, 0)
    return _pending(step, shape, seen, attrs, values)  # type: ignore[arg-type]


def _quantised_constant(step: Step, kind: str, a: Leaf, b: Leaf) -> Pending:
    assert isinstance(a.value, Real) and isinstance(b.value, RealConst)
    shape = _shape(step, [a.value.shape, b.value.shape])
    scale = float(b.value.scale.flat[0])
    step.require(usable_scale, b.value.scale, found=f"{scale}")
    seen = common_view(shape, [(a.value.shape, step.builder.tensors[a.value.tensor].shape), (b.value.shape, None)])
    if seen is None:
        step.refuse(broadcast_shapes, f"shapes {a.value.shape} and {b.value.shape}")
    array = seen.constant(1, b.value.array, shape)
    attrs = Binary(kind, _scales(a, a.value.scale), a.value.zero, b.sign * scale, int(b.value.zero.flat[0]), 1.0, 0, constant=array)
    return _pending(step, shape, seen, attrs, [a.value])


def _float_constant(step: Step, kind: str, tensor: Leaf, constant: Leaf) -> Pending:
    """A constant of float32 numbers, one a channel: operand a is a constant of ones, its scales are the numbers."""
    assert isinstance(tensor.value, Real) and isinstance(constant.value, Const | RealConst)
    value = constant.value
    shape = _shape(step, [tensor.value.shape, value.shape])
    numbers = (value.real() if isinstance(value, RealConst) else value.array).astype(np.float32) * np.float32(constant.sign)
    current = step.builder.tensors[tensor.value.tensor].shape
    fitting = [pair for pair in views(shape, [(tensor.value.shape, current), (numbers.shape, None)])
               if pair[1].operands[1] == (1, pair[1].out[1], 1, 1)]  # fmt: skip
    step.require(finite_constant, numbers, found=f"a number that is infinite in {_constant_name(step)}")
    if not fitting:
        step.refuse(broadcast_shapes, f"shapes {tensor.value.shape} and {numbers.shape}")
    seen = min(fitting, key=lambda pair: pair[0])[1]
    scales = seen.constant(1, numbers, shape).reshape(-1)
    ones = np.ones((1, seen.out[1], 1, 1), np.int8)
    attrs = Binary(kind, scales, 0, tensor.sign * tensor.value.scale, tensor.value.zero, 1.0, 0, constant=ones, constant_first=True)
    return _pending(step, shape, seen, attrs, [tensor.value])


def _constant_name(step: Step) -> str:
    return next(step.name_of(i) for i, v in enumerate(step.values) if isinstance(v, Const | RealConst) and scalar_of(v) is None)


def _several(step: Step, kind: str, terms: list[Leaf]) -> Pending:
    """Min or Max of three and more: in 8 bits from the first pair on, as the result will be quantised."""
    first = pair(step, kind, terms[0], terms[1])
    if len(terms) == 2:
        return first
    shape = _shape(step, [t.value.shape for t in terms])
    label = step.label

    def emit(target: Quantisation, origin: tuple[str, ...]) -> str:
        low, high = RANGES[target.dtype]
        result, inner = first, replace(target, low=low, high=high)
        for number, term in enumerate(terms[2:]):
            tensor = result.emit(replace(inner, name=f"{target.name}/{number}"), origin)
            partial = Real(tensor, result.shape, target.dtype, target.scale, target.zero)
            result = pair(step, kind, Leaf(partial), term)
        return result.emit(target, origin)

    return Pending(shape, (label,), emit)


def _settled(step: Step) -> list[Value | None]:
    """The operands; a constant of one number many times over, which adds no elements to the others, is one number under as many axes."""
    others = [v.shape for v in step.values if v is not None and scalar_of(v) is None and v.shape is not None]
    settled: list[Value | None] = []
    for value in step.values:
        number = scalar_of(value)
        if number is not None and isinstance(value, Const | RealConst):
            own = (1,) * value.array.ndim
            if _shape(step, [*others, own]) == _shape(step, [*others, value.shape]):
                value = Const(np.array(number, np.float32).reshape(own))
        settled.append(value)
    return settled


def _terms(step: Step) -> list[Real | RealConst | Const]:
    """The operands; refuses those that have no quantisation yet."""
    terms: list[Real | RealConst | Const] = []
    for index, value in enumerate(_settled(step)):
        if not isinstance(value, Real | RealConst | Const):
            step.refuse(quantised_operand, step.describe(index))
        terms.append(value)
    return terms


def combine(step: Step) -> list[Value]:
    """Sub, Mul, Div, Min, Max, Sum, Mean, and Add of what is no bias."""
    values = step.values
    if len(values) == 1 and values[0] is not None:
        return [values[0]]
    if step.op == "Div" and isinstance(values[0], Real) and isinstance(values[1], Real):
        return [divide(step, values[0], values[1])]
    product = a_channel(step) or scaled(step)
    if product is not None:
        return [product]
    sources = one_root(step)
    if sources is not None and step.op == "Mean":
        total = reduce(np.add, [np.asarray(array, np.float32) for array in sources.arrays])
        return [Table(sources.tensor, sources.shape, total * np.float32(_part(step)), (*sources.origin, step.label))]
    trees = _trees(step) if step.op in ("Add", "Sub", "Sum", "Mean") else []
    if sources is not None:
        (table,) = table_function(step)
        assert isinstance(table, Table)
        return [replace(table, additions=left_to_right(trees) if trees and all(trees) else None)]  # type: ignore[arg-type]
    mixed = combined(step, _settled(step)) if not (trees and all(trees)) else None
    if mixed is not None:
        return [mixed]
    if trees:
        return [_sum(step, trees)]
    if step.op == "Div":
        step.require(computed_divisor, step.value(1), found=step.describe(1))
    terms = _terms(step)
    if step.op == "Div":
        return [_quotient(step, *terms)]
    # Tensors first, so that every step of a chain has one.
    several = _several(step, KINDS[step.op], sorted((Leaf(v) for v in terms), key=lambda t: not isinstance(t.value, Real)))
    return [replace(several, formula=operation(step.op, terms))]


def _part(step: Step) -> float:
    """float32 of one over the number of operands, by which onnxruntime multiplies a Mean."""
    return float(np.float32(1) / np.float32(len(step.values)))


def _trees(step: Step) -> list[Tree | None]:
    """The additions that each operand consists of; None for what is no operand of a sum."""
    trees = [tree_of(value) for value in _settled(step)]
    if step.op == "Sub":
        trees[1] = None if trees[1] is None else negated(trees[1])
    return trees


def _sum(step: Step, trees: list[Tree | None]) -> Pending:
    """Additions from left to right, of operands and of the results of other additions that nothing has quantised."""
    for index, tree in enumerate(trees):
        if tree is None:
            step.refuse(quantised_operand, step.describe(index))
    whole = left_to_right(trees)  # type: ignore[arg-type]
    operands = leaves(whole)
    shape = _shape(step, [leaf.value.shape for leaf in operands])
    if len(operands) == 2 and step.op != "Mean":
        pending = pair(step, "add", *operands)
    else:
        pending = sum_pending(step, shape, whole, _part(step) if step.op == "Mean" else 1.0)
    origin = [label for value in step.values if isinstance(value, Pending | Table) for label in value.origin]
    return replace(pending, origin=(*dict.fromkeys((*origin, step.label)),), additions=None if step.op == "Mean" else whole)


def add(step: Step) -> list[Value]:
    """Add: a bias of the product before it, or a sum of two operands."""
    a, b = step.value(0), step.value(1)
    product = a_channel(step)
    if product is not None:
        return [product]
    if isinstance(b, Pending):
        a, b = b, a
    if not isinstance(a, Pending) or (a.bias is None and formula_of(a) is not None):
        return combine(step)
    if a.bias is None or a.bias.add is None or not isinstance(b, Const | RealConst):
        step.refuse(quantised_operand, "a float result that no QuantizeLinear follows")
    channels, axis = a.bias.channels, a.bias.axis_from_end
    grows = len(b.shape) > len(a.shape)
    step.require(channel_bias, () if grows else b.shape, channels, axis, found=f"shape {b.shape} for {channels} channels")
    return [replace(a, emit=a.bias.add(b), bias=None, origin=(*a.origin, step.label))]


def _quotient(step: Step, dividend: Value, divisor: Value) -> Pending:
    step.require(quantised_operand, dividend, found=step.describe(0))
    assert isinstance(divisor, Const | RealConst) and isinstance(dividend, Real)
    numbers = (divisor.real() if isinstance(divisor, RealConst) else divisor.array).astype(np.float32)
    with np.errstate(divide="ignore"):
        return pair(step, "mul", Leaf(dividend), Leaf(Const(np.float32(1) / numbers)))


def prelu(step: Step) -> list[Value]:
    """PRelu: a table for one slope; with one a channel, of the products quantised as the result and the input the larger or the smaller."""
    x, slope = step.value(0), step.constant(1)
    if one_root(step) is not None:
        return table_function(step)
    if not isinstance(x, Real):
        step.refuse(quantised_operand, step.describe(0))
    assert slope is not None
    step.require(equal_sides, slope, found=f"slopes from {slope.min()} to {slope.max()}")
    kind = "max" if slope.max() <= 1 else "min"
    product = pair(step, "mul", Leaf(x), Leaf(Const(slope.astype(np.float32))))

    def emit(target: Quantisation, origin: tuple[str, ...]) -> str:
        low, high = RANGES[target.dtype]
        scaled = product.emit(replace(target, name=f"{target.name}/scaled", low=low, high=high), origin)
        partial = Real(scaled, x.shape, target.dtype, target.scale, target.zero)
        return pair(step, kind, Leaf(partial), Leaf(x)).emit(target, origin)

    return [Pending(x.shape, (step.label,), emit)]


def _qlinear_operand(step: Step, first: int) -> Real | RealConst:
    return constant_operand(step, first, first + 1, 0) if isinstance(step.value(first), Const) else real_operand(step, first, first + 1)


def qlinear_binary(step: Step) -> list[Value]:
    """com.microsoft QLinearAdd and QLinearMul: a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero."""
    a, b = _qlinear_operand(step, 0), _qlinear_operand(step, 3)
    target, builder = result_target(step, 6, 7), step.builder
    sources = common_root(builder, [a, b])
    if sources is not None:
        floats = (np.add if step.op == "QLinearAdd" else np.multiply)(*(np.asarray(array, np.float32) for array in sources.arrays))
        out = builder.tensor(target.name, builder.tensors[sources.tensor].shape, target.dtype, target.scale, target.zero)
        origin = (*sources.origin, step.label)
        return [Quant(builder.node(step.label, Unary(table_bytes(floats, target)), (sources.tensor,), out, origin), sources.shape, target.dtype)]
    pending = pair(step, KINDS[step.op.removeprefix("QLinear")], Leaf(a), Leaf(b))
    return [Quant(pending.emit(target, (step.label,)), pending.shape, target.dtype)]


__all__ = ["add", "combine", "pair", "prelu", "qlinear_binary"]
