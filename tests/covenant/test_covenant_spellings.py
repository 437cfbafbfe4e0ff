"""Normalisations and Softmax in every way to spell them: one operator, the definition's bytes on the machine, at most a step from onnxruntime; and what is
none of them is none for the compiler and for the definition."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnx.shape_inference import infer_shapes

from acg.graph import load_graph
from compiler.front.rewrite.restore import restored
from compiler.front.rewrite.templates.catalogue import NORMALISATIONS, OPERATORS
from compiler.passes import compile_network
from compiler.read_network import read_network
from tests.compiler.ir_reference import run_on_iss
from tests.support.models import U8, dequantize, model_of, node, parameters, quantize
from verif.golden import Golden
from verif.random.networks import random_inputs
from verif.reference import Reference
from verif.reference.evaluate import NORMALISATIONS as NORMALISATION_RECOGNISERS
from verif.reference.evaluate import WHOLE as OPERATOR_RECOGNISERS
from verif.reference.recognise.around import recognised

GRAPHS = {name: load_graph(name) for name in ("tiny", "edge16", "wide")}
RNG = np.random.default_rng(3)
IMAGE = (2, 6, 5, 8)
CONSTANTS = {
    "eps": np.float32(1e-3), "two": np.float32(2), "half": np.float32(-0.5), "one": np.float32([[1]]), "tiny": np.float32(1e-12), "eight": np.float32(8),
    "eighth": np.float32(1 / 8), "last": np.array([-1]), "first": np.array([0]), "second": np.array([1]), "groups": np.array([2, 3, 2, 40]),
    "rows": np.array([2, 3, -1]), "image": np.array(IMAGE), "ones": np.ones(3, np.float32), "zeros": np.zeros(3, np.float32),
    **parameters(x=(0.0413, 127), y=(0.03, 100), g=(0.2, np.int8(0))),
}  # fmt: skip


def numbers(*shape):
    return RNG.normal(1, 0.3, shape).astype(np.float32)


def centred(axes=(-1,), x="d"):
    return [node("ReduceMean", x, "m", axes=list(axes)), node("Sub", f"{x} m", "c")]


def radicand(axes=(-1,), of="c"):
    return [node("Mul", f"{of} {of}", "q"), node("ReduceMean", "q", "v", axes=list(axes)), node("Add", "v eps", "e")]


def layer(axes=(-1,), x="d", result="n"):
    return [*centred(axes, x), *radicand(axes), node("Sqrt", "e", "s"), node("Div", "c s", result)]


TAIL = [node("Mul", "n gamma", "h"), node("Add", "beta h", "p")]
WIDE = {"gamma": numbers(8), "beta": numbers(8)}
CHANNELS = {"gamma": numbers(6, 1, 1), "beta": numbers(1, 6, 1, 1)}
#: Nodes from the dequantised d to p, shape, constants, operator in the IR.
FORMS = {
    "power": ([*centred(), *radicand(), node("Pow", "e half", "s"), node("Mul", "c s", "p")], IMAGE, {}, "LayerNormalization"),
    "reciprocal of a root": ([*centred(), *radicand(), node("Sqrt", "e", "r"), node("Reciprocal", "r", "s"), node("Mul", "s c", "n"), *TAIL],
                             IMAGE, WIDE, "LayerNormalization"),
    "root of a reciprocal": ([*centred(), *radicand(), node("Reciprocal", "e", "r"), node("Sqrt", "r", "s"), node("Mul", "s c", "n"), *TAIL],
                             IMAGE, WIDE, "LayerNormalization"),
    "one over a root": ([*centred(), *radicand(), node("Sqrt", "e", "r"), node("Div", "one r", "s"), node("Mul", "s c", "n"), *TAIL],
                        IMAGE, WIDE, "LayerNormalization"),
    "scale over the root": ([*centred(), *radicand(), node("Sqrt", "e", "s"), node("Div", "gamma s", "t"), node("Mul", "t c", "h"), node("Add", "h beta", "p")],
                            IMAGE, WIDE, "LayerNormalization"),
    "scale before the root": ([*centred(), *radicand(), node("Sqrt", "e", "s"), node("Mul", "c gamma", "n"), node("Div", "n s", "h"), node("Add", "beta h", "p")],
                              IMAGE, WIDE, "LayerNormalization"),
    "multiplied out": ([*centred(), *radicand(), node("Sqrt", "e", "r"), node("Reciprocal", "r", "s"), node("Mul", "s gamma", "t"), node("Mul", "d t", "h"),
                        node("Mul", "m t", "i"), node("Sub", "beta i", "j"), node("Add", "h j", "p")], IMAGE, WIDE, "LayerNormalization"),
    "bias alone": ([*layer(), node("Add", "n beta", "p")], IMAGE, {"beta": numbers(8)}, "LayerNormalization"),
    "dimensions dropped": ([node("ReduceMean", "d", "k", axes=[-1], keepdims=0), node("Unsqueeze", "k last", "m"), node("Sub", "d m", "c"),
                            node("Mul", "c c", "q"), node("ReduceMean", "q", "v", axes=[3], keepdims=0), node("Add", "v eps", "e"), node("Sqrt", "e", "r"),
                            node("Unsqueeze", "r last", "s"), node("Div", "c s", "p")], IMAGE, {}, "LayerNormalization"),
    "sums": ([node("ReduceSum", "d last", "t"), node("Div", "t eight", "m"), node("Sub", "d m", "c"), node("Pow", "c two", "q"),
              node("ReduceSum", "q last", "w"), node("Mul", "w eighth", "v"), node("Add", "eps v", "e"), node("Sqrt", "e", "s"), node("Div", "c s", "p")],
             IMAGE, {}, "LayerNormalization"),
    "addition of the negative": ([node("ReduceMean", "d", "k", axes=[-1]), node("Neg", "k", "m"), node("Add", "m d", "c"), *radicand(), node("Sqrt", "e", "s"),
                                  node("Div", "c s", "p")], IMAGE, {}, "LayerNormalization"),
    "nothing between": ([node("Identity", "d", "i"), node("ReduceMean", "i", "k", axes=[-1]), node("Cast", "k", "m", to=1), node("Sub", "d m", "c"),
                         *radicand(), node("Sqrt", "e", "s"), node("Div", "c s", "o"), node("Identity", "o", "n"), *TAIL], IMAGE, WIDE, "LayerNormalization"),
    "dequantised scale": ([*layer(), dequantize("whole", "real", "g"), node("Cast", "real", "gamma", to=1), *TAIL], IMAGE,
                          {"whole": np.arange(1, 9, dtype=np.int8), "beta": numbers(8)}, "LayerNormalization"),
    "channels": ([*layer([1]), *TAIL], IMAGE, CHANNELS, "LayerNormalization"),
    "channels of a sequence": ([*layer([1]), *TAIL], (2, 6, 9), {"gamma": numbers(6, 1), "beta": numbers(6, 1)}, "LayerNormalization"),
    "rows of an image": ([*layer([2]), *TAIL], IMAGE, {"gamma": numbers(5, 1), "beta": numbers(5, 1)}, "LayerNormalization"),
    "columns": ([*layer([0]), node("Identity", "n", "p")], (12, 7), {}, "LayerNormalization"),
    "two axes": ([*layer([2, 3]), *TAIL], IMAGE, {"gamma": numbers(5, 8), "beta": numbers(5, 8)}, "LayerNormalization"),
    "two axes alone": ([*layer([-2, -1]), node("Identity", "n", "p")], IMAGE, {}, "LayerNormalization"),
    "images": ([*layer([2, 3]), *TAIL], IMAGE, CHANNELS, "GroupNormalization"),
    "sequences": ([*layer([2]), *TAIL], (2, 6, 9), {"gamma": numbers(6, 1), "beta": numbers(6, 1)}, "GroupNormalization"),
    "one group": ([*layer([1, 2, 3]), *TAIL], IMAGE, CHANNELS, "GroupNormalization"),
    "groups": ([node("Reshape", "d groups", "r"), *layer([2, 3], "r", "o"), node("Reshape", "o image", "n"), *TAIL], IMAGE, CHANNELS, "GroupNormalization"),
    "groups alone": ([node("Reshape", "d rows", "r"), *layer([2], "r", "o"), node("Reshape", "o image", "p")], IMAGE, {}, "GroupNormalization"),
    "groups by instances": ([node("Reshape", "d rows", "r"), node("InstanceNormalization", "r ones zeros", "o"), node("Reshape", "o image", "n"), *TAIL],
                            IMAGE, CHANNELS, "GroupNormalization"),
    "mean square to a power": ([*radicand(of="d"), node("Pow", "e half", "s"), node("Mul", "s d", "n"), node("Mul", "n gamma", "p")],
                               IMAGE, {"gamma": numbers(8)}, "RMSNormalization"),
    "scale times the inverse": ([*radicand(of="d"), node("Pow", "e half", "s"), node("Mul", "s gamma", "n"), node("Mul", "n d", "p")],
                                IMAGE, {"gamma": numbers(8)}, "RMSNormalization"),
    "mean square of channels": ([*radicand([1], "d"), node("Sqrt", "e", "s"), node("Div", "d s", "n"), node("Mul", "n gamma", "p")],
                                IMAGE, {"gamma": numbers(6, 1, 1)}, "RMSNormalization"),
    "sum of squares": ([node("ReduceSumSquare", "d", "w", axes=[-1]), node("Mul", "w eighth", "v"), node("Add", "v eps", "e"), node("Sqrt", "e", "s"),
                        node("Div", "d s", "p")], IMAGE, {}, "RMSNormalization"),
    "norm to a power": ([node("Mul", "d d", "q"), node("ReduceSum", "q last", "v"), node("Max", "v tiny", "e"), node("Pow", "e half", "s"),
                         node("Mul", "s d", "p")], IMAGE, {}, "RMSNormalization"),
    "norm without its dimension": ([node("ReduceL2", "d", "v", axes=[1], keepdims=0), node("Unsqueeze", "v second", "u"), node("Clip", "u tiny", "e"),
                                    node("Div", "d e", "p")], IMAGE, {}, "RMSNormalization"),
    "norm of a vector": ([node("ReduceL2", "d", "v"), node("Div", "d v", "p")], (40,), {}, "RMSNormalization"),
    "softmax of a vector": ([node("Exp", "d", "e"), node("ReduceSum", "e", "t"), node("Div", "e t", "p")], (40,), {}, "Softmax"),
    "exponentials twice": ([node("ReduceMax", "d", "m", axes=[1]), node("Sub", "d m", "s"), node("Exp", "s", "e"), node("Exp", "s", "f"),
                            node("ReduceSum", "f second", "t"), node("Div", "e t", "p")], IMAGE, {}, "Softmax"),
    "logarithm of a sum": ([node("ReduceMax", "d", "m", axes=[1]), node("Sub", "d m", "s"), node("Exp", "s", "e"), node("ReduceSum", "e second", "t"),
                            node("Log", "t", "l"), node("Sub", "s l", "p")], IMAGE, {}, "LogSoftmax"),
    "logarithm and largest together": ([node("ReduceMax", "d", "m", axes=[-1]), node("Sub", "d m", "s"), node("Exp", "s", "e"), node("ReduceSum", "e last", "t"),
                                        node("Log", "t", "l"), node("Add", "m l", "n"), node("Sub", "d n", "p")], IMAGE, {}, "LogSoftmax"),
    "ReduceLogSumExp": ([node("ReduceLogSumExp", "d", "l", axes=[3]), node("Sub", "d l", "p")], IMAGE, {}, "LogSoftmax"),
    "logarithm without its dimension": ([node("Exp", "d", "e"), node("ReduceSum", "e last", "t", keepdims=0), node("Log", "t", "l"),
                                         node("Unsqueeze", "l last", "u"), node("Sub", "d u", "p")], IMAGE, {}, "LogSoftmax"),
    "logarithm of a quotient": ([node("ReduceMax", "d", "m", axes=[1]), node("Sub", "d m", "s"), node("Exp", "s", "e"), node("ReduceSum", "e second", "t"),
                                 node("Div", "e t", "q"), node("Log", "q", "p")], IMAGE, {}, "LogSoftmax"),
    "logarithm of a softmax": ([node("Softmax", "d", "q", axis=1), node("Log", "q", "p")], IMAGE, {}, "LogSoftmax"),
    "exponential of a logarithm": ([node("LogSoftmax", "d", "q", axis=-2), node("Exp", "q", "p")], IMAGE, {}, "Softmax"),
    "exponential of a difference": ([node("ReduceLogSumExp", "d", "l", axes=[2]), node("Sub", "d l", "q"), node("Exp", "q", "p")], IMAGE, {}, "Softmax"),
    "softmax times a number": ([node("Mul", "third d", "s"), node("Softmax", "s", "p", axis=1)], IMAGE, {"third": np.float32(0.35)}, "Softmax"),
    "softmax over a number": ([node("Div", "d third", "s"), node("Softmax", "s", "p", axis=2)], IMAGE, {"third": np.float32([3])}, "Softmax"),
    "logarithm over a number": ([node("Div", "d third", "s"), node("LogSoftmax", "s", "p")], IMAGE, {"third": np.float32(3)}, "LogSoftmax"),
    "quotient times a number": ([node("Mul", "d third", "s"), node("ReduceMax", "s", "m", axes=[-1]), node("Sub", "s m", "b"), node("Exp", "b", "e"),
                                 node("ReduceSum", "e last", "t"), node("Div", "e t", "p")], IMAGE, {"third": np.float32(0.35)}, "Softmax"),
    "softmax of columns": ([node("ReduceMax", "d", "m", axes=[0], keepdims=0), node("Sub", "d m", "s"), node("Exp", "s", "e"),
                            node("ReduceSum", "e first", "t", keepdims=0), node("Div", "e t", "p")], (9, 12), {}, "Softmax"),
}  # fmt: skip


def network(nodes, shape, constants, opset=17):
    named = [dequantize("x", "d", "x"), *nodes, quantize("p", "y", "y")]
    used = {name for n in named for name in n.input}
    held = {name: array for name, array in {**CONSTANTS, **constants}.items() if name in used}
    return model_of(named, {"x": (U8, shape)}, {"y": (U8, shape)}, held, opset=opset)


@pytest.mark.parametrize("form", FORMS)
def test_one_operator(form):
    nodes, shape, constants, operator = FORMS[form]
    model = network(nodes, shape, constants)
    graph, inputs = read_network(model), random_inputs(model, 5)
    assert [n.op for n in graph.nodes if n.op != "Reshape"] == [operator]
    expected = Reference(model).run(inputs)["y"]
    machine = GRAPHS[("tiny", "edge16", "wide")[len(form) % 3]]
    np.testing.assert_array_equal(run_on_iss(compile_network(graph, machine), machine, inputs)["y"], expected)
    assert np.abs(expected.astype(int) - Golden(model).run(inputs)["y"]).max() <= 1
    assert len(np.unique(expected)) > 5


@pytest.mark.parametrize(("nodes", "constants"), [
    ([node("Mul", "d k", "s"), node("Softmax", "s", "p")], {"k": np.float32(-0.5)}),
    ([node("Mul", "d k", "s"), node("Softmax", "s", "p")], {"k": np.float32(2.0**21)}),
    ([node("Mul", "d k", "s"), node("Softmax", "s", "p")], {"k": np.full(8, 0.5, np.float32)}),
    ([node("Div", "k d", "s"), node("Softmax", "s", "p")], {"k": np.float32(2)}),
    ([node("Add", "d k", "s"), node("Softmax", "s", "p")], {"k": np.float32(2)}),
    ([node("Mul", "d d", "s"), node("Softmax", "s", "p")], {}),
], ids=["negative", "large", "several numbers", "inverse", "sum", "square"])  # fmt: skip
def test_what_no_factor_is(nodes, constants):
    """Neither makes a Softmax with a factor of it."""
    model = network(nodes, IMAGE, constants)
    inferred = infer_shapes(model, data_prop=True)
    for changed in (restored(inferred, NORMALISATIONS), recognised(model, NORMALISATION_RECOGNISERS)):
        assert not any(n.op_type == "Softmax" and n.domain for n in changed.graph.node)


class Spelled:
    """A normalisation in random spelling. `departure`: one thing that makes it none, or ''."""

    def __init__(self, seed: int, *, departure: str = "") -> None:
        self.rng, self.departure = np.random.default_rng(seed), departure
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, np.ndarray] = {}
        self.shape = tuple(int(d) for d in self.rng.integers(2, 7, self.rng.integers(2, 5)))

    def pick(self, *choices):
        return choices[int(self.rng.integers(len(choices)))]

    def add(self, op, *inputs, domain="", **attributes):
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], name=f"n_{name}", domain=domain, **attributes))
        return self.add("Identity", name) if op != "Identity" and self.rng.random() < 0.1 else name

    def constant(self, array):
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(array)
        return name

    def number(self, value):
        """A number: of some rank, computed, or dequantised."""
        form = self.rng.integers(4)
        if form == 0:
            return self.add("Neg", self.constant(np.float32(-value)))
        if form == 1 and float(value).is_integer():
            return self.add("DequantizeLinear", self.constant(np.uint8(value + 3)), self.constant(np.float32(1)), self.constant(np.uint8(3)))
        return self.constant(np.full((1,) * int(self.rng.integers(0, len(self.shape) + 1)), value, np.float32))

    def two(self, op, a, b):
        return self.add(op, *(self.pick((a, b), (b, a))))

    def total(self, x, axes, mean):
        """A reduction along axes; its dimensions kept, or dropped and given back."""
        axes = [int(a) - self.pick(0, len(self.shape)) for a in axes]
        keep = self.pick(0, 1, 1)
        count = int(np.prod([self.shape[a] for a in axes]))
        if mean and self.rng.random() < 0.7:
            value = self.add("ReduceMean", x, axes=axes, keepdims=keep)
        else:
            value = self.add("ReduceSum", x, self.constant(np.array(axes)), keepdims=keep)
            if mean:
                value = self.pick(lambda: self.add("Div", value, self.number(count)), lambda: self.two("Mul", value, self.number(1 / count)))()
        kept = [1 if i in [a % len(self.shape) for a in axes] else d for i, d in enumerate(self.shape)]
        return value if keep else self.add("Reshape", value, self.constant(np.array(kept)))

    def square(self, x):
        power = 3.0 if self.departure == "exponent" else 2.0
        return self.add("Mul", x, x) if power == 2 and self.rng.random() < 0.5 else self.add("Pow", x, self.number(power))

    def over_root(self, x, e):
        """x over the root of e."""
        form = self.rng.integers(5)
        if form == 0:
            return self.add("Div", x, self.add("Sqrt", e))
        inverse = (
            lambda: self.add("Reciprocal", self.add("Sqrt", e)), lambda: self.add("Sqrt", self.add("Reciprocal", e)),
            lambda: self.add("Pow", e, self.number(-0.5)), lambda: self.add("Div", self.number(1), self.add("Sqrt", e)),
        )[form - 1]()  # fmt: skip
        return self.two("Mul", x, inverse)

    def run(self, layer):
        """A LayerNormalization, or an RMSNormalization, over some last axes, or one axis."""
        rank = len(self.shape)
        last = int(self.rng.integers(1, rank))
        axes = self.pick(range(last, rank), [last - 1]) if self.departure != "axes apart" else [0, rank - 1]
        x = again = self.add("DequantizeLinear", "x", "sx", "zx")
        if self.rng.random() < 0.3:
            again = self.add("DequantizeLinear", "x", "sx", "zx")
        other = self.add("DequantizeLinear", "x", "sy", "zx") if self.departure == "operand" else x
        distance = x
        if layer:
            mean = self.total(other, axes, True)
            distance = self.pick(lambda: self.add("Sub", x, mean), lambda: self.two("Add", x, self.add("Neg", mean)))()
            distance = self.add("Sub", mean, x) if self.departure == "order" else distance
        elif self.departure in ("operand", "order"):
            distance = self.add("DequantizeLinear", "x", "sy", "zx")
        further = [0] if self.departure == "axis" and list(axes) != [0] else [rank - 1] if self.departure == "axis" else axes
        square = self.square(distance)
        e = self.two("Add", self.total(square, further, self.departure != "sum"), self.number(1e-3))
        value = self.over_root(distance if layer else again, e)
        tail = self.rng.integers(3)
        if tail and axes != [0]:
            shape = [self.shape[a] for a in axes] if list(axes) == list(range(rank - len(axes), rank)) else [self.shape[axes[0]], *[1] * (rank - 1 - axes[0])]
            value = self.two("Mul", value, self.constant(self.rng.normal(1, 0.3, shape).astype(np.float32)))
            if tail == 2 and layer:
                value = self.two("Add", value, self.constant(self.rng.normal(0, 0.3, shape).astype(np.float32)))
        self.add("QuantizeLinear", value, "sq", "zx")
        self.nodes[-1].output[0] = "y"
        held = {**self.constants, **parameters(x=(0.03, 128)), "sy": np.float32(0.031), "sq": np.float32(0.02)}
        del self.nodes[next((i + 1 for i, n in enumerate(self.nodes) if "y" in n.output), len(self.nodes)) :]
        used = {name for n in self.nodes for name in n.input}
        return model_of(self.nodes, {"x": (U8, self.shape)}, {"y": (U8, self.shape)}, {k: v for k, v in held.items() if k in used}, opset=17)


def described(model):
    """The normalisations of a model that rewriting has gone over: operator, whether ONNX's, axis, epsilon, constants."""
    held = {i.name: numpy_helper.to_array(i).reshape(-1).tolist() for i in model.graph.initializer}
    found = []
    for n in model.graph.node:
        if "Normalization" in n.op_type:
            given = {a.name: helper.get_attribute_value(a) for a in n.attribute}
            factors = [held.get(name) for name in n.input[1:]]
            plain = [f for f, default in zip(factors, ([1.0], [0.0]), strict=False) if f is not None and set(f) != set(default)]
            found.append((n.op_type, bool(n.domain), given.get("axis"), given.get("num_groups"), given.get("epsilon"), plain))
    return found


