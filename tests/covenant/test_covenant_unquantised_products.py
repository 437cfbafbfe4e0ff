"""Products that nothing quantises: operands of float operations, and outputs of the network. Quantisation at the inputs of Conv, Gemm and MatMul alone."""

from __future__ import annotations

import numpy as np
import pytest

from acg.graph import load_graph
from compiler.errors import UnsupportedError
from compiler.ir.network import Conv
from compiler.passes import compile_network
from compiler.read_network import read_network
from covenant.networks import CompiledNetwork
from covenant.report import judge_network
from tests.compiler.ir_reference import check_program, evaluate, run_on_iss, strays
from tests.support.models import F32, I8, U8, dequantize, model_of, node, parameters, quantize
from verif.golden import Golden
from verif.random.networks import random_inputs
from verif.reference import Reference

GRAPHS = {name: load_graph(name) for name in ("tiny", "edge16", "wide")}
#: Nodes from the dequantised x (d), z (g, of the result's shape), weights e, f, h to r.
CONV = node("Conv", "d e b", "c", pads=[1, 1, 1, 1])
POINT = node("Conv", "d f", "p")
GATE = [node("Add", "c three", "h0"), node("Clip", "h0 zero six", "h1"), node("Div", "h1 six", "h2"), node("Mul", "c h2", "r")]
CASES = {
    "residual": [CONV, node("Add", "c g", "a"), node("Relu", "a", "r")],
    "residual first": [CONV, node("Relu", "c", "a"), node("Add", "g a", "s"), node("Relu", "s", "r")],
    "difference": [CONV, node("Sub", "g c", "r")],
    "two products": [CONV, POINT, node("Add", "c p", "a"), node("Relu", "a", "r")],
    "two less": [CONV, POINT, node("Sub", "p c", "r")],
    "two and a tensor": [CONV, POINT, node("Mul", "g c", "a"), node("Sub", "a p", "r")],
    "chain": [CONV, POINT, node("Add", "c g", "a"), node("Relu", "a", "s"), node("Add", "p s", "t"), node("Relu", "t", "r")],
    "read twice": [CONV, node("Add", "c g", "a"), node("Relu", "a", "s"), quantize("s", "q", "q"), dequantize("q", "k", "q"), node("Conv", "k h", "m"),
                   node("Add", "m s", "r")],
    "hard swish": [CONV, *GATE],
    "LeakyRelu": [CONV, node("LeakyRelu", "c", "r", alpha=0.1)],
    "steep": [CONV, node("LeakyRelu", "c", "l", alpha=1.5), node("Sub", "g l", "r")],
    "falling": [CONV, node("LeakyRelu", "c", "r", alpha=-0.3)],
    "HardSwish": [CONV, node("HardSwish", "c", "r")],
    "SiLU": [CONV, node("Sigmoid", "c", "s"), node("Mul", "c s", "r")],
    "SiLU and a residual": [CONV, node("Sigmoid", "c", "s"), node("Mul", "s c", "m"), node("Add", "m g", "r")],
    "GELU": [CONV, node("Div", "c root2", "t"), node("Erf", "t", "k"), node("Add", "k one", "o"), node("Mul", "c o", "m"), node("Mul", "m half", "r")],
    "Tanh": [CONV, node("Tanh", "c", "t"), node("Mul", "t g", "r")],
    "Elu of a sum": [CONV, POINT, node("Add", "c p", "a"), node("Elu", "a", "r", alpha=0.7)],
    "Softplus": [CONV, node("Softplus", "c", "r")],
    "Selu": [CONV, node("Selu", "c", "r")],
    "Celu": [CONV, node("Celu", "c", "r", alpha=1.7)],
    "Softsign": [CONV, node("Softsign", "c", "s"), node("Mul", "s g", "r")],
    "HardSigmoid": [CONV, node("HardSigmoid", "c", "s", alpha=0.3, beta=0.4), node("Mul", "s g", "r")],
    "PRelu": [CONV, node("PRelu", "c slopes", "r")],
    "distance": [CONV, node("Neg", "c", "n"), node("Add", "n g", "a"), node("Abs", "a", "r")],
    "itself": [CONV, node("Mul", "c c", "m"), node("Add", "m c", "r")],
    "channels": [CONV, node("Mul", "c g", "m"), node("Mul", "m channels", "n"), node("Add", "n channels", "r")],
    "one number": [CONV, node("Sub", "three c", "r")],
    "average": [node("AveragePool", "d", "av", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1), node("Add", "av i", "r")],
}  # fmt: skip
SIZES = {"small": (3, 5, 6), "large": (20, 33, 9)}


