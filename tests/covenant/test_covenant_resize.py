"""Resize by interpolation, from ONNX to the machine: bytes equal the definition, onnxruntime at most a step away; what is refused, and older operators."""

from __future__ import annotations

import re

import numpy as np
import onnx
import pytest

from acg.graph import load_graph
from compiler.errors import ModelError, UnsupportedError
from compiler.front.reading.load import prepare_model
from compiler.passes import compile_network
from compiler.read_network import read_network
from covenant.networks import CompiledNetwork
from covenant.report import judge_network
from tests.compiler.ir_reference import check_program, evaluate
from tests.support.models import I8, U8, dequantize, model_of, node, parameters, quantize
from verif.golden import Golden
from verif.random.networks import random_inputs
from verif.reference import Reference

GRAPHS = {name: load_graph(name) for name in ("tiny", "edge16", "wide")}
MODES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")


def resized(shape, *, scales=None, sizes=None, coordinates="half_pixel", same=False, roi=None, out=None, opset=19, **attributes):
    """A model that resizes; `out`: the result's shape where sizes or scales do not say it."""
    out = out or (tuple(sizes) if sizes is not None else tuple(int(d * s) for d, s in zip(shape, scales, strict=True)))
    numbers = {"s": np.float32(scales)} if sizes is None else {"s": np.array(sizes, np.int64)}
    numbers |= {} if roi is None else {"roi": np.float32(roi)}
    constants = {**parameters(x=(0.0313, 130), y=(0.0313, 130) if same else (0.0217, 121)), **numbers}
    operands = f"d {'-' if roi is None else 'roi'} {'s' if sizes is None else '- s'}"
    given = {"mode": "linear", "coordinate_transformation_mode": coordinates, **attributes}
    nodes = [dequantize("x", "d", "x"), node("Resize", operands, "r", **given), quantize("r", "y", "y")]
    return model_of(nodes, {"x": (U8, shape)}, {"y": (U8, out)}, constants, opset=opset)


def check(model, seed=0, machines=("tiny", "edge16", "wide")):
    """Definition, IR and program on these machines give the same bytes; the part of elements in which onnxruntime differs."""
    inputs, graph = random_inputs(model, seed), read_network(model)
    expected = Reference(model).run(inputs)["y"]
    np.testing.assert_array_equal(evaluate(graph, inputs)["y"], expected)
    for architecture in map(GRAPHS.get, machines):
        assert check_program(graph, compile_network(graph, architecture), architecture, inputs) > 0
    steps = np.abs(expected.astype(int) - Golden(model).run(inputs)["y"])
    assert steps.max() <= 1
    return float((steps != 0).mean())


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("scales", [(1, 1, 2, 2), (1, 1, 3, 2), (1, 1, 1.5, 4), (1, 1, 0.5, 2), (1, 1, 1, 2)])
def test_scales(mode, scales):
    size = (2, 3) if mode == "align_corners" else (4, 6)  # whose coordinates never repeat their fractions
    machine = list(GRAPHS)[(MODES.index(mode) + int(2 * sum(scales))) % 3]
    assert check(resized((1, 5, *size), scales=scales, coordinates=mode), machines=(machine,)) == 0


@pytest.mark.parametrize("mode", ["half_pixel", "asymmetric"])
def test_exact_halves_round_to_even(mode):
    """With one quantisation before and after, sums fall on halves, which onnxruntime's float32 sums may miss."""
    assert 0 < check(resized((1, 5, 6, 6), scales=(1, 1, 2, 2), coordinates=mode, same=True)) < 0.1


@pytest.mark.parametrize(("shape", "sizes"), [((1, 3, 5, 5), (1, 3, 10, 15)), ((2, 7, 3), (2, 7, 6)), ((1, 4, 6, 4), (1, 4, 9, 6)), ((1, 2, 1, 1), (1, 2, 4, 4))])
def test_sizes(shape, sizes):
    assert check(resized(shape, sizes=sizes)) == 0


@pytest.mark.parametrize(("shape", "sizes", "mode"), [
    ((1, 3, 3, 3), (1, 3, 48, 48), "half_pixel"),  # factor 16: weights up to 961
    ((1, 2, 2, 3), (1, 2, 64, 96), "pytorch_half_pixel"),  # factor 32
    ((1, 2, 3, 2), (1, 2, 33, 17), "align_corners"),  # factor 16 between the corners
    ((1, 2, 35, 16), (1, 2, 33, 41), "half_pixel"),  # one axis shrinks by 33 phases with gaps between their places
    ((1, 2, 7, 7), (1, 2, 97, 97), "half_pixel"),
    ((1, 2, 9, 3), (1, 2, 5, 300), "half_pixel"),  # a denominator of 600: the rows' sums round, where they are not first
    ((2, 4, 5), (2, 4, 200), "half_pixel"),
    ((1, 2, 1, 3), (1, 2, 32, 96), "half_pixel"),  # one pixel for a whole axis
    ((1, 12, 13, 1), (1, 5, 17, 1), "half_pixel"),  # channels last, and channels
    ((6, 3, 4, 5), (9, 2, 4, 5), "asymmetric"),
    ((1, 2, 3, 4, 5), (1, 2, 7, 3, 6), "half_pixel"),
])  # fmt: skip
def test_many_phases(shape, sizes, mode):
    machine = list(GRAPHS)[sum(sizes) % 3]
    inputs_differ = check(resized(shape, sizes=sizes, coordinates=mode), machines=(machine,)) if shape[1] == sizes[1] and shape[0] == sizes[0] else None
    assert inputs_differ is None or inputs_differ < 0.02
    if inputs_differ is None:  # onnxruntime resizes neither channels nor images so
        model = resized(shape, sizes=sizes, coordinates=mode)
        inputs = random_inputs(model, 1)
        np.testing.assert_array_equal(evaluate(read_network(model), inputs)["y"], Reference(model).run(inputs)["y"])


