"""Constant operands in every place: a scale a channel where the readers allow it, one for the tensor where they do not, and it is said."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from acg.graph import load_graph
from covenant.cli import main
from covenant.networks import CompiledNetwork
from covenant.quantise import convert, draw_calibration, outcome_of, prepared, quantise
from covenant.report import judge_network
from covenant.samples import draw, model_inputs
from tests.support.models import F32, model_of, node
from verif.golden import open_session

TINY = load_graph("tiny")
RNG = np.random.default_rng(4)


def normal(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def network(nodes, constants, shape):
    read = {name for item in nodes for name in item.input}
    outputs = {name: (F32, None) for item in nodes for name in item.output if name not in read}
    return model_of(nodes, {"x": (F32, shape)}, outputs, constants)


MATRIX, IMAGE = (2, 8), (1, 4, 4, 4)
#: Networks, and whether all weights have scales a channel.
CASES = {
    **{f"Gemm, C {shape}, transB {trans}": (
        [node("Gemm", "x w c", "y", transB=trans, beta=2.0)], {"w": normal(5, 8) if trans else normal(8, 5), "c": normal(*shape)}, MATRIX, True)
       for shape in ((5,), (1, 5), (2, 5), (1,), (), (2, 1), (1, 1)) for trans in (0, 1)},
    "Gemm, A constant": ([node("Gemm", "a x", "y", alpha=0.5)], {"a": normal(3, 2)}, MATRIX, True),
    "Gemm, A and C constant": ([node("Gemm", "a x c", "y", transA=1, beta=0.5)], {"a": normal(2, 3), "c": normal(8)}, MATRIX, True),
    "Gemm, A constant, transB": ([node("Gemm", "a x", "y", transB=1)], {"a": normal(3, 8)}, MATRIX, True),
    "MatMul, constant in front": ([node("MatMul", "a x", "y")], {"a": normal(3, 2)}, MATRIX, True),
    "MatMul, a vector": ([node("MatMul", "x a", "y")], {"a": normal(8)}, MATRIX, False),
    "MatMul, a vector in front": ([node("MatMul", "a x", "y")], {"a": normal(2)}, MATRIX, False),
    "MatMul, a vector by one": ([node("MatMul", "x a", "y")], {"a": normal(8)}, (8,), False),
    "MatMul, a vector in front of matrices": ([node("MatMul", "a x", "y")], {"a": normal(2)}, (3, 2, 8), False),
    "MatMul, a batch of matrices": ([node("MatMul", "x a", "y")], {"a": normal(3, 8, 5)}, (3, 2, 8), True),
    "one constant from both sides": ([node("Gemm", "x w", "h"), node("Gemm", "h w", "y", transB=1)], {"w": normal(8, 5)}, MATRIX, True),
    "one constant, MatMul and Gemm": ([node("MatMul", "x w", "h"), node("Gemm", "h w", "y", transB=1)], {"w": normal(8, 5)}, MATRIX, True),
    "one constant in front and behind": ([node("MatMul", "x w", "h"), node("MatMul", "w h", "y")], {"w": normal(8, 8)}, (8, 8), True),
    "one constant as weights and addend": ([node("MatMul", "x w", "h"), node("Relu", "h", "g"), node("Add", "g w", "y")], {"w": normal(8, 8)}, (8, 8), True),
    "one bias twice": ([node("Gemm", "x w c", "h"), node("Gemm", "h v c", "y")], {"w": normal(8, 5), "v": normal(5, 5), "c": normal(5)}, MATRIX, True),
    "a bias that is added too": ([node("Gemm", "x w c", "h"), node("Add", "h c", "y")], {"w": normal(8, 5), "c": normal(5)}, MATRIX, True),
    "ConvTranspose in groups": ([node("ConvTranspose", "x w b", "y", group=2)], {"w": normal(4, 3, 3, 3), "b": normal(6)}, IMAGE, False),
    "ConvTranspose": ([node("ConvTranspose", "x w b", "y")], {"w": normal(4, 3, 3, 3), "b": normal(3)}, IMAGE, True),
    "LayerNormalization of two dimensions": (
        [node("LayerNormalization", "x s b", "y", axis=1)], {"s": normal(2, 8), "b": normal(2, 8)}, (1, 2, 8), False),
}


@pytest.mark.parametrize("case", CASES)
def test_constants_in_every_place(case):
    nodes, constants, shape, per_channel = CASES[case]
    model = network(nodes, constants, shape)
    original = prepared(model, name="m")
    samples = draw_calibration(model_inputs(original), seed=3, count=4).samples
    expected = open_session(model).run(None, samples[0])[0]
    np.testing.assert_allclose(open_session(original).run(None, samples[0])[0], expected, atol=1e-4, rtol=1e-4)
    made = quantise(original, samples, name="m")
    assert (made.shared == ()) == per_channel, made.shared
    np.testing.assert_allclose(open_session(made.model).run(None, samples[0])[0], expected, atol=0.05 * np.abs(expected).max())
    result = outcome_of(made, TINY, name="m")
    assert result.runs, (result.unsupported, result.refusal)
    report, _ = judge_network(CompiledNetwork("m", TINY, result.programs[0], made.model), draw(model_inputs(made.model), seed=5, count=2), on="iss")
    assert report["exact"] is True


@pytest.mark.parametrize(("style", "batch"), [("two Gemms", 2), ("MatMul and Add", 1), ("computed C", 1), ("concatenated", 2)])
def test_unrolled_lstm(style, batch):
    """A constant first state folds into a bias of one row or of several; onnxruntime's optimiser makes Gemms with a computed C."""
    steps, width, state = 2, 8, 5
    rng = np.random.default_rng(batch)
    constants = {
        "w": rng.normal(0, 0.4, (width, 4 * state)), "r": rng.normal(0, 0.4, (state, 4 * state)), "b": rng.normal(0, 0.1, 4 * state),
        "v": rng.normal(0, 0.5, (state, 3)), "h": np.zeros((batch, state)), "c": np.zeros((batch, state)),
    }
    constants = {name: array.astype(np.float32) for name, array in constants.items()}
    constants["wr"] = np.concatenate([constants["w"], constants["r"]])
    nodes, hidden, cell = [], "h", "c"
    for t in range(steps):
        constants[f"i{t}"] = np.int64(t)
        nodes.append(node("Gather", f"x i{t}", f"x{t}", axis=1))
        nodes += {
            "two Gemms": [node("Gemm", f"x{t} w b", f"p{t}"), node("Gemm", f"{hidden} r b", f"q{t}"), node("Add", f"p{t} q{t}", f"g{t}")],
            "MatMul and Add": [node("MatMul", f"x{t} w", f"p{t}"), node("MatMul", f"{hidden} r", f"q{t}"), node("Add", f"p{t} q{t}", f"s{t}"),
                               node("Add", f"s{t} b", f"g{t}")],
            "computed C": [node("MatMul", f"x{t} w", f"p{t}"), node("Add", f"p{t} b", f"s{t}"), node("MatMul", f"{hidden} r", f"q{t}"),
                           node("Add", f"q{t} s{t}", f"g{t}")],
            "concatenated": [node("Concat", f"x{t} {hidden}", f"s{t}", axis=1), node("MatMul", f"s{t} wr", f"p{t}"), node("Add", f"p{t} b", f"g{t}")],
        }[style]
        nodes.append(onnx.helper.make_node("Split", [f"g{t}"], [f"{gate}{t}" for gate in ("gi", "gf", "gg", "go")], name=f"split{t}", axis=1))
        nodes += [node("Sigmoid", f"gi{t}", f"si{t}"), node("Sigmoid", f"gf{t}", f"sf{t}"), node("Tanh", f"gg{t}", f"tg{t}"), node("Sigmoid", f"go{t}", f"so{t}"),
                  node("Mul", f"sf{t} {cell}", f"k{t}"), node("Mul", f"si{t} tg{t}", f"n{t}"), node("Add", f"k{t} n{t}", f"c{t}"),
                  node("Tanh", f"c{t}", f"tc{t}"), node("Mul", f"so{t} tc{t}", f"h{t}")]  # fmt: skip
        hidden, cell = f"h{t}", f"c{t}"
    nodes.append(node("MatMul", f"{hidden} v", "y"))
    read = {name for item in nodes for name in item.input}
    model = model_of(nodes, {"x": (F32, (batch, steps, width))}, {"y": (F32, (batch, 3))}, {name: a for name, a in constants.items() if name in read})
    original = prepared(model, name="m")
    made = quantise(original, draw_calibration(model_inputs(original), seed=0, count=4).samples, name="m")
    assert made.shared == () and made.unsupported == ()
    assert all(len(item.input) < 3 or item.input[2] in {i.name for i in original.graph.initializer} for item in original.graph.node if item.op_type == "Gemm")
    result = outcome_of(made, TINY, name="m")
    report, _ = judge_network(CompiledNetwork("m", TINY, result.programs[0], made.model), draw(model_inputs(made.model), seed=5, count=2), on="iss")
    assert report["exact"] is True


