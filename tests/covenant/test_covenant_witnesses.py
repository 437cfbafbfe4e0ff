"""`covenant run` where definition and onnxruntime disagree: said in table and JSON, status 1."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest

from compiler.front import import_onnx
from compiler.front.floats import elementwise
from covenant import report
from covenant.cli import main
from tests.support.models import U8, dequantize, model_of, node, parameters, quantize
from verif.reference import operators

SHAPE = (1, 2, 4, 5)
P = parameters(x=(0.02, 121), y=(0.02, 117))


@pytest.fixture
def network(tmp_path):
    nodes = [dequantize("x", "d", "x"), node("ThresholdedRelu", "d", "r", alpha=0.5), quantize("r", "y", "y")]
    path = tmp_path / "net.onnx"
    onnx.save(model_of(nodes, {"x": (U8, SHAPE)}, {"y": (U8, SHAPE)}, P), path)
    return str(path)


def run(network, capsys, *more):
    status = main(["run", network, "--arch", "tiny", "--on", "iss", "--quiet", *more])
    return status, capsys.readouterr().out


def test_agreement_is_said_in_json(network, capsys):
    status, out = run(network, capsys, "--json", "-")
    found = json.loads(out)
    assert status == 0 and found["exact"] is True
    assert found["witnesses"] == {"agree": True, "by": "outputs", "differences": [], "known_steps": {"y": 0}}


def test_a_mistake_that_compiler_and_definition_share_is_noticed(network, capsys, monkeypatch):
    """Both compute ThresholdedRelu with its default alpha: every byte equals the definition, and the run is not exact."""

    def handler(step):
        step.whole()
        return elementwise.table_function(step.varied())

    plain = node("ThresholdedRelu", "d", "r")
    evaluate, defined = elementwise.evaluate, operators.evaluate
    monkeypatch.setitem(import_onnx.HANDLERS, ("", "ThresholdedRelu"), handler)
    monkeypatch.setattr(elementwise, "evaluate", lambda n, o, a: evaluate(plain if n.op_type == "ThresholdedRelu" else n, o, a))
    monkeypatch.setattr(operators, "evaluate", lambda n, o, a: defined(plain if n.op_type == "ThresholdedRelu" else n, o, a))
    status, out = run(network, capsys)
    assert status == 1
    assert "0 mismatches against ONNX definition (numpy)" in out
    assert "WITNESSES DISAGREE: onnxruntime differs from the definition by more than is known of these operators (docs/verification.md)." in out
    assert "first such tensor: y of ThresholdedRelu" in out and out.rstrip().endswith("exact: NO")
    status, out = run(network, capsys, "--json", "-")
    found = json.loads(out)
    assert (status, found["exact"], found["witnesses"]["agree"]) == (1, False, False)
    assert found["outputs"]["y"]["mismatches"] == 0 < found["outputs"]["y"]["onnxruntime"]["mismatches"]


@pytest.mark.parametrize("change", [lambda y: y.astype(np.float32), lambda y: y[..., :2]])
def test_outputs_of_another_type_or_shape_are_said(network, capsys, monkeypatch, change):
    good = report.Golden.run
    monkeypatch.setattr(report.Golden, "run", lambda self, inputs: {n: change(a) for n, a in good(self, inputs).items()})
    status, out = run(network, capsys)
    assert status == 1 and "sample 0, output y: uint8 (1, 2, 4, 5) by definition, " in out


def test_a_network_that_onnxruntime_cannot_run_has_one_witness(network, capsys, monkeypatch):
    error = type("Fail", (Exception,), {"__module__": "onnxruntime.capi"})

    def refuse(*_, **__):
        raise error("no kernel")

    monkeypatch.setattr(report, "Golden", refuse)
    status, out = run(network, capsys)
    assert status == 0
    assert "WARNING: onnxruntime cannot run this network, the definition is the only witness: no kernel" in out
    status, out = run(network, capsys, "--json", "-")
    assert json.loads(out)["witnesses"] is None and json.loads(out)["golden"]["onnxruntime_error"] == "no kernel"
