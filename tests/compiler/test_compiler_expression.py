"""Expression in the IR and as a micro-program: rules, steps, the bounds of its result."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from compiler.codelets.rows.expression import expression
from compiler.errors import IRError
from compiler.front.floats.formula import bounds
from compiler.front.state.values import Const, Operation, Real, Table
from compiler.ir.expression import Digits, Expression
from compiler.ir.floats import Term
from compiler.ir.network import EdgeInput, EdgeOutput, Network, Node, Tensor
from compiler.ir.rules import verify

SHAPE = (1, 3, 2, 2)
TABLE = np.arange(256, dtype=np.uint8)
FUNCTION = Digits(1, (TABLE, TABLE.copy()), 2.0**-15, -128)
WHOLE = Expression((Term(0, 0.5, 3), FUNCTION, Term(constant=np.float32([1, 2, 3]))), (("MUL", 0, 1), ("SUB", 3, 2)), 0.75, 3, 0, 255)


def graph_of(attrs, shape=SHAPE):
    scales = {"a": 0.5, "b": 0.25, "y": 0.75}
    tensors = {name: Tensor(name, shape if name == "y" else SHAPE, "u8", scale, 3) for name, scale in scales.items()}
    edges = tuple(EdgeInput(name, "u8", SHAPE, name) for name in "ab")
    return Network("g", edges, (EdgeOutput("y", "u8", shape, "y"),), (Node("n", attrs, ("a", "b"), ("y",), ("n",)),), tensors)


def with_terms(*terms):
    return replace(WHOLE, terms=terms)


A, F, K = WHOLE.terms
PLACES = "tables of 256 bytes from -255 to 0, places from 2^-126 to 2^112"
BROKEN = {
    "a scale": (with_terms(Term(0, 0.75, 3), F, K), "scale 0.75, zero 3", "those of a: 0.5, 3"),
    "an input left out": (with_terms(A, replace(FUNCTION, source=0), K), "an input that is no term", "terms of every input"),
    "a constant": (with_terms(A, F, Term(constant=np.float32([1, 2]))), "a constant float32 (2,)", "finite float32 (3,) or (1,)"),
    "a short table": (with_terms(A, replace(FUNCTION, tables=(TABLE[:9].copy(), TABLE)), K), f"2 digits of {2.0**-15} from -128", PLACES),
    "no table": (with_terms(A, replace(FUNCTION, tables=()), K), f"0 digits of {2.0**-15} from -128", PLACES),
    "a unit of many digits": (with_terms(A, replace(FUNCTION, unit=0.75), K), "2 digits of 0.75 from -128", PLACES),
    "a small unit": (with_terms(A, replace(FUNCTION, unit=2.0**-127), K), f"2 digits of {2.0**-127} from -128", PLACES),
    "a large unit": (with_terms(A, replace(FUNCTION, unit=2.0**105), K), f"2 digits of {2.0**105} from -128", PLACES),
    "a lowest digit": (with_terms(A, replace(FUNCTION, lowest=1), K), f"2 digits of {2.0**-15} from 1", PLACES),
    "a number not used": (replace(WHOLE, operations=(("MUL", 0, 1), ("SUB", 3, 0))), "operations (('MUL', 0, 1), ('SUB', 3, 0))",
                          "known ones that use all of 4 numbers, none before it is made"),
    "too early": (replace(WHOLE, operations=(("MUL", 0, 3), ("SUB", 1, 2))), "operations (('MUL', 0, 3), ('SUB', 1, 2))",
                  "known ones that use all of 4 numbers, none before it is made"),
    "an operation": (replace(WHOLE, operations=(("MUL", 0, 1), ("POW", 3, 2))), "operations (('MUL', 0, 1), ('POW', 3, 2))",
                     "known ones that use all of 4 numbers, none before it is made"),
    "a clamp": (replace(WHOLE, y_low=-1), "clamp [-1, 255]", "a range within [0, 255]"),
}  # fmt: skip


@pytest.mark.parametrize("case", list(BROKEN))
def test_each_rule(case):
    attrs, found, expected = BROKEN[case]
    with pytest.raises(IRError) as error:
        verify(graph_of(attrs))
    assert str(error.value).startswith(f"node n (Expression): found {found}; expected {expected};")


def test_equal_shapes():
    verify(graph_of(WHOLE))
    verify(graph_of(with_terms(A, Digits(1, (TABLE.copy(),), 0.3, -255), K)))
    with pytest.raises(IRError) as error:
        verify(graph_of(WHOLE, (1, 3, 2, 1)))
    assert str(error.value).startswith("node n (Expression): found shapes (1, 3, 2, 2), (1, 3, 2, 2), (1, 3, 2, 1); expected one shape;")


def test_steps():
    """Tables first, then numbers of 32 bits: an addition for each digit but the first, an instruction an operation."""
    graph = graph_of(WHOLE)
    codelet = expression(graph.nodes[0], graph)
    assert [(type(s).__name__, s.result) for s in codelet.program.steps] == [
        ("Lookup", "f1d1"), ("Lookup", "f1d0"), ("Chain", "f1s1"), ("Constant", "k2"), ("Chain", "s0"), ("Chain", "y"),
    ]  # fmt: skip
    assert [o.name for o in codelet.operations] == ["ADD", "MAC", "MUL", "TABLE", "REQUANTIZE"]
    assert codelet.program.values["f1d1"].zero == 128 and codelet.program.values["f1d0"].zero == 0


def of(kind, a, b):
    return Operation(kind, a, b, SHAPE, ("n",), None)


def test_bounds():
    """Each end is reached by some operands."""
    a = Real("a", (1,), "i8", 0.5, 28)
    f = Table("b", (1,), np.linspace(-3, 2, 256, dtype=np.float32), ())
    k = Const(np.float32([-1, 4]))
    assert bounds(a) == (-78.0, 49.5) and bounds(f) == (-3.0, 2.0) and bounds(k) == (-1.0, 4.0)
    found = {kind: bounds(of(kind, a, f)) for kind in ("ADD", "SUB", "MUL", "MIN", "MAX")}
    assert found == {"ADD": (-81.0, 51.5), "SUB": (-80.0, 52.5), "MUL": (-156.0, 234.0), "MIN": (-78.0, 2.0), "MAX": (-3.0, 49.5)}
    assert bounds(of("SUB", k, of("MUL", a, f))) == (-235.0, 160.0)
