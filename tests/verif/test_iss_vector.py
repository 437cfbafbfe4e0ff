"""The functional vector model against a scalar transcription of the instruction's definition, one iteration after the other."""

import itertools

import numpy as np
import pytest

from acg import primitives
from acg.regmap import ErrorCode
from verif.iss.errors import MachineError
from verif.iss.vector import BINARY_ADD, ESTIMATE_RECIPROCAL, ESTIMATE_RSQRT, REDUCE_MAX, REDUCE_NONE, REDUCE_SUM, execute_vector

SEED = 77
LANES = 4


def pattern(value):
    return int(np.float32(value).view(np.uint32))


def fields(**given):
    """A pass-through instruction of one iteration, with some fields changed."""
    base = {f"n_{level}": 1 for level in range(6)}
    for port in "aby":
        base |= {f"{port}_stride_{level}": 0 for level in range(6)} | {f"{port}_base": 0, f"{port}_select": 0}
    base |= dict.fromkeys(["a_signed", "a_zero", "a_float", "broadcast", "b_signed", "b_zero", "b_float", "b_enable", "p_enable", "p_base", "p_stride_0", "p_stride_1",
                           "int_op", "reduce", "numeric", "binary", "estimate", "scale_y_low", "y_zero", "table_enable",
                           "table_select", "y_origin", "x_origin", "y_step_2", "y_step_4", "x_step_3", "x_step_5"], 0)
    base |= {"scale_a": pattern(1), "scale_b": pattern(1), "scale_y": pattern(1), "y_low": -128, "y_high": 127, "y_bound": 1, "x_bound": 1}
    unknown = set(given) - set(base)
    assert not unknown
    return base | given


def float_patterns(rng):
    """Words of float32 of moderate magnitude and either sign, as int32; a few zeros."""
    values = rng.choice([-1, 0, 1], p=[0.45, 0.1, 0.45], size=(128, LANES)) * 2.0 ** rng.uniform(-9, 9, (128, LANES))
    return values.astype(np.float32).view(np.int32)


def memories(rng):
    return {
        "a_memories": [rng.integers(-(1 << 31), 1 << 31, (64, LANES), dtype=np.int32),
                       rng.integers(0, 256, (128, LANES), dtype=np.uint8), float_patterns(rng)],
        "b_memories": [rng.integers(0, 256, (100, LANES), dtype=np.uint8),
                       rng.integers(-(1 << 31), 1 << 31, (128, LANES), dtype=np.int32), float_patterns(rng)],
        "parameter": rng.integers(-1000, 1000, (16, 2 * LANES), dtype=np.int32),
        "table": rng.integers(0, 256, 512, dtype=np.uint8),
        "y_memories": [rng.integers(0, 256, (128, LANES), dtype=np.uint8),
                       rng.integers(-9, 9, (64, LANES), dtype=np.int32)],
    }


