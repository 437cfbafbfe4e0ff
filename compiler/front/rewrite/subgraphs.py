"""Graphs inside graphs: what a node with branches or a body reads, and every graph of a model."""

from __future__ import annotations

from collections.abc import Iterator

import onnx


def inner(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """Graphs among a node's attributes."""
    for attribute in node.attribute:
        yield from attribute.graphs
        if attribute.HasField("g"):
            yield attribute.g


def subgraphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """A graph and every graph inside it."""
    yield graph
    for node in graph.node:
        for below in inner(node):
            yield from subgraphs(below)


def reads(node: onnx.NodeProto) -> set[str]:
    """Values a node may read: its inputs, and every name that a subgraph of it mentions."""
    names = set(node.input)
    for graph in inner(node):
        names |= {value.name for value in graph.output} | {name for child in graph.node for name in reads(child)}
    return names


__all__ = ["inner", "reads", "subgraphs"]