def both(model):
    inferred = infer_shapes(model, data_prop=True)
    return [described(changed) for changed in (restored(restored(inferred, OPERATORS), NORMALISATIONS),
                                               recognised(recognised(model, OPERATOR_RECOGNISERS), NORMALISATION_RECOGNISERS))]  # fmt: skip


@pytest.mark.parametrize("layer", [True, False], ids=["layer", "rms"])
def test_random_spellings(layer):
    """The compiler and the definition, by ways of their own, see the same operator. Replay: the seed."""
    kinds = set()
    for seed in range(60):
        compiler, definition = both(Spelled(seed).run(layer))
        assert len(compiler) == 1 and compiler == definition, f"seed {seed}: {compiler} {definition}"
        kinds.add(compiler[0][:3])
    assert len(kinds) > 4


@pytest.mark.parametrize(("operator", "departure"), [
    *(("LayerNormalization", d) for d in ("exponent", "axes apart", "operand", "order", "axis", "sum")),
    *(("RMSNormalization", d) for d in ("exponent", "axes apart", "operand", "order", "sum")),
])  # fmt: skip
def test_random_departures(operator, departure):
    """One thing is another: neither sees that operator, though perhaps both another (the distances from a mean may be over their mean square).

    Replay: the seed.
    """
    for seed in range(12):
        spelled = Spelled(seed, departure=departure)
        if departure in ("axes apart", "axis") and len(spelled.shape) < 3:
            continue
        compiler, definition = both(spelled.run(operator == "LayerNormalization"))
        assert compiler == definition and operator not in {kind for kind, *_ in compiler}, f"seed {seed}: {compiler} {definition}"
