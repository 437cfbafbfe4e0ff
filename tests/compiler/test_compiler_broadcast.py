"""A contraction on an engine that broadcasts one input: its instructions, run, against the sum written out; what they cost and where sums stand."""

import numpy as np
import pytest

from acg.footprint import Footprints
from acg.isa import Instruction, instruction_set
from acg.rules import order_fault
from compiler.ir.network import Network
from compiler.mapping.insert_transfers import Residency
from compiler.target import Target
from compiler.tiles import Buffer, Gap
from compiler.tiling.contraction.broadcast import Contraction, Frame, add_broadcast, parts
from compiler.tiling.tile_context import TileContext
from tests.support.architectures import broadcasting
from verif.iss.simulator import Simulator

GRAPH = broadcasting("tiny")
TARGET = Target(GRAPH)
UNIT, LANES = TARGET.matrix[0], 4


def context():
    return TileContext(TARGET, Residency(Network("none", (), (), (), {}), (), {}, {}, {}, frozenset(), ()))


def convolution(rng, *, accumulate, pixel=None, kernel=None, dilation=None):
    """A random convolution: the work, its operands as arrays, and the sums expected."""
    def pick(low, high):
        return int(rng.integers(low, high))

    ic = pick(1, 7)
    pixel = pixel(ic) if pixel else ic + pick(0, 3)
    oc, (kh, kw) = pick(1, 3), kernel or (pick(1, 4), pick(1, 4))
    (dy, dx), (sy, sx) = dilation or (pick(1, 3), pick(1, 3)), (pick(1, 3), pick(1, 3))
    h, w = pick(3, 7), pick(3, 7)
    top, left = pick(0, 3), pick(0, 3)
    oh, ow = pick(1, 4), pick(1, 4)
    x = rng.integers(0, 256, (h, w, pixel), dtype=np.uint8)
    weights = rng.integers(-128, 128, (oc, kh, kw, ic, LANES), dtype=np.int8)
    before = rng.integers(-9999, 9999, (oh, ow, oc, LANES), dtype=np.int32)
    counts = {"oc": oc, "ky": kh, "kx": kw, "ic": ic, "oy": oh, "ox": ow}
    buffers = {"x": Buffer("x", UNIT.activation, x.size, 4, address=256), "w": Buffer("w", UNIT.weight, weights.size, 4, address=16),
               "y": Buffer("y", UNIT.accumulator, before.nbytes, 16, address=64)}
    work = Contraction(
        counts, x=(buffers["x"], -(top * w + left) * pixel, (False, 100)),
        x_steps={"ky": dy * w * pixel, "kx": dx * pixel, "ic": 1, "oy": sy * w * pixel, "ox": sx * pixel}, w=(buffers["w"], (True, 3)), y=(buffers["y"], 0),
        y_steps={"oy": ow * oc * 4 * LANES, "ox": oc * 4 * LANES}, accumulate=accumulate,
        frames=(Frame(-top, h, {"ky": dy, "oy": sy}), Frame(-left, w, {"kx": dx, "ox": sx})))
    expected = np.zeros((oh, ow, oc, LANES), np.int64) + (before if accumulate else 0)
    for p, q, i, j in np.ndindex(oh, ow, kh, kw):
        r, c = p * sy - top + i * dy, q * sx - left + j * dx
        if 0 <= r < h and 0 <= c < w:
            expected[p, q] += np.einsum("c,ocl->ol", x[r, c, :ic].astype(np.int64) - 100, weights[:, i, j].astype(np.int64) - 3)
    return work, {"x": x, "w": weights, "y": before}, buffers, expected


