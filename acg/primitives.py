"""The arithmetic of the machine, stated once, as numpy: what each stage of the vector unit does to one element.

Floating point is IEEE binary32, rounded to nearest even, with three simplifications that make every function total:

- subnormal operands and results are zero with their sign. A result is flushed when, rounded to 24 bits with an unbounded
  exponent, its magnitude is below 2^-126;
- an operand with exponent 255 is an infinity whatever its fraction. There is no NaN: zero times infinity is zero, the sum
  of opposite infinities is the first of them;
- minimum and maximum order -0 below +0.

Dividing without a divider
--------------------------
ONNX quantises with a float32 division by the scale; the hardware multiplies by a constant of 52 mantissa bits and rounds
once. Both give the same float32, always:

Let X and S be the 24-bit integer mantissas of dividend and divisor, in [2^23, 2^24). A midpoint between neighbouring
24-bit floats is an odd 25-bit integer M times a power of two, so M >= 2^24 + 1.

- X >= S: X/S lies in [1, 2), midpoints there are M / 2^24, and X/S - M/2^24 = (X 2^24 - M S) / (S 2^24). The numerator is
  an integer, and not zero: M is odd and S < 2^24, so 2^24 does not divide M S. Relative to X/S the distance is at least
  1 / (X 2^24) > 2^-48.
- X < S: X/S lies in (1/2, 1), midpoints there are M / 2^25; likewise the distance relative to X/S is at least
  1 / (X 2^25) > 2^-49.

So X/S is never a midpoint and lies more than 2^-49, relatively, away from each. The constant is 1/S rounded to nearest on
52 bits, off by at most 2^-52 relatively, so X times the constant lies between the same two midpoints as X/S and rounds to
the same float. The flush threshold 2^-126 (1 - 2^-25) and the overflow threshold 2^128 (1 - 2^-25) are midpoints too.
Rounding 1/S never reaches the next binade: S = 2^23 is exact, and otherwise 2^75/S <= 2^75/(2^23 + 1) < 2^52 - 2^28.
"""

import numpy as np

__all__ = [
    "CONSTANT_LOW_BITS", "INT32_MAX", "INT32_MIN", "PRODUCT_OPERAND_BITS", "RECIPROCAL_PATTERN", "RSQRT_PATTERN", "add",
    "divide_constant", "fake_quantize", "flush", "int32_to_float32", "lookup", "maximum", "minimum", "multiply", "multiply_constant", "product_operand",
    "reciprocal_estimate", "round_to_int32", "rsqrt_estimate", "saturate", "scale_constant", "wrap_int32",
]

INT32_MIN = -(1 << 31)
INT32_MAX = (1 << 31) - 1

#: Mantissa bits of a 52-bit constant below the 24 that its float32 pattern holds.
CONSTANT_LOW_BITS = 28

#: Bits of an operand of the integer product: an 8-bit value less any 9-bit zero point lies in [-383, 511].
PRODUCT_OPERAND_BITS = 10

#: float32 patterns from which a pattern (halved, for the root) is subtracted. An exponent's negative is that of the reciprocal, and the
#: fraction's chord is fitted so that the greatest relative errors are 5.06% and 3.44%: a start for Newton's iteration.
RECIPROCAL_PATTERN = 0x7EF3_11C7
RSQRT_PATTERN = 0x5F37_59DF

_SIGN = np.uint32(0x8000_0000)
_INFINITY = np.uint32(0x7F80_0000)
_SMALLEST_NORMAL = np.float32(2.0**-126)
#: Magnitudes below this round, with an unbounded exponent, below the smallest normal number. At it, the tie goes up.
_FLUSH_BELOW = 2.0**-126 * (1 - 2.0**-25)


def wrap_int32(value: np.ndarray) -> np.ndarray:
    """Reduce int64 values modulo 2^32 to int32, as a 32-bit adder or multiplier does."""
    return np.asarray(value, dtype=np.int64).astype(np.uint32).view(np.int32)


def product_operand(value: np.ndarray) -> np.ndarray:
    """The low 10 bits of int32 values, signed: what the integer product sees of an operand. An 8-bit value less its zero point is kept."""
    unused = 32 - PRODUCT_OPERAND_BITS
    return (np.asarray(value, dtype=np.int32) << np.int32(unused)) >> np.int32(unused)


def int32_to_float32(value: np.ndarray) -> np.ndarray:
    """Convert int32 to float32, round to nearest even."""
    return np.asarray(value, dtype=np.int32).astype(np.float32)


