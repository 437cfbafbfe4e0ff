"""Softmax and LayerNormalization over channels: models through the compiler and the functional simulator, against the definition and onnxruntime."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest

from acg.graph import load_graph, parse_graph
from acg.predictor import predict
from compiler.errors import UnsupportedError
from compiler.front.reading.load import prepare_model
from compiler.front.rewrite.restore import restored
from compiler.front.rewrite.templates.catalogue import NORMALISATIONS
from compiler.ir.network import NUMPY_TYPES
from compiler.ir.rowwise import PEAKS, LayerNormalization, Softmax
from compiler.passes import compile_network
from compiler.read_network import read_network
from tests.compiler.ir_reference import run_on_iss
from tests.support.architectures import text_of
from tests.support.models import I8, U8, dequantize, model_of, node, parameters, quantize
from verif.hazards import find_hazards
from verif.random.networks import random_inputs, random_network
from verif.reference import Reference
from verif.reference.evaluate import NORMALISATIONS as RECOGNISERS
from verif.reference.recognise.around import recognised

ONE_STEP_RATE = 0.02  # of elements that may be one step from onnxruntime's float kernels


def softmax_model(shape, *, kind="i8", scale=0.06, zero=None, axis=-1, y_scale=1 / 256, opset=17):
    low, high = (-128, 127) if kind == "i8" else (0, 255)
    number = NUMPY_TYPES[kind]
    nodes = [dequantize("x", "f"), node("Softmax", "f", "g", axis=axis), quantize("g", "y", "q")]
    constants = parameters(**{"": (scale, number((low + high) // 2 + 9 if zero is None else zero)), "q": (y_scale, number(low))})
    kinds = {"i8": I8, "u8": U8}
    return model_of(nodes, {"x": (kinds[kind], shape)}, {"y": (kinds[kind], shape)}, constants, opset=opset)


def layer_model(shape, *, kind="i8", scale=0.03, zero=5, decomposed=False, beta=True, seed=0, opset=17):
    rng = np.random.default_rng(seed)
    number, channels = NUMPY_TYPES[kind], shape[-1]
    constants = {
        "gamma": rng.normal(1, 0.3, channels).astype(np.float32), "beta": rng.normal(0, 0.5, channels).astype(np.float32),
        "epsilon": np.float32(1e-5), "two": np.float32(2), **parameters(**{"": (scale, number(zero)), "q": (8 / 256, number(3))}),
    }
    if decomposed:
        middle = [
            node("ReduceMean", "f", "m", axes=[-1]), node("Sub", "f m", "d"), node("Pow", "d two", "p"), node("ReduceMean", "p", "v", axes=[len(shape) - 1]),
            node("Add", "v epsilon", "e"), node("Sqrt", "e", "r"), node("Div", "d r", "n"), node("Mul", "gamma n", "h"),
        ]
        middle += [node("Add", "h beta", "g")] if beta else [node("Identity", "h", "g")]
    else:
        middle = [node("LayerNormalization", "f gamma beta" if beta else "f gamma", "g", axis=-1)]
    kinds = {"i8": I8, "u8": U8}
    nodes = [dequantize("x", "f"), *middle, quantize("g", "y", "q")]
    used = {name for n in nodes for name in n.input}
    constants = {name: array for name, array in constants.items() if name in used}
    return model_of(nodes, {"x": (kinds[kind], shape)}, {"y": (kinds[kind], shape)}, constants, opset=opset)


def parted_model(shape, *, kind="i8", scale=0.05, zero=-7, seed=0):
    """A layer normalisation as a quantiser leaves it before opset 17: its variance, radicand and quotient are quantised each."""
    rng = np.random.default_rng(seed)
    number, channels = NUMPY_TYPES[kind], shape[-1]
    low = np.iinfo(number).min
    largest = (128 * scale) ** 2
    constants = {
        "gamma": rng.integers(60, 127, channels).astype(np.int8), "beta": rng.integers(-60, 60, channels).astype(np.int8), "two": np.float32(2),
        "epsilon": number(low + 1), **parameters(**{
            "": (scale, number(zero)), "v": (largest / 255, number(low)), "p": (1e-5, number(low)), "q": (8 / 256, number(3)), "g": (0.01, np.int8(0)),
        }),
    }
    nodes = [
        dequantize("x", "f"), dequantize("epsilon", "ef", "p"), dequantize("gamma", "gf", "g"), dequantize("beta", "bf", "g"),
        node("ReduceMean", "f", "m", axes=[-1]), node("Sub", "f m", "d"), node("Pow", "d two", "p"), node("ReduceMean", "p", "v", axes=[-1]),
        quantize("v", "vq", "v"), dequantize("vq", "vf", "v"), node("Add", "vf ef", "e"), quantize("e", "eq", "v"), dequantize("eq", "er", "v"),
        node("Sqrt", "er", "r"), node("Div", "d r", "n"), quantize("n", "nq", "q"), dequantize("nq", "nf", "q"),
        node("Mul", "nf gf", "h"), quantize("h", "hq", "q"), dequantize("hq", "hf", "q"), node("Add", "hf bf", "g"), quantize("g", "y", "q"),
    ]
    kinds = {"i8": I8, "u8": U8}
    return model_of(nodes, {"x": (kinds[kind], shape)}, {"y": (kinds[kind], shape)}, constants, opset=13)


def drawn(model, seed):
    """Rows of very different spread and place, one constant row among them."""
    rng = np.random.default_rng(seed)
    shape, dtype = next(iter(Reference(model).inputs.values()))
    info = np.iinfo(dtype)
    rows = rng.normal(rng.integers(info.min, info.max, (*shape[:-1], 1)), rng.uniform(0.3, 90, (*shape[:-1], 1)), shape)
    rows.reshape(-1, shape[-1])[0] = info.max
    return {"x": np.clip(np.rint(rows), info.min, info.max).astype(dtype)}


def onnxruntime_steps(model, inputs):
    """Outputs of float kernels: no fusion into kernels that compute otherwise."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"]).run(None, inputs)[0]


