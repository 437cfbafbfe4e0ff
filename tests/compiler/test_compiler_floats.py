"""Sum and Quotient in the IR and as micro-programs: rules, steps, and what the passes around them do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from acg.graph import load_graph
from compiler.codelets.rows.floats import quotient, sum_of_several
from compiler.errors import IRError
from compiler.ir.floats import Quotient, Sum, Term
from compiler.ir.network import EdgeInput, EdgeOutput, Network, Node, Tensor
from compiler.ir.rules import verify
from compiler.passes import compile_network
from compiler.read_network import read_network
from tests.compiler.ir_reference import check_program
from tests.support.models import U8, dequantize, model_of, node, parameters, quantize
from verif.random.networks import random_inputs

SHAPE = (1, 3, 2, 2)
SUM = Sum((Term(0, 0.5, 3), Term(1, -0.25, 3), Term(constant=np.float32([1, 2, 3]))), ((0, 1), (3, 2)), 1.0, 0.75, 3, 0, 255)
QUOTIENT = Quotient(0.5, 3, 0.25, 3, 0.75, 3, 0, 255)


def graph_of(attrs, shape=SHAPE):
    scales = {"a": 0.5, "b": 0.25, "y": 0.75}
    tensors = {name: Tensor(name, shape if name == "y" else SHAPE, "u8", scale, 3) for name, scale in scales.items()}
    edges = tuple(EdgeInput(name, "u8", SHAPE, name) for name in "ab")
    return Network("g", edges, (EdgeOutput("y", "u8", shape, "y"),), (Node("n", attrs, ("a", "b"), ("y",), ("n",)),), tensors)


BROKEN = {
    "a scale": (replace(SUM, terms=(Term(0, 0.75, 3), *SUM.terms[1:])), "scale 0.75, zero 3", "those of a: 0.5, 3"),
    "an input left out": (replace(SUM, terms=(SUM.terms[0], Term(0, 0.5, 3), SUM.terms[2])), "an input that is no term", "terms of every input"),
    "a constant": (replace(SUM, terms=(*SUM.terms[:2], Term(constant=np.float32([1, 2])))), "a constant float32 (2,)", "finite float32 (3,) or (1,)"),
    "no number": (replace(SUM, terms=(*SUM.terms[:2], Term(constant=np.float32([np.nan])))), "a constant float32 (1,)", "finite float32 (3,) or (1,)"),
    "twice": (replace(SUM, additions=((0, 1), (3, 1))), "additions ((0, 1), (3, 1))", "each of 4 numbers added once"),
    "too early": (replace(SUM, additions=((0, 3), (1, 2))), "additions ((0, 3), (1, 2)), factor 1.0", "numbers before they are added, a factor of at most 1"),
    "a factor": (replace(SUM, factor=2.0), "additions ((0, 1), (3, 2)), factor 2.0", "numbers before they are added, a factor of at most 1"),
    "a clamp": (replace(SUM, y_low=-1), "clamp [-1, 255]", "a range within [0, 255]"),
    "a divisor's scale": (replace(QUOTIENT, b_scale=0.5), "scale 0.5, zero 3", "those of b: 0.25, 3"),
    "a quotient's clamp": (replace(QUOTIENT, y_high=256), "clamp [0, 256]", "a range within [0, 255]"),
}


@pytest.mark.parametrize("case", list(BROKEN))
def test_each_rule(case):
    attrs, found, expected = BROKEN[case]
    with pytest.raises(IRError) as error:
        verify(graph_of(attrs))
    assert str(error.value).startswith(f"node n ({type(attrs).__name__}): found {found}; expected {expected};")


@pytest.mark.parametrize("attrs", [SUM, QUOTIENT], ids=["sum", "quotient"])
def test_equal_shapes(attrs):
    verify(graph_of(attrs))
    with pytest.raises(IRError, match="shape"):
        verify(graph_of(attrs, (1, 3, 2, 1)))


def test_steps():
    """A sum takes an instruction an addition, a mean one more; a quotient a table for each digit, an addition for each but the first, and a product."""
    def steps(attrs):
        graph = graph_of(attrs)
        codelet = (sum_of_several if isinstance(attrs, Sum) else quotient)(graph.nodes[0], graph)
        return [(type(s).__name__, s.result) for s in codelet.program.steps], [o.name for o in codelet.operations]

    assert steps(SUM) == ([("Constant", "k2"), ("Chain", "s0"), ("Chain", "y")], ["ADD", "MAC", "REQUANTIZE"])
    assert steps(replace(SUM, factor=0.5))[0][1:] == [("Chain", "s0"), ("Chain", "s1"), ("Chain", "y")]
    digits = [("Lookup", f"d{i}") for i in range(5)]
    assert steps(QUOTIENT) == ([*digits, *(("Chain", f"r{i}") for i in range(1, 5)), ("Chain", "y")], ["ADD", "MUL", "TABLE", "REQUANTIZE"])


def network(*nodes, out=(1, 6, 4, 4), **more):
    tensors = {name: (U8, (1, 6, 4, 4)) for name in "abc" if any(f"d{name}" in n.input for n in nodes)}
    front = [dequantize(name, f"d{name}", name) for name in tensors]
    constants = parameters(a=(0.03, 130), b=(0.02, 0), c=(0.01, 99), q=(0.05, 110)) | more
    return model_of([*front, *nodes], tensors, {"y": (U8, out)}, {k: v for k, v in constants.items() if k not in {p + n for n in "abc" if n not in tensors
                                                                                                                  for p in "sz"}})  # fmt: skip


@pytest.mark.parametrize("op", ["sum", "quotient"])
def test_a_clamp_behind_is_merged(op):
    """Relu with a quantisation before it."""
    first = node("Sum", "da db dc", "g") if op == "sum" else node("Div", "da db", "g")
    model = network(first, quantize("g", "h", "q"), dequantize("h", "i", "q"), node("Relu", "i", "r"), quantize("r", "y", "q"))
    graph = read_network(model)
    assert [n.op for n in graph.nodes] == [{"sum": "Sum", "quotient": "Quotient"}[op]] and graph.nodes[0].attrs.y_low == 110
    machine = load_graph("tiny")
    assert check_program(graph, compile_network(graph, machine), machine, random_inputs(model, 1)) > 0


@pytest.mark.parametrize("op", ["sum", "quotient"])
def test_views_settle(op):
    """Between two reshapes to one view the node takes that view, and nothing is moved."""
    to, back = np.array([1, 2, 3, 16]), np.array([1, 6, 4, 4])
    views = [n for name in "abc" for n in (node("Reshape", f"d{name} to", f"e{name}"),) if op == "sum" or name != "c"]
    first = node("Sum", "ea eb ec", "g") if op == "sum" else node("Div", "ea eb", "g")
    model = network(*views, first, node("Reshape", "g back", "h"), quantize("h", "y", "q"), to=to, back=back)
    graph = read_network(model)
    assert [n.op for n in graph.nodes] == [{"sum": "Sum", "quotient": "Quotient"}[op]]


def test_a_node_that_does_not_fit_says_so():
    model = model_of(
        [*(dequantize(n, f"d{n}", n) for n in "abc"), node("Sum", "da db dc", "g"), quantize("g", "y", "q")],
        dict.fromkeys("abc", (U8, (1, 40000))), {"y": (U8, (1, 40000))}, parameters(a=(0.03, 130), b=(0.02, 0), c=(0.01, 99), q=(0.05, 110)),
    )  # fmt: skip
    with pytest.raises(ValueError, match="no strip that fits the on-chip memories"):
        compile_network(read_network(model), load_graph("tiny"))
