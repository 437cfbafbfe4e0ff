"""Einsum, from ONNX to the machine: bytes equal the definition in exact integers, onnxruntime at most a step away."""

from __future__ import annotations

import numpy as np
import pytest

from acg.graph import load_graph
from compiler.errors import UnsupportedError
from compiler.front.rewrite.einsum import Equation, parse
from compiler.passes import compile_network
from compiler.read_network import read_network
from covenant.quantise import quantise
from covenant.quantise.prepare import prepared
from tests.compiler.ir_reference import check_program, evaluate
from tests.support.models import F32, I8, U8, dequantize, model_of, node, parameters, quantize
from verif.golden import Golden
from verif.random.networks import random_inputs
from verif.reference import Reference

GRAPHS = {name: load_graph(name) for name in ("tiny", "edge16")}


def product(equation, shape, other, out, *, constant=None, scale=0.0013):
    """A model of a product of a (uint8) and b (int8, `constant` where it is one: 'a', 'b'), and perhaps a factor after it."""
    rng = np.random.default_rng(len(equation))
    constants = {**parameters(a=(0.0113, 127), y=(0.0217, 121), b=(scale, np.int8(3))), "f": np.float32(0.25)}
    inputs = {"a": (U8, shape), "b": (I8, other)}
    for name, size, kind in (("a", shape, np.uint8), ("b", other, np.int8)):
        if constant == name:
            limits = np.iinfo(kind)
            constants[name] = rng.integers(limits.min, limits.max + 1, size, kind)
            del inputs[name]
    nodes = [dequantize("a", "da", "a"), dequantize("b", "db", "b"), node("Einsum", "da db", "e", equation=equation), quantize("e", "y", "y")]
    return model_of(nodes, inputs, {"y": (U8, out)}, constants)


def check(model, machine="edge16", most=1):
    """Definition, IR and program give the same bytes; returns what the definition gives."""
    inputs, graph = random_inputs(model, 3), read_network(model)
    expected = Reference(model).run(inputs)["y"]
    np.testing.assert_array_equal(evaluate(graph, inputs)["y"], expected)
    assert check_program(graph, compile_network(graph, GRAPHS[machine]), GRAPHS[machine], inputs) > 0
    assert np.abs(expected.astype(int) - Golden(model).run(inputs)["y"]).max() <= most
    assert len(np.unique(expected)) > min(4, expected.size - 1)
    return graph


CASES = [
    ("bhid,bhjd->bhij", (2, 3, 5, 4), (2, 3, 6, 4), (2, 3, 5, 6)),
    (" B G H I J, B G H J D -> B G H I D ", (1, 2, 3, 5, 6), (1, 2, 3, 6, 4), (1, 2, 3, 5, 4)),
    ("bihd,bjhd->bhij", (2, 5, 3, 4), (2, 6, 3, 4), (2, 3, 5, 6)),
    ("...ij,...jk", (2, 3, 4), (2, 4, 5), (2, 3, 5)),
    ("ij,kj->ki", (5, 7), (6, 7), (6, 5)),
    ("bcd,bd->bc", (2, 5, 7), (2, 7), (2, 5)),
    ("bij,bij->b", (3, 4, 5), (3, 4, 5), (3,)),
    ("nchw,kcd->nhwkd", (1, 6, 2, 3), (4, 6, 2), (1, 2, 3, 4, 2)),
    ("ij,ij->ij", (5, 7), (5, 7), (5, 7)),
    ("bi,bj->bij", (2, 5), (2, 7), (2, 5, 7)),
]


@pytest.mark.parametrize(("equation", "a", "b", "out"), CASES)
def test_products_of_two_tensors(equation, a, b, out):
    check(product(equation, a, b, out, scale=0.0013 if len(a) + len(b) > len(out) + 2 else 0.02), "tiny" if len(a) % 2 else "edge16")


@pytest.mark.parametrize(("equation", "a", "b", "out", "constant"), [
    ("bhwc,cd->bhwd", (1, 3, 4, 8), (8, 5), (1, 3, 4, 5), "b"),
    ("bhwc,dc->bdhw", (1, 3, 4, 8), (5, 8), (1, 5, 3, 4), "b"),
    ("dk,bkn->bdn", (5, 8), (2, 8, 3), (2, 5, 3), "a"),
    ("bthd,hdm->btm", (1, 4, 2, 3), (2, 3, 5), (1, 4, 5), "b"),
])  # fmt: skip
def test_products_by_a_constant(equation, a, b, out, constant):
    graph = check(product(equation, a, b, out, constant=constant))
    assert "Conv" in {type(n.attrs).__name__ for n in graph.nodes}


