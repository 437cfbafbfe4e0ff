"""Kinds of engines: what follows from their specifications, held to layouts written down once and to rules of the vocabulary itself.

A wrong level in a specification would be wrong everywhere alike, so the layouts stand here literally.
"""

import re
from dataclasses import replace

import pytest

from acg.errors import ArchitectureError
from acg.footprint import Footprints
from acg.graph import load_graph, parse_graph
from acg.isa import Instruction, instruction_set
from acg.kinds import KINDS, kind_of
from acg.kinds.sound import faults
from acg.kinds.spec import BUS, CHUNK, Control, Counts, Stream
from acg.operations import OPERATIONS, signature
from tests.support.architectures import with_window

TINY, DSP = load_graph("tiny"), load_graph("dsp_tiny")
WITH_WINDOW = parse_graph(with_window(TINY.description))

#: Fields of tiny's instructions in the order of their bits: name, s for signed, width, -1 for counts encoded minus one, ~ for a base that wraps.
LAYOUTS = {
    "load": """
        select:2 n_0:16-1 n_1:16-1 n_2:16-1 n_3:24-1 ext_address:32 ext_stride_0:s25 ext_stride_1:s25 ext_stride_2:s25 local_address:14
        local_stride_0:s15 local_stride_1:s15 local_stride_2:s15
    """,
    "matrix": """
        n_0:16-1 n_1:16-1 n_2:16-1 n_3:16-1 n_4:16-1 n_5:16-1 a_base:12~ a_stride_0:s13 a_stride_1:s13 a_stride_2:s13 a_stride_3:s13 a_stride_4:s13
        a_stride_5:s13 a_signed:1 a_zero:s9 y_origin:s17 y_step_1:12 y_step_4:12 y_bound:16 x_origin:s17 x_step_2:12 x_step_5:12 x_bound:16 w_base:11~
        w_signed:1 w_zero:s9 c_base:8~ c_stride_0:s9 c_stride_4:s9 c_stride_5:s9 accumulate:1
    """,
    "vector": """
        n_0:16-1 n_1:16-1 n_2:16-1 n_3:16-1 n_4:16-1 n_5:16-1 a_select:1 a_base:12~ a_stride_0:s13 a_stride_1:s13 a_stride_2:s13 a_stride_3:s13
        a_stride_4:s13 a_stride_5:s13 a_signed:1 a_zero:s9 y_origin:s17 y_step_2:12 y_step_4:12 y_bound:16 x_origin:s17 x_step_3:12 x_step_5:12
        x_bound:16 b_enable:1 b_select:2 b_base:12~ b_stride_0:s13 b_stride_1:s13 b_stride_2:s13 b_stride_3:s13 b_stride_4:s13 b_stride_5:s13
        b_signed:1 b_zero:s9 p_enable:1 p_base:6~ p_stride_0:s7 p_stride_1:s7 int_op:1 reduce:2 numeric:1 a_float:1 b_float:1 binary:3 estimate:2
        scale_a:32 quantize:1 q_low:s9 q_high:s9 q_scale:32 scale_b:32 scale_y:32 scale_y_low:28 y_zero:s9 y_low:s9 y_high:s9 table_enable:1 table_select:1 y_select:1 y_base:12~
        y_stride_0:s13 y_stride_1:s13 y_stride_2:s13 y_stride_3:s13 y_stride_4:s13 y_stride_5:s13
    """,
    "window": """
        n_0:16-1 n_1:16-1 n_2:16-1 n_3:16-1 n_4:16-1 n_5:8-1 n_6:8-1 a_base:12~ a_stride_0:s13 a_stride_1:s13 a_stride_2:s13 a_signed:1 a_zero:s9 multiply:1
        w_base:11~ w_signed:1 w_zero:s9 y_lead:8 x_lead:8 y_step:4-1 x_step:4-1 c_base:8~ c_stride_0:s9 c_stride_3:s9 c_stride_4:s9 maximum:1 accumulate:1
    """,
    "core": """
        prologue_packets:9 prologue_count:16-1 head_packets:9 body_packets:9-1 body_count:16-1 tiles:16-1 drain_packets:16 iterations:32 code_base:8~
        a_signed:1 a_zero:s9 w_signed:1 w_zero:s9 q0_scale_a:32 q0_scale_b:32 q0_scale_y:32 q0_scale_y_low:28 q0_zero:s9 q0_low:s9 q0_high:s9
        q0_table_enable:1 q0_table_select:1 q1_scale_a:32 q1_scale_b:32 q1_scale_y:32 q1_scale_y_low:28 q1_zero:s9 q1_low:s9 q1_high:s9
        q1_table_enable:1 q1_table_select:1 in0_enable:1 in0_select:1 in0_bounded:1 in0_granules:3-1 in0_base:12~ in0_n_0:16-1 in0_n_1:16-1
        in0_n_2:16-1 in0_n_3:16-1 in0_n_4:16-1 in0_n_5:16-1 in0_stride_0:s13 in0_stride_1:s13 in0_stride_2:s13 in0_stride_3:s13 in0_stride_4:s13
        in0_stride_5:s13 in0_y_origin:s17 in0_y_step_0:12 in0_y_step_1:12 in0_y_step_2:12 in0_y_step_3:12 in0_y_step_4:12 in0_y_step_5:12
        in0_y_bound:16 in0_x_origin:s17 in0_x_step_0:12 in0_x_step_1:12 in0_x_step_2:12 in0_x_step_3:12 in0_x_step_4:12 in0_x_step_5:12
        in0_x_step_word:12 in0_x_bound:16 in1_enable:1 in1_select:1 in1_granules:3-1 in1_base:12~ in1_n_0:16-1 in1_n_1:16-1 in1_n_2:16-1 in1_n_3:16-1
        in1_n_4:16-1 in1_n_5:16-1 in1_stride_0:s13 in1_stride_1:s13 in1_stride_2:s13 in1_stride_3:s13 in1_stride_4:s13 in1_stride_5:s13 in2_enable:1
        in2_select:1 in2_granules:3-1 in2_base:12~ in2_n_0:16-1 in2_n_1:16-1 in2_n_2:16-1 in2_n_3:16-1 in2_n_4:16-1 in2_n_5:16-1 in2_stride_0:s13
        in2_stride_1:s13 in2_stride_2:s13 in2_stride_3:s13 in2_stride_4:s13 in2_stride_5:s13 out0_enable:1 out0_select:1 out0_bounded:1
        out0_granules:3-1 out0_base:12~ out0_n_0:16-1 out0_n_1:16-1 out0_n_2:16-1 out0_n_3:16-1 out0_n_4:16-1 out0_n_5:16-1 out0_stride_0:s13
        out0_stride_1:s13 out0_stride_2:s13 out0_stride_3:s13 out0_stride_4:s13 out0_stride_5:s13 out0_y_origin:s17 out0_y_step_0:12 out0_y_step_1:12
        out0_y_step_2:12 out0_y_step_3:12 out0_y_step_4:12 out0_y_step_5:12 out0_y_bound:16 out0_x_origin:s17 out0_x_step_0:12 out0_x_step_1:12
        out0_x_step_2:12 out0_x_step_3:12 out0_x_step_4:12 out0_x_step_5:12 out0_x_step_word:12 out0_x_bound:16
    """,
    "store": """
        select:1 n_0:16-1 n_1:16-1 n_2:16-1 n_3:24-1 ext_address:32 ext_stride_0:s25 ext_stride_1:s25 ext_stride_2:s25 local_address:14
        local_stride_0:s15 local_stride_1:s15 local_stride_2:s15
    """,
}


