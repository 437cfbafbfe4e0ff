"""Tables in the chain of the codelet before them: the text before and after, what stays, equal bytes and fewer cycles."""

from __future__ import annotations

import re

import numpy as np
import pytest

from acg.graph import load_graph, parse_graph
from compiler.errors import UnsupportedError
from compiler.ir.pools import GlobalAveragePool, MaxPool
from compiler.mapping.assign_engines import assign_engines
from compiler.mapping.instantiate_codelets import instantiate_codelets
from compiler.mapping.merge_tables import merge_tables
from compiler.passes import compile_network
from compiler.target import Target
from tests.compiler.ir_reference import check_program
from tests.compiler.random_networks import Sketch
from tests.support.architectures import text_of

NAMES = ("tiny", "edge16", "wide", "dot16")


def sketch(kind: str, seed: int = 0):
    """One node of a kind and a random table behind it: the sketch and both tensors."""
    s = Sketch(seed, kind)
    x = s.input((s.pick(1, 2), s.between(2, 24), s.between(3, 9), s.between(3, 9)))
    n, c, _, _ = x.shape
    if kind == "conv":
        y = s.conv(x, s.between(1, 30), (3, 3), pads=(1, 1, 1, 1))
    elif kind == "depthwise":
        y = s.conv(x, c, (3, 3), pads=(1, 1, 1, 1), group=c)
    elif kind == "pool":
        y = s.tensor((n, c, 1, 1), x.dtype)
        s.node(GlobalAveragePool(x.scale, x.zero_point, y.scale, y.zero_point, **s.clamp(y)), [x], y)
    elif kind == "largest":
        y = s.tensor(x.shape, x.dtype)
        s.node(MaxPool((3, 3), (1, 1), (1, 1), (1, 1, 1, 1), **s.clamp(y)), [x], y)
    else:
        y = s.add(x, s.conv(x, c))
    return s, y, s.unary(y)


def test_before_and_after():
    s, y, z = sketch("depthwise")
    graph = s.network(z)
    before = instantiate_codelets(graph)
    after = merge_tables(before, graph)
    assert [len(codelets) for codelets in (*before, *after)] == [3, 1, 3]
    for codelet in after[0]:
        text = str(codelet).splitlines()
        assert text[-2:] == ["  y = REQUANTIZE(acc)", "  z = TABLE(y)"]
        assert any(line.startswith(f"  y: {z.dtype} {z.name}[") for line in text)
        assert codelet.origin == (*graph.nodes[0].origin, *graph.nodes[1].origin)
        np.testing.assert_array_equal(codelet.finish.table, graph.nodes[1].attrs.table)
    assert not any(y.name == operand.tensor for operand in after[0][0].operands.values())


@pytest.mark.parametrize("reason", ["an output", "read elsewhere", "a table before it", "int32 sums", "the network's input"])
def test_tables_that_stay(reason):
    s = Sketch(0, "g")
    x = s.input((1, 5, 4, 4))
    if reason == "the network's input":
        outputs = [s.unary(x)]
    elif reason == "a table before it":
        outputs = [s.unary(s.unary(x))]
    elif reason == "int32 sums":
        outputs = [s.conv(x, 3, raw=True), s.unary(x)]
    else:
        y = s.conv(x, 3)
        outputs = [s.unary(y), y if reason == "an output" else s.conv(y, 2)]
    graph = s.network(*outputs)
    before = instantiate_codelets(graph)
    assert merge_tables(before, graph) == before


@pytest.mark.parametrize("kind", ["conv", "depthwise", "pool", "largest", "add"])
@pytest.mark.parametrize("seed", range(4))
def test_bytes_are_equal(kind, seed):
    s, _, z = sketch(kind, seed)
    graph, arrays, architecture = s.network(z), s.arrays(), load_graph(NAMES[seed])
    program = compile_network(graph, architecture)
    assert [layer.op for layer in program.layers][-1] != "Unary"
    assert check_program(graph, program, architecture, arrays) > 0


def test_fewer_cycles():
    s, y, z = sketch("conv", 3)
    alone, both = (s.network(*tensors) for tensors in ((z,), (z, y)))
    architecture = load_graph("edge16")
    cycles = [check_program(g, compile_network(g, architecture), architecture, s.arrays()) for g in (alone, both)]
    assert cycles[0] < cycles[1]


POOL = load_graph("pool")
#: Two vector units: one knows maxima, the other all else but maxima.
SPLIT = parse_graph(text_of("pool").replace("      - (i32,16)=MAXIMUM((i9,16))\n", "", 1))


def largest(seed: int, size: int, channels: int):
    """A pool and a table between two convolutions."""
    s = Sketch(seed, "largest")
    x = s.conv(s.input((1, 8, size, size)), channels)
    y = s.tensor((1, channels, size - 2, size - 2), x.dtype)
    s.node(MaxPool((3, 3), (1, 1), (1, 1), (0, 0, 0, 0), **s.clamp(y)), [x], y)
    return s, s.network(s.conv(s.unary(y), 8))


def test_a_pool_and_its_table_run_on_two_units_where_no_unit_has_both():
    s, graph = largest(0, 12, 24)
    (_, fused, _) = merge_tables(instantiate_codelets(graph), graph)
    assert [operation.name for operation in fused[-1].operations] == ["MAXIMUM", "TABLE"]
    assert [part.name for part in fused[-1].parts] == [node.name for node in graph.nodes[1:3]]
    assert [(step.vector.engine.name, step.codelet.name) for step in assign_engines((fused,), Target(SPLIT))] == [
        ("pooling", graph.nodes[1].name), ("vector", graph.nodes[2].name)]
    check_program(graph, compile_network(graph, SPLIT), SPLIT, s.arrays())


def test_what_no_unit_can_do_is_refused_by_all_of_the_chain():
    graph = largest(0, 8, 8)[1]
    none = parse_graph(re.sub(r".*(?:=TABLE|\blut\b).*\n", "", text_of("pool")))
    with pytest.raises(UnsupportedError, match=r"no engines of pool offer WINDOW_MAX \+ REQUANTIZE \+ TABLE or MAXIMUM \+ TABLE on memories they share: "):
        compile_network(graph, none)


def test_two_instructions_are_taken_where_the_second_unit_makes_them_sooner():
    """Nine cycles a word on one unit, or half of them on each and one for the table."""
    s, graph = largest(1, 24, 64)
    arrays = s.arrays()
    program = compile_network(graph, POOL)
    assert {"pooling", "vector"} <= {i.engine for i, (layer, _) in zip(program.instructions, program.provenance, strict=True) if layer == 1}
    assert check_program(graph, program, POOL, arrays) < 0.8 * check_program(graph, compile_network(graph, load_graph("edge16")), load_graph("edge16"), arrays)