def product_model(case, size="small", *, floats=False, scale=0.21):
    """A network of `case`; `floats`: its result leaves as it is."""
    ic, oc, hw = SIZES[size]
    rng = np.random.default_rng(3)
    nodes = list(CASES[case]) if isinstance(case, str) else list(case)
    constants = {
        "w": rng.integers(-90, 90, (oc, ic, 3, 3)).astype(np.int8), "v": rng.integers(-90, 90, (oc, ic, 1, 1)).astype(np.int8),
        "u": rng.integers(-90, 90, (oc, oc, 1, 1)).astype(np.int8), "b": rng.normal(0, 1, oc).astype(np.float32), "three": np.float32(3),
        "zero": np.float32(0), "one": np.float32(1), "half": np.float32(0.5), "root2": np.float32(2**0.5), "six": np.float32(6), "channels": rng.normal(0, 1, (oc, 1, 1)).astype(np.float32),
        "slopes": rng.uniform(0, 0.9, (oc, 1, 1)).astype(np.float32),
    } | parameters(
        x=(0.041, 120), z=(0.05, 130), i=(0.05, 130), w=(rng.uniform(0.004, 0.02, oc), np.zeros(oc, np.int8)), v=(0.011, np.int8(0)), u=(0.003, np.int8(0)),
        q=(0.09, 3), y=(scale, np.int8(-3)),
    )  # fmt: skip
    heads = [dequantize("x", "d", "x"), dequantize("z", "g", "z"), dequantize("i", "i_", "i"), dequantize("w", "e", "w", axis=0), dequantize("v", "f", "v"),
             dequantize("u", "h", "u")]  # fmt: skip
    heads[2].output[0] = "i"
    heads[2].input[0] = "j"
    read = {name for n in nodes for name in n.input}
    nodes = [*(h for h in heads if h.output[0] in read), *nodes]
    nodes.append(node("Identity", "r", "y") if floats else quantize("r", "y", "y"))
    read = {name for n in nodes for name in n.input}
    shapes = {"x": (1, ic, hw, hw), "z": (1, oc, hw, hw), "j": (1, ic, hw, hw)}
    out = shapes["x"] if case == "average" else shapes["z"]
    return model_of(nodes, {k: (U8, s) for k, s in shapes.items() if k in read}, {"y": (F32 if floats else I8, out)},
                    {k: v for k, v in constants.items() if k in read})  # fmt: skip


def check(model, architectures):
    """Definition, IR and program on the ISS give the same bytes, onnxruntime's differ by one step at most; returns the IR.

    A bias is rounded to a step of the int32 sums, up to a 500th of a step of the result here: so many roundings may fall otherwise, in a few hundred few.
    """
    inputs = random_inputs(model, 5)
    graph = read_network(model)
    expected = Reference(model).run(inputs)["y"]
    np.testing.assert_array_equal(evaluate(graph, inputs)["y"], expected)
    for name in architectures:
        assert check_program(graph, compile_network(graph, GRAPHS[name]), GRAPHS[name], inputs) > 0
    steps = np.abs(expected.astype(int) - Golden(model).run(inputs)["y"])
    assert steps.max() <= 1 and (steps > 0).sum() <= 2 + steps.size // 200 and len(np.unique(expected)) > 9, f"{(steps > 0).sum()} of {steps.size}"
    return graph


@pytest.mark.parametrize("size", list(SIZES))
@pytest.mark.parametrize("case", list(CASES))
def test_operands(case, size):
    graph = check(product_model(case, size, scale=2.1 if case in ("itself", "two and a tensor") else 0.21), list(GRAPHS)[len(case) % 3 :][:1])
    assert graph.nodes[-1].op == "Expression" and graph.nodes[-1].attrs.sums


