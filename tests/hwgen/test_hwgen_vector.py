"""The vector unit in Amaranth's simulator: streams of random instructions equal the functional model byte by byte, and every
cycle of ready, retire and idle equals `VectorTiming`."""

import numpy as np
import pytest

from acg import primitives
from acg.kinds.vector import ESTIMATES
from acg.regmap import ErrorCode
from acg.timing.vector import MOST, PIPELINE_CYCLES, STAGES
from hwgen.layout import body_layout
from hwgen.units.vector.unit import FIELDS, VectorDestination, VectorSource, VectorUnit
from tests.hwgen.vector_bench import LEVELS, OPERATIONS, WIDTHS, Bench, float_patterns, pattern, plain, random_fields, unit


def without(*operations):
    return [operation for operation in (*OPERATIONS, *ESTIMATES) if operation not in operations]


CONFIGURATIONS = {
    "typical": {"lanes": 2, "a": ((32, 1), (8, 1)), "b": ((8, 1), (8, 1)), "y": (8,)},
    "mixed latencies": {"lanes": 2, "a": ((8, 3), (32, 1), (8, 2)), "b": ((32, 2), (8, 4)), "p_latency": 2, "y": (32, 8), "table_banks": 1,
                        "table_write_bytes": 16},
    "slow parameters": {"lanes": 1, "a": ((8, 1),), "b": ((8, 1),), "p_latency": 5, "y": (8, 8)},
    "no b, no table": {"lanes": 4, "a": ((8, 2),), "b": (), "y": (32,), "table_banks": 0, "operations": without("TABLE", "RSQRT_ESTIMATE")},
    "floats read back": {"lanes": 2, "a": ((32, 1), (8, 1)), "b": ((8, 1), (8, 1), (32, 1)), "y": (8, 32), "operations": without()},
    "broadcast": {"lanes": 4, "a": ((8, 1), (32, 3)), "b": ((8, 2),), "y": (8, 32), "operations": (*OPERATIONS, "BROADCAST_MAC")},
    "detour": {"lanes": 2, "a": ((32, 1), (8, 2)), "b": ((8, 1), (32, 1)), "y": (8, 32), "operations": (*OPERATIONS, "FAKE_QUANTIZE")},
    "broadcast of one lane": {"lanes": 1, "a": ((8, 2),), "b": ((8, 1),), "y": (32,), "operations": (*OPERATIONS, "BROADCAST_MAC")},
}
#: Deeper pipelines: every stage cut everywhere, and numbers between.
DEEP = {
    "as deep as can be": {"address": 1, **MOST},
    "some cuts": {"convert": 3, "scale": 3, "binary": 4, "rescale": 4},
    "other cuts": {"address": 1, "operand": 2, "binary": 5, "saturate": 2},
}
CONFIGURATIONS |= {name: {"lanes": 1, "a": ((8, 1), (32, 2)), "b": ((8, 1), (32, 1)), "y": (8, 32), "operations": (*without(), "FAKE_QUANTIZE"),
                          "registers": registers}
                   for name, registers in DEEP.items()}
#: Units that offer little: one or two operations each.
PRUNED = {
    "maximum and table": {"a": ((8, 1),), "b": (), "operations": ("MAXIMUM", "TABLE")},
    "maximum alone": {"lanes": 1, "a": ((8, 2), (32, 1)), "b": (), "y": (8, 32), "table_banks": 0, "operations": ("MAXIMUM",)},
    "sum alone": {"lanes": 1, "a": ((8, 1), (32, 3)), "b": (), "y": (32, 8), "table_banks": 0, "operations": ("SUM",)},
    "product alone": {"lanes": 1, "b": ((8, 2), (32, 1)), "y": (32,), "table_banks": 0, "operations": ("MAC",)},
    "broadcast alone": {"a": ((8, 2), (32, 1)), "y": (32,), "table_banks": 0, "operations": ("BROADCAST_MAC",)},
    "table alone": {"b": (), "operations": ("TABLE",)},
    "requantize alone": {"lanes": 1, "a": ((32, 1), (8, 1)), "b": (), "y": (8, 32), "table_banks": 0, "operations": ("REQUANTIZE",)},
    "addition to floats": {"lanes": 1, "a": ((32, 1),), "b": ((32, 1),), "y": (8, 32), "table_banks": 0, "operations": ("ADD",)},
    "product of floats": {"lanes": 1, "a": ((32, 1),), "b": ((32, 1), (8, 1)), "y": (32,), "table_banks": 0, "operations": ("MUL", "SUM")},
    "lesser of floats": {"lanes": 1, "a": ((32, 1),), "b": ((32, 1),), "y": (32,), "table_banks": 0, "operations": ("MIN", "MAXIMUM")},
    "fake quantisation alone": {"lanes": 1, "a": ((32, 1), (8, 3)), "b": (), "y": (32,), "table_banks": 0, "operations": ("FAKE_QUANTIZE", "SUM")},
    "estimate alone": {"lanes": 1, "a": ((32, 1),), "b": (), "y": (32,), "table_banks": 0, "operations": ("RSQRT_ESTIMATE",)},
}


