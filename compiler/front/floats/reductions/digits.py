"""Float results that nothing has quantised, written as a few bytes each: what reductions over them read.

Of operations s between `low` and `high`, 0 among them, in n digits, the least of which counts units u = float32((high - low) / (254 * 255^(n-1))):

    h = saturate(round_half_even(s / w) + z),              w = float32(255 * the next unit),  z = -round_half_even(low / w), from 0 to 255
    l = saturate(round_half_even((s - (h - z) w) / u) + 128)                                  the next digit, and so on: what is left over its unit

All steps in float32, all digits uint8. Products are made for each digit.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from compiler.front.constraints import bounded_repetition, usable_scale
from compiler.front.floats.formula import bounds, ended, leaves, opened, operation
from compiler.front.floats.lower import lower
from compiler.front.floats.rules.expressions import expression
from compiler.front.state.onnx_node import OnnxNode
from compiler.front.state.values import Formula, Operation, Pending, Quantisation, Real, Shape, Unquantised

BASE = 255
#: Zero point of all digits but the highest.
MIDDLE = 128


@dataclass(frozen=True, eq=False)
class Written:
    """How a formula is written: units of its digits, the highest first, and the zero point of that."""

    value: Formula
    units: tuple[float, ...]
    zero: int

    @classmethod
    def of(cls, value: Formula, count: int, *, least: float = -np.inf) -> Written | None:
        """Return it in so many digits, from `least` on at least; None where a result is an operand whose bounds are not known, or no unit spans them."""
        value = opened(value)
        if not ended(value):
            return None
        low, high = bounds(value)
        low, high = min(max(low, least), 0.0), max(high, 0.0)
        if not high - low <= np.finfo(np.float32).max:
            return None
        unit = np.float32((high - low) / ((BASE - 1) * BASE ** (count - 1))) if high > low else np.float32(abs(high) or 1)
        units = [unit]
        for _ in range(count - 1):
            units.insert(0, np.float32(BASE) * units[0])
        zero = min(max(-int(np.rint(np.float32(low) / units[0])), 0), 255)
        return cls(value, tuple(float(u) for u in units), zero)

    def emit(self, node: OnnxNode, name: str, origin: tuple[str, ...]) -> list[Real]:
        """Add the nodes that write the digits; return them, the highest first."""
        node.require(usable_scale, np.float32(self.units[-1]), found=f"{self.units[-1]}")
        products = any(isinstance(leaf, Pending) for leaf in leaves(self.value))
        rest, digits = self.value, list[Real]()
        for number, unit in enumerate(self.units):
            place, zero = ("low" if number else "high") if len(self.units) == 2 else f"digit{number}", MIDDLE if number else self.zero
            target = Quantisation(f"{name}/{place}", "u8", unit, zero, 0, 255)
            whole = products or not isinstance(rest, Operation)
            tensor = expression(rest, node, target, origin) if whole else lower(node.builder, rest, target, origin)  # type: ignore[arg-type]
            digits.append(Real(tensor, self.value.shape, "u8", unit, zero))
            rest = operation(node, "SUB", rest, digits[-1])
        return digits


def repeated(node: OnnxNode, value: Formula, shape: Shape) -> Formula:
    """Return an operand of float operations as it meets those of `shape`: results of products that are repeated are three digits, added up."""
    if not isinstance(value, Unquantised) or prod(value.shape) >= prod(shape) or not any(isinstance(leaf, Pending) for leaf in leaves(opened(value))):
        return value
    written = Written.of(value, 3)
    node.require(bounded_repetition, written is not None, found=f"one of shape {value.shape} in a result of shape {shape}")
    assert written is not None
    a, b, c = written.emit(node, f"{node.output}/repeated", value.origin)
    return operation(node, "ADD", operation(node, "ADD", a, b), c)


__all__ = ["BASE", "MIDDLE", "Written", "repeated"]