def scalar_model(f, a_memories, b_memories, parameter, table, y_memories):
    """One element after the other, in Python integers and float32 scalars (normal numbers only)."""
    def address(port, index, levels, size):
        return (f[f"{port}_base"] + sum(f[f"{port}_stride_{level}"] * index[level] for level in levels)) % size

    def element(word, lane, is_signed, zero):
        value = int(word[lane])
        if word.dtype == np.int32:
            return value
        return (value - 256 if is_signed and value > 127 else value) - zero

    def wrap(value):
        return (value + (1 << 31)) % (1 << 32) - (1 << 31)

    def low_bits(value):
        return (value + 512) % 1024 - 512

    def number_of(value, is_pattern):
        return np.uint32(value % (1 << 32)).view(np.float32) if is_pattern else np.float32(value)

    def order(value):
        return value, not np.signbit(value)  # -0 below +0

    writes = []
    total = None
    for index in itertools.product(*(range(f[f"n_{level}"]) for level in range(6))):
        y = f["y_origin"] + f["y_step_2"] * index[2] + f["y_step_4"] * index[4]
        x = f["x_origin"] + f["x_step_3"] * index[3] + f["x_step_5"] * index[5]
        inside = 0 <= y < f["y_bound"] and 0 <= x < f["x_bound"]
        if not any(index[4:]) or not f["reduce"]:
            total = [-(1 << 31) if f["reduce"] == REDUCE_MAX else 0] * LANES
        a_size = max(len(item) for item in a_memories)
        for lane in range(LANES):
            a = 0
            if inside:
                place = address("a", index, range(6), a_size * (LANES if f["broadcast"] else 1))
                word, of = divmod(place, LANES) if f["broadcast"] else (place, lane)
                a = element(a_memories[f["a_select"]][word], of, f["a_signed"], f["a_zero"])
            b = 0
            if f["b_enable"]:
                b = element(b_memories[f["b_select"]][address("b", index, range(6), 128)], lane, f["b_signed"], f["b_zero"])
            value = low_bits(a) * low_bits(b) if f["int_op"] else a
            if f["reduce"] == REDUCE_MAX:
                total[lane] = max(total[lane], value) if inside else total[lane]
            else:
                total[lane] = wrap(total[lane] + value)
        if f["reduce"] and (index[4] + 1 < f["n_4"] or index[5] + 1 < f["n_5"]):
            continue
        word = y_memories[f["y_select"]][0].copy()
        parameters = parameter[address("p", index, (0, 1), 16)]
        for lane in range(LANES):
            value = wrap(total[lane] + int(parameters[lane])) if f["p_enable"] else total[lane]
            wide = value
            if f["numeric"]:
                scale = np.uint32(parameters[LANES + lane] if f["p_enable"] else f["scale_a"]).view(np.float32)
                number = number_of(value, f["a_float"]) * scale
                b = 0
                if f["b_enable"]:
                    b = element(b_memories[f["b_select"]][address("b", index, range(6), 128)], lane, f["b_signed"], f["b_zero"])
                other = number_of(b, f["b_float"]) * np.uint32(f["scale_b"]).view(np.float32)
                number = [number, number + other, number * other, min(number, other, key=order),
                          max(number, other, key=order)][f["binary"]]
                number = number * np.uint32(f["scale_y"]).view(np.float32)
                wide = int(number.view(np.int32))
                if f["estimate"]:
                    wide = wrap({1: 0x7EF311C7 - wide, 2: 0x5F3759DF - (wide % (1 << 32) >> 1)}[f["estimate"]])
                value = round(float(number))
            value = max(min(value + f["y_zero"], f["y_high"]), f["y_low"])
            if word.dtype == np.int32:
                word[lane] = wide
            else:
                byte = value % 256
                word[lane] = table[256 * f["table_select"] + byte] if f["table_enable"] else byte
        writes.append((address("y", index, range(4 if f["reduce"] else 6), 128), word))
    for where, word in writes:
        y_memories[f["y_select"]][where] = word


def run(f, memory):
    execute_vector(f, lanes=LANES, **memory)


def copies(memory):
    return {name: [item.copy() for item in value] if isinstance(value, list) else value.copy() for name, value in memory.items()}


