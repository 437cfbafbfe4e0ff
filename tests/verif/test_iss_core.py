"""Kernels of packets on the functional simulator: each operation against its formula, time within an instruction, loops and predicates, streams, errors,
and a 1x1 convolution written by hand against numpy."""

import numpy as np
import pytest

from acg import primitives
from acg.graph import load_graph, parse_graph
from acg.isa import Instruction
from acg.kinds.core.operations import patterns
from acg.kinds.core.packets import Kernel, Op, packet_format
from acg.regmap import ErrorCode
from verif.iss.errors import MachineError
from verif.iss.simulator import Simulator

#: dsp_tiny with a sum of each width.
GRAPH = parse_graph(load_graph("dsp_tiny").description.replace("RESC, EST]", "RESC, EST, ADDS]"))
CORE = GRAPH.engines["core"]
FORMAT = packet_format(CORE)
V, G, LANES = 32, 4, 8
LATENCY = CORE.tables["latency_cycles"]
#: Wide open: every slot of a packet that these tests name by itself.
SLOT = {operation: name for name, slot in reversed(FORMAT.slots.items()) for operation in slot.operations}


def op(name, stage=0, late=False, **fields):
    return Op(name, stage, late, fields)


def alone(*operations):
    """Packets of one operation each, with as many empty ones behind it as its result takes."""
    result = []
    for item in operations:
        result += [{SLOT[item.name]: item}, *({} for _ in range(LATENCY[SLOT[item.name]]))]
    return tuple(result)


def run(kernel, fields=(), *, act=b"", wgt=b"", table=b""):
    """The activations behind an instruction that runs a kernel whose streams begin at word 0: in0 and out0 on `act`, in1 on `wgt`."""
    machine = Simulator(GRAPH, external_bytes=4096)
    for name, data in (("act", act), ("wgt", wgt), ("lut", table), ("kernels", FORMAT.encode_kernel(kernel))):
        machine.memories[name][: len(data)] = np.frombuffer(bytes(data), np.uint8)
    streams = {"in0_enable": 1, "in1_enable": 1, "out0_enable": 1, "in0_granules": 8, "in1_granules": 8, "out0_granules": 8, "in1_select": 1,
               "in0_n_5": 64, "in0_stride_5": 8, "in1_n_5": 64, "in1_stride_5": 8, "out0_n_5": 64, "out0_stride_5": 8, "out0_base": 512}
    loops = {"prologue_packets": len(kernel.prologue), "head_packets": len(kernel.head), "body_packets": len(kernel.body), "iterations": 1}
    machine.execute(Instruction("core", {**streams, **loops, **dict(fields)}))
    return machine.memories["act"]


def result(operations, *vectors, fields=(), table=b""):
    """Register 9 behind operations on registers 0, 1.. that hold these vectors."""
    loads = [op("LDV", d=number, s=0) for number in range(len(vectors))]
    kernel = Kernel((), (), alone(*loads, *operations, op("STV", a=9, s=0, first=0)))
    data = b"".join(np.ascontiguousarray(vector).tobytes() for vector in vectors)
    return run(kernel, fields, act=data, table=table)[2048 : 2048 + V].copy()


@pytest.fixture
def rng():
    return np.random.default_rng(12)


def drawn(rng, kind=np.uint8):
    return rng.integers(0, 256, V, np.uint8).view(kind)


def nine(values, zero):
    return (values.astype(np.int64) - zero + 256) % 512 - 256


SIGNS = {"a_signed": 1, "a_zero": -7, "w_signed": 0, "w_zero": 100}


@pytest.mark.parametrize("k", [0, 3, 7])
@pytest.mark.parametrize("name", ["DOT", "DOTH", "DOTV"])
def test_dot_products(rng, name, k):
    a, w, c = drawn(rng), drawn(rng), drawn(rng, np.int32)
    numbers, weights = nine(a.view(np.int8), -7).reshape(8, 4), nine(w, 100).reshape(8, 4)
    word = {"DOT": [k] * 8, "DOTH": [k] * 4 + [(k + 4) % 8] * 4, "DOTV": list(range(8))}[name]
    expected = [(int(c[lane]) + sum(int(numbers[word[lane]][q]) * int(weights[lane][q]) for q in range(4)) + 2**31) % 2**32 - 2**31 for lane in range(8)]
    found = result([op(name, d=9, a=0, b=1, c=2, **({} if name == "DOTV" else {"k": k}))], a, w, c, fields=SIGNS)
    assert found.view(np.int32).tolist() == expected


