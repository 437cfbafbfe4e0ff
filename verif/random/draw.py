"""Operators drawn onto a builder of networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from verif.random.elementwise import ELEMENTWISE
from verif.random.movement import MOVEMENT
from verif.random.network_builder import LIMITS, Activation, NetworkBuilder
from verif.random.normalise import NORMALISING
from verif.random.products import PRODUCTS
from verif.random.rowwise import ROWWISE


@dataclass(frozen=True)
class Size:
    """Bounds: largest spatial size, channels, kernel and batch."""

    spatial: int
    channels: int
    kernel: int
    batch: int


class Draw:
    """Draws operators onto a builder."""

    def __init__(self, builder: NetworkBuilder, size: Size, activations: Sequence[str]) -> None:
        self.b, self.size, self.activations = builder, size, tuple(activations)
        self.rng = builder.rng

    def integer(self, low: int, high: int) -> int:
        """Draw from low..high."""
        return int(self.rng.integers(low, high + 1))

    def chance(self, probability: float) -> bool:
        """Draw a truth value."""
        return bool(self.rng.random() < probability)

    def window(self, shape: tuple[int, ...], *, dilated: bool, plain_pads: bool = False) -> tuple[list[int], dict[str, Any]]:
        """Draw a kernel that fits an image and its attributes."""
        spatial = shape[2:]
        kernel = [self.integer(1, min(self.size.kernel, d)) for d in spatial]
        strides = [self.integer(1, 2) if self.chance(0.5) else 1 for _ in spatial]
        if self.chance(0.15):
            mode = str(self.rng.choice(["SAME_UPPER", "SAME_LOWER", "VALID"]))
            return kernel, {"strides": strides, "auto_pad": mode}
        dilations = [self.integer(1, 2) if dilated and (k - 1) * 2 < d and self.chance(0.3) else 1 for k, d in zip(kernel, spatial, strict=True)]
        # Less padding than kernel, and a window that touches the image wherever it stands.
        begins = [self.integer(0, max(0, min(k - 1, 2))) if d == 1 else 0 for k, d in zip(kernel, dilations, strict=True)]
        ends = begins if plain_pads else [self.integer(0, max(0, min(k - 1, 2))) if d == 1 else 0 for k, d in zip(kernel, dilations, strict=True)]
        attributes: dict[str, Any] = {"strides": strides, "pads": [*begins, *ends]}
        if dilated:
            attributes["dilations"] = dilations
        return kernel, attributes

    def activated(self, name: str) -> tuple[str, bool]:
        """Append Relu or Clip to a float value now and then: (name, is the lowest quantised value zero)."""
        choices = [a for a in self.activations if self.chance(0.35)]
        if not choices:
            return name, False
        if choices[0] == "relu":
            return self.b.node("Relu", [name]), True
        real = self.b.values[name].real()
        low, high = (np.float32(np.quantile(real, q)) for q in (0.1, 0.9))
        return self.b.node("Clip", [name, self.b.constant("low", low), self.b.constant("high", high)]), False

    def product(self, op: str, x: Activation, weight_shape: tuple[int, ...], axis: int, depth: int, **attributes: Any) -> Activation:
        """Add Conv, Gemm or MatMul in the form of the network."""
        b = self.b
        names, scales, _ = b.weights(weight_shape, axis)
        channels = weight_shape[axis]
        biased = self.chance(0.7)
        integers, bias_scale = b.bias(x, scales, channels, depth)
        if op == "MatMul" and not b.qdq:
            biased = False
        kept = len(b.nodes), len(b.initializers)
        operand = b.dequantised(x)
        per_axis = {} if scales.ndim == 0 else {"axis": axis}
        inputs = [operand, b.node("DequantizeLinear", names, **per_axis)]  # type: ignore[arg-type]
        bias_name = b.constant("bias", integers) if biased else ""
        if biased:
            scale_name = b.constant("bias_scale", bias_scale)
            zero_name = b.constant("bias_zero", np.zeros(bias_scale.shape, np.int32))
            bias_axis = {} if scales.ndim == 0 else {"axis": 0}
            inputs.append(b.node("DequantizeLinear", [bias_name, scale_name, zero_name], **bias_axis))  # type: ignore[arg-type]
        result = b.node(op, inputs[:2] if op == "MatMul" else inputs, **attributes)
        if op == "MatMul" and biased:
            result = b.node("Add", [result, inputs[2]])
        shape = b.values[result].array.shape[1:]
        if b.qdq:
            result, lowest = self.activated(result)
            return b.quantised(result, shape, lowest_zero=lowest)
        # The nodes above have served the calibration; one QLinear node takes their place.
        real = b.values[result].real()
        del b.nodes[kept[0] :]
        b.initializers = [i for i in b.initializers if not i.name.startswith(("bias_scale", "bias_zero"))]
        operands = [x.name, x.scale_name, x.zero_name, *names]
        qlinear = {"Conv": "QLinearConv", "Gemm": "QGemm", "MatMul": "QLinearMatMul"}[op]
        after = [bias_name] if biased or op == "Gemm" else []
        return b.qlinear(qlinear, real, operands, after, **attributes)

    def conv(self, x: Activation, kind: str, *, keep: bool = False) -> Activation:
        """Add a convolution; `keep`: one that keeps the shape."""
        channels = x.shape[1]
        group, out = 1, self.integer(1, self.size.channels)
        if kind == "depthwise":
            group, out = channels, channels * (1 if self.chance(0.7) else 2)
        elif kind == "grouped":
            group = int(self.rng.choice([g for g in range(1, channels + 1) if channels % g == 0]))
            out = group * self.integer(1, max(1, self.size.channels // group))
        kernel, attributes = self.window(x.shape, dilated=True)
        if kind == "pointwise":
            kernel, attributes = [1] * len(kernel), {}
        if keep:
            kernel, attributes, group, out = [3] * len(kernel), {"pads": [1] * 2 * len(kernel)}, 1, channels
        shape = (out, channels // group, *kernel)
        return self.product("Conv", x, shape, 0, int(np.prod(shape[1:])), group=group, kernel_shape=kernel, **attributes)

    def pool(self, x: Activation, op: str) -> Activation:
        """Add MaxPool, AveragePool or GlobalAveragePool."""
        b = self.b
        attributes: dict[str, Any] = {}
        if op != "GlobalAveragePool":
            kernel, attributes = self.window(x.shape, dilated=op == "MaxPool", plain_pads=True)
            attributes["kernel_shape"] = kernel
            if "auto_pad" not in attributes:
                attributes["ceil_mode"] = int(op == "MaxPool" and self.chance(0.2))
            if op == "AveragePool":
                attributes["count_include_pad"] = self.integer(0, 1)
        if op == "MaxPool" and not b.qdq:
            out = b.node(op, [x.name], **attributes)
            return Activation(out, b.values[out].array.shape[1:], x.scale_name, x.zero_name, x.scale, x.zero, x.dtype)
        kept = len(b.nodes)
        result = b.node(op, [b.dequantised(x)], **attributes)
        shape = b.values[result].array.shape[1:]
        if op == "MaxPool":
            names = x.scale_name, x.zero_name
            return Activation(b.node("QuantizeLinear", [result, *names]), shape, *names, x.scale, x.zero, x.dtype)
        if b.qdq:
            return b.quantised(result, shape, like=x)
        real = b.values[result].real()
        del b.nodes[kept:]
        return b.qlinear(f"QLinear{op}", real, [x.name, x.scale_name, x.zero_name], [], like=x, **attributes)

    def add(self, x: Activation, y: Activation) -> Activation:
        """Add two activations of one shape."""
        b = self.b
        kept = len(b.nodes)
        result = b.node("Add", [b.dequantised(x), b.dequantised(y)])
        if b.qdq:
            result, lowest = self.activated(result)
            return b.quantised(result, x.shape, lowest_zero=lowest, like=x)
        real = b.values[result].real()
        del b.nodes[kept:]
        operands = [n for t in (x, y) for n in (t.name, t.scale_name, t.zero_name)]
        return b.qlinear("QLinearAdd", real, operands, [])

    def add_constant(self, x: Activation) -> Activation:
        """Add a quantised constant, one value a channel (the last axis of a matrix)."""
        b = self.b
        low, high = LIMITS[x.dtype]
        channels = x.shape[1]
        values = self.rng.integers(low, high + 1, (channels, *[1] * (len(x.shape) - 2))).astype(x.dtype)
        names = b.constant("addend", values), x.scale_name, x.zero_name
        kept = len(b.nodes)
        result = b.node("Add", [b.dequantised(x), b.node("DequantizeLinear", list(names))])
        if b.qdq:
            return b.quantised(result, x.shape)
        real = b.values[result].real()
        del b.nodes[kept:]
        return b.qlinear("QLinearAdd", real, [x.name, x.scale_name, x.zero_name, *names], [])

    def unary(self, x: Activation) -> Activation:
        """Add a function of one tensor with its own quantisation: Relu, Clip, LeakyRelu."""
        b = self.b
        name = b.dequantised(x)
        op = str(self.rng.choice(["Relu", "Clip", "LeakyRelu"]))
        if op == "Clip":
            bounds = sorted(np.float32(v) for v in self.rng.uniform(-100, 100, 2) * x.scale)
            name = b.node("Clip", [name, *[b.constant("bound", v) for v in bounds]])
        else:
            name = b.node(op, [name])
        return b.quantised(name, x.shape)

    def flatten(self, x: Activation) -> Activation:
        """Flatten to (N, features)."""
        out = self.b.node("Flatten", [x.name], axis=1)
        return Activation(out, self.b.values[out].array.shape[1:], x.scale_name, x.zero_name, x.scale, x.zero, x.dtype)

    def matrix(self, x: Activation, op: str) -> Activation:
        """Add Gemm (flattening first) or MatMul."""
        if len(x.shape) != 2 and (op == "Gemm" or self.chance(0.7)):
            x = self.flatten(x)
        depth, channels = x.shape[-1], self.integer(1, self.size.channels)
        if op == "MatMul":
            return self.product(op, x, (depth, channels), 1, depth)
        trans_b = self.integer(0, 1)
        shape = (channels, depth) if trans_b else (depth, channels)
        return self.product(op, x, shape, 0 if trans_b else 1, depth, transB=trans_b)

    def operator(self, op: str, x: Activation) -> Activation:
        """Add the operator `op`."""
        if op in ELEMENTWISE:
            return ELEMENTWISE[op](self, x)
        if op in ROWWISE:
            return ROWWISE[op](self, x)
        if op in NORMALISING:
            return NORMALISING[op](self, x)
        if op in PRODUCTS:
            return PRODUCTS[op](self, x)
        if op in MOVEMENT:
            return MOVEMENT[op](self, x)
        if op in ("conv", "pointwise", "depthwise", "grouped"):
            return self.conv(x, op)
        if op == "add" and self.chance(0.15):
            return self.add_constant(x)
        if op == "add":
            other = self.conv(x, "conv", keep=True) if len(x.shape) > 2 and self.chance(0.8) else x
            return self.add(x, other)
        if op == "unary":
            return self.unary(x)
        if op == "requantise":
            return self.b.quantised(self.b.dequantised(x), x.shape)
        if op == "flatten":
            return self.flatten(x)
        if op in ("gemm", "matmul"):
            return self.matrix(x, {"gemm": "Gemm", "matmul": "MatMul"}[op])
        return self.pool(x, {"maxpool": "MaxPool", "averagepool": "AveragePool", "globalpool": "GlobalAveragePool"}[op])


__all__ = ["Draw", "Size"]
