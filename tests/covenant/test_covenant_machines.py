"""`covenant arch new` and `arch diff`; machines whose words are longer than what a port takes."""

import json

import numpy as np
import pytest

from acg.graph import load_graph
from covenant.api import Machine
from covenant.cli import main

MODEL = "examples/digits_cnn.onnx"


def test_a_machine_from_another_runs_networks(tmp_path, capsys):
    path = tmp_path / "mine.yaml"
    assert main(["arch", "new", "mine", "--like", "edge16", "--set", "matrix.rows=8", "--set", "matrix.columns=8", "--set", "vector.lanes=8", "-o", str(path)]) == 0
    assert capsys.readouterr().out.startswith(f"{path}: like edge16\nmine: valid, fingerprint ")
    graph = load_graph(path)
    assert (graph.name, graph.engines["matrix"].number("rows"), str(graph.engines["vector"].capabilities[-1])) == (
        "mine", 8, "(f32,8)=RSQRT_ESTIMATE((f32,8))")
    # words of parameters, of which the vector unit takes half: each must be the one that the channels' block means
    for model in (MODEL, "examples/motifs_encoder.onnx"):
        assert main(["run", model, "--arch", str(path), "--on", "iss", "--quiet"]) == 0


@pytest.mark.parametrize("lanes", [1, 2])
def test_any_share_of_a_word_of_parameters(lanes):
    machine = Machine("tiny").resized("narrow", {"vector.lanes": lanes})
    wide = next(link for link in machine.graph.links if link.port == "parameter")
    assert machine.graph.memories[wide.memory].word_bytes == 4 // lanes * wide.port_bytes
    network = machine.compile(MODEL)
    archive = np.load("examples/digits_test.npz")
    sample = {name: archive[name][:1] for name in archive.files if name != "y"}
    (found,), (expected,) = network.run(sample).outputs, Machine("tiny").compile(MODEL).run(sample).outputs
    np.testing.assert_equal(found, expected)


def test_what_differs_is_said(tmp_path, capsys):
    path = tmp_path / "m.yaml"
    assert main(["arch", "new", "m", "--like", "tiny", "--set", "act.banks=8", "-o", str(path)]) == 0
    capsys.readouterr()
    assert main(["arch", "diff", "tiny", str(path), "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out) == [
        {"place": "name", "a": "tiny", "b": "m"}, {"place": "memories.act.banks", "a": "4", "b": "8"}]
    assert main(["arch", "diff", "tiny", "tiny"]) == 0
    assert capsys.readouterr().out == "tiny and tiny say the same\n"
    assert main(["arch", "diff", "edge16", "mobile16"]) == 0
    assert "engines.window.kind" in capsys.readouterr().out


@pytest.mark.parametrize("arguments,message", [
    (["new", "m", "--set", "matrix"], "arch new: --set 'matrix'; expected engine.size=value or memory.key=value, as in matrix.rows=8"),
    (["new", "m", "--like", "tiny", "--set", "vector.lanes=x"], "arch new: --set 'vector.lanes=x'; expected a whole number, as in vector.lanes=4"),
    (["new", "m", "--like", "tiny", "--set", "matrix.rows=0"],
     "arch new: m, tiny with matrix.rows=0: engines.matrix.rows: found 0; input should be greater than or equal to 1"),
    (["new", "m", "--like", "tiny", "--set", "act.banks=-2", "--set", "act.element=f9"],
     "arch new: m, tiny with act.banks=-2, act.element=f9: memories.act.element: found 'f9'; input should be 'i8' or 'i32'\n"
     "arch new: m, tiny with act.banks=-2, act.element=f9: memories.act.banks: found -2; input should be greater than or equal to 1"),
    (["diff", "tiny"], "arch diff: 1 architectures named; expected two"),
    (["show", "tiny", "wide"], "arch show: 2 architectures named; expected one"),
    (["diff"], "arch diff: no architecture named; expected a name of archs/ or a YAML file"),
])
def test_refusals(capsys, arguments, message):
    assert main(["arch", *arguments]) == 2
    assert capsys.readouterr().err == f"covenant: {message}\n"


def test_a_size_that_there_is_not(capsys):
    for place in ("matrix.lanes", "matrix.kind", "matrix.capabilities"):
        assert main(["arch", "new", "m", "--like", "tiny", "--set", f"{place}=3"]) == 2
        assert capsys.readouterr().err.startswith(f"covenant: arch new: tiny has no {place}; expected one of load.outstanding_bursts, matrix.organisation, ")
