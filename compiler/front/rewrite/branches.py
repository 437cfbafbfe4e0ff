"""If with a condition that is known before the run: the branch that is taken replaces the node.

Exporters write such conditions on shapes (is this dimension 1?), which are fixed here. Only what a condition depends on is evaluated.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
from onnx import numpy_helper

from compiler.front.validity.folding import evaluate


def _ancestors(model: onnx.ModelProto, names: set[str]) -> list[onnx.NodeProto]:
    """Nodes that the values depend on through inputs, in the order of the graph; what is behind a Shape or Size does not count."""
    wanted, found = set(names), []
    for node in reversed(model.graph.node):
        if wanted & set(node.output):
            found.append(node)
            wanted |= set() if node.op_type in ("Shape", "Size") else set(node.input)
    return found[::-1]


def _shape(model: onnx.ModelProto, name: str) -> tuple[int, ...] | None:
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output):
        if value.name == name and value.type.tensor_type.HasField("shape"):
            sizes = tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
            return sizes if all(sizes) else None
    return None


def _knowable(model: onnx.ModelProto, names: set[str]) -> set[str]:
    """Those of the values that follow from constants and shapes alone."""
    found = {item.name for item in model.graph.initializer}
    for node in _ancestors(model, names):
        nested = any(a.graphs or a.HasField("g") for a in node.attribute)
        plain = not nested and node.domain in ("", "ai.onnx") and node.op_type not in ("QuantizeLinear", "DequantizeLinear")
        if (node.op_type in ("Shape", "Size") and _shape(model, node.input[0]) is not None) or (plain and all(n in found for n in node.input if n)):
            found |= set(node.output)
    return names & found


def _known(model: onnx.ModelProto, opset: int, names: set[str]) -> dict[str, np.ndarray]:
    """Values that are knowable, and what they depend on."""
    initializers = {item.name: item for item in model.graph.initializer}
    nodes = _ancestors(model, names)
    read = names | {name for node in nodes for name in node.input}
    values = {name: numpy_helper.to_array(initializers[name]) for name in read if name in initializers}
    for node in nodes:
        if node.op_type in ("Shape", "Size"):
            shape = _shape(model, node.input[0]) or ()
            bounds = {a.name: a.i for a in node.attribute}
            part = shape[bounds.get("start", 0) : bounds.get("end")]
            values[node.output[0]] = np.array(np.prod(shape) if node.op_type == "Size" else part, np.int64)
        else:
            values |= zip(node.output, evaluate(node, opset, [values.get(name) for name in node.input]), strict=False)
    return values


def settle_branches(model: onnx.ModelProto, opset: int, infer: Callable[[onnx.ModelProto], onnx.ModelProto]) -> onnx.ModelProto:
    """Return the model without the If nodes whose condition is known; `infer` finds the shapes anew after each round.

    Names are unique throughout an ONNX graph and its subgraphs, so that a branch's nodes can stand where the If stood.
    """
    while True:
        conditions = {node.input[0] for node in model.graph.node if node.op_type == "If"}
        knowable = _knowable(model, conditions)
        if not knowable:
            return model
        known = _known(model, opset, knowable)
        nodes: list[onnx.NodeProto] = []
        for node in model.graph.node:
            if node.op_type != "If" or node.input[0] not in knowable:
                nodes.append(node)
                continue
            wanted = "then_branch" if bool(known[node.input[0]].reshape(-1)[0]) else "else_branch"
            branch = next(a.g for a in node.attribute if a.name == wanted)
            for index, inner in enumerate(branch.node):
                inner.name = inner.name or f"{node.name}/{index}"
                nodes.append(inner)
            model.graph.initializer.extend(branch.initializer)
            for number, (inside, outside) in enumerate(zip(branch.output, node.output, strict=True)):
                nodes.append(onnx.helper.make_node("Identity", [inside.name], [outside], name=f"{node.name}/output{number}"))
        nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
        del model.graph.node[:]
        model.graph.node.extend(nodes)
        model = infer(model)