def test_integer_lanes(rng):
    a, b, c = drawn(rng), drawn(rng), drawn(rng, np.int32)
    ints, more = a.view(np.int32), b.view(np.int32)
    low = (more.astype(np.int64) + 256) % 512 - 256
    product = c.astype(np.int64) + nine(a.view(np.int8), -7)[8 * 2 : 8 * 3] * low
    assert np.array_equal(result([op("LMAC", d=9, a=0, b=1, c=2, k=2)], a, b, c, fields=SIGNS).view(np.int32), product.astype(np.int32))
    sums = [max(-0x8000, min(0x7FFF, int(one) + int(other))) for one, other in zip(a.view(np.int16), b.view(np.int16), strict=True)]
    assert result([op("ADDS", d=9, a=0, b=1)], a, b).view(np.int16).tolist() == sums and {-0x8000, 0x7FFF} <= set(sums)
    assert np.array_equal(result([op("ADDV", d=9, a=0, b=1)], a, b).view(np.int32), (ints.astype(np.int64) + more).astype(np.int32))
    assert np.array_equal(result([op("MAXV", d=9, a=0, b=1, form=1)], a, b).view(np.int32), np.maximum(ints, more))
    assert np.array_equal(result([op("MAXV", d=9, a=0, b=1)], a, b), np.maximum(a, b))
    assert np.array_equal(result([op("MAXV", d=9, a=0, b=1)], a, b, fields=SIGNS).view(np.int8), np.maximum(a.view(np.int8), b.view(np.int8)))


def test_permutations(rng):
    a, b = drawn(rng), drawn(rng)
    both = np.concatenate([a, b]).reshape(16, 4)
    expected = {
        "even": both[::2], "odd": both[1::2], "rotate 1": np.roll(both[:8], -1, axis=1), "rotate 2": np.roll(both[:8], -2, axis=1),
        "align 1": both[1:9], "align 2": both[2:10], "align 4": both[4:12],
        **{f"spread {q}": both[[2 * q] * 4 + [2 * q + 1] * 4] for q in range(4)},
    }
    assert tuple(expected) == patterns(CORE.sizes)
    for number, vector in enumerate(expected.values()):
        assert np.array_equal(result([op("PERM", d=9, a=0, b=1, pattern=number)], a, b), vector.reshape(-1)), number


def test_windows(rng):
    """Lane 4 p + c has channel c of four neighbouring pixels, from pixel p on, or 2 p."""
    a = drawn(rng)
    pixels = a.reshape(8, 4)
    for step in (1, 2):
        found = run(Kernel((), (), alone(op("LDW", d=9, s=0, step=step - 1), op("STV", a=9, s=0, first=0))), act=a)[2048 : 2048 + V]
        assert found.reshape(2, 4, 4).tolist() == [[[pixels[p * step + q][c] for q in range(4)] for c in range(4)] for p in range(2)]


NUMBERS = {"q1_scale_a": int(np.float32(0.37).view(np.uint32)), "q1_scale_b": int(np.float32(-0.11).view(np.uint32)), "q1_zero": 5, "q1_low": -128,
           "q1_high": 127, "q1_scale_y": primitives.divide_constant(3.3)[0], "q1_scale_y_low": primitives.divide_constant(3.3)[1]}


def narrowed(value):
    return primitives.saturate(primitives.round_to_int32(primitives.multiply_constant(value, NUMBERS["q1_scale_y"], NUMBERS["q1_scale_y_low"])), 5, -128, 127)


