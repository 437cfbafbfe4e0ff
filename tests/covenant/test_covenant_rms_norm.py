"""RMSNormalization on the machine, as an operator, spelled out, and with quantisations in it: bytes against the definition, at most a step from
onnxruntime."""

import numpy as np
import onnx
import pytest

from acg.graph import load_graph, parse_graph
from acg.predictor import predict
from compiler.errors import UnsupportedError
from compiler.front.reading.load import prepare_model
from compiler.front.rewrite.restore import restored
from compiler.front.rewrite.templates.catalogue import NORMALISATIONS
from compiler.ir.network import NUMPY_TYPES
from compiler.passes import compile_network
from compiler.read_network import read_network
from covenant.networks import CompiledNetwork
from covenant.report import judge_network
from tests.support.architectures import text_of
from tests.support.models import I8, U8, dequantize, model_of, node, parameters, quantize
from verif.hazards import find_hazards
from verif.reference.evaluate import NORMALISATIONS as RECOGNISERS
from verif.reference.recognise.around import recognised

#: Of elements that may be one step from onnxruntime's float kernels.
ONE_STEP_RATE = 0.002
#: How x is divided by the root of its mean square.
FORMS = {
    "quotient": [node("Mul", "f f", "p"), node("Div", "f r", "n")],
    "reciprocal": [node("Pow", "f two", "p"), node("Reciprocal", "r", "i"), node("Mul", "f i", "n")],
    "one over": [node("Pow", "f two", "p"), node("Div", "one r", "i"), node("Mul", "i f", "n")],
}


def rms_model(shape, form="quotient", *, kind="i8", scale=0.03, zero=5, y_scale=8 / 256, epsilon=1e-6, gamma=True, axes=(-1,), opset=17, constants=None):
    rng, number = np.random.default_rng(shape), NUMPY_TYPES[kind]
    held = {
        "gamma": rng.normal(1, 0.3, shape[min(axes) :]).astype(np.float32), "epsilon": np.float32(epsilon), "two": np.float32(2), "one": np.float32(1),
        **parameters(**{"": (scale, number(zero)), "q": (y_scale, number(3))}), **(constants or {}),
    }
    if form == "operator":
        middle, opset = [node("RMSNormalization", "f gamma", "g", axis=min(axes), epsilon=epsilon)], 23
    else:
        square, *quotient = FORMS[form]
        mean = [node("ReduceMean", "p", "v", axes=list(axes)), node("Add", "epsilon v", "e"), node("Sqrt", "e", "r")]
        middle = [square, *mean, *quotient, node("Mul", "gamma n", "g") if gamma else node("Identity", "n", "g")]
    nodes = [dequantize("x", "f"), *middle, quantize("g", "y", "q")]
    used = {name for n in nodes for name in n.input}
    kinds = {"i8": I8, "u8": U8}
    held = {name: array for name, array in held.items() if name in used}
    return model_of(nodes, {"x": (kinds[kind], shape)}, {"y": (kinds[kind], shape)}, held, opset=opset)


def parted_model(shape, form):
    """As quantize_static leaves it: the mean square, the radicand and what x is divided by are quantised each."""
    rng = np.random.default_rng(shape)
    nodes = [dequantize("x", "f")]
    if form == "reciprocal":
        nodes += [node("Pow", "f two", "p"), node("ReduceMean", "p", "v", axes=[-1])]
    else:
        nodes += [node("Mul", "f f", "p"), quantize("p", "pq", "v"), dequantize("pq", "pf", "v"), node("ReduceMean", "pf", "v", axes=[-1])]
    nodes += [quantize("v", "vq", "v"), dequantize("vq", "vf", "v"), node("Add", "vf epsilon", "e"), quantize("e", "eq", "v"), dequantize("eq", "ef", "v")]
    if form == "reciprocal":
        nodes += [node("Sqrt", "ef", "r"), node("Reciprocal", "r", "i"), quantize("i", "iq", "i"), dequantize("iq", "if", "i"), node("Mul", "f if", "n")]
    else:
        nodes += [node("Sqrt", "ef", "r"), node("Div", "f r", "n")]
    nodes += [quantize("n", "nq", "q"), dequantize("nq", "nf", "q"), node("Mul", "nf gamma", "g"), quantize("g", "y", "q")]
    constants = {
        "gamma": rng.normal(1, 0.3, shape[-1]).astype(np.float32), "two": np.float32(2), "epsilon": np.float32(0.01),
        **parameters(**{"": (0.03, np.int8(5)), "v": (0.02, np.int8(-128)), "i": (0.01, np.int8(-128)), "q": (8 / 256, np.int8(3))}),
    }
    used = {name for n in nodes for name in n.input}
    constants = {name: array for name, array in constants.items() if name in used}
    return model_of(nodes, {"x": (I8, shape)}, {"y": (I8, shape)}, constants, opset=17)


def judged(model, arch, dtype=np.int8, *, on="iss", most=1):
    graph = load_graph(arch)
    program = compile_network(read_network(model), graph)
    assert find_hazards(graph, program.instructions, predict(graph, program.instructions)) == []
    shape = tuple(d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim)
    rng = np.random.default_rng(len(shape))
    samples = [{"x": rng.integers(np.iinfo(dtype).min, np.iinfo(dtype).max + 1, shape).astype(dtype)} for _ in range(2)]
    report, _ = judge_network(CompiledNetwork("rms", graph, program, model), samples, on=on)
    assert report["exact"], report["outputs"]
    gold = report["outputs"]["y"]["onnxruntime"]
    assert gold["max_abs_diff_steps"] <= most and gold["mismatches"] <= max(1, ONE_STEP_RATE * 2 * np.prod(shape)), gold


