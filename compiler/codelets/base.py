"""Codelets: an operator as loops, typed operands with affine indices, and operations. No memory, no engine, no tile.

Every operand is indexed (n, c, y, x). An index is an affine function of the loops; one that leaves the tensor is padding.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from compiler.codelets.rows.row_program import RowProgram
from compiler.ir.move import Move


def _nothing() -> np.ndarray:
    return np.zeros(0, np.int8)


@dataclass(frozen=True)
class Loop:
    """A loop of `extent` iterations; `reduction` when its iterations are folded into one result."""

    name: str
    extent: int
    reduction: bool = False


@dataclass(frozen=True)
class Index:
    """Sum of coefficient * loop, plus `offset`.

    >>> print(Index((("oy", 2), ("ky", 1)), -1))
    2*oy + ky - 1
    """

    terms: tuple[tuple[str, int], ...] = ()
    offset: int = 0

    def step(self, loop: str) -> int:
        """Coefficient of a loop, 0 when it does not occur."""
        return dict(self.terms).get(loop, 0)

    def __str__(self) -> str:
        parts = [name if step == 1 else f"{step}*{name}" for name, step in self.terms]
        text = " + ".join(parts) or "0"
        return text if not self.offset else f"{text} {'+' if self.offset > 0 else '-'} {abs(self.offset)}"


@dataclass(frozen=True, eq=False)
class Operand:
    """A typed operand: a tensor of the network (`tensor`, its name) or a `constant`; `shape` (N, C, H, W) as the codelet sees it.

    `zero` is subtracted from each element before use; `index` has an Index each for n, c, y, x.
    """

    dtype: str
    shape: tuple[int, int, int, int]
    index: tuple[Index, Index, Index, Index]
    tensor: str = ""
    constant: np.ndarray = field(default_factory=_nothing)
    zero: int = 0


@dataclass(frozen=True)
class Operation:
    """`result` = `name`(`operands`); names are those of the capabilities: MATMUL, MAC, SUM, MAXIMUM, ADD, MUL, MIN, MAX, REQUANTIZE,
    FAKE_QUANTIZE, TABLE, COPY, and those that packages bring."""

    name: str
    result: str
    operands: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Finish:
    """How an int32 result becomes the output element.

    `kind` 'float': convert, scale (per channel `scale`, or `scale_a`), combine with `scale_b` * b where there is a second operand,
    divide by `divisor`, round; 'int': as it is; 'raw': the int32 leaves as it is. Then add `zero`, clamp to [`low`, `high`], `table`.
    `bias` int32 and `scale` float32 a channel. `divisors` (OH, OW): where the average's divisor varies, `scale_of` gives scale_a.
    """

    kind: str
    zero: int = 0
    low: int = -128
    high: int = 127
    bias: np.ndarray = field(default_factory=_nothing)
    scale: np.ndarray = field(default_factory=_nothing)
    scale_a: float = 1.0
    scale_b: float = 1.0
    divisor: float = 1.0
    table: np.ndarray | None = None
    divisors: np.ndarray | None = None
    scale_of: dict[int, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Rounded:
    """A float32 value in the middle of a chain that is as good as a byte: the nearest integer in [`low`, `high`], the byte's limits less its zero point, times
    `scale`."""

    low: int
    high: int
    scale: float


@dataclass(frozen=True, eq=False)
class Codelet:
    """An operator: `loops` outermost first, `operands` by role ('x', 'b', 'w', 'y'), `operations` in order, `finish`.

    `origin`: names of the ONNX nodes; `macs`: multiplications of the ONNX operator; `group`: channel groups of a contraction;
    `batches`: for each product of a product of two tensors, its matrix of x and of w; `move`: which element
    goes where, of one that only moves data; `program`: the steps of one that reduces the channels of each pixel; `sums`: of a contraction in
    sets of positions (ic, ky, kx) which they are, bool, and the scale of each channel; `addend` float32 a channel, behind their sum;
    `heads`: the products whose sums the program combines, each with a result of the same view; `controls`: fields of its engine by name, of an
    operation that a package brings; `parts`: the codelets that it was merged of, which do the same one after the other; `rounded`: what its scaled sums
    become before they meet the operand b.
    """

    name: str
    op: str
    family: str
    loops: tuple[Loop, ...]
    operands: dict[str, Operand]
    operations: tuple[Operation, ...]
    finish: Finish
    origin: tuple[str, ...] = ()
    macs: int = 0
    group: int = 1
    batches: tuple[tuple[int, ...], tuple[int, ...]] = ((0,), (0,))
    program: RowProgram | None = None
    move: Move | None = None
    sums: tuple[tuple[np.ndarray, np.ndarray], ...] = ()
    addend: np.ndarray | None = None
    heads: tuple[Codelet, ...] = ()
    controls: tuple[tuple[str, int], ...] = ()
    parts: tuple[Codelet, ...] = ()
    rounded: Rounded | None = None

    def extent(self, loop: str) -> int:
        """Iterations of a loop."""
        return next(item.extent for item in self.loops if item.name == loop)

    @property
    def per_channel(self) -> bool:
        """Whether bias and scale come from parameters, a pair a channel."""
        return self.finish.scale.size > 0

    @property
    def depthwise(self) -> bool:
        """Whether each filter sees a single channel of several."""
        weight = self.operands.get("w")
        return weight is not None and weight.constant is not None and weight.shape[1] == 1 < self.operands["x"].shape[1]

    def __str__(self) -> str:
        lines = [f"codelet {self.name}: {self.op}"]
        lines += [f"  {'reduce' if item.reduction else 'for'} {item.name} in {item.extent}" for item in self.loops]
        for role, operand in self.operands.items():
            place = operand.tensor or "constant"
            lines.append(f"  {role}: {operand.dtype} {place}[{', '.join(map(str, operand.index))}]")
        lines += [f"  {item.result} = {item.name}({', '.join(item.operands)})" for item in self.operations]
        return "\n".join(lines)


def window_index(strides: tuple[int, int], dilations: tuple[int, int], pads: tuple[int, int, int, int]) -> tuple[Index, Index]:
    """Indices (y, x) of a sliding window over loops oy, ky and ox, kx; `pads` (top, left, bottom, right)."""
    return (
        Index((("oy", strides[0]), ("ky", dilations[0])), -pads[0]),
        Index((("ox", strides[1]), ("kx", dilations[1])), -pads[1]),
    )


def pixel(channel: str, y: str = "oy", x: str = "ox") -> tuple[Index, Index, Index, Index]:
    """Index (n, channel, y, x) by loops of these names."""
    return (Index((("n", 1),)), Index(((channel, 1),)), Index(((y, 1),)), Index(((x, 1),)))
