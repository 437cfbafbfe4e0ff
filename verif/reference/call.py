"""One ONNX node with its operands, as the definition of an operator meets it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx

from verif.reference.heard import Said
from verif.reference.values import Value


@dataclass(frozen=True, eq=False)
class Call:
    """One node with the values of its inputs (None where left out); `asked` are those inputs that its definition has asked for."""

    node: onnx.NodeProto
    opset: int
    inputs: list[Value | None]
    attributes: dict[str, Any]
    asked: set[int] = field(default_factory=set)

    def entire(self) -> onnx.NodeProto:
        """Return the node for onnx.reference, which hears all that it says."""
        self.asked.update(range(len(self.inputs)))
        if isinstance(self.attributes, Said):
            self.attributes.asked.update(self.attributes.keys())
        return self.node

    def value(self, index: int) -> Value:
        """Return input `index`, which must be there."""
        value = self.optional(index)
        if value is None:
            raise self.refuse(f"input {index} left out")
        return value

    def optional(self, index: int) -> Value | None:
        """Return input `index`; None where it is left out."""
        self.asked.add(index)
        return self.inputs[index] if index < len(self.inputs) else None

    def number(self, index: int, default: np.ndarray | None = None) -> np.ndarray:
        """Return a constant parameter, dequantised or not; `default` where it is left out."""
        value = self.optional(index)
        if value is None and default is not None:
            return default
        if value is None or not value.constant:
            raise self.refuse(f"input {index} that is no constant")
        return value.real()

    def refuse(self, found: str) -> ValueError:
        """Return the error for an operand that the definition of quantised networks does not cover."""
        name = self.node.name or self.node.output[0]
        return ValueError(
            f"node {name} ({self.node.op_type}): found {found}; expected a quantised network; compare with onnxruntime alone"
        )


def scalar_or_axis(array: np.ndarray, rank: int, axis: int) -> np.ndarray:
    shape = [1] * rank
    if array.size > 1:
        shape[axis] = array.size
    return array.reshape(shape)