@pytest.mark.parametrize("engine", LAYOUTS)
def test_layouts_are_those_written_down(engine):
    graph = next(graph for graph in (TINY, WITH_WINDOW, DSP) if engine in graph.engines)
    fields = instruction_set(graph).formats[engine].fields
    shown = [f"{f.name}:{'s' if f.signed else ''}{f.width}{'-1' if f.bias else ''}{'~' if f.wraps else ''}" for f in fields]
    assert shown == LAYOUTS[engine].split()
    assert [f.lsb for f in fields[1:]] == [f.lsb + f.width for f in fields[:-1]]


def test_every_kind_has_a_layout_here():
    engines = WITH_WINDOW.engines | DSP.engines
    assert {engine.kind for engine in engines.values()} == set(KINDS) and set(engines) == set(LAYOUTS)


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_a_specification_names_only_what_it_has(kind):
    assert list(faults(kind, OPERATIONS)) == []
    ports, sizes = {port.name for port in kind.ports}, {size.name for size in (*kind.sizes, *kind.derived)}
    controls = {item.name for item in kind.body if isinstance(item, Control)}
    levels = sum(len(item.widths) for item in kind.body if isinstance(item, Counts))
    shared = {port.name for port in kind.ports if port.shared}
    streamed = [port for stream in kind.streams for port in stream.ports]
    assert sorted(name for name in streamed if name not in shared) == sorted(ports - shared), "each port is reached by one stream"
    assert shared <= set(streamed), "or by several that share it"
    for stream in kind.streams:
        assert {stream.select, stream.enabled_by, stream.folded[0], stream.elements_by, stream.bounded_by, stream.moves, *stream.sum_of} - {""} <= controls
        used = {*stream.levels, *stream.folded[1], *stream.run[0], *(level for axis in stream.axes for level in axis.levels), stream.row} - {-1}
        assert stream.own_counts or used <= set(range(levels))
        assert set(stream.folded[1]) | {level for axis in stream.axes for level in axis.levels} <= set(stream.levels)
    for item in kind.body:
        if isinstance(item, Control):
            assert {item.links_of, item.wide, item.words_of, item.part_of} - {""} <= ports
            assert {operation for operation, _ in item.codes} <= set(kind.operations)
            assert all(0 < code < 1 << item.bits for _, code in item.codes)
        if not isinstance(item, Counts):
            assert item.numbered[0] in sizes | {""}
    assert {port.lanes[1] for port in kind.ports} <= sizes | {"", BUS, CHUNK}
    assert {port.spans for port in kind.ports} <= sizes | {""}
    for offer in kind.offers:
        formula = OPERATIONS[offer.operation]
        assert {size for _, size in offer.dimensions if not size.isdigit()} <= sizes
        assert not offer.dimensions or {name for name, _ in offer.dimensions} == {*formula.parallel, *formula.reduced}
        assert len(offer.operands) == len(formula.operands), "a stream for each operand"
        assert all(kind.port(kind.stream(prefix).ports[0]).reads for prefix in offer.operands)
        assert not kind.port(kind.stream(offer.result).ports[-1]).reads