@pytest.mark.parametrize("looked_up", [0, 1])
def test_requantisation(rng, looked_up):
    a, scale = rng.integers(-3000, 3000, LANES).astype(np.int32), (rng.random(LANES) * 0.2).astype(np.float32)
    table = rng.integers(0, 256, 512, np.uint8)
    fields = NUMBERS | {"q1_table_enable": looked_up, "q1_table_select": 1}
    before = drawn(rng)
    wanted = narrowed(primitives.multiply(primitives.int32_to_float32(a), scale)).astype(np.uint8)
    wanted = table[256:][wanted] if looked_up else wanted
    for pack, places in ((0, [2, 6]), (1, [4, 5])):  # granules: lanes 0 to 3 and 4 to 7
        quarter = 2
        expected = before.copy().reshape(8, 4)
        expected[places] = wanted.reshape(2, 4)
        found = result([op("MAXV", d=9, a=2, b=2), op("REQ", d=9, a=0, b=1, quarter=quarter, pack=pack, set=1)], a, scale, before, fields=fields, table=table)
        assert np.array_equal(found, expected.reshape(-1)), pack
    patterns_of = np.float32([1.5, -2.5, 1e9, -1e9, 0.0, 3.0, 1e-40, 7.0])
    found = result([op("MAXV", d=9, a=2, b=2), op("REQ", d=9, a=0, b=1, pack=1, set=1, form=1)], patterns_of, scale, before, fields=NUMBERS)
    assert np.array_equal(found[:8], narrowed(primitives.multiply(patterns_of, scale)).astype(np.uint8))


@pytest.mark.parametrize("how", range(5))
def test_pairs_of_bytes(rng, how):
    a, b = drawn(rng), drawn(rng)
    one = primitives.multiply((a[8:16].view(np.int8).astype(np.int32) + 7).astype(np.float32), np.float32(0.37))
    two = primitives.multiply((b[24:].astype(np.int32) - 100).astype(np.float32), np.float32(-0.11))
    pair = (lambda x, _: x, primitives.add, primitives.multiply, primitives.minimum, primitives.maximum)[how]
    found = result([op("MAXV", d=9, a=0, b=0), op("REQB", d=9, a=0, b=1, quarter=3, qa=1, qb=3, set=1, op=how)], a, b, fields=NUMBERS | SIGNS)
    assert np.array_equal(found[24:], narrowed(pair(one, two)).astype(np.uint8)) and np.array_equal(found[:24], a[:24])


def test_float_lanes(rng):
    a, b = ((rng.standard_normal(LANES) * 100).astype(np.float32) for _ in range(2))
    ints = drawn(rng, np.int32)

    def found(name, *vectors, **fields):
        return result([op(name, d=9, a=0, **({"b": 1} if len(vectors) > 1 else {}), **fields)], *vectors, fields=NUMBERS)

    assert np.array_equal(found("CVT", ints).view(np.float32), primitives.int32_to_float32(ints))
    assert np.array_equal(found("RND", a).view(np.int32), np.rint(a.astype(np.float64)))
    assert np.array_equal(found("RESC", a, set=1).view(np.float32), primitives.multiply_constant(a, NUMBERS["q1_scale_y"], NUMBERS["q1_scale_y_low"]))
    for name, expected in (("FMUL", a * b), ("FADD", a + b), ("FSUB", a - b), ("FMIN", np.minimum(a, b)), ("FMAX", np.maximum(a, b))):
        assert np.array_equal(found(name, a, b).view(np.float32), expected), name
    assert np.array_equal(found("EST", a, form=0).view(np.float32), primitives.reciprocal_estimate(a))
    assert np.array_equal(found("EST", abs(a), form=1).view(np.float32), primitives.rsqrt_estimate(abs(a)))


# ---- time


def test_a_result_is_read_when_its_latency_has_passed_and_not_before(rng):
    """Register 3 is written by a load issued in packet t: stores from packet t + 5 on see it."""
    a = rng.integers(0, 256, 3 * V, np.uint8)
    for wait in range(1, 8):
        packets = [*alone(op("LDV", d=3, s=0)), {"L": op("LDV", d=3, s=0)}, *({} for _ in range(wait - 1)), {"L": op("STV", a=3, s=0, first=0)}]
        found = run(Kernel((), (), tuple(packets)), act=a)[2048 : 2048 + V]
        assert np.array_equal(found, a[V : 2 * V] if wait >= LATENCY["L"] else a[:V]), wait


def test_products_chain_by_one_packet(rng):
    """The addend is read in the cycle of the write: eight products in eight packets, from both slots in turn."""
    a, w = drawn(rng), drawn(rng)
    chain = [{f"M{k % 2}": op("DOT", d=9, a=0, b=1, c=8 if k == 0 else 9, k=k)} for k in range(8)]
    body = (*alone(op("LDV", d=0, s=0), op("LDV", d=1, s=1)), *chain, *({} for _ in range(4)), {"L": op("STV", a=9, s=0, first=0)})
    found = run(Kernel((), (), body), act=a, wgt=w)[2048 : 2048 + V].view(np.int32)
    expected = sum(w.reshape(8, 4).astype(np.int64) @ a[4 * k : 4 * k + 4] for k in range(8))
    assert np.array_equal(found, expected)


