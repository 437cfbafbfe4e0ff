"""A float network given to run, compile and predict: the message is the command line that quantises it; with the host nothing is accelerated, loudly."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import onnx
import pytest

from covenant.cli import main
from tests.support.models import F32, dequantize, model_of, node, parameters, quantize

W = np.random.default_rng(0).standard_normal((8, 5)).astype(np.float32)


def float_network(shape=(1, 8)):
    return model_of([node("MatMul", "x w", "h"), node("Relu", "h", "y")], {"x": (F32, shape)}, {"y": (F32, (shape[0], 5))}, {"w": W})


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


COMMANDS = [("run", "--on", "iss"), ("compile", "-o", "out"), ("predict",)]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_the_message_is_the_command_line(folder, capsys, command):
    onnx.save(float_network(("N", 8)), "my net.onnx")
    assert main([command[0], "my net.onnx", *command[1:], "--shape", "x=2,8"]) == 2
    captured = capsys.readouterr()
    line = "covenant quantize 'my net.onnx' --calibrate SAMPLES.npz -o 'my net.int8.onnx' --shape x=2,8"
    assert captured.out == "" and captured.err == (
        f"covenant: model my net.onnx: found a float network; expected a quantised one; quantise it first: {line}\n"
    )
    np.savez("SAMPLES.npz", x=np.random.default_rng(0).standard_normal((6, 8)).astype(np.float32))
    assert main(shlex.split(line)[1:]) == 0
    assert main(["run", "my net.int8.onnx", "--on", "iss", "--arch", "tiny"]) == 0


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_with_the_host_nothing_is_accelerated(folder, capsys, command):
    onnx.save(float_network(), "m.onnx")
    assert main([command[0], "m.onnx", *command[1:], "--arch", "tiny", "--fallback", "host", "--json", "j.json"]) == 1
    captured = capsys.readouterr()
    do = "it is a float network, quantise it first: covenant quantize {} --calibrate SAMPLES.npz -o {}.int8.onnx"
    assert captured.err.splitlines()[-1] == f"covenant: warning: m.onnx: NOTHING runs on tiny, the host does all of it; {do.format('m.onnx', 'm')}"
    if command[0] == "run":
        assert captured.out.splitlines()[-1] == "exact: not judged; no node runs on the accelerator" and json.loads(Path("j.json").read_text())["exact"] is None
    if command[0] == "compile":
        assert main(["run", "out", "--on", "iss"]) == 1
        text = f"covenant: warning: out: NOTHING runs on edge16, the host does all of it; {do.format('out/network.onnx', 'network')}"
        assert capsys.readouterr().err.splitlines()[-1] == text


def test_a_quantised_network_of_which_nothing_is_supported(folder, capsys):
    nodes = [quantize("x", "q", "x"), dequantize("q", "d", "x"), node("Hardmax", "d", "h"), quantize("h", "r", "x"), dequantize("r", "y", "x")]
    onnx.save(model_of(nodes, {"x": (F32, (1, 8))}, {"y": (F32, (1, 8))}, parameters(x=(0.1, 3))), "m.onnx")
    status = main(["run", "m.onnx", "--arch", "tiny", "--on", "iss", "--fallback", "host", "--json", "-"])
    captured = capsys.readouterr()
    idle = all(segment["where"] == "host" for segment in json.loads(captured.out)["segments"])
    assert (status, "NOTHING runs on tiny, the host does all of it; every node's reason is listed" in captured.err) == ((1, True) if idle else (0, False))


def test_networks_that_are_quantised_in_a_branch_are_no_float_networks(folder, capsys):
    """The nodes are named as ever."""
    branch = onnx.helper.make_graph(
        [quantize("x", "q", "x"), dequantize("q", "b", "x")], "g", [], [onnx.helper.make_tensor_value_info("b", F32, (1, 8))])
    nodes = [node("ReduceMax", "x", "m", keepdims=0), node("Greater", "m zero", "c"), node("If", "c", "y", then_branch=branch, else_branch=branch)]
    onnx.save(model_of(nodes, {"x": (F32, (1, 8))}, {"y": (F32, (1, 8))}, {**parameters(x=(0.1, 3)), "zero": np.float32(0)}), "m.onnx")
    assert main(["run", "m.onnx", "--arch", "tiny", "--on", "iss"]) == 2
    assert " unsupported nodes; expected supported operators only; change or remove:\n" in capsys.readouterr().err