def check(model, arch, seed=0):
    """Equal to the definition, within a step of onnxruntime, no hazards; returns the cycles predicted and the rate of differences."""
    graph = load_graph(arch) if isinstance(arch, str) else arch
    program = compile_network(read_network(model), graph)
    inputs = drawn(model, seed)
    found, expected = run_on_iss(program, graph, inputs)["y"], Reference(model).run(inputs)["y"]
    np.testing.assert_array_equal(found, expected, err_msg=f"seed {seed}")
    gold = onnxruntime_steps(model, inputs)
    difference = np.abs(found.astype(int) - gold.astype(int))
    assert difference.max() <= 1, f"seed {seed}"
    assert (difference > 0).sum() <= max(1, ONE_STEP_RATE * difference.size), f"seed {seed}"
    timeline = predict(graph, program.instructions)
    assert find_hazards(graph, program.instructions, timeline) == []
    return timeline.total_cycles, float((difference > 0).mean())


@pytest.mark.parametrize("arch", ["tiny", "edge16", "wide"])
@pytest.mark.parametrize("shape", [(1, 2), (1, 10), (9, 16), (5, 17), (33, 64), (2, 100), (7, 128), (2, 1000)], ids=str)
def test_softmax(arch, shape):
    for kind, scale in (("i8", 0.11), ("u8", 0.013)):
        check(softmax_model(shape, kind=kind, scale=scale), arch, seed=shape[1])


@pytest.mark.parametrize("arch", ["tiny", "edge16", "wide"])
@pytest.mark.parametrize("shape", [(1, 2), (4, 10), (9, 16), (5, 17), (33, 64), (2, 100), (64, 128), (2, 1000)], ids=str)
def test_layer_normalization(arch, shape):
    check(layer_model(shape, seed=shape[1]), arch, seed=shape[1])
    check(layer_model(shape, kind="u8", zero=131, scale=0.4, beta=False), arch, seed=shape[1])


@pytest.mark.parametrize("axis,shape", [(1, (1, 12, 3, 5)), (1, (2, 6, 7)), (-2, (2, 3, 5, 4)), (0, (6, 8)), (2, (2, 3, 20))], ids=str)
def test_softmax_along_any_axis(axis, shape):
    model = softmax_model(shape, axis=axis, scale=0.05)
    check(model, "tiny", seed=3)


def test_layer_normalization_of_images_of_tokens():
    check(layer_model((2, 5, 32)), "edge16", seed=1)


@pytest.mark.parametrize("beta", [True, False])
def test_a_decomposed_layer_normalization_is_one_node(beta):
    model = layer_model((6, 20), decomposed=True, beta=beta)
    graph = read_network(model)
    assert [n.op for n in graph.nodes] == ["LayerNormalization"]
    assert isinstance(graph.nodes[0].attrs, LayerNormalization) and bool(graph.nodes[0].attrs.beta.any()) == beta
    check(model, "tiny", seed=2)


