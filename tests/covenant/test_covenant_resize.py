"""Resize by linear interpolation, from ONNX to the machine: bytes equal the definition in exact fractions, onnxruntime at most a step away."""

from __future__ import annotations

import numpy as np
import pytest

from acg.graph import load_graph
from compiler.errors import UnsupportedError
from compiler.front.read_network import read_network
from compiler.pipeline import compile_graph
from tests.compiler.ir_reference import check_program, evaluate
from tests.support.models import U8, dequantize, model_of, node, parameters, quantize
from verif.golden import Golden
from verif.random.networks import random_inputs
from verif.reference import Reference

GRAPHS = {name: load_graph(name) for name in ("tiny", "edge16", "wide")}
MODES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")


def resized(shape, *, scales=None, sizes=None, mode="half_pixel", same=False):
    """A model that resizes, and the result's shape."""
    out = tuple(sizes) if sizes is not None else tuple(int(d * s) for d, s in zip(shape, scales, strict=True))
    numbers = {"s": np.float32(scales)} if sizes is None else {"s": np.array(sizes, np.int64)}
    constants = {**parameters(x=(0.0313, 130), y=(0.0313, 130) if same else (0.0217, 121)), **numbers}
    nodes = [dequantize("x", "d", "x"), node("Resize", "d - s" if sizes is None else "d - - s", "r", mode="linear", coordinate_transformation_mode=mode),
             quantize("r", "y", "y")]  # fmt: skip
    return model_of(nodes, {"x": (U8, shape)}, {"y": (U8, out)}, constants)


def check(model, seed=0, machines=("tiny", "edge16", "wide")):
    """Definition, IR and program on these machines give the same bytes; the part of elements in which onnxruntime differs."""
    inputs, graph = random_inputs(model, seed), read_network(model)
    expected = Reference(model).run(inputs)["y"]
    np.testing.assert_array_equal(evaluate(graph, inputs)["y"], expected)
    for architecture in map(GRAPHS.get, machines):
        assert check_program(graph, compile_graph(graph, architecture), architecture, inputs) > 0
    steps = np.abs(expected.astype(int) - Golden(model).run(inputs)["y"])
    assert steps.max() <= 1
    return float((steps != 0).mean())


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("scales", [(1, 1, 2, 2), (1, 1, 3, 2), (1, 1, 1.5, 4), (1, 1, 0.5, 2), (1, 1, 1, 2)])
def test_scales(mode, scales):
    size = (2, 3) if mode == "align_corners" else (4, 6)  # whose coordinates never repeat their fractions
    machine = list(GRAPHS)[(MODES.index(mode) + int(2 * sum(scales))) % 3]
    assert check(resized((1, 5, *size), scales=scales, mode=mode), machines=(machine,)) == 0


@pytest.mark.parametrize("mode", ["half_pixel", "asymmetric"])
def test_exact_halves_round_to_even(mode):
    """With one quantisation before and after, sums fall on halves, which onnxruntime's float32 sums may miss."""
    assert 0 < check(resized((1, 5, 6, 6), scales=(1, 1, 2, 2), mode=mode, same=True)) < 0.1


@pytest.mark.parametrize(("shape", "sizes"), [((1, 3, 5, 5), (1, 3, 10, 15)), ((2, 7, 3), (2, 7, 6)), ((1, 4, 6, 4), (1, 4, 9, 6)), ((1, 2, 1, 1), (1, 2, 4, 4))])
def test_sizes(shape, sizes):
    assert check(resized(shape, sizes=sizes)) == 0


@pytest.mark.parametrize(("shape", "sizes", "mode"), [
    ((1, 3, 3, 3), (1, 3, 48, 48), "half_pixel"),  # factor 16: weights up to 961, four copies of the input
    ((1, 2, 2, 3), (1, 2, 64, 96), "pytorch_half_pixel"),  # factor 32
    ((1, 2, 3, 2), (1, 2, 33, 17), "align_corners"),  # factor 16 between the corners
    ((2, 3, 4, 4), (2, 3, 32, 32), "asymmetric"),
    ((1, 2, 16, 16), (1, 2, 37, 41), "align_corners"),
    ((1, 2, 7, 9), (1, 2, 10, 20), "half_pixel"),  # strides of 7 and 9: eight convolutions an axis
    ((1, 2, 13, 5), (1, 2, 30, 5), "half_pixel"),  # more places than convolutions
    ((2, 4, 5), (2, 4, 200), "half_pixel"),
    ((1, 2, 1, 3), (1, 2, 32, 96), "half_pixel"),  # one pixel for a whole axis
])  # fmt: skip
def test_many_phases(shape, sizes, mode):
    machine = list(GRAPHS)[sum(sizes) % 3]
    assert check(resized(shape, sizes=sizes, mode=mode), machines=(machine,)) < 0.02


def test_exact_halves_of_many_phases():
    assert check(resized((1, 2, 4, 4), sizes=(1, 2, 64, 64), same=True), machines=("edge16",)) < 0.02


def test_phases_without_end_are_refused():
    with pytest.raises(UnsupportedError) as error:
        read_network(resized((1, 2, 7, 7), sizes=(1, 2, 97, 97)))
    assert str(error.value).endswith(
        "Linear interpolation must repeat itself after few positions: both axes' integer weights multiplied up to 65025, all phases' in 2^20 bytes."
        " Found 97 x 97 phases with weights up to 9409, 1392532 bytes of them."
    )


def test_channels_are_not_resized():
    with pytest.raises(UnsupportedError, match="Found a change of"):
        read_network(resized((1, 2, 4, 4), scales=(1, 2, 2, 2)))
