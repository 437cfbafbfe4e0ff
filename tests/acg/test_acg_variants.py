"""Single changes of a machine: dependent numbers follow, what cannot be says why."""

import pytest
import yaml

from acg.description.variants import resized, variants
from acg.errors import ArchitectureError
from acg.graph import load_graph, parse_graph

EDGE = load_graph("edge16")


def changed(graph, change):
    return next(variant for variant in variants(graph) if variant.change == change)


@pytest.mark.parametrize("name", ["tiny"])
def test_most_changes_of_every_machine_give_a_machine(name):
    found = list(variants(load_graph(name)))
    assert len({variant.change for variant in found}) == len(found) > 20
    refused = [variant for variant in found if variant.graph is None]
    assert len(refused) < len(found) / 4, [f"{variant.change}: {variant.refused}" for variant in refused]
    for variant in found:
        assert (variant.graph is None) == bool(variant.refused)
        if variant.graph is not None:  # its text says the same
            assert parse_graph(variant.graph.description).engines == variant.graph.engines


def test_lanes_take_capabilities_and_memories_with_them():
    graph = changed(EDGE, "vector.lanes x2").graph
    assert str(graph.engines["vector"].capabilities[0]) == "(i32,32)=MAC((i9,32),(i9,32))"
    assert {name: (memory.word_bytes, memory.size_bytes) for name, memory in graph.memories.items() if memory.kind == "scratchpad"} == {
        name: (2 * memory.word_bytes, memory.size_bytes) for name, memory in EDGE.memories.items() if memory.kind == "scratchpad"
    }


def test_one_more_engine_has_links_of_its_own():
    graph = changed(EDGE, "one more vector").graph
    twin = [link for link in graph.links if link.engine == "vector_2"]
    assert [(link.port, link.reads) for link in twin] == [(link.port, link.reads) for link in EDGE.links if link.engine == "vector"]
    assert {link.memory for link in twin if link.port == "table"} == {"lut_2"} and graph.memories["lut_2"] is not None
    loader = changed(EDGE, "one more load").graph
    assert [link.memory for link in loader.links if link.engine == "load_2"] == ["dram", "act", "wgt", "par"]


def test_what_no_machine_can_have_is_said():
    text = EDGE.description.replace("banks: 8, depth_words: 2048", "banks: 64, depth_words: 2048")
    variant = changed(parse_graph(text), "act.banks x2")
    assert variant.graph is None and "memories.act.banks: found 128; input should be less than or equal to 64" in variant.refused


def test_resized():
    graph = resized(EDGE, name="half", sizes={("matrix", "rows"): 8, ("matrix", "columns"): 8, ("act", "banks"): 4})
    assert graph.name == "half" and str(graph.engines["matrix"].capabilities[0]) == "(i32,8)=MATMUL((i9,8),(i9,8,8))"
    assert graph.memories["act"].banks == 4 and yaml.safe_load(graph.description)["engines"]["matrix"]["rows"] == 8
    with pytest.raises(KeyError, match=r"^'matrix\.lanes'$"):
        resized(EDGE, name="half", sizes={("matrix", "lanes"): 8})
    with pytest.raises(ArchitectureError, match=r"rows: found 0"):
        resized(EDGE, name="half", sizes={("matrix", "rows"): 0})
