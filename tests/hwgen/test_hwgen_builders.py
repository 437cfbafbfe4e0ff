"""Builders of units: every number of an engine's place in a machine reaches its unit, on a machine whose numbers all differ."""

import re

import pytest

from acg.graph import load_graph, parse_graph
from acg.isa import instruction_set
from acg.regmap import ErrorCode
from hwgen.layout import body_layout
from hwgen.top import Accelerator
from hwgen.units.builders import builder_of
from hwgen.units.socket import PortSocket, Socket

LATENCIES = {"act": 2, "wgt": 3, "acc": 4, "par": 5}


def _machine(name, **more):
    latencies = {**LATENCIES, **more}
    text = load_graph(name).description
    for memory, cycles in latencies.items():
        text = re.sub(rf"(  {memory}: .*read_latency_cycles: )1", rf"\g<1>{cycles}", text)
    graph = parse_graph(text)
    assert {name: graph.memories[name].read_latency_cycles for name in latencies} == latencies
    return graph


GRAPH = _machine("tiny")


def _plug(name, graph=GRAPH):
    """The unit of an engine, made by its builder from the graph's numbers."""
    engine, layout = graph.engines[name], instruction_set(graph).formats[name]
    ports = {}
    for port in engine.specification.ports:
        links = graph.links_of(name, port.name) if "external" not in port.memories else ()
        ports[port.name] = tuple(
            PortSocket(link.element.bits, (graph.memories[link.memory].size_bytes // link.port_bytes - 1).bit_length(),
                       graph.memories[link.memory].read_latency_cycles, graph.memories[link.memory].banks, 4 * port.built_in) for link in links)
    return builder_of(engine.kind)(Socket(
        sizes=engine.sizes, operations=frozenset(capability.operation for capability in engine.capabilities),
        body=body_layout([(field.name, field.width, field.lsb - layout.body_lsb, field.signed) for field in layout.fields], size_bits=layout.body_bits),
        registers=engine.registers, ports=ports, bus_bits=64, bus_address_bits=32, external_bytes=graph.external.size_bytes, chunk_bytes=graph.chunk_bytes(name),
        codes={code.name: code for code in ErrorCode}))


def test_the_matrix_unit_knows_the_latency_of_each_port():
    assert _plug("matrix").component.latency == {"activation": 2, "weight": 3, "accumulator": 4}


def test_the_vector_unit_knows_the_latency_of_its_parameters():
    assert _plug("vector").component.p_read_latency_cycles == 5


def test_the_store_unit_knows_the_latency_of_each_link():
    assert list(_plug("store").component.source_latency_cycles) == [LATENCIES[link.memory] for link in GRAPH.links_of("store", "source")] == [2, 4]


def test_the_window_unit_knows_the_latency_of_each_port():
    graph = _machine("mobile16", wtap=6, wacc=7)
    (engine,) = graph.engines_of("window")
    ports = ("activation", "weight", "accumulator")
    expected = {port: graph.memories[graph.link_of(engine.name, port).memory].read_latency_cycles for port in ports}
    assert len(set(expected.values())) == 3 and _plug(engine.name, graph).component.latency == expected


def test_registers_of_pipelines_reach_their_units():
    """On a machine where every part has others than usual."""
    graph = load_graph("ecp5")
    registers = {name: engine.registers for name, engine in graph.engines.items()}
    assert all(registers[name][depth.name] != depth.usual for name, engine in graph.engines.items() for depth in engine.specification.depths)
    assert _plug("load", graph).component.address_cycles == registers["load"]["address"]
    assert _plug("store", graph).component.address_cycles == registers["store"]["address"]
    assert _plug("matrix", graph).component.registers == registers["matrix"]
    vector = _plug("vector", graph).component
    stages = dict(vector.stages)
    assert {"address": vector.address_cycles} | {part: stages[part] for part in registers["vector"] if part in stages} == registers["vector"]


@pytest.mark.parametrize(("engine", "port"), [("vector", "a"), ("vector", "b"), ("vector", "y"), ("load", "destination"), ("store", "source")])
def test_links_are_numbered_in_the_order_of_the_description(engine, port):
    """Address widths tell the memories apart: what the select field's value 0 chooses is the first link."""
    widths = [(GRAPH.memories[link.memory].size_bytes // link.port_bytes - 1).bit_length() for link in GRAPH.links_of(engine, port)
              if GRAPH.memories[link.memory].kind != "table"]
    assert widths != widths[::-1], "the widths tell nothing"
    unit = Accelerator(GRAPH)._unit(GRAPH.engines[engine])
    interfaces = [use.port for use in unit.uses if any(use.port is interface for interface in _interfaces(unit.component, port))]
    assert [len(interface.addr) for interface in interfaces][: len(widths)] == widths


def _interfaces(component, port):
    plural = getattr(component, f"{port}s", None)
    if plural is not None:
        return tuple(plural)
    return tuple(getattr(component, f"{port}_{number}") for number in range(8) if hasattr(component, f"{port}_{number}"))
