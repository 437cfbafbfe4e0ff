"""Models as onnxruntime's own static quantiser writes them, in each of its forms, compile and equal the reference."""

from __future__ import annotations

import itertools
import logging

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from compiler.read_network import read_network
from tests.compiler.ir_reference import evaluate
from tests.support.models import F32, model_of, node
from verif.golden import Golden
from verif.reference import Reference


class Calibration(CalibrationDataReader):
    """Eight random samples."""

    def __init__(self, shape):
        rng = np.random.default_rng(0)
        self.feed = iter([{"x": rng.normal(0, 1, shape).astype(np.float32)} for _ in range(8)])

    def get_next(self):
        """Return the next sample, None after the last."""
        return next(self.feed, None)


def network():
    """A float network of every operator that the quantiser knows and we compile."""
    rng = np.random.default_rng(1)
    constants = {
        "w1": rng.normal(0, 0.3, (6, 3, 3, 3)), "b1": rng.normal(0, 0.3, 6), "w2": rng.normal(0, 0.3, (6, 1, 3, 3)), "b2": rng.normal(0, 0.3, 6),
        "w3": rng.normal(0, 0.3, (6, 6, 1, 1)), "w4": rng.normal(0, 0.3, (24, 7)), "b4": rng.normal(0, 0.3, 7), "w5": rng.normal(0, 0.3, (7, 4)),
        "b5": rng.normal(0, 0.3, 4), "low": np.array(0), "high": np.array(6),
    }  # fmt: skip
    nodes = [node("Conv", "x w1 b1", "c1", pads=[1, 1, 1, 1]), node("Relu", "c1", "r1"), node("MaxPool", "r1", "m1", kernel_shape=[2, 2], strides=[2, 2]),
             node("Conv", "m1 w2 b2", "c2", pads=[1, 1, 1, 1], group=6), node("Clip", "c2 low high", "r2"), node("Conv", "r2 w3", "c3"),
             node("Add", "c3 m1", "a"), node("Relu", "a", "r3"), node("AveragePool", "r3", "p", kernel_shape=[2, 2], strides=[2, 2]),
             node("Flatten", "p", "f"), node("Gemm", "f w4 b4", "g"), node("Relu", "g", "r4"), node("MatMul", "r4 w5", "m"), node("Add", "m b5", "y")]  # fmt: skip
    model = model_of(nodes, {"x": (F32, (1, 3, 8, 8))}, {"y": (F32, (1, 4))}, {n: a.astype(np.float32) for n, a in constants.items()})
    return onnx.shape_inference.infer_shapes(model)


OPTIONS = list(itertools.product([QuantFormat.QDQ, QuantFormat.QOperator], [QuantType.QInt8, QuantType.QUInt8], [False, True], [False, True]))


@pytest.mark.parametrize(("form", "kind", "per_channel", "symmetric"), OPTIONS)
def test_quantiser(tmp_path, form, kind, per_channel, symmetric):
    source, target = tmp_path / "float.onnx", tmp_path / "quantised.onnx"
    onnx.save(network(), source)
    logging.getLogger().setLevel(logging.ERROR)
    options = {"ActivationSymmetric": symmetric, "WeightSymmetric": True, "QDQDisableWeightAdjustForInt32Bias": True}
    quantize_static(
        source, target, Calibration((1, 3, 8, 8)), quant_format=form, activation_type=kind, weight_type=QuantType.QInt8,
        per_channel=per_channel, reduce_range=True, extra_options=options,
    )  # fmt: skip
    graph = read_network(target)
    inputs = {"x": np.random.default_rng(2).normal(0, 1, (1, 3, 8, 8)).astype(np.float32)}
    expected = Reference(target).run(inputs)["y"]
    np.testing.assert_array_equal(evaluate(graph, inputs)["y"], expected)
    theirs = Golden(target).run(inputs)["y"]
    output = graph.tensors[graph.outputs[0].tensor]
    # Not equal: onnxruntime merges quantisations (see verif.reference), which the definition does not; this only shows the same network.
    steps = np.abs(expected - theirs) / output.scale
    assert (expected.shape, steps.max() < 2.5) == ((1, 4), True)
    kinds = [n.op for n in graph.nodes]
    assert kinds.count("Conv") == 3 + 2  # convolutions, Gemm and MatMul
    assert {"MaxPool", "Add", "AveragePool", "Binary"} <= set(kinds)  # a constant is added after MatMul


def test_constants_of_the_network_are_float():
    assert {numpy_helper.to_array(i).dtype for i in network().graph.initializer} == {np.dtype(np.float32)}
    assert [n.op_type for n in network().graph.node].count("Conv") == 3
