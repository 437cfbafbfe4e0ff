"""The machine's arithmetic against numpy's float32 and against exact rational arithmetic."""

from fractions import Fraction

import numpy as np
import pytest

from acg import primitives

SEED = 20261122
TINY = np.float32(2.0**-126)
INF = np.float32(np.inf)


def bits(value):
    return np.ascontiguousarray(value, dtype=np.float32).view(np.uint32)


def floats(patterns):
    return np.asarray(patterns, dtype=np.uint32).view(np.float32)


def random_floats(rng, count, low=1, high=254):
    """Random normal float32 with biased exponents in [low, high]."""
    sign = rng.integers(0, 2, count, dtype=np.uint32) << 31
    exponent = rng.integers(low, high + 1, count, dtype=np.uint32) << 23
    fraction = rng.integers(0, 1 << 23, count, dtype=np.uint32)
    # A third of the fractions is dense in ones or zeros: where rounding carries and ties live.
    edge = rng.integers(0, 6, count)
    fraction = np.where(edge == 0, fraction & 7, np.where(edge == 1, fraction | 0x7F_FFF8, fraction)).astype(np.uint32)
    return floats(sign | exponent | fraction)


def equal(actual, expected):
    np.testing.assert_array_equal(bits(actual), bits(expected))


def round_exact(value):
    """Nearest-even float32 of a Fraction with the machine's flush to zero and overflow to infinity, as |pattern|."""
    value = abs(value)
    if value == 0:
        return 0
    exponent = value.numerator.bit_length() - value.denominator.bit_length()
    exponent -= value < Fraction(2) ** exponent
    scaled = value / Fraction(2) ** (exponent - 23)
    kept = scaled.numerator // scaled.denominator
    rest = scaled - kept
    kept += rest > Fraction(1, 2) or (rest == Fraction(1, 2) and kept & 1)
    packed = ((exponent + 127) << 23) + kept - (1 << 23)
    return 0 if packed < 1 << 23 else min(packed, 255 << 23)


def test_int32_to_float32_rounds_ties_to_even():
    value = np.array([0, 1, -1, (1 << 24) + 1, (1 << 24) + 3, -(1 << 24) - 1, (1 << 31) - 1, -(1 << 31), 33554434, 33554438])
    expected = [0, 1, -1, 1 << 24, (1 << 24) + 4, -(1 << 24), 1 << 31, -(1 << 31), 33554432, 33554440]
    equal(primitives.int32_to_float32(value), np.array(expected, dtype=np.float32))


def test_wrap_int32():
    assert primitives.wrap_int32(np.array([1 << 31, -(1 << 31) - 1, 5 << 32, -1])).tolist() == [-(1 << 31), (1 << 31) - 1, 0, -1]


def test_multiply_equals_numpy_on_normal_results():
    rng = np.random.default_rng(SEED)
    x, y = random_floats(rng, 2_000_000, 40, 200), random_floats(rng, 2_000_000, 40, 200)
    with np.errstate(all="ignore"):
        expected = x * y
    normal = np.abs(expected) >= 2 * TINY
    assert normal.sum() > 1_900_000 and np.isinf(expected).any()
    equal(primitives.multiply(x, y)[normal], expected[normal])


def test_multiply_edges():
    x = floats([0x0000_0001, 0x807F_FFFF, 0x0080_0000, 0x7F80_0000, 0xFF80_0000, 0x7F80_0000, 0x7F7F_FFFF, 0x7FC0_0000, 0x8000_0000])
    y = floats([0x7F00_0000, 0x3F80_0000, 0x3F00_0000, 0x0000_0000, 0x3F80_0000, 0x8000_0001, 0x4000_0000, 0xBF80_0000, 0x8000_0000])
    assert bits(primitives.multiply(x, y)).tolist() == [
        0x0000_0000, 0x8000_0000, 0x0000_0000, 0x0000_0000, 0xFF80_0000, 0x8000_0000, 0x7F80_0000, 0xFF80_0000, 0x0000_0000]


def test_multiply_flushes_after_rounding_with_unbounded_exponent():
    below = floats([0x0080_0000])                       # 2^-126
    factor = floats([0x3F7F_FFFF, 0x3F80_0000])         # 1 - 2^-24, 1
    assert bits(primitives.multiply(below, factor)).tolist() == [0, 0x0080_0000]
    # (1 + 2^-12)(1 - 2^-12) = 1 - 2^-24 again, (1 + 2^-23)(1 - 2^-23) = 1 - 2^-46 rounds up to 1.
    x = floats([0x0080_0000 | 1 << 11, 0x0080_0001])
    y = np.array([1 - 2.0**-12, 1 - 2.0**-23], dtype=np.float32)
    assert bits(primitives.multiply(x, y)).tolist() == [0, 0x0080_0000]


