"""Raises the transpositions of a normalisation's floats: Transpose(f(a, b)) is f(Transpose(a), Transpose(b)) for element-wise f.

One step at a time, from the Transpose up, until it stands behind a DequantizeLinear: with reductions, whose axes are renumbered, and no others
that element-wise operators alone lie between. So a normalisation is one expression again, whose operand is transposed.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference

_ALIKE = {"Abs", "Add", "Clip", "Div", "Max", "Min", "Mul", "Neg", "Pow", "Reciprocal", "Sqrt", "Sub"}
_REDUCING = {"ReduceL1", "ReduceL2", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum", "ReduceSumSquare"}


def _attributes(node: onnx.NodeProto) -> dict:
    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


def _scalars(graph: onnx.GraphProto) -> dict[str, np.ndarray]:
    found = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and "value" in _attributes(node):
            found[node.output[0]] = numpy_helper.to_array(_attributes(node)["value"])
    return found


def _sources(name: str, maker: dict[str, onnx.NodeProto], constants: dict[str, np.ndarray], known: dict[str, set[str]]) -> set[str]:
    """Operators that a float is computed by, back to dequantisation; 'other' among them for any that does not commute with transposition."""
    if name not in known:
        known[name] = _found(name, maker, constants, known)
    return known[name]


def _found(name: str, maker: dict[str, onnx.NodeProto], constants: dict[str, np.ndarray], known: dict[str, set[str]]) -> set[str]:
    if not name or name in constants:
        return set() if not name or constants[name].size == 1 else {"other"}
    node = maker.get(name)
    if node is None or node.op_type not in _ALIKE | _REDUCING | {"DequantizeLinear"}:
        return {"other"}
    if node.op_type == "DequantizeLinear":
        return {"other"} if any(constants[p].size > 1 for p in node.input[1:] if p in constants) else set()
    operands = node.input[:1] if node.op_type in _REDUCING else node.input
    wrong = {"other"} if node.op_type in _REDUCING and not _attributes(node).get("keepdims", 1) else set()
    return {node.op_type, *wrong}.union(*(_sources(n, maker, constants, known) for n in operands))


def _step(nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray], ranks: dict[str, int]) -> bool:
    """Raise one Transpose by one operator, in place; returns whether there was one."""
    maker = {name: node for node in nodes for name in node.output}
    known: dict[str, set[str]] = {}
    for position, node in enumerate(nodes):
        above = maker.get(node.input[0]) if node.op_type == "Transpose" else None
        if above is None or above.op_type not in _ALIKE | _REDUCING:
            continue
        operators = _sources(node.input[0], maker, constants, known)
        rank = ranks.get(node.input[0], 0)
        if "other" in operators or not operators & _REDUCING or any(n not in constants and ranks.get(n) != rank for n in above.input if n):
            continue
        order = _attributes(node).get("perm", list(range(rank))[::-1])
        attributes, inputs = _attributes(above), list(above.input)
        new: list[onnx.NodeProto] = []
        for index, name in enumerate(above.input[:1] if above.op_type in _REDUCING else above.input):
            if name and name not in constants:
                inputs[index] = f"{name} transposed {order}"
                ranks[inputs[index]] = rank
                if inputs[index] not in maker and inputs[index] not in {n.output[0] for n in new}:
                    new.append(helper.make_node("Transpose", [name], [inputs[index]], perm=order))
        if above.op_type in _REDUCING:
            given = len(above.input) > 1 and above.input[1]
            axes = constants[above.input[1]].reshape(-1).tolist() if given else attributes.get("axes", range(rank))
            moved = [list(order).index(a % rank) for a in axes]
            if given:
                inputs[1] = f"axes of {node.output[0]}"
                constants[inputs[1]] = np.array(moved, np.int64)
            else:
                attributes["axes"] = moved
        new.append(helper.make_node(above.op_type, inputs, node.output, name=node.name, **attributes))
        nodes[position : position + 1] = new
        return True
    return False


def raised(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return `model`, or a copy with these transpositions raised as far as they go."""
    if not {"Transpose"} <= {n.op_type for n in model.graph.node} or not _REDUCING & {n.op_type for n in model.graph.node}:
        return model
    values = shape_inference.infer_shapes(model).graph
    ranks = {v.name: len(v.type.tensor_type.shape.dim) for v in (*values.input, *values.value_info, *values.output) if v.type.tensor_type.HasField("shape")}
    nodes, constants = list(model.graph.node), _scalars(model.graph)
    before = set(constants)
    steps = 0
    while _step(nodes, constants, ranks):
        steps += 1
    if not steps:
        return model
    result = onnx.ModelProto()
    result.CopyFrom(model)
    del result.graph.node[:]
    result.graph.node.extend(nodes)
    result.graph.initializer.extend(numpy_helper.from_array(constants[name], name) for name in constants if name not in before)
    return result


__all__ = ["raised"]
