"""Definition and onnxruntime: outputs and operators within their bounds agree, anything else is named. Wrong, missing and extra values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import numpy_helper

from compiler.front.support import OPERATORS
from tests.support.models import U8, dequantize, model_of, node, parameters, quantize
from verif import agreement as module
from verif.agreement import agreement, distance, unlike
from verif.bounds import BOUNDS, EXACT, allowed, bounds_markdown
from verif.golden import Golden
from verif.random.networks import random_inputs, random_network
from verif.reference import Reference, operators

SHAPE = (1, 2, 4, 5)
P = parameters(x=(0.02, 121), m=(0.012, 90), y=(0.004, 0))
SAMPLE = {"x": np.random.default_rng(4).integers(0, 256, SHAPE, np.uint8)}


def network():
    """Elu and Sigmoid, a quantisation between."""
    nodes = [
        dequantize("x", "d", "x"), node("Elu", "d", "e", alpha=0.5), quantize("e", "q", "m"), dequantize("q", "r", "m"), node("Sigmoid", "r", "s"),
        quantize("s", "y", "y"),
    ]  # fmt: skip
    return model_of(nodes, {"x": (U8, SHAPE)}, {"y": (U8, SHAPE)}, P)


def judged(model=None, *, change=None):
    model = model or network()
    reference, golden = Reference(model), Golden(model).run(SAMPLE)
    expected = reference.run(SAMPLE)
    return agreement(model, reference, [SAMPLE], [expected], [change(golden) if change else golden], {"y": None})


def test_witnesses_that_agree():
    found = judged()
    assert (found.agree, found.how, found.lines) == (True, "outputs", ())
    assert found.outputs["y"][0] <= found.outputs["y"][1] == 1


def test_a_wrong_definition_is_named_by_its_operator(monkeypatch):
    """The definition passes over alpha: the Elu is named, not what comes after it."""
    good = operators.evaluate
    monkeypatch.setattr(operators, "evaluate", lambda n, opset, arrays: good(node("Elu", "d", "e") if n.op_type == "Elu" else n, opset, arrays))
    found = judged()
    assert not found.agree and found.how == "operators"
    assert found.lines[0].startswith("output y: ") and found.lines[0].endswith(" steps from the definition, 1 is known of the operators before it")
    assert found.lines[1].startswith("sample 0, first such tensor: q of Elu n_e, ") and found.lines[1].endswith(" steps from the same operands, where 1 is known")


def test_what_adds_up_is_no_alarm():
    """Where onnxruntime's tensor before an operator is a few steps off for once, the operator after it is not to blame, nor is its output."""
    model = network()
    reference = Reference(model)
    kept = Golden(model, extra=("q",)).run(SAMPLE)
    moved = kept["q"] + np.uint8(1)
    (first, second) = [f for f in reference.follow(SAMPLE, {"q": moved, "y": kept["y"]}) if not f.output]
    assert first.name == "q" and distance(first.ours, first.theirs, 1) >= 1
    from_moved = second.ours
    plain = reference.run(SAMPLE)["y"]
    assert (from_moved != plain).any(), "the second is computed from what it was given"


@pytest.mark.parametrize("seed", [88, 231])
def test_random_networks_whose_outputs_differ_agree_by_their_operators(seed):
    model = random_network(seed, size="tiny", max_nodes=6)
    inputs = random_inputs(model, seed)
    reference = Reference(model)
    (expected,), golden = reference.run_each([inputs]), Golden(model).run(inputs)
    constants = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    writers = {name: next(n for n in model.graph.node if name in n.output) for name in expected}
    steps = {name: float(constants[w.input[1]]) if w.op_type == "DequantizeLinear" else None for name, w in writers.items()}
    found = agreement(model, reference, [inputs], [expected], [golden], steps)
    assert found.how == "operators" and found.lines
    assert found.agree, found.lines


