"""The compiler's view of a machine: by operations and their operands, not by what a kind calls its sizes and ports."""

from dataclasses import replace

import pytest

from acg.graph import load_graph, parse_graph
from acg.kinds import KINDS
from acg.nodes import Graph
from compiler.target import Target
from tests.support.architectures import broadcasting

#: What the kind `matrix` could have called its parts.
_NAMES = {"rows": "depth", "columns": "width", "activation": "left", "weight": "right", "accumulator": "sums_in", "result": "sums_out"}


def _name(old):
    return _NAMES.get(old, old)


def _renamed(kind):
    return replace(
        kind, sizes=tuple(replace(size, name=_name(size.name)) for size in kind.sizes), rules=(),
        ports=tuple(replace(port, name=_name(port.name), lanes=(port.lanes[0], _name(port.lanes[1]))) for port in kind.ports),
        body=tuple(replace(item, ports=tuple(map(_name, item.ports)), run=(item.run[0], _name(item.run[1]))) if item in kind.streams else item
                   for item in kind.body),
        offers=tuple(replace(offer, dimensions=tuple((dimension, _name(size)) for dimension, size in offer.dimensions)) for offer in kind.offers))


def _seen(graph):
    (unit,) = Target(graph).matrix
    return unit.rows, unit.columns, unit.activation, unit.weight, unit.accumulator


def test_a_matrix_unit_is_found_by_its_operation_and_its_operands(monkeypatch):
    tiny = load_graph("tiny")
    before = _seen(tiny)
    monkeypatch.setitem(KINDS, "matrix", _renamed(KINDS["matrix"]))
    engines = {name: replace(engine, sizes={_name(size): value for size, value in engine.sizes.items()}) for name, engine in tiny.engines.items()}
    graph = Graph(name="renamed", summary="", description="", control=tiny.control, memories=tiny.memories, engines=engines,
                  links=tuple(replace(link, port=_name(link.port)) for link in tiny.links))
    assert set(graph.engines["matrix"].sizes) == {"organisation", "depth", "width"}
    assert _seen(graph) == before


def test_a_vector_unit_that_broadcasts_contracts():
    """One row, its lanes as columns; activations and weights in memories of their own, sums in one that it reads again; behind matrix units."""
    (unit,) = Target(broadcasting("tiny")).matrix
    assert (unit.rows, unit.columns, unit.broadcasts) == (1, 4, True)
    assert [memory.name for memory in (unit.activation, unit.weight, unit.accumulator)] == ["act", "wgt", "acc"]
    beside = Target(broadcasting("tiny", matrix=True)).matrix
    assert [other.engine.name for other in beside] == ["matrix", "vector"] and not beside[0].broadcasts


@pytest.mark.parametrize("link", ["{from: wgt, to: vector, port: b}", "{from: acc, to: vector, port: a}", "{from: vector, to: acc, port: y}"])
def test_one_that_lacks_a_memory_for_it_does_not(link):
    text = broadcasting("tiny").description
    less = "".join(line for line in text.splitlines(keepends=True) if link not in line and "ESTIMATE" not in line)
    assert less.count("\n") < text.count("\n") - 2 and Target(parse_graph(less)).matrix == ()