def test_a_camera_image_is_few_instructions():
    """What took 99 nodes and 3,843 instructions; each pass is one node, and its two bytes are two."""
    model = resized((1, 3, 90, 160), sizes=(1, 3, 56, 56))
    graph = read_network(model)
    assert [n.op for n in graph.nodes] == ["Interpolation", "Interpolation", "Move", "Move", "Interpolation", "Move"]
    assert len(compile_network(graph, GRAPHS["edge16"]).instructions) < 300
    assert check(model, machines=("edge16",)) < 0.002


@pytest.mark.parametrize("kind", [I8, U8])
@pytest.mark.parametrize(("attributes", "sizes"), [
    ({"mode": "cubic"}, (1, 3, 19, 30)),
    ({"mode": "cubic", "cubic_coeff_a": -0.5, "exclude_outside": 1, "coordinates": "align_corners"}, (1, 3, 7, 33)),
    ({"mode": "cubic", "antialias": 1}, (1, 3, 6, 9)),
    ({"antialias": 1, "exclude_outside": 1}, (1, 3, 5, 40)),
    ({"mode": "cubic", "coordinates": "tf_crop_and_resize", "roi": (0, 0, 0.1, -0.2, 1, 1, 0.8, 1.1), "extrapolation_value": 0.7}, (1, 3, 9, 25)),
])  # fmt: skip
def test_other_filters(kind, attributes, sizes):
    model = resized((1, 3, 12, 21), sizes=sizes, **attributes)
    if kind == I8:
        for edge in (*model.graph.input, *model.graph.output):
            edge.type.tensor_type.elem_type = I8
        for tensor in model.graph.initializer:
            if tensor.name in ("zx", "zy"):
                tensor.CopyFrom(onnx.numpy_helper.from_array(np.int8(-6), tensor.name))
    assert check(model, machines=(list(GRAPHS)[sum(sizes) % 3],)) < 0.02


ROI = (0, 0, 0.25, 0, 1, 1, 0.75, 1)
WEIGHTS = "The weights of an interpolated element must sum up to at most twice 1 in magnitude (cubic_coeff_a from -2), and to 1."
ONLY = "Resize's antialias and exclude_outside must be of an interpolation (mode linear or cubic)."
KNOWN = "A node must have the attributes, inputs and outputs that its operator has in this opset."
FITS = "Parts, indices and sizes must fit the dimensions of the input."
COPIED = "Where Resize changes no size, or with antialias not that of an axis, scales must be 1: ONNX interpolates then too, onnxruntime copies."
REFUSED = {
    "cubic_coeff_a": ({"mode": "cubic", "cubic_coeff_a": -3.0}, f"{WEIGHTS} Found weights of 2.5 with cubic_coeff_a -3."),
    "antialias": ({"mode": "nearest", "antialias": 1}, f"{ONLY} Found mode nearest, antialias 1, exclude_outside 0."),
    "exclude_outside": ({"mode": "nearest", "exclude_outside": 1}, f"{ONLY} Found mode nearest, antialias 0, exclude_outside 1."),
    "mode": ({"mode": "area"}, f"{KNOWN} Found mode = area, which is none of nearest, linear, cubic."),
    "coordinates": ({"coordinates": "corners"}, f"{KNOWN} Found coordinate_transformation_mode = corners, which is none of half_pixel, half_pixel_symmetric, pytorch_half_pixel, align_corners, asymmetric, tf_half_pixel_for_nn, tf_crop_and_resize."),
    "nearest_mode": ({"mode": "nearest", "nearest_mode": "up"}, f"{KNOWN} Found nearest_mode = up, which is none of round_prefer_floor, round_prefer_ceil, floor, ceil."),
    "no roi": ({"coordinates": "tf_crop_and_resize"}, f"{FITS} Found a roi of 0 numbers."),
    "a roi alone": (
        {"coordinates": "tf_crop_and_resize", "roi": ROI, "sizes": (1, 2, 4, 9)},
        "What Resize crops (roi, tf_crop_and_resize) it must scale: onnxruntime crops no axis whose scale is 1, ONNX does; Slice says it plainly."
        " Found a roi from 0.25 to 0.75 on axis 2.",
    ),
    "a scale alone": (
        {"sizes": None, "scales": (1, 1, 1.1, 1)},
        f"{COPIED} Found scales (1.0, 1.0, 1.100000023841858, 1.0) of (1, 2, 4, 4).",
    ),
    "a scale of an axis": (
        {"sizes": None, "scales": (1, 1, 1.1, 2), "antialias": 1}, f"{COPIED} Found scales (1.0, 1.0, 1.100000023841858, 2.0) of (1, 2, 4, 4).",
    ),
}  # fmt: skip


