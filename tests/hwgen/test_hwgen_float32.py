"""float32 lane arithmetic in RTL against `acg.primitives`, in Amaranth's simulator."""

import itertools
import re

import numpy as np
import pytest
from amaranth.back import rtlil
from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.sim import Simulator

from acg import primitives
from hwgen.datapath import float32

pytestmark = pytest.mark.sim
SEED = 4242
COUNT = 3000

EDGES = np.array([0, 0x8000_0000, 0x0080_0000, 0x8080_0000, 0x0080_0001, 0x3F80_0000, 0xBF80_0000, 0x3F7F_FFFF, 0x3F80_0001,
                  0x7F7F_FFFF, 0xFF7F_FFFF, 0x7F80_0000, 0xFF80_0000, 0x3F00_0000, 0x3FC0_0000, 0x4B00_0001, 0x0100_0000,
                  0x3EFF_FFFF, 0x447F_E000, 0x447F_F000, 0x4480_0000, 0xC47F_E000, 0xC480_0000], dtype=np.uint32)
#: Operands that never come out of another unit, only out of a field: subnormals and patterns of NaN.
RAW = np.array([1, 0x8000_0001, 0x007F_FFFF, 0x7FC0_0000, 0xFF80_0001], dtype=np.uint32)


def random_patterns(rng, count, low=1, high=254):
    """Patterns with biased exponents in [low, high]; a third of the fractions is dense in ones or zeros."""
    fraction = rng.integers(0, 1 << 23, count)
    edge = rng.integers(0, 6, count)
    fraction = np.where(edge == 0, fraction & 7, np.where(edge == 1, fraction | 0x7F_FFF8, fraction))
    return (rng.integers(0, 2, count) << 31 | rng.integers(low, high + 1, count) << 23 | fraction).astype(np.uint32)


def pairs(rng, raw=False):
    """Random pairs, pairs of near exponents, and all pairs of edges."""
    edges = np.concatenate([EDGES, RAW]) if raw else EDGES
    x = [random_patterns(rng, COUNT), random_patterns(rng, COUNT, 120, 134), np.repeat(edges, edges.size)]
    y = [random_patterns(rng, COUNT), random_patterns(rng, COUNT, 120, 134), np.tile(edges, edges.size)]
    # Cancellation: nearly equal magnitudes of opposite sign.
    near = x[1] + rng.integers(-3, 4, COUNT).astype(np.uint32) + (rng.integers(-1, 2, COUNT) << 23).astype(np.uint32)
    return np.concatenate([*x, x[1]]), np.concatenate([*y, near ^ np.uint32(0x8000_0000)])


def simulate(build, widths, *operands):
    """Outputs of a combinational function ``build(m, *inputs) -> value`` for vectors of operands."""
    m = Module()
    inputs = [Signal(width) for width in widths]
    value = build(m, *inputs)
    output = Signal(value.shape())
    m.d.comb += output.eq(value)
    results = []

    async def bench(ctx):
        for vector in zip(*(operand.tolist() for operand in operands), strict=True):
            for signal, item in zip(inputs, vector, strict=True):
                ctx.set(signal, item)
            results.append(ctx.get(output))

    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()
    assert len(results) == operands[0].size > 0
    return results


def floats(patterns):
    return patterns.astype(np.uint32).view(np.float32)


def compare(actual, expected, *operands):
    """Whole vectors; names the first wrong one by its operands."""
    expected = expected.view(np.uint32) if expected.dtype == np.float32 else expected
    wrong = np.flatnonzero(np.array(actual) != expected)
    assert wrong.size == 0, [hex(int(v[wrong[0]])) for v in (*operands, np.array(actual), expected)]


