"""Averages over rows and columns of float operations that nothing has quantised: the end of a residual network quantised at its products alone."""

from __future__ import annotations

import numpy as np
import pytest

from acg.graph import load_graph
from compiler.passes import compile_network
from compiler.read_network import read_network
from covenant.networks import CompiledNetwork
from covenant.report import judge_network
from tests.compiler.ir_reference import check_program
from tests.support.models import I8, U8, dequantize, model_of, node, parameters, quantize
from verif.golden import Golden
from verif.random.networks import random_inputs
from verif.reference import Reference

GRAPHS = {name: load_graph(name) for name in ("tiny", "edge16")}
KINDS = {"i8": (I8, np.int8), "u8": (U8, np.uint8)}
CASES = {
    "residual": [node("Add", "d0 d1", "a"), node("Relu", "a", "s")],
    "gate": [node("HardSigmoid", "d1", "h"), node("Mul", "d0 h", "s")],
    "difference": [node("Sub", "d0 d1", "a"), node("Clip", "a low high", "s")],
    "function and sum": [node("Tanh", "d0", "t"), node("Sub", "t d1", "a"), node("Max", "a low", "s")],
    "positive": [node("Sigmoid", "d0", "t"), node("Exp", "d1", "e"), node("Add", "t e", "s")],
}
AVERAGES = {
    "pool": node("GlobalAveragePool", "s", "g"), "mean": node("ReduceMean", "s axes", "g", keepdims=0), "sum": node("ReduceSum", "s axes", "g"),
}  # fmt: skip


def averaged(case, average, kind="i8", shape=(2, 5, 6, 7)):
    code, number = KINDS[kind]
    middle = number(5 if kind == "i8" else 130)
    total = average == "sum"
    constants = parameters(**{"0": (0.0313, middle), "1": (0.0117, number(middle - 9)), "q": (0.9 if total else 0.021, number(middle + 3))})
    known = {"low": np.float32(-0.5), "high": np.float32(1.5), "axes": np.array([2, 3])}
    nodes = [*CASES[case], AVERAGES[average]]
    constants |= {name: known[name] for n in nodes for name in n.input if name in known}
    out = (*shape[:2], 1, 1) if average != "mean" else shape[:2]
    return model_of([dequantize("x0", "d0", "0"), dequantize("x1", "d1", "1"), *nodes, quantize("g", "y", "q")],
                    {"x0": (code, shape), "x1": (code, shape)}, {"y": (code, out)}, constants, opset=18)  # fmt: skip


@pytest.mark.parametrize("average", list(AVERAGES))
@pytest.mark.parametrize("case", list(CASES))
def test_averages(case, average):
    model = averaged(case, average, ("i8", "u8")[len(case + average) % 2])
    inputs = random_inputs(model, 3)
    graph = read_network(model)
    high = {"residual": "Add", "difference": "Binary"}.get(case, "Expression")  # the first digit is the operations quantised, as cheaply as any
    assert [n.op for n in graph.nodes] == [high, "Expression", "Move", "Conv"]
    expected = Reference(model).run(inputs)["y"]
    machine = GRAPHS[("tiny", "edge16")[len(case + average) // 2 % 2]]
    assert check_program(graph, compile_network(graph, machine), machine, inputs) > 0
    steps = np.abs(expected.astype(int) - Golden(model).run(inputs)["y"])
    assert steps.max() <= 1 and (steps > 0).sum() <= 1, f"{(steps > 0).sum()} of {steps.size}"
    assert len(np.unique(expected)) > 3


@pytest.mark.parametrize("value", [-128, 127])
def test_the_ends_of_the_range(value):
    """Operands at the ends of their types: both digits reach their bounds."""
    for case in CASES:
        model = averaged(case, "pool")
        for sign in (1, -1):
            other = value if sign > 0 else -1 - value
            inputs = {"x0": np.full((2, 5, 6, 7), value, np.int8), "x1": np.full((2, 5, 6, 7), other, np.int8)}
            steps = np.abs(Reference(model).run(inputs)["y"].astype(int) - Golden(model).run(inputs)["y"])
            assert steps.max() <= 1


@pytest.mark.rtl
def test_on_rtl():
    model = averaged("residual", "pool")
    program = compile_network(read_network(model), GRAPHS["tiny"])
    report, _ = judge_network(CompiledNetwork("residual", GRAPHS["tiny"], program, model), [random_inputs(model, 8)], on="rtl")
    assert report["exact"], f"{report['outputs']} {report['cycles']} {report.get('divergence')}"
