"""Limits: products of fields, held against an engine's sizes and against other fields."""

import pytest

from acg.graph import load_graph, parse_graph
from acg.isa import Instruction
from acg.manual.describe import describe
from acg.regmap import ErrorCode
from acg.rules import exceeded, limits
from compiler.check_program import ProgramError, check_instructions
from tests.support.architectures import text_of, with_window
from verif.iss.errors import MachineError
from verif.iss.simulator import Simulator

GRAPH = parse_graph(with_window(text_of("tiny")))
LINE = {"n_2": 5, "n_4": 5, "a_stride_2": 1, "c_stride_4": 1}


def test_machines_without_limits_have_none():
    assert {name: bounds for name, bounds in limits(load_graph("tiny")).items() if bounds} == {}


@pytest.mark.parametrize(("fields", "value", "found", "expected"), [
    ({}, None, "", ""),
    ({"n_5": 3, "n_6": 3}, None, "", ""),
    ({"n_5": 2, "n_6": 5}, 10, "n_5 * n_6 10", "at most 9, the taps of a pass"),
    ({"n_5": 4}, 4, "n_5 4", "at most 3, the rows of a kernel"),
    ({"n_5": 5, "n_6": 2}, 10, "n_5 * n_6 10", "at most 9, the taps of a pass"),
    ({"n_2": 33}, 33, "n_2 33", "at most 32, the words of a row"),
    ({"n_4": 1, "y_step": 3}, 3, "y_step 3", "at most 2, the longest step"),
    ({"n_4": 6}, 6, "n_4 * x_step 6", "at most 5, what comes in from one row of positions to the next"),
    ({"n_4": 10, "y_step": 2, "c_stride_4": 2}, None, "", ""),
    ({"n_4": 6, "x_step": 2, "y_step": 2}, 12, "n_4 * x_step 12", "at most 10, what comes in from one row of positions to the next"),
])
def test_what_is_beyond_a_limit_is_named_by_everybody(fields, value, found, expected):
    instruction = Instruction("window", LINE | fields)
    excess = exceeded(GRAPH, instruction)
    machine = Simulator(GRAPH, external_bytes=4096)
    if value is None:
        assert excess is None
        check_instructions([instruction], GRAPH)
        machine.execute(instruction)
        return
    assert (excess.value, excess.found, excess.expected) == (value, found, expected)
    with pytest.raises(ProgramError) as refused:
        check_instructions([instruction], GRAPH)
    assert str(refused.value) == f"program, instruction 0 (window): found {found}; expected {expected}; compile the network again"
    with pytest.raises(MachineError) as caught:
        machine.execute(instruction)
    assert (caught.value.code, caught.value.address, str(caught.value)) == (ErrorCode.ILLEGAL, value, f"{found}; expected {expected}")


def test_the_manual_lists_them():
    text = describe(GRAPH)
    assert "| `n_5` * `n_6` | 9 | the taps of a pass |" in text
    assert "| `n_4` * `x_step` | `n_2` * `y_step` | what comes in from one row of positions to the next |" in text
