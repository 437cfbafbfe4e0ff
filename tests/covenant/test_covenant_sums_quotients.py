"""Sums of three and more, means, and quotients of two tensors: float32 numbers between the steps, from ONNX to the machine."""

from __future__ import annotations

import numpy as np
import pytest

from acg.graph import load_graph, parse_graph
from compiler.errors import UnsupportedError
from compiler.ir.floats import HEADROOM, Quotient
from compiler.passes import compile_network
from compiler.read_network import read_network
from covenant.networks import CompiledNetwork
from covenant.report import judge_network
from tests.compiler.ir_reference import check_program, evaluate
from tests.support.architectures import text_of
from tests.support.models import I8, U8, dequantize, model_of, node, parameters, quantize
from verif.golden import Golden
from verif.random.networks import random_inputs
from verif.reference import Reference

ARCHITECTURES = ("tiny", "edge16", "wide")
GRAPHS = {name: load_graph(name) for name in ARCHITECTURES}
KINDS = {"i8": (I8, np.int8), "u8": (U8, np.uint8)}
SCALES = (0.0313, 0.0117, 0.0431, 0.0239, 0.0171)
CHANNELS = np.linspace(-1.7, 2.3, 5, dtype=np.float32).reshape(5, 1, 1)
#: Nodes between the dequantised tensors d0, d1, .. and g; what the IR holds.
SUMS = {
    "Sum of three": ([node("Sum", "d0 d1 d2", "g")], ["Sum"]),
    "Sum of five": ([node("Sum", "d0 d1 d2 d3 d4", "g")], ["Sum"]),
    "Mean of two": ([node("Mean", "d0 d1", "g")], ["Sum"]),
    "Mean of three": ([node("Mean", "d0 d1 d2", "g")], ["Sum"]),
    "left": ([node("Add", "d0 d1", "a"), node("Add", "a d2", "g")], ["Sum"]),
    "right": ([node("Add", "d0 d1", "a"), node("Sub", "d2 a", "g")], ["Sum"]),
    "tree": ([node("Sub", "d0 d1", "a"), node("Add", "d2 d3", "b"), node("Sub", "a b", "g")], ["Sum"]),
    "mean of sums": ([node("Sum", "d0 d1 d2", "a"), node("Mean", "d3 a", "g")], ["Sum"]),
    "a tensor twice": ([node("Sub", "d0 d1", "a"), node("Sum", "d1 a d2", "g")], ["Sum"]),
    "a tensor beside itself": ([node("Sum", "d0 d0 d1 d2", "g")], ["Sum"]),
    "a tensor less itself": ([node("Sub", "d0 d0", "a"), node("Add", "a d1", "b"), node("Mean", "d0 b", "g")], ["Sum"]),
    "the last beside itself": ([node("Add", "d0 half", "a"), node("Sub", "d1 a", "b"), node("Mean", "b d1 d1", "g")], ["Sum"]),
    "constants": ([node("Sum", "half d0 channels d1", "g")], ["Sum"]),
    "constants first": ([node("Add", "half channels", "a"), node("Sum", "a d0 d1", "g")], ["Sum"]),
    "a quantised constant": ([node("Sum", "d0 channels d1 d2", "a"), node("Add", "a half", "g")], ["Sum"]),
    "a function that is a sum": ([node("Add", "d0 half", "a"), node("Add", "a d1", "g")], ["Sum"]),
    "one of a function": ([node("Sub", "half d0", "a"), node("Sub", "d1 a", "g")], ["Sum"]),
    "clamped": ([node("Sum", "d0 d1 d2", "a"), node("Relu", "a", "g")], ["Sum"]),
    "used twice": ([node("Add", "d0 d1", "a"), node("Add", "a d2", "b"), node("Sum", "a b d3", "g")], ["Sum"]),
    "two": ([node("Sum", "d0 d1", "g")], ["Add"]),
    "of one tensor": ([node("Sum", "d0 d0 half", "a"), node("Mean", "a d0 d0", "g")], ["Unary"]),
}


def sum_model(case, shapes=((2, 5, 3, 4),) * 5, kind="i8"):
    nodes = SUMS[case][0] if isinstance(case, str) else case
    code, number = KINDS[kind]
    names = sorted({name for n in nodes for name in n.input if name.startswith("d")})
    used = [int(name[1:]) for name in names]
    middle = number(5 if kind == "i8" else 130)
    constants = parameters(**{str(i): (SCALES[i], number(middle - 9 * i)) for i in used}, q=(0.0517, number(middle + 3)))
    constants |= {name: array for name, array in (("half", np.float32(0.5)), ("channels", CHANNELS)) if any(name in n.input for n in nodes)}
    nodes = [*(dequantize(f"x{i}", f"d{i}", str(i)) for i in used), *nodes, quantize("g", "y", "q")]
    out = np.broadcast_shapes(*(shapes[i] for i in used))
    return model_of(nodes, {f"x{i}": (code, shapes[i]) for i in used}, {"y": (code, out)}, constants)


