"""Rewriting takes nothing away that it has not read: nodes of decomposed operators, each with each attribute that its schema has."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

from compiler.errors import CompilerError, UnsupportedError
from compiler.front.import_onnx import import_onnx
from compiler.front.rewrite import account
from compiler.front.state.schema import signature
from compiler.read_network import read_network
from tests.compiler.ir_reference import evaluate
from tests.support.models import U8, dequantize, model_of, node, parameters, quantize
from verif.golden import Golden
from verif.reference import Reference

P = parameters(x=(0.02, 121), y=(0.03, 117))
#: With keepdims = 0 shapes still broadcast, and mean something else.
SHAPE = (1, 4, 4, 4)
LAST, E, TWO = np.array([-1]), np.float32(1e-3), np.float32(2)
AS_GROUPS, AS_IMAGE = np.array([1, 2, 8, 4]), np.array(SHAPE)
ONES = np.float32(np.linspace(0.5, 1.5, 4)).reshape(4, 1, 1)
#: Name -> nodes from d to r, and their constants.
PATTERNS = {
    "layer": ([
        node("ReduceMean", "d a", "m"), node("Sub", "d m", "c"), node("Pow", "c two", "s"), node("ReduceMean", "s a", "v"), node("Add", "v e", "u"),
        node("Sqrt", "u", "t"), node("Div", "c t", "r"),
    ], {"a": LAST, "two": TWO, "e": E}),
    "rms": ([
        node("Mul", "d d", "s"), node("ReduceMean", "s a", "v"), node("Add", "v e", "u"), node("Sqrt", "u", "t"), node("Reciprocal", "t", "i"), node("Mul", "d i", "r"),
    ], {"a": LAST, "e": E}),
    "l2": ([node("ReduceL2", "d a", "n"), node("Clip", "n e", "b"), node("Div", "d b", "r")], {"a": LAST, "e": np.float32(1e-6)}),
    "softmax": ([
        node("ReduceMax", "d a", "l"), node("Sub", "d l", "c"), node("Exp", "c", "p"), node("ReduceSum", "p a", "n"), node("Div", "p n", "r"),
    ], {"a": LAST}),
    "groups": ([
        node("Reshape", "d g", "w"), node("InstanceNormalization", "w s b", "i"), node("Reshape", "i h", "j"), node("Mul", "j f", "r"),
    ], {"g": AS_GROUPS, "h": AS_IMAGE, "s": np.ones(2, np.float32), "b": np.zeros(2, np.float32), "f": ONES}),
    "casts": ([
        node("Cast", "d", "k", to=1), node("ReduceMean", "k a", "m"), node("Sub", "k m", "c"), node("Mul", "c c", "s"), node("ReduceMean", "s a", "v"),
        node("Add", "v e", "u"), node("Sqrt", "u", "t"), node("Div", "c t", "r"),
    ], {"a": LAST, "e": E}),
    "transposed": ([
        node("ReduceMean", "d one", "m"), node("Sub", "d m", "c"), node("Transpose", "c", "h", perm=[0, 2, 3, 1]), node("Mul", "h h", "s"),
        node("ReduceMean", "s a", "v"), node("Add", "v e", "u"), node("Sqrt", "u", "t"), node("Div", "h t", "n"),
        node("Transpose", "n", "r", perm=[0, 3, 1, 2]),
    ], {"a": LAST, "one": np.array([1]), "e": E}),
}  # fmt: skip
#: Values that an attribute of these nodes may have besides its default.
OTHERS = {
    "keepdims": [0], "noop_with_empty_axes": [1], "allowzero": [1], "epsilon": [0.3], "to": [10], "saturate": [0], "perm": [[0, 3, 2, 1], [0, 1, 2, 3]],
    "round_mode": [],
}  # fmt: skip


def built(pattern, name="", attribute="", value=None, opset=21):
    nodes, constants = PATTERNS[pattern]
    changed = [onnx.NodeProto.FromString(n.SerializeToString()) for n in nodes]
    for item in changed:
        if item.name == name:
            kept = [a for a in item.attribute if a.name != attribute]
            del item.attribute[:]
            item.attribute.extend([*kept, helper.make_attribute(attribute, value)])
    return model_of([dequantize("x", "d", "x"), *changed, quantize("r", "y", "y")], {"x": (U8, SHAPE)}, {"y": (U8, None)}, {**P, **constants}, opset=opset)


CASES = [
    (pattern, item.name, attribute, value)
    for pattern, (nodes, _) in PATTERNS.items() for item in nodes
    for attribute in signature("", item.op_type, 21).attributes for value in OTHERS[attribute]
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_patterns_are_found(pattern):
    """Plain, each becomes one node of the IR or a few, and is what onnxruntime computes."""
    model, x = built(pattern), {"x": np.random.default_rng(3).integers(0, 256, SHAPE, np.uint8)}
    graph = read_network(model)
    assert len(graph.nodes) <= 3, [n.op for n in graph.nodes]
    assert np.abs(evaluate(graph, x)["y"].astype(int) - Golden(model).run(x)["y"]).max() <= 1


@pytest.mark.parametrize(("pattern", "name", "attribute", "value"), CASES)
def test_what_is_said_inside_a_pattern_is_computed_or_refused(pattern, name, attribute, value):
    model, x = built(pattern, name, attribute, value), {"x": np.random.default_rng(3).integers(0, 256, SHAPE, np.uint8)}
    try:
        expected = Golden(model).run(x)["y"].astype(int)
    except Exception:  # onnxruntime's exceptions have no common base; nothing to compare with: the compiler may only refuse, or agree with the definition
        expected = None
    for run in (lambda: evaluate(read_network(model), x), lambda: Reference(model).run(x)):
        try:
            got = run()["y"].astype(int)
        except (CompilerError, ValueError):
            continue
        assert expected is None or (got.shape == expected.shape and np.abs(got - expected).max() <= 1)


def test_the_account_can_fail(monkeypatch):
    """Rewriting that read nothing of a reduction would be stopped, with the node and what it says."""
    monkeypatch.setitem(account.READ, "ReduceL2", ())
    with pytest.raises(UnsupportedError) as error:
        import_onnx(_with_axes())
    assert [str(e) for e in error.value.entries] == [
        "n_n (ReduceL2): What is not computed must be left out, an attribute may be at its default. Found the attribute axes = [-1]."
    ]


def _with_axes():
    """The L2 normalisation of an opset whose reductions have axes as an attribute."""
    nodes = [dequantize("x", "d", "x"), node("ReduceL2", "d", "n", axes=[-1]), node("Div", "d n", "r"), quantize("r", "y", "y")]
    return model_of(nodes, {"x": (U8, SHAPE)}, {"y": (U8, SHAPE)}, P, opset=13)


def test_unknown_attributes_inside_a_pattern_are_refused():
    with pytest.raises(CompilerError) as error:
        import_onnx(built("layer", "n_v", "unheard_of", 1))
    assert "unheard_of" in str(error.value)
    import_onnx(_with_axes())
