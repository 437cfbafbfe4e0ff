"""The constants that products add: of any type and scale, and those that do not fit int32 beside a channel whose scale is next to nothing."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from compiler.read_network import read_network
from covenant.cli import main
from tests.support.models import U8, dequantize, model_of, node, parameters, quantize
from tests.support.products import check
from verif.random.networks import random_inputs
from verif.reference import Reference

X, W = np.float32(0.02), np.float32(0.01)
FLOATS = np.array([0.5, -1.0, 2.0, 0.04], np.float32)
#: Type, scale and zero point of a bias that DequantizeLinear makes.
DEQUANTISED = {
    "int32 in steps of the sums": (np.int32, X * W, 0), "int32 in other steps": (np.int32, 0.0007, 0), "int32, fine": (np.int32, 3e-9, 0),
    "int32 with a zero point": (np.int32, X * W, 500), "int16": (np.int16, 0.0001, 0), "uint16": (np.uint16, 0.0001, 30000), "int8": (np.int8, 0.02, 0),
    "uint8": (np.uint8, 0.02, 128), "one scale a channel": (np.int32, X * W * np.array([1, 2, 3, 4]), 0),
}


def product(op, bias, *, quantisation=None, w_scale=W, weights=None):
    """Conv, ConvTranspose, Gemm or MatMul and Add, with four channels."""
    rng = np.random.default_rng(4)
    conv = op.startswith("Conv")
    x, w = ((1, 4, 5, 5), (4, 4, 3, 3)) if conv else ((5, 12), (12, 4))
    weights = rng.integers(-127, 128, w).astype(np.int8) if weights is None else weights
    constants = {**parameters(x=(X, 128), w=(w_scale, np.zeros(np.shape(w_scale), np.int8)), y=(0.05, 120)), "w": weights, "b": bias}
    nodes = [dequantize("x", "xd", "x"), dequantize("w", "wd", "w", axis=0 if op == "Conv" else 1)]
    if quantisation is not None:
        dtype, scale, zero = quantisation
        steps = np.rint(bias.astype(np.float64) / scale) + zero
        constants |= {"b": steps.astype(dtype), "sb": np.asarray(scale, np.float32), "zb": np.full(np.shape(scale), zero, dtype)}
        nodes.append(dequantize("b", "bd", "b", axis=0))
    name = "b" if quantisation is None else "bd"
    nodes += [node("MatMul", "xd wd", "m"), node("Add", f"m {name}", "p")] if op == "MatMul" else [node(op, f"xd wd {name}", "p")]
    return model_of([*nodes, quantize("p", "y", "y")], {"x": (U8, x)}, {"y": (U8, [f"o{i}" for i in range(len(x))])}, constants, opset=21)


@pytest.mark.parametrize("kind", DEQUANTISED)
@pytest.mark.parametrize("op", ["Conv", "ConvTranspose", "Gemm", "MatMul"])
def test_types_and_scales(op, kind):
    """onnxruntime's QGemm would take the integers of an int32 bias whatever their scale is: it is given such a bias as float numbers."""
    model = product(op, FLOATS, quantisation=DEQUANTISED[kind])
    check(model, iss=op == "Conv")
    assert read_network(model).notes == ()


@pytest.mark.parametrize("shape", [(4,), (1, 4), (1,), (), (1, 1)])
@pytest.mark.parametrize("op", ["Gemm", "MatMul"])
def test_shapes(op, shape):
    check(product(op, np.broadcast_to(FLOATS, (1, 4)).reshape(shape) if 4 in shape else FLOATS[:1].reshape(shape)), iss=False)