@pytest.mark.parametrize("broadcast", [0, 1])
def test_random_instructions_equal_the_scalar_model(broadcast):
    print("seed", SEED + broadcast)
    rng = np.random.default_rng(SEED + broadcast)
    memory = memories(rng)
    memory["parameter"][:, LANES:] = rng.uniform(1e-4, 0.3, (16, LANES)).astype(np.float32).view(np.int32)
    for _ in range(250):
        def pick(low, high):
            return int(rng.integers(low, high))

        y_select, a_select, b_select, reduce = pick(0, 2), pick(0, 3), pick(0, 3), pick(0, 3)
        if a_select == 2:
            reduce = 0
        f = fields(
            **{f"n_{level}": pick(1, 4) for level in range(6)},
            **{f"a_stride_{level}": pick(-1, 2) for level in range(6)}, **{f"b_stride_{level}": pick(0, 3) for level in range(6)},
            **{f"y_stride_{level}": pick(0, 3) for level in range(6)},
            a_base=pick(20, 40), b_base=pick(0, 60), y_base=pick(0, 20), p_base=pick(0, 8), p_stride_0=pick(0, 3), p_stride_1=pick(0, 2),
            a_select=a_select, y_select=y_select, a_signed=pick(0, 2), a_zero=pick(-128, 256), b_signed=pick(0, 2),
            b_zero=pick(-128, 256), b_enable=pick(0, 2), p_enable=0 if a_select == 2 else pick(0, 2),
            int_op=0 if a_select == 2 else pick(0, 2), reduce=reduce, numeric=pick(0, 2), a_float=int(a_select == 2),
            b_float=int(b_select == 2), b_select=b_select, estimate=pick(0, 3), binary=pick(0, 5), scale_a=pattern(rng.uniform(1e-3, 1)), scale_b=pattern(rng.uniform(-1, 1)),
            scale_y=pattern(rng.uniform(0.01, 3)), y_zero=pick(-128, 256), y_low=pick(-128, 0), y_high=pick(1, 256),
            table_enable=pick(0, 2), table_select=pick(0, 2), y_origin=pick(-2, 2), x_origin=pick(-2, 2), y_step_2=pick(0, 3),
            y_step_4=pick(0, 3), x_step_3=pick(0, 3), x_step_5=pick(0, 3), y_bound=pick(1, 6), x_bound=pick(1, 6),
            broadcast=broadcast)
        if broadcast:
            f |= {f"a_stride_{level}": pick(-3, 9) for level in range(6)} | {"a_base": pick(60, 120)}
        expected, actual = copies(memory), copies(memory)
        scalar_model(f, **expected)
        run(f, actual)
        for name, value in actual.items():
            for index, item in enumerate(value):
                np.testing.assert_array_equal(item, expected[name][index], err_msg=f"{name} {index}")
        memory["y_memories"] = actual["y_memories"]


def test_depthwise_convolution_with_padding():
    """3x3 depthwise, padding 1, stride 2 on 5x7, requantised per channel: the ONNX definition computed directly."""
    rng = np.random.default_rng(SEED)
    height, width, out_height, out_width = 5, 7, 3, 4
    image = rng.integers(0, 256, (height, width, LANES), dtype=np.uint8)
    kernel = rng.integers(0, 256, (9, LANES), dtype=np.uint8)
    bias = rng.integers(-5000, 5000, LANES, dtype=np.int32)
    scale = rng.uniform(1e-3, 5e-3, LANES).astype(np.float32)
    y = np.zeros((out_height * out_width, LANES), dtype=np.uint8)
    f = fields(
        n_2=out_height, n_3=out_width, n_4=3, n_5=3, a_base=-width - 1, a_zero=131, a_stride_2=2 * width, a_stride_3=2,
        a_stride_4=width, a_stride_5=1, y_origin=-1, y_step_2=2, y_step_4=1, y_bound=height, x_origin=-1, x_step_3=2, x_step_5=1,
        x_bound=width, b_enable=1, b_signed=1, b_stride_4=3, b_stride_5=1, p_enable=1, int_op=1, reduce=REDUCE_SUM, numeric=1,
        y_stride_2=out_width, y_stride_3=1, y_zero=3, y_low=0, y_high=255)
    execute_vector(f, lanes=LANES, a_memories=[image.reshape(-1, LANES)], b_memories=[kernel],
                   parameter=np.concatenate([bias, scale.view(np.int32)])[None], table=np.zeros(256, np.uint8), y_memories=[y])
    padded = np.pad(image.astype(np.int32) - 131, ((1, 1), (1, 1), (0, 0)))
    weights = kernel.view(np.int8).astype(np.int32).reshape(3, 3, LANES)
    for row, column in np.ndindex(out_height, out_width):
        total = (padded[2 * row:2 * row + 3, 2 * column:2 * column + 3] * weights).sum(axis=(0, 1)) + bias
        expected = np.clip(np.rint(total.astype(np.float32) * scale) + 3, 0, 255)
        assert y[row * out_width + column].tolist() == expected.tolist()