@pytest.mark.parametrize(("equation", "shape", "out"), [("bchw->bhwc", (1, 3, 4, 5), (1, 4, 5, 3)), ("bij->bi", (2, 3, 6), (2, 3)), ("ijk->ki", (3, 4, 5), (5, 3)),
                                                        ("ij", (3, 5), (3, 5))])  # fmt: skip
def test_one_operand(equation, shape, out):
    nodes = [dequantize("x", "d", "x"), node("Einsum", "d", "e", equation=equation), quantize("e", "y", "y")]
    check(model_of(nodes, {"x": (U8, shape)}, {"y": (U8, out)}, parameters(x=(0.0113, 127), y=(0.0317, 121))))


def test_a_factor_after_a_product_is_quantised_with_it():
    """Scores scaled by a constant: a quantiser that leaves Einsum alone quantises after the Mul."""
    nodes = [dequantize("a", "da", "a"), dequantize("b", "db", "b"), node("Einsum", "da db", "e", equation="bid,bjd->bij"),
             node("Mul", "e f", "m"), quantize("m", "y", "y")]  # fmt: skip
    constants = {**parameters(a=(0.0113, 127), b=(0.013, np.int8(3)), y=(0.0217, 121)), "f": np.float32(0.353)}
    check(model_of(nodes, {"a": (U8, (2, 5, 8)), "b": (I8, (2, 6, 8))}, {"y": (U8, (2, 5, 6))}, constants))


def test_equations():
    assert parse("...ij,jk", (4, 2)) == Equation(((-2, -1, "i", "j"), ("j", "k")), (-2, -1, "i", "k"))
    assert parse("ba", (2,)) == Equation((("b", "a"),), ("a", "b"))
    assert parse("ii->i", (2,)) is None and parse("i,j", (1,)) is None and parse("ij->k", (2,)) is None and parse("ij->i", (3,)) is None


@pytest.mark.parametrize(("equation", "a", "b", "out"), [("ii,ij->ij", (5, 5), (5, 6), (5, 6)), ("ij,kl->ik", (5, 4), (6, 3), (5, 6))])
def test_what_is_no_product_is_refused(equation, a, b, out):
    with pytest.raises(UnsupportedError) as error:
        read_network(product(equation, a, b, out))
    assert str(error.value).endswith(
        "(Einsum): Einsum must multiply two operands, or sum or transpose one; an index once in an operand, what is summed in both of them."
        f" Found the equation {equation}."
    )


def test_the_quantiser_quantises_the_product():
    """onnxruntime's quantiser knows no Einsum: it is a MatMul first, whose operands and result are quantised."""
    rng = np.random.default_rng(3)
    nodes = [node("Einsum", "x k", "s", equation="bihd,jhd->bhij"), node("Softmax", "s", "p"), node("Einsum", "p w", "y", equation="bhij,jm->bihm")]
    constants = {"k": rng.normal(0, 0.4, (6, 2, 4)).astype(np.float32), "w": rng.normal(0, 0.4, (6, 3)).astype(np.float32)}
    made = prepared(model_of(nodes, {"x": (F32, (1, 5, 2, 4))}, {"y": (F32, (1, 5, 2, 3))}, constants), name="attention")
    samples = [{"x": rng.standard_normal((1, 5, 2, 4)).astype(np.float32)} for _ in range(4)]
    quantised = quantise(made, samples, name="attention").model
    kinds = [n.op_type for n in quantised.graph.node]
    assert "Einsum" not in kinds and kinds.count("MatMul") == 2
    made_by = {name: n.op_type for n in quantised.graph.node for name in n.output}
    products = [n for n in quantised.graph.node if n.op_type == "MatMul"]
    assert {made_by.get(name) for n in products for name in n.input} == {"DequantizeLinear"}
    assert {"MatMul", "Conv"} & {type(n.attrs).__name__ for n in read_network(quantised).nodes} == {"Conv"}  # both by constants
