"""Masks: what is added to numbers of which exponentials are taken, so far below them that nothing is left."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from compiler.front.state.values import Const, Formula, Operation, Table

#: As far below any other number as minus infinity, and a number that the machine can add.
FAR = np.float32(-(2.0**40))


def finite(value: Formula) -> Formula:
    """Return a formula whose constants and functions below FAR, reached through sums and extremes alone, are FAR: as exponents they are the same."""
    if isinstance(value, Const) and value.array.size and value.array.min() < FAR:
        return Const(np.maximum(value.array, FAR).astype(np.float32))
    if isinstance(value, Table) and value.floats.min() < FAR:
        return replace(value, floats=np.maximum(value.floats, FAR), operation=None)
    if isinstance(value, Operation) and value.kind in ("ADD", "SUB", "MIN", "MAX"):
        a, b = finite(value.a), value.b if value.kind == "SUB" else finite(value.b)
        return value if (a, b) == (value.a, value.b) else replace(value, a=a, b=b)
    return value


__all__ = ["FAR", "finite"]
