"""MatMulNBits: weights of 2, 4 and 8 bits in blocks, on the functional simulator, against the definition and onnxruntime; what is refused."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from acg.graph import load_graph
from compiler.errors import ModelError, UnsupportedError
from compiler.passes import compile_network
from compiler.read_network import read_network
from tests.compiler.ir_reference import run_on_iss
from tests.compiler.test_compiler_rowwise import onnxruntime_steps
from tests.support.models import F32, U8, dequantize, model_of, node, parameters, quantize
from verif.reference import Reference

SILU = [node("Sigmoid", "m", "s"), node("Mul", "m s", "z")]


def network(k=20, n=6, bits=4, block=16, after=(), zeros="packed", bias=False, groups=None, quantised=True, halves=False, scales=None):
    rng = np.random.default_rng(k)
    blocks = -(-k // block)
    given = {
        "b": rng.integers(0, 256, (n, blocks, block * bits // 8)).astype(np.uint8), "scales": rng.uniform(0.005, 0.02, n * blocks).astype(np.float32),
        "zeros": rng.integers(0, 256, n * -(-blocks * bits // 8)).astype(np.uint8), "groups": groups, "bias": rng.normal(0, 0.3, n).astype(np.float32),
    }  # fmt: skip
    if zeros == "float":
        given["zeros"] = rng.integers(0, 2**bits, (n, blocks)).astype(np.float32)
    if halves:
        given["zeros"] = np.full((n, blocks), 7.5, np.float32)
    if scales is not None:
        given["scales"] = scales
    inputs = ["f" if quantised else "x", "b", "scales", "zeros" if zeros else "", "groups" if groups is not None else "", "bias" if bias else ""]
    attributes = {"K": k, "N": n, "bits": bits, "block_size": block}
    product = onnx.helper.make_node("MatMulNBits", inputs, ["m"], name="n_m", domain="com.microsoft", **attributes)
    nodes = [*([dequantize("x", "f", "x")] if quantised else []), product, *after, quantize(after[-1].output[0] if after else "m", "y", "y")]
    given |= parameters(x=(0.05, 120), y=(0.05, 128))
    used = {name for n in nodes for name in n.input}
    constants = {name: array for name, array in given.items() if name in used}
    return model_of(nodes, {"x": (U8 if quantised else F32, (2, 3, k))}, {"y": (U8, (2, 3, n))}, constants)


MODELS = {
    "4 bits": lambda: network(), "4 bits, no zero points": lambda: network(zeros=""), "8 bits": lambda: network(k=40, bits=8, block=32, bias=True),
    "2 bits": lambda: network(bits=2, zeros=""), "one block": lambda: network(k=16), "float zero points": lambda: network(zeros="float"),
    "a function behind": lambda: network(k=64, bias=True, after=SILU),
}  # fmt: skip


@pytest.mark.parametrize("case", list(MODELS))
def test_packed(case):
    model, graph = MODELS[case](), load_graph("tiny")
    inputs = {name: np.random.default_rng(3).integers(0, 256, shape).astype(np.uint8) for name, (shape, _) in Reference(model).inputs.items()}
    found = run_on_iss(compile_network(read_network(model), graph), graph, inputs)["y"]
    np.testing.assert_array_equal(found, Reference(model).run(inputs)["y"])
    assert np.abs(found.astype(int) - onnxruntime_steps(model, inputs).astype(int)).max() <= 1
    assert len(np.unique(found)) > 8


PACKED = "The weights of MatMulNBits must be constants of 2, 4 or 8 bits, (N, blocks, bytes), with a scale and at most one whole zero point a block."
REFUSED = {
    "floats": (lambda: network(quantised=False), "The activation of MatMulNBits must come from DequantizeLinear of an 8-bit tensor: put QuantizeLinear and"
               " DequantizeLinear in front of it, with the scale of its range. Found x, a float graph input."),
    "bits": (lambda: network(bits=3), f"{PACKED} Found 3 bits, uint8 (6, 2, 6) with scales (12,) for N = 6, K = 20 in blocks of 16."),
    "scales": (lambda: network(scales=np.ones(5, np.float32)), f"{PACKED} Found 4 bits, uint8 (6, 2, 8) with scales (5,) for N = 6, K = 20 in blocks of 16."),
    "a zero point and a half": (lambda: network(halves=True),
                                f"{PACKED} Found 4 bits, uint8 (6, 2, 8) with scales (12,) for N = 6, K = 20 in blocks of 16."),
    "blocks": (lambda: network(groups=np.arange(20, dtype=np.int32) // 16),
               "What is not computed must be left out, an attribute may be at its default. Found input 4 (g_idx), which is groups."),
}  # fmt: skip


@pytest.mark.parametrize("case", list(REFUSED))
def test_refused(case):
    model, reason = REFUSED[case]
    with pytest.raises(UnsupportedError) as error:
        read_network(model())
    assert [(e.node, e.reason) for e in error.value.entries] == [("n_m", reason)]


def test_columns():
    model = network()
    next(a for a in model.graph.node[1].attribute if a.name == "K").i = 21
    with pytest.raises(ModelError) as error:
        read_network(model)
    assert "found K = 21 for an activation of 20 columns; expected as many" in str(error.value)
