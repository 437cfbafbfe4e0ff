"""Mean and deviation a channel on a dequantised tensor or on the bytes of a camera, in any order and followed by more: (x - mean[c]) / std[c]."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from onnx import TensorProto

from acg.graph import load_graph
from compiler.ir.expression import Digits
from compiler.passes import compile_network
from compiler.read_network import read_network
from covenant.networks import CompiledNetwork
from covenant.report import judge_network
from tests.compiler.ir_reference import check_program, evaluate
from tests.support.models import U8, dequantize, model_of, node, parameters, quantize
from verif.golden import Golden
from verif.random.networks import random_inputs
from verif.reference import Reference

GRAPHS = {name: load_graph(name) for name in ("tiny", "edge16", "wide")}
MEAN, STD = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
CONSTANTS = {
    "mean": MEAN, "std": STD, "one_mean": np.float32(0.45), "one_std": np.float32([0.226]), "inverse": np.float32(1) / STD, "one_inverse": np.float32(4.4),
    "low": np.float32(-0.7), "high": np.float32(1.9), "minus": -MEAN, "whole": np.float32(255), "part": np.float32(1 / 255),
}  # fmt: skip
CHAINS = [
    *itertools.product(["Sub mean", "Sub one_mean", "Add minus"], ["Div std", "Div one_std", "Mul inverse", "Mul one_inverse"]),
    *itertools.product(["Div std", "Div one_std", "Mul inverse"], ["Sub mean", "Sub one_mean"]),
    ("Sub mean", "Div std", "Relu"), ("Sub mean", "Div one_std", "Clip low high"), ("Sub mean", "Div std", "Mul one_inverse", "Add mean", "Div std"),
    ("Div std", "Max low", "Sub mean"), ("Sub mean", "Mul inverse", "Min high", "Div one_std"),
]  # fmt: skip


def scaled_model(chain, *, camera=False, last=False, scale=0.021):
    """`camera`: bytes, divided or multiplied to be numbers up to 1 before the chain; `last`: channels are the last axis."""
    shape = (2, 5, 4, 3) if last else (2, 3, 5, 4)
    nodes = [node("Cast", "x", "v", to=TensorProto.FLOAT)] if camera else [dequantize("x", "v", "x")]
    name = "v"
    for step in ((*(["Mul part"] if camera == "times" else ["Div whole"] if camera else []), *chain)):
        op, *operands = step.split()
        nodes.append(node(op, " ".join([name, *operands]), f"{name}_"))
        name += "_"
    used = {i for n in nodes for i in n.input}
    constants = {k: v if v.size == 1 or last else v.reshape(3, 1, 1) for k, v in CONSTANTS.items() if k in used}
    constants |= parameters(**({} if camera else {"x": (0.0123, 97)}), y=(scale, np.uint8(120)))
    return model_of([*nodes, quantize(name, "y", "y")], {"x": (U8, shape)}, {"y": (U8, shape)}, constants)


def check(model, arch):
    inputs = random_inputs(model, 7)
    graph = read_network(model)
    expected = Reference(model).run(inputs)["y"]
    np.testing.assert_array_equal(evaluate(graph, inputs)["y"], expected)
    assert check_program(graph, compile_network(graph, GRAPHS[arch]), GRAPHS[arch], inputs) > 0
    steps = np.abs(expected.astype(int) - Golden(model).run(inputs)["y"])
    assert steps.max() <= 1 and (steps > 0).sum() <= 1 and len(np.unique(expected)) > 9, f"{(steps > 0).sum()} of {steps.size}"
    return graph


@pytest.mark.parametrize("chain", CHAINS, ids=", ".join)
def test_dequantised(chain):
    graph = check(scaled_model(chain, last=len(chain) > 2, scale=0.3 if len(chain) > 3 else 0.021), list(GRAPHS)[len(", ".join(chain)) % 3])
    assert [n.op for n in graph.nodes][-1] in ("Unary", "Expression", "Binary", "Sum")


@pytest.mark.parametrize("chain", [CHAINS[0], CHAINS[1], CHAINS[2], CHAINS[12], CHAINS[18]], ids=", ".join)
@pytest.mark.parametrize("camera", ["over", "times"])
def test_bytes_of_a_camera(chain, camera):
    """Numbers up to 1 are one operation of the expression, not tables of their digits."""
    graph = check(scaled_model(chain, camera=camera, last=camera == "times"), "tiny")
    (whole,) = graph.nodes
    assert not any(isinstance(term, Digits) and len(term.tables) > 1 for term in whole.attrs.terms)


@pytest.mark.rtl
def test_on_rtl():
    model = scaled_model(("Sub mean", "Div one_std"), camera="over")
    program = compile_network(read_network(model), GRAPHS["tiny"])
    report, _ = judge_network(CompiledNetwork("camera", GRAPHS["tiny"], program, model), [random_inputs(model, 8)], on="rtl")
    assert report["exact"], f"{report['outputs']} {report['cycles']} {report.get('divergence')}"
