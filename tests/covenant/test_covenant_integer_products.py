"""ConvInteger and MatMulInteger, Cast, Mul by static scales, Add of a bias: what remains of dynamic quantisation whose scales have become constants.

The sums are exact, the scales' float32 product over the result's scale rounds once: bytes equal the definition, onnxruntime a step at most."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.errors import UnsupportedError
from compiler.passes import compile_network
from compiler.read_network import read_network
from covenant.networks import CompiledNetwork
from covenant.report import judge_network
from covenant.samples import draw, model_inputs
from tests.support.models import F32, I32, U8, model_of, node, quantize
from tests.support.products import TINY, check
from verif.golden import Golden
from verif.random.networks import random_inputs
from verif.reference import Reference

CHANNELS = 6


def chain(op, shape, scales, *, bias=None, activation=None, zeros="zx", w_zero=None, x_quantised=True, computed=None, alone=False, **attributes):
    """x (through QuantizeLinear of f where `x_quantised`) -> `op` -> Cast -> Mul by each of `scales` -> [Add] -> [activation] -> y.

    scales: 'one', 'channel', or 'product', of two constants that a Mul of their own multiplies. computed: shape of a second input in place of weights.
    """
    rng = np.random.default_rng(len(shape) + len(scales))
    conv = op == "ConvInteger"
    w = (CHANNELS, shape[1] // attributes.get("group", 1), 3, 3) if conv else (shape[-1], CHANNELS)
    tail = (CHANNELS, 1, 1) if conv else (CHANNELS,)
    constants = {"sx": np.float32(0.02), "zx": np.uint8(117), "sy": np.float32(0.08), "zy": np.uint8(120), "w": rng.integers(-128, 128, w, np.int8)}
    inputs = {"f": (F32, shape)} if x_quantised else {"x": (U8, shape)}
    nodes = [quantize("f", "x", "x")] if x_quantised else []
    if computed:
        del constants["w"]
        inputs["w"] = (U8, computed)
    if w_zero is not None:
        constants["zw"] = np.asarray(w_zero, np.uint8 if computed else np.int8)
        zeros += " zw"
    nodes += [node(op, f"x w {zeros}", "acc", **attributes), node("Cast", "acc", "t", to=1)]
    each = 2e-4 ** (1 / max(1, len(scales)))
    for number, kind in enumerate(scales):
        values = np.float32(each) if kind == "one" else (rng.uniform(0.5, 1.5, tail) * each).astype(np.float32)
        constants[f"k{number}"] = values
        if kind == "product":
            constants |= {f"k{number}": np.float32(0.25), f"m{number}": (values * 4).astype(np.float32)}
            nodes.append(node("Mul", f"k{number} m{number}", f"km{number}"))
        nodes.append(node("Mul", f"{'t' if number == 0 else f't{number - 1}'} {'km' if kind == 'product' else 'k'}{number}", f"t{number}"))
    last = f"t{len(scales) - 1}" if scales else "t"
    if bias is not None:
        constants["b"] = rng.normal(0, 0.5, bias).astype(np.float32)
        nodes.append(node("Add", f"{last} b", "biased"))
        last = "biased"
    if activation:
        nodes.append(node(activation, last, "a"))
        last = "a"
    nodes.append(node("Identity", "acc", "sums") if alone else quantize(last, "y", "y"))
    nodes += [quantize(last, "y", "y")] if alone else []
    outputs = {"y": (U8, [f"o{i}" for i in range(len(shape))])} | ({"sums": (I32, [f"s{i}" for i in range(len(shape))])} if alone else {})
    used = {name for item in nodes for name in item.input}
    return model_of(nodes, inputs, outputs, {name: value for name, value in constants.items() if name in used})


@pytest.mark.parametrize(("shape", "scales", "options"), [
    ((5, 16), ["one"], {}), ((5, 16), ["channel"], {"bias": (6,)}), ((5, 16), ["product"], {"bias": (1, 6), "activation": "Relu"}),
    ((2, 3, 16), ["product"], {"bias": (6,), "activation": "Relu"}), ((2, 3, 16), ["one", "channel"], {"bias": (1, 1, 6)}),
    ((2, 3, 16), ["channel", "one"], {}), ((5, 16), ["one", "one"], {"bias": ()}), ((5, 16), ["one"], {"w_zero": 3}),
    ((5, 16), ["product"], {"w_zero": [1, 2, -3, 4, 50, -60]}), ((5, 16), ["one"], {"x_quantised": False}), ((5, 16), ["one"], {"zeros": "-"}),
    ((5, 16), ["one"], {"x_quantised": False, "computed": (16, 6), "w_zero": 100}), ((2, 3, 4), ["one", "one"], {"computed": (2, 4, 6), "w_zero": 9}),
])  # fmt: skip
def test_matrices(shape, scales, options):
    check(chain("MatMulInteger", shape, scales, **options), iss=len(shape) == 2)


@pytest.mark.parametrize(("shape", "scales", "options"), [
    ((1, 3, 6, 6), ["one"], {}), ((1, 3, 6, 6), ["product"], {"bias": (1, 6, 1, 1), "activation": "Relu", "pads": [1] * 4}),
    ((1, 3, 6, 6), ["channel"], {"bias": (6, 1, 1), "strides": [2, 2]}), ((1, 6, 6, 6), ["product"], {"bias": (1, 6, 1, 1), "group": 6}),
    ((2, 4, 5, 5), ["one", "channel"], {"w_zero": -7, "group": 2}),
])  # fmt: skip
def test_convolutions(shape, scales, options):
    check(chain("ConvInteger", shape, scales, **options))


def test_one_node_and_no_sums_in_memory():
    """The int32 result is stored where the network asks for it, and only there."""
    model = chain("MatMulInteger", (5, 16), ["product"], bias=(6,))
    assert [n.op for n in read_network(model).nodes] == ["Conv"]
    both = chain("MatMulInteger", (5, 16), ["product"], bias=(6,), alone=True)
    graph, inputs = read_network(both), random_inputs(both, 3)
    assert [n.op for n in graph.nodes] == ["Conv", "Conv"]
    report, outputs = judge_network(CompiledNetwork("m", TINY, compile_network(graph, TINY), both), [inputs], on="iss")
    assert report["exact"]
    golden, defined = Golden(both).run(inputs), Reference(both).run(inputs)
    assert outputs[0]["sums"].dtype == np.int32
    for name in ("sums", "y"):
        np.testing.assert_array_equal(defined[name], golden[name])


def test_sums_go_on_as_numbers_of_one_alone():
    model = chain("MatMulInteger", (5, 16), [])
    del model.graph.node[-2:]
    model.graph.node.extend([node("Cast", "acc", "t", to=onnx_double()), node("Cast", "t", "c", to=1), quantize("c", "y", "y")])
    with pytest.raises(UnsupportedError) as error:
        read_network(model, name="m")
    assert str(error.value).endswith(
        "n_t (Cast): Cast must make float32 numbers of float32 numbers, of an 8-bit tensor or of the sums of an Integer operator, bool of an 8-bit tensor or of"
        " a function of one, or leave the type as it is. Found acc, an integer tensor of type i32, to double."
    )


def onnx_double():
    """ONNX's number of float64."""
    return 11


@pytest.mark.rtl
def test_on_the_rtl_of_tiny():
    model = chain("ConvInteger", (1, 3, 6, 6), ["product"], bias=(1, 6, 1, 1), activation="Relu", pads=[1] * 4, w_zero=[1, 2, -3, 4, 50, -60])
    program = compile_network(read_network(model), TINY)
    report, _ = judge_network(CompiledNetwork("m", TINY, program, model), draw(model_inputs(model), seed=1, count=2), on="rtl")
    assert report["exact"] and report["instructions"] == {"count": len(program.instructions), "timeline_mismatches": 0}