def check(model, inputs, architectures=ARCHITECTURES):
    """Definition, IR and program on the ISS give the same bytes; returns the IR and the differences from onnxruntime in steps."""
    graph = read_network(model)
    expected, found = Reference(model).run(inputs)["y"], evaluate(graph, inputs)["y"]
    np.testing.assert_array_equal(found, expected)
    for name in architectures:
        assert check_program(graph, compile_network(graph, GRAPHS[name]), GRAPHS[name], inputs) > 0
    return graph, np.abs(expected.astype(int) - Golden(model).run(inputs)["y"])


@pytest.mark.parametrize("kind", ["i8", "u8"])
@pytest.mark.parametrize("case", list(SUMS))
def test_sums(case, kind):
    model = sum_model(case, kind=kind)
    graph, steps = check(model, random_inputs(model, 3), ARCHITECTURES[len(case) % 3 :][:1])
    assert [n.op for n in graph.nodes] == SUMS[case][1]
    assert steps.max() == 0, f"{(steps > 0).sum()} of {steps.size}"


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("shape", [(1, 3), (3, 100), (1, 33, 6, 7), (2, 3, 5, 40), (4,)], ids=str)
def test_shapes_of_sums(shape, arch):
    """Channels that are no multiple of the lanes, and more than the accumulators hold of one pixel's strips at once."""
    for case in ("Sum of five", "Mean of three"):
        model = sum_model(case, (shape,) * 5)
        _, steps = check(model, random_inputs(model, 1), (arch,))
        assert steps.max() == 0


@pytest.mark.parametrize("shapes", [
    ((2, 5, 3, 4), (2, 5, 1, 1), (2, 5, 3, 4)), ((1, 5, 3, 4), (5, 1, 1), (1, 1, 3, 4)), ((1, 5, 3, 1), (1, 1, 1, 4), (1, 5, 3, 4)), ((2, 9, 24), (24,), (1, 9, 24)),
    ((3, 1), (1, 7), (3, 7)), ((2, 1, 3, 1), (5, 1, 4), (5, 3, 4)),
], ids=str)  # fmt: skip
def test_broadcast_sums(shapes):
    model = sum_model("Sum of three", shapes)
    _, steps = check(model, random_inputs(model, 2))
    assert steps.max() == 0


def test_a_sum_keeps_its_provenance():
    """The nodes whose results are never tensors are named with the one that is."""
    graph = read_network(sum_model("tree"))
    assert graph.nodes[0].origin == ("n_a", "n_b", "n_g", "n_y")
    assert [(t.source, round(t.scale, 4)) for t in graph.nodes[0].attrs.terms] == [(0, 0.0313), (1, -0.0117), (2, -0.0431), (3, -0.0239)]
    assert graph.nodes[0].attrs.additions == ((0, 1), (2, 3), (4, 5))


def test_the_order_of_additions_is_part_of_the_definition():
    """Numbers so large that a small one is lost beside them, or not: a + (b + c) and (a + b) + c differ, and each is what its network says."""
    results = []
    for nodes in ([node("Add", "d0 d1", "a"), node("Add", "a d2", "g")], [node("Add", "d1 d2", "a"), node("Add", "d0 a", "g")]):
        names = {"0": (2.0**20, np.int8(0)), "1": (2.0**20, np.int8(0)), "2": (2.0**-5, np.int8(0)), "q": (0.25, np.int8(0))}
        model = model_of([*(dequantize(f"x{i}", f"d{i}", str(i)) for i in range(3)), *nodes, quantize("g", "y", "q")],
                         {f"x{i}": (I8, (1, 4)) for i in range(3)}, {"y": (I8, (1, 4))}, parameters(**names))  # fmt: skip
        inputs = {"x0": np.int8([[127] * 4]), "x1": np.int8([[-127] * 4]), "x2": np.int8([[8, 60, 120, -60]])}
        _, steps = check(model, inputs)
        assert steps.max() == 0
        results.append(Reference(model).run(inputs)["y"].tolist())
    assert results == [[[1, 8, 15, -8]], [[0, 0, 0, 0]]]  # 127 * 2^20 has no neighbour closer than 8


