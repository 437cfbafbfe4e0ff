"""Random programs: legal, always the same, and reaching what no compiler emits."""

import hashlib
import os
import subprocess
import sys
from collections import defaultdict
from dataclasses import replace

import pytest

from acg.footprint import Footprints
from acg.graph import load_graph
from acg.isa import Instruction, instruction_set
from acg.predictor import predict
from tests.support.architectures import CORES, FIXED_FUNCTION
from verif.hazards import find_hazards
from verif.iss.simulator import Simulator
from verif.random.architectures import random_architecture
from verif.random.programs import Draft, ordered, random_program

SEEDS = range(40)


def _graph(seed):
    names = FIXED_FUNCTION
    return random_architecture(seed) if seed % 3 else load_graph(names[seed // 3 % len(names)])


@pytest.mark.parametrize("seed", [*SEEDS, *CORES])
def test_random_program_is_legal(seed):
    graph, seed = (load_graph(seed), 3) if seed in CORES else (_graph(seed), seed)
    program = random_program(graph, seed)
    isa, footprints = instruction_set(graph), Footprints(graph)
    retired = dict.fromkeys(graph.engines, 0)
    for instruction, again in zip(program.instructions, isa.decode_program(isa.encode_program(program.instructions)), strict=True):
        modulus = {item.name: 1 << item.width for item in isa.formats[instruction.engine].fields if item.wraps}
        assert {name: value % modulus.get(name, 1 << 64) for name, value in instruction.fields.items()} == {
            name: again.fields[name] % modulus.get(name, 1 << 64) for name in instruction.fields}
        assert again.waits == instruction.waits
        for access in footprints(instruction):
            assert 0 <= access.lo_byte < access.hi_byte <= graph.memories[access.memory].size_bytes, instruction
        assert all(count <= retired[name] for name, count in instruction.waits.items()), "waits for an instruction that does not precede it"
        retired[instruction.engine] += 1
    machine = Simulator(graph, external_bytes=1 << 17)
    machine.load_segments(program.image)
    before = machine.read(0, 1 << 17)
    machine.run(program.instructions)  # raises for an access outside a memory and for positions that share an accumulator word
    timeline = predict(graph, program.instructions)
    assert find_hazards(graph, program.instructions, timeline) == []
    assert machine.read(0, 1 << 17) != before, "nothing was observed"


def test_programs_do_not_depend_on_the_process():
    code = ("import hashlib; from acg.isa import instruction_set; from verif.random.architectures import random_architecture;"
            "from verif.random.programs import random_program; g = random_architecture(7);"
            "print(hashlib.sha256(instruction_set(g).encode_program(random_program(g, 7).instructions)).hexdigest())")
    graph = random_architecture(7)
    own = hashlib.sha256(instruction_set(graph).encode_program(random_program(graph, 7).instructions)).hexdigest()
    for seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": seed}
        found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        assert found.stdout.strip() == own
    other = random_program(graph, 8)
    assert hashlib.sha256(instruction_set(graph).encode_program(other.instructions)).hexdigest() != own


def test_programs_reach_what_compilers_do_not():
    seen = dict.fromkeys(("padding", "nothing in bounds", "accumulate", "table", "max", "float minimum", "in place", "negative stride", "wild scale",
                          "overlapping rows", "page crossed", "superfluous wait", "flooded queue", "a and b of one memory",
                          "float operands", "float result", "estimate", "floats read and written at once",
                          "sums carried on without a wait"), 0)
    for seed in SEEDS:
        graph = _graph(seed)
        program = random_program(graph, seed)
        engines = [draft.instruction.engine for draft in program.drafts]
        walks = {}
        seen["flooded queue"] += max(engines.count(name) for name in graph.engines) > 25
        for draft, instruction in zip(program.drafts, program.instructions, strict=False):
            fields, kind = defaultdict(int, instruction.fields), graph.engines[instruction.engine].kind
            ports = [access.port for access in Footprints(graph)(instruction)]
            seen["superfluous wait"] += any(instruction.waits.get(name) for name, _ in draft.extra)
            if kind == "matrix":
                seen["accumulate"] += fields["accumulate"]
                walk = [fields[name] for name in ("c_base", "c_stride_0", "c_stride_4", "c_stride_5", "n_0", "n_4", "n_5")]
                carried = fields["accumulate"] and walk == walks.get(instruction.engine) and instruction.engine not in instruction.waits
                seen["sums carried on without a wait"] += carried
                walks[instruction.engine] = walk
            if kind in ("matrix", "vector"):
                seen["padding"] += fields["y_origin"] < 0
                seen["nothing in bounds"] += not {"a", "activation"} & set(ports)
                seen["negative stride"] += fields["a_stride_0"] < 0
            if kind == "vector":
                links = {port: graph.links_of(instruction.engine, port) for port in "aby" if graph.links_of(instruction.engine, port)}
                memories = {port: among[fields[f"{port}_select"]].memory for port, among in links.items()}
                seen["table"] += fields["table_enable"]
                seen["max"] += fields["reduce"] == 2
                seen["float minimum"] += fields["numeric"] and fields["binary"] == 3
                seen["in place"] += memories["a"] == memories["y"] and fields["a_base"] == fields["y_base"]
                seen["wild scale"] += "scale_a" in instruction.fields and not 64 < fields["scale_a"] >> 23 & 255 < 192
                wide = defaultdict(bool, {port: among[fields[f"{port}_select"]].element.bits == 32 for port, among in links.items()})
                read = fields["numeric"] and ((wide["a"] and fields.get("a_float")) or (wide["b"] and fields["b_enable"] and fields.get("b_float")))
                seen["float operands"] += bool(read)
                seen["float result"] += wide["y"] and fields["numeric"]
                seen["estimate"] += wide["y"] and fields["numeric"] and fields.get("estimate", 0) > 0
                seen["floats read and written at once"] += bool(read and wide["y"] and len(set(memories.values())) == 1 and fields["b_enable"])
                seen["a and b of one memory"] += fields["b_enable"] and memories["a"] == memories["b"]
            if kind in ("load", "store") and "ext_stride_2" in fields:
                seen["overlapping rows"] += fields["n_2"] > 1 and abs(fields["local_stride_2"]) < fields["n_3"]
                seen["page crossed"] += fields["ext_address"] // 4096 != (fields["ext_address"] + fields["n_3"] - 1) // 4096
    assert [name for name, times in seen.items() if times < 3] == []


def test_waits_are_those_that_footprints_ask_for():
    graph = load_graph("tiny")
    load = Instruction("load", {"select": 0, "n_3": 64, "local_address": 0})
    far = Instruction("load", {"select": 0, "n_3": 64, "local_address": 8192})
    vector = {"a_select": 1, "n_3": 4, "a_stride_3": 1, "y_stride_3": 1, "y_bound": 1, "x_bound": 1, "y_base": 2048}
    reads = Instruction("vector", vector)
    again = Instruction("vector", vector | {"a_base": 2048, "y_base": 0})
    store = Instruction("store", {"select": 0, "n_3": 16, "local_address": 8192})
    words = graph.memories["act"].size_bytes // 4
    assert words == 4096, "the addresses above are in banks 0 and 2 of four"
    program = ordered(graph, [Draft(load), Draft(far), Draft(reads), Draft(again), Draft(store, (("load", 1), ("matrix", 3)))])
    assert [dict(item.waits) for item in program] == [
        {},                                         # nothing before
        {},                                         # the engine's own order
        {"load": 2},                                # reads what the first wrote; writes where the second did
        {"load": 2, "vector": 1},                   # reads what the second load and then the vector unit itself wrote
        {"load": 2, "vector": 2, "matrix": 0},      # reads what the second load and the first vector instruction wrote, over the port of the other
    ]


@pytest.mark.parametrize("seed", range(6))
def test_programs_need_their_waits(seed):
    """Without waits the hazard check finds something: the programs do put engines into each other's way."""
    graph = _graph(seed)
    program = random_program(graph, seed)
    bare = [replace(item, waits={}) for item in program.instructions]
    assert find_hazards(graph, bare, predict(graph, bare), most=1)


def test_without_computes_waits_anew():
    program = random_program(load_graph("tiny"), 3)
    half = program.without(program.drafts[::2])
    assert half.drafts == program.drafts[::2] and half.image == program.image
    retired = dict.fromkeys(half.graph.engines, 0)
    for item in half.instructions:
        assert all(count <= retired[name] for name, count in item.waits.items())
        retired[item.engine] += 1
