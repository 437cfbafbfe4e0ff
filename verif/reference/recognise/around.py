"""Finds operators that were written as several: what a value may be is supposed, computed in normal forms, and compared with the value's own.

A recogniser is given a node and what lies around it; it returns the node that means the same, or None. Nodes are asked from the last to the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from verif.reference.recognise.algebra import Algebra, Shape
from verif.reference.recognise.forms import Form

#: Most names around a value that are looked at.
_AROUND = 64
#: Operators that an operator may have been written as.
_LOOSE = {
    "Add", "Cast", "Clip", "Div", "Exp", "Expand", "Flatten", "GlobalAveragePool", "Identity", "InstanceNormalization", "Log", "LogSoftmax", "Max", "Mul",
    "Neg", "Pow", "Reciprocal", "ReduceL2", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceSum", "ReduceSumSquare", "Reshape", "Softmax", "Sqrt",
    "Squeeze", "Sub", "Sum", "Unsqueeze",
}  # fmt: skip


class Around:
    """A value, its form, the names it was computed of (`names`, nearest first), and their forms."""

    def __init__(self, algebra: Algebra, node: onnx.NodeProto) -> None:
        self.algebra, self.node, self.output = algebra, node, node.output[0]
        self.form = algebra.form[self.output]
        self.names = [self.output]
        for name in self.names:
            maker = algebra.maker.get(name)
            if maker is not None and name not in algebra.fixed and maker.op_type in _LOOSE and maker.domain in ("", "ai.onnx") and len(self.names) < _AROUND:
                self.names += [other for other in maker.input if other and other not in self.names]
        self.constants: list[onnx.TensorProto] = []

    def shape(self, name: str) -> Shape:
        """Return the shape of a value; () where it is not known."""
        return self.algebra.shape.get(name, ())

    def named(self, form: Form) -> str:
        """Return the nearest name of a form; '' where it has none here."""
        return next((name for name in self.names if self.algebra.form.get(name) == form and name not in self.algebra.fixed), "")

    def totals(self, *, largest: bool = False) -> Iterator[tuple[Form, tuple[int, ...], Form]]:
        """Yield (form, axes, operand) of every total, or largest number, that the value is computed of."""
        todo, seen = [self.form], {self.form}
        while todo:
            form = todo.pop(0)
            kind, *rest = self.algebra.item(form)
            if kind == ("largest" if largest else "total"):
                yield form, rest[0], rest[1]
            parts = {"sum": lambda r: [p for p, _ in r[1]], "product": lambda r: [p for p, _ in r[1]], "call": lambda r: r[3:],
                     "total": lambda r: r[1:], "largest": lambda r: r[1:], "seen": lambda r: r[:1], "view": lambda r: r[1:]}  # fmt: skip
            below = [part for part in parts.get(kind, lambda r: [])(rest) if part >= 0 and part not in seen]
            if len(seen) < 8 * _AROUND:
                todo += below
                seen |= set(below)

    def numbers(self, value: float) -> Iterator[float]:
        """Yield, exactly, the constants of one element that are a number up to its sixth digit; the number itself where there is none."""
        held = [float(a.reshape(-1)[0]) for n in self.names if n in self.algebra.fixed and (a := self.algebra.array(n)) is not None and a.size == 1]
        close = [number for number in held if float(f"{number:.6g}") == value]
        yield from dict.fromkeys(close or [value])

    def factors(self) -> list[str]:
        """Return the names of constants that the value is computed of."""
        return [name for name in self.names if name in self.algebra.fixed]

    def once(self, form: Form) -> bool:
        """Whether no value of this form, but the result, has more than one reader."""
        return all(self.algebra.uses[n] == 1 for n in self.names[1:] if self.algebra.form.get(n) == form)

    def constant(self, role: str, array: np.ndarray) -> str:
        """Add a float32 constant; return its name."""
        self.constants.append(numpy_helper.from_array(array.astype(np.float32), f"{self.output}/{role}"))
        return self.constants[-1].name

    def made(self, operator: str, inputs: Sequence[str], *, domain: str = "", **attributes: Any) -> onnx.NodeProto:
        """Return a node that makes the value."""
        return helper.make_node(operator, inputs, [self.output], name=self.node.name, domain=domain, **attributes)

    def elements_along(self, name: str, axes: int) -> int:
        """Elements of a constant that has them all along so many last axes; 0 of any other."""
        array = self.algebra.array(name)
        return array.size if array is not None and array.size == prod(array.shape[-axes:]) else 0

    def along(self, name: str, axis: int, shape: Shape) -> np.ndarray | None:
        """Elements of a constant along one axis (counted from the end) of a tensor of this shape that it meets; None where it has others."""
        array = self.algebra.array(name)
        if array is None or array.ndim > len(shape) or array.size != (array.shape[axis] if array.ndim >= -axis else 1):
            return None
        return np.broadcast_to(array.reshape(-1), (shape[axis],)).astype(np.float64) if array.size in (1, shape[axis]) else None


Recogniser = Callable[[Around], onnx.NodeProto | None]


def recognised(model: onnx.ModelProto, recognisers: Sequence[Recogniser]) -> onnx.ModelProto:
    """Return `model`, or a copy in which values are made by the operators that the recognisers find; the first that finds one counts."""
    algebra: Algebra | None = None
    wanted = {value.name for value in model.graph.output}
    kept: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []
    changed = False
    for node in reversed(model.graph.node):
        if not wanted & set(node.output):
            continue
        if node.op_type in _LOOSE and node.domain in ("", "ai.onnx"):
            algebra = algebra or Algebra(model)
            around = Around(algebra, node)
            found = None if node.output[0] in algebra.fixed else next((made for recogniser in recognisers if (made := recogniser(around)) is not None), None)
            if found is not None:
                node, changed = found, True
                constants += around.constants
        kept.append(node)
        wanted |= set(node.input)
    if not changed:
        return model
    result = onnx.ModelProto()
    result.CopyFrom(model)
    del result.graph.node[:]
    result.graph.node.extend(reversed(kept))
    result.graph.initializer.extend(constants)
    return result