def run(work, arrays, buffers):
    """What the instructions leave in y, and the instructions."""
    made, machine = context(), Simulator(GRAPH, external_bytes=4096)
    add_broadcast(made, UNIT, work, "a tile")
    address = buffers["y"].address + buffers["y"].size_bytes
    for op in made.ops:
        for buffer in (*op.reads, *op.writes):
            if buffer.address < 0:
                buffer.address, address = address, address + buffer.size_bytes
    for name, buffer in buffers.items():
        machine.memories[buffer.memory.name][buffer.address : buffer.address + buffer.size_bytes] = arrays[name].reshape(-1).view(np.uint8)
    isa = instruction_set(GRAPH)
    instructions = [isa.decode(isa.encode(Instruction(op.engine, op.resolved()))) for op in made.ops]
    for op, instruction in zip(made.ops, instructions, strict=True):
        accesses = Footprints(GRAPH)(instruction)
        assert order_fault(GRAPH, op.engine, instruction.fields, accesses) is None
        assert {access.memory for access in accesses if access.write} == {buffer.memory.name for buffer in op.writes}
        machine.execute(instruction)
    y = buffers["y"]
    return machine.memories[y.memory.name][y.address : y.address + y.size_bytes].view(np.int32), instructions


@pytest.mark.parametrize("accumulate", [False, True])
def test_random_convolutions(accumulate):
    """Kernels, dilations, strides, padding on four sides or none, pixels with and without channels that nobody reads. Replay: the seed."""
    numbers = set()
    for seed in range(60):
        rng = np.random.default_rng([seed, accumulate])
        work, arrays, buffers, expected = convolution(rng, accumulate=accumulate)
        found, instructions = run(work, arrays, buffers)
        np.testing.assert_array_equal(found.reshape(expected.shape), expected, err_msg=f"seed {seed}")
        numbers.add(len(instructions))
        multiplying = sum(item.fields["broadcast"] for item in instructions)
        assert parts(UNIT, work) == (0 if len(instructions) == 1 else multiplying)
    assert len(numbers) > 2


def test_a_pixel_of_all_channels_makes_one_instruction():
    """Kernel columns and channels are one loop whatever pads the rows: nothing is added up behind, and each product takes a cycle."""
    for seed in range(12):
        rng = np.random.default_rng(seed)
        work, arrays, buffers, expected = convolution(rng, accumulate=False, pixel=lambda ic: ic, kernel=(3, 3), dilation=(2, 1))
        found, (instruction,) = run(work, arrays, buffers)
        np.testing.assert_array_equal(found.reshape(expected.shape), expected, err_msg=f"seed {seed}")
        assert np.prod([instruction.fields[f"n_{level}"] for level in range(6)]) == np.prod(list(work.counts.values()))


def test_sums_added_to_others_stand_beside_them_and_the_way_to_them_is_a_stride():
    work, arrays, buffers, expected = convolution(np.random.default_rng(1), accumulate=True, kernel=(1, 1))
    found, instructions = run(work, arrays, buffers)
    np.testing.assert_array_equal(found.reshape(expected.shape), expected)
    assert [item.fields["int_op"] for item in instructions] == [1, 0] and instructions[1].fields["n_5"] == 2


def test_a_gap_is_the_way_between_places():
    one, two = Buffer("one", UNIT.accumulator, 32, 16, address=64), Buffer("two", UNIT.accumulator, 32, 16, address=16)
    assert Gap(one, 16, two, 0, 16).resolve() == -4


def test_coordinates_that_no_field_holds_keep_their_loops_apart():
    """A row of 300 pixels of 256 channels: their number times the channels is beyond the bound's 16 bits, so kernel rows are added up."""
    frames = Frame(-1, 9, {"ky": 1, "oy": 1}), Frame(-1, 300, {"kx": 1, "ox": 1})
    buffer = Buffer("x", UNIT.activation, 4, 4)
    work = Contraction({"ky": 3, "kx": 3, "ic": 256, "oy": 2, "ox": 300}, x=(buffer, 0, (False, 0)), x_steps={"ky": 300 * 256, "kx": 256, "ic": 1},
                       w=(buffer, (True, 0)), y=(buffer, 0), y_steps={}, frames=frames)
    assert parts(UNIT, work) == 3
    inside = Contraction(**{**vars(work), "frames": (Frame(0, 99, {"ky": 1, "oy": 1}), Frame(0, 302, {"kx": 1, "ox": 1}))})
    assert parts(UNIT, inside) == 0, "nothing is padded, and nothing needs a coordinate"
