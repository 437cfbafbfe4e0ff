"""Short ways to write small quantised ONNX models by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

F32, I8, U8, I32 = TensorProto.FLOAT, TensorProto.INT8, TensorProto.UINT8, TensorProto.INT32

Described = Mapping[str, tuple[int, Sequence[int | str] | None]]


def model_of(
    nodes: Sequence[onnx.NodeProto], inputs: Described, outputs: Described, constants: Mapping[str, Any], *, opset: int = 17
) -> onnx.ModelProto:
    """Return a model from nodes, {name: (type, shape)} of inputs and outputs and {name: array} of initializers."""

    def values(described: Described) -> list[onnx.ValueInfoProto]:
        return [helper.make_tensor_value_info(n, kind, shape) for n, (kind, shape) in described.items()]

    initializers = [numpy_helper.from_array(np.asarray(a), n) for n, a in constants.items()]
    graph = helper.make_graph(nodes, "hand", values(inputs), values(outputs), initializers)
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10 if opset > 19 else 8)


def node(op: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:
    """Return a node named after its output; `inputs` separated by blanks, `-` for one left out."""
    names = ["" if n == "-" else n for n in inputs.split()]
    domain = attributes.pop("domain", "")
    return helper.make_node(op, names, [output], name=f"n_{output}", domain=domain, **attributes)


def quantize(x: str, y: str, q: str = "") -> onnx.NodeProto:
    """QuantizeLinear with the parameters s`q`, z`q`."""
    return node("QuantizeLinear", f"{x} s{q} z{q}", y)


def dequantize(x: str, y: str, q: str = "", **attributes: Any) -> onnx.NodeProto:
    """DequantizeLinear with the parameters s`q`, z`q`."""
    return node("DequantizeLinear", f"{x} s{q} z{q}", y, **attributes)


def parameters(**scales: tuple[Any, Any]) -> dict[str, np.ndarray]:
    """Return {s<name>, z<name>} for name=(scale, zero); int8 zero points where negative or given as np.int8, else uint8."""
    result = {}
    for name, (scale, zero) in scales.items():
        result[f"s{name}"] = np.asarray(scale, np.float32)
        result[f"z{name}"] = zero if isinstance(zero, np.generic | np.ndarray) else np.asarray(zero, np.int8 if zero < 0 else np.uint8)
    return result
