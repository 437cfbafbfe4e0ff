"""Float operations between DequantizeLinear and QuantizeLinear, as a quantiser leaves them that looks at products alone: one Expression node."""

from __future__ import annotations

import numpy as np
import pytest

from acg.graph import load_graph
from compiler.ir.expression import Digits, digits_of, most_digits, one_digit
from compiler.passes import compile_network
from compiler.read_network import read_network
from covenant.networks import CompiledNetwork
from covenant.report import judge_network
from tests.compiler.ir_reference import check_program, evaluate
from tests.support.models import I8, U8, dequantize, model_of, node, parameters, quantize
from verif.golden import Golden
from verif.random.networks import random_inputs
from verif.reference import Reference

ARCHITECTURES = ("tiny", "edge16", "wide")
GRAPHS = {name: load_graph(name) for name in ARCHITECTURES}
KINDS = {"i8": (I8, np.int8), "u8": (U8, np.uint8)}
SCALES = (0.0313, 0.0217, 0.0431, 0.0239)
CHANNELS = np.float32([-1, -0.5, 0, 0.5, 1]).reshape(5, 1, 1)
#: Nodes between the dequantised tensors d0, d1, .. and g; digits of the functions in the node.
CASES = {
    "gate": ([node("HardSigmoid", "d1", "h"), node("Mul", "d0 h", "g")], [3]),
    "function first": ([node("Tanh", "d1", "h"), node("Sub", "h d0", "g")], [3]),
    "residual": ([node("Add", "d0 d1", "a"), node("Relu", "a", "r"), node("Add", "r d2", "b"), node("Relu", "b", "g")], []),
    "clipped residual": ([node("Sub", "d0 d1", "a"), node("Clip", "a half two", "r"), node("Sub", "d2 r", "g")], []),
    "factor of a sum": ([node("Sub", "d0 d1", "a"), node("Mul", "a d2", "g")], []),
    "product and sum": ([node("Mul", "d0 d1", "a"), node("Add", "a d2", "g")], []),
    "both sides": ([node("Sigmoid", "d0", "a"), node("Exp", "d1", "b"), node("Mul", "a b", "g")], [3, 3]),
    "largest": ([node("HardSwish", "d0", "a"), node("Max", "a d1 half", "b"), node("Min", "b d2", "g")], [4]),
    "a constant a channel": ([node("Sigmoid", "d0", "a"), node("Mul", "a d1", "b"), node("Add", "b channels", "c"), node("Max", "c d2", "g")], [5]),
    "a number": ([node("Tanh", "d0", "a"), node("Mul", "d1 half", "b"), node("Sub", "b a", "g")], [1, 3]),
    "on the grid": ([node("Relu", "d0", "a"), node("Neg", "d1", "n"), node("Abs", "n", "b"), node("Add", "a b", "c"), node("Sub", "c d2", "g")], [1, 1]),
    "one function twice": ([node("Tanh", "d0", "a"), node("Mul", "a d1", "b"), node("Add", "b a", "g")], [3]),
    "negated": ([node("Sub", "half d0", "a"), node("Sub", "a d1", "b"), node("Mul", "b d2", "g")], []),
}  # fmt: skip


def mixed_model(case, shapes=((2, 5, 3, 4),) * 3, kind="i8", q_scale=0.0517):
    nodes = CASES[case][0] if isinstance(case, str) else case
    code, number = KINDS[kind]
    used = sorted({int(name[1:]) for n in nodes for name in n.input if name in ("d0", "d1", "d2")})
    middle = number(5 if kind == "i8" else 130)
    constants = parameters(**{str(i): (SCALES[i], number(middle - 9 * i)) for i in used}, q=(q_scale, number(middle + 3)))
    known = {"half": np.float32(0.5), "two": np.float32(2), "channels": CHANNELS}
    constants |= {name: array for name, array in known.items() if any(name in n.input for n in nodes)}
    nodes = [*(dequantize(f"x{i}", f"d{i}", str(i)) for i in used), *nodes, quantize("g", "y", "q")]
    out = np.broadcast_shapes(*(shapes[i] for i in used))
    return model_of(nodes, {f"x{i}": (code, shapes[i]) for i in used}, {"y": (code, out)}, constants)


def check(model, inputs, architectures=ARCHITECTURES):
    """Definition, IR and program on the ISS give the same bytes, and onnxruntime too; returns the IR."""
    graph = read_network(model)
    expected, found = Reference(model).run(inputs)["y"], evaluate(graph, inputs)["y"]
    np.testing.assert_array_equal(found, expected)
    for name in architectures:
        assert check_program(graph, compile_network(graph, GRAPHS[name]), GRAPHS[name], inputs) > 0
    steps = np.abs(expected.astype(int) - Golden(model).run(inputs)["y"])
    assert steps.max() <= 1 and (steps > 0).sum() <= steps.size // 500, f"{(steps > 0).sum()} of {steps.size}"
    return graph


