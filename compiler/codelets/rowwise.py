"""Operators that reduce the channels of each pixel, as a micro-program: named values and steps on them, no memory, no engine, no tile.

    for each pixel:  total = MATMUL(value, ones);  m = MAXIMUM(x);  value = REQUANTIZE(TABLE(ADD(x, -m)));  y = REQUANTIZE(MUL(w, r))

A value has an extent: one an `element`, one a `pixel`, one a `channel` (the same for all pixels), or `one` for all; an element type, i32
and f32 being kept in 32 bits. From the first wide value an element on, all steps are element by element: a tiler may take the channels of
that tail in pieces.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from compiler.codelets.base import Codelet, Finish, Loop, Operand, Operation, pixel
from compiler.ir import RANGES, Graph, Node
from compiler.ir_rowwise import BASE, LayerNormalization, Softmax

#: Steps of Newton's iteration: from 5.1% (reciprocal) and 3.5% (root) to the last bits of a float32.
NEWTON_STEPS = 3


@dataclass(frozen=True)
class Value:
    """A value of the program: `extent` 'element', 'pixel', 'channel' or 'one'; `dtype` u8, i8, i32 or f32; `zero` is subtracted on reading."""

    extent: str
    dtype: str
    zero: int = 0

    @property
    def wide(self) -> bool:
        """Whether an element takes 32 bits."""
        return self.dtype in ("i32", "f32")


@dataclass(frozen=True)
class Total:
    """`result` (pixel, i32) = sum over the channels of weight * (value - zero), over all (value, weight) of `terms`. Weights 0 to 255."""

    result: str
    terms: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Largest:
    """`result` (pixel, u8) = largest (operand - lowest value of its type) of the channels."""

    result: str
    operand: str


@dataclass(frozen=True, eq=False)
class Constant:
    """`result` (channel or one, f32) = `values`, float32: one a channel, or one."""

    result: str
    values: np.ndarray


@dataclass(frozen=True, eq=False)
class Chain:
    """One pass of a lane-by-lane unit: result = finish((a - zero) * scale_a [* scale of the channel] `binary` (b - zero) * scale_b).

    finish: divide by `divisor`; then, for a wide result, `estimate` of one over it or over its root; for bytes round, add `zero`, clamp to
    [`low`, `high`], look up in `table`. `binary`: ADD, MUL, MAX or none.
    """

    result: str
    a: str
    b: str = ""
    binary: str = ""
    scale_a: float = 1.0
    scale_b: float = 1.0
    channel_scale: np.ndarray | None = None
    divisor: float = 1.0
    estimate: str = ""
    zero: int = 0
    low: int = 0
    high: int = 255
    table: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Lookup:
    """`result` (element, u8) = `table`[raw byte of a]."""

    result: str
    a: str
    table: np.ndarray


Step = Total | Largest | Constant | Chain | Lookup


@dataclass(frozen=True, eq=False)
class RowProgram:
    """`values` by name, 'x' and 'y' among them, and `steps` in order."""

    values: dict[str, Value] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()

    def operands(self, step: Step) -> tuple[str, ...]:
        """Names that a step reads."""
        match step:
            case Total():
                return tuple(name for name, _ in step.terms)
            case Largest():
                return (step.operand,)
            case Lookup():
                return (step.a,)
            case Chain():
                return (step.a, step.b) if step.b else (step.a,)
        return ()

    @property
    def tables(self) -> int:
        """Tables that the steps look up in."""
        return sum(isinstance(step, Chain | Lookup) and step.table is not None for step in self.steps)

    @property
    def tail(self) -> int:
        """Position of the first step that makes a wide value an element, or a constant a channel for it."""
        wide = {name for name, value in self.values.items() if value.wide and value.extent in ("element", "channel")}
        return next((i for i, step in enumerate(self.steps) if step.result in wide), len(self.steps))


class _Writer:
    """Collects values and steps."""

    def __init__(self, x: Value, y: Value) -> None:
        self.values = {"x": x, "y": y}
        self.steps: list[Step] = []

    def add(self, value: Value, step: Step) -> str:
        """Append a step that makes a value; return its name."""
        self.values.setdefault(step.result, value)
        self.steps.append(step)
        return step.result

    def wide(self, name: str, a: str, b: str = "", binary: str = "", *, scale_a: float = 1.0, scale_b: float = 1.0, extent: str = "pixel") -> str:
        """Append a float32 step."""
        return self.add(Value(extent, "f32"), Chain(name, a, b, binary, scale_a, scale_b))

    def estimate(self, name: str, a: str, kind: str) -> str:
        """Append a first guess."""
        return self.add(Value("pixel", "f32"), Chain(name, a, estimate=kind))


def _codelet(node: Node, graph: Graph, program: RowProgram) -> Codelet:
    x, y = graph.tensors[node.inputs[0]], graph.tensors[node.outputs[0]]
    n, c, h, w = y.shape
    names = {"MATMUL": Total, "MAXIMUM": Largest}
    used = {name for name, kind in names.items() if any(isinstance(step, kind) for step in program.steps)}
    if "MAXIMUM" in used:
        used |= {"MATMUL", "MAX"}
    for step in program.steps:
        if isinstance(step, Chain):
            used |= {name for name in (step.binary, step.estimate) if name}
    if program.tables:
        used.add("TABLE")
    operations = tuple(Operation(name, "y", ("x",)) for name in (*sorted(used), "REQUANTIZE"))
    shape = (1, c, n * h * w, 1)
    operands = {
        "x": Operand(x.dtype, shape, pixel("c"), tensor=x.name, zero=x.zero_point), "y": Operand(y.dtype, shape, pixel("c"), tensor=y.name),
    }
    loops = (Loop("n", 1), Loop("oy", n * h * w), Loop("ox", 1), Loop("c", c))
    return Codelet(node.name, node.op, "rowwise", loops, operands, operations, Finish("float"), node.origin, program=program)


def softmax(node: Node, graph: Graph) -> Codelet:
    """Codelet of a Softmax node; the arithmetic is that of `compiler.ir_rowwise`."""
    attrs = node.attrs
    assert isinstance(attrs, Softmax)
    x, y = graph.tensors[node.inputs[0]], graph.tensors[node.outputs[0]]
    out = _Writer(Value("element", x.dtype, RANGES[x.dtype][0]), Value("element", y.dtype))
    tables = attrs.tables(x.shape[1])
    largest = out.add(Value("pixel", "u8"), Largest("m", "x"))
    digits = [
        out.add(Value("element", "u8"), Chain(f"e{i}", "x", largest, "ADD", scale_b=-1.0, zero=255, table=table)) for i, table in enumerate(tables)
    ]
    total = out.add(Value("pixel", "i32"), Total("S", ((digits[0], BASE), (digits[1], 1))))
    if len(digits) == 3:
        lowest = out.add(Value("pixel", "i32"), Total("S2", ((digits[2], 1),)))
        total = out.wide("S3", total, lowest, "ADD", scale_a=BASE)
    r = out.estimate("r0", total, "RECIPROCAL_ESTIMATE")
    for i in range(NEWTON_STEPS):
        t = out.wide(f"t{i}", total, r, "MUL")
        t = out.wide(f"v{i}", t, r, "MUL")
        r = out.wide(f"r{i + 1}", r, t, "ADD", scale_a=2.0, scale_b=-1.0)
    w = out.wide("w1", digits[0], digits[1], "ADD", scale_a=BASE, extent="element")
    if len(digits) == 3:
        w = out.wide("w2", w, digits[2], "ADD", scale_a=BASE, extent="element")
    out.steps.append(Chain("y", w, r, "MUL", divisor=attrs.y_scale, zero=attrs.y_zero, low=attrs.y_low, high=attrs.y_high))
    return _codelet(node, graph, RowProgram(out.values, tuple(out.steps)))


def squares(dtype: str, zero: int) -> tuple[np.ndarray, np.ndarray]:
    """Both digits to the base 255 of (q - zero)^2 for each raw byte: uint8 (256,) each. At most 255^2, so the first is at most 255."""
    raw = np.arange(256, dtype=np.uint8)
    q = (raw.view(np.int8) if dtype == "i8" else raw).astype(np.int64) - zero
    return (q * q // BASE).astype(np.uint8), (q * q % BASE).astype(np.uint8)


def layer_normalization(node: Node, graph: Graph) -> Codelet:
    """Codelet of a LayerNormalization node; the arithmetic is that of `compiler.ir_rowwise`."""
    attrs = node.attrs
    assert isinstance(attrs, LayerNormalization)
    x, y = graph.tensors[node.inputs[0]], graph.tensors[node.outputs[0]]
    n, zero = x.shape[1], attrs.x_zero
    part = float(np.float32(1) / np.float32(n))
    low, high = RANGES[x.dtype]
    out = _Writer(Value("element", x.dtype, zero), Value("element", y.dtype))
    eps = out.add(Value("one", "f32"), Constant("eps", np.array([attrs.epsilon_steps], np.float32)))
    a = out.add(Value("pixel", "i32"), Total("A", (("x", 1),)))
    digits = [out.add(Value("element", "u8"), Lookup(f"s{i}", "x", table)) for i, table in enumerate(squares(x.dtype, zero))]
    b = out.add(Value("pixel", "i32"), Total("B", ((digits[0], BASE), (digits[1], 1))))
    k = out.add(Value("pixel", x.dtype, zero), Chain("k", a, scale_a=part, zero=zero, low=low, high=high))
    d = out.wide("D", a, k, "ADD", scale_b=-float(n))
    f = out.wide("F", out.wide("E", a, d, "ADD"), k, "MUL")
    u = out.wide("U", b, f, "ADD", scale_b=-1.0)
    g = out.wide("G", out.wide("D1", d, scale_a=part), d, "MUL")
    v = out.wide("V", u, g, "ADD", scale_b=-1.0)
    v = out.wide("v", out.wide("v0", v, eps, "ADD", scale_a=part), eps, "MAX")
    r = out.estimate("r0", v, "RSQRT_ESTIMATE")
    for i in range(NEWTON_STEPS):
        t = v
        for j in range(3):
            t = out.wide(f"t{i}{j}", t, r, "MUL")
        r = out.wide(f"r{i + 1}", r, t, "ADD", scale_a=1.5, scale_b=-0.5)
    mean = out.wide("mean", a, scale_a=part)
    beta = out.add(Value("channel", "f32"), Constant("beta", attrs.beta)) if attrs.beta.any() else ""
    centred = out.wide("c", "x", mean, "ADD", scale_b=-1.0, extent="element")
    finish = {"divisor": attrs.y_scale, "zero": attrs.y_zero, "low": attrs.y_low, "high": attrs.y_high}
    if beta:
        out.add(Value("element", "f32"), Chain("g", centred, r, "MUL", channel_scale=attrs.gamma))
        out.steps.append(Chain("y", "g", beta, "ADD", **finish))  # type: ignore[arg-type]
    else:
        out.steps.append(Chain("y", centred, r, "MUL", channel_scale=attrs.gamma, **finish))  # type: ignore[arg-type]
    return _codelet(node, graph, RowProgram(out.values, tuple(out.steps)))
