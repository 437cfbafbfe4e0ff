"""float32 blocks at full width: each stage that rounds equals a case-by-case specification for all its inputs.

The specification (:func:`nearest`) takes an exact integer and a power of two, looks for its highest bit case by case, keeps 24 bits, and rounds to
the nearest, ties to even, by comparing what is cut off with one half. Products come as free inputs (any product of two mantissas), so the
multiplier operator itself is trusted and the rest is proved for all values. All blocks are combinational: one step is a proof.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed

import hwgen.datapath.float32
from tests.formal.bench import Bench

__all__ = ["FAR", "add", "constant_product", "int_to_float", "nearest", "product", "to_integer"]

#: Distance of exponents from which a sum is the larger operand.
FAR = 27


def nearest(m: Module, total: Signal, weight, *, sticky=0, sign, name: str) -> Signal:
    """Pattern of ``total`` * 2^``weight`` (more, by less than one, where ``sticky``): subnormal results are zero, too large ones infinity."""
    exponent, fraction = Signal(signed(16), name=f"{name}_exponent"), Signal(24, name=f"{name}_fraction")
    for k in reversed(range(len(total))):
        with m.If(total[k]) if k == len(total) - 1 else m.Elif(total[k]):
            cut = k - 23
            if cut <= 0:
                m.d.comb += [exponent.eq(weight + 127 + k), fraction.eq(total[:k] << -cut)]
            else:
                rest, half, kept = total[:cut], 1 << cut - 1, total[cut:k + 1]
                up = (rest > half) | ((rest == half) & (sticky | kept[0]))
                m.d.comb += fraction.eq(kept[:23] + up)
                m.d.comb += exponent.eq(weight + 127 + k + fraction[23])
    magnitude = Signal(31, name=f"{name}_magnitude")
    m.d.comb += magnitude.eq(Mux((total == 0) | (exponent <= 0), 0, Mux(exponent >= 255, 0x7F80_0000, Cat(fraction[:23], exponent[:8]))))
    return Cat(magnitude, sign)


def int_to_float(module=hwgen.datapath.float32, *, claims_only: bool = False) -> Bench:
    """All 2^32 integers."""
    b = Bench(claims_only=claims_only)
    m, value = b.m, b.free(signed(32), "value")
    total = Signal(32)
    m.d.comb += total.eq(abs(value))
    found = module.int_round(m, **module.int_normalise(m, value, "n"), name="r")
    b.always(found == nearest(m, total, 0, sign=value[31], name="spec"), "int32 to float32 is the nearest, ties to even")
    return b


def product(module=hwgen.datapath.float32, *, claims_only: bool = False) -> Bench:
    """All products of two mantissas with all signs, exponents and bits below them."""
    b = Bench(claims_only=claims_only)
    m, total, exponent, sign, sticky = b.m, b.free(48, "total"), b.free(signed(10), "exponent"), b.free(1, "sign"), b.free(1, "sticky")
    b.assume(total[46] | total[47])
    b.assume((exponent >= -200) & (exponent <= 400))
    found = module.round_product(m, sign=sign, exponent=exponent.as_unsigned(), product=total, sticky=sticky, name="r")
    b.always(found == nearest(m, total, exponent - 127 - 46, sticky=sticky, sign=sign, name="spec"), "a product is rounded to the nearest, ties to even")
    return b


def constant_product(module=hwgen.datapath.float32, *, claims_only: bool = False) -> Bench:
    """The sum of the two partial products of a 52-bit constant, for all partial products that 24, 24 and 28 bits give."""
    b = Bench(claims_only=claims_only)
    m, high, low = b.m, b.free(48, "high"), b.free(52, "low")
    b.assume(high <= ((1 << 24) - 1) ** 2)
    b.assume(low <= ((1 << 24) - 1) * ((1 << 28) - 1))
    parts = module.constant_sum(m, high=high, low=low, name="s")
    exact = Signal(80)
    m.d.comb += exact.eq((high << 28) + low)
    b.always((exact >> 28) == parts["product"], "the upper 48 bits of the 76-bit product")
    b.always(parts["sticky"] == (exact[:28] != 0), "whether anything is below them")
    return b


def to_integer(module=hwgen.datapath.float32, *, claims_only: bool = False) -> Bench:
    """All 2^32 patterns."""
    b = Bench(claims_only=claims_only)
    m, x = b.m, b.free(32, "x")
    mantissa, magnitude = Cat(x[:23], Const(1, 1)), Signal(12)
    with m.Switch(x[23:31]):
        for exponent in range(126, 137):
            cut = 150 - exponent
            with m.Case(exponent):
                rest, half, kept = mantissa[:cut], 1 << cut - 1, mantissa[cut:] if cut < 24 else Const(0, 1)
                m.d.comb += magnitude.eq(kept + ((rest > half) | ((rest == half) & kept[0])))
        for exponent in range(137, 256):
            with m.Case(exponent):
                m.d.comb += magnitude.eq(1024)
    found = module.round_to_integer(m, x, "r")
    expected = Signal(signed(13))
    m.d.comb += expected.eq(Mux(x[31], -magnitude, magnitude))
    b.always(found == expected, "the nearest integer, ties to even, within 1024")
    return b


def add(module=hwgen.datapath.float32, *, distance: int, claims_only: bool = False) -> Bench:
    """All pairs of results (zeros, normal numbers, infinities) whose exponents are ``distance`` apart, or more where it is :data:`FAR`.

    Operands that far apart give the larger one: the other is less than a quarter of its last place, and of that of the number below it.
    """
    b = Bench(claims_only=claims_only)
    m, x, y = b.m, b.free(32, "x"), b.free(32, "y")
    for value in (x, y):  # no subnormal, no pattern of NaN
        b.assume(((value[23:31] != 0) & (value[23:31] != 255)) | (value[:23] == 0))
    parts = module.add_align(m, x, y, "a")
    total = module.add_sum(m, subtract=parts["subtract"], large=parts["large"], small=parts["small"], name="t")
    found = module.add_round(m, sign=parts["sign"], zero_sign=parts["zero_sign"], exponent=parts["exponent"], total=total, name="r")

    first = x[:31] >= y[:31]
    large, small = Signal(32), Signal(32)
    m.d.comb += [large.eq(Mux(first, x, y)), small.eq(Mux(first, y, x))]
    apart, near = large[23:31] - small[23:31], distance < FAR
    b.assume(apart == distance if near else apart >= distance)
    exact, one, other = Signal(25 + distance), Cat(large[:23], Const(1, 1)) << distance, Cat(small[:23], Const(1, 1))
    m.d.comb += exact.eq(Mux(x[31] ^ y[31], one - other, one + other))
    rounded = nearest(m, exact, Cat(small[23:31], Const(0, 1)).as_signed() - 150, sign=large[31], name="spec") if near else large
    expected = Signal(32)
    with m.If(large[23:31] == 255):
        m.d.comb += expected.eq(Cat(Const(0x7F80_0000, 31), large[31]))
    with m.Elif(large[23:31] == 0):
        m.d.comb += expected.eq(Cat(Const(0, 31), x[31] & y[31]))
    with m.Elif(small[23:31] == 0):
        m.d.comb += expected.eq(large)
    with m.Elif(exact == 0):
        m.d.comb += expected.eq(Cat(Const(0, 31), x[31] & y[31]))
    with m.Else():
        m.d.comb += expected.eq(rounded)
    b.always(found == expected, "a sum is rounded to the nearest, ties to even")
    return b
