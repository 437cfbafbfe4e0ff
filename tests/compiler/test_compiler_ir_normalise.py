"""The rules of the IR's normalisations: what breaks each, with its message."""

from dataclasses import replace

import numpy as np
import pytest

from compiler.errors import IRError
from compiler.ir.network import EdgeInput, EdgeOutput, Network, Node, Tensor
from compiler.ir.normalise import LRN, GroupNormalization, MeanSquare, RMSNormalization, RootQuotient
from compiler.ir.rowwise import ArgMax
from compiler.ir.rules import verify

X, E = Tensor("x", (1, 6, 4, 4), "u8", 0.5, 3), Tensor("e", (1, 1, 4, 4), "u8", 0.5, 3)
Y = Tensor("y", (1, 6, 4, 4), "i8", 0.25, -3)
ONES, ZEROS = np.ones(6, np.float32), np.zeros(6, np.float32)
SCALES = {"x_scale": 0.5, "x_zero": 3, "y_scale": 0.25, "y_zero": -3}
NORM = LRN(5, 0.1, 0.75, 1.0, **SCALES)
GROUPS = GroupNormalization(2, ONES, ZEROS, 1e-5, **SCALES)
RMS = RMSNormalization(ONES, 1e-5, **SCALES)
ROOT = RootQuotient(0.5, 3, 0.5, 3, 0.25, -3)


def graph_of(attrs, *, x=X, e=None, y=Y):
    inputs = (x,) if e is None else (x, e)
    edges = tuple(EdgeInput(f"in {t.name}", t.dtype, t.shape, t.name) for t in inputs)
    node = Node("n", attrs, tuple(t.name for t in inputs), ("y",))
    return Network("g", edges, (EdgeOutput("out", y.dtype, y.shape, "y"),), (node,), {t.name: t for t in (*inputs, y)})


ROW = replace(Y, shape=(1, 1, 4, 4))
SOUND = {
    "LRN": graph_of(NORM), "GroupNormalization": graph_of(GROUPS), "RMSNormalization": graph_of(RMS), "MeanSquare": graph_of(MeanSquare(**SCALES), y=ROW),
    "RootQuotient": graph_of(ROOT, e=E), "ArgMax": graph_of(ArgMax(), y=Tensor("y", (1, 1, 4, 4), "u8")),
    "ArgMax of many": graph_of(ArgMax(), x=replace(X, shape=(1, 256, 4, 4)), y=Tensor("y", (1, 1, 4, 4), "i32")),
}
BROKEN = {
    "node n (LRN): found output (1, 1, 4, 4); expected (1, 6, 4, 4)": graph_of(NORM, y=ROW),
    "node n (LRN): found scale 0.5, zero 3; expected those of x: 0.25, 3": graph_of(NORM, x=replace(X, scale=0.25)),
    "node n (LRN): found clamp [-129, 127]; expected a range within [-128, 127]": graph_of(replace(NORM, y_low=-129)),
    f"node n (LRN): found {replace(NORM, beta=0.6)}; expected a size, a power, a positive bias": graph_of(replace(NORM, beta=0.6)),
    f"node n (LRN): found {replace(NORM, size=0)}; expected a size, a power, a positive bias": graph_of(replace(NORM, size=0)),
    "node n (GroupNormalization): found 4 groups of 6 channels; expected groups of equal size": graph_of(replace(GROUPS, groups=4)),
    "node n (GroupNormalization): found groups of 120000 numbers; expected at most 65536":
        graph_of(GROUPS, x=replace(X, shape=(1, 6, 200, 200)), y=replace(Y, shape=(1, 6, 200, 200))),
    "node n (GroupNormalization): found beta float32 (5,); expected finite float32 (6,)": graph_of(replace(GROUPS, beta=ZEROS[:5])),
    "node n (RMSNormalization): found gamma float64 (6,); expected finite float32 (6,)": graph_of(replace(RMS, gamma=np.ones(6))),
    "node n (RMSNormalization): found epsilon inf; expected a finite number of at least 0": graph_of(replace(RMS, epsilon=np.inf)),
    "node n (MeanSquare): found output (1, 6, 4, 4); expected (1, 6, 4, 4) of one channel": graph_of(MeanSquare(**SCALES)),
    "node n (RootQuotient): found radicand (1, 6, 4, 4); expected (1, 6, 4, 4) of one channel": graph_of(ROOT, e=replace(E, shape=X.shape)),
    "node n (ArgMax): found a result u8 with scale None; expected i32 without one":
        graph_of(ArgMax(), x=replace(X, shape=(1, 256, 4, 4)), y=Tensor("y", (1, 1, 4, 4), "u8")),
    "node n (ArgMax): found 65026 channels; expected at most 65025": graph_of(ArgMax(), x=replace(X, shape=(1, 65026, 4, 4)), y=Tensor("y", (1, 1, 4, 4), "i32")),
}


@pytest.mark.parametrize("name", SOUND)
def test_right_graphs_pass(name):
    assert verify(SOUND[name]) is SOUND[name]


@pytest.mark.parametrize("message", BROKEN)
def test_each_rule(message):
    with pytest.raises(IRError) as error:
        verify(BROKEN[message])
    assert str(error.value) == f"{message}; report the model and the pass that ran last"
