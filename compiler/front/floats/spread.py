"""Operands of float operations that no view of the result fits: repeated first, by movements, until each has the result's shape.

    Add(dq s (1, H, T, T), mask (1, 1, T, T)) -> Softmax        the mask, H times

A constant that is neither one number nor one a channel becomes a tensor of bytes that a Move writes: which of its numbers stands where, of up to 256
different ones; of more a sum of such tables and of digits to the base 256, the highest first. No addition rounds.
"""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np

from compiler.front.constraints import most_digits_of_constant
from compiler.front.floats.formula import leaves, number, numbers_of, operation
from compiler.front.state.broadcast import Seen
from compiler.front.state.builder import Builder, default_view
from compiler.front.state.onnx_node import OnnxNode
from compiler.front.state.values import Const, Formula, Operation, Pending, Real, RealConst, Shape, Table
from compiler.ir.expression import MOST_DIGITS, most_digits
from compiler.ir.network import RANGES, Move, Shape4


class Spreader:
    """Repeats the operands of one formula."""

    def __init__(self, node: OnnxNode, shape: Shape, view: Shape4, anchor: str) -> None:
        """`anchor`: a tensor that the constants' movements are connected by."""
        self.node, self.shape, self.view, self.anchor = node, shape, view, anchor
        self.builder: Builder = node.builder
        self.known: dict[int, tuple[Formula, Formula]] = {}
        self.tensors: dict[tuple[str, Shape], str] = {}

    def spread(self, value: Formula) -> Formula:
        """Return a formula whose tensors all have the whole shape."""
        if id(value) not in self.known:
            self.known[id(value)] = value, self._spread(value)
        return self.known[id(value)][1]

    def _spread(self, value: Formula) -> Formula:
        if isinstance(value, Operation):
            return replace(value, a=self.spread(value.a), b=self.spread(value.b), shape=self.shape)
        if isinstance(value, Real | Table):
            return replace(value, tensor=self._tensor(value), shape=self.shape)
        if isinstance(value, Const | RealConst):
            numbers = numbers_of(value)
            if (numbers == numbers.reshape(-1)[0]).all():
                return number(numbers.reshape(-1)[0])
            return self._constant(np.ascontiguousarray(np.broadcast_to(numbers, self.shape)))
        return value

    def _tensor(self, value: Real | Table) -> str:
        key = value.tensor, value.shape
        if key not in self.tensors:
            self.tensors[key] = self._repeated(value)
        return self.tensors[key]

    def _repeated(self, value: Real | Table) -> str:
        if value.shape == self.shape:
            return self.builder.view(value.tensor, self.view)
        t = self.builder.tensors[value.tensor]
        index = np.broadcast_to(np.arange(t.elements).reshape(value.shape), self.shape)
        return self._moved(f"{value.tensor}/repeated", Move(index), value.tensor, t.dtype, t.scale, t.zero_point)

    def _moved(self, name: str, move: Move, source: str, dtype: str, scale: float | None, zero: int) -> str:
        out = self.builder.tensor(name, self.view, dtype, scale, zero)
        return self.builder.node(f"repeat {out}", move, (source,), out, (self.node.label,))

    def _bytes(self, name: str, numbers: np.ndarray, **quantisation: Any) -> str:
        """A tensor of constant bytes."""
        dtype = self.builder.tensors[self.anchor].dtype
        lowest = RANGES[dtype][0]
        move = Move(-1 - numbers.reshape(-1).astype(np.int64), np.arange(256).astype(np.uint8).view(np.int8 if lowest else np.uint8).astype(np.int16))
        return self._moved(f"{self.node.output}/{name}", move, self.anchor, dtype, **quantisation)

    def _constant(self, numbers: np.ndarray) -> Formula:
        """A constant as a sum of tensors: tables of its largest numbers, up to 255 different ones each and 0 elsewhere, and digits of the others."""
        different = np.unique(numbers)
        different = different[np.argsort(-np.abs(different), kind="stable")]
        if different.size <= 256:
            return self._table(numbers, different, "constant")
        kinds = range(0, min(different.size, MOST_DIGITS * 255), 255)
        cost, first = min((first // 255 + most_digits(different[first:]), first) for first in kinds)
        self.node.require(most_digits_of_constant, cost, found=f"{cost} for one of shape {numbers.shape}")
        parts = self._digits(np.where(np.abs(numbers) <= np.abs(different[first]), numbers, 0)) if different[first:].any() else []
        taken = np.abs(numbers) > np.abs(different[first])
        for place, at in enumerate(range(0, first, 255)):
            some = different[at : at + 255]
            mine = np.where(taken & np.isin(numbers, some), numbers, np.float32(0))
            parts.append(self._table(mine, np.unique(mine), f"constant{place}"))
        return reduce(lambda a, b: operation(self.node, "ADD", a, b), parts)

    def _table(self, numbers: np.ndarray, different: np.ndarray, name: str) -> Table:
        """A constant of up to 256 different numbers."""
        different = np.sort(different)
        floats = np.pad(different, (0, 256 - different.size), mode="edge").astype(np.float32)
        return Table(self._bytes(name, np.searchsorted(different, numbers), scale=None, zero=0), self.shape, floats, (self.node.label,))

    def _digits(self, numbers: np.ndarray) -> list[Formula]:
        """Digits to the base 256, the highest first; that has the sign."""
        count, negative, size = most_digits(np.unique(numbers)), bool((numbers < 0).any()), float(np.abs(numbers).max())
        exponent = int(np.frexp(size)[1]) + negative - 8 * count
        whole = np.rint(np.ldexp(numbers.astype(np.float64), -exponent)).astype(np.int64)
        dtype = self.builder.tensors[self.anchor].dtype
        moved = 128 if RANGES[dtype][0] < 0 else 0
        digits: list[Formula] = []
        for place in range(count - 1, -1, -1):
            first = 128 if negative and place == count - 1 else 0
            raw = (whole >> 8 * place) + first if place == count - 1 else (whole >> 8 * place) & 0xFF
            scale, zero = float(2.0 ** (exponent + 8 * place)), first - moved
            digits.append(Real(self._bytes(f"digit{place}", (raw - moved) & 0xFF, scale=scale, zero=zero), self.shape, dtype, scale, zero))
        return digits


def spread(node: OnnxNode, formula: Formula, view: Shape4 | None) -> tuple[Formula, Seen]:
    """Return a formula with all tensors of its shape, and how these are seen: as `view`, that of its products, where it has any."""
    parts = list(leaves(formula))
    anchors = [v.tensor for v in parts if isinstance(v, Real | Table)] + [name for v in parts if isinstance(v, Pending) for name in v.of.sums()[1]]
    out = view or default_view(formula.shape)
    result = Spreader(node, formula.shape, out, anchors[0]).spread(formula)
    count = len({(v.tensor, v.shape) for v in leaves(result) if isinstance(v, Real | Table)})
    return result, Seen(out, (out,) * count, (1, 2, 3))


__all__ = ["spread"]