def test_quantised_add_divides_by_the_scale():
    """QDQ Add: both dequantised, float32 sum, float32 division, round."""
    rng = np.random.default_rng(SEED)
    a, b = rng.integers(0, 256, (2, 1000, LANES), dtype=np.uint8)
    scale_a, scale_b, scale_y = np.float32(0.0371), np.float32(0.0522), np.float32(0.0437)
    y = np.zeros((1000, LANES), dtype=np.uint8)
    scale, low = primitives.divide_constant(scale_y)
    f = fields(n_3=1000, a_stride_3=1, b_stride_3=1, y_stride_3=1, a_zero=100, b_zero=-2, b_signed=1, b_enable=1, numeric=1,
               binary=BINARY_ADD, scale_a=pattern(scale_a), scale_b=pattern(scale_b), scale_y=scale, scale_y_low=low, y_zero=7,
               y_low=0, y_high=255)
    execute_vector(f, lanes=LANES, a_memories=[a], b_memories=[b], parameter=np.zeros((1, 8), np.int32), table=np.zeros(256, np.uint8),
                   y_memories=[y])
    real = (a.astype(np.int32) - 100).astype(np.float32) * scale_a + (b.view(np.int8).astype(np.int32) + 2).astype(np.float32) * scale_b
    np.testing.assert_array_equal(y, np.clip(np.rint(real / scale_y) + 7, 0, 255).astype(np.uint8))


def test_all_padding_gives_the_lowest_maximum():
    memory = memories(np.random.default_rng(SEED))
    run(fields(reduce=REDUCE_MAX, y_origin=-1, y_select=1, a_base=1 << 20), memory)
    assert memory["y_memories"][1][0].tolist() == [-(1 << 31)] * LANES