#: What is refused before the importer looks at the node, in those words.
BEFORE = {
    "policy": ({"keep_aspect_ratio_policy": "wide"}, "wide"),
    "axes": ({"axes": [2, 2, 3, 1]}, "found axes = [2, 2, 3, 1]; expected different axes of 4; correct the file"),
    "few sizes": ({"axes": [2, 3]}, "found sizes = [1, 2, 7, 9]; expected 2 numbers, one for each axis that it resizes; correct the file"),
    "a negative scale": ({"sizes": None, "scales": (1, 1, -2, 1)}, "found scales = [1.0, 1.0, -2.0, 1.0]; expected positive numbers; correct the file"),
    "nothing": ({"sizes": (1, 2, 0, 4)}, "found sizes = [1, 2, 0, 4]; expected sizes of at least 1; correct the file"),
}


@pytest.mark.parametrize("case", list(BEFORE))
def test_refusals_before_the_import(case):
    given, words = BEFORE[case]
    model = resized((1, 2, 4, 4), **{"sizes": (1, 2, 7, 9), "out": (1, 2, 7, 9), **given})
    with pytest.raises(ModelError, match=re.escape(words)):
        read_network(model)
    with pytest.raises(ValueError, match=r"node n_r \(Resize\): found .* expected"):
        Reference(model).run({"x": np.zeros((1, 2, 4, 4), np.uint8)})


@pytest.mark.parametrize("case", list(REFUSED))
def test_each_refusal_by_compiler_and_definition(case):
    given, message = REFUSED[case]
    model = resized((1, 2, 4, 4), **{"sizes": (1, 2, 7, 9), "out": (1, 2, 7, 9), **given})
    with pytest.raises(UnsupportedError) as error:
        read_network(model)
    assert str(error.value).endswith(message), str(error.value)
    with pytest.raises(ValueError, match=r"node n_r \(Resize\): found .* expected"):
        Reference(model).run({"x": np.zeros((1, 2, 4, 4), np.uint8)})


def old(op, opset, *, kind="nearest", coordinates=None):
    """Upsample or Resize as older opsets have it."""
    constants = parameters(x=(0.0313, 130))
    more = {"scales": [1.0, 1.0, 2.0, 3.0]} if opset < 9 else {}
    if coordinates:
        more["coordinate_transformation_mode"] = coordinates
    constants |= {} if opset < 9 else {"s": np.float32([1, 1, 2, 3]), "roi": np.zeros(0, np.float32)} if opset > 10 else {"s": np.float32([1, 1, 2, 3])}
    operands = "d" if opset < 9 else "d roi s" if opset > 10 else "d s"
    nodes = [dequantize("x", "d", "x"), node(op, operands, "r", mode=kind, **more), quantize("r", "y", "x")]
    for edge in (nodes[0], nodes[-1]) if opset < 10 else ():
        edge.domain = "com.microsoft"
    model = model_of(nodes, {"x": (U8, (1, 2, 4, 5))}, {"y": (U8, (1, 2, 8, 15))}, constants, opset=opset)
    model.ir_version = min(model.ir_version, 6)
    return model


@pytest.mark.parametrize(("op", "opset", "kind", "coordinates"), [
    ("Upsample", 7, "nearest", None), ("Upsample", 7, "linear", None), ("Upsample", 9, "nearest", None), ("Upsample", 9, "linear", None),
    ("Resize", 10, "nearest", None), ("Resize", 10, "linear", None), ("Resize", 11, "linear", None), ("Resize", 11, "nearest", "tf_half_pixel_for_nn"),
    ("Resize", 11, "cubic", None),
])  # fmt: skip
def test_older_operators(op, opset, kind, coordinates):
    model = old(op, opset, kind=kind, coordinates=coordinates)
    inputs = random_inputs(model, 5)
    found = evaluate(read_network(model), inputs)["y"]
    np.testing.assert_array_equal(found, Reference(prepare_model(model)[0]).run(inputs)["y"])
    assert np.abs(found.astype(int) - Golden(model).run(inputs)["y"]).max() <= (kind != "nearest")


@pytest.mark.rtl
@pytest.mark.parametrize("kind", ["linear", "cubic"])
def test_on_the_rtl_of_tiny(kind):
    """Exact sums of 33 phases, and rounded ones with negative weights."""
    model = resized((1, 2, 35, 6), sizes=(1, 2, 33, 5), mode=kind)
    program = compile_network(read_network(model), GRAPHS["tiny"])
    report, found = judge_network(CompiledNetwork("resize", GRAPHS["tiny"], program, model), [random_inputs(model, 3)], on="rtl")
    assert report["exact"] and report["instructions"] == {"count": len(program.instructions), "timeline_mismatches": 0}
    assert len(np.unique(found[0]["y"])) > 20