def test_one_scale_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    nodes, constants, shape, _ = CASES["ConvTranspose in groups"]
    onnx.save(network(nodes, constants, shape), "m.onnx")
    assert main(["quantize", "m.onnx", "-o", "q.onnx", "--arch", "tiny"]) == 0
    assert "one scale for all channels of w: n_y is a transposed convolution in 2 groups" in capsys.readouterr().out.splitlines()
    assert main(["quantize", "m.onnx", "-o", "q.onnx", "--arch", "tiny", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["per_tensor"] == [{"tensor": "w", "why": "n_y is a transposed convolution in 2 groups"}]
    assert main(["quantize", "m.onnx", "-o", "q.onnx", "--arch", "tiny", "--per-tensor", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["per_tensor"] == []


def test_where_onnxruntime_fails_a_channel_all_have_one_scale(monkeypatch):
    """Whatever it is that fails: its words are kept."""
    nodes, constants, shape, _ = CASES["Gemm, C (5,), transB 0"]
    original = prepared(network(nodes, constants, shape), name="m")
    real = convert.quantize_static

    def fails(*arguments, **options):
        if options["per_channel"]:
            raise ValueError("cannot reshape\nat all")
        return real(*arguments, **options)

    monkeypatch.setattr(convert, "quantize_static", fails)
    made = quantise(original, draw_calibration(model_inputs(original), seed=3, count=2).samples, name="m")
    assert [(entry.tensor, entry.why) for entry in made.shared] == [("all weights", "onnxruntime fails with a scale a channel (cannot reshape)")]
    scales = {item.name: numpy_helper.to_array(item) for item in made.model.graph.initializer}
    assert all(scales[item.input[1]].size == 1 for item in made.model.graph.node if item.op_type == "DequantizeLinear")


def test_float64(tmp_path, monkeypatch, capsys):
    """Doubles become float32, samples too."""
    monkeypatch.chdir(tmp_path)
    model = network([node("Gemm", "x w c", "h"), node("Cast", "h", "k", to=onnx.TensorProto.DOUBLE), node("Relu", "k", "y")],
                    {"w": normal(8, 5).astype(np.float64), "c": normal(5).astype(np.float64)}, MATRIX)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = onnx.TensorProto.DOUBLE
    onnx.save(model, "m.onnx")
    for dtype in (np.float64, np.float32):
        np.savez("x.npz", x=np.random.default_rng(0).standard_normal((8, 8)).astype(dtype))
        assert main(["quantize", "m.onnx", "-o", "q.onnx", "--arch", "tiny", "--calibrate", "x.npz", "--json", "-"]) == 0
        captured = capsys.readouterr()
        assert captured.err == "covenant: warning: model m.onnx: float64 becomes float32, inputs and outputs too\n"
        report = json.loads(captured.out)
        assert (report["converted"], report["samples"]) == (["x"], 4)
    assert main(["run", "q.onnx", "--arch", "tiny", "--on", "iss", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["exact"] is True


def test_an_input_of_rank_0_has_as_many_samples_as_numbers(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    model = model_of([node("Mul", "x s", "y")], {"x": (F32, (1, 4)), "s": (F32, ())}, {"y": (F32, (1, 4))}, {})
    onnx.save(model, "m.onnx")
    np.savez("x.npz", x=np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32), s=np.arange(6, dtype=np.float32))
    assert main(["quantize", "m.onnx", "-o", "q.onnx", "--arch", "tiny", "--calibrate", "x.npz", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["samples"] == 6
    scales = {item.name: numpy_helper.to_array(item) for item in onnx.load("q.onnx").graph.initializer}
    assert scales["s_scale"] == pytest.approx(5 / 255)
    assert main(["run", "q.onnx", "--arch", "tiny", "--on", "iss", "--input", "x.npz", "--json", "-"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["exact"] is True and report["samples"] == 6