def test_of_two_slots_that_write_one_register_at_once_the_later_stays(rng):
    a, b = drawn(rng, np.int32), drawn(rng, np.int32)
    both = [op("ADDV", d=9, a=0, b=0), op("ADDV", d=9, a=1, b=1)]
    kernel = Kernel((), (), (*alone(op("LDV", d=0, s=0), op("LDV", d=1, s=0)), {"M0": both[0], "M1": both[1]}, *({} for _ in range(4)),
                             {"L": op("STV", a=9, s=0, first=0)}))
    found = run(kernel, act=a.tobytes() + b.tobytes())[2048 : 2048 + V].view(np.int32)
    assert np.array_equal(found, (2 * b.astype(np.int64)).astype(np.int32))


@pytest.mark.parametrize(("loops", "expected"), [
    ({"iterations": 6, "body_count": 6}, "bbbbbb"),
    ({"iterations": 4, "body_count": 6}, "bbbb"),
    ({"iterations": 6, "body_count": 2, "tiles": 3}, "bbbbbb"),
])
def test_iterations_are_counted_across_tiles(loops, expected):
    """A store an iteration: as many vectors behind each other as iterations are on."""
    memory = run(Kernel(alone(op("LDV", d=1, s=0)), (), ({}, {"L": op("STV", a=1, s=0, first=0)})), loops, act=bytes([255]) * V)
    stored = memory[2048:].reshape(-1, V).any(1)
    assert stored.tolist() == [number < len(expected) for number in range(len(stored))]


def test_stages_and_late_ones():
    """What runs when: a load of its own vector for each place in the code, stored at once by whoever is on."""
    data = np.arange(1, 9, dtype=np.uint8).repeat(V)
    loads = alone(*(op("LDV", d=number, s=0) for number in range(8)))
    head = ({"L": op("STV", a=0, s=0, first=0)}, {"L": op("STV", a=1, s=0, first=0, late=True)})
    body = ({"L": op("STV", a=2, s=0, first=0, stage=2)}, {"L": op("STV", a=3, s=0, first=0, late=True)})
    fields = {"iterations": 6, "tiles": 2, "body_count": 2, "drain_packets": 5}
    memory = run(Kernel(loads, head, body), fields, act=data)
    # it 0: head 1; 1, 2: body (stage 2 from it 2 on). it 3: head 1 2; 4, 5: body 3 4 each. Drain: it 6 head, none on but stage 2 in it 7, until the fifth packet.
    assert memory[2048::V][:9].tolist() == [1, 3, 1, 2, 3, 4, 3, 4, 3] and not memory[2048 + 9 * V :].any()


def test_stages_of_a_prologue():
    store = [{"L": op("STV", a=1, s=0, first=0, stage=1)}, {"L": op("STV", a=1, s=0, first=0, late=True)}]
    memory = run(Kernel((*alone(op("LDV", d=1, s=0)), *store), (), ({},)), {"prologue_count": 4}, act=bytes([9]) * 64 * V)
    assert memory[2048::V][:4].tolist() == [9, 9, 9, 0]


# ---- streams