@pytest.mark.parametrize("arch", ["tiny", "edge16", "wide"])
@pytest.mark.parametrize("shape", [(1, 2), (9, 16), (2, 5, 17), (20, 64), (2, 300)], ids=str)
def test_layer_normalization_with_quantisations_in_it(arch, shape):
    """Its two parts and the tables and products between them, the radicand's zero included: a constant row divides by the root of nothing."""
    for kind, zero in (("i8", -7), ("u8", 133)):
        model = parted_model(shape, kind=kind, zero=zero, seed=shape[-1])
        assert [n.op for n in read_network(model).nodes] == ["Variance", "CentredQuotient", "Binary", "Binary"]  # epsilon is no step of it
        graph = load_graph(arch)
        program = compile_network(read_network(model), graph)
        inputs = drawn(model, shape[-1])
        found, expected = run_on_iss(program, graph, inputs)["y"], Reference(model).run(inputs)["y"]
        np.testing.assert_array_equal(found, expected)
        inputs = {"x": np.random.default_rng(1).integers(np.iinfo(found.dtype).min, np.iinfo(found.dtype).max + 1, shape).astype(found.dtype)}
        found = run_on_iss(program, graph, inputs)["y"]
        assert np.abs(found.astype(int) - onnxruntime_steps(model, inputs).astype(int)).max() <= 2  # one of the quotient, carried through a product


def test_extremes_of_softmax():
    """All equal, one far above the rest, the widest range."""
    for scale in (1e-6, 0.02, 3.0):
        model = softmax_model((3, 40), scale=scale)
        graph = load_graph("tiny")
        x = np.full((3, 40), -128, np.int8)
        x[1, 17], x[2] = 127, np.linspace(-128, 127, 40).astype(np.int8)
        program = compile_network(read_network(model), graph)
        found = run_on_iss(program, graph, {"x": x})["y"]
        np.testing.assert_array_equal(found, Reference(model).run({"x": x})["y"])
        assert np.abs(found.astype(int) - onnxruntime_steps(model, {"x": x}).astype(int)).max() <= 1


def test_planes_follow_the_bound():
    """A third digit where two could move a result by more than half a step; every table is a base-255 expansion."""
    fine, coarse = Softmax(0.05, 0, 1 / 256, -128), Softmax(0.05, 0, 1 / 1024, -128)
    assert [fine.planes(n) for n in (2, 254, 255, 1000)] == [2, 2, 3, 3]
    assert coarse.planes(64) == 3
    for channels in (10, 1000):
        digits = fine.tables(channels)
        value = sum(d.astype(int) * 255**i for i, d in enumerate(reversed(digits)))
        assert value[255] == PEAKS[len(digits)] and all(d[:255].max() <= 255 for d in digits)
        np.testing.assert_array_equal(value, np.rint(np.exp(0.05 * np.arange(-255, 1)) * PEAKS[len(digits)]))


def test_a_machine_without_float_reads_is_told():
    text = text_of("tiny").replace("  - {from: acc, to: vector, port: b}\n", "")
    with pytest.raises(UnsupportedError) as error:
        compile_network(read_network(softmax_model((1, 10))), parse_graph(text, name="tiny.yaml"))
    assert str(error.value).splitlines()[-1].strip().startswith("n_g (Softmax): no engines of tiny offer")


def test_strips_share_the_engines():
    """Attention of 4 heads and 64 tokens: the vector unit works most of the time."""
    graph = load_graph("edge16")
    program = compile_network(read_network(softmax_model((256, 64))), graph)
    busy = sum(
        int(np.prod([i.fields[f"n_{level}"] for level in range(6)])) for i in program.instructions if graph.engines[i.engine].kind == "vector"
    )
    assert predict(graph, program.instructions).total_cycles < 1.15 * busy


