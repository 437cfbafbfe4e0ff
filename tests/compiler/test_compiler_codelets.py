"""Codelets: what each operator is as loops, operands and operations, and which machine runs which."""

from dataclasses import replace

import numpy as np
import pytest

from acg.graph import ARCHITECTURES, load_graph, parse_graph
from compiler.codelets import candidates
from compiler.errors import CompilerError, UnsupportedError
from compiler.ir.network import Reshape, Tensor
from compiler.mapping.assign_engines import assign_engines
from compiler.mapping.insert_transfers import same_bytes
from compiler.mapping.instantiate_codelets import instantiate_codelets
from compiler.target import Target
from compiler.tiling.chain import regions
from tests.compiler.random_networks import Sketch


def texts(graph):
    return ["\n".join(map(str, candidates(node, graph))) for node in graph.nodes]


def test_convolution():
    s = Sketch(1)
    x = s.input((2, 3, 9, 8), "u8")
    s.conv(x, 5, (3, 2), strides=(2, 1), dilations=(1, 3), pads=(1, 2, 0, 1))
    assert texts(s.network(x)) == ["""\
codelet conv0: Conv
  for n in 2
  for oc in 5
  reduce ky in 3
  reduce kx in 2
  reduce ic in 3
  for oy in 4
  for ox in 8
  x: u8 t0[n, ic, 2*oy + ky - 1, ox + 3*kx - 2]
  w: i8 constant[oc, ic, ky, kx]
  y: i8 t1[n, oc, oy, ox]
  acc = MATMUL(x, w)
  y = REQUANTIZE(acc)""".replace("w: i8", f"w: {'i8' if s.nodes[0].attrs.weight.dtype == np.int8 else 'u8'}").replace(
        "y: i8", f"y: {s.tensors['t1'].dtype}")]


def test_pointwise_convolution_of_a_column_counts_images_as_positions():
    s = Sketch(2)
    s.conv(s.input((7, 12, 1, 1), "i8"), 4)
    (codelet,) = candidates(s.nodes[0], s.network(s.tensors["t1"]))
    assert [(loop.name, loop.extent) for loop in codelet.loops] == [
        ("n", 1), ("oc", 4), ("ky", 1), ("kx", 1), ("ic", 12), ("oy", 1), ("ox", 7),
    ]


def test_depthwise_convolution_prefers_windows_then_lanes_and_falls_back_to_a_contraction():
    s = Sketch(3)
    x = s.input((1, 6, 5, 5), "i8")
    s.conv(x, 6, (3, 3), pads=(1, 1, 1, 1), group=6)
    window, first, second = candidates(s.nodes[0], s.network(x))
    assert [(o.name, o.result) for o in window.operations] == [("WINDOW_MAC", "acc"), ("REQUANTIZE", "y")] and window.family == "sliding"
    assert [(o.name, o.result) for o in first.operations] == [("MAC", "acc"), ("REQUANTIZE", "y")]
    assert [(o.name, o.result) for o in second.operations] == [("MATMUL", "acc"), ("REQUANTIZE", "y")]
    assert (first.family, second.family, second.group, first.macs) == ("depthwise", "contraction", 6, 6 * 25 * 9)


def test_raw_sums_end_behind_the_contraction():
    s = Sketch(4)
    s.conv(s.input((1, 6, 5, 5)), 6, group=6, raw=True)
    (codelet,) = candidates(s.nodes[0], s.network(s.tensors["t1"]))
    assert [o.name for o in codelet.operations] == ["MATMUL"]


def test_a_bias_on_int32_sums_is_refused():
    s = Sketch(4)
    y = s.conv(s.input((1, 6, 5, 5)), 6, raw=True)
    s.nodes[0] = replace(s.nodes[0], attrs=replace(s.nodes[0].attrs, bias=np.ones(6, np.int32)))
    with pytest.raises(CompilerError) as error:
        candidates(s.nodes[0], s.network(y))
    assert str(error.value) == (
        "node conv0: found a bias on an int32 result; expected none: sums leave the accumulators as they are; "
        "add the bias behind the network, or requantise the result"
    )