def quotient_model(shapes=((2, 5, 3, 4),) * 2, kinds=("i8", "u8", "i8"), scales=(0.0313, 0.0217, 0.0471), zeros=(7, 0, -3)):
    numbers = [KINDS[kind] for kind in kinds]
    constants = parameters(**{name: (scale, number(zero)) for name, scale, (_, number), zero in zip("abq", scales, numbers, zeros, strict=True)})
    nodes = [dequantize("a", "c", "a"), dequantize("b", "d", "b"), node("Div", "c d", "g"), quantize("g", "y", "q")]
    inputs = {name: (code, shape) for name, (code, _), shape in zip("ab", numbers, shapes, strict=False)}
    return model_of(nodes, inputs, {"y": (numbers[2][0], np.broadcast_shapes(*shapes))}, constants)


def nonzero(model, seed, zero):
    """Inputs whose divisor is nowhere the zero point."""
    inputs = random_inputs(model, seed)
    inputs["b"][inputs["b"] == zero] += 1
    return inputs


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("shape", [(1, 3), (3, 100), (2, 5, 3, 4), (1, 33, 6, 7), (4,)], ids=str)
def test_quotients(shape, arch):
    model = quotient_model((shape, shape))
    graph, steps = check(model, nonzero(model, 1, 0), (arch,))
    assert [n.op for n in graph.nodes] == ["Quotient"] and steps.max() <= 1


@pytest.mark.parametrize("shapes", [((2, 5, 3, 4), (2, 5, 1, 1)), ((1, 1, 3, 4), (1, 5, 3, 4)), ((2, 9, 24), (2, 9, 1)), ((1, 5, 1, 4), (5, 3, 1)), ((3, 1), (7,))], ids=str)
def test_broadcast_quotients(shapes):
    model = quotient_model(shapes)
    graph, steps = check(model, nonzero(model, 2, 0))
    assert graph.nodes[-1].op == "Quotient" and steps.max() <= 1


def every_pair(a_kind, b_kind):
    """All 65,536 pairs of bytes."""
    a, b = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8), indexing="ij")
    return {"a": a.reshape(1, 256, 256).view(KINDS[a_kind][1]), "b": b.reshape(1, 256, 256).view(KINDS[b_kind][1])}


@pytest.mark.parametrize(("kinds", "zeros"), [
    (("i8", "i8", "i8"), (0, 0, 0)), (("u8", "u8", "u8"), (128, 0, 128)), (("i8", "u8", "u8"), (-9, 255, 200)), (("u8", "i8", "i8"), (3, -127, 5)),
], ids=str)  # fmt: skip
def test_every_pair_of_bytes(kinds, zeros):
    """All dividends and divisors, 0 among them: saturation by the sign, and zero over zero is the zero point."""
    shape = (1, 256, 256)
    model = quotient_model((shape, shape), kinds, (0.0319, 0.0043, 0.187), zeros)
    inputs = every_pair(*kinds[:2])
    _, steps = check(model, inputs, ("edge16",))
    y, a, b = Reference(model).run(inputs)["y"], inputs["a"].astype(int) - zeros[0], inputs["b"].astype(int) - zeros[1]
    info = np.iinfo(y.dtype)
    assert set(y[(b == 0) & (a > 0)]) <= {info.max} and set(y[(b == 0) & (a < 0)]) <= {info.min} and set(y[(b == 0) & (a == 0)]) == {zeros[2]}
    undefined = (a == 0) & (b == 0)
    print(f"{kinds} {zeros}: {(steps[~undefined] > 0).sum()} of {steps.size} elements differ")
    assert steps[~undefined].max() <= 1 and (steps[~undefined] > 0).sum() <= 8


@pytest.mark.parametrize("scales", [(2.0**-24, 2.0**24, 2.0**-47), (2.0**24, 2.0**-24, 2.0**47), (2.0**-32, 2.0**-32, 0.01), (2.0**32, 2.0**32, 0.01)], ids=str)
def test_extreme_scales_of_quotients(scales):
    shape = (1, 256, 256)
    model = quotient_model((shape, shape), scales=scales)
    inputs = every_pair("i8", "u8")
    _, steps = check(model, inputs, ("edge16",))
    assert steps[~((inputs["a"] == 7) & (inputs["b"] == 0))].max() <= 1
    assert len(np.unique(Reference(model).run(inputs)["y"])) > 100


