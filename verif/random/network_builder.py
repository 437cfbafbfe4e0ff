"""Builds quantised ONNX networks operator by operator, calibrating each scale by evaluating the definition on the way.

Every activation is 8-bit; operators take and give `Activation`s. In `qdq` form an operator stands between DequantizeLinear and
QuantizeLinear, in `qoperator` form it is one QLinear node.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from verif.reference.evaluate import evaluate_node
from verif.reference.values import Plain, Value

LIMITS = {np.dtype(np.int8): (-128, 127), np.dtype(np.uint8): (0, 255)}
MICROSOFT = "com.microsoft"


@dataclass(frozen=True)
class Activation:
    """A quantised tensor: ONNX name, shape, names of its scale and zero point and their values."""

    name: str
    shape: tuple[int, ...]
    scale_name: str
    zero_name: str
    scale: np.float32
    zero: int
    dtype: np.dtype


@dataclass
class NetworkBuilder:
    """Collects nodes and initializers; `values` holds what the definition gives on the calibration inputs.

    activation_type: the type of all activations, and for int8 of all weights too (what onnxruntime has kernels for); None: mixed.
    """

    rng: np.random.Generator
    opset: int = 17
    qdq: bool = True
    weight_bits: int = 8
    activation_type: np.dtype | None = None
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    inputs: list[onnx.ValueInfoProto] = field(default_factory=list)
    outputs: list[onnx.ValueInfoProto] = field(default_factory=list)
    initializers: list[onnx.TensorProto] = field(default_factory=list)
    values: dict[str, Value] = field(default_factory=dict)
    count: int = 0

    def fresh(self, stem: str) -> str:
        """Return a name not used before."""
        self.count += 1
        return f"{stem}_{self.count}"

    def constant(self, stem: str, array: np.ndarray | np.generic) -> str:
        """Add an initializer; return its name."""
        name = self.fresh(stem)
        self.initializers.append(numpy_helper.from_array(np.asarray(array), name))
        self.values[name] = Plain(np.asarray(array), True)
        return name

    def evaluate(self, node: onnx.NodeProto) -> None:
        """Evaluate a node that is not, or not yet, part of the network."""
        for name, value in zip(node.output, evaluate_node(node, self.opset, self.values), strict=True):
            self.values[name] = value

    def node(self, op: str, inputs: list[str], *, domain: str = "", **attributes: Any) -> str:
        """Add a node, one in eight without a name; return its output."""
        out = self.fresh(op.lower())
        name = "" if self.rng.random() < 0.125 else f"node_{out}"
        self.nodes.append(helper.make_node(op, inputs, [out], name=name, domain=domain, **attributes))
        self.evaluate(self.nodes[-1])
        return out

    def split(self, x: str, inputs: list[str], axis: int, parts: int) -> list[str]:
        """Add a Split into so many parts; return their names."""
        outputs = [self.fresh("split") for _ in range(parts)]
        self.nodes.append(helper.make_node("Split", [x, *inputs], outputs, name=f"node_{outputs[0]}", axis=axis))
        self.evaluate(self.nodes[-1])
        return outputs

    def dtype(self) -> np.dtype:
        """Draw int8 or uint8."""
        if self.activation_type is not None:
            return self.activation_type
        return np.dtype(np.int8 if self.rng.random() < 0.5 else np.uint8)

    def input(self, shape: tuple[int, ...], *, real: bool) -> Activation:
        """Add a graph input: float with a QuantizeLinear, or integers."""
        dtype = self.dtype()
        low, high = LIMITS[dtype]
        scale, zero = np.float32(self.rng.uniform(0.005, 0.05)), int(self.rng.integers(low, high + 1))
        names = self.constant("input_scale", scale), self.constant("input_zero", np.array(zero, dtype))
        name = self.fresh("input")
        integers = self.rng.integers(low, high + 1, (1, *shape)).astype(dtype)
        kind = TensorProto.FLOAT if real else helper.np_dtype_to_tensor_dtype(dtype)
        self.inputs.append(helper.make_tensor_value_info(name, kind, shape))
        self.values[name] = Plain((integers.astype(np.float32) - zero) * scale if real else integers)
        if real:
            name = self.node("QuantizeLinear", [name, *names])
        return Activation(name, shape, *names, scale, zero, dtype)

    def dequantised(self, x: Activation) -> str:
        """Return the float name of an activation, through a new DequantizeLinear."""
        return self.node("DequantizeLinear", [x.name, x.scale_name, x.zero_name])

    def calibrated(self, real: np.ndarray, *, lowest_zero: bool = False, like: Activation | None = None) -> tuple[np.float32, int, np.dtype]:
        """Draw scale, zero point and type that use the 8-bit range for the values `real`; `like`: now and then those of it."""
        dtype = self.dtype()
        if like is not None and self.rng.random() < 0.15:
            return like.scale, like.zero, like.dtype
        low, high = LIMITS[dtype]
        smallest, largest = min(float(real.min()), 0.0), max(float(real.max()), 0.0)
        if lowest_zero:
            smallest = 0.0
        span = (largest - smallest) or 1.0
        scale = np.float32(span / 255 * self.rng.uniform(0.8, 1.1))
        zero = low if lowest_zero else int(np.clip(np.rint(low - smallest / scale), low, high))
        return scale, zero, dtype

    def quantised(self, name: str, shape: tuple[int, ...], *, lowest_zero: bool = False, like: Activation | None = None) -> Activation:
        """Quantise a float value with calibrated parameters."""
        scale, zero, dtype = self.calibrated(self.values[name].real(), lowest_zero=lowest_zero, like=like)
        names = self.constant("scale", scale), self.constant("zero", np.array(zero, dtype))
        return Activation(self.node("QuantizeLinear", [name, *names]), shape, *names, scale, zero, dtype)

    def qlinear(
        self, op: str, real: np.ndarray, operands: list[str], after: list[str], *, like: Activation | None = None, **attributes: Any
    ) -> Activation:
        """Add a QLinear node whose float result would be `real`; `after` are the inputs that follow the result's parameters."""
        scale, zero, dtype = self.calibrated(real, like=like)
        names = [self.constant("scale", scale), self.constant("zero", np.array(zero, dtype))]
        order = [*operands, *after, *names] if op == "QGemm" else [*operands, *names, *after]
        domain = "" if op in ("QLinearConv", "QLinearMatMul") else MICROSOFT
        out = self.node(op, order, domain=domain, **attributes)
        return Activation(out, self.values[out].array.shape[1:], names[0], names[1], scale, zero, dtype)

    def weights(self, shape: tuple[int, ...], channels_axis: int) -> tuple[list[str], np.ndarray, np.ndarray]:
        """Draw weights: ([integers, scale, zero names], scales, integers); per channel and symmetric, or per tensor and not."""
        channels, limit = shape[channels_axis], 2 ** (self.weight_bits - 1)
        signed = self.rng.random() < 0.7 or self.activation_type == np.int8
        integers = self.rng.integers(-limit, limit, shape)
        if signed and self.rng.random() < 0.6:
            scales = self.rng.uniform(0.002, 0.02, channels).astype(np.float32)
            zeros = np.zeros(channels, np.int8)
        else:
            scales = np.array(self.rng.uniform(0.002, 0.02), np.float32)
            zeros = np.array(self.rng.integers(-limit // 4, limit // 4))
        if not signed:
            integers, zeros = integers + 128, zeros + 128
        kind = np.int8 if signed else np.uint8
        names = [self.constant("weight", integers.astype(kind)), self.constant("w_scale", scales), self.constant("w_zero", zeros.astype(kind))]
        return names, scales, integers

    def bias(self, x: Activation, scales: np.ndarray, channels: int, depth: int) -> tuple[np.ndarray, np.ndarray]:
        """Draw an int32 bias as large as the sums: (integers, scales)."""
        spread = 60.0 * 2 ** (self.weight_bits - 2) * np.sqrt(depth)
        return self.rng.normal(0, spread, channels).astype(np.int32), (x.scale * scales).astype(np.float32)

    def model(self, name: str) -> onnx.ModelProto:
        """Return the checked model."""
        graph = helper.make_graph(self.nodes, name, self.inputs, self.outputs, self.initializers)
        opsets = [helper.make_opsetid("", self.opset), helper.make_opsetid(MICROSOFT, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=10 if self.opset > 19 else 8)
        onnx.checker.check_model(model)
        return model
