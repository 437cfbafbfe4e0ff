"""Formulas against graphs: every way to write them is found, and nothing beside them; values are equal by what they are."""

from __future__ import annotations

import doctest

import numpy as np
import onnx
import pytest
from onnx.parser import parse_model
from onnx.shape_inference import infer_shapes

from compiler.front.rewrite import formulas, matcher
from compiler.front.rewrite.formulas import Constant, Number, Value, call, exp, heads, largest, log, maximum, mean, sqrt, total
from compiler.front.rewrite.matcher import matches
from compiler.front.rewrite.net import Net
from compiler.front.rewrite.restore import Template, restored

CONSTANTS = (
    "float one = {1}, float two = {2}, float half = {0.5}, float nhalf = {-0.5}, float three = {3}, float c = {0.25}, float[1,1] c2 = {0.25}, float eight = {8}, "
    "float low = {-3}, float nothing = {-inf}, float[8] w = {1,2,3,4,5,6,7,8}, int64[1] last = {-1}, int64[1] first = {0}, int64[2] row = {1,4}, "
    "int64[2] column = {4,1}, int64[2] whole = {4,8}, float s0 = {0.1}, uint8 z0 = {7}, float s1 = {0.1}, uint8 z1 = {7}, float s2 = {0.2}, int8 zi = {7}"
)
x, y, a, b, k, w = Value("x"), Value("y"), Value("a"), Value("b"), Number("k"), Constant("w")


def net(body: str, *, outputs: str = "float[4,8] r", inputs: str = "float[4,8] f, float[4,8] g, uint8[4,8] q", opset: int = 17) -> Net:
    """A graph of nodes; `;` ends each."""
    text = f'<ir_version: 8, opset_import: ["": {opset}]> example ({inputs}) => ({outputs}) <{CONSTANTS}> {{ {body.replace(";", " ")} }}'
    return Net(infer_shapes(parse_model(text), data_prop=True))


def found(pattern, body, **settings):
    """What the first match of the value r binds; None where there is none."""
    match = next(matches(net(body, **settings), pattern, "r"), None)
    return None if match is None else dict(match)


