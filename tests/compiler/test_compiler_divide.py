"""Layers divided between all engines able to do them: every engine works, equal bytes, no hazard, fewer cycles; copies of what several read at once."""

from __future__ import annotations

import re

import pytest

from acg.graph import load_graph, parse_graph
from acg.predictor import predict
from compiler.ir.pools import MaxPool
from compiler.mapping.assign_engines import assign_engines
from compiler.mapping.copies import boxed, span
from compiler.mapping.divide import Divider, Share, reach
from compiler.mapping.insert_transfers import insert_transfers
from compiler.mapping.instantiate_codelets import instantiate_codelets
from compiler.mapping.price import Occupancy
from compiler.passes import compile_network
from compiler.read_network import read_network
from compiler.target import Target
from covenant.bench.workload_transformer import encoder_block
from tests.compiler.ir_reference import check_program
from tests.compiler.random_networks import Sketch
from tests.support.architectures import text_of
from verif.hazards import find_hazards

DUO, EDGE16 = load_graph("duo"), load_graph("edge16")
COMPUTING = ("matrix0", "matrix1", "vector0", "vector1")


def without(text: str, *names: str) -> str:
    """A description without some engines, their links, and the memories that only they read."""
    for name in names:
        text = re.sub(rf"^  {name}:\n(?:    .*\n)+", "", text, flags=re.M)
        text = re.sub(rf"^  - {{(?:from: {name},|from: \w+, to: {name},) .*\n", "", text, flags=re.M)
        assert name not in text
    return text


def pool(s: Sketch, x, kernel=(3, 3)):
    n, c, h, w = x.shape
    y = s.tensor((n, c, h - kernel[0] + 1, w - kernel[1] + 1), x.dtype)
    return s.node(MaxPool(kernel, (1, 1), (1, 1), (0, 0, 0, 0), **s.clamp(y)), [x], y)


def residual(s: Sketch, x, channels: int, stride: int):
    y = s.conv(s.conv(x, channels, (3, 3), strides=(stride, stride), pads=(1, 1, 1, 1)), channels, (3, 3), pads=(1, 1, 1, 1))
    return s.add(y, s.conv(x, channels, strides=(stride, stride)) if stride > 1 else x)


def resnet8(seed: int):
    """The shape of MLPerf Tiny's ResNet-8."""
    s = Sketch(seed, "resnet8")
    x = s.conv(s.input((1, 3, 32, 32), "i8"), 16, (3, 3), pads=(1, 1, 1, 1))
    for channels, stride in ((16, 1), (32, 2), (64, 2)):
        x = residual(s, x, channels, stride)
    return s, s.network(s.conv(x, 10, (8, 8)))


def layers(kind: str, seed: int):
    """One layer of a kind between two others."""
    s = Sketch(seed, kind)
    if kind == "columns":
        x = s.conv(s.input((1, 8, 1, 96), "i8"), 32, (1, 5), pads=(0, 2, 0, 2))
        return s, s.network(s.conv(s.conv(x, 48, (1, 3), pads=(0, 1, 0, 1)), 16))
    if kind == "images":
        x = s.conv(s.input((3, 8, 8, 8), "i8"), 32, (3, 3), pads=(1, 1, 1, 1))
        return s, s.network(s.conv(s.conv(x, 32, (3, 3)), 16, (6, 6)))
    if kind == "channels":
        x = s.conv(s.input((1, 32, 3, 3), "i8"), 64, (3, 3), pads=(1, 1, 1, 1))
        return s, s.network(s.conv(s.conv(x, 96, (3, 3), pads=(1, 1, 1, 1)), 64, (3, 3)))
    x = s.conv(s.input((1, 16, 20, 20), "i8"), 32)
    if kind == "rows":
        y = s.conv(x, 48, (3, 3), pads=(1, 1, 1, 1))
    elif kind == "stride":
        y = s.conv(x, 48, (5, 5), strides=(2, 2), pads=(2, 2, 2, 2))
    elif kind == "depthwise":
        y = s.conv(x, 32, (3, 3), pads=(1, 1, 1, 1), group=32)
    elif kind == "pool":
        y = pool(s, x)
    elif kind == "add":
        y = s.add(x, s.conv(x, 32))
    else:
        y = s.unary(s.conv(x, 32, (3, 3)))
    return s, s.network(s.conv(y, 24))


@pytest.mark.parametrize("kind", ["rows", "stride", "depthwise", "pool", "add", "table", "columns", "images", "channels"])
def test_every_engine_works_and_the_bytes_are_the_same(kind):
    for seed in range(2):
        s, graph = layers(kind, seed)
        program = compile_network(graph, DUO)
        check_program(graph, program, DUO, s.arrays())
        engines = {instruction.engine for instruction, (layer, _) in zip(program.instructions, program.provenance, strict=True) if layer == 1}
        assert engines >= (set(COMPUTING[2:]) if kind in ("pool", "add") else set(COMPUTING)), f"{kind} {seed}"


def test_a_residual_network_is_at_least_17_tenths_as_fast_as_with_one_engine_of_each_kind():
    text = text_of("duo")
    one = parse_graph(without(text, "matrix1", "vector1").replace("  lut1: {kind: table, element: i8, entries: 256, banks: 2}\n", "")
                      .replace("  - {from: load, to: lut1, port: destination}\n", ""))  # fmt: skip
    assert [name for name in one.engines if one.engines[name].kind in ("matrix", "vector")] == ["matrix0", "vector0"]
    s, graph = resnet8(3)
    arrays = s.arrays()
    program = compile_network(graph, DUO)
    both, alone = check_program(graph, program, DUO, arrays), check_program(graph, compile_network(graph, one), one, arrays)
    assert alone >= 1.7 * both
    work = dict.fromkeys(COMPUTING, 0)
    for instruction in program.instructions:
        if instruction.engine in work:
            work[instruction.engine] += 1
    assert min(work.values()) > 0.3 * max(work.values())


