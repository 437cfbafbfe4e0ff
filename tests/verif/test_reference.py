"""The reference against small cases worked by hand, brute force and itself."""

from __future__ import annotations

import itertools

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from verif.random.networks import random_inputs, random_network
from verif.reference import Reference
from verif.reference.evaluate import CHUNK
from verif.reference.products.sums import Window, products, window_maxima, window_of, window_sizes, window_sums, wrap
from verif.reference.values import quantise


def network(nodes, inputs, outputs, constants, opset=17):
    """A model from nodes, {name: (type, shape)} and {name: array}."""
    def values(described):
        return [helper.make_tensor_value_info(n, kind, shape) for n, (kind, shape) in described.items()]

    graph = helper.make_graph(nodes, "g", values(inputs), values(outputs), [numpy_helper.from_array(np.asarray(a), n) for n, a in constants.items()])
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def test_quantise_rounds_half_to_even_and_saturates():
    values = np.array([0.5, 1.5, -0.5, -1.5, 2.5, 300.0, -300.0, np.inf, -np.inf], np.float32)
    found = quantise(values, np.float32(1), np.array(3, np.int8))
    assert found.tolist() == [3, 5, 3, 1, 5, 127, -128, 127, -128]
    assert found.dtype == np.int8


def test_quantise_refuses_nan():
    with pytest.raises(ValueError) as error:
        quantise(np.array([np.nan], np.float32), np.float32(1), np.array(0, np.int8))
    assert str(error.value) == "QuantizeLinear: found a NaN; expected numbers; correct the network or the input data"


def test_conv_by_hand():
    # (x - 1) = [[1, 2], [3, 4]]; (w - 0) = [[1, -1], [2, 3]]; sum = 1 - 2 + 6 + 12 = 17; + bias 3 = 20; * (0.5 * 0.1 / 0.25) = 4.
    constants = {"sx": np.float32(0.5), "zx": np.uint8(1), "w": np.array([[[[1, -1], [2, 3]]]], np.int8), "sw": np.float32(0.1),
                 "zw": np.int8(0), "sy": np.float32(0.25), "zy": np.uint8(7), "b": np.array([3], np.int32)}  # fmt: skip
    node = helper.make_node("QLinearConv", ["x", "sx", "zx", "w", "sw", "zw", "sy", "zy", "b"], ["y"])
    model = network([node], {"x": (TensorProto.UINT8, (1, 1, 2, 2))}, {"y": (TensorProto.UINT8, (1, 1, 1, 1))}, constants)
    found = Reference(model).run({"x": np.array([[[[2, 3], [4, 5]]]], np.uint8)})["y"]
    assert found.tolist() == [[[[11]]]]


def test_sums_wrap_modulo_two_to_the_32():
    assert wrap(np.array([2**31, -(2**31) - 1, 2**32 + 5, -1])).tolist() == [-(2**31), 2**31 - 1, 5, -1]