AVERAGED = {
    "residual": [CONV, node("Add", "c g", "s"), node("Relu", "s", "a")], "SiLU": [CONV, node("Sigmoid", "c", "s"), node("Mul", "c s", "a")],
    "two products": [CONV, POINT, node("Add", "c p", "s"), node("Tanh", "s", "a")], "clamped": [CONV, node("Relu", "c", "a")],
    "slopes": [CONV, node("PRelu", "c slopes", "a")], "gate": [CONV, node("HardSigmoid", "c", "s", alpha=0.3, beta=0.4), node("Mul", "s g", "a")],
    "distance": [CONV, node("Neg", "c", "n"), node("Add", "n g", "s"), node("Abs", "s", "a")], "bend": [CONV, node("LeakyRelu", "c", "a", alpha=1.5)],
    "tensors": [node("Add", "i d", "c"), node("HardSwish", "c", "a")],
}  # fmt: skip


@pytest.mark.parametrize("case", list(AVERAGED))
def test_averages(case):
    """Over rows and columns of operations on products: two digits, each made of the products anew."""
    model = product_model([*AVERAGED[case], node("GlobalAveragePool", "a", "r")], scale=0.06 if case == "distance" else 0.02)
    for axis in (2, 3):
        model.graph.output[0].type.tensor_type.shape.dim[axis].dim_value = 1
    inputs = random_inputs(model, 1)
    graph = read_network(model)
    expected = Reference(model).run(inputs)["y"]
    np.testing.assert_array_equal(evaluate(graph, inputs)["y"], expected)
    assert check_program(graph, compile_network(graph, GRAPHS["tiny"]), GRAPHS["tiny"], inputs) > 0
    assert np.abs(expected.astype(int) - Golden(model).run(inputs)["y"]).max() <= 1 and len(np.unique(expected)) > 1


def test_an_average_whose_bounds_nobody_knows_is_refused():
    model = product_model([CONV, node("Elu", "c", "a"), node("GlobalAveragePool", "a", "r")])
    for axis in (2, 3):
        model.graph.output[0].type.tensor_type.shape.dim[axis].dim_value = 1
    with pytest.raises(UnsupportedError, match="Found a, a float result that no QuantizeLinear follows"):
        read_network(model, name="m")


def test_a_product_that_two_read_is_not_shared():
    """Each reader computes what it reads to the full, nothing is rounded in between: one product in the first node, two in the second."""
    graph = read_network(product_model("read twice"))
    assert [len(n.attrs.sums) for n in graph.nodes] == [1, 2]
    assert all(isinstance(term.product, Conv) for n in graph.nodes for term in n.attrs.sums)


MATRICES = {
    "MatMul and Add": [node("MatMul", "d w_", "c"), node("Add", "c g", "r")],
    "Gemm and Relu": [node("Gemm", "d w_ b", "c"), node("Sub", "c g", "a"), node("Relu", "a", "r")],
    "of two tensors": [node("MatMul", "d t", "c"), node("Div", "c root", "s"), node("Add", "s g", "r")],
    "of both kinds": [node("MatMul", "d t", "c"), node("MatMul", "d w_", "m"), node("Add", "c m", "r")],
    "rows of constants": [node("MatMul", "d w_", "c"), node("Mul", "c g", "a"), node("Add", "a b", "r")],
}


@pytest.mark.parametrize("case", list(MATRICES))
def test_matrices(case):
    rng = np.random.default_rng(2)
    nodes = MATRICES[case]
    read = {name for n in nodes for name in n.input}
    shapes = {"x": (4, 6), "z": (4, 5)} if case == "Gemm and Relu" else {"x": (2, 4, 6), "t0": (2, 6, 5), "z": (2, 4, 5)}
    constants = parameters(x=(0.041, 120), z=(0.05, 130), w=(0.013, np.int8(0)), t=(0.013, 128), y=(0.11, np.int8(-3)))
    constants |= {"w": rng.integers(-90, 90, (6, 5)).astype(np.int8), "b": rng.normal(0, 1, 5).astype(np.float32), "root": np.float32(2.5)}
    heads = [dequantize("x", "d", "x"), dequantize("z", "g", "z"), dequantize("w", "w_", "w"), dequantize("t0", "t", "t")]
    nodes = [*(h for h in heads if h.output[0] in read), *nodes, quantize("r", "y", "y")]
    read = {name for n in nodes for name in n.input}
    model = model_of(nodes, {k: (U8, s) for k, s in shapes.items() if k in read}, {"y": (I8, shapes["z"])}, {k: v for k, v in constants.items() if k in read})
    assert check(model, list(GRAPHS)[len(case) % 3 :][:1]).nodes[-1].op == "Expression"