@pytest.mark.sim
@pytest.mark.parametrize("delays", ["back to back", "random"])
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_random_instructions(name, delays):
    seed = 1000 + 2 * list(CONFIGURATIONS).index(name) + (delays == "random")
    print("seed", seed)
    rng = np.random.default_rng(seed)
    dut = unit(**CONFIGURATIONS[name])
    bench = Bench(dut, rng)
    program = [random_fields(rng, dut, iterations=int(rng.choice([1, 4, 60]))) for _ in range(60)]
    bench.run(program, gap=(lambda: 0) if delays == "back to back" else (lambda: int(rng.choice([0, 0, 1, 2, 30]))))
    if delays == "back to back":
        lengths = [int(np.prod([fields[f"n_{level}"] for level in LEVELS])) + 4 * (fields.get("quantize", 0) & fields["numeric"]) for fields in program]
        assert bench.starts == [0, *np.cumsum(lengths)[:-1]]
    bench.check(program)


@pytest.mark.sim
@pytest.mark.parametrize("name", PRUNED)
def test_a_unit_without_what_it_does_not_offer(name):
    """Bytes, and the cycles of its shorter pipeline."""
    seed = 1100 + list(PRUNED).index(name)
    print("seed", seed)
    rng = np.random.default_rng(seed)
    dut = unit(**PRUNED[name])
    bench = Bench(dut, rng)
    program = [random_fields(rng, dut, iterations=int(rng.choice([1, 4, 40]))) for _ in range(25)]
    bench.run(program, gap=lambda: int(rng.choice([0, 0, 0, 1, 9])))
    bench.check(program)
    assert PIPELINE_CYCLES - dut.depth("write") == sum(cycles for stage, cycles in STAGES if not dut.has(stage)) > 0


@pytest.mark.sim
def test_a_contraction_in_one_instruction():
    """A 1x3 convolution of rows with two pixels of padding, channels beside kernel columns in one level: coordinates count elements too."""
    rng = np.random.default_rng(11)
    lanes, width, channels, kernel = 4, 5, 8, 3
    bench = Bench(unit(lanes=lanes, a=((8, 1),), b=((8, 1),), y=(32,), operations=(*OPERATIONS, "BROADCAST_MAC")), rng)
    taps = kernel * channels
    program = [plain(
        broadcast=1, int_op=1, reduce=1, n_3=width, n_5=taps, a_base=(-channels) % 256, a_stride_3=channels, a_stride_5=1, a_zero=7, b_enable=1, b_signed=1,
        b_stride_5=1, x_origin=-channels, x_step_3=channels, x_step_5=1, x_bound=width * channels, y_stride_3=1)]
    bench.run(program)
    bench.check(program)
    x = np.zeros((width + 2, channels), np.int64)
    x[1:-1] = bench.a[0].reshape(-1)[: width * channels].reshape(width, channels).astype(np.int64) - 7
    w = bench.b[0][:taps].view(np.int8).astype(np.int64).reshape(kernel, channels, lanes)
    expected = [sum(x[p + k] @ w[k] for k in range(kernel)) for p in range(width)]
    np.testing.assert_array_equal(bench.y[0][:width], expected)


@pytest.mark.sim
def test_every_binary_operation_and_reduction():
    """All combinations once, each against its successor without a bubble."""
    rng = np.random.default_rng(9)
    dut = unit(lanes=2, a=((32, 1), (8, 1)), b=((8, 1),))
    bench = Bench(dut, rng)
    program = []
    for reduce in range(3):
        for binary in range(5):
            for p_enable in range(2):
                for int_op in range(2):
                    n = int(rng.integers(1, 4))
                    program.append(plain(
                        n_3=n, n_5=3, a_select=int(rng.integers(0, 2)), a_base=5, a_stride_3=3, a_stride_5=1, a_zero=100, b_enable=1,
                        b_base=7, b_stride_3=1, b_signed=1, p_enable=p_enable, p_base=n, int_op=int_op, reduce=reduce, numeric=1,
                        binary=binary, scale_a=pattern(1e-3), scale_b=pattern(0.7), scale_y=pattern(1.3), y_base=len(program) % 64,
                        y_stride_3=3, y_stride_5=1, y_zero=5))
    bench.run(program)
    bench.check(program)