def test_a_stream_that_may_count_elements_has_bits_for_them():
    """One control in front of the stream, and base and strides wider by the bits of a place in a word; nothing else moves."""
    graph = parse_graph(TINY.description.replace("      - (i32,4)=SUM", "      - (i32,4)=BROADCAST_MAC((i9),(i9,4))\n      - (i32,4)=SUM"))
    shown = [f"{f.name}:{'s' if f.signed else ''}{f.width}{'-1' if f.bias else ''}{'~' if f.wraps else ''}"
             for f in instruction_set(graph).formats["vector"].fields]
    wider = re.sub(r"a_stride_(\d):s13", r"a_stride_\1:s15", LAYOUTS["vector"].replace("a_select:1 a_base:12~", "broadcast:1 a_select:1 a_base:14~"))
    assert shown == wider.split()


def test_an_unknown_kind_is_an_error_and_never_another_one():
    with pytest.raises(KeyError):
        kind_of("systolic")
    with pytest.raises(ArchitectureError) as error:
        parse_graph(TINY.description.replace("kind: matrix", "kind: tensor"))
    assert re.search(r"engines\.matrix: found .*; input tag 'tensor' found using 'kind' does not match any of the expected tags: "
                     r"'load', 'store', 'matrix', 'vector', 'window', 'core'$", error.value.problems[0])


def test_dimensions_say_what_is_reduced():
    assert (OPERATIONS["MATMUL"].parallel, OPERATIONS["MATMUL"].reduced) == (("c",), ("r",))
    assert (OPERATIONS["MAC"].parallel, OPERATIONS["MAC"].reduced) == (("l",), ())
    assert {str(capability) for engine in TINY.engines.values() for capability in engine.capabilities if engine.kind in ("matrix", "vector")} == {
        str(signature(offer.operation, {name: engine.number(size) for name, size in offer.dimensions}))
        for engine in TINY.engines.values() if engine.kind in ("matrix", "vector") for offer in engine.specification.offers
        if offer.operation != "BROADCAST_MAC"}
    assert (OPERATIONS["BROADCAST_MAC"].parallel, OPERATIONS["BROADCAST_MAC"].reduced) == (("l",), ())
    assert str(signature("BROADCAST_MAC", {"l": 4})) == "(i32,4)=BROADCAST_MAC((i9),(i9,4))"


def test_a_level_taken_out_of_a_specification_is_seen(monkeypatch):
    """The comparison with the literal layouts, and the footprints, can fail."""
    kind = KINDS["vector"]
    body = tuple(replace(item, levels=(0, 1, 2, 3, 4)) if isinstance(item, Stream) and item.prefix == "b" else item for item in kind.body)
    fields = {"b_enable": 1, "n_5": 3, "b_stride_5": 1}
    whole = Footprints(TINY)(Instruction("vector", fields))
    monkeypatch.setitem(KINDS, "vector", replace(kind, body=body))
    graph = parse_graph(TINY.description + "# not the text of a graph that is kept\n")
    assert "b_stride_5" not in instruction_set(graph).formats["vector"].by_name
    assert Footprints(graph)(Instruction("vector", fields)) != whole
