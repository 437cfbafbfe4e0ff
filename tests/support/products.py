"""Small models of one product by constant weights, whose result uses the whole 8-bit range, and the check of all witnesses."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from acg.graph import load_graph
from compiler.passes import compile_network
from compiler.read_network import read_network
from tests.compiler.ir_reference import check_program, evaluate
from tests.support.models import I8, U8, dequantize, model_of, node, parameters, quantize
from verif.golden import Golden
from verif.random.networks import random_inputs
from verif.reference import Reference

TINY = load_graph("tiny")
X_SCALE = np.float32(0.0173)

#: Operator and rank of its result.
RANKS = {"Gemm": 2}


def product_model(
    op: str, x: tuple[int, ...], w: np.ndarray, scale: Any, zero: Any, *, bias: np.ndarray | None = None, x_zero: int = 117, y_scale: float = 0.0,
    dequantise: dict[str, Any] | None = None, w_type: int = 0, **attributes: Any,
) -> onnx.ModelProto:
    """Return x -> DQ -> `op` by dequantised weights `w` -> Q -> y, opset 21, or 25 where it needs that.

    `dequantise`: attributes of the DequantizeLinear of the weights; `w_type`: ONNX's number of a type of 4 or 2 bits that they are stored in;
    `x_zero` negative: int8. `y_scale` 0: measured with onnxruntime, so that few results saturate.
    """
    rank = 2 if op == "Gemm" else len(x)
    constants = {**parameters(x=(X_SCALE, x_zero)), "sw": np.asarray(scale, np.float32), "w": w, "zw": np.asarray(zero, w.dtype)}
    constants |= {} if bias is None else {"b": bias}
    inputs = "d e" + ("" if bias is None else " b")
    nodes = [dequantize("x", "d", "x"), dequantize("w", "e", "w", **(dequantise or {}))]
    if op == "MatMul" and bias is not None:
        nodes += [node("MatMul", "d e", "m"), node("Add", "m b", "p")]
    else:
        nodes += [node(op, inputs, "p", **attributes)]
    kind = I8 if x_zero < 0 else U8

    def build(tail: list[onnx.NodeProto], more: dict[str, Any], out: str, out_type: int) -> onnx.ModelProto:
        model = model_of([*nodes, *tail], {"x": (kind, x)}, {out: (out_type, [f"o{i}" for i in range(rank)])}, {**constants, **more}, opset=21)
        if w_type in (TensorProto.INT2, TensorProto.UINT2):  # types of opset 25
            model.opset_import[0].version, model.ir_version = 25, 13
        for tensor in model.graph.initializer:
            if w_type and tensor.name in ("w", "zw"):
                tensor.CopyFrom(packed(numpy_helper.to_array(tensor), w_type, tensor.name))
        return model

    if not y_scale:
        floats = build([], {}, "p", TensorProto.FLOAT)
        result = Golden(floats).run(random_inputs(floats, 3))["p"]
        y_scale = float(np.abs(result).std() + np.abs(result).mean()) / 60 or 1.0
    return build([quantize("p", "y", "y")], parameters(y=(y_scale, 125)), "y", U8)


def packed(array: np.ndarray, kind: int, name: str) -> onnx.TensorProto:
    """Return integers as a tensor of a type of 4 or 2 bits."""
    return helper.make_tensor(name, kind, array.shape, array.reshape(-1).tolist())


def check(model: onnx.ModelProto, *, iss: bool = True, golden: bool = True, most: int = 1, seed: int = 5) -> np.ndarray:
    """Compare compiler, definition and onnxruntime (at most `most` steps apart); return the result."""
    inputs = random_inputs(model, seed)
    graph = read_network(model, name="m")
    expected = Reference(model).run(inputs)
    assert set(expected) == {"y"}
    np.testing.assert_array_equal(evaluate(graph, inputs)["y"], expected["y"])
    if iss:
        assert check_program(graph, compile_network(graph, TINY), TINY, inputs) > 0
    if golden:
        assert np.abs(expected["y"].astype(int) - Golden(model).run(inputs)["y"]).max() <= most
    assert len(np.unique(expected["y"])) > 4
    return expected["y"]