@pytest.mark.sim
def test_division_reaches_the_write_port():
    """Residual addition as ONNX defines it: dividing by the output scale, for every pair of bytes of a column."""
    rng = np.random.default_rng(3)
    dut = unit(lanes=2, a=((8, 1),), b=((8, 1),))
    bench = Bench(dut, rng)
    scale_y = np.float32(0.0437)
    scale, low = primitives.divide_constant(scale_y)
    program = [plain(n_2=8, n_3=8, a_stride_2=8, a_stride_3=1, b_enable=1, b_stride_2=8, b_stride_3=1, y_stride_2=8, y_stride_3=1, a_zero=128,
                     b_zero=3, numeric=1, binary=1, scale_a=pattern(0.0371), scale_b=pattern(0.0522), scale_y=scale, scale_y_low=low, y_zero=7,
                     y_low=0, y_high=255)]
    bench.run(program)
    bench.check(program)
    real = (bench.a[0].astype(np.int32) - 128).astype(np.float32) * np.float32(0.0371)
    real = (real + (bench.b[0].astype(np.int32) - 3).astype(np.float32) * np.float32(0.0522)) / scale_y
    np.testing.assert_array_equal(bench.y[0][:64], np.clip(np.rint(real) + 7, 0, 255).astype(np.uint8))


@pytest.mark.sim
def test_a_requantised_sum_added_in_one_instruction():
    """A convolution's sums as bytes, added to other bytes, as two instructions make them: every other instruction of this program does it in one."""
    rng = np.random.default_rng(6)
    dut = unit(lanes=2, a=((32, 1), (8, 1)), b=((8, 1),), operations=(*OPERATIONS, "FAKE_QUANTIZE"))
    bench = Bench(dut, rng)
    bench.a[0][:] = rng.integers(-40000, 40000, bench.a[0].shape)
    bench.p[:, :2] = rng.integers(-1000, 1000, (len(bench.p), 2))
    bench.p[:, 2:] = rng.uniform(0.001, 0.01, (len(bench.p), 2)).astype(np.float32).view(np.int32)
    walk = {"n_3": 32, "a_stride_3": 1, "b_enable": 1, "b_stride_3": 1, "y_stride_3": 1, "p_enable": 1, "numeric": 1, "y_low": 0, "y_high": 255}
    scale_x, scale_b, scale_y = 0.0371, 0.0522, np.float32(0.0437)
    scale, low = primitives.divide_constant(scale_y)
    second = {"binary": 1, "scale_b": pattern(scale_b), "b_zero": 3, "scale_y": scale, "scale_y_low": low, "y_zero": 7}
    program = []
    for number in range(2):
        program += [plain(**walk, p_base=number, quantize=1, q_low=5 - 120, q_high=250 - 120, q_scale=pattern(scale_x), y_base=32 * number, **second),
                    plain(**{**walk, "b_enable": 0, "y_low": 5, "y_high": 250}, p_base=number, y_zero=120, y_base=64 + 32 * number)]
    bench.run(program)
    bench.check(program)
    b = (bench.b[0][:32].astype(np.int32) - 3).astype(np.float32) * np.float32(scale_b)
    for number in range(2):
        byte = bench.y[0][64 + 32 * number :][:32]
        assert byte.min() == 5 and byte.max() == 250 and len(np.unique(byte)) > 10
        real = ((byte.astype(np.int32) - 120).astype(np.float32) * np.float32(scale_x) + b) / scale_y
        np.testing.assert_array_equal(bench.y[0][32 * number :][:32], np.clip(np.rint(real) + 7, 0, 255).astype(np.uint8))


def sweep(patterns, rng):
    """A unit whose a and b memories are full of ``patterns`` (int32), and instructions of all iterations over them."""
    dut = unit(lanes=2, a=((32, 1),), b=((32, 1),), y=(32,), operations=without())
    bench = Bench(dut, rng)
    bench.a[0][:], bench.b[0][:] = patterns[:128].reshape(64, 2), patterns[128:].reshape(64, 2)
    walk = {"n_2": 8, "n_3": 8, "a_stride_2": 8, "a_stride_3": 1, "b_stride_2": 8, "b_stride_3": 1, "y_stride_2": 8, "y_stride_3": 1}
    return bench, walk | {"b_enable": 1, "numeric": 1, "a_float": 1, "b_float": 1}


