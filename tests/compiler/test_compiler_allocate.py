"""Allocation: nothing alive overlaps, operands read at once lie in different banks, buffers rotate."""

import numpy as np
import pytest

from acg.graph import load_graph
from compiler.passes.allocate import LASTING, OutOfMemory, allocate
from compiler.tiles import Buffer, TileOp


def buffer(name, memory, size, **more):
    return Buffer(name, memory, size, memory.word_bytes, **more)


def op(engine, reads, writes):
    return TileOp(engine, {}, tuple(reads), tuple(writes), 0, "")


@pytest.mark.parametrize("seed", range(20))
def test_living_buffers_never_overlap(seed):
    rng = np.random.default_rng(seed)
    memory = load_graph("tiny").memories["act"]
    buffers = [buffer(f"b{i}", memory, int(rng.integers(1, 300)) * 4) for i in range(60)]
    ops = []
    for i in range(120):
        one, two = (buffers[min(59, i // 2 + int(k))] for k in rng.integers(0, 3, 2))
        ops.append(op("e", [one], [two]))
    used = allocate(ops, tight={memory.name: [(), (LASTING,), (0,)][seed % 3]})
    for i, a in enumerate(used):
        assert a.address % a.align_bytes == 0 and 0 <= a.address <= memory.size_bytes - a.size_bytes
        for b in used[:i]:
            alive_together = a.first <= b.last and b.first <= a.last
            assert not alive_together or a.address >= b.address + b.size_bytes or b.address >= a.address + a.size_bytes


def test_operands_read_together_lie_in_different_banks():
    memory = load_graph("tiny").memories["act"]
    a, b, y = (buffer(name, memory, 40) for name in "aby")
    allocate([op("l", [], [a]), op("l", [], [b]), op("v", [a, b], [y])])
    assert a.address // memory.bank_bytes != b.address // memory.bank_bytes


def test_buffers_rotate_so_that_loads_run_ahead():
    memory = load_graph("tiny").memories["wgt"]
    buffers = [buffer(f"w{i}", memory, 512) for i in range(32)]
    ops = [o for w in buffers for o in (op("l", [], [w]), op("m", [w], []))]
    allocate(ops)
    rounds = memory.size_bytes // 512
    assert len({w.address for w in buffers[:rounds]}) == rounds
    assert [w.address for w in buffers[rounds : 2 * rounds]] == [w.address for w in buffers[:rounds]]


def test_different_engines_get_different_banks():
    memory = load_graph("edge16").memories["act"]
    x, y, z = (buffer(name, memory, 64) for name in "xyz")
    allocate([op("l", [], [x]), op("m", [x], [y]), op("s", [y], []), op("l", [], [z])])
    assert x.address // memory.bank_bytes != y.address // memory.bank_bytes != z.address // memory.bank_bytes


def test_no_room_names_the_buffer():
    memory = load_graph("tiny").memories["par"]
    a, b = buffer("first", memory, memory.size_bytes), buffer("second", memory, 32)
    with pytest.raises(OutOfMemory) as error:
        allocate([op("l", [], [a]), op("l", [], [b]), op("v", [a, b], [])])
    assert str(error.value) == (
        f"memory par: found no room for 32 bytes of second; expected a free stretch of its {memory.size_bytes} bytes; "
        "use an architecture with larger memories"
    )
    assert (error.value.layer, error.value.buffer) == (0, b)