#: Networks whose result nothing quantises; nodes from d, g to y and the result's shape.
OUTPUTS = {
    "Softmax": (node("Softmax", "i", "r", axis=1), "Softmax"), "LogSoftmax": (node("LogSoftmax", "i", "r", axis=1), "LogSoftmax"), "LayerNormalization": (node("LayerNormalization", "i gamma", "r"), "LayerNormalization"),
    "average": (node("GlobalAveragePool", "i", "r"), "Expression"), "sum": (node("Add", "i d", "r"), "Expression"), "quotient": (node("Div", "i d", "r"), "Quotient"),
}  # fmt: skip


def leaves_exactly(model, operator, architectures=tuple(GRAPHS)):
    """The float32 numbers of the ISS are those of the definition, and onnxruntime's to 15 bits of the largest."""
    inputs = random_inputs(model, 4)
    expected, graph = Reference(model).run(inputs)["y"], read_network(model)
    assert graph.nodes[-1].op == operator and graph.tensors[graph.outputs[0].tensor].dtype == "f32"
    for name in architectures:
        program = compile_network(graph, GRAPHS[name])
        np.testing.assert_array_equal(run_on_iss(program, GRAPHS[name], inputs)["y"], expected)
        assert strays(program, GRAPHS[name]) == []
    golden = Golden(model).run(inputs)["y"]
    finite = np.isfinite(golden) & np.isfinite(expected)
    assert expected.dtype == np.float32 and np.abs(golden[finite] - expected[finite]).max() <= np.abs(expected[finite]).max() * 2.0**-15


@pytest.mark.parametrize("size", list(SIZES))
@pytest.mark.parametrize("case", ["residual", "two products", "hard swish", "channels"])
def test_float_outputs_of_products(case, size):
    leaves_exactly(product_model(case, size, floats=True), "Expression", list(GRAPHS)[len(case + size) % 3 :][:1])


def test_a_product_alone_and_reshaped():
    for tail in ([node("Identity", "c", "r")], [node("Flatten", "c", "r")], [node("Relu", "c", "r")]):
        model = product_model([CONV, *tail], floats=True)
        if tail[0].op_type == "Flatten":
            del model.graph.output[0].type.tensor_type.shape.dim[:]
            for d in (1, 180):
                model.graph.output[0].type.tensor_type.shape.dim.add().dim_value = d
        leaves_exactly(model, "Expression", ["tiny"])


@pytest.mark.parametrize("case", list(OUTPUTS))
def test_float_outputs(case):
    made, operator = OUTPUTS[case]
    shape = (2, 20, 5, 7)
    constants = parameters(i=(0.05, 130), d=(0.013, 0)) | {"gamma": np.linspace(0.5, 2, 7, dtype=np.float32)}
    nodes = [dequantize("j", "i", "i"), dequantize("k", "d", "d"), made, node("Identity", "r", "y")]
    nodes = [n for n in nodes if n.output[0] != "d" or "d" in made.input]
    read = {name for n in nodes for name in n.input}
    out = (2, 20, 1, 1) if case == "average" else shape
    leaves_exactly(model_of(nodes, {k: (U8, shape) for k in "jk" if k in read}, {"y": (F32, out)}, {k: v for k, v in constants.items() if k in read}), operator)


RTL = {"two products": False, "hard swish": False, "residual": True}


@pytest.mark.rtl
@pytest.mark.parametrize("case", list(RTL))
def test_on_rtl(case):
    model = product_model(case, floats=RTL[case])
    program = compile_network(read_network(model, name=case), GRAPHS["tiny"])
    report, _ = judge_network(CompiledNetwork(case, GRAPHS["tiny"], program, model), [random_inputs(model, seed) for seed in range(2)], on="rtl")
    assert report["exact"], f"{report['outputs']} {report['cycles']} {report.get('divergence')}"
    assert report["cycles"]["measured"] == report["cycles"]["predicted"] > 0
    assert report["outputs"]["y"]["onnxruntime"]["max_abs_diff_steps"] <= 1