@pytest.mark.parametrize("width", [10, 24, 25, 32])
def test_integer_to_float(width):
    print("seed", SEED)
    rng = np.random.default_rng(SEED)
    low = -(1 << (width - 1))
    value = np.concatenate([rng.integers(low, -low, COUNT), rng.integers(low, -low, COUNT) >> rng.integers(0, width, COUNT),
                            [0, 1, -1, low, low + 1, -low - 1, -low - 2]])
    if width > 25:
        value = np.concatenate([value, [(1 << 24) + 1, (1 << 24) + 3, (1 << 30) + 64, (1 << 30) + 192, (1 << 30) + 65, -low - 64]])

    def build(m, v):
        return float32.int_round(m, **float32.int_normalise(m, v, "n"), name="r")

    compare(simulate(build, [signed(width)], value), primitives.int32_to_float32(value), value)


def test_multiply():
    print("seed", SEED)
    x, y = pairs(np.random.default_rng(SEED), raw=True)

    def build(m, x, y):
        return float32.round_product(m, **float32.product(m, x, y, "p"), name="r")

    compare(simulate(build, [32, 32], x, y), primitives.multiply(floats(x), floats(y)), x, y)


def test_add():
    print("seed", SEED)
    x, y = pairs(np.random.default_rng(SEED))

    def build(m, x, y):
        parts = float32.add_align(m, x, y, "a")
        total = float32.add_sum(m, **{name: parts.pop(name) for name in ("subtract", "large", "small")}, name="s")
        return float32.add_round(m, **parts, total=total, name="r")

    keep = np.isfinite(floats(y)) | (floats(y).view(np.uint32) & 0x7F_FFFF == 0)
    keep &= (y & 0x7F80_0000 != 0) | (y & 0x7F_FFFF == 0)
    x, y = x[keep], y[keep]
    compare(simulate(build, [32, 32], x, y), primitives.add(floats(x), floats(y)), x, y)


@pytest.mark.parametrize("largest", [False, True])
def test_minimum_maximum(largest):
    print("seed", SEED)
    x, y = pairs(np.random.default_rng(SEED))
    x, y = primitives.flush(floats(x)), primitives.flush(floats(y))

    def build(m, x, y):
        return Mux(float32.lesser(m, x, y, "l") ^ int(largest), x, y)

    expected = (primitives.maximum if largest else primitives.minimum)(x, y)
    compare(simulate(build, [32, 32], x.view(np.uint32), y.view(np.uint32)), expected, x.view(np.uint32), y.view(np.uint32))


