"""Transformer encoders as float ONNX networks in the form that exporters write them, and quantised as users quantise them.

    x (1, tokens, width) -> for each block: x = norm(x + attention(x)); x = norm(x + feed_forward(x)) -> y

Each block is BERT's: queries, keys and values from a linear layer each, heads by Reshape and Transpose, scores divided by the square root of
the head's width, Softmax, GELU written out with Erf (opset 17).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

__all__ = ["FloatGraph", "encoder", "encoder_block", "encoder_layer", "quantised", "random_parameters"]

OPSET = 17


@dataclass
class FloatGraph:
    """A float ONNX graph under construction."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def constant(self, name: str, array: np.ndarray | float) -> str:
        """Add an initializer, float32 unless the array is int64; return its name."""
        array = np.asarray(array)
        self.constants.append(numpy_helper.from_array(array if array.dtype == np.int64 else array.astype(np.float32), name))
        return name

    def node(self, op: str, inputs: list[str], name: str, **attributes: Any) -> str:
        """Add a node; return its output."""
        self.nodes.append(helper.make_node(op, inputs, [f"{name}_output"], name=name, **attributes))
        return f"{name}_output"

    def linear(self, x: str, name: str, weight: np.ndarray, bias: np.ndarray) -> str:
        """x @ weight (in, out) + bias, as MatMul and Add."""
        product = self.node("MatMul", [x, self.constant(f"{name}.weight", weight)], f"{name}/MatMul")
        return self.node("Add", [product, self.constant(f"{name}.bias", bias)], f"{name}/Add")

    def model(self, name: str, inputs: Mapping[str, tuple[int, ...]], outputs: Mapping[str, tuple[int, ...]]) -> onnx.ModelProto:
        """Return the checked model; an output's value is that of the node output that carries its name."""
        given, made = ([helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in group.items()] for group in (inputs, outputs))
        graph = helper.make_graph(self.nodes, name, given, made, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
        onnx.checker.check_model(model, full_check=True)
        return model


def encoder_layer(g: FloatGraph, x: str, parameters: Mapping[str, np.ndarray], *, tokens: int, heads: int, name: str, batch: int = 1) -> str:
    """Add one encoder block on x (batch, tokens, width); return its output.

    parameters: for query, key, value, out, up, down `.weight` (in, out) and `.bias`; for norm1, norm2 `.scale` and `.bias`.
    """
    width = parameters["query.weight"].shape[0]
    depth = width // heads
    split = g.constant(f"{name}/split", np.array([batch, tokens, heads, depth], np.int64))

    def linear(x: str, part: str) -> str:
        return g.linear(x, f"{name}/{part}", parameters[f"{part}.weight"], parameters[f"{part}.bias"])

    def normalised(x: str, part: str) -> str:
        names = [g.constant(f"{name}/{part}.{p}", parameters[f"{part}.{p}"]) for p in ("scale", "bias")]
        return g.node("LayerNormalization", [x, *names], f"{name}/{part}", axis=-1, epsilon=1e-5)

    parts = {}
    for part, order in (("query", [0, 2, 1, 3]), ("key", [0, 2, 3, 1]), ("value", [0, 2, 1, 3])):
        apart = g.node("Reshape", [linear(x, part), split], f"{name}/{part}/Reshape")
        parts[part] = g.node("Transpose", [apart], f"{name}/{part}/Transpose", perm=order)
    scores = g.node("MatMul", [parts["query"], parts["key"]], f"{name}/scores/MatMul")
    scores = g.node("Div", [scores, g.constant(f"{name}/sqrt_depth", np.sqrt(depth))], f"{name}/scores/Div")
    weights = g.node("Softmax", [scores], f"{name}/Softmax", axis=-1)
    context = g.node("MatMul", [weights, parts["value"]], f"{name}/context/MatMul")
    context = g.node("Transpose", [context], f"{name}/context/Transpose", perm=[0, 2, 1, 3])
    context = g.node("Reshape", [context, g.constant(f"{name}/merge", np.array([batch, tokens, width], np.int64))], f"{name}/context/Reshape")
    x = normalised(g.node("Add", [linear(context, "out"), x], f"{name}/residual1"), "norm1")
    up = linear(x, "up")
    erf = g.node("Erf", [g.node("Div", [up, g.constant(f"{name}/sqrt_two", np.sqrt(2))], f"{name}/gelu/Div")], f"{name}/gelu/Erf")
    one = g.node("Add", [erf, g.constant(f"{name}/one", 1.0)], f"{name}/gelu/Add")
    gelu = g.node("Mul", [g.node("Mul", [up, one], f"{name}/gelu/Mul"), g.constant(f"{name}/half", 0.5)], f"{name}/gelu/Mul_1")
    return normalised(g.node("Add", [linear(gelu, "down"), x], f"{name}/residual2"), "norm2")


def random_parameters(rng: np.random.Generator, width: int, hidden: int) -> dict[str, np.ndarray]:
    """Parameters of one block, drawn as PyTorch initialises linear layers, norms near one."""
    sizes = {"query": (width, width), "key": (width, width), "value": (width, width), "out": (width, width), "up": (width, hidden), "down": (hidden, width)}
    parameters = {}
    for part, (rows, columns) in sizes.items():
        bound = np.sqrt(6 / (rows + columns))
        parameters[f"{part}.weight"] = rng.uniform(-bound, bound, (rows, columns)).astype(np.float32)
        parameters[f"{part}.bias"] = rng.uniform(-0.1, 0.1, columns).astype(np.float32)
    for part in ("norm1", "norm2"):
        parameters[f"{part}.scale"] = rng.uniform(0.8, 1.2, width).astype(np.float32)
        parameters[f"{part}.bias"] = rng.uniform(-0.1, 0.1, width).astype(np.float32)
    return parameters


def quantised(model: onnx.ModelProto, samples: Mapping[str, np.ndarray], *, signed: bool = True, extra: Mapping[str, Any] | None = None,
              **options: Any) -> onnx.ModelProto:
    """Quantise a float model by onnxruntime: pre-processing, QDQ, int8 weights a channel; `samples` (S, ..) a model input.

    Activations are int8 if `signed`, else uint8; `options` are those of quantize_static, `extra` more of its extra_options.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            count = len(next(iter(samples.values())))
            self.feed: Iterator[dict[str, np.ndarray]] = iter([{n: a[i : i + 1] for n, a in samples.items()} for i in range(count)])

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.feed, None)

    with tempfile.TemporaryDirectory() as scratch:
        given, prepared, target = (Path(scratch) / f"{n}.onnx" for n in ("given", "prepared", "target"))
        onnx.save(model, given)
        quant_pre_process(str(given), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared), str(target), Reader(), quant_format=QuantFormat.QDQ, per_channel=True,
            activation_type=QuantType.QInt8 if signed else QuantType.QUInt8, weight_type=QuantType.QInt8,
            extra_options={"QDQDisableWeightAdjustForInt32Bias": True, **(extra or {})}, **options,
        )  # fmt: skip
        result = onnx.load(target)
    del result.graph.value_info[:]
    used = {node.domain for node in result.graph.node}
    opsets = [entry for entry in result.opset_import if entry.domain in used]  # onnxruntime lists all that it knows
    del result.opset_import[:]
    result.opset_import.extend(opsets)
    result = onnx.shape_inference.infer_shapes(result)
    onnx.checker.check_model(result)
    return result


def encoder(*, width: int = 128, heads: int = 4, tokens: int = 64, hidden: int = 512, blocks: int = 1, batch: int = 1, seed: int = 0) -> onnx.ModelProto:
    """Float encoder of random weights: input (batch, tokens, width) to output of the same shape."""
    rng = np.random.default_rng(seed)
    g = FloatGraph()
    x = "input"
    for number in range(blocks):
        x = encoder_layer(g, x, random_parameters(rng, width, hidden), tokens=tokens, heads=heads, name=f"block{number}", batch=batch)
    g.node("Identity", [x], "output")
    g.nodes[-1].output[0] = "output"
    shape = (batch, tokens, width)
    return onnx.shape_inference.infer_shapes(g.model("encoder", {"input": shape}, {"output": shape}))


def encoder_block(*, signed: bool = True, calibration: int = 8, seed: int = 0, **sizes: int) -> onnx.ModelProto:
    """The same, quantised on `calibration` normal inputs."""
    model = encoder(seed=seed, **sizes)
    shape = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
    samples = np.random.default_rng([seed, 1]).standard_normal((calibration, *shape[1:])).astype(np.float32)
    return quantised(model, {"input": samples}, signed=signed)
