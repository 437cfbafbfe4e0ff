"""float32 arithmetic of one lane, as combinational pieces between pipeline registers.

Every function adds wires to a module and returns the values to be registered at the end of its pipeline stage, so the
caller decides when registers move. The arithmetic is that of `acg.primitives`: round to nearest even, subnormals are
zero, exponent 255 is infinity, no NaN. No wire is wider than 64 bits: wider ones are slow in a compiled simulation.

Exponents between stages are biased by 127, 10 bits, two's complement. A zero or infinite operand is folded into the
exponent (`_ZERO`, `_INFINITE`), far enough out that neither normalisation nor a rounding carry brings it back.
"""

from collections.abc import Sequence
from functools import reduce
from operator import add

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed, unsigned

from acg.primitives import RECIPROCAL_PATTERN, RSQRT_PATTERN

__all__ = [
    "absolute", "add_align", "add_order", "add_round", "add_shift", "add_sum", "coarse", "constant_products", "constant_sum", "estimate", "fine",
    "int_normalise", "int_round", "integer_places", "lesser", "limited", "limited_byte", "mantissa", "normalise", "pack", "partial_products", "product",
    "product_sign", "round_product", "round_sum", "round_to_int32", "round_to_integer", "shift_product", "signed_integer", "whole_product", "wire",
]

_EXPONENT_BITS = 10
_ZERO = Const(-200, signed(_EXPONENT_BITS)).as_unsigned()
_INFINITE = Const(400, unsigned(_EXPONENT_BITS))

#: Values between stages, by name.
Values = dict[str, Value]


def wire(m: Module, value, name: str) -> Signal:
    """A named signal driven by ``value``, so that the expression exists once however often it is used."""
    value = Value.cast(value)
    signal = Signal(value.shape(), name=name)
    m.d.comb += signal.eq(value)
    return signal


#: Bits of a count of which the first of two stages of a normalisation shifts by the highest.
_COARSE_BITS = 2


def _shift_left(m: Module, value: Value, steps: Sequence[int], name: str) -> tuple[Value, list[Value]]:
    """Shift left by each of falling powers of two that leaves the top bit no lower. Returns (shifted, bits of the count, lowest first)."""
    width, current = len(value), value
    count: list[Value] = []
    for step in steps:
        empty = wire(m, current[width - step:] == 0, f"{name}_empty_{step}")
        current = wire(m, Mux(empty, current << step, current)[:width], f"{name}_shift_{step}")
        count.insert(0, empty)
    return current, count


def _steps(width: int) -> list[int]:
    return [1 << bit for bit in reversed(range((width - 1).bit_length()))]


def coarse(m: Module, value: Value, name: str) -> tuple[Value, Value]:
    """First half of `normalise`: (shifted by the high bits of the count, these bits)."""
    shifted, count = _shift_left(m, wire(m, value, f"{name}_shift_0"), _steps(len(value))[:_COARSE_BITS], name)
    return shifted, Cat(count)


def fine(m: Module, shifted: Value, high: Value, name: str) -> tuple[Value, Value]:
    """Second half of `normalise`."""
    shifted, count = _shift_left(m, shifted, _steps(len(shifted))[_COARSE_BITS:], name)
    return shifted, wire(m, Cat(*count, high), f"{name}_count")


def normalise(m: Module, value: Value, name: str) -> tuple[Value, Value]:
    """Shift left until the top bit is set, or by the largest possible count for 0. Returns (shifted, count)."""
    return fine(m, *coarse(m, value, name), name)


def pack(m: Module, *, sign: Value, exponent: Value, fraction: Value, up: Value, raise_exponent: Value | int = 0, name: str) -> Signal:
    """What rounding found, as a pattern: add, flushing below the smallest normal and overflowing to infinity: one adder for all carries."""
    raised = Cat(Value.cast(up)[0], Const(0, 22), Value.cast(raise_exponent)[0])
    packed = wire(m, (Cat(fraction, exponent) + raised)[:33], f"{name}_packed")
    negative = packed[32]
    tiny = negative | (packed[23:32] == 0)
    huge = ~negative & (packed[23:32] >= 255)
    magnitude = Mux(tiny, 0, Mux(huge, 0x7F80_0000, packed[:31]))
    return wire(m, Cat(magnitude[:31], sign), name)


