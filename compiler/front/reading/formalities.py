"""What onnx's checker refuses in a file though it says nothing about the network, and onnxruntime loads: put right before anything is checked.

    settle_operators    ir_version of old exporters is raised, 'ai.onnx' is another name of '', one opset that is imported twice is imported once
    settle_constants    initializers are no graph inputs, the last of those with one name counts
    settle_values       nodes stand in an order in which they can run, the graph has a name, outputs have the type and shape that they are found to have

A file that contradicts itself (an initializer of another shape than the input of its name) stays as it is, and is refused.
"""

from __future__ import annotations

import onnx

from compiler.front.rewrite.subgraphs import reads, subgraphs
from compiler.front.support import LAST_OPSET

#: The IR that the oldest opset read came with; before 4, initializers had to be graph inputs.
FIRST_IR_VERSION = 7


def settle_operators(model: onnx.ModelProto) -> None:
    """Raise an ir_version from 1 on to FIRST_IR_VERSION, write the standard domain as '' and import it once, in place."""
    if not model.opset_import and 1 <= model.ir_version < 3:  # opsets came with version 3: before, there was the first
        model.opset_import.append(onnx.helper.make_opsetid("", 1))
    if model.ir_version:
        model.ir_version = max(model.ir_version, FIRST_IR_VERSION)
    for graph in subgraphs(model.graph):
        for node in graph.node:
            if node.domain == "ai.onnx":
                node.domain = ""
    for entry in model.opset_import:
        if entry.domain == "ai.onnx":
            entry.domain = ""
    entries = {(entry.domain, entry.version): entry for entry in model.opset_import}
    if not any(entry.domain == "" for entry in model.opset_import) and {node.domain for node in model.graph.node} == {"com.microsoft"}:
        entries["", LAST_OPSET] = onnx.helper.make_opsetid("", LAST_OPSET)
    kept = [onnx.OperatorSetIdProto.FromString(entry.SerializeToString()) for entry in entries.values()]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    properties = {entry.key: entry.value for entry in model.metadata_props}
    if len(properties) < len(model.metadata_props):
        del model.metadata_props[:]
        onnx.helper.set_model_props(model, properties)


def _agrees(value: onnx.ValueInfoProto, tensor: onnx.TensorProto) -> bool:
    """Whether what a graph input declares holds for the initializer of its name."""
    declared = value.type.tensor_type
    if declared.elem_type != tensor.data_type or not declared.HasField("shape"):
        return declared.elem_type == tensor.data_type
    dims = declared.shape.dim
    return len(dims) == len(tensor.dims) and all(not d.HasField("dim_value") or d.dim_value == size for d, size in zip(dims, tensor.dims, strict=True))


def settle_constants(graph: onnx.GraphProto) -> None:
    """Take initializers from the graph inputs, and those that another of the same name follows, in place."""
    constants = {item.name: item for item in graph.initializer}
    if len(constants) < len(graph.initializer) or "" in constants:
        kept = [onnx.TensorProto.FromString(item.SerializeToString()) for name, item in constants.items() if name]
        del graph.initializer[:]
        graph.initializer.extend(kept)
        constants = {item.name: item for item in graph.initializer}
    for index in reversed(range(len(graph.input))):
        value = graph.input[index]
        if value.name in constants and _agrees(value, constants[value.name]):
            del graph.input[index]


def _in_order(nodes: list[onnx.NodeProto]) -> list[onnx.NodeProto] | None:
    """The nodes with producers before readers, otherwise in their own order; None where they wait for each other."""
    producer = {name: index for index, node in enumerate(nodes) for name in node.output if name}
    waits = [{producer[name] for name in reads(node) if name in producer} for node in nodes]
    if all(other < index for index, others in enumerate(waits) for other in others):
        return nodes
    done: set[int] = set()
    order: list[int] = []
    for first in range(len(nodes)):
        stack = [first]
        under_way: set[int] = set()
        while stack:
            index = stack[-1]
            missing = sorted(waits[index] - done, reverse=True)
            if index in done or not missing:
                stack.pop()
                if index not in done:
                    done.add(index)
                    order.append(index)
                continue
            if index in under_way:
                return None
            under_way.add(index)
            stack += missing
    return [nodes[index] for index in order]


def settle_values(model: onnx.ModelProto) -> None:
    """Order the nodes, name the graph, and describe outputs that have no type or shape, in place."""
    for graph in subgraphs(model.graph):
        graph.name = graph.name or "graph"
        nodes = list(graph.node)
        ordered = _in_order(nodes)
        if ordered is not None and ordered is not nodes:
            copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in ordered]
            del graph.node[:]
            graph.node.extend(copies)
    if all(value.type.tensor_type.HasField("shape") for value in model.graph.output if value.type.WhichOneof("value") in (None, "tensor_type")):
        return
    computed = all(node.op_type != "Range" for node in model.graph.node)  # onnx would compute its numbers, however many
    try:
        inferred = {value.name: value for value in onnx.shape_inference.infer_shapes(model, data_prop=computed).graph.output}
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError):
        return  # whoever checks the model says what is wrong with it
    for value in model.graph.output:
        if value.type.WhichOneof("value") in (None, "tensor_type") and not value.type.tensor_type.HasField("shape"):
            value.CopyFrom(inferred[value.name])


def settle(model: onnx.ModelProto) -> None:
    """Put all of this right, in place."""
    settle_operators(model)
    for graph in subgraphs(model.graph):
        settle_constants(graph)
    settle_values(model)


__all__ = ["settle", "settle_constants", "settle_operators", "settle_values"]