@pytest.mark.sim
@pytest.mark.parametrize("binary", range(5))
def test_float_operands_of_every_kind(binary):
    """Zeros, subnormals, infinities, patterns of NaN against each other and against moderate numbers, with every operation and estimate."""
    rng = np.random.default_rng(20 + binary)
    bench, given = sweep(float_patterns(rng, 256), rng)
    program = [plain(**given, binary=binary, estimate=estimate, y_base=64 * (estimate & 1), p_enable=int(estimate == 2), b_base=shift,
                     scale_a=pattern(float(rng.uniform(0.5, 2))), scale_b=pattern(float(-rng.uniform(0.5, 2))))
               for estimate in range(3) for shift in (0, 5, 34)]
    bench.run(program)
    bench.check(program)


@pytest.mark.sim
def test_the_lowest_bits_of_the_constant_decide_a_tie():
    """1.0 times a constant of 0.5 plus a half of its last place and k * 2^-52 of it: even for k = 0, up for any other, whose bits are far below."""
    bench, walk = sweep(np.full(256, pattern(1.0), np.int32), np.random.default_rng(0))
    lows = [1 << 27, (1 << 27) + 1, (1 << 27) + 31, (1 << 27) - 1]
    fields = walk | {"n_2": 1, "n_3": 1, "b_enable": 0, "scale_a": pattern(1.0), "scale_y": pattern(0.5)}
    program = [plain(**fields, scale_y_low=low, y_base=number) for number, low in enumerate(lows)]
    bench.run(program)
    bench.check(program)
    half = pattern(0.5)
    assert bench.y[0][:4].tolist() == [[value, value] for value in (half, half + 1, half + 1, half)]


@pytest.mark.sim
def test_estimates_of_any_pattern():
    """Every exponent and sign at least once behind a multiplication by one; the scalar definition once more, in Python integers."""
    rng = np.random.default_rng(31)
    exponents = np.concatenate([np.arange(256) << 23, (np.arange(256) | 256) << 23]).astype(np.uint32)
    patterns = exponents | rng.integers(0, 1 << 23, 512).astype(np.uint32)
    for half in (patterns[:256], patterns[256:]):
        bench, given = sweep(half.view(np.int32), rng)
        program = [plain(**given, estimate=1), plain(**given, estimate=2, y_base=64)]
        bench.run(program)
        bench.check(program)
        flushed = primitives.flush(bench.a[0].view(np.float32)).view(np.uint32).astype(np.int64)
        np.testing.assert_array_equal(bench.y[0][:64].view(np.uint32), (0x7EF311C7 - flushed) % (1 << 32))
        np.testing.assert_array_equal(bench.y[0][64:].view(np.uint32), (0x5F3759DF - (flushed >> 1)) % (1 << 32))


@pytest.mark.sim
@pytest.mark.parametrize("halt_at", [1, 7, 25, 40])
def test_halt_stops_all_accesses_and_ends_idle(halt_at):
    rng = np.random.default_rng(4)
    dut = unit(lanes=1)
    bench = Bench(dut, rng)
    program = [plain(n_3=20, a_stride_3=1, y_stride_3=1, p_enable=1)] * 3
    bench.run(program, halt_at=halt_at, cycles=halt_at + 25)
    assert bench.idle_at_end
    assert bench.retires == [retire for _, retire in bench.predicted if retire < halt_at]
    assert len(bench.log) == max(0, halt_at - 20)


@pytest.mark.sim
@pytest.mark.parametrize(("given", "address"), [({"a_base": 70}, 70), ({"b_base": 66, "b_enable": 1}, 66), ({"p_base": 31, "p_enable": 1}, 31),
                                                ({"y_base": 200}, 200)])
def test_address_beyond_a_port_is_an_error(monkeypatch, given, address):
    for name, width in (("a_base", 7), ("b_base", 7), ("p_base", 5), ("y_base", 8)):
        monkeypatch.setitem(WIDTHS, name, width)
    bench = Bench(unit(lanes=1), np.random.default_rng(5))
    bench.run([plain(**given)])
    assert [error[1:] for error in bench.errors] == [(ErrorCode.ADDRESS, address)]
    assert len(bench.log) == (0 if "y_base" in given else 1)


