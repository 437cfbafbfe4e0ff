"""Expression with sums of products: rules of the IR, and where products stand in the micro-program."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from compiler.codelets.rows.expression import expression
from compiler.errors import IRError
from compiler.ir.expression import Expression, Sums
from compiler.ir.floats import Term
from compiler.ir.network import Conv, EdgeInput, EdgeOutput, Network, Node, Tensor
from compiler.ir.rules import verify

SHAPE, WIDE = (1, 3, 2, 2), (1, 5, 2, 2)
CONV = Conv(np.ones((5, 3, 1, 1), np.int8), np.arange(5, dtype=np.int32), 0.5, 3, np.ones(1, np.float32), 0, None)
SCALE = np.float32([0.5, 0.25, 0, 0.125, 1])
WHOLE = Expression((Sums(CONV, (1,), SCALE), Term(0, 0.25, 3), Term(constant=np.float32([2]))), (("SUB", 1, 0), ("DIV", 3, 2)), 0.75, 3, 0, 255)


def graph_of(attrs, dtype="u8", output="u8"):
    tensors = {"b": Tensor("b", WIDE, "u8", 0.25, 3), "x": Tensor("x", SHAPE, "u8", 0.5, 3), "y": Tensor("y", WIDE, dtype, 0.75 if dtype == "u8" else None, 3)}
    tensors["y"] = replace(tensors["y"], zero_point=3 if dtype == "u8" else 0)
    edges = EdgeInput("b", "u8", WIDE, "b"), EdgeInput("x", "u8", SHAPE, "x")
    return Network("g", edges, (EdgeOutput("y", output, WIDE, "y"),), (Node("n", attrs, ("b", "x"), ("y",), ("n",)),), tensors)


def sums(**changes):
    return replace(WHOLE, terms=(replace(WHOLE.terms[0], **changes), *WHOLE.terms[1:]))


BROKEN = {
    "a quantised product": (sums(product=replace(CONV, y_scale=1.0)), "a product of 1", "sums, of one or two operands"),
    "two operands": (sums(sources=(1, 0)), "a product of 2", "sums, of one or two operands"),
    "scales": (sums(scale=SCALE[:3].copy()), "scales float32 (3,)", "float32 (5,), each 0 or from 2^-126 to 2^64"),
    "a subnormal scale": (sums(scale=np.full(5, 1e-40, np.float32)), "scales float32 (5,)", "float32 (5,), each 0 or from 2^-126 to 2^64"),
    "a bias": (sums(product=replace(CONV, bias=np.zeros(3, np.int32))), "bias int32 (3,)", "int32 (5,)"),
    "channels": (sums(product=replace(CONV, weight=np.ones((5, 2, 1, 1), np.int8))), "3 channels", "2 x 1 groups"),
    "a divisor": (replace(WHOLE, operations=(("DIV", 2, 1), ("ADD", 3, 0))), "a divisor that is no constant", "one number, not 0"),
    "an operand left out": (replace(WHOLE, terms=(Term(0, 0.25, 3),), operations=()), "an input that is no term", "terms of every input"),
}


@pytest.mark.parametrize("case", list(BROKEN))
def test_each_rule(case):
    verify(graph_of(WHOLE))
    attrs, found, expected = BROKEN[case]
    with pytest.raises(IRError) as error:
        verify(graph_of(attrs))
    assert str(error.value).startswith(f"node n (Expression): found {found}; expected {expected};")


def test_float32_results():
    """A tensor of float32 numbers is the result of float operations, over a scale of 1, and leaves the network as what it is."""
    verify(graph_of(replace(WHOLE, y_scale=1.0, y_zero=0), "f32", "f32"))
    for attrs, output, message in (
        (WHOLE, "f32", "node n (Expression): found an f32 result of Expression; expected a scale of 1, of a program of float operations;"),
        (replace(WHOLE, y_scale=1.0, y_zero=0), "i32", "output y: found i32 taken from f32; expected the tensor's type, or f32 and a scale;"),
    ):
        with pytest.raises(IRError) as error:
            verify(graph_of(attrs, "f32", output))
        assert str(error.value).startswith(message)


def test_steps():
    """A product stands before its first use and is operand a, with its bias and a scale a channel; a division joins the step before it."""
    graph = graph_of(WHOLE)
    codelet = expression(graph.nodes[0], graph)
    first, second, last = codelet.program.steps
    assert [(type(s).__name__, s.result) for s in codelet.program.steps] == [("Product", "p0"), ("Chain", "s0"), ("Chain", "y")]
    assert (second.a, second.b, second.binary, second.divisor) == ("p0", "b", "ADD", 2.0) and last.a == "s0"
    np.testing.assert_array_equal(second.channel_scale, -SCALE)
    np.testing.assert_array_equal(second.channel_bias, CONV.bias)
    assert [h.family for h in codelet.heads] == ["contraction"] and first.number == 0
    assert {o.name for o in codelet.operations} == {"MATMUL", "ADD", "REQUANTIZE"}
