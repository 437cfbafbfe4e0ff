"""Binary and Reduction nodes, compiled for four architectures and run on the ISS: bytes equal to plain numpy, no hazards."""

from __future__ import annotations

import numpy as np
import pytest

from acg.graph import load_graph
from compiler.errors import IRError
from compiler.ir.elementwise import Binary, Reduction
from compiler.ir.network import RANGES, Network, Tensor
from compiler.ir.rules import verify
from compiler.passes import Options, compile_network
from tests.compiler.ir_reference import check_program
from tests.compiler.random_networks import Sketch

NAMES = ("tiny", "edge16", "wide", "dot16")
GRAPHS = {name: load_graph(name) for name in NAMES}
CORES = {name: load_graph(name) for name in ("dsp_tiny", "dsp")}


def attributes(s: Sketch, kind: str, a: Tensor, b: Tensor | None, y: Tensor, *, constant=None, per_channel=False) -> Binary:
    """Random attributes that fit the tensors; y's scale is such that the results use its range."""
    sign = s.pick(1.0, -1.0) if kind != "mul" else 1.0
    factors = s.rng.uniform(-1.2, 1.2, a.shape[1] if per_channel else 1) if per_channel else np.ones(1)
    zero, scale = (b.zero_point, b.scale) if b is not None else (int(s.rng.integers(-20, 20)) if constant.dtype == np.int8 else 100, 0.03)
    return Binary(kind, (factors * a.scale).astype(np.float32), a.zero_point, float(np.float32(sign * scale)), zero, y.scale, y.zero_point,
                  *RANGES[y.dtype], constant=constant)  # fmt: skip


def sketch(seed: int, kind: str, *, broadcast: str = "", constant: bool = False, per_channel: bool = False) -> tuple[Network, dict]:
    """One Binary behind a convolution; `broadcast` names the operand ('a' or 'b') of which some dimensions are 1."""
    s = Sketch(seed, f"{kind}{seed}")
    shape = (s.pick(1, 2, 3), s.between(1, 40), s.between(1, 9), s.between(1, 9))
    small = tuple(1 if i != 1 and (i == 0 or s.pick(True, True, False)) else d for i, d in enumerate(shape))
    if broadcast == "both":
        shapes = {"a": (1, shape[1], 1, shape[3]), "b": (shape[0], shape[1], shape[2], 1)}
    else:
        shapes = {operand: small if operand == broadcast else shape for operand in "ab"}
    a = s.conv(s.input(shapes["a"]), shape[1]) if s.pick(True, False) else s.input(shapes["a"])
    step = 0.5 if kind == "mul" else 1.0
    y = s.tensor(shape)
    y = Tensor(y.name, y.shape, y.dtype, float(np.float32(a.scale * s.pick(0.7, 1.0, 2.3) * step)), y.zero_point)
    s.tensors[y.name] = y
    if constant:
        array = s.rng.integers(-128, 128, shapes["b"]).astype(np.int8) if s.pick(True, False) else s.rng.integers(0, 256, shapes["b"]).astype(np.uint8)
        s.node(attributes(s, kind, a, None, y, constant=array, per_channel=per_channel), [a], y)
    else:
        b = s.unary(a) if s.pick(True, False) and shapes["a"] == shapes["b"] else s.input(shapes["b"])
        s.node(attributes(s, kind, a, b, y, per_channel=per_channel), [a, b], y)
    return s.network(y), s.arrays()


def numbers_a_channel(seed: int, kind: str) -> tuple[Network, dict]:
    """Operand a is a constant of ones whose scales are the numbers."""
    s = Sketch(seed, "channels")
    x = s.input((s.pick(1, 2), s.between(2, 40), s.between(1, 9), s.between(1, 9)))
    y = s.tensor(x.shape)
    numbers = s.rng.normal(0, 1, x.shape[1]).astype(np.float32)
    attrs = Binary(kind, numbers, 0, x.scale, x.zero_point, y.scale, y.zero_point, *RANGES[y.dtype],
                   constant=np.ones((1, x.shape[1], 1, 1), np.int8), constant_first=True)  # fmt: skip
    s.node(attrs, [x], y)
    return s.network(y), s.arrays()


def check(seed: int, graph: Network, arrays: dict, **options) -> None:
    """On one of the architectures."""
    architecture = GRAPHS[NAMES[seed % len(NAMES)]]
    program = compile_network(verify(graph), architecture, options=Options(**options))
    assert check_program(graph, program, architecture, arrays) > 0


@pytest.mark.parametrize("kind", ["add", "mul", "min", "max"])
@pytest.mark.parametrize("seed", range(12))
def test_two_tensors(kind, seed):
    check(seed, *sketch(seed, kind, broadcast=("", "a", "b")[seed % 3], per_channel=seed % 5 == 0), resident=seed % 4 != 3)


@pytest.mark.parametrize("seed", range(4))
def test_both_operands_broadcast(seed):
    check(seed, *sketch(seed, "add", broadcast="both"), resident=seed % 2 == 0)


