"""Interpolation in the IR and as a micro-program: rules, and bytes on the ISS for inputs and weights of one digit and of two."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from acg.graph import load_graph
from compiler.errors import IRError
from compiler.ir.interpolation import Interpolation
from compiler.ir.network import EdgeInput, EdgeOutput, Network, Node, Tensor
from compiler.ir.rules import verify
from compiler.passes import compile_network
from tests.compiler.ir_reference import check_program

SHAPE = (2, 21, 3, 1)
GRAPHS = {name: load_graph(name) for name in ("tiny", "edge16", "wide")}


def weights_of(kind, out=34, channels=SHAPE[1], seed=0):
    """Bands of weights that sum up to 200, 4000 or, with negative ones among them, 1024."""
    rng, whole = np.random.default_rng(seed), {"byte": 200, "two": 4000, "signed": 1024, "small": 100}[kind]
    weights = np.zeros((out, channels), np.int32)
    for o in range(out):
        first = o * (channels - 3) // (out - 1)
        part = int(rng.integers(0, whole + 1))
        weights[o, first : first + 3] = (part, whole - part, 0) if kind in ("byte", "two") else (-part // 4, whole + part // 4 + part // 8, -part // 8)
    return weights


def graph_of(attrs, *, dtype="u8", shape=SHAPE):
    names = ["x", "x1"][: len(attrs.zeros)]
    tensors = {name: Tensor(name, shape, dtype) for name in names}
    scale = () if attrs.part else (attrs.y_scale, attrs.y_zero)
    tensors["y"] = Tensor("y", (shape[0], attrs.weights.shape[0], *shape[2:]), "i8" if attrs.y_low < 0 else "u8", *scale)
    edges = tuple(EdgeInput(name, dtype, shape, name) for name in names)
    return Network("g", edges, (EdgeOutput("y", tensors["y"].dtype, tensors["y"].shape, "y"),), (Node("n", attrs, tuple(names), ("y",), ("n",)),), tensors)


def final(weights, zeros, **more):
    return Interpolation(weights, zeros, x_scale=0.5, w_scale=float(np.float32(1 / 4000)), y_scale=0.25, **more)


SIGNED = weights_of("signed")
CASES = {
    "one digit": final(weights_of("byte"), (7,), y_zero=3),
    "int8 weights": final(weights_of("small"), (130,), y_zero=100),
    "two digits of weights": final(weights_of("two"), (130,), y_zero=30),
    "negative weights": final(SIGNED, (130,), y_zero=90),
    "two digits of numbers": final(weights_of("byte"), (44, 130), y_zero=30),
    "all of two digits": final(SIGNED, (1, 2), y_zero=90, y_low=-128, y_high=99),
    "low": Interpolation(weights_of("byte"), (130,), "low", offset=26000),
    "high": Interpolation(weights_of("byte"), (130,), "high", offset=26000),
    "low, rounded": Interpolation(weights_of("two"), (130,), "low", shift=4, offset=32500),
    "high, rounded": Interpolation(SIGNED, (130,), "high", shift=4, offset=20000),
    "low of two digits": Interpolation(SIGNED, (77, 66), "low", shift=11, offset=25000),
}


@pytest.mark.parametrize("case", list(CASES))
def test_bytes_on_the_iss(case):
    attrs, number = CASES[case], list(CASES).index(case)
    graph = verify(graph_of(attrs))
    architecture = GRAPHS[list(GRAPHS)[number % 3]]
    inputs = {e.name: np.random.default_rng(number).integers(0, 256, SHAPE).astype(np.uint8) for e in graph.inputs}
    for array in inputs.values():
        array[:, :, 0], array[:, :, 1] = 0, 255
    assert check_program(graph, compile_network(graph, architecture), architecture, inputs) > 0


def test_int8_in_many_strips_with_weights_that_do_not_stay():
    """More weights than half of tiny's memory for them: each strip brings them in again."""
    rng, shape = np.random.default_rng(1), (1, 200, 6, 4)
    attrs = final(rng.integers(0, 400, (48, 200)).astype(np.int32), (-3,), y_zero=-5, y_low=-128, y_high=127)
    graph, tiny = graph_of(attrs, dtype="i8", shape=shape), GRAPHS["tiny"]
    program = compile_network(graph, tiny)
    engines = Counter(instruction.engine for instruction in program.instructions)
    assert engines["store"] >= 2 and engines["load"] > engines["matrix"]
    check_program(graph, program, tiny, {"x": rng.integers(-128, 128, shape).astype(np.int8)})


PART = CASES["low, rounded"]
BROKEN = {
    "channels": (replace(PART, weights=weights_of("two", 34, 20)), "shapes (2, 21, 3, 1), (2, 34, 3, 1)", "20 channels to 34, the same pixels"),
    "zeros": (replace(PART, zeros=(256,)), "zero point 256", "a value of u8"),
    "type": (replace(PART, weights=PART.weights.astype(np.int64)), "weights int64", "int32 below 32767 in magnitude"),
    "size": (replace(PART, weights=PART.weights * 10), "weights int32", "int32 below 32767 in magnitude"),
    "sums": (final(np.full((34, 21), 32000, np.int32), (0, 0)), "sums from 0 to 44039520000", "less than 4294967296 in magnitude"),
    "part": (replace(PART, part="middle"), "part middle", "one of '', 'low', 'high'"),
    "numbers": (replace(PART, shift=2), "numbers from -97500 to 157500", "0 to 65535"),
    "clamp": (final(PART.weights, (1,), y_high=256), "clamp [0, 256]", "a range within [0, 255]"),
    "scale": (replace(final(PART.weights, (1,)), w_scale=1e38, x_scale=1e38), "requantisation scale inf", "a finite number"),
}


@pytest.mark.parametrize("case", list(BROKEN))
def test_each_rule(case):
    attrs, found, expected = BROKEN[case]
    with pytest.raises(IRError) as error:
        verify(graph_of(attrs))
    assert str(error.value).startswith(f"node n (Interpolation): found {found}; expected {expected};")