def flush(value: np.ndarray) -> np.ndarray:
    """Bring float32 operands into the machine's domain: subnormals to signed zero, NaN to infinity of the same sign."""
    value = np.asarray(value, dtype=np.float32)
    magnitude = np.abs(value)
    if np.all((magnitude >= _SMALLEST_NORMAL) & np.isfinite(value)):
        return value
    bits = np.array(value, ndmin=1).view(np.uint32)
    exponent = bits & _INFINITY
    bits = np.where((exponent == 0), bits & _SIGN, bits)
    bits = np.where(exponent == _INFINITY, bits & (_SIGN | _INFINITY), bits)
    return bits.astype(np.uint32).view(np.float32).reshape(value.shape)


def multiply(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """float32 product, rounded once. Shapes broadcast."""
    x, y = flush(x), flush(y)
    with np.errstate(all="ignore"):
        exact = x.astype(np.float64) * y.astype(np.float64)  # 48 bits of 53, exponents within +-300: exact
        product = exact.astype(np.float32)
    tiny = np.abs(exact) < _FLUSH_BELOW
    undefined = np.isnan(exact)
    if np.any(tiny) or np.any(undefined):
        zero = np.where(np.signbit(x) ^ np.signbit(y), np.float32(-0.0), np.float32(0.0))
        product = np.where(tiny | undefined, zero, product)
    return product


def add(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """float32 sum, rounded once; an exact zero of operands of opposite signs is +0. Shapes broadcast."""
    x, y = flush(x), flush(y)
    with np.errstate(all="ignore"):
        total = x + y
    return flush(np.where(np.isinf(x), x, total))


def _order(value: np.ndarray) -> np.ndarray:
    """Integer key with the order of the floats, -0 below +0."""
    bits = value.view(np.int32)
    return np.where(bits < 0, ~bits ^ np.int32(INT32_MIN), bits)


def minimum(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Smaller of two float32. Shapes broadcast."""
    x, y = flush(x), flush(y)
    return np.where(_order(y) < _order(x), y, x)


def maximum(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Larger of two float32. Shapes broadcast."""
    x, y = flush(x), flush(y)
    return np.where(_order(y) > _order(x), y, x)


def multiply_constant(x: np.ndarray, scale_bits: int, scale_low: int) -> np.ndarray:
    """Product of float32 ``x`` and a constant of 52 mantissa bits, rounded once to float32.

    Parameters
    ----------
    scale_bits : int
        Sign, exponent and top 24 mantissa bits (truncated, the first implied) of the constant, as a float32 pattern.
    scale_low : int
        The next 28 mantissa bits.

    Raises
    ------
    ValueError
        ``scale_bits`` is not a 32-bit pattern or ``scale_low`` not a 28-bit one.
    """
    if not 0 <= scale_bits < 1 << 32:
        raise ValueError(f"multiply_constant: scale_bits must be a 32-bit pattern, not {scale_bits}")
    if not 0 <= scale_low < 1 << CONSTANT_LOW_BITS:
        raise ValueError(f"multiply_constant: scale_low must be a {CONSTANT_LOW_BITS}-bit pattern, not {scale_low}")
    bits = np.ascontiguousarray(x, dtype=np.float32).view(np.uint32)
    sign = (bits & _SIGN) ^ np.uint32(scale_bits & 0x8000_0000)
    exponent = ((bits >> np.uint32(23)) & np.uint32(255)).astype(np.int64)
    scale_exponent = (scale_bits >> 23) & 255
    mantissa = ((bits & np.uint32(0x7F_FFFF)) | np.uint32(0x80_0000)).astype(np.uint64)
    low_product = mantissa * np.uint64(scale_low)
    # The 76-bit product without its lowest 28 bits, of which only "not all zero" matters: 2^46 <= product < 2^48.
    product = mantissa * np.uint64((scale_bits & 0x7F_FFFF) | 0x80_0000) + (low_product >> np.uint64(CONSTANT_LOW_BITS))
    sticky = (low_product & np.uint64((1 << CONSTANT_LOW_BITS) - 1)) != 0
    high = product >> np.uint64(47)
    product = product << (np.uint64(1) - high)
    kept = product >> np.uint64(24)
    rest = ((product & np.uint64(0xFF_FFFF)) << np.uint64(1)) | sticky.astype(np.uint64)
    half = np.uint64(1 << 24)
    up = (rest > half) | ((rest == half) & ((kept & np.uint64(1)) != 0))
    # Exponent and fraction in one integer: a carry out of the fraction raises the exponent.
    packed = ((exponent + scale_exponent - 127 + high.astype(np.int64)) << 23) + (kept & np.uint64(0x7F_FFFF)).astype(np.int64) + up
    infinite = (packed >= 255 << 23) | (exponent == 255) | (scale_exponent == 255)
    zero = (exponent == 0) | (scale_exponent == 0) | ((packed < 1 << 23) & ~infinite)
    packed = np.where(zero, 0, np.where(infinite, np.int64(_INFINITY), packed))
    return (sign | packed.astype(np.uint32)).view(np.float32).reshape(np.shape(x))


def reciprocal_estimate(x: np.ndarray) -> np.ndarray:
    """First guess of 1 / x, for normal numbers between 2^-125 and 2^125 within 5.06%; any other pattern gives some pattern."""
    bits = np.asarray(x, dtype=np.float32).view(np.uint32)
    return (np.uint32(RECIPROCAL_PATTERN) - bits).view(np.float32)


def rsqrt_estimate(x: np.ndarray) -> np.ndarray:
    """First guess of 1 / sqrt(x), for positive normal numbers within 3.44%; any other pattern gives some pattern."""
    bits = np.asarray(x, dtype=np.float32).view(np.uint32)
    return (np.uint32(RSQRT_PATTERN) - (bits >> np.uint32(1))).view(np.float32)


def round_to_int32(x: np.ndarray) -> np.ndarray:
    """Nearest integer, ties to even, saturated to int32."""
    rounded = np.rint(flush(x).astype(np.float64))
    return np.clip(rounded, INT32_MIN, INT32_MAX).astype(np.int32)


def saturate(value: np.ndarray, zero: int, low: int, high: int) -> np.ndarray:
    """``value + zero`` without wrap-around, limited to [low, high]; ``low`` wins should the two be crossed. Returns int32."""
    shifted = np.asarray(value, dtype=np.int64) + zero
    return np.maximum(np.minimum(shifted, high), low).astype(np.int32)


def fake_quantize(x: np.ndarray, low: int, high: int, scale: np.ndarray) -> np.ndarray:
    """What float32 ``x``, in steps of a tensor's scale, is worth once it has been that tensor's byte: the nearest integer in [low, high], which are the byte's
    limits less its zero point, times ``scale``."""
    return multiply(int32_to_float32(saturate(round_to_int32(x), 0, low, high)), scale)


def lookup(table: np.ndarray, bank: int, index: np.ndarray) -> np.ndarray:
    """Entries ``index`` (uint8) of 256-byte bank ``bank`` of ``table`` (uint8, banks * 256)."""
    return table[bank * 256 : (bank + 1) * 256][np.asarray(index, dtype=np.uint8)]


def _pattern(where: str, value: float) -> int:
    bits = int(np.array(value, dtype=np.float32).view(np.uint32))
    exponent = (bits >> 23) & 255
    if exponent == 255 or (exponent == 0 and bits & 0x7F_FFFF):
        raise ValueError(f"{where}: expected a finite float32 that is not subnormal, not {value}; change the model's scale")
    return bits


def scale_constant(factor: float) -> tuple[int, int]:
    """Fields (scale_y, scale_y_low) that multiply by a float32.

    Raises
    ------
    ValueError
        ``factor`` is not finite, or subnormal.
    """
    return _pattern("scale_constant", factor), 0


def divide_constant(divisor: float) -> tuple[int, int]:
    """Fields (scale_y, scale_y_low) that divide by a float32, correctly rounded for every dividend (proof: see the module).

    Raises
    ------
    ValueError
        ``divisor`` is zero, not finite, subnormal, or so large that its reciprocal is subnormal.
    """
    bits = _pattern("divide_constant", divisor)
    exponent, mantissa = (bits >> 23) & 255, (bits & 0x7F_FFFF) | 0x80_0000
    if exponent == 0:
        raise ValueError("divide_constant: expected a divisor other than 0; change the model's scale")
    # 1 / (m 2^(e-150)) = (2^75 / m) 2^(75-e); for m = 2^23 the quotient is 2^52, one binade up.
    reciprocal = ((1 << 76) // mantissa + 1) >> 1
    result_exponent = 253 - exponent
    if mantissa == 1 << 23:
        reciprocal, result_exponent = 1 << 51, 254 - exponent
    if result_exponent < 1:
        raise ValueError(f"divide_constant: the reciprocal of {divisor} is subnormal; expected a divisor of at most 2^126")
    fraction = (reciprocal >> CONSTANT_LOW_BITS) & 0x7F_FFFF
    return (bits & 0x8000_0000) | (result_exponent << 23) | fraction, reciprocal & ((1 << CONSTANT_LOW_BITS) - 1)
