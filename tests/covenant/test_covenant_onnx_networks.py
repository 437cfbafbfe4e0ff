"""The float networks inside the onnx package: those that the document lists as exact are, and nothing else comes out than it says."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest

from acg.graph import load_graph
from covenant.cli import main
from covenant.quantise import suite

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "onnx_networks.md").read_text()
#: Elements of the inputs of a network that is quick.
QUICK = 2_000


def quick(step):
    """Every `step`-th of the quick networks."""
    return [network for network in suite.networks() if network.elements <= QUICK][::step]


def test_the_document_is_of_this_package():
    found = {kind: sum(network.kind == kind for network in suite.networks()) for kind in suite.SETS}
    assert found["pytorch-converted"] + found["pytorch-operator"] > 110
    if f"inside onnx {onnx.__version__}," in DOCUMENT:
        assert all(f"| `{kind}` ({count}) |" in DOCUMENT for kind, count in found.items())


@pytest.mark.parametrize("network", quick(7), ids=lambda network: network.name)
def test_what_the_document_lists_as_exact_is(network):
    verdict = suite.judge(network, load_graph("edge16"))
    expected = (suite.EXACT,) if network.name in suite.exact_in(DOCUMENT) else (suite.EXACT, suite.NAMED, suite.REFUSED)
    assert verdict.state in expected, verdict.detail  # one more than listed is no fault: make networks
    assert verdict.state == suite.EXACT or verdict.detail


def test_a_document_lists_what_was_found():
    first, second = quick(1)[:2]
    verdicts = [suite.Verdict(first, suite.EXACT, differences=1, elements=9), suite.Verdict(second, suite.NAMED, "Pow: no | way")]
    text = suite.markdown(verdicts, "tiny")
    assert suite.exact_in(text) == [first.name]
    assert f"| `{first.kind}` (2) | 1 | 1 | 0 | 0 | 0 |" in text and f"| Pow: no \\| way | {second.name} |" in text
    assert f"otherwise (a step, or the last places of a float function that nothing quantises): {first.name} 1 of 9." in text


def test_wrong_bytes_and_tracebacks_are_seen(monkeypatch, capsys):
    network = quick(1)[0]

    def report(*arguments, **options):
        return {"exact": False, "divergence": ["tensor y: element 3"], "outputs": {}}, []

    monkeypatch.setattr(suite, "judge_network", report)
    assert suite.judge(network, load_graph("tiny")) == suite.Verdict(network, suite.WRONG, "tensor y: element 3")
    assert main(["quantize-test", network.name, "--arch", "tiny", "--json", "-"]) == 1
    assert json.loads(capsys.readouterr().out)[0]["state"] == "wrong"
    monkeypatch.setattr(suite, "prepared", lambda *arguments, **options: 1 / 0)
    assert suite.judge(network, load_graph("tiny")) == suite.Verdict(network, suite.TRACEBACK, "ZeroDivisionError: division by zero")
    assert main(["quantize-test", network.name, "--arch", "tiny"]) == 1


def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["quantize-test", "ELU", "operator_clip", "--arch", "tiny", "--markdown", "t.md"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "exact     pytorch-converted/ELU", "exact     pytorch-operator/operator_clip", "2 networks: 2 exact, 0 named, 0 refused, 0 wrong, 0 traceback",
    ]
    assert suite.exact_in(Path("t.md").read_text()) == ["ELU", "operator_clip"]
    assert main(["quantize-test", "Nothing"]) == 2
    assert capsys.readouterr().err == "covenant: quantize-test: no network Nothing in the onnx package; expected names as in Conv2d or operator_pow\n"
