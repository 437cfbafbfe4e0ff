"""Float operations on results that have moved: Transpose, Concat or Split behind a product that nothing quantises, the phases of a ConvTranspose.

    f(move(P), b)        move(Q(f(P, move back(b))))

The operation is done where each product makes its numbers, every other operand is brought there, and the bytes move. An element that the movement
repeats is made as often. Movements that take some channels take those of the products' weights: both halves of a gate are products of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from compiler.front.constraints import most_copies, moved_together, unmoved_floats
from compiler.front.floats.formula import bounds, constant_value, ended, leaves, numbers_of
from compiler.front.floats.integers import quantise
from compiler.front.operators.products.linear import Product
from compiler.front.state.builder import Builder, default_view
from compiler.front.state.onnx_node import OnnxNode
from compiler.front.state.values import Const, Formula, Operation, Pending, Quantisation, Real, RealConst, Shape, Table, Value, plainest
from compiler.ir.network import Move

Emit = Callable[[Formula, Quantisation], str]


@dataclass(frozen=True, eq=False)
class Scattered:
    """Elements `index`, an array of the result's shape, of the elements of all parts, counted one part after the other."""

    parts: tuple[Formula, ...]
    index: np.ndarray

    @property
    def own(self) -> bool:
        """Whether the bounds are known."""
        return all(ended(part) for part in self.parts)

    def ends(self) -> tuple[float, float]:
        """Return (least, greatest) that it can give, float64."""
        ends = [bounds(part) for part in self.parts]
        return min(low for low, _ in ends), max(high for _, high in ends)

    def reshaped(self, shape: Shape) -> Scattered:
        """Return the same in another shape."""
        return replace(self, index=self.index.reshape(shape))


def scattered(value: Formula) -> Scattered | None:
    """Return where the elements of a result come from that has moved; None for any other."""
    if not isinstance(value, Pending):
        return None
    if isinstance(value.of, Scattered):
        return value.of
    places = getattr(value.of, "scattered", None)
    return None if places is None else Scattered(*places()).reshaped(value.shape)


def _part(value: Formula, position: np.ndarray, shape: Shape, node: OnnxNode, made: dict[int, tuple[Formula, Formula]]) -> Formula:
    """Return the elements `position` of a formula of the whole `shape`, an array of the part's shape."""
    if id(value) not in made:
        made[id(value)] = value, _taken(value, position, shape, node, made)
    return made[id(value)][1]


def _taken(value: Formula, position: np.ndarray, shape: Shape, node: OnnxNode, made: dict[int, tuple[Formula, Formula]]) -> Formula:
    if isinstance(value, Operation):
        return replace(value, a=_part(value.a, position, shape, node, made), b=_part(value.b, position, shape, node, made), shape=position.shape)
    if prod(value.shape) == 1:
        return value
    if isinstance(value, Const | RealConst):
        return Const(plainest(np.broadcast_to(numbers_of(value), shape).reshape(-1)[position]))
    numbers = np.broadcast_to(np.arange(prod(value.shape)).reshape(value.shape), shape).reshape(-1)[position]
    if isinstance(value, Real | Table):
        builder = node.builder
        t = builder.tensors[value.tensor]
        out = builder.tensor(f"{value.tensor}/moved", default_view(position.shape), t.dtype, t.scale, t.zero_point)
        builder.node(f"move {out}", Move(numbers), (value.tensor,), out, (node.label,))
        return replace(value, tensor=out, shape=position.shape)
    other = scattered(value)
    if other is None:
        node.require(moved_together, np.array_equal(numbers.reshape(-1), np.arange(prod(value.shape))), found=f"results of shape {value.shape}")
        return replace(value, shape=position.shape, of=value.of)
    index = other.index.reshape(-1)[numbers]
    first = 0
    for part in other.parts:  # another result that has moved in the same way is where this one is
        if np.array_equal(index.reshape(-1), first + np.arange(prod(part.shape))):
            return part
        first += prod(part.shape)
    return replace(value, shape=position.shape, of=replace(other, index=index))


def _layers(index: np.ndarray, first: int, size: int) -> list[np.ndarray]:
    """Positions in `index` of the elements from `first` on, `size` of them, as often as the most frequent is there; of what is there less often any."""
    flat = index.reshape(-1)
    mine = np.flatnonzero((flat >= first) & (flat < first + size))
    order = mine[np.argsort(flat[mine], kind="stable")]
    elements = flat[order] - first
    counts = np.bincount(elements, minlength=size)
    turn = np.arange(elements.size) - (np.cumsum(counts) - counts)[elements]
    layers = []
    for number in range(int(counts.max(initial=0))):
        positions = np.zeros(size, np.int64)
        positions[elements[turn == number]] = order[turn == number]
        layers.append(positions)
    return layers