@pytest.mark.parametrize("kind", ["add", "mul", "min", "max"])
@pytest.mark.parametrize("seed", range(6))
def test_a_tensor_and_a_constant(kind, seed):
    check(seed, *sketch(seed, kind, constant=True, broadcast="b" if seed % 2 else ""), resident=seed % 3 != 2)


@pytest.mark.parametrize("seed", range(4))
def test_a_tensor_with_itself(seed):
    s = Sketch(seed, "itself")
    a = s.input((2, 5 + 9 * seed, 4, 3))
    y = s.tensor(a.shape)
    s.node(attributes(s, ("max", "mul", "add", "min")[seed], a, a, y, per_channel=True), [a, a], y)
    check(seed, s.network(y), s.arrays())


def check_on_cores(graph: Network, arrays: dict, **options) -> None:
    """On both."""
    for architecture in CORES.values():
        assert check_program(graph, compile_network(verify(graph), architecture, options=Options(**options)), architecture, arrays) > 0


@pytest.mark.parametrize("kind", ["add", "mul", "min", "max"])
@pytest.mark.parametrize("seed", range(3))
def test_spread_and_constant_operands_on_cores(kind, seed):
    check_on_cores(*sketch(seed, kind, broadcast="ab"[seed % 2]), resident=seed < 2)
    check_on_cores(*sketch(seed, kind, broadcast="both"), resident=seed < 2)
    check_on_cores(*sketch(seed, kind, constant=True, broadcast="b" if seed % 2 else ""), resident=seed < 2)
    check_on_cores(*numbers_a_channel(seed, kind), resident=seed < 2)


@pytest.mark.parametrize("axes", [(2,), (3,), (2, 3), (1,), (1, 3), (1, 2, 3), (0, 2), (0, 1, 2, 3)])
@pytest.mark.parametrize("seed", range(4))
def test_reductions(axes, seed):
    s = Sketch(seed, "reduction")
    x = s.input((s.pick(1, 2), s.between(1, 40), s.between(1, 9), s.between(1, 9)))
    count = int(np.prod([x.shape[i] for i in axes]))
    y = s.tensor(tuple(1 if i in axes else d for i, d in enumerate(x.shape)))
    divisor = s.pick(1, count)
    y = Tensor(y.name, y.shape, y.dtype, float(np.float32(x.scale * (count / divisor) ** 0.5)), y.zero_point)
    s.tensors[y.name] = y
    s.node(Reduction(axes, divisor, x.scale, x.zero_point, y.scale, y.zero_point, *RANGES[y.dtype]), [x], y)
    check(seed, s.network(y), s.arrays(), resident=seed != 2)


def test_a_large_constant_is_cut_into_tiles():
    """An operand that does not fit beside the input: boxes of both are loaded tile by tile."""
    s = Sketch(0, "embedding")
    x = s.input((1, 64, 40, 8))
    y = s.tensor(x.shape)
    array = s.rng.integers(-128, 128, x.shape).astype(np.int8)
    s.node(attributes(s, "add", x, None, y, constant=array), [x], y)
    check(0, s.network(y), s.arrays())


@pytest.mark.parametrize("kind", ["add", "mul", "min", "max"])
@pytest.mark.parametrize("seed", range(4))
def test_a_float_constant_a_channel(kind, seed):
    check(seed, *numbers_a_channel(seed, kind), resident=seed % 2 == 0)


def broken(change: dict, shape=(1, 3, 1, 1)):
    """A Binary of (1, 3, 2, 2) and `shape` with changed attributes."""
    s = Sketch(0, "g")
    a, b = s.input((1, 3, 2, 2)), s.input(shape)
    y = s.tensor((1, 3, 2, 2))
    numbers = {"a_scale": np.float32([a.scale]), "a_zero": a.zero_point, "b_scale": b.scale, "b_zero": b.zero_point, "y_scale": y.scale,
               "y_zero": y.zero_point, "y_low": RANGES[y.dtype][0], "y_high": RANGES[y.dtype][1], **change}  # fmt: skip
    s.node(Binary(**{"kind": "add", **numbers}), [a, b], y)
    return s.network(y)


@pytest.mark.parametrize(
    ("change", "shape", "message"),
    [
        ({"kind": "pow"}, (1, 3, 1, 1), "found kind pow; expected one of add, mul, min, max"),
        ({}, (1, 3, 4, 1), "found shapes (1, 3, 2, 2) and (1, 3, 4, 1) to (1, 3, 2, 2); expected shapes that broadcast over N, H, W"),
        ({}, (1, 1, 2, 2), "found shapes (1, 3, 2, 2) and (1, 1, 2, 2) to (1, 3, 2, 2); expected shapes that broadcast over N, H, W"),
        ({"a_scale": np.ones(2, np.float32)}, (1, 3, 1, 1), "found scales (2,); expected (3,) or (1,)"),
        ({"a_scale": np.float32([np.inf])}, (1, 3, 1, 1), "found scales [inf] and "),
    ],
)
def test_rules(change, shape, message):
    verify(broken({}))
    with pytest.raises(IRError) as error:
        verify(broken(change, shape))
    assert message in str(error.value)