@pytest.mark.sim
@pytest.mark.parametrize(("given", "number"), [
    ({"a_select": 1}, 1), ({"a_select": 3}, 3), ({"b_select": 1, "b_enable": 1}, 1), ({"y_select": 1}, 1), ({"table_select": 3, "table_enable": 1}, 3),
    ({"reduce": 3}, 3), ({"binary": 5}, 5), ({"binary": 7}, 7), ({"estimate": 1}, 1), ({"estimate": 3}, 3)])
def test_a_choice_that_does_not_exist_is_an_error(monkeypatch, given, number):
    """Found by random illegal programs: y_select of an absent memory wrote nothing and retired. That these are the codes which acg.rules says do not
    exist: tests/covenant/test_covenant_forced.py."""
    monkeypatch.setitem(WIDTHS, "table_select", 2)
    bench = Bench(unit(lanes=1, table_banks=3, operations=without("RECIPROCAL_ESTIMATE")), np.random.default_rng(5))
    bench.run([plain(**given)])
    assert [error[1:] for error in bench.errors] == [(ErrorCode.ILLEGAL, number)]
    assert bench.errors[0][0] == 2, "known before anything is written"


@pytest.mark.sim
def test_choices_that_are_not_used_are_no_error(monkeypatch):
    monkeypatch.setitem(WIDTHS, "table_select", 2)
    bench = Bench(unit(lanes=1, table_banks=3, operations=without()), np.random.default_rng(5))
    program = [plain(b_select=1, table_select=3, y_stride_3=1, n_3=4)]
    bench.run(program)
    bench.check(program)


@pytest.mark.parametrize(("change", "error", "message"), [
    ({"lanes": 0}, ValueError, "VectorUnit: lanes must be at least 1, not 0"),
    ({"a": ()}, ValueError, "VectorUnit: a_sources must name at least one memory, not none"),
    ({"b": ((16, 1),)}, ValueError, "VectorUnit: b_sources[0]: element_bits must be 8 or 32, not 16"),
    ({"p_latency": 0}, ValueError, "VectorUnit: p: read_latency_cycles must be at least 1, not 0"),
    ({"y": (8, "8")}, ValueError, "VectorUnit: y_destinations[1]: element_bits must be an integer, not '8'"),
    ({"table_banks": -1}, ValueError, "VectorUnit: table_banks must be at least 0, not -1"),
    ({"operations": ("MAC", "TOTAL")}, ValueError, "VectorUnit: operations must be of MAC, BROADCAST_MAC, SUM, MAXIMUM, ADD, MUL, MIN, MAX, FAKE_QUANTIZE, "
     "REQUANTIZE, RECIPROCAL_ESTIMATE, RSQRT_ESTIMATE, TABLE, not 'TOTAL'"),
    ({"operations": ("SUM", "TABLE")}, ValueError,
     "VectorUnit: b_sources must be empty where none of MAC, BROADCAST_MAC, ADD, MUL, MIN, MAX is offered, not 1 memories"),
    ({"operations": ("MAC",)}, ValueError, "VectorUnit: table_banks must be 0 where TABLE is not offered, not 2"),
    ({"table_banks": 0}, ValueError, "VectorUnit: table_banks must be at least 1 where TABLE is offered, not 0"),
])
def test_refused_parameters(change, error, message):
    with pytest.raises((error, TypeError)) as caught:
        unit(**change)
    assert str(caught.value) == message


def test_body_without_a_field():
    layout = body_layout([(name, 4, 4 * index, False) for index, name in enumerate(FIELDS) if name not in ("numeric", "y_low")])
    with pytest.raises(ValueError) as caught:
        VectorUnit(operations=OPERATIONS[:-1], body=layout, lanes=1, a_sources=[VectorSource(8, 6, 1)], b_sources=[], p_addr_bits=4, p_read_latency_cycles=1,
                   y_destinations=[VectorDestination(8, 7)], table_banks=0, table_write_bytes=1)
    assert str(caught.value) == "VectorUnit: body lacks fields numeric, y_low"


def test_body_without_the_field_of_an_estimate():
    layout = body_layout([(name, 4, 4 * index, False) for index, name in enumerate(FIELDS)])
    with pytest.raises(ValueError) as caught:
        VectorUnit(operations=(*OPERATIONS[:-1], "RSQRT_ESTIMATE"), body=layout, lanes=1, a_sources=[VectorSource(8, 6, 1)], b_sources=[],
                   p_addr_bits=4, p_read_latency_cycles=1,
                   y_destinations=[VectorDestination(32, 7)], table_banks=0, table_write_bytes=1)
    assert str(caught.value) == "VectorUnit: body lacks field estimate"