def int_normalise(m: Module, value: Value, name: str) -> Values:
    """First half of int to float32: sign, normalised magnitude (the width of ``value``, at most 32 bits) and shift count."""
    parts = absolute(m, value, name)
    shifted, count = normalise(m, parts["magnitude"], name)
    return {"sign": parts["sign"], "magnitude": shifted, "shift": count}


def absolute(m: Module, value: Value, name: str) -> Values:
    """Sign and magnitude of an integer, the latter as wide as it."""
    value = value.as_signed()
    sign = value[-1]
    return {"sign": sign, "magnitude": wire(m, Mux(sign, -value, value)[:len(value)], f"{name}_magnitude")}


def int_round(m: Module, *, sign: Value, magnitude: Value, shift: Value, name: str) -> Signal:
    """Second half of int to float32: the 32-bit pattern, rounded to nearest even."""
    width = len(magnitude)
    exponent = wire(m, (127 + width - 1 - shift)[:_EXPONENT_BITS], f"{name}_exponent")
    if width > 24:
        discarded = width - 24
        fraction = magnitude[discarded:width - 1]
        half = magnitude[discarded - 1]
        up = half & (magnitude[discarded] | (magnitude[:discarded - 1] != 0))
    else:
        fraction = Cat(Const(0, 24 - width), magnitude[:width - 1])
        up = Const(0, 1)
    exponent = Mux(magnitude[-1], exponent, _ZERO)
    rounded = pack(m, sign=sign & magnitude[-1], exponent=exponent, fraction=fraction, up=up, raise_exponent=0, name=name)
    return rounded


def _product_exponent(m: Module, x: Value, y: Value, name: str) -> Signal:
    """Biased exponent of x * y, with zero and infinite operands folded in; zero times infinity is zero."""
    x, y = x[23:31], y[23:31]
    zero = (x == 0) | (y == 0)
    infinite = (x == 255) | (y == 255)
    return wire(m, Mux(zero, _ZERO, Mux(infinite, _INFINITE, (x + y - 127)[:_EXPONENT_BITS])), f"{name}_exponent")


def mantissa(x: Value) -> Value:
    """24 bits of a pattern that is no subnormal."""
    return Cat(x[:23], Const(1, 1))


#: Bits of an operand of a multiplier of most FPGAs; wider products are sums of several.
_MULTIPLIER_BITS = 18


def partial_products(m: Module, x: Value, y: Value, name: str) -> Values:
    """The products, ``high``, ``left``, ``right`` and ``low``, of which `whole_product` is the sum: each a multiplier of `_MULTIPLIER_BITS` bits, but for
    ``high``, whose few bits are rows of gates and their sum."""
    (x_low, x_high), (y_low, y_high) = ((value[:_MULTIPLIER_BITS], value[_MULTIPLIER_BITS:]) for value in (x, y))
    high = reduce(add, (Mux(bit, x_high << place, 0) for place, bit in enumerate(y_high)))
    parts = {"high": high[:len(x_high) + len(y_high)], "left": x_high * y_low, "right": x_low * y_high, "low": x_low * y_low}
    return {part: wire(m, value, f"{name}_{part}") for part, value in parts.items()}


def whole_product(m: Module, *, high: Value, left: Value, right: Value, low: Value, width: int, name: str) -> Signal:
    """Sum of `partial_products`, of so many bits."""
    ends = wire(m, Cat(low, high), f"{name}_ends")
    return wire(m, (ends + ((left + right) << _MULTIPLIER_BITS))[:width], f"{name}_product")


def product(m: Module, x: Value, y: Value, name: str) -> Values:
    """First half of a multiplication of two patterns: sign, exponent, 48-bit product of the mantissas."""
    return {**product_sign(m, x, y, name), "product": wire(m, mantissa(x) * mantissa(y), f"{name}_product")}


def product_sign(m: Module, x: Value, y: Value, name: str) -> Values:
    """Sign and exponent of a product of two patterns."""
    return {"sign": x[31] ^ y[31], "exponent": _product_exponent(m, x, y, name)}


def round_product(m: Module, *, sign: Value, exponent: Value, product: Value, sticky: Value | int = 0, name: str) -> Signal:
    """Second half of a multiplication: normalise by at most one bit, round. ``sticky``: anything below the 48 bits."""
    return pack(m, sign=sign, exponent=exponent, **shift_product(m, product, sticky, name), name=name)


