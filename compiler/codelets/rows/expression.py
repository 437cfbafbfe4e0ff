"""Float32 operations on several tensors, functions of them and products, as a micro-program whose intermediate values stay on chip.

    for each element:  d1 = TABLE(b);  d0 = TABLE(b);  f = ADD(d1 * 256, d0);  y = REQUANTIZE(MUL(a, f))
    for each element:  p0 = MATMUL(x, w);  y = REQUANTIZE(ADD(p0 * scale[c], b))

Without products the pixels go through the program in strips; with products it stands behind each of their tiles.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from compiler.codelets.base import Codelet, Finish, Operand, Operation, pixel
from compiler.codelets.contraction import contraction
from compiler.codelets.product import product
from compiler.codelets.rows.row_program import Chain, Constant, Lookup, Product, RowProgram, Value
from compiler.codelets.rows.rowwise import NEWTON_STEPS, Writer, row_codelet, row_names, used_operations
from compiler.ir.conv import Conv
from compiler.ir.expression import Digits, Expression, Sums
from compiler.ir.floats import Term
from compiler.ir.network import Network, Node, Shape4


@dataclass(frozen=True, eq=False)
class _Number:
    """An operand of a step: the value `name` times `scale`; or times one number a channel, `bias` added before that."""

    name: str
    scale: float = 1.0
    channel_scale: np.ndarray | None = None
    bias: np.ndarray | None = None

    def negative(self) -> _Number:
        """The same with the other sign."""
        return replace(self, scale=-self.scale, channel_scale=None if self.channel_scale is None else -self.channel_scale)


class _Program:
    """Writes the steps of an Expression. `names`: values of the inputs that are operands themselves."""

    def __init__(self, attrs: Expression, out: Writer, names: dict[int, str]) -> None:
        self.attrs, self.out, self.names = attrs, out, names
        self.folded = self._folds()
        self.uses = [i for number, (kind, *pair) in enumerate(attrs.operations)
                     for i in (pair[:1] if kind == "DIV" else self.folded[number][:1] if number in self.folded else pair)]  # fmt: skip
        self.numbers: list[_Number] = []
        self.constants: dict[int, np.ndarray] = {}
        self.products = {i: number for number, i in enumerate(i for i, t in enumerate(attrs.terms) if isinstance(t, Sums))}

    def _folds(self) -> dict[int, tuple[int, int]]:
        """Products of the result of another operation and one number, which are scales of those who read them: operation -> (that result, the number)."""
        found: dict[int, tuple[int, int]] = {}
        first = len(self.attrs.terms)
        for number, (kind, i, j) in enumerate(self.attrs.operations):
            i, j = (j, i) if j >= first else (i, j)
            term = self.attrs.terms[j] if j < first else None
            one = isinstance(term, Term) and term.constant is not None and term.constant.size == 1 and 2.0**-126 <= abs(float(term.constant[0])) <= 2.0**126
            if kind == "MUL" and one and i >= first and i - first not in found and self.attrs.operations[i - first][0] != "DIV":
                found[number] = i, j
        return found

    def write(self) -> None:
        """Append everything: bytes come before the first number of 32 bits, as from there on the channels may be taken in pieces."""
        terms = self.attrs.terms
        digits = {i: self._looked_up(f"f{i}", self.names[t.source], t) for i, t in enumerate(terms) if isinstance(t, Digits)}
        for i, term in enumerate(terms):
            if isinstance(term, Digits):
                self.numbers.append(_Number(*self._total(f"f{i}", digits[i], term.unit)))
            elif isinstance(term, Sums):
                self.numbers.append(self._sums(f"p{self.products[i]}", term))
            elif term.constant is None:
                self.numbers.append(_Number(self.names[term.source], term.scale))
            elif i not in self.uses:  # a divisor
                self.numbers.append(_Number(""))
            else:
                self.numbers.append(_Number(f"k{i}"))
                self.constants[i] = term.constant
                if not self.products:
                    self._made(i)
        finish: dict[str, Any] = {"divisor": self.attrs.y_scale, "zero": self.attrs.y_zero, "low": self.attrs.y_low, "high": self.attrs.y_high}
        last = len(self.attrs.operations) - 1
        for number, (kind, i, j) in enumerate(self.attrs.operations):
            if kind == "DIV":
                self._divide(f"s{number}", i, j)
                continue
            if number in self.folded:
                i, j = self.folded[number]
                self.numbers.append(replace(self.numbers[i], scale=float(self.attrs.terms[j].constant[0])))  # type: ignore[union-attr, index]
                continue
            for k in sorted((i, j), key=lambda k: k not in self.products):
                self._made(k)
            a, b = self.numbers[i], self.numbers[j]
            if kind == "QUOTIENT":
                kind, b = "MUL", self._over(f"r{number}", b)
            self._chain("y" if number == last else f"s{number}", kind, a, b, finish if number == last else {})
            self.numbers.append(_Number(f"s{number}"))
        if not self.attrs.operations or self.attrs.operations[-1][0] == "DIV" or last in self.folded:
            self._one("y", self._made(len(self.numbers) - 1), finish)

    def _constant(self, i: int) -> None:
        values = self.constants.pop(i)
        self.out.add(Value("one" if values.size == 1 else "channel", "f32"), Constant(f"k{i}", values))

    def _looked_up(self, name: str, source: str, term: Digits) -> list[str]:
        """Append the digits of a function; return their names, the highest first."""
        last = len(term.tables) - 1
        return [
            self.out.add(Value("element", "u8", -term.lowest if k == last else 0), Lookup(f"{name}d{k}", source, term.tables[k])) for k in range(last, -1, -1)
        ]

    def _total(self, name: str, digits: list[str], unit: float) -> tuple[str, float]:
        """Append the sum of digits, the highest first; returns (value, its scale)."""
        scales = [unit * 256.0**k for k in range(len(digits) - 1, -1, -1)]
        total, scale = digits[0], scales[0]
        for k in range(1, len(digits)):
            total, scale = self.out.wide(f"{name}s{k}", total, digits[k], "ADD", scale_a=scale, scale_b=scales[k], extent="element"), 1.0
        return total, scale

    @staticmethod
    def _sums(name: str, term: Sums) -> _Number:
        bias = term.product.bias
        if (term.scale == term.scale[0]).all() and (bias is None or not bias.any()):
            return _Number(name, float(term.scale[0]))
        return _Number(name, 1.0, term.scale, np.zeros(term.scale.size, np.int32) if bias is None else bias)

    def _made(self, i: int) -> _Number:
        """The operand `i`, made where it is first used; a product that is used more than once becomes a float32 number."""
        if i in self.constants:
            self._constant(i)
        if i in self.products:
            number = self.products.pop(i)
            self.out.add(Value("element", "i32"), Product(f"p{number}", number))
            if self.uses.count(i) > 1:
                self._one(f"f{i}", self.numbers[i], {})
                self.numbers[i] = _Number(f"f{i}")
        return self.numbers[i]

    def _one(self, result: str, a: _Number, finish: dict[str, Any]) -> None:
        self.out.add(Value("element", "f32"), Chain(result, a.name, scale_a=a.scale, channel_scale=a.channel_scale, channel_bias=a.bias, **finish))

    def _chain(self, result: str, kind: str, a: _Number, b: _Number, finish: dict[str, Any]) -> None:
        """Append `kind` of two numbers: the one with a scale a channel is operand a, and no instruction reads a value twice at once."""
        if kind == "SUB":
            kind, b = "ADD", b.negative()
        same = a.name == b.name and (a.scale == b.scale or (kind == "ADD" and a.scale == -b.scale))
        if same and kind in ("ADD", "MIN", "MAX"):  # twice a number or none of it, or itself
            self._one(result, replace(a, scale=a.scale + b.scale if kind == "ADD" else a.scale), finish)
            return
        if a.name == b.name or (a.channel_scale is not None and b.channel_scale is not None):
            self._one(f"{result}c", b, {})
            b = _Number(f"{result}c")
        if b.channel_scale is not None:
            a, b = b, a
        self.out.add(
            Value("element", "f32"), Chain(result, a.name, b.name, kind, a.scale, b.scale, a.channel_scale, channel_bias=a.bias, **finish)
        )

    def _over(self, name: str, b: _Number) -> _Number:
        """Append the steps to the reciprocal of a number."""
        if b.channel_scale is not None:
            self._one(f"{name}v", b, {})
            b = _Number(f"{name}v")
        r = self.out.add(Value("element", "f32"), Chain(f"{name}e", b.name, scale_a=b.scale, estimate="RECIPROCAL_ESTIMATE"))
        for i in range(NEWTON_STEPS):
            t = self.out.wide(f"{name}t{i}", b.name, r, "MUL", scale_a=b.scale, extent="element")
            t = self.out.wide(f"{name}u{i}", t, r, "MUL", extent="element")
            r = self.out.wide(f"{name}r{i}", r, t, "ADD", scale_a=2.0, scale_b=-1.0, extent="element")
        return _Number(r)

    def _divide(self, result: str, i: int, j: int) -> None:
        """Append a division by a constant: of the step that made the number, or of its own."""
        divisor = self.attrs.terms[j]
        assert isinstance(divisor, Term) and divisor.constant is not None, "a divisor is a constant"
        by, a = float(divisor.constant[0]), self._made(i)
        before = self.out.steps[-1] if self.out.steps else None
        if isinstance(before, Chain) and before.result == a.name and before.divisor == 1 and self.uses.count(i) == 1:
            self.out.steps[-1] = replace(before, divisor=by)
            self.numbers.append(a)
        else:
            self._one(result, a, {"divisor": by})
            self.numbers.append(_Number(result))


def expression(node: Node, network: Network) -> Codelet:
    """Codelet of an Expression node; the arithmetic is that of `compiler.ir.expression`."""
    attrs = node.attrs
    assert isinstance(attrs, Expression)
    tensors, y = [network.tensors[name] for name in node.inputs], network.tensors[node.outputs[0]]
    sources = sorted({t.source for t in attrs.terms if not isinstance(t, Sums) and not (isinstance(t, Term) and t.constant is not None)})
    roles = row_names(len(sources) + 1)[1:] if attrs.sums else row_names(len(sources))
    names = dict(zip(sources, roles, strict=True))
    values = {name: Value("element", tensors[i].dtype, tensors[i].zero_point) for i, name in names.items()}
    out = Writer(values.get("x", Value("element", "u8")), Value("element", y.dtype))
    out.values |= values
    _Program(attrs, out, names).write()
    program = RowProgram(out.values, tuple(out.steps))
    return _behind_products(node, network, program, names) if attrs.sums else row_codelet(node, network, program)


def _behind_products(node: Node, network: Network, program: RowProgram, names: dict[int, str]) -> Codelet:
    """Products with a program behind each of their tiles; all of them, and the inputs that are operands themselves, have one view of the result."""
    attrs = node.attrs
    assert isinstance(attrs, Expression)
    made = [_head(node, network, term, None) for term in attrs.sums]
    view = next((h.operands["y"].shape for h, t in zip(made, attrs.sums, strict=True) if not pointwise(t)), made[0].operands["y"].shape)
    heads = tuple(_head(node, network, term, view) for term in attrs.sums)
    operands = {f"{role}{number or ''}": h.operands[role] for number, h in enumerate(heads) for role in ("x", "w")}
    for i, name in names.items():
        t = network.tensors[node.inputs[i]]
        operands[name] = Operand(t.dtype, view, pixel("oc"), tensor=t.name, zero=t.zero_point)
    y = network.tensors[node.outputs[0]]
    operands["y"] = Operand(y.dtype, view, pixel("oc"), tensor=y.name)
    operations = (Operation("MATMUL", "acc", ("x", "w")), *(Operation(name, "y", ("acc",)) for name in (*used_operations(program), "REQUANTIZE")))
    return Codelet(
        node.name, node.op, "expression", heads[0].loops, operands, operations, Finish("float"), node.origin, network.macs(node), program=program, heads=heads
    )


def pointwise(term: Sums) -> bool:
    """Whether a product is one of rows, which may be seen as any images."""
    a = term.product
    return isinstance(a, Conv) and (*a.weight.shape[2:], *a.strides, *a.pads) == (1, 1, 1, 1, 0, 0, 0, 0)


def _head(node: Node, network: Network, term: Sums, view: Shape4 | None) -> Codelet:
    """The codelet of a product, its result seen as `view`."""
    part = replace(node, attrs=term.product, inputs=tuple(node.inputs[i] for i in term.sources))
    if isinstance(term.product, Conv):
        return contraction(replace(part, attrs=replace(term.product, bias=None)), network, view if pointwise(term) else None)
    return product(replace(part, attrs=replace(term.product, bias=None)), network)


__all__ = ["expression", "pointwise"]
