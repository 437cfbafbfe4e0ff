"""Operators that reduce the channels of each pixel, as micro-programs.

    for each pixel:  total = MATMUL(value, ones);  m = MAXIMUM(x);  value = REQUANTIZE(TABLE(ADD(x, -m)));  y = REQUANTIZE(MUL(w, r))
"""

from __future__ import annotations

import numpy as np

from compiler.codelets.base import Codelet, Finish, Loop, Operand, Operation, pixel
from compiler.codelets.rows.row_program import Chain, Constant, Largest, Lookup, MicroOp, Neighbours, PixelSum, RowProgram, Total, Value, Weighted
from compiler.ir.network import RANGES, Network, Node, Tensor
from compiler.ir.rowwise import BASE, LayerNormalization, Softmax

#: Steps of Newton's iteration: from 5.1% (reciprocal) and 3.5% (root) to less than 7e-6.
NEWTON_STEPS = 2


class Writer:
    """Collects values and steps."""

    def __init__(self, x: Value, y: Value) -> None:
        self.values = {"x": x, "y": y}
        self.steps: list[MicroOp] = []

    def add(self, value: Value, step: MicroOp) -> str:
        """Append a step that makes a value; return its name."""
        self.values.setdefault(step.result, value)
        self.steps.append(step)
        return step.result

    def wide(self, name: str, a: str, b: str = "", binary: str = "", *, scale_a: float = 1.0, scale_b: float = 1.0, extent: str = "pixel") -> str:
        """Append a float32 step."""
        return self.add(Value(extent, "f32"), Chain(name, a, b, binary, scale_a, scale_b))

    def estimate(self, name: str, a: str, kind: str, *, extent: str = "pixel") -> str:
        """Append a first guess."""
        return self.add(Value(extent, "f32"), Chain(name, a, estimate=kind))


def row_names(count: int) -> tuple[str, ...]:
    """Names of so many inputs, as values of a micro-program and roles of operands.

    >>> row_names(4)
    ('x', 'b', 'b2', 'b3')
    """
    return ("x", "b", *(f"b{i}" for i in range(2, count)))[:count]


def used_operations(program: RowProgram) -> tuple[str, ...]:
    """Operations of the steps of a program, besides REQUANTIZE and those of products."""
    names = {"MATMUL": Total | Neighbours | Weighted, "SUM": Total | PixelSum, "MAXIMUM": Largest}
    used = {name for name, kind in names.items() if any(isinstance(step, kind) for step in program.steps)}
    if any(isinstance(step, Constant) and program.values[step.result].wide for step in program.steps):
        used.add("MAC")
    if "MAXIMUM" in used:
        used |= {"MATMUL", "MAX"}
    for step in program.steps:
        if isinstance(step, Chain):
            used |= {name for name in (step.binary, step.estimate) if name}
    if program.tables:
        used.add("TABLE")
    return tuple(sorted(used))


def row_codelet(node: Node, network: Network, program: RowProgram) -> Codelet:
    x, y = network.tensors[node.inputs[0]], network.tensors[node.outputs[0]]
    n, c, h, w = x.shape
    operations = tuple(Operation(name, "y", ("x",)) for name in (*used_operations(program), "REQUANTIZE"))
    roles = dict(zip(row_names(len(node.inputs)), (network.tensors[name] for name in node.inputs), strict=True)) | {"y": y}
    operands = {
        role: Operand(t.dtype, (1, t.shape[1], n * h * w, 1), pixel("c"), tensor=t.name, zero=t.zero_point) for role, t in roles.items()
    }
    loops = (Loop("n", 1), Loop("oy", n * h * w), Loop("ox", 1), Loop("c", c))
    return Codelet(node.name, node.op, "rowwise", loops, operands, operations, Finish("float"), node.origin, program=program)


def write_exponentials(out: Writer, tables: tuple[np.ndarray, ...]) -> tuple[str, list[str], str]:
    """Append the largest channel, the digits of each channel's exponential, by tables, and their sum; returns their names."""
    largest = out.add(Value("pixel", "u8"), Largest("m", "x"))
    digits = [
        out.add(Value("element", "u8"), Chain(f"e{i}", "x", largest, "ADD", scale_b=-1.0, zero=255, table=table)) for i, table in enumerate(tables)
    ]
    total = out.add(Value("pixel", "i32"), Total("S", ((digits[0], BASE), (digits[1], 1))))
    if len(digits) == 3:
        lowest = out.add(Value("pixel", "i32"), Total("S2", ((digits[2], 1),)))
        total = out.wide("S3", total, lowest, "ADD", scale_a=BASE)
    return largest, digits, total


def softmax(node: Node, network: Network) -> Codelet:
    """Codelet of a Softmax node; the arithmetic is that of `compiler.ir.rowwise`."""
    attrs = node.attrs
    assert isinstance(attrs, Softmax)
    x, y = network.tensors[node.inputs[0]], network.tensors[node.outputs[0]]
    out = Writer(Value("element", x.dtype, RANGES[x.dtype][0]), Value("element", y.dtype))
    _, digits, total = write_exponentials(out, attrs.tables(x.shape[1], floats=y.dtype == "f32"))
    r = write_reciprocal(out, total)
    w = out.wide("w1", digits[0], digits[1], "ADD", scale_a=BASE, extent="element")
    if len(digits) == 3:
        w = out.wide("w2", w, digits[2], "ADD", scale_a=BASE, extent="element")
    out.steps.append(Chain("y", w, r, "MUL", divisor=attrs.y_scale, zero=attrs.y_zero, low=attrs.y_low, high=attrs.y_high))
    return row_codelet(node, network, RowProgram(out.values, tuple(out.steps)))


