"""Rules of functions of one tensor and of several, element by element."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from compiler.ir.elementwise import BINARY_KINDS, Binary
from compiler.ir.floats import Quotient, Sum
from compiler.ir.network import Add, Tensor, Unary
from compiler.ir.rules.common import check_clamp, check_quantisation, expect


def _add(where: str, a: Add, x: Tensor, x2: Tensor, y: Tensor) -> None:
    expect(x.shape == x2.shape == y.shape, where, f"shapes {x.shape} + {x2.shape} = {y.shape}", "three equal shapes")
    check_quantisation(where, x, a.a_scale, a.a_zero)
    check_quantisation(where, x2, a.b_scale, a.b_zero)
    check_quantisation(where, y, a.y_scale, a.y_zero)
    check_clamp(where, a.y_low, a.y_high, y)


def _unary(where: str, a: Unary, x: Tensor, y: Tensor) -> None:
    expect(a.table.dtype == np.uint8 and a.table.shape == (256,), where, f"table {a.table.dtype} {a.table.shape}", "uint8 (256,)")
    expect(x.shape == y.shape, where, f"output {y.shape}", x.shape)
    expect("i32" not in (x.dtype, y.dtype), where, "an i32 operand", "8-bit tensors")


def _binary(where: str, a: Binary, *operands: Tensor) -> None:
    *tensors, y = operands
    shapes = [t.shape for t in tensors]
    zeros = [a.a_zero, a.b_zero]
    if a.constant is not None:
        expect(a.constant.dtype in (np.int8, np.uint8) and a.constant.ndim == 4, where, f"a constant {a.constant.dtype}", "int8 or uint8, four dimensions")
        shapes.insert(0 if a.constant_first else 1, a.constant.shape)  # type: ignore[arg-type]
        zeros.pop(0 if a.constant_first else 1)
    expect(a.kind in BINARY_KINDS, where, f"kind {a.kind}", f"one of {', '.join(BINARY_KINDS)}")
    fits = all(max(p, q) == r and min(p, q) in (1, r) for p, q, r in zip(*shapes, y.shape, strict=True)) and shapes[0][1] == shapes[1][1]
    expect(fits, where, f"shapes {shapes[0]} and {shapes[1]} to {y.shape}", "shapes that broadcast over N, H, W")
    expect(a.a_scale.dtype == np.float32 and a.a_scale.shape in ((1,), y.shape[1:2]), where, f"scales {a.a_scale.shape}", f"({y.shape[1]},) or (1,)")
    expect(bool(np.isfinite(a.a_scale).all() and np.isfinite(a.b_scale)), where, f"scales {a.a_scale} and {a.b_scale}", "finite numbers")
    for t, zero in zip(tensors, zeros, strict=True):
        expect(t.scale is None or t.zero_point == zero, where, f"zero {zero}", f"that of {t.name}: {t.zero_point}")
    check_quantisation(where, y, a.y_scale, a.y_zero)
    check_clamp(where, a.y_low, a.y_high, y)


def _sum(where: str, a: Sum, *operands: Tensor) -> None:
    *tensors, y = operands
    expect({t.shape for t in tensors} == {y.shape}, where, f"shapes {', '.join(str(t.shape) for t in operands)}", "one shape")
    expect({t.source for t in a.terms if t.constant is None} == set(range(len(tensors))), where, "an input that is no term", "terms of every input")
    for term in a.terms:
        if term.constant is None:
            check_quantisation(where, tensors[term.source], abs(term.scale), term.zero)
        else:
            sane = term.constant.dtype == np.float32 and term.constant.shape in ((1,), y.shape[1:2]) and bool(np.isfinite(term.constant).all())
            expect(sane, where, f"a constant {term.constant.dtype} {term.constant.shape}", f"finite float32 ({y.shape[1]},) or (1,)")
    used = [i for pair in a.additions for i in pair]
    made = len(a.terms) + len(a.additions) - 1
    expect(sorted(used) == list(range(made)), where, f"additions {a.additions}", f"each of {made} numbers added once")
    early = all(max(pair) < len(a.terms) + k for k, pair in enumerate(a.additions))
    expect(early and 0 < a.factor <= 1, where, f"additions {a.additions}, factor {a.factor}", "numbers before they are added, a factor of at most 1")
    check_quantisation(where, y, a.y_scale, a.y_zero)
    check_clamp(where, a.y_low, a.y_high, y)


def _quotient(where: str, a: Quotient, x: Tensor, b: Tensor, y: Tensor) -> None:
    expect(x.shape == b.shape == y.shape, where, f"shapes {x.shape} / {b.shape} = {y.shape}", "three equal shapes")
    for t, scale, zero in ((x, a.a_scale, a.a_zero), (b, a.b_scale, a.b_zero), (y, a.y_scale, a.y_zero)):
        check_quantisation(where, t, scale, zero)
    check_clamp(where, a.y_low, a.y_high, y)


#: Of each class of attributes: number of inputs, rule.
RULES: dict[type, tuple[int, Callable[..., None]]] = {
    Add: (2, _add),
    Unary: (1, _unary),
    Binary: (2, _binary),
    Sum: (1, _sum),
    Quotient: (2, _quotient),
}
