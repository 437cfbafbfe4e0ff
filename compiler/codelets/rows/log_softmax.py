"""LogSoftmax as a micro-program: the sum of a Softmax, its logarithm by tables of its bytes, and the distance from it."""

from __future__ import annotations

import numpy as np

from compiler.codelets.base import Codelet
from compiler.codelets.rows.row_program import Chain, Constant, RowProgram, Value
from compiler.codelets.rows.rowwise import Writer, row_codelet, write_exponentials
from compiler.ir.log_softmax import FINE, UNIT, LogSoftmax, coarse, inverses, logarithms, powers
from compiler.ir.network import RANGES, Network, Node, f32
from compiler.ir.rowwise import BASE, PEAKS


def _byte(out: Writer, name: str, a: str, unit: float, table: np.ndarray, *, least: int = 1, zero: int = 0) -> str:
    """Append the lookup of a number's nearest multiple of `unit`, from `least` to 255; `zero` is subtracted from what is found."""
    return out.add(Value("pixel", "u8", zero), Chain(name, a, divisor=unit, low=least, table=table.astype(np.uint8)))


def write_logarithm(out: Writer, p: str, channels: int) -> str:
    """Append the steps to the logarithm of a number from 1 to `channels`; returns the name of the last. Arithmetic: `compiler.ir.log_softmax`."""
    exponents: list[str] = []
    for unit in coarse(channels):
        table, last = powers(unit), unit == 1
        exponents.append(_byte(out, f"k{unit}", p, unit, table, least=int(last), zero=int(last)))
        factor = _byte(out, f"c{unit}", p, unit, np.where(table < 8, 2.0 ** (7 - table), 0), least=int(last))
        if not last:
            lowest = _byte(out, f"c{unit}.low", p, unit, np.where(table < 8, 0, 2.0 ** (15 - table)), least=0)
            factor = out.wide(f"c{unit}.sum", factor, lowest, "ADD", scale_a=2.0**-7, scale_b=2.0**-15)
        p = out.wide(f"p{unit}", p, factor, "MUL", scale_b=2.0**-7 if last else 1.0)
    c = _byte(out, "c", p, 1 / FINE, inverses())
    digits = [_byte(out, f"l{i}", p, 1 / FINE, table) for i, table in enumerate(logarithms())]
    less, half = (out.add(Value("one", "f32"), Constant(name, np.array([v], np.float32))) for name, v in (("less", -1.0), ("half", -0.5)))
    r = out.wide("r", out.wide("r0", p, c, "MUL", scale_b=2.0**-7), less, "ADD")
    series = out.wide("s1", out.wide("s0", r, half, "ADD", scale_a=f32(1 / 3)), r, "MUL")
    series = out.wide("s3", out.wide("s2", series, less, "ADD", scale_b=-1.0), r, "MUL")
    part = out.wide("l", digits[0], digits[1], "ADD", scale_a=BASE / UNIT, scale_b=1 / UNIT)
    rest = out.wide("s4", series, part, "ADD")
    k = exponents[0] if len(exponents) == 1 else out.wide("k", exponents[0], exponents[1], "ADD")
    return out.wide("L", k, rest, "ADD", scale_a=f32(np.log(2)))


def log_softmax(node: Node, network: Network) -> Codelet:
    """Codelet of a LogSoftmax node."""
    attrs = node.attrs
    assert isinstance(attrs, LogSoftmax)
    x, y = network.tensors[node.inputs[0]], network.tensors[node.outputs[0]]
    out = Writer(Value("element", x.dtype, RANGES[x.dtype][0]), Value("element", y.dtype))
    largest, digits, total = write_exponentials(out, attrs.tables(x.shape[1], floats=y.dtype == "f32"))
    p = out.wide("p", total, scale_a=f32(1 / PEAKS[len(digits)]))
    logarithm = write_logarithm(out, p, x.shape[1])
    distance = out.wide("d", "x", largest, "ADD", scale_b=-1.0, extent="element")
    finish = {"divisor": attrs.y_scale, "zero": attrs.y_zero, "low": attrs.y_low, "high": attrs.y_high}
    out.steps.append(Chain("y", distance, logarithm, "ADD", scale_a=attrs.step, scale_b=-1.0, **finish))  # type: ignore[arg-type]
    return row_codelet(node, network, RowProgram(out.values, tuple(out.steps)))


__all__ = ["log_softmax", "write_logarithm"]
