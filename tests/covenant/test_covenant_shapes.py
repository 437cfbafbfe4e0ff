"""``--shape``: dimensions that a network leaves open, or that are to be others than it declares."""

import json

import numpy as np
import onnx
import pytest

from covenant.cli import main
from tests.support.models import F32, U8, dequantize, model_of, node, parameters, quantize

P = parameters(x=(0.1, 3), y=(0.05, 7))


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def pool(shape, out):
    """MaxPool 2x2 of a float input; saved as m.onnx."""
    nodes = [quantize("x", "q", "x"), dequantize("q", "d", "x"), node("MaxPool", "d", "m", kernel_shape=[2, 2], strides=[2, 2]),
             quantize("m", "r", "x"), dequantize("r", "y", "x")]
    onnx.save(model_of(nodes, {"x": (F32, shape)}, {"y": (F32, out)}, P), "m.onnx")


def both():
    """Two inputs that share the dimension N; saved as m.onnx."""
    nodes = [dequantize("a", "d", "x"), dequantize("b", "e", "x"), node("Add", "d e", "s"), quantize("s", "y", "y")]
    onnx.save(model_of(nodes, {"a": (U8, ("N", 4, 2, "W")), "b": (U8, ("N", 4, 2, "W"))}, {"y": (U8, ("N", 4, 2, "W"))}, P), "m.onnx")


def run(capsys, *arguments):
    status = main(["run", "m.onnx", "--arch", "tiny", "--on", "iss", "--json", "-", *arguments])
    captured = capsys.readouterr()
    return (status, json.loads(captured.out)) if captured.out else (status, captured.err.removeprefix("covenant: ").removesuffix("\n"))


@pytest.mark.parametrize(("declared", "given", "elements"), [
    (("N", 3, 8, 8), "1,3,8,8", 48),
    (("N", 3, "H", "W"), "2,3,4,6", 36),
    ((None, 3, None, None), "1,3,4,4", 12),
    ((1, 3, 8, 8), "1,3,4,4", 12),
    (("N", 3, 8, 8), "3,3,8,8", 144),
])
def test_an_input_takes_the_shape_that_is_given(capsys, declared, given, elements):
    pool(declared, (declared[0], 3, 4, 4) if isinstance(declared[2], int) else (declared[0], 3, None, None))
    status, report = run(capsys, "--shape", f"x={given}", "-o", "y.npz")
    assert status == 0 and report["exact"] is True
    assert report["outputs"]["y"] == {"elements": elements, "mismatches": 0, "max_abs_diff_steps": 0,
                                      "onnxruntime": {"mismatches": 0, "max_abs_diff_steps": 0}}
    n, c, h, w = map(int, given.split(","))
    assert np.load("y.npz")["y"].shape == (n, c, h // 2, w // 2)


def test_a_named_dimension_holds_for_every_input(capsys):
    both()
    status, report = run(capsys, "--shape", "a=2,4,2,6")
    assert (status, report["exact"], report["outputs"]["y"]["elements"]) == (0, True, 96)


@pytest.mark.parametrize("command", [("compile", "-o", "p.covenant"), ("predict",)])
def test_other_commands_take_it_too(capsys, command):
    pool(("N", 3, 8, 8), ("N", 3, 4, 4))
    assert main([command[0], "m.onnx", "--arch", "tiny", "--shape", "x=1,3,8,8", *command[1:]]) == 0


@pytest.mark.parametrize(("options", "expected"), [
    ((), "found dimensions left open: a (N, 4, 2, W); b (N, 4, 2, W); expected positive numbers; "
         "give --shape a=N,4,2,W --shape b=N,4,2,W, with numbers for what is open"),
    (("--shape", "c=1,4,2,2"), "--shape names 'c'; expected an input of the network: a, b"),
    (("--shape", "a=1,4,2"), "--shape a=1,4,2 has 3 sizes; expected 4, as the network declares"),
    (("--shape", "a=1,4,2,2", "--shape", "b=1,4,2,3"), "--shape gives dimension W the sizes 2 and 3; expected one size"),
])
def test_shapes_that_do_not_fit(capsys, options, expected):
    both()
    prefix = "model m.onnx: "
    assert run(capsys, *options) == (2, prefix + expected)


def test_a_shape_that_the_network_cannot_have(capsys):
    nodes = [dequantize("x", "d", "x"), node("Reshape", "d t", "r"), quantize("r", "y", "x")]
    onnx.save(model_of(nodes, {"x": (U8, ("N", 4))}, {"y": (U8, (2, 2))}, {**P, "t": np.int64([2, 2])}), "m.onnx")
    status, message = run(capsys, "--shape", "x=2,4")
    assert status == 2
    assert message == "model m.onnx: node n_r (Reshape): found shape = [2, 2] for an input of shape (2, 4); expected as many elements; correct the file"


def test_a_program_file_has_its_shapes(capsys):
    pool((1, 3, 8, 8), (1, 3, 4, 4))
    assert main(["compile", "m.onnx", "--arch", "tiny", "-o", "p.covenant"]) == 0
    capsys.readouterr()
    assert main(["run", "p.covenant", "--on", "iss", "--shape", "x=1,3,8,8"]) == 2
    assert capsys.readouterr().err == (
        "covenant: p.covenant: --shape with a program file, whose shapes are fixed; expected an ONNX network, give the option to covenant compile\n"
    )


@pytest.mark.parametrize("text", ["x", "x=", "=1,2", "x=1,0", "x=1,-2", "x=1,a", "x=1,,2"])
def test_what_is_no_shape(capsys, text):
    with pytest.raises(SystemExit) as error:
        main(["run", "m.onnx", "--shape", text])
    assert error.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"covenant run: error: argument --shape: {text!r} is not NAME=SIZE,SIZE,... with sizes of at least 1"
    )
