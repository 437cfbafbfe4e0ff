"""Weights of four and two bits, and weights whose scales vary along the reduction (block_size): bytes equal the definition, onnxruntime a step at most."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from acg.graph import load_graph
from compiler.errors import UnsupportedError
from compiler.ir.blockwise import BlockwiseConv
from compiler.passes import compile_network
from compiler.read_network import read_network
from covenant.networks import CompiledNetwork
from covenant.report import judge_network
from covenant.samples import draw, model_inputs
from tests.compiler.ir_reference import check_program
from tests.support.models import U8, dequantize, model_of, node, parameters, quantize
from tests.support.products import TINY, check, product_model
from verif.random.networks import random_inputs

T = onnx.TensorProto
#: ONNX's number of a type: bits, signed.
TYPES = {T.INT4: (4, True), T.UINT4: (4, False), T.INT2: (2, True), T.UINT2: (2, False), T.INT8: (8, True), T.UINT8: (8, False)}

#: Operator, shape of x, shape of w, axis of the blocks, block, attributes.
FORMS = {
    "MatMul": ("MatMul", (5, 64), (64, 9), 0, 16, {}),
    "MatMul of images": ("MatMul", (2, 3, 32), (32, 6), 0, 8, {}),
    "a block alone": ("MatMul", (5, 32), (32, 6), 0, 32, {}),
    "a ragged block": ("MatMul", (5, 30), (30, 6), 0, 8, {}),
    "scales of the rows": ("MatMul", (5, 12), (12, 6), 1, 3, {}),
    "matrices": ("MatMul", (3, 4, 16), (3, 16, 5), 1, 4, {}),
    "Gemm": ("Gemm", (4, 32), (6, 32), 1, 8, {"transB": 1, "alpha": 0.5}),
    "Conv": ("Conv", (1, 8, 6, 5), (5, 8, 3, 3), 1, 4, {"pads": [1] * 4, "strides": [2, 1]}),
    "blocks of channels": ("Conv", (1, 3, 5, 5), (6, 3, 2, 2), 0, 2, {}),
    "grouped": ("Conv", (1, 8, 5, 4), (4, 4, 3, 3), 1, 2, {"group": 2}),
    "depthwise": ("Conv", (1, 6, 5, 5), (6, 1, 3, 3), 0, 3, {"group": 6}),
    "one dimension": ("Conv", (1, 8, 9), (5, 8, 3), 1, 4, {}),
    "volume": ("Conv", (1, 4, 3, 4, 4), (5, 4, 2, 2, 2), 1, 2, {}),
    "transposed": ("ConvTranspose", (1, 8, 4, 3), (8, 5, 3, 3), 0, 4, {"strides": [2, 2]}),
}


def blockwise_model(form, kind=T.INT4, *, seed=0, bias=False, zeros=True, x_zero=117):
    op, x, w, axis, block, attributes = FORMS[form]
    bits, signed = TYPES[kind]
    rng = np.random.default_rng(seed)
    low = -(1 << bits - 1) if signed else 0
    dtype = np.int8 if signed else np.uint8
    shape = tuple(-(-size // block) if i == axis else size for i, size in enumerate(w))
    weights = rng.integers(low, low + (1 << bits), w).astype(dtype)
    zero = rng.integers(low, low + (1 << bits), shape).astype(dtype) if zeros else np.zeros(shape, dtype)
    channels = w[0] if op == "Conv" or attributes.get("transB") else w[1] if op == "ConvTranspose" else w[-1]
    return product_model(
        op, x, weights, rng.uniform(0.02, 0.2, shape) / (1 << bits), zero, bias=rng.normal(0, 0.4, channels).astype(np.float32) if bias else None, x_zero=x_zero,
        dequantise={"axis": axis, "block_size": block}, w_type=kind if bits < 8 else 0, **attributes,
    )  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_product(form):
    check(blockwise_model(form, bias=form in ("MatMul", "Gemm", "Conv", "transposed")))


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("form", ["MatMul", "Conv"])
def test_every_type(form, kind):
    check(blockwise_model(form, kind, seed=3, bias=True, x_zero=-20))


@pytest.mark.parametrize("kind", [T.INT4, T.UINT4, T.INT2, T.UINT2])
@pytest.mark.parametrize("axis", [None, 1])
def test_few_bits_without_blocks(kind, axis):
    """For the tensor or a column: sums of all rows, as of any integers."""
    bits, signed = TYPES[kind]
    low, count = -(1 << bits - 1) if signed else 0, 1 << bits
    rng, dtype = np.random.default_rng(2), np.int8 if signed else np.uint8
    weights = rng.integers(low, low + count, (24, 7)).astype(dtype)
    scale = 0.5 / count if axis is None else rng.uniform(0.2, 0.8, 7) / count
    zero = dtype(low + 1) if axis is None else rng.integers(low, low + count, 7).astype(dtype)
    model = product_model("MatMul", (4, 24), weights, scale, zero, dequantise={} if axis is None else {"axis": axis}, w_type=kind)
    check(model)
    assert {n.op for n in read_network(model).nodes} == {"Conv"}


def test_weights_that_the_network_quantises():
    """Fake quantisation to four bits: QuantizeLinear of float weights, in blocks."""
    rng = np.random.default_rng(7)
    constants = {**parameters(x=(0.02, 120), y=(0.06, 125)), "w": rng.normal(0, 0.1, (32, 6)).astype(np.float32), "sw": rng.uniform(0.01, 0.04, (4, 6)).astype(np.float32)}
    nodes = [
        dequantize("x", "d", "x"), node("QuantizeLinear", "w sw", "q", block_size=8, axis=0, output_dtype=T.INT4),
        node("DequantizeLinear", "q sw", "e", block_size=8, axis=0), node("MatMul", "d e", "p"), quantize("p", "y", "y"),
    ]
    check(model_of(nodes, {"x": (U8, (3, 32))}, {"y": (U8, (3, 6))}, constants, opset=21))


def test_equal_scales_are_one_sum():
    """Blocks that have the same scales for every column are one exact sum, and all of them a Conv."""
    rng = np.random.default_rng(4)
    weights, scales = rng.integers(-8, 8, (32, 6)).astype(np.int8), rng.uniform(0.01, 0.05, (4, 6)).astype(np.float32)
    scales[2] = scales[0]
    options = {"dequantise": {"axis": 0, "block_size": 8}, "w_type": T.INT4}
    model = product_model("MatMul", (3, 32), weights, scales, np.zeros((4, 6), np.int8), **options)
    check(model)
    (convolution,) = (n for n in read_network(model).nodes if n.op == "BlockwiseConv")
    assert isinstance(convolution.attrs, BlockwiseConv)
    assert convolution.attrs.part.ravel().tolist() == [0] * 8 + [1] * 8 + [0] * 8 + [2] * 8
    same = product_model("MatMul", (3, 32), weights, np.repeat(scales[:1], 4, 0), np.zeros((4, 6), np.int8), **options)
    assert {n.op for n in read_network(same).nodes} == {"Conv"}


@pytest.mark.parametrize("activation", ["Relu", "Clip", "Sigmoid"])
def test_what_follows(activation):
    """A clamp joins the product, a table behind its quantisation too."""
    model = blockwise_model("MatMul", bias=True)
    (scale, zero), (low, high) = ("sy", "zy"), (np.float32(-0.5), np.float32(0.5))
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    del copy.graph.node[-1]
    inputs = {"Clip": "p low high"}.get(activation, "p")
    if activation == "Sigmoid":
        copy.graph.node.extend([node("QuantizeLinear", f"p {scale} {zero}", "q"), node("DequantizeLinear", f"q {scale} {zero}", "r"), node("Sigmoid", "r", "a"),
                                node("QuantizeLinear", "a sa za", "y")])  # fmt: skip
    else:
        copy.graph.node.extend([node(activation, inputs, "a"), node("QuantizeLinear", f"a {scale} {zero}", "y")])
    constants = {"low": low, "high": high, "sa": np.float32(1 / 256), "za": np.uint8(0)}
    copy.graph.initializer.extend(onnx.numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items())
    check(copy)
    assert sum(layer.op == "BlockwiseConv" for layer in compile_network(read_network(copy), TINY).layers) == 1


@pytest.mark.parametrize("machine", ["edge16", "dot16", "wide"])
def test_on_other_machines(machine):
    target = load_graph(machine)
    for form in ("MatMul", "Conv", "grouped"):
        model = blockwise_model(form, T.UINT8, bias=True)
        inputs, graph = random_inputs(model, 2), read_network(model)
        assert check_program(graph, compile_network(graph, target), target, inputs) > 0


@pytest.mark.parametrize(("scales", "attributes", "found"), [
    ((4, 6), {"axis": 0, "block_size": 16}, "shape (4, 6) for a constant of shape (32, 6), axis 0 and blocks of 16"),
    ((4, 5), {"axis": 0, "block_size": 8}, "shape (4, 5) for a constant of shape (32, 6), axis 0 and blocks of 8"),
    ((5,), {"axis": 1}, "shape (5,) for a constant of shape (32, 6), axis 1"),
    ((6,), {"axis": 2}, "shape (6,) for a constant of shape (32, 6), axis 2"),
    ((4, 6), {"axis": 0, "block_size": -8}, "shape (4, 6) for a constant of shape (32, 6), axis 0 and blocks of -8"),
])  # fmt: skip
def test_scales_that_do_not_fit(scales, attributes, found):
    constants = {**parameters(x=(0.02, 120), y=(0.06, 125)), "w": np.ones((32, 6), np.int8), "sw": np.linspace(1, 2, int(np.prod(scales)), dtype=np.float32).reshape(scales)}
    nodes = [dequantize("x", "d", "x"), node("DequantizeLinear", "w sw", "e", **attributes), node("MatMul", "d e", "p"), quantize("p", "y", "y")]
    model = model_of(nodes, {"x": (U8, (3, 32))}, {"y": (U8, (3, 6))}, constants, opset=21)
    with pytest.raises((UnsupportedError, ValueError)) as error:
        read_network(model, name="m")
    if isinstance(error.value, UnsupportedError):  # what onnx itself refuses says onnx
        sentence = "Scales and zero points of a constant must be one, one for each slice along the axis, or one for each block of block_size slices."
        assert str(error.value).endswith(f"n_e (DequantizeLinear): {sentence} Found {found}.")


@pytest.mark.rtl
def test_on_the_rtl_of_tiny():
    model = blockwise_model("MatMul", T.UINT4, bias=True)
    program = compile_network(read_network(model), TINY)
    report, _ = judge_network(CompiledNetwork("m", TINY, program, model), draw(model_inputs(model), seed=1, count=2), on="rtl")
    assert report["exact"] and report["instructions"] == {"count": len(program.instructions), "timeline_mismatches": 0}
