"""A core on the RTL: random kernels and instructions against the functional simulator, byte by byte, and the prediction, cycle by cycle."""

from pathlib import Path

import pytest

from acg.graph import load_graph, parse_graph
from compiler.mapping import assign_engines
from covenant.hardware import simulator
from covenant.terminal.progress import Progress
from covenant.verify.networks import verify_example
from covenant.verify.programs import judge_program
from tests.support.architectures import small_hybrid
from verif.random.programs import random_program

pytestmark = pytest.mark.rtl
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

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


@pytest.mark.long
def test_a_matrix_unit_beside_a_core_is_exact_on_the_rtl(monkeypatch):
    """Its sums lie in words of several granules, which it reads whole and the core from any granule on: random programs, and a network that both work on."""
    graph, bindings = small_hybrid(), assign_engines.bindings
    model = simulator(graph, opt="O0")
    for seed in (1, 2, 3):
        verdict = judge_program(random_program(graph, seed, instructions=24), model)
        assert verdict.divergence == (), seed
    monkeypatch.setattr(assign_engines, "bindings", lambda codelet, target: sorted(bindings(codelet, target), key=lambda step: step.matrix_or_none is None))
    monkeypatch.setattr(assign_engines, "_team", lambda able: ())  # contractions go to the matrix unit whatever they cost
    verdict = verify_example(EXAMPLES / "digits_cnn.onnx", graph, limit=1, seed=1, opt="O0", progress=Progress("digits", quiet=True))
    assert verdict.divergence == () and verdict.measured_cycles == verdict.predicted_cycles
    assert verdict.bins["instruction/matrix"] and verdict.bins["instruction/core"]
