"""Float32 operations on several tensors and on functions of them, as a micro-program whose intermediate values stay on chip.

    for each element:  d1 = TABLE(b);  d0 = TABLE(b);  f = ADD(d1 * 256, d0);  y = REQUANTIZE(MUL(a, f))
"""

from __future__ import annotations

from dataclasses import replace

from compiler.codelets.base import Codelet
from compiler.codelets.row_program import Chain, Constant, Lookup, RowProgram, Value
from compiler.codelets.rowwise import Writer, row_codelet, row_names
from compiler.ir.expression import Digits, Expression
from compiler.ir.floats import Term
from compiler.ir.graph import Graph, Node


def _looked_up(out: Writer, name: str, source: str, term: Digits) -> list[str]:
    """Append the digits of a function; return their names, the highest first."""
    last = len(term.tables) - 1
    return [out.add(Value("element", "u8", -term.lowest if k == last else 0), Lookup(f"{name}d{k}", source, term.tables[k])) for k in range(last, -1, -1)]


def _total(out: Writer, name: str, digits: list[str], unit: float) -> tuple[str, float]:
    """Append the sum of digits, the highest first; returns (value, its scale)."""
    scales = [unit * 256.0**k for k in range(len(digits) - 1, -1, -1)]
    total, scale = digits[0], scales[0]
    for k in range(1, len(digits)):
        total, scale = out.wide(f"{name}s{k}", total, digits[k], "ADD", scale_a=scale, scale_b=scales[k], extent="element"), 1.0
    return total, scale


def expression(node: Node, graph: Graph) -> Codelet:
    """Codelet of an Expression node; the arithmetic is that of `compiler.ir.expression`."""
    attrs = node.attrs
    assert isinstance(attrs, Expression)
    tensors, y = [graph.tensors[name] for name in node.inputs], graph.tensors[node.outputs[0]]
    names = row_names(len(tensors))
    values = {name: Value("element", t.dtype, t.zero_point) for name, t in zip(names, tensors, strict=True)}
    out = Writer(values["x"], Value("element", y.dtype))
    out.values |= values
    # Bytes come before the first number of 32 bits: from there on the channels may be taken in pieces.
    digits = {i: _looked_up(out, f"f{i}", names[t.source], t) for i, t in enumerate(attrs.terms) if isinstance(t, Digits)}
    operands: list[tuple[str, float]] = []
    used = [number for kind, i, j in attrs.operations for number in ((i,) if kind == "DIV" else (i, j))]
    for i, term in enumerate(attrs.terms):
        if i not in used:  # a divisor
            operands.append(("", 1.0))
        elif isinstance(term, Digits):
            operands.append(_total(out, f"f{i}", digits[i], term.unit))
        elif term.constant is None:
            operands.append((names[term.source], term.scale))
        else:
            extent = "one" if term.constant.size == 1 else "channel"
            operands.append((out.add(Value(extent, "f32"), Constant(f"k{i}", term.constant)), 1.0))
    finish = {"divisor": attrs.y_scale, "zero": attrs.y_zero, "low": attrs.y_low, "high": attrs.y_high}
    last = len(attrs.operations) - 1
    for number, (kind, i, j) in enumerate(attrs.operations):
        (a, scale_a), (b, scale_b) = operands[i], operands[j]
        if kind == "DIV":
            divisor = attrs.terms[j]
            assert isinstance(divisor, Term) and divisor.constant is not None, "a divisor is a constant"
            by, before = float(divisor.constant[0]), out.steps[-1] if out.steps else None
            if isinstance(before, Chain) and before.result == a and before.divisor == 1 and used.count(i) == 1:
                out.steps[-1] = replace(before, divisor=by)
            else:
                a = out.add(Value("element", "f32"), Chain(f"s{number}", a, scale_a=scale_a, divisor=by))
            operands.append((a, 1.0))
            if number == last:
                out.steps.append(Chain("y", a, **finish))  # type: ignore[arg-type]
            continue
        if kind == "SUB":
            kind, scale_b = "ADD", -scale_b
        if number == last:
            out.steps.append(Chain("y", a, b, kind, scale_a, scale_b, **finish))  # type: ignore[arg-type]
        else:
            operands.append((out.wide(f"s{number}", a, b, kind, scale_a=scale_a, scale_b=scale_b, extent="element"), 1.0))
    return row_codelet(node, graph, RowProgram(out.values, tuple(out.steps)))


__all__ = ["expression"]