def squares(dtype: str, zero: int) -> tuple[np.ndarray, np.ndarray]:
    """Both digits to the base 255 of (q - zero)^2 for each raw byte: uint8 (256,) each. At most 255^2, so the first is at most 255."""
    raw = np.arange(256, dtype=np.uint8)
    q = (raw.view(np.int8) if dtype == "i8" else raw).astype(np.int64) - zero
    return (q * q // BASE).astype(np.uint8), (q * q % BASE).astype(np.uint8)


def write_variance(out: Writer, x: Tensor) -> tuple[str, str]:
    """Append the steps up to n times the variance in squares of the input's step; returns the names of the sum A and of V."""
    n, zero = x.shape[1], x.zero_point
    a = out.add(Value("pixel", "i32"), Total("A", (("x", 1),)))
    digits = [out.add(Value("element", "u8"), Lookup(f"s{i}", "x", table)) for i, table in enumerate(squares(x.dtype, zero))]
    b = out.add(Value("pixel", "i32"), Total("B", ((digits[0], BASE), (digits[1], 1))))
    return a, write_about_mean(out, x, a, b, n)


def write_about_mean(out: Writer, x: Tensor, a: str, b: str, n: int, *, extent: str = "pixel") -> str:
    """Append the steps from the sums of n numbers of x and of their squares, a and b, to n times their variance; returns the name of that."""
    zero, part = x.zero_point, part_of(n)
    low, high = RANGES[x.dtype]
    k = out.add(Value(extent, x.dtype, zero), Chain("k", a, scale_a=part, zero=zero, low=low, high=high))
    d = out.wide("D", a, k, "ADD", scale_b=-float(n), extent=extent)
    f = out.wide("F", out.wide("E", a, d, "ADD", extent=extent), k, "MUL", extent=extent)
    u = out.wide("U", b, f, "ADD", scale_b=-1.0, extent=extent)
    g = out.wide("G", out.wide("D1", d, scale_a=part, extent=extent), d, "MUL", extent=extent)
    return out.wide("V", u, g, "ADD", scale_b=-1.0, extent=extent)


def write_reciprocal(out: Writer, v: str, name: str = "r", *, extent: str = "pixel") -> str:
    """Append the steps to one over a positive number, their results named after `name`; returns the name of the last."""
    r = out.estimate(f"{name}0", v, "RECIPROCAL_ESTIMATE", extent=extent)
    for i in range(NEWTON_STEPS):
        t = out.wide(f"{name}{i}.t0", v, r, "MUL", extent=extent)
        t = out.wide(f"{name}{i}.t1", t, r, "MUL", extent=extent)
        r = out.wide(f"{name}{i + 1}", r, t, "ADD", scale_a=2.0, scale_b=-1.0, extent=extent)
    return r


def write_root(out: Writer, v: str, name: str = "r", *, extent: str = "pixel") -> str:
    """Append the steps to one over the root of a positive number, their results named after `name`; returns the name of the last."""
    r = out.estimate(f"{name}0", v, "RSQRT_ESTIMATE", extent=extent)
    for i in range(NEWTON_STEPS):
        t = v
        for j in range(3):
            t = out.wide(f"{name}{i}.t{j}", t, r, "MUL", extent=extent)
        r = out.wide(f"{name}{i + 1}", r, t, "ADD", scale_a=1.5, scale_b=-0.5, extent=extent)
    return r


def part_of(n: int) -> float:
    """float32 of 1 / n."""
    return float(np.float32(1) / np.float32(n))


def layer_normalization(node: Node, network: Network) -> Codelet:
    """Codelet of a LayerNormalization node; the arithmetic is that of `compiler.ir.rowwise`."""
    attrs = node.attrs
    assert isinstance(attrs, LayerNormalization)
    x, y = network.tensors[node.inputs[0]], network.tensors[node.outputs[0]]
    zero, part = attrs.x_zero, part_of(x.shape[1])
    out = Writer(Value("element", x.dtype, zero), Value("element", y.dtype))
    eps = out.add(Value("one", "f32"), Constant("eps", np.array([attrs.epsilon_steps], np.float32)))
    a, v = write_variance(out, x)
    r = write_root(out, out.wide("v", out.wide("v0", v, eps, "ADD", scale_a=part), eps, "MAX"))
    mean = out.wide("mean", a, scale_a=part)
    beta = out.add(Value("channel", "f32"), Constant("beta", attrs.beta)) if attrs.beta.any() else ""
    centred = out.wide("c", "x", mean, "ADD", scale_b=-1.0, extent="element")
    finish = {"divisor": attrs.y_scale, "zero": attrs.y_zero, "low": attrs.y_low, "high": attrs.y_high}
    if beta:
        out.add(Value("element", "f32"), Chain("g", centred, r, "MUL", channel_scale=attrs.gamma))
        out.steps.append(Chain("y", "g", beta, "ADD", **finish))  # type: ignore[arg-type]
    else:
        out.steps.append(Chain("y", centred, r, "MUL", channel_scale=attrs.gamma, **finish))  # type: ignore[arg-type]
    return row_codelet(node, network, RowProgram(out.values, tuple(out.steps)))