def test_what_both_read_stands_twice_and_no_more():
    """32 rows, 3x3 windows: rows 0 to 16 for one, 15 to 31 for the other; 1x1 windows need no row twice."""
    _s, graph = resnet8(1)
    target = Target(DUO)
    plan = insert_transfers(graph, assign_engines(instantiate_codelets(graph), target), target)
    first = plan.steps[0].codelet.operands["y"].tensor
    assert plan.copies[first] == ((0, 17 * 32), (15 * 32, 32 * 32))
    assert plan.resident_bytes(first) == 34 * 32 * 16
    last = plan.steps[-1].codelet.operands["x"].tensor  # read whole, by one engine
    assert last not in plan.copies


def test_layers_beside_each_other_run_on_different_engines():
    """Two short branches from one tensor, none of which is worth dividing."""
    s = Sketch(4, "branches")
    x = s.input((1, 16, 1, 8), "i8")
    graph = s.network(s.conv(s.conv(x, 16), 16), s.conv(s.conv(x, 16), 16))
    target = Target(DUO)
    plan = insert_transfers(graph, assign_engines(instantiate_codelets(graph), target), target)
    assert all(not shares for shares, _ in plan.shares)
    assert {member for _, member in plan.shares} == {0, 1}
    check_program(graph, compile_network(graph, DUO), DUO, s.arrays())


@pytest.mark.parametrize("arch", ["tiny", "edge16", "wide"])
def test_one_engine_of_each_kind_divides_nothing(arch):
    _s, graph = layers("rows", 0)
    target = Target(load_graph(arch))
    plan = insert_transfers(graph, assign_engines(instantiate_codelets(graph), target), target)
    assert all(step.team == () for step in plan.steps)
    assert plan.shares == (((), 0),) * len(plan.steps)
    assert plan.copies == {}


def test_row_programs_and_products_are_divided():
    """An encoder block: heads of attention and strips of Softmax and LayerNormalization on both pairs; what feeds them lies across two banks."""
    graph = read_network(encoder_block(tokens=64, width=64, heads=2, hidden=64), name="encoder")
    program = compile_network(graph, DUO)
    divided = {program.layers[layer].op for instruction, (layer, _) in zip(program.instructions, program.provenance, strict=True) if instruction.engine == "vector1"}
    assert divided >= {"MatMul", "Softmax", "LayerNormalization", "Conv", "Add"}
    timeline = predict(DUO, program.instructions)
    assert find_hazards(DUO, program.instructions, timeline) == []
    assert timeline.total_cycles < 0.85 * predict(EDGE16, compile_network(graph, EDGE16).instructions).total_cycles


def test_shares_are_in_proportion_to_the_price():
    """Four times as many columns: a quarter of the passes; and an engine that is busy until later gets less."""
    text = text_of("duo").replace("    columns: 16\n", "    columns: 4\n", 1).replace("(i32,16)=MATMUL((i9,16),(i9,16,16))", "(i32,4)=MATMUL((i9,16),(i9,16,4))", 1)
    graph = parse_graph(text)
    assert [graph.engines[name].number("columns") for name in ("matrix0", "matrix1")] == [4, 16]
    _s, network = layers("rows", 0)
    target = Target(graph)
    step = next(a for a in assign_engines(instantiate_codelets(network), target) if a.codelet.operands["y"].shape[1] == 48)
    divider = Divider(target)
    shares, _ = divider.divide(step)
    assert [share.box[2:4] for share in shares] == [(0, 4), (4, 20)]
    divider.free["matrix1"] = divider.free["matrix0"] + 4000
    shares, _ = divider.divide(step)
    assert shares[0].box[3] == 5


def test_what_a_share_reads():
    _s, graph = layers("stride", 0)
    step = next(a for a in assign_engines(instantiate_codelets(graph), Target(DUO)) if a.codelet.operands["y"].shape[1] == 48)
    assert reach(step, Share(0, (0, 1, 0, 5, 0, 10), (0, 48), 2), "x") == (0, 1, 0, 11, 0, 20)
    assert reach(step, Share(1, (0, 1, 5, 10, 0, 10), (0, 48), 2), "x") == (0, 1, 8, 20, 0, 20)


def test_pixels_and_boxes():
    assert span((1, 8, 5, 7), (0, 1, 2, 4, 0, 7)) == (14, 28)
    assert boxed((1, 8, 5, 7), (14, 28)) == (0, 1, 2, 4, 0, 7)
    assert boxed((1, 8, 1, 35), (14, 28)) == (0, 1, 0, 1, 14, 28)
    assert boxed((3, 8, 5, 7), (35, 105)) == (1, 3, 0, 5, 0, 7)
    assert boxed((3, 8, 5, 7), (35, 42)) is None


def test_occupancy_is_that_of_the_predictor():
    occupancy = Occupancy(DUO)
    assert occupancy.cycles("matrix0", 1, 1, 1, 4, 8, 8) == 4 * 64
    assert occupancy.cycles("matrix0", 1, 1, 1, 4, 1, 2) == 4 * 16
    assert occupancy.cycles("vector0", 1, 2, 3, 4, 1, 1) == 24