def test_signed_and_unsigned_activations_in_one_network_agree():
    """onnxruntime has no exact kernel for the Gemm of signed activations; the Conv of unsigned ones must not saturate for that."""
    model, seed = random_network(273, size="tiny", max_nodes=6), 273
    inputs = random_inputs(model, seed)
    names = ("quantizelinear_37",)
    np.testing.assert_array_equal(Golden(model, extra=names).run(inputs)[names[0]], Reference(model).run_all(inputs)[names[0]])


@pytest.mark.parametrize(("change", "line"), [
    (lambda g: {}, "sample 0, output y: the definition has it, onnxruntime has not"),
    (lambda g: {**g, "z": g["y"]}, "sample 0, output z: onnxruntime has it, the definition has not"),
    (lambda g: {"y": g["y"].astype(np.float32)}, "sample 0, output y: uint8 (1, 2, 4, 5) by definition, float32 (1, 2, 4, 5) by onnxruntime"),
    (lambda g: {"y": g["y"][..., :4]}, "sample 0, output y: uint8 (1, 2, 4, 5) by definition, uint8 (1, 2, 4, 4) by onnxruntime"),
])
def test_missing_extra_and_other_outputs_disagree(change, line):
    found = judged(change=change)
    assert (found.agree, found.lines) == (False, (line,))


def test_a_wrong_value_disagrees():
    """One output of onnxruntime is 26 steps off, and its tensors are not: it contradicts itself."""

    def change(golden):
        wrong = golden["y"].copy()
        wrong.flat[3] = (int(wrong.flat[3]) + 26) % 256 if wrong.flat[3] < 200 else wrong.flat[3] - 26
        return {"y": wrong}

    found = judged(change=change)
    assert not found.agree
    assert found.lines[1] == "sample 0, output y: onnxruntime differs from itself by 26 steps where it is asked for the tensors in between, more than 16"


def test_zero_over_zero_does_not_count_and_anything_else_does():
    """0 / 0 is the zero point by definition and the lowest integer by onnxruntime."""
    nodes = [dequantize("x", "d", "x"), dequantize("w", "e", "x"), node("Div", "d e", "r"), quantize("r", "y", "y")]
    model = model_of(nodes, {"x": (U8, (1, 4)), "w": (U8, (1, 4))}, {"y": (U8, (1, 4))}, {**P, "sy": np.float32(0.05), "zy": np.uint8(117)})
    sample = {"x": np.array([[121, 130, 121, 10]], np.uint8), "w": np.array([[121, 131, 140, 30]], np.uint8)}
    reference, golden = Reference(model), Golden(model).run(sample)
    expected = reference.run(sample)
    assert expected["y"][0, 0] == 117 and golden["y"][0, 0] != 117
    assert agreement(model, reference, [sample], [expected], [golden], {"y": None}).agree


def test_distances():
    one = np.array([1, 2], np.float32)
    assert distance(one, one + np.float32(0.5), 0.25) == 2
    assert distance(np.array([np.nan], np.float32), np.array([np.nan], np.float32), 1) == 0
    assert distance(np.array([np.nan], np.float32), one[:1], 1) == np.inf
    assert distance(one, one + np.float32(2.0**-15), None) == pytest.approx(1)
    assert distance(np.array([3], np.uint8), np.array([250], np.uint8), None) == 247
    assert unlike({"y": one}, {"y": one}) == []
    assert module.FUSED_STEPS < 26


def test_the_table_covers_every_operator():
    """A new operator needs a bound, or a place among the exact ones."""
    known = {op for _, op in OPERATORS} | {op for domain, op in operators.OPERATORS if domain in ("", "com.microsoft")}
    assert known - set(BOUNDS) - EXACT == set()
    assert set(BOUNDS) & EXACT == set()
    assert all(bound.steps == 1 and bound.why for bound in BOUNDS.values())
    assert allowed(["Conv", "Add", "Relu"]) == 2


def test_the_document_has_the_table():
    document = (Path(__file__).resolve().parents[2] / "docs" / "verification.md").read_text()
    assert bounds_markdown() in document, "write verif.bounds.bounds_markdown() into docs/verification.md"