def test_add_equals_numpy_on_normal_results():
    rng = np.random.default_rng(SEED)
    x = random_floats(rng, 2_000_000, 100, 140)
    y = np.where(rng.integers(0, 4, x.size) == 0, -x * np.float32(1 + 2.0**-22), random_floats(rng, x.size, 100, 140))
    equal(primitives.add(x, y), x + y)


def test_add_edges():
    x = floats([0x8000_0000, 0x0000_0000, 0x0080_0001, 0x7F80_0000, 0xFF80_0000, 0x3F80_0000, 0x7F7F_FFFF, 0x0000_0001, 0x8000_0001])
    y = floats([0x8000_0000, 0x8000_0000, 0x8080_0000, 0xFF80_0000, 0x7F80_0000, 0xBF80_0000, 0x7F7F_FFFF, 0x0040_0000, 0x8040_0000])
    assert bits(primitives.add(x, y)).tolist() == [
        0x8000_0000, 0, 0, 0x7F80_0000, 0xFF80_0000, 0, 0x7F80_0000, 0, 0x8000_0000]


def test_minimum_maximum():
    rng = np.random.default_rng(SEED)
    x, y = random_floats(rng, 100_000), random_floats(rng, 100_000)
    equal(primitives.minimum(x, y), np.minimum(x, y))
    equal(primitives.maximum(x, y), np.maximum(x, y))
    zeros = floats([0, 0x8000_0000]), floats([0x8000_0000, 0])
    assert bits(primitives.minimum(*zeros)).tolist() == [0x8000_0000] * 2
    assert bits(primitives.maximum(*zeros)).tolist() == [0, 0]


def test_divide_constant_equals_numpy_division():
    rng = np.random.default_rng(SEED)
    for divisor in random_floats(rng, 400, 60, 200):
        x = random_floats(rng, 10_000, 64, 190)
        with np.errstate(all="ignore"):
            expected = x / divisor
        normal = np.abs(expected) >= 2 * TINY
        equal(primitives.multiply_constant(x, *primitives.divide_constant(divisor))[normal], expected[normal])


def hard_dividends(divisor_mantissa):
    """Dividend mantissas whose quotient comes within one numerator unit of a midpoint: X 2^k = +-1 mod S, solved for X."""
    for shift in (24, 25):
        # M S = X 2^shift -+ 1 needs M odd; X from the inverse of 2^shift modulo S, then the class members in range.
        if divisor_mantissa % 2 == 0:
            continue
        inverse = pow(pow(2, shift, divisor_mantissa), -1, divisor_mantissa)
        for residue in (inverse, divisor_mantissa - inverse):
            for x in (residue, residue + divisor_mantissa):
                if 1 << 23 <= x < 1 << 24:
                    yield x


def test_divide_constant_next_to_midpoints():
    rng = np.random.default_rng(SEED)
    count = close = 0
    mantissas = [*(int(m) | 1 for m in rng.integers(1 << 23, 1 << 24, 3000)), (1 << 23) + 1, (1 << 24) - 1, (1 << 23) + 3]
    for mantissa in mantissas:
        divisor = np.float32(mantissa * 2.0**-23)
        dividends = list(hard_dividends(mantissa))
        for x in dividends:
            quotient = Fraction(x, mantissa) * (1 << (24 if x >= mantissa else 25))
            midpoint = round(quotient)
            close += midpoint & 1 and abs(quotient - midpoint) == Fraction(1, mantissa)
        dividends += [mantissa, 1 << 23, (1 << 24) - 1]
        x = np.array(dividends, dtype=np.float32)
        equal(primitives.multiply_constant(x, *primitives.divide_constant(divisor)), x / divisor)
        count += len(dividends)
    assert count > 9000 and close > 500


def test_divide_constant_is_the_52_bit_reciprocal():
    rng = np.random.default_rng(SEED)
    divisors = [*random_floats(rng, 2000, 1, 252), *(np.float32(2.0**k) for k in range(-126, 127)), np.float32(-3)]
    for divisor in divisors:
        pattern, low = primitives.divide_constant(divisor)
        mantissa = (((pattern & 0x7F_FFFF) | 0x80_0000) << 28) | low
        value = Fraction(mantissa) * Fraction(2) ** (((pattern >> 23) & 255) - 127 - 51) * (-1 if pattern >> 31 else 1)
        assert abs(value * Fraction(float(divisor)) - 1) <= Fraction(1, 1 << 52)
        assert 1 <= (pattern >> 23) & 255 <= 254


def test_multiply_constant_against_exact_arithmetic():
    rng = np.random.default_rng(SEED)
    for _ in range(150):
        x = random_floats(rng, 20, 1, 254)
        pattern, low = int(bits(random_floats(rng, 1, 1, 254))[0]), int(rng.integers(0, 1 << 28)) * int(rng.integers(0, 2))
        constant = Fraction((((pattern & 0x7F_FFFF) | 0x80_0000) << 28) | low) * Fraction(2) ** (((pattern >> 23) & 255) - 178)
        expected = [round_exact(Fraction(float(v)) * constant) | (int(bits(v)[0]) ^ pattern) & 0x8000_0000 for v in x]
        assert bits(primitives.multiply_constant(x, pattern, low)).tolist() == expected


