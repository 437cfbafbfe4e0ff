"""Random kernels and the instructions that run them: legal for loaders, the same from the same seed, and between them everything that a core can do."""

from collections import Counter

import numpy as np
import pytest

from acg.footprint import Footprints
from acg.graph import load_graph
from acg.isa import instruction_set
from acg.kinds.core.operations import SLOT_OPERATIONS
from acg.kinds.core.packets import packet_format
from acg.predictor import predict
from compiler.check_program import check_instructions
from verif.hazards import find_hazards
from verif.iss.simulator import Simulator
from verif.random.cores import CoreDraw, random_core, random_core_text, random_kernel
from verif.random.programs import random_program

GRAPHS = {name: load_graph(name) for name in ("dsp_tiny", "dsp")}


@pytest.mark.parametrize("seed", range(12))
def test_random_programs_of_cores_are_legal_and_run(seed):
    """Loaders take them, no two instructions meet without an order, nothing leaves its footprint."""
    graph = GRAPHS["dsp" if seed % 6 == 5 else "dsp_tiny"]
    program = random_program(graph, seed, instructions=16)
    instructions = program.instructions
    assert instructions == random_program(graph, seed, instructions=16).instructions
    check_instructions(instructions, graph, image=program.image)
    assert find_hazards(graph, instructions, predict(graph, instructions)) == []
    machine, footprints = Simulator(graph, external_bytes=1 << 17), Footprints(graph)
    machine.load_segments(program.image)
    isa, run = instruction_set(graph), 0
    assert [item.waits for item in isa.decode_program(isa.encode_program(instructions))] == [item.waits for item in instructions]
    for instruction in instructions:
        before = {name: memory.copy() for name, memory in machine.memories.items()}
        machine.execute(instruction)
        if not graph.engines[instruction.engine].tables:
            continue
        run += 1
        for name, memory in machine.memories.items():
            changed = np.flatnonzero(memory != before[name])
            spans = [(access.lo_byte, access.hi_byte) for access in footprints(instruction) if access.write and access.memory == name]
            assert all(any(low <= byte < high for low, high in spans) for byte in changed.tolist()), (instruction, name)
    assert run


@pytest.mark.parametrize("seed", range(8))
def test_random_machines_around_a_core(seed):
    """Any slots, latencies, vectors, granules, streams, memories: a program of random kernels is legal and runs, its machine the same from the same seed."""
    graph = random_core(seed)
    assert graph.description == random_core_text(seed)
    program = random_program(graph, seed, instructions=6)
    check_instructions(program.instructions, graph, image=program.image)
    assert find_hazards(graph, program.instructions, predict(graph, program.instructions)) == []
    machine = Simulator(graph, external_bytes=1 << 17)
    machine.load_segments(program.image)
    machine.run(program.instructions)


def test_random_cores_are_of_many_shapes():
    cores = [random_core(seed).engines["core"] for seed in range(30)]
    assert {len(core.tables["slots"]) for core in cores} >= {2, 3, 4, 5} and {core.number("vector_bytes") for core in cores} == {16, 32, 64, 128}
    assert {core.number("vector_bytes") // core.number("granule_bytes") for core in cores} >= {4, 8, 16}
    assert {name for core in cores for slot in core.tables["slots"].values() for name in slot} == set(SLOT_OPERATIONS)
    assert {core.can("TABLE") for core in cores} == {True, False}


def test_what_random_kernels_reach():
    """Every operation with every value of its small fields, every stage, late or not, every slot; bounds, wraps and levels of streams."""
    graph, seen, fields = GRAPHS["dsp_tiny"], Counter(), []
    engine = graph.engines["core"]
    for seed in range(100):
        rng = np.random.default_rng(seed)
        kernel = random_kernel(engine, rng)
        for packet in kernel.packets:
            for slot, op in packet.items():
                seen.update([f"{slot} {op.name}", f"stage {op.stage}", f"late {op.late}", *(f"{op.name} {key} {value}" for key, value in op.fields.items())])
        if seed % 5 == 0:
            fields.append(CoreDraw(graph, rng)("core", kernel, 0).fields)
    form = packet_format(engine)
    wanted = {f"{slot} {name}" for slot, item in form.slots.items() for name in item.operations}
    wanted |= {f"stage {number}" for number in range(8)} | {"late True", "late False"}
    wanted |= {f"{operation} {item.name} {value}" for operation, table in SLOT_OPERATIONS.items() for item in table.fields
               if item.numbers not in ("register", "granule") for value in range(item.values(engine.sizes))}
    assert sorted(wanted - set(seen)) == []
    assert {item["in0_bounded"] for item in fields} == {item["out0_bounded"] for item in fields} == {0, 1}
    assert {item["tiles"] > 1 for item in fields} == {item["prologue_count"] > 1 for item in fields} == {True, False}
    assert all(any(item[f"{prefix}_n_{level}"] > 1 for item in fields) for prefix in ("in0", "in1", "in2", "out0") for level in range(6))
    assert {item["drain_packets"] > 0 for item in fields} == {item["head_packets"] > 0 for item in fields} == {True, False}
