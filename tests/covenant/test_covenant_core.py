"""A core on the RTL: random kernels and instructions against the functional simulator, byte by byte, and the prediction, cycle by cycle."""

import pytest

from acg.graph import load_graph, parse_graph
from covenant.hardware import simulator
from covenant.verify.programs import judge_program
from verif.random.programs import random_program

pytestmark = pytest.mark.rtl

#: dsp_tiny with what makes its parts unlike each other, and the RTL quick to build: vectors of a quarter, slots of many kinds, memories of two latencies.
CHANGES = (("vector_bytes: 32", "vector_bytes: 16"), ("registers: 32", "registers: 16"), ("out_streams: 1", "out_streams: 2"),
           ("M0: [DOT, DOTH, DOTV, LMAC, MAXV, ADDV, PERM]", "M0: [PERM, LMAC, DOTH, MAXV]"), ("M1: [DOT, DOTH, DOTV, LMAC, MAXV, ADDV]", "M1: [DOTV, ADDV, ADDS, DOT]"),
           ("X: [REQ, REQB, CVT, RND, FMUL, FADD, FSUB, FMIN, FMAX, RESC, EST]", "X: [REQ, REQB, FSUB, EST]"),
           ("{M0: 4, M1: 4, L: 5, X: 15}", "{M0: 3, M1: 5, L: 6, X: 16}"),
           ("wgt: {kind: scratchpad, element: i8, lanes: 4, banks: 4, depth_words: 1024, read_latency_cycles: 1}",
            "wgt: {kind: scratchpad, element: i8, lanes: 4, banks: 3, depth_words: 384, read_latency_cycles: 2}"))


def uneven():
    text = load_graph("dsp_tiny").description
    for old, new in CHANGES:
        assert old in text, old
        text = text.replace(old, new)
    return parse_graph(text, name="uneven")


def test_random_programs_are_exact_on_the_rtl():
    graph = uneven()
    model = simulator(graph, opt="O0")
    for seed in (3, 4, 5):
        verdict = judge_program(random_program(graph, seed, instructions=24), model)
        assert verdict.divergence == (), seed
        assert verdict.measured_cycles == verdict.predicted_cycles
