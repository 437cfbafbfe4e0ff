"""Functions of two tensors in the chain of a contraction: the text before and after, what stays, equal bytes, and the choice by predicted cycles."""

from __future__ import annotations

from dataclasses import replace

import pytest

from acg.graph import load_graph, parse_graph
from acg.predictor import predict
from compiler.mapping.assign_engines import assign_engines
from compiler.mapping.instantiate_codelets import instantiate_codelets
from compiler.mapping.merge_additions import merge_additions
from compiler.mapping.merge_tables import merge_tables
from compiler.passes import compile_network
from compiler.target import Target
from tests.compiler.ir_reference import check_program
from tests.compiler.random_networks import Sketch
from tests.support.architectures import text_of


def rounding(name: str, *changes: tuple[str, str]):
    """A machine whose first vector unit offers FAKE_QUANTIZE, whether the file has it or not."""
    text = text_of(name)
    if "FAKE_QUANTIZE" not in text:
        lanes = load_graph(name).engines["vector"].number("lanes")
        text = text.replace(f"      - (i8,{lanes})=REQUANTIZE", f"      - (f32,{lanes})=FAKE_QUANTIZE((f32,{lanes}))\n      - (i8,{lanes})=REQUANTIZE", 1)
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return parse_graph(text)


TINY, EDGE = rounding("tiny"), rounding("edge16")


def merged(graph, machine, **given):
    return merge_additions(merge_tables(instantiate_codelets(graph), graph), graph, Target(machine), **given)