def test_levels_wrap_and_begin_again(rng):
    data = rng.integers(0, 256, 4096, np.uint8)
    fields = {"in0_n_5": 3, "in0_stride_5": 2, "in0_n_4": 2, "in0_stride_4": -5, "in0_n_1": 2, "in0_stride_1": 40, "in0_base": 20, "body_count": 14, "iterations": 14}
    kernel = Kernel((), (), alone(op("LDV", d=1, s=0), op("STV", a=1, s=0, first=0)))
    memory = run(kernel, fields | {"out0_base": 600}, act=data)
    starts = [20 + 40 * (m // 6 % 2) - 5 * (m // 3 % 2) + 2 * (m % 3) for m in range(14)]
    assert np.array_equal(memory[2400 : 2400 + 14 * V], np.concatenate([data[4 * s : 4 * s + V] for s in starts]))


def test_padding_of_loads_and_stores(rng):
    """Granules outside are not accessed, before the memory's begin too: a load has the zero point there, a store leaves what was."""
    data = rng.integers(0, 256, 256, np.uint8)
    fields = {"in0_bounded": 1, "in0_base": -2, "in0_x_origin": -2, "in0_x_step_word": 1, "in0_x_bound": 5, "in0_y_bound": 1, "a_zero": -3,
              "out0_bounded": 1, "out0_x_step_word": 1, "out0_x_origin": 3, "out0_x_bound": 9, "out0_y_bound": 1, "out0_granules": 7}
    memory = run(Kernel((), (), alone(op("LDV", d=1, s=0), op("STV", a=1, s=0, first=1))), fields, act=data)
    loaded = np.concatenate([[253] * 8, data[:20], [253] * 4]).astype(np.uint8)
    assert np.array_equal(memory[2048 : 2048 + 24], loaded[4:28]) and not memory[2048 + 24 :].any()


def test_granules_that_a_stream_does_not_move(rng):
    data = rng.integers(0, 256, 256, np.uint8)
    kernel = Kernel((), (), alone(op("LDV", d=1, s=0), op("STV", a=1, s=0, first=2)))
    memory = run(kernel, {"in0_granules": 3, "out0_granules": 2, "a_zero": 17}, act=data)
    assert memory[2048 : 2048 + 12].tolist() == [*data[8:12], *[17] * 4, *[0] * 4]


# ---- a kernel


def convolution(channels_in):
    """1x1, 8 output channels, a tile of 8 pixels: products of a plane in four packets, results into two registers of two planes each, requantised.

    Registers: 0 and 1 activations and weights, 8 to 15 sums, 16 and 17 results, 20 bias, 21 scales.
    """
    planes = channels_in // 4
    steps = [*alone(op("LDV", d=20, s=1), op("LDV", d=21, s=1))]  # in each tile: the stream comes around with the body
    for plane in range(planes):
        steps += alone(op("LDV", d=0, s=0), op("LDV", d=1, s=1))
        for pixel in range(0, 8, 2):
            steps.append({f"M{half}": op("DOT", d=8 + pixel + half, a=0, b=1, c=20 if plane == 0 else 8 + pixel + half, k=pixel + half) for half in (0, 1)})
    steps += [{}] * LATENCY["M0"]
    steps += [{"X": op("REQ", d=16 + pixel // 4, a=8 + pixel, b=21, quarter=pixel % 4)} for pixel in range(8)]
    steps += [{}] * LATENCY["X"]
    steps += [{"L": op("STV", a=16 + half, s=0, first=first)} for first in (0, 4) for half in (0, 1)]
    return Kernel((), (), tuple(steps))


def test_a_convolution_written_by_hand(rng):
    """16 input channels, 5 tiles of 8 pixels: bytes of numpy."""
    channels, pixels, outputs = 16, 40, 8
    x = rng.integers(0, 256, (channels // 4, pixels, 4), np.uint8)
    w = rng.integers(-128, 128, (channels // 4, outputs, 4)).astype(np.int8)
    bias, scale = rng.integers(-9000, 9000, outputs).astype(np.int32), (0.001 + rng.random(outputs) * 0.002).astype(np.float32)
    high, low = primitives.divide_constant(1.2)
    fields = {
        "a_zero": 31, "w_signed": 1, "q0_scale_y": high, "q0_scale_y_low": low, "q0_zero": 12, "q0_low": 0, "q0_high": 255,
        "body_count": 5, "iterations": 5, "in0_n_5": 4, "in0_stride_5": pixels, "in0_n_4": 5, "in0_stride_4": 8,
        "in1_n_5": 6, "in1_stride_5": 8, "out0_granules": 4, "out0_n_5": 2, "out0_stride_5": 4, "out0_n_4": 2, "out0_stride_4": pixels, "out0_n_3": 5,
        "out0_stride_3": 8,
    }
    constants = bias.tobytes() + scale.tobytes()
    memory = run(convolution(channels), fields, act=x.tobytes(), wgt=constants + w.tobytes())
    sums = np.einsum("pxq,plq->xl", x.astype(np.int64) - 31, w.astype(np.int64)) + bias
    value = primitives.multiply_constant(primitives.multiply(primitives.int32_to_float32(sums.astype(np.int32)), scale), high, low)
    expected = primitives.saturate(primitives.round_to_int32(value), 12, 0, 255).astype(np.uint8)
    found = memory[2048 : 2048 + pixels * outputs].reshape(2, pixels, 4).transpose(1, 0, 2).reshape(pixels, outputs)
    assert len(np.unique(expected)) > 40 and np.array_equal(found, expected)


def test_a_convolution_with_a_weight_read_too_early_differs(rng):
    """The test above can fail: one packet less behind the weights' load."""
    data = rng.integers(0, 256, 64 * V, np.uint8)
    kernel = convolution(4)
    fields = {"in1_n_5": 3, "q0_scale_y": primitives.divide_constant(1.0)[0], "q0_high": 255, "out0_granules": 4, "in1_stride_5": 8, "w_signed": 1}
    place = next(number for number, packet in enumerate(kernel.body) if packet.get("L") == op("LDV", d=1, s=1))
    early = Kernel((), (), (*kernel.body[: place + 1], *kernel.body[place + 3 :]))
    scaled = np.concatenate([np.zeros(V, np.uint8), np.full(LANES, 0.001, np.float32).view(np.uint8), data])
    assert not np.array_equal(run(kernel, fields, act=data[:512], wgt=scaled)[2048:], run(early, fields, act=data[:512], wgt=scaled)[2048:])


# ---- errors


@pytest.mark.parametrize(("body", "fields", "address", "message"), [
    (({}, {"L": op("LDV", d=1, s=2)}), {}, 1, "core: packet 1 uses stream 2; expected one that the instruction enables"),
    (({"L": op("STV", a=1, s=0, first=3)},), {"out0_granules": 6}, 0, "core: packet 0 stores granules 3 to 8; expected less than 8"),
])
def test_what_a_packet_must_not_ask_for(body, fields, address, message):
    with pytest.raises(MachineError) as error:
        run(Kernel((), (), body), fields)
    assert (error.value.code, error.value.address, str(error.value)) == (ErrorCode.ILLEGAL, address, message)
    run(Kernel((), (), tuple({slot: Op(item.name, 1, False, item.fields) for slot, item in packet.items()} for packet in body)), fields)  # not enabled


def test_addresses_beyond_a_memory():
    """A base is as wide as the largest memory behind its port; what was stored before is taken back."""
    text = GRAPH.description.replace("wgt: {kind: scratchpad, element: i8, lanes: 4, banks: 4, depth_words: 1024", "wgt: {kind: scratchpad, element: i8, "
                                                                                                                     "lanes: 4, banks: 4, depth_words: 512")
    machine = Simulator(parse_graph(text), external_bytes=4096)
    packets = [{"L": op("STV", a=1, s=0, first=0)}, {"L": op("LDV", d=1, s=0)}]
    machine.memories["kernels"][:32] = np.frombuffer(b"".join(map(FORMAT.encode, packets)), np.uint8)
    machine.memories["act"][:] = 7
    fields = {"body_packets": 2, "iterations": 1, "in0_enable": 1, "in0_granules": 8, "in0_select": 1, "out0_enable": 1, "out0_granules": 8}
    machine.execute(Instruction("core", fields | {"in0_base": 2040, "out0_base": 9}))
    assert not machine.memories["act"][36:68].any()
    machine.memories["act"][:] = 7
    with pytest.raises(MachineError, match=r"^core: stream in0 at granule 2041; the memory has 2048 granules$") as error:
        machine.execute(Instruction("core", fields | {"in0_base": 2041}))
    assert (error.value.code, error.value.address) == (ErrorCode.ADDRESS, 2041) and (machine.memories["act"] == 7).all()


def test_a_packet_that_does_not_exist_is_illegal_when_it_is_issued():
    machine = Simulator(GRAPH, external_bytes=4096)
    machine.memories["kernels"][16:32] = np.frombuffer((7 << 30).to_bytes(16, "little"), np.uint8)
    machine.execute(Instruction("core", {"body_packets": 1}))
    with pytest.raises(MachineError, match=r"^core: packet 1: packet, slot M1: operation code is 7; expected 0 to 6$") as error:
        machine.execute(Instruction("core", {"body_packets": 2}))
    assert (error.value.code, error.value.address) == (ErrorCode.ILLEGAL, 1)
