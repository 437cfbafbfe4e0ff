"""Compress, GatherND, ReverseSequence, CenterCropPad, Trilu, Scatter: byte-equal to onnxruntime on quantised and on integer tensors."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from acg.graph import load_graph
from compiler.errors import ModelError, UnsupportedError
from compiler.passes import compile_network
from compiler.read_network import read_network
from tests.compiler.ir_reference import run_on_iss
from tests.support.models import I8, U8, dequantize, model_of, node, parameters, quantize
from verif.golden import Golden
from verif.reference import Reference

TINY = load_graph("tiny")
P = parameters(x=(0.1, 3), y=(0.2, 7))
#: Operator, its other operands, attributes, shape of x, shape of the result.
CASES = {
    "compress": ("Compress", {"c": np.array([True, False, True, True])}, {"axis": 2}, (1, 3, 4, 2), (1, 3, 3, 2)),
    "compress all": ("Compress", {"c": np.array([False, True, False, True])}, {}, (2, 3), (2,)),
    "gather": ("GatherND", {"c": np.int64([[0, 2], [0, 0], [0, -1]])}, {}, (1, 3, 4, 2), (3, 4, 2)),
    "gather in batches": ("GatherND", {"c": np.int64([[1], [0]])}, {"batch_dims": 1}, (2, 3, 4), (2, 4)),
    "reverse": ("ReverseSequence", {"c": np.int64([1, 2, 3])}, {"batch_axis": 1, "time_axis": 0}, (4, 3, 2), (4, 3, 2)),
    "crop and pad": ("CenterCropPad", {"c": np.int64([6, 3])}, {"axes": [2, 3]}, (1, 2, 3, 5), (1, 2, 6, 3)),
    "upper": ("Trilu", {}, {"upper": 1}, (2, 4, 5), (2, 4, 5)),
    "lower": ("Trilu", {"c": np.int64(-1)}, {"upper": 0}, (5, 4), (5, 4)),
}


def build(name, form):
    op, constants, attributes, shape, result = CASES[name]
    operands = " ".join(["d", *constants])
    kind = {"i8": I8, "u8": U8}.get(form, U8)
    if form == "quantised":
        nodes = [dequantize("x", "d", "x"), node(op, operands, "m", **attributes), quantize("m", "y", "y")]
    else:
        nodes = [node(op, operands.replace("d", "x", 1), "y", **attributes)]
    return model_of(nodes, {"x": (kind, shape)}, {"y": (kind, result)}, {**P, **constants}, opset=18)


def check(model, sample, expected=None):
    """Compile, run, and compare with the definition and with onnxruntime, or with what is expected where it has no kernel."""
    got = run_on_iss(compile_network(read_network(model, name="m"), TINY), TINY, sample)
    np.testing.assert_array_equal(got["y"], Reference(model).run(sample)["y"])
    np.testing.assert_array_equal(got["y"], Golden(model).run(sample)["y"] if expected is None else expected)


@pytest.mark.parametrize("form", ["quantised", "u8"])
@pytest.mark.parametrize("name", CASES)
def test_selections(name, form):
    model = build(name, form)
    shape = CASES[name][3]
    x = np.random.default_rng(len(name)).integers(0, 256, shape, np.uint8)
    triangle = {"upper": lambda: np.triu(x), "lower": lambda: np.tril(x, -1)}.get(name) if form == "u8" else None  # onnxruntime has none of uint8
    check(model, {"x": x}, triangle and triangle())


@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize(("op", "indices", "attributes"), [
    ("ScatterElements", np.int64([[2, 0, 1], [0, 2, 2]]), {"axis": 0}),
    ("ScatterND", np.int64([[[0, 1], [3, 0], [1, 2]], [[2, 2], [0, 0], [3, 1]]]), {}),
])
def test_updates(op, indices, attributes, constant):
    rng = np.random.default_rng(5)
    updates = rng.integers(0, 256, (2, 3), np.uint8)
    nodes = [dequantize("x", "d", "x"), dequantize("u", "e", "x"), node(op, "d i e", "m", **attributes), quantize("m", "y", "y")]
    inputs = {"x": (U8, (4, 3)), **({} if constant else {"u": (U8, (2, 3))})}
    model = model_of(nodes, inputs, {"y": (U8, (4, 3))}, {**P, "i": indices, **({"u": updates} if constant else {})}, opset=18)
    check(model, {"x": rng.integers(0, 256, (4, 3), np.uint8), **({} if constant else {"u": updates})})


@pytest.mark.parametrize(("nodes", "constants", "expected"), [
    ([node("ScatterElements", "x i u", "y", reduction="add")], {"i": np.int64([[0, 0, 0]]), "u": np.ones((1, 3), np.uint8)},
     "Updates must replace elements, not be combined with them (reduction none). Found reduction add."),
])
def test_refusals(nodes, constants, expected):
    model = model_of(nodes, {"x": (U8, (4, 3))}, {"y": (U8, (4,) if "i" in constants and "u" not in constants else (4, 3))}, constants, opset=18)
    with pytest.raises(UnsupportedError) as error:
        read_network(model, name="m")
    assert [entry.reason for entry in error.value.entries] == [expected]


def test_an_index_beyond_its_axis_is_no_network():
    model = model_of([node("GatherND", "x i", "y")], {"x": (U8, (4, 3))}, {"y": (U8, (4,))}, {"i": np.int64([[4, 0], [0, 0], [1, 1], [2, 2]])}, opset=18)
    with pytest.raises(ModelError) as error:
        read_network(model, name="m")
    assert str(error.value) == "model m: node n_y (GatherND): found indices = [4, 0, 0, 0, 1, 1, 2, 2]; expected places of (4, 3); correct the file"


def test_every_operator_is_tried():
    from compiler.front.constraints import overwrites
    from compiler.front.support import OPERATORS

    listed = {name for (_, name), entry in OPERATORS.items() if overwrites in entry.constraints}
    assert listed == {case[0] for case in CASES.values()} | {"ScatterElements", "ScatterND"} and onnx.defs.has("Compress")
