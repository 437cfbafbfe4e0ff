"""Loaders follow what stands in code memories: constants brought by copies, nothing else; and have it checked."""

import re

import pytest

from acg.graph import load_graph
from acg.isa import Instruction
from acg.kinds.core.packets import Kernel, Op, packet_format
from compiler.check_program import ProgramError, check_instructions

GRAPH = load_graph("dsp_tiny")
FORMAT = packet_format(GRAPH.engines["core"])
RIGHT = Kernel((), (), ({"L": Op("LDV", fields={"d": 1, "s": 0})}, *[{}] * 4, {"L": Op("STV", fields={"a": 1, "s": 0, "first": 0})}))
WRONG = Kernel((), (), (*RIGHT.packets[1:], RIGHT.packets[0]))
BRING = Instruction("load", {"select": 2, "n_3": 96, "ext_address": 256, "local_address": 32})
RUN = Instruction("core", {"code_base": 2, "body_packets": 6, "iterations": 1, "in0_enable": 1, "in0_granules": 8, "out0_enable": 1, "out0_granules": 8,
                           "out0_base": 8})


def check(*instructions, kernel=RIGHT, at=256):
    check_instructions(instructions, GRAPH, image=[(at, FORMAT.encode_kernel(kernel))])


def test_a_kernel_from_constants():
    check(BRING, RUN, RUN)
    row_by_row = {"n_3": 32, "n_2": 3, "ext_stride_2": 32, "local_stride_2": 32}
    check(Instruction("load", {**BRING.fields, **row_by_row}), RUN)
    check(Instruction("store", {"select": 0, "n_3": 4, "ext_address": 352}), BRING, RUN)


NOT_KNOWN = "code at bytes 0x20 to 0x80 of kernels, not all of which are constants that were brought there; expected code that copies have brought from"


@pytest.mark.parametrize(("instructions", "number", "message"), [
    ((RUN,), 0, NOT_KNOWN),
    ((Instruction("load", {**BRING.fields, "n_3": 92}), RUN), 1, NOT_KNOWN),
    ((Instruction("load", {**BRING.fields, "ext_address": 252}), RUN), 1, NOT_KNOWN),
    ((BRING, Instruction("load", {**BRING.fields, "ext_address": 4096, "n_3": 1, "local_address": 127}), RUN), 2, NOT_KNOWN),
    ((Instruction("store", {"select": 0, "n_3": 4, "ext_address": 300}), BRING, RUN), 2, NOT_KNOWN),
    ((BRING, Instruction("core", {**RUN.fields, "in0_enable": 0})), 1, "packet 2, slot L: LDV of stream in0, which is not enabled; expected streams that"),
])
def test_code_that_is_not_known_or_not_right(instructions, number, message):
    with pytest.raises(ProgramError, match=rf"program, instruction {number} \(\w+\): found {re.escape(message)}"):
        check(*instructions)


def test_a_kernel_that_reads_too_early():
    with pytest.raises(ProgramError, match=r"instruction 1 \(core\): found packet 6, slot L: STV reads register 1 before it is written; expected a write that"):
        check(BRING, RUN, kernel=WRONG)
