"""What onnxruntime is given in other words: it ends the process, or adds another bias, of the network as it is."""

import numpy as np
import pytest
from onnx import numpy_helper

from covenant.fuzz.operator_networks import NETWORKS, operator_network
from tests.support.products import random_inputs
from verif.golden import Golden
from verif.reference import Reference
from verif.suited import suited

LAST = {"com.microsoft.QLinearLeakyRelu": 4, "com.microsoft.QLinearSigmoid": 4, "com.microsoft.QLinearAdd": 7, "com.microsoft.QLinearMul": 7,
        "com.microsoft.QLinearAveragePool": 4}


@pytest.mark.parametrize("left", ["out", "empty"])
@pytest.mark.parametrize("name", LAST)
def test_a_zero_point_that_is_left_out(name, left):
    """onnxruntime 1.32 ends in an assertion of its C++ library."""
    model = operator_network(name)
    node = next(n for n in model.graph.node if n.domain == "com.microsoft")
    assert len(node.input) == LAST[name] + 1
    if left == "out":
        del node.input[LAST[name]]
    else:
        node.input[LAST[name]] = ""
    inputs = random_inputs(model, 1)
    (ours,), (theirs,) = Reference(model).run(inputs).values(), Golden(model).run(inputs).values()
    assert np.abs(ours.astype(int) - theirs).max() <= 1


def test_what_needs_no_other_words_is_itself():
    for name in NETWORKS:
        model = operator_network(name)
        assert suited(model) is model


WIDE = ["Add", "Mul", "AveragePool", "com.microsoft.QLinearAdd", "com.microsoft.QLinearMul", "com.microsoft.QLinearAveragePool", "com.microsoft.QLinearLeakyRelu",
        "Conv", "ConvTranspose", "Gemm", "LpNormalization", "LRN", "LayerNormalization", "RMSNormalization"]  # fmt: skip


@pytest.mark.parametrize("power", [33, 49, -40])
@pytest.mark.parametrize("name", WIDE)
def test_steps_that_are_far_apart(name, power):
    """Results beyond int32 saturate; biases in other steps than the product's are rounded to these, or saturate."""
    model = operator_network(name)
    first = next(node for node in model.graph.node if node.op_type == "DequantizeLinear" or node.domain == "com.microsoft")
    scale = next(item for item in model.graph.initializer if item.name == first.input[1])
    scale.CopyFrom(numpy_helper.from_array(np.asarray(numpy_helper.to_array(scale) * np.float32(2.0**power)), scale.name))
    inputs = random_inputs(model, 1)
    (ours,), (theirs,) = Reference(model).run(inputs).values(), Golden(model).run(inputs).values()
    assert np.abs(ours.astype(int) - theirs).max() <= 1


@pytest.mark.parametrize("beta", [0.5, -3.0, 2.0**31])
def test_a_bias_times_a_number(beta):
    """It is rounded to steps of the product, and saturates."""
    model = operator_network("Gemm")
    gemm = next(node for node in model.graph.node if node.op_type == "Gemm")
    next(a for a in gemm.attribute if a.name == "beta").f = beta
    inputs = random_inputs(model, 1)
    (ours,), (theirs,) = Reference(model).run(inputs).values(), Golden(model).run(inputs).values()
    assert np.abs(ours.astype(int) - theirs).max() <= 1
