"""Codes: every field of every instruction is one, a flag or a number; which values exist follows from the graph."""

import re

import pytest

from acg.graph import ARCHITECTURES, architecture_names, load_graph, parse_graph
from acg.isa import Instruction, instruction_set
from acg.manual.describe import describe
from acg.rules import absent, codes

#: Fields every value of which means something by itself: numbers, float32 patterns and flags of one bit.
NUMBERS = re.compile(r"n_\d|[a-z]+_(base|address|stride_\d|step_\d|step|lead|origin|bound|zero|low|high|y_low)|scale_(a|b|y)|scale_y_low|q_scale"
                     r"|(in|out)\d_(base|granules|[nyx]_\d|stride_\d|[yx]_(origin|bound|step_(\d|word)))|q\d_(scale_(a|b|y|y_low)|zero|low|high)"
                     r"|(prologue|head|body|drain)_(packets|count)|tiles|iterations")
FLAGS = {"broadcast", "a_signed", "b_signed", "w_signed", "accumulate", "b_enable", "p_enable", "table_enable", "int_op", "numeric", "quantize", "multiply", "maximum", "a_float", "b_float",
         *(f"q{i}_table_enable" for i in range(4)), *(f"{stream}_enable" for stream in ("in0", "in1", "in2", "in3", "out0")), "in0_bounded", "out0_bounded"}


@pytest.mark.parametrize("name", architecture_names())
def test_every_field_is_a_code_a_flag_or_a_number(name):
    graph = load_graph(name)
    for engine, layout in instruction_set(graph).formats.items():
        chosen = {code.field for code in codes(graph)[engine]}
        for item in layout.fields:
            kinds = [item.name in chosen, item.name in FLAGS and item.width == 1, NUMBERS.fullmatch(item.name) is not None]
            assert sum(kinds) == 1, f"{engine}.{item.name}: say in acg/rules/choices.py, or here, what its values mean"


def test_the_codes_of_tiny():
    table = {engine: {code.field: (tuple(code.meanings.values()), code.missing, code.needs) for code in rows} for engine, rows in codes(load_graph("tiny")).items()}
    assert table == {
        "load": {"select": (("act", "wgt", "par", "lut"), (), None)},
        "matrix": {},
        "vector": {
            "a_select": (("acc", "act"), (), None),
            "b_select": (("act", "wgt", "acc"), (3,), "b_enable"),
            "y_select": (("act", "acc"), (), None),
            "table_select": (("table 0 of lut", "table 1 of lut"), (), "table_enable"),
            "reduce": (("none", "sum", "maximum"), (3,), None),
            "binary": (("none", "add", "multiply", "minimum", "maximum"), (5, 6, 7), None),
            "estimate": (("none", "reciprocal estimate", "rsqrt estimate"), (3,), None),
        },
        "store": {"select": (("act", "acc"), (), None)},
    }


@pytest.mark.parametrize(("kept", "missing"), [("RECIPROCAL", (2, 3)), ("RSQRT", (1, 3))])
def test_an_estimate_that_the_machine_lacks_does_not_exist(kept, missing):
    lines = (ARCHITECTURES / "tiny.yaml").read_text().splitlines(True)
    graph = parse_graph("".join(line for line in lines if "_ESTIMATE" not in line or kept in line))
    (estimate,) = [code for code in codes(graph)["vector"] if code.field == "estimate"]
    assert estimate.missing == missing


@pytest.mark.parametrize(("fields", "found"), [
    ({}, None), ({"reduce": 2, "binary": 4, "estimate": 2}, None), ({"b_select": 3}, None), ({"b_select": 3, "b_enable": 1}, ("b_select", 3)),
    ({"reduce": 3, "binary": 7}, ("reduce", 3)), ({"binary": 6}, ("binary", 6)), ({"estimate": 3, "numeric": 0}, ("estimate", 3)),
])
def test_the_first_that_does_not_exist_is_named(fields, found):
    missing = absent(load_graph("tiny"), Instruction("vector", fields))
    assert (None if missing is None else (missing[0].field, missing[1])) == found


def test_the_manual_says_what_each_value_chooses_and_all_that_illegal_can_mean():
    manual = describe(load_graph("tiny"))
    assert "| `reduce` | the reductions | 0 none, 1 sum, 2 maximum | 3 | always |" in manual
    assert "| `b_select` | the links of port b | 0 act, 1 wgt, 2 acc | 3 | `b_enable` is 1 |" in manual
    assert "| `select` | the links of port destination | 0 act, 1 wgt, 2 par, 3 lut | none | always |" in manual
    assert ("| 3 | ILLEGAL | an instruction names an engine that does not exist (ERROR_ADDRESS: its number in the program), or one of its codes a memory, table or "
            "operation that does not exist (ERROR_ADDRESS: the code) |") in manual