def test_elementwise_and_pools():
    s = Sketch(5)
    a = s.input((2, 3, 4, 5), "i8")
    s.unary(s.add(a, a))
    graph = s.network(a)
    add, table = (candidates(node, graph)[0] for node in graph.nodes)
    assert str(add).splitlines()[1:5] == ["  for n in 1", "  for c in 3", "  for oy in 8", "  for ox in 5"]
    assert [o.name for o in (*add.operations, *table.operations)] == ["ADD", "REQUANTIZE", "TABLE"]


def test_average_is_cut_where_its_divisor_changes():
    from compiler.ir.pools import AveragePool

    s = Sketch(6)
    x = s.input((1, 3, 5, 5), "u8")
    y = s.tensor((1, 3, 5, 5), "u8")
    s.node(AveragePool((3, 3), x.scale, x.zero_point, y.scale, y.zero_point, (1, 1), (1, 1), (1, 1, 1, 1)), [x], y)
    finish = candidates(s.nodes[0], s.network(y))[0].finish
    found = regions(finish, (0, 5, 0, 5))
    assert [r.box for r in found] == [
        (0, 1, 0, 1), (0, 1, 1, 4), (0, 1, 4, 5), (1, 4, 0, 1), (1, 4, 1, 4), (1, 4, 4, 5), (4, 5, 0, 1), (4, 5, 1, 4), (4, 5, 4, 5),
    ]
    assert len({r.scale_a for r in found}) == 3
    assert [r.box for r in regions(finish, (1, 3, 1, 4))] == [(1, 3, 1, 4)]


@pytest.mark.parametrize("before,after,same", [
    ((1, 8, 1, 1), (1, 8, 1, 1), True), ((2, 8, 3, 4), (2, 8, 4, 3), True), ((1, 1, 3, 4), (3, 1, 1, 4), True),
    ((1, 8, 2, 1), (1, 16, 1, 1), False), ((2, 8, 1, 1), (1, 8, 2, 1), False), ((1, 2, 2, 2), (1, 4, 2, 1), False),
])
def test_reshapes_that_move_nothing(before, after, same):
    assert same_bytes(Tensor("a", before, "i8"), Tensor("b", after, "i8")) is same
    assert isinstance(Reshape(), Reshape)


@pytest.mark.parametrize("name", ["tiny", "edge16", "dot16", "wide"])
def test_engines_are_found_by_capability(name):
    graph = load_graph(name)
    s = Sketch(7)
    x = s.input((1, 4, 6, 6), "i8")
    s.add(s.conv(x, 4, (3, 3), pads=(1, 1, 1, 1), group=4), x)
    step, add = assign_engines(instantiate_codelets(s.network(s.tensors["t2"])), Target(graph))
    assert step.matrix_or_none is None and step.vector.engine.kind == add.vector.engine.kind == "vector"
    assert step.source.name == step.sink.name == graph.link_of(next(graph.engines_of("matrix")).name, "activation").memory


def test_without_mac_a_depthwise_convolution_runs_on_the_matrix_unit():
    text = "\n".join(line for line in (ARCHITECTURES / "tiny.yaml").read_text().splitlines() if "MAC(" not in line)
    s = Sketch(8)
    x = s.input((1, 4, 6, 6), "i8")
    y = s.conv(x, 4, (3, 3), group=4)
    (step,) = assign_engines(instantiate_codelets(s.network(y)), Target(parse_graph(text)))
    assert step.codelet.family == "contraction" and step.matrix.rows == 4


def test_all_nodes_that_nothing_can_run_are_listed_at_once():
    missing = ("ADD(", "TABLE(")
    text = "\n".join(line for line in (ARCHITECTURES / "tiny.yaml").read_text().splitlines() if not any(m in line for m in missing))
    s = Sketch(9)
    x = s.input((1, 4, 6, 6), "i8")
    y = s.unary(s.add(x, s.conv(x, 4)))
    with pytest.raises(UnsupportedError) as error:
        assign_engines(instantiate_codelets(s.network(y)), Target(parse_graph(text)))
    assert str(error.value) == (
        "model tiny: found 2 unsupported nodes; expected supported operators only; change or remove:\n"
        "  onnx_add1 (Add): no engines of tiny offer ADD + REQUANTIZE on memories they share: vector lacks ADD\n"
        "  onnx_unary2 (Unary): no engines of tiny offer TABLE on memories they share: vector lacks TABLE"
    )
