"""Functional coverage: what is counted, derived from the formats; what no run reached stays visible."""

from dataclasses import replace

from acg.graph import load_graph
from acg.isa import Instruction, instruction_set
from acg.predictor import predict
from verif.coverage import GROUPS, collect, merge, possible
from verif.random.programs import random_program

GRAPH = load_graph("tiny")


def _reached(bins, prefix):
    return {name.removeprefix(prefix): count for name, count in bins.items() if name.startswith(prefix) and count}


def test_every_field_of_every_format_has_bins():
    bins = possible(GRAPH)
    assert set(bins.values()) == {0}
    assert {name.split("/")[0] for name in bins} == set(GROUPS)
    for engine, layout in instruction_set(GRAPH).formats.items():
        kind = GRAPH.engines[engine].kind
        for item in layout.fields:
            assert any(name.startswith(f"field/{kind}/{item.name}=") for name in bins), item.name


def test_one_instruction_reaches_one_bin_a_field():
    instruction = Instruction("load", {"select": 1, "n_0": 65536, "n_3": 40, "ext_stride_0": -3, "local_stride_1": 7}, {})
    bins = collect(GRAPH, [instruction])
    fields = _reached(bins, "field/load/")
    assert len(fields) == len(instruction_set(GRAPH).formats["load"].fields) and set(fields.values()) == {1}
    assert {"select=1", "n_0=high", "n_1=low", "n_3=middle", "ext_stride_0=negative", "local_stride_1=positive", "ext_stride_1=zero"} <= set(fields)
    assert _reached(bins, "loops/") == {"load/1001": 1}
    assert _reached(bins, "instruction/") == {"load": 1}
    assert _reached(bins, "wait/") == _reached(bins, "stall/") == {}


def test_waits_and_their_distance():
    plain = Instruction("load", {}, {})
    stream = [plain] * 9 + [Instruction("store", {}, {"load": 9}), Instruction("store", {}, {"load": 8, "store": 1}), Instruction("load", {}, {"load": 0})]
    assert _reached(collect(GRAPH, stream), "wait/") == {"store/load": 2, "store/own": 1, "load/own": 1, "distance/0": 2, "distance/1": 1, "distance/8+": 1}


def test_a_wrapped_count_is_seen():
    stream = [Instruction("load", {}, {})] * 65537 + [Instruction("store", {}, {"load": 1})]
    assert _reached(collect(GRAPH, stream), "wait/") == {"store/load": 1, "distance/0": 1, "wrap": 1}


def test_stalls_come_from_the_timeline():
    program = random_program(GRAPH, 3)
    line = predict(GRAPH, program.instructions)
    bins = collect(GRAPH, program.instructions, line)
    count = len(program.instructions)
    assert bins["stall/none"] + bins["stall/start"] == count == sum(_reached(bins, "stall/overlap/").values())
    slow = [sum(int(line.start[other] < line.start[item] <= line.retire[other]) for other in range(count) if line.engine[other] != line.engine[item])
            for item in range(count)]
    assert bins["stall/overlap/0"] == slow.count(0) and bins["stall/overlap/1"] == slow.count(1)


def test_merged_runs_add_up_and_keep_what_none_reached():
    programs = [random_program(GRAPH, seed).instructions for seed in range(3)]
    total = merge(collect(GRAPH, program) for program in programs)
    assert set(total) == set(possible(GRAPH))
    assert sum(_reached(total, "instruction/").values()) == sum(map(len, programs))
    assert total["wait/wrap"] == 0


def test_a_new_field_has_its_bins_at_once(monkeypatch):
    isa = instruction_set(GRAPH)
    layout = isa.formats["load"]
    wider = replace(layout, fields=(*layout.fields, replace(layout.fields[0], name="novel")))
    monkeypatch.setitem(isa.formats, "load", wider)
    assert {"field/load/novel=0", "field/load/novel=1"} <= set(possible(GRAPH))
