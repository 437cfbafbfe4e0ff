"""Memories that hold several things are cut at banks: what an engine reads at the same time never meets at one port, whatever is joined with what."""

import numpy as np
import pytest

from acg.footprint import Footprints
from acg.graph import architecture_names, load_graph, parse_graph
from compiler.errors import CompilerError
from compiler.partitions import ROLES, cuts, partitions
from compiler.passes import compile_network
from compiler.target import Target
from tests.compiler.ir_reference import check_program
from tests.compiler.random_networks import random_network
from tests.support.architectures import joined, text_of
from verif.random.architectures import random_architecture

UNIFIED = load_graph("unified")
#: Groups of tiny's memories that become one memory each.
GROUPINGS = (("act", "wgt", "acc", "par"),), (("act", "wgt"), ("acc", "par")), (("act", "acc"), ("wgt", "par")), (("wgt", "acc", "par"),), (("act", "par"),)


@pytest.mark.parametrize("name", sorted({*architecture_names()} - {"unified"}))
def test_a_memory_of_one_kind_is_not_cut(name):
    graph = load_graph(name)
    assert cuts(graph) == ({},)
    target = Target(graph)
    assert set(target.partitions) == set(graph.memories)
    for memory in graph.memories.values():
        found = target.partitions[memory.name]
        assert (found.word_bytes, found.banks, found.depth_words, found.size_bytes, found.base_bytes) == (
            memory.word_bytes, memory.banks, memory.depth_words, memory.size_bytes, 0)


def test_the_cuts_of_one_memory():
    found = cuts(UNIFIED)
    assert dict(found[0]["mem"]) == {"activations": 6, "weights": 3, "sums": 6, "parameters": 1}
    assert len(found) == 5
    for cut in found:
        assert list(cut) == ["mem"] and tuple(cut["mem"]) == ROLES and sum(cut["mem"].values()) == 16
        parts = [part for (_, role), part in partitions(UNIFIED, cut).items() if role and part.within == "mem"]
        assert [part.base_bytes for part in parts] == [32768 * sum(list(cut["mem"].values())[:number]) for number in range(4)]
        assert [(part.element.name, part.lanes, part.bank_bytes) for part in parts] == [
            ("i8", 16, 32768), ("i8", 16, 32768), ("i32", 16, 32768), ("i32", 32, 32768)]


def test_too_few_banks_are_refused():
    text = UNIFIED.description.replace("banks: 16, depth_words: 256", "banks: 5, depth_words: 256")
    network, _ = random_network(0)
    with pytest.raises(CompilerError) as caught:
        compile_network(network, parse_graph(text))
    assert str(caught.value) == ("memory mem: found 5 banks; expected at least 6: 2 of activations, 1 of weights, 2 of sums, 1 of parameters; "
                                 "give it more banks, or some of this a memory of its own")


@pytest.mark.parametrize("number", range(len(GROUPINGS)))
@pytest.mark.parametrize("seed", [2100, 2108])
def test_networks_on_joined_memories(seed, number):
    text = text_of("tiny")
    for group in GROUPINGS[number]:
        text = joined(text, *group)
    graph = parse_graph(text)
    network, arrays = random_network(seed)
    program = compile_network(network, graph)
    check_program(network, program, graph, arrays)
    homes = {item.memory for item in program.memory_map}
    assert homes <= set(graph.memories), "the map names memories of the machine"
    shared = {group[0] for group in GROUPINGS[number]}
    footprint = Footprints(graph)
    used: dict[tuple[str, str], set[int]] = {}
    for instruction in program.instructions:
        for access in footprint(instruction):
            if access.memory in shared and access.port in ("activation", "weight", "accumulator", "parameter"):
                used.setdefault((access.memory, access.port), set()).update(range(access.first_bank, access.last_bank + 1))
    for one, banks in used.items():
        for two, others in used.items():
            assert one == two or one[0] != two[0] or not banks & others, "each has banks of its own"


@pytest.mark.parametrize("seed", [17, 59, 115, 215])
def test_random_networks_on_random_machines_with_joined_memories(seed):
    print(f"seed {seed}")
    graph = next(graph for graph in map(random_architecture, range(seed, seed + 60)) if _joined(graph))
    rng = np.random.default_rng(seed)
    for _ in range(2):
        network, arrays = random_network(int(rng.integers(1 << 16)))
        try:
            program = compile_network(network, graph)
        except CompilerError as refusal:
            print(refusal)
            continue
        check_program(network, program, graph, arrays)


def _joined(graph):
    return any(len({link.element for link in graph.words_of(name)}) > 1 for name in graph.memories)