@pytest.mark.parametrize("seed", range(12))
def test_random_networks(seed):
    """Softmax and LayerNormalization among convolutions and products: axes, types and scales drawn. Replay: the seed."""
    arch = ("tiny", "edge16", "wide", "dot16")[seed % 4]
    graph = load_graph(arch)
    model = random_network(seed, size=("tiny", "small")[seed // 4 % 2], ops=("softmax", "layernorm", "conv", "matmul"), form="qdq")
    program = compile_network(read_network(model, name=f"seed {seed}"), graph)
    inputs = random_inputs(model, seed)
    found, expected = run_on_iss(program, graph, inputs), Reference(model).run(inputs)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=f"seed {seed} on {arch}, output {name}")


@pytest.mark.parametrize("change", ["nothing", "epsilon", "exponent", "axis", "other mean", "keepdims", "order"])
def test_what_is_no_layer_normalization_is_left_alone(change):
    """Each departure from the pattern is seen by the compiler and by the reference; without one both restore it."""
    model = layer_model((20, 20), decomposed=True)
    nodes = {n.name: n for n in model.graph.node}
    if change == "epsilon":
        nodes["n_e"].input[1] = "v"
    elif change == "exponent":
        next(i for i in model.graph.initializer if i.name == "two").CopyFrom(onnx.numpy_helper.from_array(np.float32(3), "two"))
    elif change == "axis":
        nodes["n_v"].attribute[0].ints[0] = 0
    elif change == "other mean":
        nodes["n_d"].input[1] = "f"
    elif change == "keepdims":
        nodes["n_m"].attribute.append(onnx.helper.make_attribute("keepdims", 0))
    elif change == "order":
        nodes["n_n"].input[:] = ["r", "d"]
    model, _ = prepare_model(model)
    for changed in (restored(model, NORMALISATIONS), recognised(model, RECOGNISERS)):
        assert any(n.op_type == "LayerNormalization" for n in changed.graph.node) == (change == "nothing")


def test_shared_parts_of_a_layer_normalization_stay():
    """A value between that something else reads, too, is computed; where the quotient is, its scale is no part of the normalisation."""
    model = layer_model((6, 20), decomposed=True)
    model.graph.output.append(onnx.helper.make_tensor_value_info("n", onnx.TensorProto.FLOAT, (6, 20)))
    model, _ = prepare_model(model)
    for changed in (restored(model, NORMALISATIONS), recognised(model, RECOGNISERS)):
        made = next(n for n in changed.graph.node if n.op_type == "LayerNormalization")
        assert list(made.output) == ["n"] and "h" in {o for n in changed.graph.node for o in n.output}


@pytest.mark.parametrize("kind", ["i8", "u8"])
def test_qlinear_softmax(kind):
    """The integer operator is the same node; onnxruntime's kernel rounds otherwise, by a step at most."""
    float_model = softmax_model((5, 30), kind=kind, scale=0.09)
    constants = {i.name: onnx.numpy_helper.to_array(i) for i in float_model.graph.initializer}
    tensors = {"x": ({"i8": I8, "u8": U8}[kind], (5, 30))}
    nodes = [node("QLinearSoftmax", "x s z sq zq", "y", domain="com.microsoft", axis=-1, opset=13)]
    model = model_of(nodes, tensors, {"y": tensors["x"]}, constants)
    inputs = drawn(model, 5)
    graph = load_graph("tiny")
    found = run_on_iss(compile_network(read_network(model), graph), graph, inputs)["y"]
    np.testing.assert_array_equal(found, Reference(model).run(inputs)["y"])
    np.testing.assert_array_equal(found, Reference(float_model).run(inputs)["y"])
    assert np.abs(found.astype(int) - onnxruntime_steps(model, inputs).astype(int)).max() <= 1


def test_a_row_too_long_to_be_summed():
    with pytest.raises(UnsupportedError) as error:
        read_network(softmax_model((1, 40000)))
    assert "n_g (Softmax): The axes that Softmax, LayerNormalization, RMSNormalization and LRN reduce must have at most 32768 elements. Found 40000." in str(error.value)


def test_refusals():
    """Each constraint of LayerNormalization, with its message."""
    def message(model):
        with pytest.raises(UnsupportedError) as error:
            read_network(model)
        (entry,) = [e for e in error.value.entries if e.operator == "LayerNormalization"]
        return entry.reason

    def other(**changes):
        model = layer_model((6, 20))
        layer = next(n for n in model.graph.node if n.op_type == "LayerNormalization")
        for name, value in changes.items():
            if name == "epsilon":
                layer.attribute.append(onnx.helper.make_attribute("epsilon", value))
            elif name == "outputs":
                layer.output.extend(value)
            else:
                array = np.full(20, value, np.float32)
                next(i for i in model.graph.initializer if i.name == name).CopyFrom(onnx.numpy_helper.from_array(array, name))
        return message(model)

    parted = parted_model((6, 20))
    parted.graph.node[next(i for i, n in enumerate(parted.graph.node) if n.op_type == "Sqrt")].input[0] = "ef"
    with pytest.raises(UnsupportedError) as error:
        read_network(parted)
    assert "n_n (Div): An activation operand must come from DequantizeLinear of an 8-bit tensor. Found ef, a dequantised constant." in str(error.value)
    assert other(epsilon=0.0) == (
        "The epsilon of a normalisation must be between 2^-64 and 2^64 times the square of its input's scale. Found 0.0 for an input of scale "
        "0.029999999329447746."
    )
    assert other(gamma=np.inf) == "Scale and bias of a normalisation must be float32 numbers of at most 2^64. Found gamma, which holds inf."
    assert other(outputs=["mean"]) == "LayerNormalization must return its first result only. Found 2 outputs."