def test_multiply_constant_breaks_ties_by_the_low_bits():
    x = floats([0x3F80_0001, 0x3F80_0003])               # 1 + 2^-23, 1 + 3 2^-23, times 1.5: a tie each
    assert bits(primitives.multiply_constant(x, 0x3FC0_0000, 0)).tolist() == [0x3FC0_0002, 0x3FC0_0004]
    assert bits(primitives.multiply_constant(x, 0x3FC0_0000, 1)).tolist() == [0x3FC0_0002, 0x3FC0_0005]


def test_multiply_constant_sees_the_highest_discarded_bit():
    """Products that are ties but for bit 27 of 76."""
    for x, pattern, low in ((0x3FC1_8340, 0x3FFB_BF71, 0x8A0_0000), (0x3FEE_CB9A, 0x3FA1_03C1, 0x400_0000),
                            (0x3FC4_E400, 0x3FAA_2A2D, 0xA12_0000), (0x3FA3_E46E, 0x3F94_98E1, 0xC00_0000)):
        mantissa, constant = (x & 0x7F_FFFF) | 0x80_0000, ((((pattern & 0x7F_FFFF) | 0x80_0000) << 28) | low)
        assert mantissa * constant % (1 << 28) == 1 << 27
        expected = round_exact(Fraction(mantissa, 1 << 23) * Fraction(constant, 1 << 51))
        assert bits(primitives.multiply_constant(floats([x]), pattern, low)).tolist() == [expected]


def test_multiply_constant_with_low_zero_equals_multiply():
    rng = np.random.default_rng(SEED)
    special = floats([0, 0x8000_0000, 1, 0x8000_0001, 0x007F_FFFF, 0x0080_0000, 0x7F7F_FFFF, 0x7F80_0000, 0xFF80_0000, 0x7F80_0001])
    for pattern in [*bits(random_floats(rng, 200)).tolist(), *bits(special).tolist(), 0x3F7F_FFFF]:
        x = np.concatenate([random_floats(rng, 1000), special])
        equal(primitives.multiply_constant(x, pattern, 0), primitives.multiply(x, floats([pattern])))


def test_round_to_int32():
    x = np.array([0.5, 1.5, 2.5, -0.5, -1.5, 0.49999997, 0.50000006, 8388607.5, 3e9, -3e9, INF, -INF, 1e-40, -0.0], dtype=np.float32)
    expected = [0, 2, 2, 0, -2, 0, 1, 8388608, 2**31 - 1, -(2**31), 2**31 - 1, -(2**31), 0, 0]
    assert primitives.round_to_int32(x).tolist() == expected


def test_saturate():
    value = np.array([300, -300, 0, 2**31 - 1, -(2**31)], dtype=np.int32)
    assert primitives.saturate(value, 10, -128, 127).tolist() == [127, -128, 10, 127, -128]
    assert primitives.saturate(value, -10, 0, 255).tolist() == [255, 0, 0, 255, 0]
    assert primitives.saturate(value, 255, 5, 4).tolist() == [5] * 5


def test_lookup_selects_the_bank():
    table = np.arange(512, dtype=np.int64).astype(np.uint8)
    table[256:] = table[256:][::-1]
    assert primitives.lookup(table, 1, np.array([0, 255], dtype=np.uint8)).tolist() == [255, 0]
    assert primitives.lookup(table, 0, np.array([0, 255], dtype=np.uint8)).tolist() == [0, 255]


@pytest.mark.parametrize(("function", "value", "message"), [
    (primitives.divide_constant, 0.0, "divide_constant: expected a divisor other than 0; change the model's scale"),
    (primitives.divide_constant, float("inf"),
     "divide_constant: expected a finite float32 that is not subnormal, not inf; change the model's scale"),
    (primitives.divide_constant, 2.0**127,
     f"divide_constant: the reciprocal of {2.0**127} is subnormal; expected a divisor of at most 2^126"),
    (primitives.scale_constant, 1e-40,
     "scale_constant: expected a finite float32 that is not subnormal, not 1e-40; change the model's scale"),
])
def test_constants_refused(function, value, message):
    with pytest.raises(ValueError) as error:
        function(value)
    assert str(error.value) == message


def test_multiply_constant_refuses_wide_fields():
    with pytest.raises(ValueError) as error:
        primitives.multiply_constant(np.float32([1]), 0, 1 << 28)
    assert str(error.value) == f"multiply_constant: scale_low must be a 28-bit pattern, not {1 << 28}"
    with pytest.raises(ValueError) as error:
        primitives.multiply_constant(np.float32([1]), -1, 0)
    assert str(error.value) == "multiply_constant: scale_bits must be a 32-bit pattern, not -1"
