"""Quantisations that attributes of IR nodes have in common: of one operand or of two, and of the result.

An operand is (q - zero) * scale, the result saturates to [y_low, y_high] in its integers. Scales are float32 values, the size of one step.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class OfOne:
    """Quantisation of an operand x and of the result y."""

    x_scale: float
    x_zero: int
    y_scale: float
    y_zero: int
    y_low: int = -128
    y_high: int = 127


@dataclass(frozen=True)
class OfTwo:
    """Quantisation of operands a and b and of the result y."""

    a_scale: float
    a_zero: int
    b_scale: float
    b_zero: int
    y_scale: float
    y_zero: int
    y_low: int = -128
    y_high: int = 127


@dataclass(frozen=True)
class OverRoot:
    """Quantisation of a dividend x, of a radicand e and of the result y."""

    x_scale: float
    x_zero: int
    e_scale: float
    e_zero: int
    y_scale: float
    y_zero: int
    y_low: int = -128
    y_high: int = 127


__all__ = ["OfOne", "OfTwo", "OverRoot"]
