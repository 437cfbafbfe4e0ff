"""ONNX to IR: what the IR computes equals the reference on the ONNX graph, for random networks and for each form by hand."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

from compiler.front.import_onnx import import_onnx
from compiler.ir.network import Add, Conv, Unary
from compiler.ir.pools import MaxPool
from compiler.read_network import read_network
from tests.compiler.ir_reference import evaluate
from tests.support.models import F32, I8, I32, U8, dequantize, model_of, node, parameters, quantize
from verif.random.networks import random_inputs, random_network
from verif.reference import Reference


def check(model, seed=0, **options):
    """Compare what the IR computes, before and after the front passes, with the reference; return the IR after them."""
    inputs = random_inputs(model, seed)
    expected = Reference(model).run(inputs)
    for graph in (import_onnx(model, **options), read_network(model, **options)):
        found = evaluate(graph, inputs)
        assert set(found) == set(expected)
        for name, array in expected.items():
            assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
            np.testing.assert_array_equal(found[name], array, err_msg=f"seed {seed}, output {name}")
    return graph


@pytest.mark.parametrize("size", ["tiny", "small", "medium"])
@pytest.mark.parametrize("first", range(0, 60, 20))
def test_random_networks(first, size):
    for seed in range(first, first + 20):
        check(random_network(seed, size=size), seed)


@pytest.mark.parametrize("seed", range(10))
def test_tensors_keep_their_onnx_names(seed):
    model = random_network(seed)
    graph = read_network(model)
    integers = set(Reference(model).run_all(random_inputs(model, seed)))
    moved = {name for node in model.graph.node for name in node.output if node.op_type != "DequantizeLinear"}  # real numbers, kept as integers
    names = {n.outputs[0] for n in graph.nodes if "/" not in n.outputs[0]}
    assert names <= integers | moved
    assert {n.outputs[0] for n in graph.nodes if n.op not in ("Move", "MaxPool")} & names <= integers


P = parameters(x=(0.1, 3), y=(0.25, 7), i=(0.05, np.int8(0)), w=(0.02, np.int8(0)), v=(0.3, 7), u=(0.1, 90))
X = {"x": (U8, (1, 3, 4, 4))}
W = np.random.default_rng(0).integers(-100, 100, (5, 3, 2, 2)).astype(np.int8)
M = np.random.default_rng(1).integers(-100, 100, (12, 5)).astype(np.int8)
ROWS = {"x": (U8, (2, 12))}


def test_weights_stored_as_float():
    floats = {"w": W.astype(np.float32) * np.float32(0.02), "b": np.linspace(-1, 1, 5).astype(np.float32)}
    nodes = [dequantize("x", "d", "x"), quantize("w", "q", "w"), dequantize("q", "e", "w"), node("Conv", "d e b", "c"), quantize("c", "y", "y")]
    graph = check(model_of(nodes, X, {"y": (U8, (1, 5, 3, 3))}, {**P, **floats}))
    (conv,) = (n.attrs for n in graph.nodes)
    np.testing.assert_array_equal(conv.weight, W)
    np.testing.assert_array_equal(conv.bias, np.rint(floats["b"].astype(np.float64) / np.float32(np.float32(0.1) * np.float32(0.02))))


def test_integer_bias_keeps_its_integers():
    """But for those beside which sums could turn round: these leave the products of their channel room. x is of uint8 with the zero point 3."""
    bias = np.array([5, -2**31, 2**31 - 1, 0, 7], np.int32)
    constants = {**P, "w": W, "b": bias, "sb": np.float32(0.1) * np.float32(0.02), "zb": np.int32(0)}
    nodes = [dequantize("x", "d", "x"), dequantize("w", "e", "w"), dequantize("b", "f", "b"), node("Conv", "d e f", "c"), quantize("c", "y", "y")]
    graph = check(model_of(nodes, X, {"y": (U8, (1, 5, 3, 3))}, constants))
    products = W.astype(np.int64).reshape(5, -1)
    low, high = np.minimum(products * -3, products * 252).sum(1), np.maximum(products * -3, products * 252).sum(1)
    np.testing.assert_array_equal(graph.nodes[0].attrs.bias, np.clip(bias, -2**31 - low, 2**31 - 1 - high))
    assert graph.nodes[0].attrs.bias[[0, 3, 4]].tolist() == [5, 0, 7]


def test_channels_with_vanishing_weight_scales_are_zero():
    scales = np.array([0.02, 1e-33, 1e-38, 2e-45, 0.01], np.float32)
    constants = {**P, "w": W, "sw": scales, "zw": np.zeros(5, np.int8), "b": np.full(5, 99, np.int32), "sb": np.float32(0.1) * scales,
                 "zb": np.zeros(5, np.int32), "sy": np.float32(5), "zy": np.uint8(128)}  # fmt: skip
    nodes = [dequantize("x", "d", "x"), dequantize("w", "e", "w", axis=0), dequantize("b", "f", "b", axis=0), node("Conv", "d e f", "c"),
             quantize("c", "y", "y")]  # fmt: skip
    model = model_of(nodes, X, {"y": (U8, (1, 5, 3, 3))}, constants)
    graph = check(model)
    found = evaluate(graph, random_inputs(model, 1))["y"]
    assert (set(found[0, 3].ravel().tolist()), len(set(found[0, 0].ravel().tolist())) > 2) == ({128}, True)


@pytest.mark.parametrize("alpha", [1.0, 0.7])
@pytest.mark.parametrize("beta", [1.0, 2.0])
@pytest.mark.parametrize("shape", [(5,), (1, 5), (1,), ()])
def test_gemm(alpha, beta, shape):
    constants = {**P, "w": np.ascontiguousarray(M.T), "b": np.full(shape, 0.31, np.float32)}
    gemm = node("Gemm", "d e b", "g", alpha=alpha, beta=beta, transB=1)
    nodes = [dequantize("x", "d", "x"), dequantize("w", "e", "w"), gemm, quantize("g", "y", "y")]
    graph = check(model_of(nodes, ROWS, {"y": (U8, (2, 5))}, constants))
    assert graph.nodes[0].attrs.alpha == np.float32(alpha)


def test_matmul_of_a_transposed_constant_with_bias_on_three_dimensions():
    constants = {**P, "w": np.ascontiguousarray(M.T), "b": np.linspace(-2, 2, 5).astype(np.float32)}
    nodes = [dequantize("x", "d", "x"), dequantize("w", "e", "w"), node("Transpose", "e", "t", perm=[1, 0]), node("MatMul", "d t", "m"),
             node("Add", "b m", "a"), quantize("a", "y", "y")]  # fmt: skip
    graph = check(model_of(nodes, {"x": (U8, (2, 3, 12))}, {"y": (U8, (2, 3, 5))}, constants))
    (conv,) = graph.nodes
    assert (conv.attrs.bias is not None, conv.origin) == (True, ("n_m", "n_a", "n_y"))
    assert (graph.tensors["x"].shape, graph.tensors["y"].shape) == ((6, 12, 1, 1), (6, 5, 1, 1))


def test_conv_then_add_of_a_constant_is_a_bias():
    constants = {**P, "w": W, "b": np.linspace(-2, 2, 5).astype(np.float32).reshape(1, 5, 1, 1)}
    nodes = [dequantize("x", "d", "x"), dequantize("w", "e", "w"), node("Conv", "d e", "c"), node("Add", "c b", "a"), quantize("a", "y", "y")]
    graph = check(model_of(nodes, X, {"y": (U8, (1, 5, 3, 3))}, constants))
    assert [n.op for n in graph.nodes] == ["Conv"]


@pytest.mark.parametrize(("shape", "constant"), [((2, 5), (5,)), ((2, 5), (1, 5)), ((1, 5, 3, 2), (5, 1, 1)), ((1, 2, 3, 5), (5,)), ((2, 3, 4), (3, 1))])
def test_add_of_a_quantised_constant_a_channel(shape, constant):
    constants = {**P, "b": np.array([0, 255, 7, 90, 200][: max(constant)], np.uint8).reshape(constant)}
    for order in ("d e", "e d"):
        nodes = [dequantize("x", "d", "x"), dequantize("b", "e", "v"), node("Add", order, "a"), quantize("a", "y", "y")]
        graph = check(model_of(nodes, {"x": (U8, shape)}, {"y": (U8, shape)}, constants))
        assert [n.op for n in graph.nodes] == ["Binary"]


@pytest.mark.parametrize("order", ["x sx zx b sv zv", "b sv zv x sx zx"])
def test_qlinear_add_of_a_constant(order):
    constants = {**P, "b": np.array([1, 200, 3], np.uint8).reshape(3, 1, 1)}
    nodes = [node("QLinearAdd", f"{order} sy zy", "y", domain="com.microsoft")]
    check(model_of(nodes, X, {"y": (U8, (1, 3, 4, 4))}, constants))


def test_weights_of_a_channel_along_the_output_axis_of_matmul():
    constants = {**P, "w": M, "sw": np.linspace(0.01, 0.05, 5).astype(np.float32), "zw": np.zeros(5, np.int8)}
    nodes = [dequantize("x", "d", "x"), dequantize("w", "e", "w", axis=1), node("MatMul", "d e", "m"), quantize("m", "y", "y")]
    graph = check(model_of(nodes, ROWS, {"y": (U8, (2, 5))}, constants))
    np.testing.assert_array_equal(graph.nodes[0].attrs.w_scale, constants["sw"])


def test_computed_shape_flattens_and_joins_the_gemm():
    constants = {**P, "w": np.random.default_rng(2).integers(-90, 90, (48, 5)).astype(np.int8), "zero": np.array([0]), "minus": np.array([-1])}
    nodes = [dequantize("x", "i", "x"), node("MaxPool", "i", "d", kernel_shape=[1, 1]), node("Shape", "d", "shape"), node("Gather", "shape zero", "n", axis=0),
             node("Concat", "n minus", "target", axis=0), node("Reshape", "d target", "r"), dequantize("w", "e", "w"),
             node("MatMul", "r e", "m"), quantize("m", "y", "y")]  # fmt: skip
    graph = check(model_of(nodes, X, {"y": (U8, (1, 5))}, constants))
    assert [(n.op, n.attrs.weight.shape) for n in graph.nodes[1:]] == [("Conv", (5, 3, 4, 4))]


def test_initializers_listed_as_inputs_are_constants():
    constants = {**P, "w": W}
    nodes = [dequantize("x", "d", "x"), dequantize("w", "e", "w"), node("Conv", "d e", "c"), quantize("c", "y", "y")]
    model = model_of(nodes, X, {"y": (U8, (1, 5, 3, 3))}, constants)
    model.graph.input.append(helper.make_tensor_value_info("w", I8, W.shape))
    graph = check(model)
    assert [e.name for e in graph.inputs] == ["x"]


@pytest.mark.parametrize("w_zero", [0, 5])
def test_integer_operators_give_sums(w_zero):
    constants = {**P, "w": W, "m": M, "zw": np.int8(w_zero), "z3": np.uint8(3)}
    nodes = [node("ConvInteger", "x w z3 zw", "c", strides=[2, 1], pads=[1, 0, 1, 0]), node("MatMulInteger", "r m z3 zw", "s")]
    outputs = {"c": (I32, (1, 5, 3, 3)), "s": (I32, (2, 5))}
    graph = check(model_of(nodes, {**X, "r": (U8, (2, 12))}, outputs, constants))
    assert [(n.attrs.y_scale, n.attrs.w_zero) for n in graph.nodes] == [(None, w_zero)] * 2


def test_raw_integers_pass_max_pool_and_get_their_scale_later():
    nodes = [node("MaxPool", "x", "p", kernel_shape=[2, 2]), dequantize("p", "d", "x"), node("Relu", "d", "r"), quantize("r", "y", "y"),
             node("MaxPool", "y", "o", kernel_shape=[2, 2], ceil_mode=1, strides=[2, 2])]  # fmt: skip
    graph = check(model_of(nodes, X, {"o": (U8, (1, 3, 2, 2)), "p": (U8, (1, 3, 3, 3))}, P))
    assert [type(n.attrs) for n in graph.nodes] == [MaxPool, Unary, MaxPool]


def test_one_input_quantised_twice_and_one_tensor_given_twice():
    nodes = [quantize("x", "a", "x"), dequantize("a", "da", "x"), quantize("x", "b", "i"), dequantize("b", "db", "i"),
             node("Add", "da db", "s"), quantize("s", "y", "y"), dequantize("y", "z", "y")]  # fmt: skip
    graph = check(model_of(nodes, {"x": (F32, (2, 7))}, {"y": (U8, (2, 7)), "z": (F32, (2, 7))}, P))
    assert ([e.tensor for e in graph.inputs], [o.tensor for o in graph.outputs]) == (["a", "b"], ["y", "y"])
    assert isinstance(graph.nodes[0].attrs, Add)


def test_an_output_that_is_an_input_is_copied():
    graph = check(model_of([dequantize("x", "y", "x")], {"x": (U8, (1, 9))}, {"y": (F32, (1, 9))}, P))
    assert [n.op for n in graph.nodes] == ["Unary"]


def test_dequantised_with_other_parameters_than_quantised():
    nodes = [quantize("x", "q", "x"), dequantize("q", "d", "y"), node("Relu", "d", "r"), quantize("r", "y", "v")]
    check(model_of(nodes, {"x": (F32, (3, 4))}, {"y": (U8, (3, 4))}, P))


def test_max_pool_with_other_parameters_requantises():
    nodes = [dequantize("x", "d", "x"), node("MaxPool", "d", "p", kernel_shape=[3, 3], pads=[1, 1, 1, 1]), quantize("p", "y", "y")]
    graph = check(model_of(nodes, X, {"y": (U8, (1, 3, 4, 4))}, P))
    assert [n.op for n in graph.nodes] == ["MaxPool", "Unary"]


def test_max_pool_before_quantisation_pools_the_quantised():
    pool = {"kernel_shape": [2, 2], "pads": [1, 0, 0, 1]}
    nodes = [dequantize("x", "d", "x"), dequantize("w", "e", "w"), node("Conv", "d e", "c"), node("Relu", "c", "r"), node("MaxPool", "r", "p", **pool),
             quantize("p", "y", "y"), node("LeakyRelu", "d", "l"), node("MaxPool", "l", "q", **pool), node("Relu", "q", "s"), quantize("s", "z", "y")]  # fmt: skip
    graph = check(model_of(nodes, X, {"y": (U8, (1, 5, 3, 3)), "z": (U8, (1, 3, 4, 4))}, {**P, "w": W}))
    assert [n.op for n in graph.nodes] == ["Conv", "MaxPool", "Unary", "MaxPool"]
    assert graph.nodes[0].attrs.y_low == 7


def test_functions_of_one_tensor_become_one_table():
    constants = {**P, "half": np.float32(0.5), "six": np.array([6], np.float32), "low": np.float32(-1)}
    nodes = [dequantize("x", "d", "x"), node("Sigmoid", "d", "g"), node("Mul", "d g", "m"), node("Add", "half m", "a"),
             node("Clip", "a low -", "c"), node("Min", "c six", "l"), quantize("l", "y", "y")]  # fmt: skip
    graph = check(model_of(nodes, X, {"y": (U8, (1, 3, 4, 4))}, constants))
    assert [(n.op, n.origin) for n in graph.nodes] == [("Unary", ("n_g", "n_m", "n_a", "n_c", "n_l", "n_y"))]


def test_microsoft_domain_of_quantisation():
    nodes = [node("DequantizeLinear", "x sx zx", "d", domain="com.microsoft"), node("Relu", "d", "r"),
             node("QuantizeLinear", "r sy zy", "y", domain="com.microsoft")]  # fmt: skip
    check(model_of(nodes, X, {"y": (U8, (1, 3, 4, 4))}, P))


def test_clip_before_quantisation_narrows_the_clamp():
    constants = {**P, "w": W, "low": np.float32(-0.6), "high": np.float32(4.1)}
    nodes = [dequantize("x", "d", "x"), dequantize("w", "e", "w"), node("Conv", "d e", "c"), node("Clip", "c low high", "l"),
             node("Relu", "l", "r"), quantize("r", "y", "y")]  # fmt: skip
    graph = check(model_of(nodes, X, {"y": (U8, (1, 5, 3, 3))}, constants))
    assert (graph.nodes[0].attrs.y_low, graph.nodes[0].attrs.y_high) == (7, 7 + 16)


def test_nodes_without_effect_are_not_looked_at():
    nodes = [dequantize("x", "d", "x"), node("Relu", "d", "r"), quantize("r", "y", "y"), node("Softmax", "d", "unused")]
    check(model_of(nodes, X, {"y": (U8, (1, 3, 4, 4))}, P))


def test_named_dimensions_are_given_sizes():
    nodes = [dequantize("x", "d", "x"), node("Relu", "d", "r"), quantize("r", "y", "y")]
    model = model_of(nodes, {"x": (U8, ("batch", 3))}, {"y": (U8, ("batch", 3))}, P)
    graph = import_onnx(model, dimensions={"batch": 4})
    assert (graph.inputs[0].shape, graph.tensors["y"].shape) == ((4, 3), (4, 3, 1, 1))


def test_qgemm_with_a_float_result():
    constants = {**P, "w": M, "b": np.arange(5, dtype=np.int32)}
    nodes = [node("QGemm", "x sx zx w sw zw b", "g", domain="com.microsoft", alpha=0.5), quantize("g", "y", "y")]
    check(model_of(nodes, ROWS, {"y": (U8, (2, 5))}, constants))


def test_squeeze_and_unsqueeze_move_nothing():
    constants = {**P, "axes": np.array([2, 3]), "front": np.array([0])}
    nodes = [dequantize("x", "d", "x"), node("GlobalAveragePool", "d", "p"), node("Squeeze", "p axes", "s"), node("Unsqueeze", "s front", "u"),
             quantize("u", "y", "y")]  # fmt: skip
    graph = check(model_of(nodes, X, {"y": (U8, (1, 1, 3))}, constants))
    assert [n.op for n in graph.nodes] == ["GlobalAveragePool"]


def test_transpose_of_single_elements_moves_nothing():
    nodes = [dequantize("x", "d", "x"), node("GlobalAveragePool", "d", "p"), quantize("p", "q", "y"), dequantize("q", "e", "y"),
             node("Transpose", "e", "t", perm=[0, 2, 3, 1]), quantize("t", "y", "y")]  # fmt: skip
    graph = check(model_of(nodes, X, {"y": (U8, (1, 1, 1, 3))}, P))
    assert [n.op for n in graph.nodes] == ["GlobalAveragePool"]


def test_quantisation_without_a_zero_point_is_uint8():
    nodes = [node("DequantizeLinear", "x sx", "d"), node("LeakyRelu", "d", "r"), node("QuantizeLinear", "r sy", "y")]
    graph = check(model_of(nodes, X, {"y": (U8, (1, 3, 4, 4))}, P))
    assert graph.tensors["y"].dtype == "u8"


def test_output_type_of_opset_21():
    nodes = [dequantize("x", "d", "x"), node("Relu", "d", "r"), node("QuantizeLinear", "r sy", "y", output_dtype=I8)]
    graph = check(model_of(nodes, X, {"y": (I8, (1, 3, 4, 4))}, P, opset=21))
    assert graph.tensors["y"].dtype == "i8"


def test_local_functions_are_inlined():
    nodes = [dequantize("x", "d", "x"), node("Twice", "d", "t", domain="local"), quantize("t", "y", "y")]
    model = model_of(nodes, X, {"y": (U8, (1, 3, 4, 4))}, P)
    body = [helper.make_node("Add", ["a", "a"], ["b"])]
    model.functions.append(helper.make_function("local", "Twice", ["a"], ["b"], body, [helper.make_opsetid("", 17)]))
    model.opset_import.append(helper.make_opsetid("local", 1))
    graph = check(model)
    assert [n.op for n in graph.nodes] == ["Unary"]


@pytest.mark.parametrize("opset", range(13, 22))
def test_every_opset(opset):
    nodes = [dequantize("x", "d", "x"), dequantize("w", "e", "w"), node("Conv", "d e", "c", auto_pad="SAME_LOWER", strides=[2, 2]),
             node("Relu", "c", "r"), quantize("r", "q", "y"), dequantize("q", "f", "y"),
             node("AveragePool", "f", "a", kernel_shape=[2, 2], pads=[1, 0, 0, 1]), quantize("a", "y", "v")]  # fmt: skip
    check(model_of(nodes, X, {"y": (U8, (1, 5, 2, 2))}, {**P, "w": W}, opset=opset))


def test_import_does_not_change_the_model():
    model = random_network(4)
    before = model.SerializeToString(deterministic=True)
    import_onnx(model)
    assert model.SerializeToString(deterministic=True) == before


def test_arrays_are_read_only():
    graph = read_network(random_network(3, ops=("conv",)))
    conv = next(n.attrs for n in graph.nodes if isinstance(n.attrs, Conv))
    with pytest.raises(ValueError, match="read-only"):
        conv.weight[...] = 0


def test_unnamed_nodes_have_names_in_the_ir():
    nodes = [dequantize("x", "d", "x"), node("Relu", "d", "r"), quantize("r", "y", "y")]
    model = model_of(nodes, X, {"y": (U8, (1, 3, 4, 4))}, P)
    for n in model.graph.node:
        n.name = ""
    (only,) = import_onnx(model).nodes
    assert (only.name, only.origin) == ("#1", ("#1", "#2"))
    assert onnx.ModelProto().FromString(model.SerializeToString()).graph.node[1].name == ""