@pytest.mark.parametrize("seed", range(40))
def test_digits_of_reciprocals(seed):
    """The float32 sums of the five digits, lowest first, are the float32 reciprocals of all divisors exactly, and only 0's overflows."""
    rng = np.random.default_rng(seed)
    dtype = ("i8", "u8")[seed % 2]
    raw = np.arange(256, dtype=np.uint8)
    integers = (raw.view(np.int8) if dtype == "i8" else raw).astype(np.int32)
    zero, scale = int(rng.choice(integers)), float(np.float32(2.0 ** rng.uniform(-32, 32)))
    tables, e = Quotient(1.0, 0, scale, zero, 1.0, 0).digits(dtype)
    digits = [t.astype(np.float32) if i < 3 else t.view(np.int8).astype(np.float32) for i, t in enumerate(tables)]
    total = digits[0]
    for place, digit in enumerate(digits[1:], 1):
        total = (digit * np.float32(2.0 ** (8 * place)) + total).astype(np.float32)
    with np.errstate(divide="ignore", over="ignore"):
        reciprocal = np.float32(1) / ((integers - zero).astype(np.float32) * np.float32(scale))
        raised = total * np.float32(2.0**HEADROOM)
    finite = integers != zero
    np.testing.assert_array_equal(np.ldexp(total[finite].astype(np.float64), -e), reciprocal[finite].astype(np.float64), err_msg=f"seed {seed}")
    assert np.isinf(raised[~finite]).all() and np.isfinite(raised[finite]).all() and (~finite).sum() == 1


@pytest.mark.parametrize("what", ["x / x", "x / abs x", "reshaped"])
def test_quotients_of_one_tensor_are_tables(what):
    """A division, correctly rounded, for every byte; zero over zero is the zero point."""
    names = parameters(x=(0.031, np.int8(4)), v=(0.017, np.int8(-128)), q=(0.011, np.int8(-7)))
    middle = {
        "x / x": [node("Div", "d d", "g")],
        "x / abs x": [node("Abs", "d", "n"), quantize("n", "nq", "v"), dequantize("nq", "e", "v"), node("Div", "d e", "g")],
        "reshaped": [node("Reshape", "d flat", "f"), node("Abs", "f", "n"), quantize("n", "nq", "v"), dequantize("nq", "e", "v"), node("Div", "f e", "g")],
    }[what]
    shape = (256,) if what == "reshaped" else (1, 256)
    constants = names | ({"flat": np.array([256])} if what == "reshaped" else {})
    constants = {name: array for name, array in constants.items() if what != "x / x" or name[-1] != "v"}
    model = model_of([dequantize("x", "d", "x"), *middle, quantize("g", "y", "q")], {"x": (I8, (1, 256))}, {"y": (I8, shape)}, constants)
    inputs = {"x": np.arange(-128, 128).astype(np.int8)[None]}
    graph, steps = check(model, inputs)
    assert [n.op for n in graph.nodes] == ["Unary"]
    assert np.delete(steps.ravel(), 132).max() == 0 and Reference(model).run(inputs)["y"].ravel()[132] == -7


@pytest.mark.parametrize("case", ["sum", "quotient"])
def test_a_machine_without_float_reads_is_told(case):
    text = text_of("tiny").replace("  - {from: acc, to: vector, port: b}\n", "")
    model = sum_model("Sum of three") if case == "sum" else quotient_model()
    with pytest.raises(UnsupportedError) as error:
        compile_network(read_network(model), parse_graph(text, name="tiny.yaml"))
    wanted = "n_g (Sum): no engines of tiny offer ADD + REQUANTIZE" if case == "sum" else "n_g (Quotient): no engines of tiny offer ADD + MUL + TABLE + REQUANTIZE"
    assert str(error.value).splitlines()[-1].strip() == f"{wanted} on memories they share: each is offered, on memories apart"


RTL = {
    "sum": ("tiny", sum_model("a quantised constant")), "mean": ("edge16", sum_model("Mean of three", ((1, 20, 4, 5),) * 5)),
    "broadcast tree": ("tiny", sum_model("tree", ((1, 5, 3, 4), (1, 5, 1, 1), (1, 5, 3, 4), (1, 1, 3, 4), ()))),
    "quotient": ("tiny", quotient_model()), "quotient of many": ("edge16", quotient_model(((3, 40, 5, 5),) * 2, zeros=(7, 128, -3))),
}  # fmt: skip


@pytest.mark.rtl
@pytest.mark.parametrize("case", list(RTL))
def test_on_rtl(case):
    arch, model = RTL[case]
    program = compile_network(read_network(model, name=case), GRAPHS[arch])
    samples = [random_inputs(model, seed) for seed in range(2)]
    report, _ = judge_network(CompiledNetwork(case, GRAPHS[arch], program, model), samples, on="rtl")
    assert report["exact"], f"{report['outputs']} {report['cycles']} {report.get('divergence')}"
    assert report["instructions"] == {"count": len(program.instructions), "timeline_mismatches": 0}
    assert report["cycles"]["measured"] == report["cycles"]["predicted"] > 0