RMS = x / sqrt(mean(x**2) + k)
CENTRED = x - mean(x)
SOFTMAX = exp(x - largest(x)) / total(exp(x - largest(x)))
SQUARE = "p = Mul(f, f); m = ReduceMean<axes = [-1]>(p); "
#: (formula, graph, what it binds).
FOUND = {
    "sum either way": (x + 2.0, "r = Add(two, f)", {"x": "f"}),
    "difference of a negative": (x - y, "n = Neg(g); r = Add(n, f)", {"x": "f", "y": "g"}),
    "number taken away": (x + k, "r = Sub(f, c)", {"x": "f", "k": -0.25}),
    "three in a Sum": (x + y + k, "r = Sum(f, two, g)", {"x": "f", "y": "g", "k": 2.0}),
    "nested sums": (x + y + k, "h = Add(two, f); r = Add(g, h)", {"x": "g", "y": "f", "k": 2.0}),
    "division by a number": (x * k, "r = Div(f, two)", {"x": "f", "k": 0.5}),
    "factor of a quotient": (x * w / y, "h = Div(w, g); r = Mul(h, f)", None),
    "quotient": (x / y, "i = Reciprocal(g); r = Mul(f, i)", {"x": "f", "y": "g"}),
    "one over": (x / y, "i = Div(one, g); r = Mul(i, f)", {"x": "f", "y": "g"}),
    "rms": (RMS, SQUARE + "e = Add(c, m); s = Sqrt(e); r = Div(f, s)", {"x": "f", "axes": (-1,), "k": 0.25}),
    "rms by power": (RMS, SQUARE + "e = Add(c2, m); s = Pow(e, nhalf); r = Mul(s, f)", {"x": "f", "axes": (-1,), "k": 0.25}),
    "rms by root of reciprocal": (RMS, SQUARE + "e = Add(c, m); i = Reciprocal(e); s = Sqrt(i); r = Mul(s, f)", {"x": "f", "axes": (-1,), "k": 0.25}),
    "squares twice": (RMS, SQUARE + "e = Add(c, m); s = Sqrt(e); h = Identity(f); r = Div(h, s)", {"x": "h", "axes": (-1,), "k": 0.25}),
    "pow": (RMS, "p = Pow(f, two); m = ReduceMean<axes = [1]>(p); e = Add(c, m); s = Sqrt(e); r = Div(f, s)", {"x": "f", "axes": (-1,), "k": 0.25}),
    "sum over number": (RMS, "p = Pow(f, two); t = ReduceSum(p, last); m = Div(t, eight); e = Add(c, m); s = Sqrt(e); r = Div(f, s)",
                        {"x": "f", "axes": (-1,), "k": 0.25}),
    "sum of squares": (x / sqrt(total(x**2)), "n = ReduceL2<axes = [-1]>(f); r = Div(f, n)", {"x": "f", "axes": (-1,)}),
    "dropped and back": (RMS, "p = Mul(f, f); m = ReduceMean<axes = [-1], keepdims = 0>(p); e = Add(c, m); s = Sqrt(e); u = Unsqueeze(s, last); r = Div(f, u)",
                         {"x": "f", "axes": (-1,), "k": 0.25}),
    "leading dropped": (RMS, "p = Mul(f, f); m = ReduceMean<axes = [0], keepdims = 0>(p); e = Add(c, m); s = Sqrt(e); r = Div(f, s)",
                        {"x": "f", "axes": (-2,), "k": 0.25}),
    "all axes": (x / total(x), "t = ReduceSum(f); r = Div(f, t)", {"x": "f", "axes": (-2, -1)}),
    "softmax": (SOFTMAX, "m = ReduceMax<axes = [-1]>(f); h = Max(nothing, m); d = Sub(f, h); e = Exp(d); t = ReduceSum(e, last); r = Div(e, t)",
                {"x": "f", "axes": (-1,)}),
    "exponentials twice": (exp(x) / total(exp(x)), "e = Exp(f); d = Exp(f); t = ReduceSum(d, last); v = Expand(t, whole); r = Div(e, v)",
                           {"x": "f", "axes": (-1,)}),
    "log of exponentials": (x - log(total(exp(x))), "l = ReduceLogSumExp<axes = [1]>(f); r = Sub(f, l)", {"x": "f", "axes": (-1,)}),
    "lower bound": (maximum(x, k), "r = Clip(f, two)", {"x": "f", "k": 2.0}),
    "constant of a node": (x + k, "h = Constant<value = float {3}>(); r = Add(f, h)", {"x": "f", "k": 3.0}),
    "computed constant": (x + k, "h = Add(one, two); r = Add(f, h)", {"x": "f", "k": 3.0}),
    "constant behind DequantizeLinear": (x + k, "h = DequantizeLinear(z0, s0); r = Add(f, h)", {"x": "f", "k": float(np.float32(7) * np.float32(0.1))}),
    "dequantised twice": (CENTRED, "h = DequantizeLinear(q, s0, z0); d = DequantizeLinear(q, s1, z1); m = ReduceMean<axes = [1]>(h); r = Sub(d, m)",
                          {"x": "d", "axes": (-1,)}),
    "quantised as it was": (CENTRED, "h = DequantizeLinear(q, s0, z0); t = QuantizeLinear(h, s1, z1); d = DequantizeLinear(t, s0, z0); "
                                     "m = ReduceMean<axes = [1]>(h); r = Sub(d, m)", {"x": "d", "axes": (-1,)}),
    "either": (maximum(x, k) | x + k, "r = Add(f, two)", {"x": "f", "k": 2.0}),
}  # fmt: skip
#: (formula, graph): each close to one that is found.
NOT_FOUND = {
    "another number": (x + 2.0, "r = Add(three, f)"),
    "number from a number": (x + k, "r = Sub(c, f)"),
    "difference the other way": (CENTRED, "m = ReduceMean<axes = [-1]>(f); r = Sub(m, f)"),
    "quotient the other way": (RMS, SQUARE + "e = Add(c, m); s = Sqrt(e); r = Div(s, f)"),
    "another value": (RMS, SQUARE + "e = Add(c, m); s = Sqrt(e); r = Div(g, s)"),
    "cubes": (RMS, "p = Pow(f, three); m = ReduceMean<axes = [-1]>(p); e = Add(c, m); s = Sqrt(e); r = Div(f, s)"),
    "no root": (RMS, SQUARE + "e = Add(c, m); r = Div(f, e)"),
    "power of one half": (RMS, SQUARE + "e = Add(c, m); s = Pow(e, half); r = Mul(f, s)"),
    "two sums": (RMS, SQUARE + "e = Add(m, m); s = Sqrt(e); r = Div(f, s)"),
    "sum over another number": (RMS, "p = Mul(f, f); t = ReduceSum(p, last); m = Div(t, two); e = Add(c, m); s = Sqrt(e); r = Div(f, s)"),
    "two axes": (SOFTMAX, "m = ReduceMax<axes = [0]>(f); d = Sub(f, m); e = Exp(d); t = ReduceSum(e, last); r = Div(e, t)"),
    "exponentials of two kinds": (SOFTMAX | exp(x) / total(exp(x)), "m = ReduceMax<axes = [1]>(f); d = Sub(f, m); e = Exp(d); h = Exp(f); "
                                                                   "t = ReduceSum(h, last); r = Div(e, t)"),
    "root of a square": (CENTRED, "p = Mul(f, f); h = Sqrt(p); m = ReduceMean<axes = [1]>(f); r = Sub(h, m)"),
    "root of a square as its base": (x / mean(x), "p = Mul(f, f); h = Sqrt(p); i = Reciprocal(h); m = ReduceMean<axes = [1]>(f); r = Div(f, i)"),
    "root of a product": (sqrt(a) * sqrt(b), "p = Mul(f, g); r = Sqrt(p)"),
    "other scale": (CENTRED, "h = DequantizeLinear(q, s0, z0); d = DequantizeLinear(q, s2, z0); m = ReduceMean<axes = [1]>(h); r = Sub(d, m)"),
    "quantised otherwise": (CENTRED, "h = DequantizeLinear(q, s0, z0); t = QuantizeLinear(h, s2, z0); d = DequantizeLinear(t, s2, z0); "
                                     "m = ReduceMean<axes = [1]>(h); r = Sub(d, m)"),
    "quantised in another type": (CENTRED, "h = DequantizeLinear(q, s0, z0); t = QuantizeLinear(h, s0, zi); d = DequantizeLinear(t, s0, zi); "
                                           "m = ReduceMean<axes = [1]>(h); r = Sub(d, m)"),
    "random numbers": (CENTRED, "h = RandomNormalLike(f); d = RandomNormalLike(f); m = ReduceMean<axes = [1]>(h); r = Sub(d, m)"),
    "upper bound": (maximum(x, k), "r = Clip(f, two, three)"),
    "other axis of the same": (x - mean(x) - mean(x), "m = ReduceMean<axes = [1]>(f); n = ReduceMean<axes = [0]>(f); d = Sub(f, m); r = Sub(d, n)"),
}  # fmt: skip


