"""Footprints hold what they promise: an instruction reads and writes no byte outside them. Random instructions, functional simulator."""

import numpy as np
import pytest

from acg.footprint import Footprints
from acg.graph import load_graph
from tests.support.architectures import CORES, FIXED_FUNCTION
from verif.iss.simulator import Simulator
from verif.random.architectures import random_architecture
from verif.random.programs import random_program

WINDOW_BYTES = 1 << 17


def _inside(accesses, name, size, *, write):
    mask = np.zeros(size, bool)
    for access in accesses:
        if access.memory == name and access.write == write:
            mask[access.lo_byte : access.hi_byte] = True
    return mask


@pytest.mark.parametrize("seed", [*range(30), *CORES])
def test_nothing_is_touched_outside_the_footprint(seed):
    """Each instruction runs twice, the second time with all bytes that it may not read replaced: what it writes stays the same."""
    if isinstance(seed, str):
        graph, seed = load_graph(seed), 7
    else:
        graph = random_architecture(100 + seed) if seed % 5 else load_graph(FIXED_FUNCTION[seed // 5 % 4])
    program = random_program(graph, 100 + seed, instructions=25)
    rng = np.random.default_rng(seed)
    footprints = Footprints(graph)
    machine, other = (Simulator(graph, external_bytes=WINDOW_BYTES) for _ in range(2))
    machine.load_segments(program.image)
    changed = 0
    for draft in program.drafts:
        accesses = footprints(draft.instruction)
        before, replaced = {}, {}
        for name, memory in machine.memories.items():
            before[name] = memory.copy()
            read = _inside(accesses, name, memory.size, write=False)
            other.memories[name][:] = np.where(read, memory, rng.integers(0, 256, memory.size, np.uint8))
            replaced[name] = other.memories[name].copy()
        machine.execute(draft.instruction)
        other.execute(draft.instruction)
        for name, memory in machine.memories.items():
            written = _inside(accesses, name, memory.size, write=True)
            untouched = (memory == before[name]) & (other.memories[name] == replaced[name])
            assert untouched[~written].all(), f"{draft.instruction} writes {name} outside its footprint"
            same = memory == other.memories[name]
            assert (same | untouched).all(), f"{draft.instruction} reads outside its footprint: {name} differs"
            changed += int((~untouched).sum())
    assert changed > 1000