@pytest.mark.parametrize("arch", ["tiny", "edge16", "wide"])
@pytest.mark.parametrize("shape", [(1, 2), (9, 16), (2, 5, 17), (3, 130), (2, 1000)], ids=str)
def test_rows(shape, arch):
    judged(rms_model(shape), arch)
    judged(rms_model(shape, kind="u8", zero=131, gamma=False), arch, np.uint8)


@pytest.mark.parametrize("form", [*FORMS, "operator"])
def test_each_way_to_write_it_is_one_node(form):
    model = rms_model((4, 24), form)
    assert [n.op for n in read_network(model).nodes] == ["RMSNormalization"]
    judged(model, "tiny")


@pytest.mark.parametrize("form", ["quotient", "operator"])
def test_over_several_axes(form):
    model = rms_model((2, 3, 4, 5), form, axes=(-2, -1))
    assert [n.attrs.gamma.shape for n in read_network(model).nodes if n.op == "RMSNormalization"] == [(20,)]
    judged(model, "tiny")


@pytest.mark.parametrize("arch", ["tiny", "edge16"])
@pytest.mark.parametrize(("form", "part"), [("reciprocal", "MeanSquare"), ("quotient", "RootQuotient")])
def test_with_quantisations_in_it(form, part, arch):
    model = parted_model((2, 5, 24), form)
    ops = [n.op for n in read_network(model).nodes]
    assert part in ops and "RMSNormalization" not in ops
    judged(model, arch)


@pytest.mark.rtl
def test_on_rtl():
    judged(rms_model((5, 20)), "tiny", on="rtl")
    judged(parted_model((1, 3, 10), "reciprocal"), "tiny", on="rtl")
    judged(parted_model((1, 3, 10), "quotient"), "tiny", on="rtl")


@pytest.mark.parametrize("change", ["nothing", "epsilon", "exponent", "axis", "other operand", "keepdims", "order"])
def test_what_is_none_is_left_alone(change):
    """Each departure from the pattern is seen by the compiler and by the reference; without one both restore it."""
    model = rms_model((20, 20, 20), "reciprocal" if change == "exponent" else "quotient")
    nodes = {n.name: n for n in model.graph.node}
    if change == "epsilon":
        nodes["n_e"].input[0] = "v"
    elif change == "exponent":
        next(i for i in model.graph.initializer if i.name == "two").CopyFrom(onnx.numpy_helper.from_array(np.float32(3), "two"))
    elif change == "axis":
        nodes["n_v"].attribute[0].ints[:] = [0, 2]
    elif change == "other operand":
        nodes["n_n"].input[0] = "p"
    elif change == "keepdims":
        nodes["n_v"].attribute.append(onnx.helper.make_attribute("keepdims", 0))
    elif change == "order":
        nodes["n_n"].input[:] = ["r", "f"]
    model, _ = prepare_model(model)
    for changed in (restored(model, NORMALISATIONS), recognised(model, RECOGNISERS)):
        assert any(n.op_type == "RMSNormalization" for n in changed.graph.node) == (change == "nothing")


def test_shared_parts_stay():
    """A value between that something else reads, too, is computed; where the quotient is, its scale is no part of the normalisation."""
    model = rms_model((6, 20))
    model.graph.output.append(onnx.helper.make_tensor_value_info("n", onnx.TensorProto.FLOAT, (6, 20)))
    model, _ = prepare_model(model)
    for changed in (restored(model, NORMALISATIONS), recognised(model, RECOGNISERS)):
        made = next(n for n in changed.graph.node if n.op_type == "RMSNormalization")
        assert list(made.output) == ["n"] and "g" in {o for n in changed.graph.node for o in n.output}


REFUSED = {
    "The axes that Softmax, LayerNormalization, RMSNormalization and LRN reduce must have at most 32768 elements. Found 40000.": ((1, 40000), {}),
    "The epsilon of a normalisation must be between 2^-64 and 2^64 times the square of its input's scale. Found 0.0 for an input of scale "
    "0.029999999329447746.": ((2, 8), {"epsilon": 0.0}),
    "Scale and bias of a normalisation must be float32 numbers of at most 2^64. Found gamma, which holds inf.":
        ((2, 8), {"constants": {"gamma": np.full(8, np.inf, np.float32)}}),
}


@pytest.mark.parametrize("message", REFUSED)
def test_refusals(message):
    shape, settings = REFUSED[message]
    with pytest.raises(UnsupportedError) as error:
        read_network(rms_model(shape, **settings))
    assert [entry.reason for entry in error.value.entries] == [message]


def test_a_machine_without_roots_is_told():
    text = text_of("tiny").replace("      - (f32,4)=RSQRT_ESTIMATE((f32,4))\n", "")
    with pytest.raises(UnsupportedError) as error:
        compile_network(read_network(rms_model((2, 8))), parse_graph(text, name="tiny.yaml"))
    assert str(error.value).splitlines()[-1].strip() == (
        "n_n (RMSNormalization): no engines of tiny offer ADD + MAC + MATMUL + MUL + RSQRT_ESTIMATE + SUM + TABLE + REQUANTIZE on memories they share: "
        "no engine offers RSQRT_ESTIMATE"
    )
