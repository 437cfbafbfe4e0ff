"""Names from files on their way to the terminal: every command, escaped, cut, and valid JSON."""

import json
from pathlib import Path

import numpy as np
import pytest
from onnx import helper, numpy_helper

from acg.graph import ARCHITECTURES
from covenant.cli import main
from covenant.fuzz.onnx_changes import NAMES
from tests.compiler.test_compiler_names import network, renamed
from tests.support.models import F32, model_of, node

WORDS = [NAMES[0], NAMES[1], NAMES[2], NAMES[3]]


@pytest.fixture
def command(tmp_path, monkeypatch, capfd):
    """Run a command on what the current folder holds; returns status and lines, all of them printable and no longer than a screen or two."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        status = main(list(arguments))
        told = capfd.readouterr()
        lines = (told.out + told.err).split("\n")
        assert all(line.isprintable() and len(line) <= 4000 for line in lines)
        return status, lines

    return run


def write(model, name="m.onnx"):
    with open(name, "wb") as stream:
        stream.write(model.SerializeToString())


@pytest.mark.parametrize("word", WORDS)
def test_a_network_that_runs(word, command):
    write(renamed(network(), word))
    assert command("run", "m.onnx", "--arch", "tiny", "--on", "iss", "--json", "r.json", "-o", "y.npz")[0] == 0
    (name,) = json.loads(Path("r.json").read_text())["outputs"]
    with np.load("y.npz") as arrays:
        assert arrays.files == [name]
    status, lines = command("run", "m.onnx", "--arch", "tiny", "--on", "iss", "--fallback", "host", "--json", "-")
    assert status == 0 and json.loads("\n".join(lines))["exact"] is True
    assert command("compile", "m.onnx", "--arch", "tiny", "-o", "p.covenant")[0] == 0
    for arguments in (("disasm",), ("predict",), ("run", "--on", "iss")):
        assert command(arguments[0], "p.covenant", *arguments[1:])[0] == 0
    assert command("predict", "m.onnx", "--arch", "tiny")[0] == 0


@pytest.mark.parametrize("word", WORDS)
def test_a_network_that_is_refused(word, command):
    write(renamed(network("Hardmax"), word))
    status, lines = command("run", "m.onnx", "--arch", "tiny", "--on", "iss")
    assert status == 2 and len(lines) == 4 and "(Hardmax): The operator must be one of those that the support table lists" in lines[1]
    assert command("run", "m.onnx", "--arch", "tiny", "--on", "iss", "--fallback", "host", "--json", "r.json")[0] in (0, 1, 2)


def changes(word):
    """What a file may say elsewhere, and the message that says it again."""

    def operator(item, _):
        item.op_type = word

    def domain(item, model):
        item.domain = word
        model.opset_import.append(helper.make_opsetid(word, 1))

    def attribute(item, _):
        item.attribute.append(helper.make_attribute(word, 1))

    def mode(item, model):
        item.op_type = "Pad"
        item.input.append("p")
        item.attribute.append(helper.make_attribute("mode", word))
        model.graph.initializer.append(numpy_helper.from_array(np.zeros(8, np.int64), "p"))

    def dimension(_, model):
        model.graph.input[0].type.tensor_type.shape.dim[1].dim_param = word

    return operator, domain, attribute, mode, dimension


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("number", range(5))
def test_other_names(word, number, command):
    model = network()
    changes(word)[number](model.graph.node[1], model)
    write(model)
    for arguments in (("run", "--on", "iss"), ("compile", "-o", "p.covenant"), ("compile", "--fallback", "host", "-o", "plan")):
        status, lines = command(arguments[0], "m.onnx", "--arch", "tiny", *arguments[1:])
        assert status == 2 or "--fallback" in arguments
        assert "exact: yes" not in lines


@pytest.mark.parametrize("word", WORDS[:2])
def test_quantize(word, command):
    w = np.random.default_rng(0).normal(size=(4, 2, 3, 3)).astype(np.float32)
    write(renamed(model_of([node("Conv", "x w", "c"), node("Relu", "c", "y")], {"x": (F32, (1, 2, 5, 5))}, {"y": (F32, (1, 4, 3, 3))}, {"w": w}), word))
    np.savez("x.npz", x=np.zeros((1, 2, 5, 5), np.float32))
    status, lines = command("quantize", "m.onnx", "--calibrate", "x.npz", "-o", "q.onnx")
    assert status == 2 and lines[0].startswith("covenant: x.npz: no array '")


def test_a_description(command):
    text = (ARCHITECTURES / "tiny.yaml").read_text()
    for bad in (text.replace("queue_depth", '"queue\\e[2J\\ndepth"'), text.replace("\n  load:", '\n  "\\e[31m\\u202e":', 1), text.replace("name: tiny", 'name: "\\e]0;x\\a"'),
                text.replace("summary:", 'summary: "a\\nb" #'), text + f"\n{'k' * 10_000}: 1\n"):
        with open("a.yaml", "w") as stream:
            stream.write(bad)
        assert command("arch", "check", "a.yaml")[0] == 2
