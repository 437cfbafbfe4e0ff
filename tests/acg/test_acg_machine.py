"""A machine derives each thing once, and what it derives is what the graph's own functions give."""

import pytest

from acg.fingerprint import fingerprint
from acg.footprint import Footprints
from acg.graph import load_graph, parse_graph
from acg.isa import Instruction, InstructionSet
from acg.machine import machine_of
from acg.rules import most_work
from compiler.passes import compile_network
from compiler.target import Target
from tests.compiler.random_networks import Sketch

TINY = load_graph("tiny")


def test_each_thing_is_made_once():
    machine = machine_of(TINY)
    assert machine_of(TINY) is machine and machine.graph is TINY
    assert machine.instruction_set is machine.instruction_set and machine.footprints is machine.footprints and machine.least is machine.least
    assert machine.timings()["matrix"] is not machine.timings()["matrix"]  # states, of which every use has its own


def test_a_compilation_makes_the_instruction_set_and_the_footprints_once(monkeypatch):
    made = []
    for kind in (InstructionSet, Footprints):
        plain = kind.__init__
        monkeypatch.setattr(kind, "__init__", lambda self, graph, plain=plain: (made.append(type(self).__name__), plain(self, graph))[1])
    s = Sketch(3)
    compile_network(s.network(s.conv(s.input((1, 8, 6, 6), "i8"), 8, (3, 3))), parse_graph(TINY.description.replace("name: tiny", "name: once")))
    assert sorted(made) == ["Footprints", "InstructionSet"]


@pytest.mark.parametrize("name", ["tiny", "duo", "vec", "dsp"])
def test_what_is_derived(name):
    graph = load_graph(name)
    machine = machine_of(graph)
    assert machine.name == name and machine.fingerprint == f"{fingerprint(graph):016x}" and machine.most_work == most_work(graph)
    assert machine.emptying == {path.engine.name for paths in Target(graph).out_of.values() for path in paths}
    for engine, least in machine.least.items():
        bare = Instruction(engine, {})
        assert machine.instruction_set.decode(machine.instruction_set.encode(bare)).fields == least
        assert machine.every_field(engine, {}) == least and machine.every_field(engine, least) is least
