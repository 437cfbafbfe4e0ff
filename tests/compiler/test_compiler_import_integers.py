"""Max, Min, Clip and Relu of 8-bit integers, without a scale: byte-equal to the definition and to onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest

from acg.graph import load_graph
from compiler.passes import compile_network
from compiler.read_network import read_network
from tests.compiler.ir_reference import run_on_iss
from tests.support.models import I8, U8, model_of, node
from verif.golden import Golden
from verif.reference import Reference

TINY = load_graph("tiny")
TYPES = {"i8": (I8, np.int8), "u8": (U8, np.uint8)}
EVERY_BYTE = np.arange(256, dtype=np.uint8).reshape(1, 4, 8, 8)


@pytest.mark.parametrize(("op", "inputs", "kind"), [
    *((op, inputs, kind) for kind in TYPES for op, inputs in (
        ("Max", "x z"), ("Min", "x z"), ("Max", "x k"), ("Min", "k x"), ("Max", "x"), ("Clip", "x low high"), ("Clip", "x - high"), ("Clip", "x low"),
        ("Clip", "x"),
    )),
    ("Relu", "x", "i8"),
])
def test_operators_that_compare(op, inputs, kind):
    code, dtype = TYPES[kind]
    shape = (1, 4, 8, 8)
    sample = {"x": EVERY_BYTE.view(dtype), "z": np.random.default_rng(1).permutation(EVERY_BYTE.reshape(-1)).reshape(shape).view(dtype)}
    sample = {name: array for name, array in sample.items() if name in inputs.split()}
    constants = {name: value for name, value in {"k": dtype(100), "low": dtype(7), "high": dtype(90)}.items() if name in inputs.split()}
    model = model_of([node(op, inputs, "y")], dict.fromkeys(sample, (code, shape)), {"y": (code, shape)}, constants)
    got = run_on_iss(compile_network(read_network(model, name="m"), TINY), TINY, sample)["y"]
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, Reference(model).run(sample)["y"])
    np.testing.assert_array_equal(got, Golden(model).run(sample)["y"])


def test_integers_go_on_as_integers():
    """Two in a row, then a MaxPool: no scale anywhere."""
    nodes = [node("Max", "x k", "a"), node("Clip", "a low high", "b"), node("MaxPool", "b", "y", kernel_shape=[2, 2])]
    model = model_of(nodes, {"x": (I8, (1, 4, 8, 8))}, {"y": (I8, (1, 4, 7, 7))}, {"k": np.int8(-50), "low": np.int8(-60), "high": np.int8(99)})
    sample = {"x": EVERY_BYTE.view(np.int8)}
    got = run_on_iss(compile_network(read_network(model, name="m"), TINY), TINY, sample)["y"]
    np.testing.assert_array_equal(got, Golden(model).run(sample)["y"])
