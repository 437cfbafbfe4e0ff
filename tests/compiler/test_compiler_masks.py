"""Softmax of what nothing has quantised: masks of every kind, products as they are, on the functional simulator, against the definition and onnxruntime."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from acg.graph import load_graph
from compiler.errors import IRError, UnsupportedError
from compiler.ir.fine_softmax import FineSoftmax
from compiler.ir.network import EdgeInput, EdgeOutput, Network, Node, Tensor
from compiler.ir.rules import verify
from compiler.passes import compile_network
from compiler.read_network import read_network
from tests.compiler.ir_reference import evaluate, run_on_iss
from tests.compiler.test_compiler_rowwise import onnxruntime_steps
from tests.support.models import F32, I8, U8, dequantize, model_of, node, parameters, quantize
from verif.reference import NoNumberError, Reference

T, LEAST = 7, float(np.finfo(np.float32).min)
CAUSAL = np.triu(np.ones((T, T), bool), 1)
FAR = np.where(CAUSAL, -np.inf, 0).astype(np.float32)
SOME = np.random.default_rng(3).normal(0, 1, (1, 2, T, T)).astype(np.float32)


def attention(*middle, heads=2, t=T, d=8, quantised=False, y=1 / 255, constants=None, inputs=None, axis=-1, opset=17, left="q kt"):
    """q times k transposed, in the `middle` nodes from `s` to `m`, Softmax, quantised."""
    nodes = [dequantize("q", "qf", "a"), dequantize("k", "kf", "b"), node("Transpose", "kf", "kt", perm=[0, 1, 3, 2]), node("MatMul", "qf kt", "s")]
    if quantised:
        nodes[-1:] = [node("MatMul", "qf kt", "s0"), quantize("s0", "s1", "s"), dequantize("s1", "s", "s")]
    nodes += [*middle, node("Softmax", middle[-1].output[0] if middle else "s", "p", axis=axis)]
    nodes += [quantize("p", "y", "y")] if y else [node("Identity", "p", "y")]
    given = {**parameters(a=(0.04, np.int8(3)), b=(0.05, np.int8(-4)), s=(0.15, np.int8(2)), y=(y or 1, np.uint8(0)), m=(1 / 255, np.uint8(0))), **(constants or {})}
    used = {name for n in nodes for name in n.input}
    shapes = {"q": (I8, (1, heads, t, d)), "k": (I8, (1, heads, t, d)), **(inputs or {})}
    return model_of(nodes, shapes, {"y": (U8 if y else F32, (1, heads, t, t))}, {k: v for k, v in given.items() if k in used}, opset=opset)


def added(mask, scale="Mul", **more):
    constants = {"c": np.float32(8**-0.5 if scale == "Mul" else 8**0.5), "mask": np.asarray(mask, np.float32)}
    return attention(node(scale, "s c", "t"), node("Add", "t mask", "m"), constants=constants, **more)


def computed(far, **more):
    middle = [dequantize("x", "xf", "m"), node("Sub", "one xf", "o"), node("Mul", "o far", "g"), node("Add", "s g", "m")]
    return attention(*middle, constants={"one": np.float32(1), "far": np.float32(far)}, inputs={"x": (U8, (1, 1, 1, T))}, **more)


def chosen(fill, condition=None, **more):
    """Where of a constant condition, or of input x."""
    if condition is not None:
        return attention(node("Where", "w s fill", "m"), constants={"w": condition, "fill": np.float32(fill)}, **more)
    middle = [node("Cast", "x", "b", to=9), node("Not", "b", "n"), node("Where", "n fill s", "m")]
    return attention(*middle, constants={"fill": np.float32(fill)}, inputs={"x": (U8, (1, 1, 1, T))}, **more)


MODELS = {
    "a product": lambda: attention(),
    "a product times a number": lambda: attention(node("Mul", "s c", "t"), constants={"c": np.float32(0.3)}),
    "in float32": lambda: attention(y=None),
    "minus infinity": lambda: added(FAR, "Div"),
    "-10000 of quantised scores": lambda: added(np.maximum(FAR, -1e4)[None, None], quantised=True),
    "rows of -10000 throughout": lambda: added(np.where(np.arange(T)[:, None] < 3, 0, -1e4) * np.ones((T, T))),
    "the least number": lambda: added(np.maximum(FAR, LEAST), quantised=True),
    "keys, one number a channel": lambda: added(np.where(np.arange(T) < 4, 0, -1e9)[None, None, None]),
    "a bias of many numbers": lambda: added(SOME),
    "a bias a head": lambda: added(np.array([1.5, -2])[:, None, None], quantised=True),
    "along another axis": lambda: added(SOME, axis=2),
    "computed, -10000": lambda: computed(-1e4, quantised=True),
    "computed, the least number": lambda: computed(LEAST),
    "chosen": lambda: chosen(-np.inf, ~CAUSAL),
    "chosen by an input": lambda: chosen(-1e9, quantised=True),
    "several kinds at once": lambda: added(SOME + FAR, y=1 / 128),
}  # fmt: skip


def drawn(model, seed):
    rng = np.random.default_rng(seed)
    found = {}
    for name, (shape, dtype) in Reference(model).inputs.items():
        info = np.iinfo(dtype)
        found[name] = rng.integers(info.min, info.max + 1, shape).astype(dtype)
        if name == "x" and len(shape) == 4:  # a mask that leaves some
            found[name] = (rng.permutation(np.arange(shape[-1])) < 3).reshape(shape).astype(dtype) * dtype.type(255)
    return found


def check(model, arch="tiny", seed=0):
    graph, inputs = load_graph(arch), drawn(model, seed)
    network = read_network(model)
    found, expected = run_on_iss(compile_network(network, graph), graph, inputs)["y"], Reference(model).run(inputs)["y"]
    np.testing.assert_array_equal(evaluate(network, inputs)["y"], expected, err_msg=f"seed {seed}")
    np.testing.assert_array_equal(found, expected, err_msg=f"seed {seed}")
    gold, unit = onnxruntime_steps(model, inputs), 1 if found.dtype == np.uint8 else 255
    assert np.abs(found.astype(float) - gold.astype(float)).max() * unit <= 1, f"seed {seed}"
    assert len(np.unique(found)) > 4, "most of it is masked"


@pytest.mark.parametrize("case", list(MODELS))
def test_masks(case):
    check(MODELS[case](), seed=len(case))


@pytest.mark.parametrize("arch", ["edge16", "wide"])
def test_long_rows(arch):
    """Rows of more than one block, exponentials of three digits, steps that must be looked for twice."""
    mask = np.where(np.triu(np.ones((40, 40), bool), 1), -1e4, np.random.default_rng(1).normal(0, 3, (40, 40)))
    check(added(mask, t=40, y=1 / 2048, heads=1), arch, seed=4)


def test_functions_of_tensors():
    """A function of one tensor in front of a Softmax that nothing has quantised."""
    nodes = [dequantize("x", "xf", "a"), node("HardSwish", "xf", "h"), node("Softmax", "h", "p", axis=-1), quantize("p", "y", "y")]
    constants = parameters(a=(0.05, np.int8(3)), y=(1 / 255, np.uint8(0)))
    model = model_of(nodes, {"x": (I8, (3, 20))}, {"y": (U8, (3, 20))}, constants)
    graph, inputs = load_graph("tiny"), {"x": np.random.default_rng(0).integers(-128, 128, (3, 20)).astype(np.int8)}
    np.testing.assert_array_equal(run_on_iss(compile_network(read_network(model), graph), graph, inputs)["y"], Reference(model).run(inputs)["y"])


def test_masked_throughout():
    """A row of minus infinities has no Softmax: the definition says so, as ONNX's is a NaN."""
    model = added(np.where(np.arange(T)[:, None] < 3, 0, -np.inf) * np.ones((T, T)))
    with pytest.raises(NoNumberError) as error:
        Reference(model).run(drawn(model, 1))
    message = "Softmax: found a row that is masked with minus infinity throughout; expected a number in each; correct the network or the input"
    assert str(error.value) == message