@pytest.mark.parametrize(("given", "code", "address", "message"), [
    ({"a_base": 64}, ErrorCode.ADDRESS, 64, "vector port a: access to word 64; the memory has 64 words"),
    ({"a_base": -1}, ErrorCode.ADDRESS, 127, "vector port a: access to word 127; the memory has 64 words"),
    ({"b_enable": 1, "b_base": 99, "b_stride_0": 1, "n_0": 2}, ErrorCode.ADDRESS, 100,
     "vector port b: access to word 100; the memory has 100 words"),
    ({"a_base": 64 * LANES + 3, "broadcast": 1}, ErrorCode.ADDRESS, 64, "vector port a: access to word 64; the memory has 64 words"),
    ({"y_base": 70, "y_select": 1}, ErrorCode.ADDRESS, 70, "vector port y: access to word 70; the memory has 64 words"),
])
def test_access_outside_a_memory(given, code, address, message):
    memory = memories(np.random.default_rng(SEED))
    before = copies(memory)
    with pytest.raises(MachineError) as error:
        run(fields(reduce=REDUCE_NONE, **given), memory)
    assert (error.value.code, error.value.address, str(error.value)) == (code, address, message)
    for actual, expected in zip(memory["y_memories"], before["y_memories"], strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_addresses_wrap_at_the_width_of_the_base():
    memory = memories(np.random.default_rng(SEED))
    run(fields(a_select=1, a_base=127, a_stride_3=1, n_3=3, y_stride_3=1, a_signed=1, reduce=REDUCE_NONE), memory)
    a, y = memory["a_memories"][1], memory["y_memories"][0]
    assert y[:3].tolist() == [a[127].tolist(), a[0].tolist(), a[1].tolist()]


def test_elements_wrap_like_words():
    """128 words of 4: element -1 is the last of all; above the bits of a word nothing counts while words are counted."""
    memory = memories(np.random.default_rng(SEED))
    run(fields(a_select=1, a_base=-1, a_stride_3=1, n_3=3, y_stride_3=1, a_signed=1, broadcast=1), memory)
    run(fields(a_select=1, a_base=2 * 128 + 5, y_base=3, a_signed=1), memory)
    a, y = memory["a_memories"][1], memory["y_memories"][0]
    assert y[:4].tolist() == [[a[127, 3]] * LANES, [a[0, 0]] * LANES, [a[0, 1]] * LANES, a[5].tolist()]


def floats(memory, port, select, count):
    return memory[f"{port}_memories"][select][:count].view(np.float32)


def test_float_operands_and_result():
    """a * scale_a + b * scale_b on float32 memories, as numpy's float32 does it."""
    memory = memories(np.random.default_rng(SEED))
    run(fields(n_3=64, a_stride_3=1, b_stride_3=1, y_stride_3=1, a_select=2, b_select=2, y_select=1, a_float=1, b_float=1, b_enable=1, numeric=1,
               binary=BINARY_ADD, scale_a=pattern(0.3), scale_b=pattern(-1.7)), memory)
    expected = floats(memory, "a", 2, 64) * np.float32(0.3) + floats(memory, "b", 2, 64) * np.float32(-1.7)
    np.testing.assert_array_equal(floats(memory, "y", 1, 64), expected)


@pytest.mark.parametrize(("estimate", "exact", "worst"), [(ESTIMATE_RECIPROCAL, lambda x: 1 / x, 0.0506), (ESTIMATE_RSQRT, lambda x: x**-0.5, 0.0344)])
def test_estimates_are_as_close_as_promised(estimate, exact, worst):
    """Newton's iteration needs this bound: each step squares the error."""
    rng = np.random.default_rng(SEED)
    values = np.concatenate([2.0 ** rng.uniform(-120, 120, (4096, LANES)), [[1, 2, 3, 4]], np.linspace(1, 4, 4096 * LANES).reshape(-1, LANES)])
    values = values.astype(np.float32)
    y = np.zeros(values.shape, np.int32)
    f = fields(n_3=len(values), a_stride_3=1, y_stride_3=1, a_float=1, numeric=1, estimate=estimate)
    execute_vector(f, lanes=LANES, a_memories=[values.view(np.int32)], b_memories=[y], parameter=np.zeros((1, 2 * LANES), np.int32),
                   table=np.zeros(256, np.uint8), y_memories=[y])
    error = np.abs(y.view(np.float32) / exact(values.astype(np.float64)) - 1).max()
    assert worst - 1e-4 < error <= worst


def test_estimates_leave_bytes_and_integers_alone():
    rng = np.random.default_rng(SEED)
    for given in ({"numeric": 1, "y_select": 0}, {"numeric": 0, "y_select": 1}):
        memory = memories(rng)
        plain, estimated = copies(memory), copies(memory)
        run(fields(n_3=64, a_stride_3=1, y_stride_3=1, a_select=1, **given), plain)
        run(fields(n_3=64, a_stride_3=1, y_stride_3=1, a_select=1, estimate=ESTIMATE_RECIPROCAL, **given), estimated)
        for one, other in zip(plain["y_memories"], estimated["y_memories"], strict=True):
            np.testing.assert_array_equal(one, other)


def test_the_product_sees_ten_bits_of_an_operand():
    memory = memories(np.random.default_rng(SEED))
    memory["a_memories"][0][0] = [511, 512, -512, 1025]
    memory["b_memories"][1][0] = [-3, 1, -512, (1 << 31) - 1]
    run(fields(int_op=1, b_enable=1, b_select=1, y_select=1), memory)
    assert memory["y_memories"][1][0].tolist() == [-1533, -512, 262144, -1]