@pytest.mark.parametrize(("op", "sign"), [("Conv", 1), ("Conv", -1), ("ConvTranspose", 1), ("Gemm", 1), ("MatMul", -1)])
def test_a_bias_beside_a_dead_channel(op, sign):
    """It saturates, as the integers that onnxruntime's quantiser writes do, and a note says so."""
    scales = np.array([W, 1e-12, W, W], np.float32)
    model = product(op, FLOATS * np.float32([1, sign, 1, 1]), w_scale=scales)
    check(model)
    wrong = f"{4.29e-05 * -sign:.3g} in place of {-sign}"
    label = "n_p (Add)" if op == "MatMul" else f"n_p ({op})"
    assert read_network(model, name="m").notes == (
        f"{label}: the bias of 1 of 4 channels is beyond int32 in steps of x_scale * w_scale and saturates, as onnxruntime's does: channel 1 adds {wrong}",
    )


@pytest.mark.parametrize("scale", [0.0, 1e-38, 1e-30])
def test_weights_that_are_nothing(scale):
    """A channel whose weights and scale are zero, or whose scale underflows beside that of the input."""
    weights = np.random.default_rng(1).integers(-127, 128, (12, 4)).astype(np.int8)
    weights[:, 1] = 0
    model = product("Gemm", FLOATS * np.float32([1, 0, 1, 1]), w_scale=np.array([W, scale, W, W], np.float32), weights=weights)
    check(model)
    assert (Reference(model).run(random_inputs(model, 5))["y"][:, 1] == 120).all()


def test_a_bias_in_integers_that_saturate():
    """What quantize_static writes: integers at the end of their range are what the file says, and no note."""
    scales = np.array([W, 1e-12, W, W], np.float32)
    model = product("Conv", np.clip(FLOATS, -4.2e-5, None), w_scale=scales, quantisation=(np.int32, X * scales, 0))
    check(model)
    assert read_network(model).notes == ()


@pytest.mark.parametrize("clipped", [False, True])
@pytest.mark.parametrize("op", ["Conv", "ConvTranspose", "Gemm", "MatMul"])
def test_sums_beside_a_bias_at_the_end_of_int32(op, clipped):
    """They do not turn round: products stand for numbers, which onnxruntime computes as such where a Clip keeps its integer kernels away."""
    largest = np.array([2**31 - 1, -(2**31), 0, 2**31 - 1])
    weights = np.random.default_rng(6).integers(-9, 10, (4, 4, 3, 3) if op.startswith("Conv") else (12, 4)).astype(np.int8)
    model = product(op, largest * np.float64(X * W), quantisation=(np.int32, X * W, 0), weights=weights)
    data = next(item for item in model.graph.initializer if item.name == "b")
    data.CopyFrom(numpy_helper.from_array(largest.astype(np.int32), "b"))
    if clipped:
        *nodes, last = model.graph.node
        clip = node("Clip", "p low high", "clip")
        model.graph.initializer.extend([numpy_helper.from_array(np.float32(v), n) for n, v in (("low", -5), ("high", 5))])
        last.input[0] = "clip"
        del model.graph.node[:]
        model.graph.node.extend([*nodes, clip, last])
    check(model, iss=op != "MatMul")
    result = np.moveaxis(Reference(model).run(random_inputs(model, 5))["y"], 1 if op.startswith("Conv") else -1, 0)
    assert (result[0] == result[0].max()).all() and (result[1] == result[1].min()).all() and result[0].max() > result[1].min()


def test_the_warning_is_told(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    onnx.save(product("Gemm", FLOATS, w_scale=np.array([W, 1e-12, W, W], np.float32)), "m.onnx")
    text = ("model m.onnx: n_p (Gemm): the bias of 1 of 4 channels is beyond int32 in steps of x_scale * w_scale and saturates, as onnxruntime's does: "
            "channel 1 adds -4.29e-05 in place of -1")
    for command in (["run", "m.onnx", "--arch", "tiny", "--on", "iss", "--json", "-"], ["compile", "m.onnx", "--arch", "tiny", "-o", "m.covenant", "--json", "-"],
                    ["run", "m.onnx", "--arch", "tiny", "--on", "iss", "--fallback", "host", "--json", "-"]):  # fmt: skip
        assert main(command) == 0
        told = capsys.readouterr()
        assert f"covenant: warning: {text}\n" in told.err
        assert json.loads(told.out)["warnings"] == [text]
