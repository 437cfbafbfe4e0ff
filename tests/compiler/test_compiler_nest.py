"""The builder of instructions: fields from the specification, refusals where a loop has no place."""

import pytest

from acg.graph import load_graph
from compiler.tiles import Buffer, Ref
from compiler.tiling.nest import Nest

GRAPH = load_graph("edge16")
LEVELS = {"oc": 0, "ky": 1, "kx": 2, "ic": 3, "oy": 4, "ox": 5}


def buffer(memory):
    return Buffer("t", GRAPH.memories[memory], 4096, 16)


def test_a_stream_has_base_strides_sign_and_open_bounds():
    act, acc = buffer("act"), buffer("acc")
    nest = Nest(GRAPH, GRAPH.engines["matrix"], LEVELS, {"oy": 7, "ox": 14, "ic": 1})
    nest.stream("a", act, 32, {"oy": 512, "ox": 16, "ic": 16}, signed=True, zero=-3).stream("c", acc, 64, {"oy": 896, "ox": 64})
    assert nest.fields == {
        "n_4": 7, "n_5": 14, "a_base": Ref(act, 32, 16), "a_stride_4": 32, "a_stride_5": 1, "a_signed": 1, "a_zero": -3, "y_bound": 1, "x_bound": 1,
        "c_base": Ref(acc, 64, 64), "c_stride_4": 14, "c_stride_5": 1,
    }
    assert (nest.reads, nest.writes) == ([act], [acc])


def test_what_selects_and_enables_a_stream_follows():
    acc, par, lut = buffer("acc"), buffer("par"), buffer("lut")
    nest = Nest(GRAPH, GRAPH.engines["vector"], {"c": 1}, {"c": 2}).stream("b", acc, 0, {"c": 64}, element_bytes=4).stream("p", par, 128, {"c": 128})
    nest.stream("table", lut)
    assert (nest.fields["b_enable"], nest.fields["b_select"], nest.fields["p_enable"], nest.fields["p_base"]) == (1, 2, 1, Ref(par, 128, 128))
    assert (nest.fields["table_enable"], nest.fields["table_select"]) == (1, Ref(lut, 0, 256))


def test_an_operation_is_all_controls_that_choose_it():
    nest = Nest(GRAPH, GRAPH.engines["vector"], {}, {}).operation("MAC", "MIN", "REQUANTIZE")
    assert nest.fields == {"int_op": 1, "reduce": 1, "binary": 3, "numeric": 1}


def test_a_window_moves_a_coordinate():
    nest = Nest(GRAPH, GRAPH.engines["matrix"], LEVELS, {"ky": 3, "oy": 1}).window("a", 0, -1, 9, {"ky": 2, "oy": 4})
    assert nest.fields == {"n_1": 3, "y_origin": -1, "y_bound": 9, "y_step_1": 2}


def test_a_loop_without_a_level_iterates_once():
    assert Nest(GRAPH, GRAPH.engines["matrix"], {}, {"oy": 1}).fields == {}
    with pytest.raises(AssertionError, match=r"^matrix: loop oy iterates 2 times and has no level$"):
        Nest(GRAPH, GRAPH.engines["matrix"], {}, {"oy": 2})
    with pytest.raises(KeyError):  # the sums have no stride there
        Nest(GRAPH, GRAPH.engines["matrix"], LEVELS, {"ic": 2}).stream("c", buffer("acc"), 0, {"ic": 64})
