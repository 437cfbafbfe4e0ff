"""ArgMax on the machine: bytes against the definition and onnxruntime, ties included."""

import json

import numpy as np
import onnx
import pytest

from acg.graph import load_graph
from acg.predictor import predict
from compiler.errors import UnsupportedError
from compiler.loader import load_program
from compiler.passes import compile_network
from compiler.read_network import read_network
from covenant.cli import main
from covenant.networks import CompiledNetwork
from covenant.report import judge_network
from tests.support.models import F32, I8, U8, dequantize, model_of, node, parameters, quantize
from verif.hazards import find_hazards

I64 = onnx.TensorProto.INT64
#: Input shape, attributes, shape of the result.
CASES = {
    "classes": ((1, 10), {"axis": -1, "keepdims": 0}, (1,)),
    "one": ((2, 1), {"axis": 1}, (2, 1)),
    "segmentation": ((1, 21, 6, 5), {"axis": 1}, (1, 1, 6, 5)),
    "last of equal ones": ((2, 17, 3, 4), {"axis": 1, "keepdims": 0, "select_last_index": 1}, (2, 3, 4)),
    "rows": ((1, 3, 40, 2), {"axis": 2}, (1, 3, 1, 2)),
    "first axis": ((5, 4), {}, (1, 4)),
    "most": ((3, 255), {"axis": 1}, (3, 1)),
    "most, last": ((3, 255), {"axis": 1, "select_last_index": 1, "keepdims": 0}, (3,)),
    "two digits": ((3, 256), {"axis": 1}, (3, 1)),
    "two digits, last": ((1, 511, 2, 2), {"axis": 1, "select_last_index": 1}, (1, 1, 2, 2)),
    "thousand": ((2, 1000), {"axis": -1, "keepdims": 0}, (2,)),
}


def arg_max_model(name, *, integers):
    shape, attributes, result = CASES[name]
    if integers:
        return model_of([node("ArgMax", "x", "y", **attributes)], {"x": (I8, shape)}, {"y": (I64, result)}, {})
    nodes = [quantize("x", "q", "x"), dequantize("q", "d", "x"), node("ArgMax", "d", "y", **attributes)]
    return model_of(nodes, {"x": (F32, shape)}, {"y": (I64, result)}, parameters(x=(0.5, 131)))


def judged(name, arch, *, integers=False, on="iss"):
    model, graph = arg_max_model(name, integers=integers), load_graph(arch)
    program = compile_network(read_network(model, name=name), graph)
    rng = np.random.default_rng(len(name))
    # Few different numbers: most rows have several largest ones.
    samples = [{"x": rng.integers(-3, 3, CASES[name][0]).astype(np.int8 if integers else np.float32)} for _ in range(3)]
    report, outputs = judge_network(CompiledNetwork(name, graph, program, model), samples, on=on)
    assert report["exact"], report["outputs"]
    assert report["outputs"]["y"]["onnxruntime"] == {"mismatches": 0, "max_abs_diff_steps": 0}
    assert all(sample["y"].dtype == np.int64 and sample["y"].shape == CASES[name][2] for sample in outputs)
    assert find_hazards(graph, program.instructions, predict(graph, program.instructions)) == []
    return outputs


@pytest.mark.parametrize("arch", ["tiny", "edge16", "wide"])
@pytest.mark.parametrize("name", CASES)
def test_numbers_of_the_largest(name, arch):
    outputs = judged(name, arch)
    assert name == "one" or any(sample["y"].any() for sample in outputs)


@pytest.mark.parametrize("name", ["classes", "segmentation", "last of equal ones"])
def test_raw_integers(name):
    judged(name, "tiny", integers=True)


@pytest.mark.rtl
@pytest.mark.parametrize("name", ["segmentation", "two digits"])
def test_on_rtl(name):
    judged(name, "tiny", on="rtl")


def test_the_first_of_equal_ones_anywhere():
    """Pairs of largest channels within a block of 255, across its border and far apart."""
    graph, name = load_graph("edge16"), "thousand"
    model = arg_max_model(name, integers=True)
    program = compile_network(read_network(model, name=name), graph)
    pairs = [(0, 999), (254, 255), (253, 254), (255, 509), (509, 510), (764, 765), (998, 999), (1, 2), (7, 7), (999, 999)]
    samples = []
    for first, second in pairs:
        rows = np.full((2, 1000), -128, np.int8)
        rows[0, [first, second]] = 127
        rows[1, [first, second]] = -127
        samples.append({"x": rows})
    report, outputs = judge_network(CompiledNetwork(name, graph, program, model), samples, on="iss")
    assert report["exact"] and [tuple(sample["y"]) for sample in outputs] == [(first, first) for first, _ in pairs]


def test_program_files_keep_the_type(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    onnx.save(arg_max_model("classes", integers=False), "m.onnx")
    assert main(["compile", "m.onnx", "--arch", "tiny", "-o", "m.covenant", "--quiet"]) == 0
    assert [item.dtype for item in load_program("m.covenant", load_graph("tiny")).outputs] == ["i64"]
    capsys.readouterr()
    assert main(["run", "m.covenant", "--arch", "tiny", "--on", "iss", "-o", "y.npz", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["outputs"]["y"]["elements"] == 1
    with np.load("y.npz") as arrays:
        assert (arrays["y"].dtype, arrays["y"].shape) == (np.int64, (1,))


def test_too_many_to_compare():
    model = model_of([node("ArgMax", "x", "y", axis=1)], {"x": (U8, (1, 65026))}, {"y": (I64, (1, 1))}, {})
    with pytest.raises(UnsupportedError) as caught:
        read_network(model, name="many")
    message = "n_y (ArgMax): ArgMax must compare at most 65025 elements, whose numbers are two digits to the base 255. Found 65026."
    assert message in str(caught.value)


def test_numbers_are_an_output_only():
    nodes = [node("ArgMax", "x", "i", axis=1), node("Add", "i i", "y")]
    model = model_of(nodes, {"x": (U8, (1, 9))}, {"y": (I64, (1, 1))}, {})
    with pytest.raises(UnsupportedError) as caught:
        read_network(model, name="sum of numbers")
    assert "n_y (Add): " in str(caught.value) and "Found i, an integer tensor of type i64." in str(caught.value)
