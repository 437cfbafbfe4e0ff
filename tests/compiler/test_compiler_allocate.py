"""Allocation: nothing alive overlaps, operands read at once lie in different banks, buffers rotate; all places as the plain rules give them."""

import numpy as np
import pytest

from acg.graph import load_graph
from compiler.placing.allocate import LASTING, Allocation, OutOfMemory, allocate
from compiler.tiles import Buffer, TileOp
from tests.compiler.allocate_reference import addresses


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


def crowd(seed):
    """Random operations of 6 layers on buffers of an architecture's memories: some last, some want a border, some are pinned."""
    rng = np.random.default_rng(seed)
    memories = [load_graph(["tiny", "edge16", "dot16"][seed % 3]).memories[name] for name in ("act", "acc", "wgt", "dram")]
    ops, pool = [], []
    for position in range(96):
        for _ in range(int(rng.integers(0, 3))):
            memory = memories[int(rng.integers(4))]
            size = int(rng.integers(1, max(2, memory.size_bytes // int(rng.choice([2, 3, 5] if seed % 2 else [6, 20, 60]))))) if memory.kind != "external" else int(rng.integers(1, 20000))
            align = memory.bank_bytes if memory.kind != "external" and rng.random() < 0.1 else getattr(memory, "word_bytes", 64)
            border = int(rng.integers(1, 9)) * memory.word_bytes if memory.kind != "external" and rng.random() < 0.1 else 0
            pool.append(Buffer(f"{memory.name}{position}.{len(pool)}", memory, size, align or 64, border_bytes=border,
                               lasting=bool(rng.random() < 0.1), pinned=memory.kind == "external" and bool(rng.random() < 0.3)))
        near = pool[-int(rng.integers(2, 9)) :] + pool[: int(rng.random() < 0.2)]
        picked = [near[int(i)] for i in rng.permutation(len(near))[:3]]
        cut = int(rng.integers(0, 3))
        ops.append(TileOp(str(rng.choice(["l", "m", "v", "s"])), {}, tuple(picked[:cut]), tuple(picked[cut:]), position // 16, ""))
    return rng, ops


def placed(ops, tight):
    """Addresses by name, in the order of first use; None for the first without a place."""
    try:
        return {b.name: b.address for b in allocate(ops, tight=tight)}
    except OutOfMemory as error:
        found = {}
        for b in sorted({b: None for o in ops for b in (*o.reads, *o.writes)}, key=lambda b: not b.pinned):
            found[b.name] = b.address if b is not error.buffer else None
            if b is error.buffer:
                break
        return found


@pytest.mark.parametrize("seed", range(12))
def test_places_are_those_of_the_plain_rules(seed):
    print(f"seed {seed}")
    rng, ops = crowd(seed)
    for _ in range(2):
        tight = {name: {int(layer) for layer in rng.integers(LASTING, 6, int(rng.integers(0, 4)))} for name in ("act", "acc", "wgt")}
        assert placed(ops, tight) == addresses(ops, tight)


@pytest.mark.parametrize("seed", range(6))
def test_tightening_step_by_step_ends_where_starting_tight_does(seed):
    print(f"seed {seed}")
    rng, ops = crowd(seed)
    allocation, tight = Allocation(ops), {}
    for _ in range(6):
        stepwise = None
        try:
            allocation.place()
        except OutOfMemory as error:
            stepwise = error.buffer
        found = {b.name: b.address for b in allocation.buffers}
        expected = addresses(ops, tight)
        assert {name: found[name] for name, address in expected.items() if address is not None} == {n: a for n, a in expected.items() if a is not None}
        assert (stepwise.name if stepwise else None) == next((name for name, address in expected.items() if address is None), None)
        name, layer = str(rng.choice(["act", "acc", "wgt"])), int(rng.integers(LASTING, 6))
        tight.setdefault(name, set()).add(layer)
        allocation.tighten(name, {layer})