@pytest.mark.parametrize("name", FOUND)
def test_found(name):
    pattern, body, expected = FOUND[name]
    match = found(pattern, body)
    if expected is None:
        expected = {"x": "f", "y": "g", "w": "w"}
    assert match == expected, match


@pytest.mark.parametrize("name", NOT_FOUND)
def test_not_found(name):
    pattern, body = NOT_FOUND[name]
    assert found(pattern, body) is None


def test_rows_go_back_along_their_axis():
    """Of a square matrix the other way fits too, and is another sum; so do dimensions that are not given back."""
    settings = {"inputs": "float[4,4] v", "outputs": "float[4,4] r"}
    rows = "t = ReduceSum<keepdims = 0>(v, last); "
    assert found(x - total(x), rows + "u = Reshape(t, column); r = Sub(v, u)", **settings) == {"x": "v", "axes": (-1,)}
    assert found(x - total(x), rows + "u = Reshape(t, row); r = Sub(v, u)", **settings) is None
    assert found(x - total(x), rows + "r = Sub(v, t)", **settings) is None


TAIL = (x * mean(x)).called("core")
ALONE = TAIL.alone() + w | TAIL
BODY = "m = ReduceMean<axes = [-1]>(f); h = Mul(f, m); "


def test_a_part_with_one_reader():
    assert found(ALONE, BODY + "r = Add(h, w)") == {"x": "f", "axes": (-1,), "core": "h", "w": "w"}
    assert found(ALONE, BODY + "i = Identity(h); r = Add(w, i)") == {"x": "f", "axes": (-1,), "core": "h", "w": "w"}


