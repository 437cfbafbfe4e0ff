"""A segment as an ONNX model of its own, constants and all."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
from onnx import helper

from covenant.fallback.partition import Cut
from covenant.fallback.prepare import Prepared, reads

__all__ = ["extract"]


def _value(prepared: Prepared, name: str) -> onnx.ValueInfoProto:
    value = onnx.ValueInfoProto(name=name)
    if name in prepared.types:
        value.type.CopyFrom(prepared.types[name])
    return value


def extract(prepared: Prepared, cuts: Sequence[Cut], number: int) -> onnx.ModelProto:
    """Return segment ``number`` as a model: what other segments or the caller give it are its inputs, what they want its outputs."""
    graph, cut = prepared.model.graph, cuts[number]
    made = {name for node in cut.nodes for name in node.output if name}
    wanted = [name for node in cut.nodes for name in reads(node)]
    constant_nodes = []
    needed = set(wanted)
    for node in reversed(graph.node):
        if needed & set(node.output) and all(name in prepared.constants for name in node.output if name):
            constant_nodes.append(node)
            needed |= set(reads(node))
    inputs = list(dict.fromkeys(name for name in wanted if name not in made and name not in prepared.constants))
    elsewhere = {name for index, other in enumerate(cuts) if index != number for node in other.nodes for name in reads(node)}
    elsewhere |= {value.name for value in graph.output}
    outputs = [name for node in cut.nodes for name in node.output if name in elsewhere]
    return helper.make_model(
        helper.make_graph(
            [*reversed(constant_nodes), *cut.nodes], f"segment{number}",
            [_value(prepared, name) for name in inputs], [_value(prepared, name) for name in outputs],
            [item for item in graph.initializer if item.name in needed],
            value_info=[_value(prepared, name) for name in sorted(made - set(outputs)) if name in prepared.types],
        ),
        opset_imports=prepared.model.opset_import, ir_version=prepared.model.ir_version,
    )
