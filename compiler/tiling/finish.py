"""The finishing chain of a codelet as fields of a vector instruction."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from acg.primitives import divide_constant, scale_constant
from compiler.codelets import Finish

#: Codes of the fields `reduce` and `binary`, the latter by operation.
REDUCE = {"none": 0, "sum": 1, "max": 2}
BINARY = {"none": 0, "ADD": 1, "MUL": 2, "MIN": 3, "MAX": 4}


@dataclass(frozen=True)
class Region:
    """A rectangle (y0, y1, x0, x1) of outputs that share scale_a and divisor."""

    box: tuple[int, int, int, int]
    scale_a: float
    divisor: float


def _runs(values: np.ndarray, lo: int, hi: int) -> list[tuple[int, int]]:
    cuts = [lo] + [i for i in range(lo + 1, hi) if not np.array_equal(values[i], values[i - 1])] + [hi]
    return list(itertools.pairwise(cuts))


def regions(finish: Finish, box: tuple[int, int, int, int]) -> list[Region]:
    """Rectangles that cover a tile of outputs, each with one divisor of its average; the tile itself where nothing varies."""
    if finish.divisors is None:
        return [Region(box, finish.scale_a, finish.divisor)]
    y0, y1, x0, x1 = box
    table = finish.divisors
    found = []
    for ya, yb in _runs(table, y0, y1):
        for xa, xb in _runs(table.T, x0, x1):
            found.append(Region((ya, yb, xa, xb), *finish.scale_of[int(table[ya, xa])]))
    return found


def _bits(value: float) -> int:
    return int(np.array(value, np.float32).view(np.uint32))


def finish_fields(finish: Finish, y_dtype: str, region: Region) -> dict[str, int]:
    """Fields of the chain behind the reduction, without those of the operand streams."""
    fields = {"y_zero": finish.zero, "y_low": finish.low, "y_high": finish.high, "numeric": int(finish.kind == "float")}
    if finish.kind == "float":
        high, low = divide_constant(region.divisor) if region.divisor != 1.0 else scale_constant(1.0)
        fields |= {"scale_a": _bits(region.scale_a), "scale_b": _bits(finish.scale_b), "scale_y": high, "scale_y_low": low}
    return fields
