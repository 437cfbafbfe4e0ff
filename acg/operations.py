"""What operations mean, as far as types and shapes go: the one table of them. Their arithmetic stands in `acg.primitives`.

An operand is indexed by named dimensions, and an engine's capability gives each of them a size. A dimension of the result is parallel, any
other is reduced:

    MATMUL     y[c] += a[r] * w[r,c]        parallel c, reduced r
    DOT        y[l] += a[q] * w[l,q]        parallel l, reduced q: a word of q elements, broadcast
    MAC        y[l] += a[l] * b[l]          parallel l
    WINDOW_MAC y[l] += a[t,l] * w[t,l]      parallel l, reduced t
    WINDOW_MAX y[l] max= a[t,l]             parallel l, reduced t
    ADD ...    y[l] = a[l] + b[l]           lane by lane
    FAKE_QUANTIZE  y[l] = a[l]              rounded, limited and scaled again: what a byte in between would be worth
    BROADCAST_MAC  y[l] += a * b[l]         parallel l, a has no dimension: one element of a word, in every lane

The last dimension of an operand lies in one word, those before it are further words.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from acg.description.capability import Capability, Operand

__all__ = ["OPERATIONS", "Formula", "Typed", "signature"]


@dataclass(frozen=True)
class Typed:
    """An operand: its element type (``i9`` holds an 8-bit value minus a zero point) and the dimensions that index it."""

    element: str
    dimensions: tuple[str, ...]


@dataclass(frozen=True)
class Formula:
    """An operation's result and operands."""

    result: Typed
    operands: tuple[Typed, ...]

    @property
    def parallel(self) -> tuple[str, ...]:
        """Dimensions of the result."""
        return self.result.dimensions

    @property
    def reduced(self) -> tuple[str, ...]:
        """Dimensions that the result has not, in the order in which operands name them."""
        named = dict.fromkeys(dimension for operand in self.operands for dimension in operand.dimensions)
        return tuple(dimension for dimension in named if dimension not in self.parallel)


def _lanes(result: str, *operands: str) -> Formula:
    """One element a lane of everything."""
    return Formula(Typed(result, ("l",)), tuple(Typed(element, ("l",)) for element in operands))


OPERATIONS: dict[str, Formula] = {
    "COPY": _lanes("i8", "i8"),
    "MATMUL": Formula(Typed("i32", ("c",)), (Typed("i9", ("r",)), Typed("i9", ("r", "c")))),
    "WINDOW_MAC": Formula(Typed("i32", ("l",)), (Typed("i9", ("t", "l")), Typed("i9", ("t", "l")))),
    "WINDOW_MAX": Formula(Typed("i32", ("l",)), (Typed("i9", ("t", "l")),)),
    "DOT": Formula(Typed("i32", ("l",)), (Typed("i9", ("q",)), Typed("i9", ("l", "q")))),
    "MAC": _lanes("i32", "i9", "i9"),
    "BROADCAST_MAC": Formula(Typed("i32", ("l",)), (Typed("i9", ()), Typed("i9", ("l",)))),
    "SUM": _lanes("i32", "i9"),
    "MAXIMUM": _lanes("i32", "i9"),
    **{name: _lanes("f32", "f32", "f32") for name in ("ADD", "MUL", "MIN", "MAX")},
    "FAKE_QUANTIZE": _lanes("f32", "f32"),
    "REQUANTIZE": _lanes("i8", "f32", "f32"),
    "TABLE": _lanes("i8", "i8"),
    **{name: _lanes("f32", "f32") for name in ("RECIPROCAL_ESTIMATE", "RSQRT_ESTIMATE")},
}


def signature(operation: str, sizes: Mapping[str, int], formulas: Mapping[str, Formula] = OPERATIONS) -> Capability:
    """The capability in the paper's notation, ``sizes`` giving each dimension its number; ``formulas``: where operations from outside stand too.

    >>> str(signature("MATMUL", {"c": 8, "r": 4}))
    '(i32,8)=MATMUL((i9,4),(i9,4,8))'
    """
    formula = formulas[operation]

    def operand(typed: Typed) -> Operand:
        return Operand(typed.element[0], int(typed.element[1:]), tuple(sizes[dimension] for dimension in typed.dimensions))

    return Capability(operation, operand(formula.result), tuple(map(operand, formula.operands)))