def block(seed: int, *, channels: int = 7, size: int = 5, images: int = 1, kernel: int = 3, table: bool = False, first: bool = False):
    """A residual block: x + conv(conv(x)), the sum of either order, perhaps with a table behind it."""
    s = Sketch(seed, "block")
    x = s.input((images, channels, size, size))
    pads = (kernel // 2,) * 4
    y = s.conv(s.conv(x, channels), channels, (kernel, kernel), pads=pads)
    z = s.add(y, x) if first else s.add(x, y)
    return s, s.network(s.unary(z) if table else z)


def test_before_and_after():
    _, graph = block(0)
    before = instantiate_codelets(graph)
    first, last = merged(graph, TINY)
    assert first[0].name == before[0][0].name and [len(codelets) for codelets in before] == [1, 1, 1]
    text = str(last[0]).splitlines()
    assert text[-4:] == ["  acc = MATMUL(x, w)", "  r = FAKE_QUANTIZE(acc)", "  sum = ADD(r, b)", "  y = REQUANTIZE(sum)"]
    conv, add = graph.nodes[1:]
    assert last[0].origin == (*conv.origin, *add.origin) and [part.name for part in last[0].parts] == [conv.name, add.name]
    assert last[0].operands["b"].tensor == add.inputs[0] and last[0].operands["y"].tensor == add.outputs[0]
    rounded, finish = last[0].rounded, last[0].finish
    assert (rounded.low, rounded.high) == (conv.attrs.y_low - add.attrs.b_zero, conv.attrs.y_high - add.attrs.b_zero)
    assert (rounded.scale, finish.scale_b, finish.divisor) == (add.attrs.b_scale, add.attrs.a_scale, add.attrs.y_scale)
    made = last[0].parts[0].finish
    assert (finish.bias is made.bias, finish.scale is made.scale, finish.zero) == (True, True, add.attrs.y_zero)


def test_the_contraction_computed_last_takes_the_other():
    s = Sketch(3, "both")
    x = s.input((1, 6, 4, 4))
    one, other = s.conv(x, 5), s.conv(x, 5, (3, 3), pads=(1, 1, 1, 1))
    graph = s.network(s.add(other, one))
    left, last = merged(graph, TINY)
    assert (left[0].name, last[0].parts[0].name) == (graph.nodes[0].name, graph.nodes[1].name)
    assert last[0].operands["b"].tensor == one.name
    check_program(graph, compile_network(graph, TINY), TINY, s.arrays())


@pytest.mark.parametrize("reason", ["an output", "read elsewhere", "the same tensor twice", "a table before it", "of a depthwise convolution", "other zero"])
def test_sums_that_stay(reason):
    s = Sketch(1, "g")
    x = s.input((1, 8, 4, 4))
    y = s.conv(x, 8, (3, 3), pads=(1, 1, 1, 1), group=8 if "depthwise" in reason else 1)
    if reason == "a table before it":
        outputs = [s.add(s.unary(y), x)]
    elif reason == "the same tensor twice":
        outputs = [s.add(y, y)]
    else:
        outputs = [s.add(y, x)] + ([y] if reason == "an output" else [s.conv(y, 2)] if reason == "read elsewhere" else [])
    graph = s.network(*outputs)
    if reason == "other zero":
        add = graph.nodes[1]
        graph = replace(graph, nodes=(graph.nodes[0], replace(add, attrs=replace(add.attrs, a_zero=add.attrs.a_zero + 1))))
    assert len(merged(graph, TINY)) == len(merge_tables(instantiate_codelets(graph), graph))


def test_nothing_is_merged_where_no_engine_rounds_in_the_middle():
    _, graph = block(0)
    choices = instantiate_codelets(graph)
    assert merge_additions(choices, graph, Target(load_graph("vec"))) is choices


@pytest.mark.parametrize("seed", range(5))
def test_bytes_are_equal(seed):
    """Whole tensors on chip, boxes of b that are loaded, batches, a table behind the sum."""
    machine = (TINY, EDGE, rounding("tiny", ("banks: 4, depth_words: 1024", "banks: 4, depth_words: 96")))[seed % 3]
    s, graph = block(seed, channels=(7, 40, 12)[seed % 3], size=(5, 6, 12)[seed % 3], images=1 + seed // 3, kernel=1 + 2 * (seed % 2), table=seed == 4,
                     first=seed > 2)
    program = compile_network(graph, machine)
    assert any(i.fields.get("quantize") for i in program.instructions), "nothing was merged"
    assert check_program(graph, program, machine, s.arrays()) > 0


def test_what_lies_outside_is_what_is_merged():
    """Of two sums the one whose tensor in between has no place on chip, where that is told."""
    s = Sketch(2, "two")
    x = s.input((1, 4, 6, 6))
    y = s.add(s.conv(x, 4), x)
    graph = s.network(s.add(s.conv(y, 4), y))
    conv = [node.outputs[0] for node in graph.nodes if node.op == "Conv"]
    assert [len(merged(graph, TINY, resident=resident)) for resident in ((), conv[:1], conv)] == [2, 3, 4]


@pytest.mark.parametrize("seed", range(2))
def test_a_sum_is_merged_only_where_that_is_sooner(seed):
    """The same machine without the operation takes no fewer cycles; it has other instructions, of other lengths, so that programs themselves may differ."""
    _, graph = block(seed, channels=16, size=8)
    without = parse_graph(text_of("edge16").replace("      - (f32,16)=FAKE_QUANTIZE((f32,16))\n", ""))
    cycles = [predict(machine, compile_network(graph, machine).instructions).total_cycles for machine in (EDGE, without)]
    assert cycles[0] < cycles[1]


def test_engines_that_have_not_both_take_one_after_the_other():
    """A vector unit that rounds and adds nothing beside one that adds: the sum goes its own way again."""
    text = text_of("pool").replace("      - (f32,16)=FAKE_QUANTIZE((f32,16))\n", "")
    offer = '["(i32,16)=MAXIMUM((i9,16))", "(f32,16)=FAKE_QUANTIZE((f32,16))"]'
    text = text.replace('["(i32,16)=MAXIMUM((i9,16))"]', offer).replace("links:\n", "links:\n  - {from: par, to: pooling, port: parameter}\n")
    machine = parse_graph(text)
    s, graph = block(0)
    (_, last) = merged(graph, machine)
    assert [step.codelet.name for step in assign_engines((last,), Target(machine))] == [part.name for part in last[0].parts]
    check_program(graph, compile_network(graph, machine), machine, s.arrays())