def gathered(value: Formula, leaf: Pending, node: OnnxNode, target: Quantisation, origin: tuple[str, ...], emit: Emit) -> str:
    """Add the nodes of a formula in which `leaf` has moved, `emit` those of one part; return the tensor of its bytes."""
    places = scattered(leaf)
    assert places is not None
    node.require(unmoved_floats, target.dtype != "f32", found=f"a float result of {node.op} that has moved")
    node.require(moved_together, leaf.shape == value.shape, found=f"a result of shape {leaf.shape} in one of shape {value.shape}")
    builder, first, base = node.builder, 0, 0
    index, tensors = np.zeros(prod(value.shape), np.int64), []
    constants: list[int] = []
    for number, part in enumerate(places.parts):
        if isinstance(part, Const | Real | Table):  # nothing is made of these: what is wanted of them, one after the other
            positions = np.flatnonzero((places.index.reshape(-1) >= first) & (places.index.reshape(-1) < first + prod(part.shape)))
            index[positions] = base + np.arange(positions.size)
            wanted = _part(part, places.index.reshape(-1)[positions] - first, part.shape, node, {})
            taken = _part(value, positions, value.shape, node, {id(leaf): (leaf, wanted)})
            if positions.size and all(isinstance(v, Const) for v in leaves(taken)):
                numbers = quantise(np.broadcast_to(constant_value(taken), positions.shape), target.scale, target.zero, target.dtype)
                index[positions] = -1 - len(constants) - np.arange(positions.size)
                constants += np.clip(numbers, target.low, target.high).tolist()
            elif positions.size:
                tensors.append(emit(taken, replace(target, name=f"{target.name}/part{number}")))
                base += positions.size
            first += prod(part.shape)
            continue
        layers = _layers(places.index, first, prod(part.shape))
        node.require(most_copies, len(layers), found=f"{len(layers)} times")
        for layer, positions in enumerate(layers):
            taken = _part(value, positions.reshape(part.shape), value.shape, node, {id(leaf): (leaf, part)})
            tensors.append(emit(taken, replace(target, name=f"{target.name}/part{number}{f'.{layer}' if layer else ''}")))
            used = places.index.reshape(-1)[positions] == first + np.arange(positions.size)
            index[positions[used]] = base + np.flatnonzero(used)
            base += positions.size
        first += prod(part.shape)
    out = builder.tensor(target.name, default_view(value.shape), target.dtype, target.scale, target.zero)
    return builder.node(f"{node.label}/gather", Move(index, np.array(constants, np.int16)), tuple(tensors), out, origin)


def leaf_that_moved(value: Formula) -> Pending | None:
    """Return the first operand of a formula that has moved."""
    return next((leaf for leaf in leaves(value) if isinstance(leaf, Pending) and scattered(leaf) is not None), None)


def channels_of(value: Pending, index: np.ndarray, origin: tuple[str, ...]) -> Pending | None:
    """Return elements `index` of a product in its own shape where they are some of its channels, of weights of their own; None for any others."""
    if not isinstance(value.of, Product) or value.shape != value.of.shape or value.of.group != 1:
        return None
    axis = len(value.shape) - value.of.axis_from_end
    numbers = np.arange(prod(value.shape)).reshape(value.shape)
    if index.ndim != numbers.ndim or [n for i, n in enumerate(index.shape) if i != axis] != [n for i, n in enumerate(value.shape) if i != axis]:
        return None
    first = index[tuple(slice(None) if i == axis else 0 for i in range(index.ndim))]
    taken = np.asarray(first) // prod(value.shape[axis + 1 :]) % value.shape[axis] if first.min(initial=0) >= 0 else np.zeros(0, np.int64)
    if taken.size != index.shape[axis] or not np.array_equal(np.take(numbers, taken, axis), index):
        return None
    return replace(value.of.of_channels(taken, index.shape).pending(), origin=(*value.origin, *origin))


def rejoined(builder: Builder, tensors: list[Value], index: np.ndarray) -> tuple[list[Value], np.ndarray]:
    """Return tensors with results of products in the place of their channels, where as many meet again as one has, or all that meet are some channels
    of one, and the elements in them."""
    if len(tensors) == 1 or not any(id(value) in builder.parts for value in tensors):
        return tensors, index
    wholes, places = [], []
    for value in tensors:
        whole, place = value, np.arange(prod(value.shape or ()))
        while id(whole) in builder.parts:
            whole, taken = builder.parts[id(whole)][1:]
            place = taken.reshape(-1)[place]
        wholes.append(whole)
        places.append(place)
    alone = len(set(map(id, wholes))) == 1
    for position, (value, whole) in enumerate(zip(tensors, wholes, strict=True)):
        if not alone and sum(place.size for other, place in zip(wholes, places, strict=True) if other is whole) < prod(whole.shape or ()):
            wholes[position], places[position] = value, np.arange(prod(value.shape or ()))
    joined = list({id(whole): whole for whole in wholes}.values())
    begin = dict(zip(map(id, joined), np.cumsum([0, *(prod(whole.shape or ()) for whole in joined)]), strict=False))
    numbers = np.concatenate([begin[id(whole)] + place for whole, place in zip(wholes, places, strict=True)])
    inside = np.where(index < 0, index, numbers[index])
    few = alone and numbers.size < prod(joined[0].shape or ())
    return (tensors, index) if few and not (isinstance(joined[0], Pending) and channels_of(joined[0], inside, ())) else (joined, inside)


__all__ = ["Scattered", "channels_of", "gathered", "leaf_that_moved", "rejoined", "scattered"]
