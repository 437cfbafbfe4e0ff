"""The rule of float32 operations that nothing quantises."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from compiler.ir.expression import KINDS, Digits, Expression, Sums
from compiler.ir.floats import Term
from compiler.ir.network import MatMul, Tensor
from compiler.ir.rules.common import check_clamp, check_quantisation, expect
from compiler.ir.rules.products import check_kernel, check_matrices


def _expression(where: str, a: Expression, *operands: Tensor) -> None:
    *tensors, y = operands
    multiplied = {i for t in a.sums for i in t.sources}
    read = {t.source for t in a.terms if isinstance(t, Digits) or (isinstance(t, Term) and t.constant is None)}
    shapes = {tensors[i].shape for i in read if i < len(tensors)}
    expect(shapes <= {y.shape}, where, f"shapes {', '.join(str(t.shape) for t in operands)}", "one shape")
    expect(read | multiplied == set(range(len(tensors))), where, "an input that is no term", "terms of every input")
    for term in a.terms:
        if isinstance(term, Sums):
            _sums(where, term, [tensors[i] for i in term.sources], y)
        elif isinstance(term, Digits):
            sane = bool(term.tables) and all(t.dtype == np.uint8 and t.shape == (256,) for t in term.tables)
            places = term.unit >= 2.0**-126 and term.unit * 256.0 ** len(term.tables) <= 2.0**120
            places = places and (len(term.tables) == 1 or float(np.frexp(term.unit)[0]) == 0.5)
            expect(sane and places and -255 <= term.lowest <= 0, where, f"{len(term.tables)} digits of {term.unit} from {term.lowest}",
                    "tables of 256 bytes from -255 to 0, places from 2^-126 to 2^112")  # fmt: skip
        elif term.constant is None:
            check_quantisation(where, tensors[term.source], term.scale, term.zero)
        else:
            sane = term.constant.dtype == np.float32 and term.constant.shape in ((1,), y.shape[1:2]) and bool(np.isfinite(term.constant).all())
            expect(sane, where, f"a constant {term.constant.dtype} {term.constant.shape}", f"finite float32 ({y.shape[1]},) or (1,)")
    made = len(a.terms) + len(a.operations) - 1
    early = all(kind in KINDS and max(i, j) < len(a.terms) + k for k, (kind, i, j) in enumerate(a.operations))
    expect(early and {i for _, *pair in a.operations for i in pair} == set(range(made)), where, f"operations {a.operations}",
            f"known ones that use all of {made} numbers, none before it is made")  # fmt: skip
    divisors = [a.terms[j] if j < len(a.terms) else None for kind, _, j in a.operations if kind == "DIV"]
    sane = all(isinstance(t, Term) and t.constant is not None and t.constant.size == 1 and t.constant[0] != 0 for t in divisors)
    expect(sane, where, "a divisor that is no constant", "one number, not 0")
    check_quantisation(where, y, a.y_scale, a.y_zero)
    check_clamp(where, a.y_low, a.y_high, y)


def _sums(where: str, term: Sums, operands: list[Tensor], y: Tensor) -> None:
    a, oc = term.product, y.shape[1]
    expect(a.y_scale is None and len(operands) == (2 if isinstance(a, MatMul) else 1), where, f"a product of {len(operands)}", "sums, of one or two operands")
    if isinstance(a, MatMul):
        check_matrices(where, a, operands[0], operands[1], y)
    else:
        check_kernel(where, a, operands[0], y)
        if a.bias is not None:
            expect(a.bias.dtype == np.int32 and a.bias.shape == (oc,), where, f"bias {a.bias.dtype} {a.bias.shape}", f"int32 ({oc},)")
    size = np.abs(term.scale)
    sane = term.scale.dtype == np.float32 and term.scale.shape == (oc,) and bool(np.all((size == 0) | ((size >= 2.0**-126) & (size <= 2.0**64))))
    expect(sane, where, f"scales {term.scale.dtype} {term.scale.shape}", f"float32 ({oc},), each 0 or from 2^-126 to 2^64")


#: Of each class of attributes: number of inputs, rule.
RULES: dict[type, tuple[int, Callable[..., None]]] = {
    Expression: (1, _expression),
}
