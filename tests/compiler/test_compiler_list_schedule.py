"""Orders and waits are those of the plain rules: what is forgotten, looked up or kept from one step to the next changes nothing."""

import numpy as np
import pytest

from acg.graph import load_graph, parse_graph
from acg.isa import Instruction, InstructionSet
from acg.machine import machine_of
from acg.predictor import predict
from compiler.ordering.schedule import add_waits, order
from compiler.passes import Options, compile_network
from tests.compiler import schedule_reference
from tests.compiler.random_networks import random_network
from tests.support.architectures import joined, text_of
from verif.hazards import find_hazards
from verif.random.instructions import InstructionDraw

#: Of these networks the programs have 30 instructions or more on tiny, one of them 184.
SEEDS = (2100, 2103, 2104, 2105, 2108, 2111, 2113)


def unordered(seed, arch):
    """A random network's instructions in the order of tiling, without waits."""
    print(f"seed {seed} on {arch}")
    graph = load_graph(arch)
    network, _ = random_network(seed)
    program = compile_network(network, graph, options=Options(reorder=False, resident=seed % 2 == 0))
    return graph, [Instruction(i.engine, i.fields) for i in program.instructions]


@pytest.mark.parametrize("arch", ["tiny", "edge16"])
@pytest.mark.parametrize("seed", SEEDS)
def test_the_order_is_that_of_the_plain_rules(seed, arch):
    graph, instructions = unordered(seed, arch)
    assert len(instructions) >= 20
    assert order(machine_of(graph), instructions) == schedule_reference.order(graph, instructions)


@pytest.mark.parametrize("arch", ["tiny", "edge16"])
@pytest.mark.parametrize("seed", SEEDS)
def test_waits_are_those_of_the_plain_rules(seed, arch):
    graph, instructions = unordered(seed, arch)
    ordered = [instructions[number] for number in order(machine_of(graph), instructions)]
    assert [dict(i.waits) for i in add_waits(machine_of(graph), ordered)] == schedule_reference.waits(graph, ordered)


def crowded(seed, graph):
    """100 random copies of tiny whose pieces of 2 banks and of 2 KiB outside overlap in every way, over pages of external memory too."""
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    defaults = {name: {f.name: f.bias for f in form.fields} for name, form in InstructionSet(graph).formats.items()}
    reach, outside = 2 * graph.memories["act"].bank_bytes, (1 << 16) - 1024
    found = []
    for _ in range(100):
        engine, words = str(rng.choice(["load", "store", "vector"])), int(rng.integers(1, 200))
        here, there = (4 * int(rng.integers(0, reach // 4 - 200)) for _ in range(2))
        if engine == "vector":
            fields = {"a_select": 1, "a_base": here // 4, "y_base": there // 4, "n_3": words, "a_stride_3": 1, "y_stride_3": 1, "y_bound": 1, "x_bound": 1}
        else:
            fields = {"select": 0, "local_address": here, "n_3": 4 * words, "ext_address": outside + there % 2048}
        found.append(Instruction(engine, defaults[engine] | fields))
    return graph, found


@pytest.mark.parametrize("seed", range(6))
def test_accesses_that_cover_each_other_in_part(seed):
    graph, instructions = crowded(seed, load_graph("tiny"))
    positions = order(machine_of(graph), instructions)
    assert positions == schedule_reference.order(graph, instructions)
    ordered = [instructions[number] for number in positions]
    assert [dict(i.waits) for i in add_waits(machine_of(graph), ordered)] == schedule_reference.waits(graph, ordered)


@pytest.mark.parametrize("seed", range(6))
def test_ports_of_one_engine_that_do_not_keep_step(seed):
    """Weights, activations and parameters in the banks of one memory."""
    graph = parse_graph(joined(text_of("tiny"), "act", "wgt", "acc", "par"))
    rng, instructions = np.random.default_rng(seed), []
    draw = InstructionDraw(graph, rng, window_bytes=1 << 14)
    for _ in range(60):
        instructions.append(draw(str(rng.choice(["matrix", "vector", "load"]))))
    positions = order(machine_of(graph), instructions)
    assert positions == schedule_reference.order(graph, instructions)
    ordered = add_waits(machine_of(graph), [instructions[number] for number in positions])
    assert [dict(i.waits) for i in ordered] == schedule_reference.waits(graph, ordered)
    assert [hazard for hazard in find_hazards(graph, ordered, predict(graph, ordered)) if hazard.kind == "port"] == []
    assert any(instruction.waits.get(instruction.engine) for instruction in ordered)