def test_refused():
    """A quotient by what is computed has no bounds, and numbers may be too large."""
    model = attention(node("Sigmoid", "s", "g"), node("Mul", "g far", "m"), constants={"far": np.float32(1e15)})
    with pytest.raises(UnsupportedError) as error:
        read_network(model)
    assert [(e.node, e.reason) for e in error.value.entries] == [
        ("n_p", "What nothing has quantised in front of Softmax must be sums, products, functions and results of Conv, Gemm or MatMul of at most 2^40."
                " Found m, of numbers up to 1e+15."),
    ]  # fmt: skip
    wide = np.ldexp(np.random.default_rng(0).uniform(1, 2, (50, 50)), np.arange(-25, 25)[:, None])
    with pytest.raises(UnsupportedError) as error:
        read_network(added(-wide, t=50))
    assert [(e.node, e.reason) for e in error.value.entries] == [
        ("n_p", "A float constant of more than 256 numbers that is neither one nor one a channel must be at most 8 tables of 255 numbers and digits of"
                " others. Found 10 for one of shape (1, 2, 50, 50)."),
    ]  # fmt: skip


def test_broadcasts_without_a_view():
    """Operands that no view of four axes fits are repeated by movements; constants of any shape become tensors."""
    rng = np.random.default_rng(5)
    shape = (2, 3, 2, 3, 2, 3)
    nodes = [dequantize("x", "d", "x"), dequantize("v", "e", "x"), node("Add", "d e", "a"), node("Mul", "a k", "b"), quantize("b", "y", "y")]
    for kind in ("many", "few"):
        k = rng.normal(0, 1, (2, 1, 2, 1, 2, 1)) if kind == "few" else rng.normal(0, 1, shape) * 2.0 ** rng.integers(-6, 6, shape)
        constants = {**parameters(x=(0.1, 3), y=(0.25, 7)), "k": k.astype(np.float32)}
        model = model_of(nodes, {"x": (U8, shape), "v": (U8, (3, 1, 3, 1, 3))}, {"y": (U8, shape)}, constants)
        graph, inputs = load_graph("tiny"), drawn(model, 2)
        np.testing.assert_array_equal(run_on_iss(compile_network(read_network(model), graph), graph, inputs)["y"], Reference(model).run(inputs)["y"], err_msg=kind)