def ties_but_for_one_bit(rng):
    """(x, scale, low) whose 76-bit product is a tie but for bit 27, the highest of those that only a sticky bit sees.

    With X = x 2^k and low = l 2^(27-k), X low is the odd x l times 2^27; l = 1/x modulo 2^(k+1) makes c = (x l - 1) / 2 a
    multiple of 2^k, so that X hi + c = 2^22 (modulo 2^23) has solutions hi.
    """
    while True:
        k = int(rng.integers(1, 12))
        x = int(rng.integers(1 << (23 - k), 1 << (24 - k))) | 1
        low = pow(x, -1, 1 << (k + 1))
        carry = (x * low - 1) // 2
        wide = int(rng.integers(0, 2))
        modulus = 1 << (23 + wide - k)
        high = ((1 << (22 + wide)) - carry >> k) * pow(x, -1, modulus) % modulus
        high += modulus * int(rng.integers((1 << 23) // modulus, (1 << 24) // modulus))
        total = (x << k) * high + carry
        if high >> 23 == 1 and total.bit_length() == 47 + wide:
            yield 0x3F80_0000 | (x << k) & 0x7F_FFFF, 0x3F80_0000 | high & 0x7F_FFFF, low << (27 - k)


def test_multiply_constant():
    print("seed", SEED)
    rng = np.random.default_rng(SEED)
    x, scale, low, expected = [], [], [], []

    def case(values, pattern, below):
        x.append(values)
        scale.append(np.full(values.size, pattern, np.uint32))
        low.append(np.full(values.size, below, np.uint32))
        expected.append(primitives.multiply_constant(floats(values), pattern, below))

    for _ in range(60):
        below = int(rng.integers(0, 1 << 28)) if rng.integers(0, 3) else int(rng.integers(0, 2))
        case(random_patterns(rng, 40), int(random_patterns(rng, 1)[0]), below)
        case(random_patterns(rng, 40, 110, 140), *primitives.divide_constant(floats(random_patterns(rng, 1, 100, 150))[0]))
    for value, pattern, below in itertools.islice(ties_but_for_one_bit(rng), 200):
        case(np.array([value, value ^ 0x8000_0000], dtype=np.uint32), pattern, below)
    for pattern in [*EDGES.tolist(), *RAW.tolist()]:
        case(np.concatenate([EDGES, RAW]), pattern, 0)
        case(EDGES, pattern, (1 << 28) - 1)

    def build(m, x, scale, low):
        parts = float32.constant_products(m, x, scale, low, "p")
        parts |= float32.constant_sum(m, high=parts.pop("high"), low=parts.pop("low"), name="s")
        return float32.round_product(m, **parts, name="r")

    x, scale, low, expected = (np.concatenate(item) for item in (x, scale, low, expected))
    compare(simulate(build, [32, 32, 28], x, scale, low), expected, x, scale, low)


def test_round_to_integer():
    print("seed", SEED)
    rng = np.random.default_rng(SEED)
    ties = (np.arange(-2100, 2101) / 2).astype(np.float32).view(np.uint32)
    x = np.concatenate([ties, ties + np.uint32(1), ties - np.uint32(1), random_patterns(rng, COUNT, 110, 145), random_patterns(rng, 500),
                        EDGES])
    x = primitives.flush(floats(x)).view(np.uint32)
    expected = np.clip(primitives.round_to_int32(floats(x)), -1024, 1024)
    compare(simulate(lambda m, x: float32.round_to_integer(m, x, "i"), [32], x), expected, x)


def test_round_to_int32():
    print("seed", SEED)
    rng = np.random.default_rng(SEED)
    ties = (np.arange(-40, 41) / 2).astype(np.float32).view(np.uint32)
    x = np.concatenate([ties, ties + np.uint32(1), ties - np.uint32(1), random_patterns(rng, COUNT, 120, 160), random_patterns(rng, 500), EDGES, RAW,
                        np.array([0x4EFF_FFFF, 0x4F00_0000, 0xCF00_0000, 0xCF00_0001, 0x4B80_0001], np.uint32)])
    compare(simulate(lambda m, x: float32.round_to_int32(m, x, "i"), [32], x), primitives.round_to_int32(floats(x)).view(np.uint32), x)


def test_no_wire_is_wider_than_64_bits():
    m = Module()
    x, y, low, exponent = Signal(32), Signal(32), Signal(28), Signal(10)
    outputs = [
        *float32.int_normalise(m, x, "n").values(), float32.int_round(m, sign=x[0], magnitude=x, shift=y[:5], name="i"),
        *float32.product(m, x, y, "p").values(), float32.round_product(m, sign=x[0], exponent=exponent, product=Signal(48), name="r"),
        *float32.add_align(m, x, y, "a").values(), float32.add_sum(m, subtract=x[0], large=x[:24], small=y[:27], name="s"),
        float32.add_round(m, sign=x[0], zero_sign=x[1], exponent=x[:8], total=Signal(28), name="t"),
        *float32.constant_products(m, x, y, low, "c").values(),
        *float32.constant_sum(m, high=Signal(48), low=Signal(52), name="u").values(), float32.round_to_integer(m, x, "z"),
    ]
    ports = [Signal(len(value)) for value in outputs]
    m.d.comb += [port.eq(value) for port, value in zip(ports, outputs, strict=True)]
    widths = [int(width) for width in re.findall(r"wire width (\d+)", rtlil.convert(m, ports=ports, emit_src=False))]
    assert len(widths) > 200
    assert max(widths) <= 64