def shift_product(m: Module, product: Value, sticky: Value | int, name: str) -> Values:
    """What of a product `pack` takes: fraction, and whether to round up and to raise the exponent."""
    high = product[47]
    shifted = wire(m, Mux(high, product, product << 1)[:48], f"{name}_shifted")
    up = shifted[23] & (shifted[24] | (shifted[:23] != 0) | sticky)
    return {"fraction": shifted[24:47], "up": up, "raise_exponent": high}


def _larger(m: Module, x: Value, y: Value, name: str) -> Signal:
    return wire(m, x[:31] >= y[:31], f"{name}_x_larger")


def add_align(m: Module, x: Value, y: Value, name: str) -> Values:
    """First third of an addition of two results of this module (no subnormal, no NaN pattern): order by magnitude, align.

    ``large`` is the larger mantissa (24 bits), ``small`` the other with 3 bits below, the lowest of them sticky.
    """
    return add_shift(m, **add_order(m, x, y, name), name=name)


def add_order(m: Module, x: Value, y: Value, name: str) -> Values:
    """First half of `add_align`: both patterns, ``large`` and ``small``, and ``zero_sign``."""
    swap = ~_larger(m, x, y, name)
    return {"large": wire(m, Mux(swap, y, x), f"{name}_large"), "small": wire(m, Mux(swap, x, y), f"{name}_small"), "zero_sign": x[31] & y[31]}


def add_shift(m: Module, *, large: Value, small: Value, zero_sign: Value, name: str) -> Values:
    """Second half of `add_align`."""
    distance = wire(m, (large[23:31] - small[23:31])[:8], f"{name}_distance")
    # At a distance of 27 all 24 bits are sticky already; clamped there, no bit of the 51 is ever lost.
    shift = wire(m, Mux(distance > 27, 27, distance)[:5], f"{name}_shift")
    # Nothing is added to infinity, so that it neither normalises nor cancels.
    present = (small[23:31] != 0) & (large[23:31] != 255)
    spread = wire(m, (Cat(Const(0, 27), small[:23], Const(1, 1)) >> shift)[:51], f"{name}_spread")
    aligned = Cat(spread[24] | (spread[:24] != 0), spread[25:51])
    return {
        "sign": large[31],
        "zero_sign": zero_sign,
        "subtract": large[31] ^ small[31],
        "exponent": large[23:31],
        "large": Cat(large[:23], large[23:31] != 0),
        "small": wire(m, Mux(present, aligned, 0)[:27], f"{name}_aligned"),
    }


def add_sum(m: Module, *, subtract: Value, large: Value, small: Value, name: str) -> Signal:
    """Second third of an addition: the 28-bit sum or difference of magnitudes, never negative."""
    large = Cat(Const(0, 3), large)
    return wire(m, Mux(subtract, large - small, large + small)[:28], name)


def add_round(m: Module, *, sign: Value, zero_sign: Value, exponent: Value, total: Value, name: str) -> Signal:
    """Last third of an addition: normalise, round, pack."""
    shifted, count = normalise(m, total, name)
    return pack(m, **round_sum(m, sign=sign, zero_sign=zero_sign, exponent=exponent, shifted=shifted, count=count), name=name)


def round_sum(m: Module, *, sign: Value, zero_sign: Value, exponent: Value, shifted: Value, count: Value) -> Values:
    """What of a normalised sum `pack` takes."""
    some = shifted[27]
    return {"sign": Mux(some, sign, zero_sign), "exponent": Mux(some, (exponent + 1 - count)[:_EXPONENT_BITS], _ZERO), "fraction": shifted[4:27],
            "up": shifted[3] & (shifted[4] | (shifted[:3] != 0))}


def lesser(m: Module, x: Value, y: Value, name: str) -> Signal:
    """1 if ``x`` is the lesser of two results of this module, -0 below +0; either value if they are equal."""
    return wire(m, Mux(x[31] ^ y[31], x[31], _larger(m, x, y, name) == x[31]), name)


