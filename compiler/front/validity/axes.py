"""Rules of axes, of reductions, and of parameters that broadcast."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from compiler.front.validity.facts import Facts, Shape, sizes


def broadcasts(part: Shape, whole: Shape) -> bool:
    """Whether one shape is repeated to another.

    >>> broadcasts((3, 1), (2, 3, 4)), broadcasts((3,), (2, 4))
    (True, False)
    """
    return len(part) <= len(whole) and all(size in (1, other) for size, other in zip(part[::-1], whole[::-1], strict=False))


def one_axis(facts: Facts) -> None:
    """An axis of the first input."""
    shape, axis = facts.shape(0), facts.attributes.get("axis")
    if shape is not None and axis is not None:
        rank = len(shape)
        expected = f"from {-rank} to {rank - 1} for an input of shape {sizes(shape)}" if rank else "an input with axes, not one number"
        facts.require(-rank <= axis < rank, f"axis = {axis}", expected)


def flatten(facts: Facts) -> None:
    """Flatten: an axis, or the end."""
    shape, axis = facts.shape(0), facts.attributes.get("axis", 1)
    if shape is not None:
        facts.require(-len(shape) <= axis <= len(shape), f"axis = {axis}", f"from {-len(shape)} to {len(shape)} for an input of shape {sizes(shape)}")


def normalised(facts: Facts) -> None:
    """Scale and bias broadcast to the axes from `axis` on."""
    shape, axis = facts.shape(0), facts.attributes.get("axis", -1)
    if shape is None:
        return
    facts.require(bool(shape), f"an input of shape {sizes(shape)}", "an axis to normalise over")
    whole = shape[axis % len(shape) :]
    for index in (1, 2):
        part = facts.shape(index)
        facts.require(part is None or broadcasts(part, whole), f"input {index} of shape {sizes(part)}", f"one that broadcasts to {sizes(whole)}")


def reduction(facts: Facts) -> None:
    """Axes to reduce."""
    shape = facts.shape(0)
    if shape is not None:
        facts.axes("axes", facts.either("axes", 1), len(shape))


def squeeze(facts: Facts) -> None:
    """Axes of one element."""
    shape, axes = facts.shape(0), facts.either("axes", 1)
    if shape is None or axes is None:
        return
    facts.axes("axes", axes, len(shape))
    facts.require(all(shape[axis] == 1 for axis in axes), f"axes = {axes} of an input of shape {sizes(shape)}", "axes of size 1")


def unsqueeze(facts: Facts) -> None:
    """Axes of the result."""
    shape, axes = facts.shape(0), facts.either("axes", 1)
    if shape is not None and axes is not None:
        facts.axes("axes", axes, len(shape) + len(axes))


def transpose(facts: Facts) -> None:
    """Every axis once."""
    shape, order = facts.shape(0), facts.attributes.get("perm")
    if shape is not None and order is not None:
        facts.require(sorted(order) == list(range(len(shape))), facts.attribute("perm"), f"each of the {len(shape)} axes of {sizes(shape)} once")


def slope(facts: Facts) -> None:
    """PRelu: slopes broadcast to the input."""
    shape, part = facts.shape(0), facts.shape(1)
    if shape is not None and part is not None:
        facts.require(broadcasts(part, shape), f"slopes of shape {sizes(part)}", f"one that broadcasts to {sizes(shape)}")


def scalars(*indices: int) -> Callable[[Facts], None]:
    """Return the rule that these inputs are one number."""

    def rule(facts: Facts) -> None:
        for index in indices:
            shape = facts.shape(index)
            facts.require(shape is None or (prod(shape) == 1 and len(shape) <= 1), f"input {index} of shape {sizes(shape)}", "one number")

    return rule


def lists(*indices: int, or_one: bool = False) -> Callable[[Facts], None]:
    """Return the rule that these inputs are lists, of one axis; with `or_one` a number by itself will do."""

    def rule(facts: Facts) -> None:
        for index in indices:
            shape = facts.shape(index)
            holds = shape is None or not facts.given(index) or len(shape) == 1 or (or_one and not shape)
            facts.require(holds, f"input {index} of shape {sizes(shape)}", "a list, of one axis")

    return rule


def matrices(facts: Facts) -> None:
    """At least two axes."""
    shape = facts.shape(0)
    facts.require(shape is None or len(shape) >= 2, f"an input of shape {sizes(shape)}", "(..., rows, columns)")


def cumulative(facts: Facts) -> None:
    """CumSum: its axis is an input."""
    shape, axis = facts.shape(0), facts.numbers(1)
    if shape is not None and axis is not None:
        facts.length("axis", axis, 1, "an axis")
        facts.axes("axis", axis, len(shape))


def quantisation(facts: Facts) -> None:
    """QuantizeLinear and DequantizeLinear: one scale, one for each slice along an axis, or one for each block; zero points likewise."""
    shape, scale, zero = facts.shape(0), facts.shape(1), facts.shape(2)
    facts.require(scale is None or zero is None or scale == zero or (prod(scale) == prod(zero) == 1),
                  f"scales of shape {sizes(scale)} and zero points of shape {sizes(zero)}", "one shape")
    if shape is None or scale is None or (prod(scale) == 1 and len(scale) <= 1) or facts.attributes.get("block_size"):
        return
    axis = facts.attributes.get("axis", 1)
    one_axis(facts)
    facts.require(-len(shape) <= axis < len(shape), f"scales of shape {sizes(scale)} along axis {axis} of {sizes(shape)}", "one scale")
    facts.require(scale == (shape[axis],), f"scales of shape {sizes(scale)} along axis {axis} of {sizes(shape)}", f"({shape[axis]},), or one scale")


__all__ = ["broadcasts", "cumulative", "flatten", "lists", "matrices", "normalised", "one_axis", "quantisation", "reduction", "scalars", "slope", "squeeze",
           "transpose", "unsqueeze"]
