"""Softmax over the channels of each pixel, in four kernels with what is between them in memory: a vector of neighbouring pixels an iteration.

    before   u = q - lowest;  m = max u;  e = tables[u - m];  S = sum 255 e0 + e1;  r = 1 / S;  y = REQUANTIZE((255 e0 + e1) * r)
    after    shifted     u[plane] = REQB(x[plane] min mask)                       channels beyond the last count as the lowest
             digits      m = MAXV over planes, then over a granule by rotations;  e0, e1 = REQB(u - m) by two tables;  S = DOTV(e0, 255) + DOTV(e1, 1), likewise
             reciprocal  r = EST(CVT(S)), and Newton's step twice; PERM spreads it over the lanes of its pixels
             weighted    w = LMAC(e0, 255) + LMAC(e1, 1), for each quarter;  y = REQ(w, r of its pixels)

Intermediate vectors of an iteration lie one behind the other, so that one stream stores all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from compiler.kernels.body import Body, Item
from compiler.kernels.core import Core
from compiler.kernels.unroll import cell

__all__ = ["NEEDED", "SoftmaxRows", "digits", "reciprocal", "shifted", "weighted"]

#: What slots must issue.
NEEDED = ("LDV", "STV", "REQB", "REQ", "MAXV", "ADDV", "PERM", "DOTV", "LMAC", "CVT", "EST", "FMUL", "FADD", "FSUB")
#: Numbers of what REQB does with two operands.
ADD, MIN = 1, 3
#: Steps of Newton's iteration.
STEPS = 2


@dataclass(frozen=True)
class SoftmaxRows:
    """`planes` of a granule of channels that a pixel has."""

    planes: int


def rotation(size_bytes: int) -> int:
    """Number of the permutation that rotates granules by so many bytes, a power of two."""
    return 2 + size_bytes.bit_length() - 1


def spread(core: Core, quarter: int) -> int:
    """Number of the permutation that spreads a quarter's pixels over lanes."""
    return 2 + (core.granule_bytes.bit_length() - 1) + (core.pixels.bit_length() - 1) + quarter


def _constants(*names: str) -> tuple[Item, ...]:
    return tuple(Item("LDV", name, stream="in2") for name in names)


def _quarters(result: str, a: str, b: str, number: int, pairing: int) -> list[Item]:
    return [
        Item("REQB", result, {"a": a, "b": b}, {"quarter": q, "qa": q, "qb": q, "set": number, "op": pairing}, partial=True) for q in range(4)
    ]


def _all(core: Core, operation: str, value: str, name: str, least_bytes: int, numbers: dict[str, int]) -> tuple[list[Item], str]:
    """All parts of a granule, from so many bytes on, with each other: every part has the result."""
    items: list[Item] = []
    size = core.granule_bytes // 2
    while size >= least_bytes:
        turned, both = f"{name}.r{size}", f"{name}.{size}"
        items.append(Item("PERM", turned, {"a": value, "b": value}, {"pattern": rotation(size)}))
        items.append(Item(operation, both, {"a": value, "b": turned}, numbers))
        value, size = both, size // 2
    return items, value


def shifted(shape: SoftmaxRows, core: Core) -> Body:
    """u of each plane: in0 to out0; in2 has masks of a whole plane and of the last."""
    items: list[Item] = []
    for plane in range(shape.planes):
        x, u = cell("x", plane), cell("u", plane)
        mask = "last" if plane == shape.planes - 1 else "all"
        items += [Item("LDV", x, stream="in0"), *_quarters(u, x, mask, 0, MIN), Item("STV", reads={"a": u}, numbers={"first": 0}, stream="out0")]
    return Body(tuple(items), _constants("all", "last"))


def digits(shape: SoftmaxRows, core: Core) -> Body:
    """e0 and e1 of each plane, then S: in0 and, once more, in1 to out0; in2 has zeros and, of a whole plane and of the last, 255 and 1 in each channel."""
    items: list[Item] = [Item("LDV", cell("u", plane), stream="in0") for plane in range(shape.planes)]
    largest = cell("u", 0)
    for plane in range(1, shape.planes):
        items.append(Item("MAXV", cell("m", plane), {"a": largest, "b": cell("u", plane)}, {"form": 0}))
        largest = cell("m", plane)
    more, largest = _all(core, "MAXV", largest, "most", 1, {"form": 0})
    items += more
    total = "zero"
    for plane in range(shape.planes):
        last = plane == shape.planes - 1
        items.append(Item("LDV", cell("again", plane), stream="in1"))
        for digit, weight in ((0, "high"), (1, "low")):
            e = cell(f"e{digit}", plane)
            items += _quarters(e, cell("again", plane), largest, digit, ADD)
            items.append(Item("STV", reads={"a": e}, numbers={"first": 0}, stream="out0"))
            items.append(Item("DOTV", cell("s", plane, digit), {"c": total, "a": e, "b": f"{weight}.{'last' if last else 'all'}"}))
            total = cell("s", plane, digit)
    more, total = _all(core, "ADDV", total, "sum", 4, {})
    items += [*more, Item("STV", reads={"a": total}, numbers={"first": 0}, stream="out0")]
    return Body(tuple(items), _constants("zero", "high.all", "low.all", "high.last", "low.last"))


def reciprocal(shape: SoftmaxRows, core: Core) -> Body:
    """r of S, spread over the lanes of each quarter: in0 to out0."""
    items = [Item("LDV", "S", stream="in0"), Item("CVT", "f", {"a": "S"}), Item("EST", "r0", {"a": "f"}, {"form": 0})]
    for step in range(STEPS):
        r = f"r{step}"
        items += [
            Item("FMUL", f"t{step}", {"a": "f", "b": r}), Item("FMUL", f"v{step}", {"a": f"t{step}", "b": r}), Item("FADD", f"d{step}", {"a": r, "b": r}),
            Item("FSUB", f"r{step + 1}", {"a": f"d{step}", "b": f"v{step}"}),
        ]
    for q in range(4):
        items.append(Item("PERM", cell("scale", q), {"a": f"r{STEPS}", "b": f"r{STEPS}"}, {"pattern": spread(core, q)}))
        items.append(Item("STV", reads={"a": cell("scale", q)}, numbers={"first": 0}, stream="out0"))
    return Body(tuple(items), ())


def weighted(shape: SoftmaxRows, core: Core) -> Body:
    """y of each plane: in0 (e0 and e1 of each plane) and in1 (r of each quarter) to out0; in2 has zeros, and 255 and 1 in each lane."""
    items: list[Item] = [Item("LDV", cell("scale", q), stream="in1") for q in range(4)]
    for plane in range(shape.planes):
        e0, e1, y = cell("e0", plane), cell("e1", plane), cell("y", plane)
        items += [Item("LDV", e0, stream="in0"), Item("LDV", e1, stream="in0")]
        for q in range(4):
            w0, w1 = cell("w0", plane, q), cell("w1", plane, q)
            items += [Item("LMAC", w0, {"c": "zero", "a": e0, "b": "high"}, {"k": q}), Item("LMAC", w1, {"c": w0, "a": e1, "b": "low"}, {"k": q})]
            items.append(Item("REQ", y, {"a": w1, "b": cell("scale", q)}, {"quarter": q, "pack": 1, "set": 0, "form": 0}, partial=True))
        items.append(Item("STV", reads={"a": y}, numbers={"first": 0}, stream="out0"))
    return Body(tuple(items), _constants("zero", "high", "low"))