def constant_products(m: Module, x: Value, scale: Value, scale_low: Value, name: str) -> Values:
    """First third of a multiplication by a 52-bit constant: 24 x 24 and 24 x 28 bits."""
    return {
        **product_sign(m, x, scale, name),
        "high": wire(m, mantissa(x) * mantissa(scale), f"{name}_high"),
        "low": wire(m, mantissa(x) * scale_low, f"{name}_low"),
    }


def constant_sum(m: Module, *, high: Value, low: Value, name: str) -> Values:
    """Second third: upper 48 bits of the 76-bit product, and whether any of the others is set; then `round_product`."""
    return {"product": wire(m, (high + low[28:])[:48], f"{name}_product"), "sticky": low[:28] != 0}


def round_to_integer(m: Module, x: Value, name: str) -> Signal:
    """Nearest integer of a pattern, ties to even, limited to [-1024, 1024]: signed, 12 bits."""
    return signed_integer(m, **integer_places(m, x, name), name=name)


def integer_places(m: Module, x: Value, name: str) -> Values:
    """First half of `round_to_integer`: sign, magnitude below the point's left, whether to round up, whether beyond the limits."""
    exponent = x[23:31]
    # |x| = mantissa * 2^(exponent - 150), below 1024 up to exponent 136. The point stands above 26 bits; a distance of 12
    # puts |x| below one half, where it stays.
    distance = wire(m, (136 - exponent)[:9].as_signed(), f"{name}_distance")
    shift = Mux(distance > 12, 12, distance)[:4]
    spread = wire(m, (Cat(Const(0, 12), mantissa(x)) >> shift)[:36], f"{name}_spread")
    return {"sign": x[31], "magnitude": spread[26:36], "up": spread[25] & (spread[26] | (spread[:25] != 0)), "beyond": distance < 0}


def signed_integer(m: Module, *, sign: Value, magnitude: Value, up: Value, beyond: Value, name: str) -> Signal:
    """Second half of `round_to_integer`."""
    rounded = wire(m, Mux(beyond, 1024, magnitude + up)[:11], f"{name}_magnitude")
    return wire(m, Mux(sign, -rounded, rounded)[:12].as_signed(), name)


def round_to_int32(m: Module, x: Value, name: str) -> Signal:
    """Nearest int32 of any pattern, ties to even, saturated; subnormals are zero, exponent 255 is infinity."""
    exponent = x[23:31]
    # |x| = mantissa * 2^(exponent - 150), at least 2^31 from exponent 158 on. The point stands above 25 bits, left of which the mantissa is moved by 1 to
    # 32 places from exponent 126 on, where |x| is at least one half; below that it is under one half.
    places = wire(m, (exponent - 125)[:9].as_signed(), f"{name}_places")
    shift = Mux(places < 0, 0, Mux(places > 32, 32, places))[:6]
    spread = wire(m, (mantissa(x) << shift)[:57], f"{name}_spread")
    up = spread[24] & (spread[25] | (spread[:24] != 0))
    magnitude = wire(m, (spread[25:57] + up)[:32], f"{name}_magnitude")
    huge = wire(m, exponent >= 158, f"{name}_huge")
    value = Mux(huge, Mux(x[31], 1 << 31, (1 << 31) - 1), Mux(x[31], -magnitude, magnitude)[:32])
    return wire(m, Mux(exponent < 126, 0, value)[:32], name)


def limited_byte(m: Module, integer: Value, *, zero: Value, least: Value, most: Value, name: str) -> Value:
    """Low byte of ``integer`` + ``zero``, limited to [least, most]; ``least`` wins should the two be crossed."""
    return limited(m, wire(m, integer + zero, f"shifted_{name}"), least=least, most=most, name=name)


def limited(m: Module, shifted: Value, *, least: Value, most: Value, name: str) -> Value:
    """Low byte of a number limited to [least, most], as in `limited_byte`."""
    below_most = wire(m, Mux(shifted > most, most, shifted), f"below_most_{name}")
    return Mux(below_most < least, least, below_most)[:8]


def estimate(m: Module, x: Value, *, root: Value | int, name: str) -> Signal:
    """First guess of 1 / x, or where ``root`` is set of 1 / sqrt(x), from a pattern: one subtraction of patterns."""
    return wire(m, (Mux(root, RSQRT_PATTERN, RECIPROCAL_PATTERN) - Mux(root, x >> 1, x))[:32], name)
