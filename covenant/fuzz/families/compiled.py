"""Small programs for tiny, as starting points of the families that damage programs."""

from __future__ import annotations

from functools import cache

from acg.graph import Graph, load_graph
from compiler.passes import compile_network
from compiler.program import Program
from compiler.read_network import read_network
from covenant.fuzz.operator_networks import operator_network

__all__ = ["NAMES", "machine", "program"]

#: Networks of `covenant.fuzz.operator_networks` that have between them every engine, field and kind of edge.
NAMES = ("Conv", "Conv 1-D", "Gemm", "Softmax", "Add", "Transpose", "AveragePool", "MaxPool", "LayerNormalization", "MatMul computed", "ArgMax", "ConvInteger",
         "Concat", "Resize linear", "Tanh", "ReduceMean")


@cache
def machine() -> Graph:
    """The machine of all of them."""
    return load_graph("tiny")


@cache
def program(name: str) -> Program:
    """The program of one network."""
    return compile_network(read_network(operator_network(name), name=name), machine())
