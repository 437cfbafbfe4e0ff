"""Operators that are newer than the opsets that are read, written with older ones: what onnx's version converter has no adapter for.

    RMSNormalization    Div(x, Sqrt(Add(ReduceMean(Mul(x, x)), epsilon))) times the scale
    Swish               Mul(x, Sigmoid(Mul(x, alpha)))
    int2, uint2         constants of two bits: int8, uint8
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

from compiler.errors import ModelError
from compiler.front.reading.ranks import ranks
from compiler.front.state.immaterial import departures
from compiler.front.state.schema import misuse, shown

#: Operators, and their attributes that are written out; others are refused where they are not at their defaults.
_WRITTEN = {"RMSNormalization": ("axis", "epsilon"), "Swish": ("alpha",)}


def _rms_normalization(model: onnx.ModelProto, node: onnx.NodeProto, rank: int) -> list[onnx.NodeProto]:
    """Nodes of an RMSNormalization of a tensor of this rank."""
    given = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    x, gamma, y = str(node.input[0]), str(node.input[1]), str(node.output[0])
    axis = given.get("axis", -1)
    names = {part: f"{y}/{part}" for part in ("axes", "epsilon", "square", "mean", "shifted", "root", "quotient")}
    axes = np.arange(axis - rank if axis >= 0 else axis, 0)
    constants = {"axes": axes.astype(np.int64), "epsilon": np.float32(given.get("epsilon", 1e-5))}
    model.graph.initializer.extend(numpy_helper.from_array(np.asarray(array), names[part]) for part, array in constants.items())
    parts = [
        ("Mul", [x, x], names["square"]),
        ("ReduceMean", [names["square"], names["axes"]], names["mean"]),
        ("Add", [names["mean"], names["epsilon"]], names["shifted"]),
        ("Sqrt", [names["shifted"]], names["root"]),
        ("Div", [x, names["root"]], names["quotient"]),
        ("Mul", [names["quotient"], gamma], y),
    ]
    return [helper.make_node(op, inputs, [out], name=f"{node.name}/{op}/{out}" if out != names["quotient"] else node.name) for op, inputs, out in parts]


def _swish(model: onnx.ModelProto, node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """Nodes of a Swish."""
    alpha = next((a.f for a in node.attribute if a.name == "alpha"), 1.0)
    x, y = str(node.input[0]), str(node.output[0])
    nodes = []
    if alpha != 1:
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(alpha, np.float32), f"{y}/alpha"))
        nodes.append(helper.make_node("Mul", [x, f"{y}/alpha"], [f"{y}/scaled"], name=f"{node.name}/scaled"))
    sigmoid = helper.make_node("Sigmoid", [f"{y}/scaled" if nodes else x], [f"{y}/sigmoid"], name=f"{node.name}/sigmoid")
    return [*nodes, sigmoid, helper.make_node("Mul", [x, f"{y}/sigmoid"], [y], name=node.name)]


#: Types of two bits, and those that hold their numbers.
_WIDER = {onnx.TensorProto.INT2: onnx.TensorProto.INT8, onnx.TensorProto.UINT2: onnx.TensorProto.UINT8}


def _widen(model: onnx.ModelProto) -> None:
    """Write constants of two bits as bytes, in place."""
    tensors = [*model.graph.initializer, *(a.t for node in model.graph.node for a in node.attribute if a.type == onnx.AttributeProto.TENSOR)]
    for tensor in tensors:
        if tensor.data_type in _WIDER:
            wider = helper.tensor_dtype_to_np_dtype(_WIDER[tensor.data_type])
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(wider), tensor.name))
    for value in model.graph.value_info:
        kind = value.type.tensor_type.elem_type
        value.type.tensor_type.elem_type = _WIDER.get(kind, kind)


def _require_written(node: onnx.NodeProto, opset: int) -> None:
    """Raise ModelError where a node says something that the older operators would not."""
    found = misuse(node, opset)
    more = [f"{name} = {shown(value)}" for name, value in departures(node, opset, {}).items() if name not in _WRITTEN[node.op_type]]
    if found or more:
        expected = "attributes that its operator has" if found else f"no attributes but {' and '.join(_WRITTEN[node.op_type])}, or others at their defaults"
        raise ModelError(f"node {node.name} ({node.op_type})", found=found or more[0], expected=expected, do="leave it out, or export with an older opset")


def spell_out(model: onnx.ModelProto, opset: int) -> None:
    """Write the operators above, of a model of this opset, with older ones, in place. Raises ModelError where they say more than these can."""
    _widen(model)
    if not any(node.op_type in _WRITTEN and node.domain in ("", "ai.onnx") for node in model.graph.node):
        return
    known = ranks(model)
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        standard = node.domain in ("", "ai.onnx")
        rms = standard and node.op_type == "RMSNormalization" and len(node.input) == 2 and node.input[0] in known
        swish = standard and node.op_type == "Swish" and len(node.input) == 1
        if rms or swish:
            _require_written(node, opset)
            nodes += _rms_normalization(model, node, known[node.input[0]]) if rms else _swish(model, node)
        else:
            nodes.append(onnx.NodeProto.FromString(node.SerializeToString()))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
