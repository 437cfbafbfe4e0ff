"""The operators of a QDQ model one by one: each quantised tensor as a model of its own, from the quantised tensors before it."""

from __future__ import annotations

from collections.abc import Iterator

import onnx
from onnx import helper

__all__ = ["chains"]


def chains(model: onnx.ModelProto) -> Iterator[tuple[str, tuple[str, ...], onnx.ModelProto]]:
    """Yield (quantised tensor, operators between, model that computes it): all types and shapes must be known (shape inference)."""
    graph = model.graph
    made = {name: node for node in graph.node for name in node.output}
    constants = {item.name: item for item in graph.initializer}
    infos = {value.name: value for value in [*graph.value_info, *graph.output, *graph.input]}
    for last in graph.node:
        if last.op_type != "QuantizeLinear":
            continue
        inputs: dict[str, None] = {}
        wanted, names = [last], {last.output[0]}
        for node in wanted:  # grows while it is walked
            for name in node.input:
                source = made.get(name)
                if source is None or source.op_type == "QuantizeLinear":
                    if name and name not in constants:
                        inputs[name] = None
                elif source.output[0] not in names:
                    names.add(source.output[0])
                    wanted.append(source)
        nodes = [node for node in graph.node if node.output[0] in names]
        used = {name for node in nodes for name in node.input}
        part = helper.make_graph(nodes, "part", [infos[n] for n in inputs], [infos[last.output[0]]], [c for n, c in constants.items() if n in used])
        operators = tuple(n.op_type for n in nodes if n.op_type not in ("QuantizeLinear", "DequantizeLinear"))
        yield last.output[0], operators, helper.make_model(part, opset_imports=model.opset_import, ir_version=model.ir_version)