@pytest.mark.parametrize("kind", ["i8", "u8"])
@pytest.mark.parametrize("case", list(CASES))
def test_expressions(case, kind):
    model = mixed_model(case, kind=kind)
    graph = check(model, random_inputs(model, 5), ARCHITECTURES[len(case) % 3 :][:1])
    assert [n.op for n in graph.nodes] == ["Expression"]
    found = [len(term.tables) for term in graph.nodes[0].attrs.terms if isinstance(term, Digits)]
    assert len(found) == len(CASES[case][1]) and all(abs(a - b) <= 1 for a, b in zip(found, CASES[case][1], strict=True)), found


@pytest.mark.parametrize("shapes", [
    ((2, 20, 3, 4), (2, 20, 1, 1)), ((1, 5, 3, 4), (1, 1, 3, 4)), ((3, 9, 24), (24,)), ((3, 1), (1, 7)), ((1, 33, 6, 7), (1, 33, 6, 7)), ((4,), (4,)),
], ids=str)  # fmt: skip
def test_gates_broadcast(shapes):
    """Squeeze and excitation: one number a channel for all pixels, whatever the shapes."""
    model = mixed_model("gate", shapes)
    assert check(model, random_inputs(model, 2)).nodes[-1].op == "Expression"


@pytest.mark.parametrize("kinds", [("i8", 0.0517), ("u8", 0.0071)], ids=str)
@pytest.mark.parametrize("case", ["gate", "both sides", "function first"])
def test_every_pair_of_bytes(case, kinds):
    """Functions rounded to few digits change no byte."""
    shape = (1, 256, 256)
    model = mixed_model(case, (shape, shape), *kinds)
    a, b = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8), indexing="ij")
    number = KINDS[kinds[0]][1]
    check(model, {"x0": a[None].view(number), "x1": b[None].view(number)}, ("edge16",))


def test_one_tensor_behind_is_a_table():
    graph = read_network(mixed_model([node("Sigmoid", "d0", "a"), node("Mul", "a d0", "b"), node("Add", "b d0", "g")]))
    assert [n.op for n in graph.nodes] == ["Unary"]


@pytest.mark.parametrize("seed", range(20))
def test_digits(seed):
    """All digits are exact, each fewer is nearest; float32 sums from the highest down round nowhere."""
    rng = np.random.default_rng(seed)
    floats = (rng.standard_normal(256) * 2.0 ** rng.integers(-20, 1 + 20 * (seed % 3), 256)).astype(np.float32)
    floats[rng.integers(0, 256, 9)] = 0
    count = most_digits(floats)
    digits = digits_of(0, floats, count)
    np.testing.assert_array_equal(digits.values(), floats, err_msg=f"seed {seed}")
    total = np.zeros(256, np.float32)
    for k, digit in reversed(list(enumerate(digits.digits()))):
        total = (total + digit * np.float32(digits.unit * 256.0**k)).astype(np.float32)
    np.testing.assert_array_equal(total, floats, err_msg=f"seed {seed}")
    for fewer in range(1, min(count, 4)):
        rounded = digits_of(0, floats, fewer)
        assert np.abs(rounded.values().astype(np.float64) - floats).max() <= rounded.unit / 2, f"seed {seed}"
    if count > 1:
        assert not np.array_equal(digits_of(0, floats, max(count - 2, 1)).values(), floats), f"seed {seed}"


RTL = {"gate": ("tiny", ((2, 5, 3, 4), (2, 5, 1, 1), ())), "a constant a channel": ("edge16", ((1, 5, 6, 7),) * 3), "residual": ("tiny", ((1, 9, 3, 4),) * 3)}


@pytest.mark.rtl
@pytest.mark.parametrize("case", list(RTL))
def test_on_rtl(case):
    arch, shapes = RTL[case]
    model = mixed_model(case, shapes)
    program = compile_network(read_network(model, name=case), GRAPHS[arch])
    samples = [random_inputs(model, seed) for seed in range(2)]
    report, _ = judge_network(CompiledNetwork(case, GRAPHS[arch], program, model), samples, on="rtl")
    assert report["exact"], f"{report['outputs']} {report['cycles']} {report.get('divergence')}"
    assert report["cycles"]["measured"] == report["cycles"]["predicted"] > 0


@pytest.mark.parametrize("seed", range(20))
def test_one_digit(seed):
    """Multiples of one number are one digit whatever the number is; a number beside them is not."""
    rng = np.random.default_rng(seed)
    low = int(rng.integers(-255, 1))
    unit = np.float32(2.0 ** rng.uniform(-20, 20))
    floats = rng.permutation(np.arange(low, low + 256)).astype(np.float32) * unit
    digits = one_digit(0, floats)
    assert digits is not None and digits.lowest == low
    np.testing.assert_array_equal(digits.values(), floats)
    floats[7] = np.nextafter(floats[7], np.float32(np.inf)) if floats[7] else unit / 2
    assert one_digit(0, floats) is None, f"seed {seed}"