ATTRS = FineSoftmax((0.5, float(np.float32(0.5 / 255))), 1 / 256, 0, 0, 255)
BROKEN = {
    "a digit too few": (replace(ATTRS, units=(1.0, 0.1, 0.01)), "2 digits of units (1.0, 0.1, 0.01)", "two or three, a unit each"),
    "a unit": (replace(ATTRS, units=(2.0**30, 1.0)), f"units ({2.0**30}, 1.0)", "numbers from 2^-40 to 2^20"),
    "a clamp": (replace(ATTRS, y_low=-1), "clamp [-1, 255]", "a range within [0, 255]"),
}


@pytest.mark.parametrize("case", list(BROKEN))
def test_each_rule(case):
    attrs, found, expected = BROKEN[case]
    shape = (1, 5, 2, 1)
    tensors = {name: Tensor(name, shape, "u8", 1 / 256 if name == "y" else None, 0) for name in "aby"}
    edges = tuple(EdgeInput(name, "u8", shape, name) for name in "ab")

    def graph(attrs):
        return Network("g", edges, (EdgeOutput("y", "u8", shape, "y"),), (Node("n", attrs, ("a", "b"), ("y",), ("n",)),), tensors)

    verify(graph(ATTRS))
    with pytest.raises(IRError) as error:
        verify(graph(attrs))
    assert str(error.value).startswith(f"node n (FineSoftmax): found {found}; expected {expected};")
