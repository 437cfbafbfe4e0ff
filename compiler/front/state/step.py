"""One ONNX node on its way into the IR: its attributes, the values of its inputs, and how to refuse it."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
import onnx

from compiler.constraints import Constraint, constant_parameters, explain, one_scale, usable_scale
from compiler.front.state.builder import Builder
from compiler.front.state.values import Const, RealConst, Unknown, Value

DTYPES = {np.dtype(np.int8): "i8", np.dtype(np.uint8): "u8", np.dtype(np.int32): "i32", np.dtype(np.float32): "f32"}


class Refusal(Exception):
    """A node that breaks a constraint; the driver collects them."""

    def __init__(self, label: str, op: str, reason: str) -> None:
        super().__init__(reason)
        self.label, self.op, self.reason = label, op, reason


class Step:
    """An ONNX node, `label` its name or `#position`, `values` what its inputs are (None where left out)."""

    def __init__(self, node: onnx.NodeProto, label: str, opset: int, values: list[Value | None], builder: Builder) -> None:
        self.node, self.label, self.opset, self.values, self.builder = node, label, opset, values, builder
        self.attributes: dict[str, Any] = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}

    @property
    def op(self) -> str:
        """Operator name."""
        return self.node.op_type

    @property
    def output(self) -> str:
        """ONNX name of the first output."""
        return self.node.output[0]

    def attribute(self, name: str, default: Any) -> Any:
        """Return an attribute, or `default` where the node has none."""
        return self.attributes.get(name, default)

    def value(self, index: int) -> Value | None:
        """Return input `index`; None where it is left out."""
        return self.values[index] if index < len(self.values) else None

    def name_of(self, index: int) -> str:
        """Return the ONNX name of input `index`."""
        return self.node.input[index]

    def refuse(self, constraint: Constraint, found: str) -> NoReturn:
        """Refuse the node for breaking `constraint`."""
        raise Refusal(self.label, self.op, f"{explain(constraint)} Found {found}.")

    def require(self, constraint: Constraint, *facts: Any, found: str) -> None:
        """Refuse the node unless `constraint(*facts)` holds."""
        if not constraint(*facts):
            self.refuse(constraint, found)

    def describe(self, index: int) -> str:
        """Return what input `index` is, for a message."""
        value = self.value(index)
        if value is None:
            return f"input {index} left out"
        kinds = {
            "Const": "a constant",
            "RealConst": "a dequantised constant",
            "HostFloat": "a float graph input",
            "Quant": f"an integer tensor of type {getattr(value, 'dtype', '')}",
            "Real": "a dequantised tensor",
            "Table": "a float function of a dequantised tensor",
            "Pending": "a float result that no QuantizeLinear follows",
            "Unknown": "the result of an unsupported node",
        }
        return f"{self.name_of(index)}, {kinds[type(value).__name__]}"

    def constant(self, index: int) -> np.ndarray | None:
        """Return input `index` as an array; None where it is left out. Refuses what is not constant."""
        value = self.value(index)
        self.require(constant_parameters, value, found=self.describe(index))
        if isinstance(value, RealConst):
            return value.real()
        return value.array if isinstance(value, Const) else None

    def quantisation(self, scale_index: int, zero_index: int) -> tuple[float, int, str]:
        """Return scale, zero point and element type of an activation from two parameter inputs (zero point: uint8 0 when left out)."""
        scale, zero = self.constant(scale_index), self.constant(zero_index)
        zero = np.zeros((), np.uint8) if zero is None else zero
        scale = np.ones((), np.float32) if scale is None else scale
        self.require(one_scale, scale, zero, found=f"{scale.size} scales and {zero.size} zero points")
        self.require(usable_scale, scale.astype(np.float32), found=f"{scale.reshape(-1)[0]}")
        return float(np.float32(scale.reshape(-1)[0])), int(zero.reshape(-1)[0]), DTYPES.get(zero.dtype, str(zero.dtype))

    def unknown(self) -> bool:
        """Return whether an input is the result of a refused node."""
        return any(isinstance(v, Unknown) for v in self.values)