@pytest.mark.parametrize("seed", range(40))
def test_products_equal_brute_force(seed):
    rng = np.random.default_rng(seed)
    group = int(rng.choice([1, 2, 3]))
    image = rng.integers(-255, 256, (2, 2 * group, int(rng.integers(3, 7)), int(rng.integers(3, 7)))).astype(np.int32)
    if seed % 4 == 0:
        image = image[:, :group]
    weight = rng.integers(-255, 256, (group * 2, image.shape[1] // group, 2, 3)).astype(np.int32)
    attributes = {"strides": rng.integers(1, 3, 2).tolist(), "dilations": [1, int(rng.integers(1, 2))], "pads": rng.integers(0, 3, 4).tolist()}
    window = window_of(attributes, image.shape[2:], (2, 3))
    found = products(image, weight, window, group)
    expected = np.zeros(found.shape, np.int64)
    channels = weight.shape[1]
    for n, o, y, x in np.ndindex(*found.shape):
        first = o // (weight.shape[0] // group) * channels
        for c, ky, kx in np.ndindex(*weight.shape[1:]):
            py = y * window.strides[0] + ky * window.dilations[0] - window.pads[0]
            px = x * window.strides[1] + kx * window.dilations[1] - window.pads[1]
            if 0 <= py < image.shape[2] and 0 <= px < image.shape[3]:
                expected[n, o, y, x] += int(image[n, first + c, py, px]) * int(weight[o, c, ky, kx])
    np.testing.assert_array_equal(found, expected, err_msg=f"seed {seed}")


def test_products_are_exact_beyond_float32():
    image, weight = np.full((1, 4000, 1, 1), 255, np.int32), np.full((1, 4000, 1, 1), 255, np.int32)
    weight[0, 0] = 254
    found = products(image, weight, window_of({}, (1, 1), (1, 1)), 1)
    assert found.item() == 4000 * 255 * 255 - 255


def test_windows_by_hand():
    image = np.arange(-8, 8, dtype=np.int8).reshape(1, 1, 4, 4)
    window = Window((3, 3), (2, 2), (1, 1), (1, 1, 0, 0), (2, 2))
    assert window_maxima(image, window)[0, 0].tolist() == [[-3, -1], [5, 7]]
    assert window_sums(image, window)[0, 0].tolist() == [[-22, -24], [3, 18]]
    assert window_sizes((4, 4), window, count_padding=False).tolist() == [[4, 6], [6, 9]]
    assert window_sizes((4, 4), window, count_padding=True).tolist() == [[9, 9], [9, 9]]


def test_ceil_mode_drops_windows_that_begin_in_the_padding_at_the_end():
    grown = window_of({"strides": [2], "pads": [0, 0]}, (4,), (3,), ceil=True)
    dropped = window_of({"strides": [2], "pads": [1, 1]}, (3,), (1,), ceil=True)
    assert (grown.out, window_of({"strides": [2], "pads": [0, 0]}, (4,), (3,)).out) == ((1, 2), (1, 1))
    assert (dropped.out, window_of({"strides": [2], "pads": [1, 1]}, (3,), (1,)).out) == ((1, 2), (1, 3))


@pytest.mark.parametrize(("mode", "pads"), [("SAME_UPPER", (0, 0, 1, 1)), ("SAME_LOWER", (1, 1, 0, 0)), ("VALID", (0, 0, 0, 0))])
def test_auto_pad(mode, pads):
    window = window_of({"auto_pad": mode.encode(), "strides": [2, 2]}, (6, 6), (3, 3))
    assert (window.pads, window.out) == (pads, (2, 2) if mode == "VALID" else (3, 3))


def test_relu_clamps_at_the_zero_point():
    constants = {"sx": np.float32(1), "zx": np.int8(0), "w": np.array([[1.0]], np.float32), "sw": np.float32(1), "zw": np.int8(0),
                 "sy": np.float32(1), "zy": np.int8(-5)}  # fmt: skip
    nodes = [helper.make_node("DequantizeLinear", ["x", "sx", "zx"], ["dx"]), helper.make_node("QuantizeLinear", ["w", "sw", "zw"], ["qw"]),
             helper.make_node("DequantizeLinear", ["qw", "sw", "zw"], ["dw"]), helper.make_node("MatMul", ["dx", "dw"], ["m"]),
             helper.make_node("Relu", ["m"], ["r"]), helper.make_node("QuantizeLinear", ["r", "sy", "zy"], ["y"])]  # fmt: skip
    model = network(nodes, {"x": (TensorProto.INT8, (3, 1))}, {"y": (TensorProto.INT8, (3, 1))}, constants)
    assert Reference(model).run({"x": np.array([[-9], [4], [127]], np.int8)})["y"].ravel().tolist() == [-5, -1, 122]


def test_float_bias_is_rounded_to_steps_of_the_sums():
    # Step of the sums 0.5 * 1 = 0.5: a bias of 1.2 is 2 steps.
    constants = {"sx": np.float32(0.5), "zx": np.int8(0), "w": np.array([[2]], np.int8), "sw": np.float32(1), "zw": np.int8(0),
                 "b": np.array([1.2], np.float32), "sy": np.float32(0.5), "zy": np.int8(0)}  # fmt: skip
    nodes = [helper.make_node("DequantizeLinear", ["x", "sx", "zx"], ["dx"]), helper.make_node("DequantizeLinear", ["w", "sw", "zw"], ["dw"]),
             helper.make_node("Gemm", ["dx", "dw", "b"], ["m"]), helper.make_node("QuantizeLinear", ["m", "sy", "zy"], ["y"])]  # fmt: skip
    model = network(nodes, {"x": (TensorProto.INT8, (1, 1))}, {"y": (TensorProto.INT8, (1, 1))}, constants)
    assert Reference(model).run({"x": np.array([[10]], np.int8)})["y"].item() == 22


@pytest.mark.parametrize("seed", range(12))
def test_many_samples_equal_one_by_one(seed):
    model = random_network(seed, size="tiny")
    reference = Reference(model)
    count = CHUNK + 3 if seed == 0 else 5
    inputs = random_inputs(model, seed, samples=count)
    together = reference.run_all(inputs)
    for i in range(count):
        one = reference.run_all({n: np.split(a, count)[i] for n, a in inputs.items()})
        assert set(one) == set(together)
        for name, array in one.items():
            np.testing.assert_array_equal(np.split(together[name], count)[i], array, err_msg=f"seed {seed}, sample {i}, {name}")


def test_run_all_names_the_quantised_tensors():
    model = random_network(3, ops=("conv",), form="qdq", max_nodes=2)
    found = Reference(model).run_all(random_inputs(model, 3))
    written = {n.output[0] for n in model.graph.node if n.op_type == "QuantizeLinear"}
    assert set(found) == written | {o.name for o in model.graph.output}
    assert {found[n].dtype.kind for n in written} <= {"i", "u"}


def test_wrong_inputs_are_named():
    model = random_network(1, size="tiny")
    reference = Reference(model)
    ((name, (shape, dtype)),) = reference.inputs.items()
    with pytest.raises(ValueError) as missing:
        reference.run({})
    assert str(missing.value) == f"input {name}: found no array; expected {dtype} {shape}; give one under this name"
    with pytest.raises(ValueError) as wrong:
        reference.run({name: np.zeros((1, 77), np.float64)})
    assert str(wrong.value) == (
        f"input {name}: found float64 (1, 77); expected {dtype} {shape} or a multiple of its first dimension; reshape the data"
    )


def test_operators_outside_the_definition_are_refused():
    node = helper.make_node("Conv", ["x", "w"], ["y"], name="plain")
    model = network([node], {"x": (TensorProto.FLOAT, (1, 1, 2, 2))}, {"y": (TensorProto.FLOAT, (1, 1, 2, 2))}, {"w": np.ones((1, 1, 1, 1), np.float32)})
    with pytest.raises(ValueError) as error:
        Reference(model).run({"x": np.zeros((1, 1, 2, 2), np.float32)})
    assert str(error.value) == (
        "node plain (Conv): found operands other than a dequantised activation and dequantised constant weights;"
        " expected a quantised network; compare with onnxruntime alone"
    )


@pytest.mark.parametrize(("seed", "size"), list(itertools.product((0, 7), ("tiny", "small", "medium"))))
def test_random_networks_are_reproducible_and_valid(seed, size):
    first, second = random_network(seed, size=size), random_network(seed, size=size)
    assert first.SerializeToString(deterministic=True) == second.SerializeToString(deterministic=True)
    onnx.checker.check_model(first)


def test_random_networks_cover_what_they_promise():
    seen = set()
    for seed in range(120):
        model = random_network(seed, size="tiny")
        seen |= {n.op_type for n in model.graph.node}
        seen |= {("batch", model.graph.input[0].type.tensor_type.shape.dim[0].dim_value)}
        seen |= {("rank", len(model.graph.input[0].type.tensor_type.shape.dim)), ("opset", model.opset_import[0].version)}
        seen |= {("input", model.graph.input[0].type.tensor_type.elem_type)}
        for node in model.graph.node:
            seen |= {(a.name, a.i > 1 if a.name == "group" else max(a.ints, default=0) > 1) for a in node.attribute}
    expected = {"Conv", "Gemm", "MatMul", "Add", "Relu", "Clip", "MaxPool", "AveragePool", "GlobalAveragePool", "Flatten", "QLinearConv",
                "QLinearMatMul", "QGemm", "QLinearAdd", "QLinearAveragePool", "QLinearGlobalAveragePool", "MatMulInteger", ("batch", 1),
                ("batch", 2), ("rank", 3), ("rank", 4), ("group", True), ("dilations", True), ("strides", True), ("input", TensorProto.FLOAT),
                ("input", TensorProto.INT8), ("input", TensorProto.UINT8), *[("opset", v) for v in range(13, 22)]}  # fmt: skip
    assert expected - seen == set()


@pytest.mark.parametrize("seed", range(30))
def test_calibrated_outputs_use_the_range(seed):
    model = random_network(seed, ops=("conv", "gemm"), form="qdq", activations=())
    values = Reference(model).run_all(random_inputs(model, seed, samples=4))
    last = [a for a in values.values() if a.dtype.kind in "iu"][-1]
    assert int(last.max()) - int(last.min()) > 60, f"seed {seed}"


def test_axes_beyond_a_shape_that_the_file_says_and_nobody_computed():
    """A float value that is an output too, declared a scalar: recognisers of decomposed operators, which go by shapes, do not see it for one."""
    nodes = [helper.make_node("DequantizeLinear", ["x", "s", "z"], ["d"]), helper.make_node("ReduceMax", ["d", "a"], ["m"]),
             helper.make_node("QuantizeLinear", ["m", "s", "z"], ["y"])]
    constants = {"s": np.float32(0.05), "z": np.uint8(120), "a": np.array([2, 3])}
    model = network(nodes, {"x": (TensorProto.UINT8, (1, 4, 3, 5))}, {"y": (TensorProto.UINT8, (1, 4, 1, 1)), "d": (TensorProto.FLOAT, ())}, constants, opset=18)
    data = np.random.default_rng(1).integers(0, 256, (2, 4, 3, 5), np.uint8)
    np.testing.assert_array_equal(Reference(model).run({"x": data})["y"], data.max((2, 3), keepdims=True))
