"""Weight zero points that differ from channel to channel: in 8 bits where what is left of the weights is within 256 values, else in two planes."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.ir.network import Conv
from compiler.passes import compile_network
from compiler.read_network import read_network
from covenant.networks import CompiledNetwork
from covenant.report import judge_network
from covenant.samples import draw, model_inputs
from tests.support.models import I32, U8, model_of, node
from tests.support.products import TINY, check, product_model
from verif.golden import Golden
from verif.random.networks import random_inputs
from verif.reference import Reference

#: Operator, shape of x, shape of w, axis of the output channels, attributes.
FORMS = {
    "Conv": ("Conv", (1, 3, 6, 5), (7, 3, 3, 3), 0, {"pads": [1] * 4}),
    "pointwise": ("Conv", (2, 9, 3, 2), (6, 9, 1, 1), 0, {}),
    "strided": ("Conv", (1, 3, 7, 6), (5, 3, 3, 2), 0, {"strides": [2, 1]}),
    "grouped": ("Conv", (1, 6, 5, 5), (4, 3, 3, 3), 0, {"group": 2}),
    "depthwise": ("Conv", (1, 6, 6, 5), (6, 1, 3, 3), 0, {"group": 6, "pads": [1] * 4}),
    "one dimension": ("Conv", (1, 3, 9), (5, 3, 3), 0, {}),
    "volume": ("Conv", (1, 2, 3, 4, 4), (5, 2, 2, 2, 2), 0, {}),
    "transposed": ("ConvTranspose", (1, 3, 4, 3), (3, 5, 3, 3), 1, {"strides": [2, 2]}),
    "Gemm": ("Gemm", (4, 9), (9, 7), 1, {}),
    "transposed Gemm": ("Gemm", (9, 4), (7, 9), 0, {"transA": 1, "transB": 1, "alpha": -0.5}),
    "MatMul": ("MatMul", (2, 4, 9), (9, 7), 1, {}),
    "matrices": ("MatMul", (3, 4, 5), (3, 5, 6), 2, {}),
}
#: Type, least and greatest integer, least and greatest zero point, type in the IR.
BYTES = {
    "all bytes": (np.uint8, 0, 255, 0, 255, np.int16),
    "signed bytes": (np.int8, -128, 127, -128, 127, np.int16),
    "near the middle": (np.uint8, 90, 170, 100, 160, np.int8),
    "one side": (np.uint8, 100, 255, 0, 100, np.uint8),
}


def model_with_zeros(form, kind, seed=0):
    op, x, w, axis, attributes = FORMS[form]
    dtype, low, high, zero_low, zero_high, _ = BYTES[kind]
    rng = np.random.default_rng(seed)
    weights = rng.integers(low, high + 1, w).astype(dtype)
    zeros = rng.integers(zero_low, zero_high + 1, w[axis]).astype(dtype)
    zeros[:2] = zero_low, zero_high
    scales = rng.uniform(0.004, 0.01, w[axis])
    return product_model(op, x, weights, scales, zeros, y_scale=0.1 if form == "matrices" else 0.0, dequantise={"axis": axis}, **attributes)


@pytest.mark.parametrize("form", FORMS)
def test_every_product(form):
    check(model_with_zeros(form, "all bytes"), golden=form != "matrices")  # onnxruntime: "b zero point is not valid"


@pytest.mark.parametrize("kind", BYTES)
@pytest.mark.parametrize("form", ["Conv", "depthwise"])
def test_what_is_left_of_the_weights(form, kind):
    model = model_with_zeros(form, kind, seed=2)
    check(model)
    assert {n.attrs.weight.dtype for n in read_network(model).nodes if isinstance(n.attrs, Conv)} == {np.dtype(BYTES[kind][5])}


@pytest.mark.parametrize("op", ["QLinearConv", "ConvInteger", "QLinearMatMul", "MatMulInteger", "QGemm"])
def test_integer_operators(op):
    """Their zero points are inputs of their own."""
    rng = np.random.default_rng(len(op))
    conv = op in ("QLinearConv", "ConvInteger")
    x, w = ((1, 3, 5, 5), (4, 3, 3, 3)) if conv else ((5, 7), (7, 4))
    weights = rng.integers(0, 256, w).astype(np.uint8)
    constants = {
        "w": weights, "sx": np.float32(0.02), "zx": np.uint8(120), "sw": rng.uniform(0.004, 0.01, 4).astype(np.float32),
        "zw": np.array([3, 250, 128, 77], np.uint8), "sy": np.float32(0.3 if conv else 0.15), "zy": np.uint8(120),
    }
    domain = {"domain": "com.microsoft"} if op == "QGemm" else {}
    inputs = {"QGemm": "x sx zx w sw zw - sy zy", "ConvInteger": "x w zx zw", "MatMulInteger": "x w zx zw"}.get(op, "x sx zx w sw zw sy zy")
    out = I32 if op.endswith("Integer") else U8
    used = {name: array for name, array in constants.items() if name in inputs.split()}
    model = model_of([node(op, inputs, "y", **domain)], {"x": (U8, x)}, {"y": (out, ["a", "b", "c", "d"][: len(x)])}, used)
    report, _ = judge_network(CompiledNetwork("m", TINY, compile_network(read_network(model), TINY), model), draw(model_inputs(model), seed=1, count=2), on="iss")
    assert report["exact"], report
    sample = random_inputs(model, 1)
    if op != "ConvInteger":  # onnxruntime has one weight zero point for it
        np.testing.assert_array_equal(Reference(model).run(sample)["y"], Golden(model).run(sample)["y"])


def test_pieces_that_are_zero_are_no_instruction():
    """One channel of many needs a second plane: only its block of columns has one."""
    weights = np.random.default_rng(1).integers(100, 150, (16, 8, 1, 1)).astype(np.uint8)
    plain, zeros = np.full(16, 128, np.uint8), np.full(16, 128, np.uint8)
    zeros[5] = 255
    weights[5, 0] = 0
    weights[6, 0] = 255
    counts = []
    for zero in (plain, zeros):
        program = compile_network(read_network(product_model("Conv", (1, 8, 4, 4), weights, np.full(16, 0.01), zero, dequantise={"axis": 0})), TINY)
        counts.append(sum(np.prod([i.fields[f"n_{level}"] for level in range(6)]) for i in program.instructions if i.engine == "matrix"))
    assert counts[1] == counts[0] * 5 / 4  # of the four blocks of columns one


@pytest.mark.rtl
def test_on_the_rtl_of_tiny():
    model = model_with_zeros("depthwise", "all bytes", seed=4)
    program = compile_network(read_network(model), TINY)
    report, _ = judge_network(CompiledNetwork("m", TINY, program, model), draw(model_inputs(model), seed=1, count=2), on="rtl")
    assert report["exact"] and report["instructions"] == {"count": len(program.instructions), "timeline_mismatches": 0}