@pytest.mark.parametrize(("more", "outputs"), [
    ("", "float[4,8] r, float[4,8] h"), ("n = Neg(h);", "float[4,8] r, float[4,8] n"), ("i = Identity(h);", "float[4,8] r, float[4,8] i"),
])  # fmt: skip
def test_a_part_with_another_reader_is_left(more, outputs):
    """As a value of the graph, too."""
    assert found(ALONE, BODY + more + "r = Add(h, w)", outputs=outputs) is None
    assert found(TAIL, BODY + more + "r = Identity(h)", outputs=outputs) is not None


def test_a_part_read_twice_by_one_node_is_left():
    assert found(TAIL.alone() * y, BODY + "r = Mul(h, h)") is None


def test_replacing():
    """Values between that something else reads stay, as do outputs; the others go, and constants that are made come with their node."""
    body = (BODY + "n = Neg(h); r = Add(n, w)").replace(";", " ")
    model = infer_shapes(parse_model(f'<ir_version: 8, opset_import: ["": 17]> e (float[4,8] f) => (float[4,8] r, float[4,8] h) <{CONSTANTS}> {{ {body} }}'))
    template = Template(TAIL.alone() + w | TAIL, lambda found: found.node("Made", [found["x"], found.constant("three", 3)]))
    assert restored(model, [Template(x + w, lambda found: None)]) is model
    changed = restored(model, [template])
    assert [(n.op_type, n.name, list(n.output)) for n in changed.graph.node] == [("Made", "h", ["h"]), ("Neg", "", ["n"]), ("Add", "", ["r"])]
    assert "h/three" in {i.name for i in changed.graph.initializer} and changed is not model


def test_a_result_of_another_shape_is_not_replaced():
    """A bound with more dimensions than what is bounded."""
    template = Template(maximum(x, k), lambda found: found.node("Made", [found["x"]]))
    models = [infer_shapes(parse_model(f'<ir_version: 8, opset_import: ["": 17]> e (float[8] f) => (float[{size}] r) <{CONSTANTS}> {{ r = Max(f, {c}) }}'))
              for c, size in (("c", "8"), ("c2", "1,8"))]
    assert [n.op_type for m in models for n in restored(m, [template]).graph.node] == ["Made", "Max"]


def test_heads():
    assert heads(ALONE) == {"Add", "Sub", "Sum", "Neg", "Mul", "Div", "Pow", "Sqrt", "Reciprocal"}
    assert heads(mean(x)) == {"ReduceMean", "Mul", "Div"} and heads(call("Exp", x)) == {"Exp"}
    with pytest.raises(TypeError):
        heads(x)


def test_deep_graphs():
    """Ten thousand operators in a row are no matter of recursion."""
    count = 10_000
    nodes = [onnx.helper.make_node(("Mul", "Reciprocal", "Identity", "Neg")[i % 4], [f"t{i}"] * (2 if i % 4 == 0 else 1), [f"t{i + 1}"]) for i in range(count)]
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(nodes, "deep", [value("t0", 1, [2])], [value(f"t{count}", 1, [2])])
    deep = Net(onnx.helper.make_model(graph))
    assert list(matches(deep, RMS, f"t{count}")) == [] and deep.same(f"t{count}", f"t{count}") and not deep.same("t0", f"t{count}")


@pytest.mark.parametrize("module", [formulas, matcher])
def test_docstrings(module):
    result = doctest.testmod(module)
    assert result.attempted > 0 and result.failed == 0
