"""GroupNormalization and InstanceNormalization on the machine: bytes against the definition, at most a step from onnxruntime."""

import numpy as np
import onnx
import pytest

from acg.graph import load_graph, parse_graph
from acg.predictor import predict
from compiler.errors import CompilerError, UnsupportedError
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
from verif.reference import Reference
from verif.reference.evaluate import NORMALISATIONS as RECOGNISERS
from verif.reference.recognise.around import recognised

#: Of elements that may be one step from onnxruntime's float kernels.
ONE_STEP_RATE = 0.002


def norm_model(shape, *, groups=None, kind="u8", scale=0.03, zero=130, y_scale=0.03, epsilon=1e-5, beta=True, constants=None):
    """GroupNormalization with `groups`, InstanceNormalization without."""
    rng, number, channels = np.random.default_rng(shape), NUMPY_TYPES[kind], shape[1]
    attributes = {"epsilon": epsilon} | ({} if groups is None else {"num_groups": groups})
    name = "InstanceNormalization" if groups is None else "GroupNormalization"
    nodes = [dequantize("x", "f"), node(name, "f gamma beta", "g", **attributes), quantize("g", "y", "q")]
    held = {
        "gamma": rng.normal(1, 0.3, channels).astype(np.float32), "beta": rng.normal(0, 0.5 if beta else 0, channels).astype(np.float32),
        **parameters(**{"": (scale, number(zero)), "q": (y_scale, number(zero))}), **(constants or {}),
    }
    kinds = {"i8": I8, "u8": U8}
    return model_of(nodes, {"x": (kinds[kind], shape)}, {"y": (kinds[kind], shape)}, held, opset=21)


#: Shape, attributes of the model.
CASES = {
    "two channels": ((1, 2, 2, 2), {}),
    "images": ((3, 7, 3, 3), {"kind": "i8", "zero": -3}),
    "sequence": ((2, 6, 7), {"groups": 2}),
    "small groups": ((1, 16, 3, 4), {"groups": 4, "beta": False}),
    "groups across blocks": ((2, 64, 6, 6), {"groups": 8}),
    "uneven groups": ((1, 100, 2, 2), {"groups": 10, "kind": "i8", "zero": 4}),
    "layer": ((1, 40, 4, 4), {"groups": 1}),
    "strips": ((1, 8, 40, 40), {}),
    "strips of groups": ((1, 32, 20, 20), {"groups": 4}),
}


def judged(model, arch, dtype, *, on="iss", samples=None):
    graph = load_graph(arch)
    program = compile_network(read_network(model), graph)
    assert find_hazards(graph, program.instructions, predict(graph, program.instructions)) == []
    shape = tuple(d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim)
    rng = np.random.default_rng(len(shape))
    samples = samples or [{"x": rng.integers(np.iinfo(dtype).min, np.iinfo(dtype).max + 1, shape).astype(dtype)} for _ in range(2)]
    report, outputs = judge_network(CompiledNetwork("norm", graph, program, model), samples, on=on)
    assert report["exact"], report["outputs"]
    gold = report["outputs"]["y"]["onnxruntime"]
    assert gold["max_abs_diff_steps"] <= 1 and gold["mismatches"] <= max(1, ONE_STEP_RATE * len(samples) * np.prod(shape)), gold
    return outputs


@pytest.mark.parametrize("arch", ["tiny", "edge16", "wide"])
@pytest.mark.parametrize("name", CASES)
def test_groups_and_instances(name, arch):
    shape, settings = CASES[name]
    judged(norm_model(shape, **settings), arch, NUMPY_TYPES[settings.get("kind", "u8")])


@pytest.mark.rtl
@pytest.mark.parametrize("name", ["images", "small groups"])
def test_on_rtl(name):
    shape, settings = CASES[name]
    judged(norm_model(shape, **settings), "tiny", NUMPY_TYPES[settings.get("kind", "u8")], on="rtl")


def test_a_constant_channel_is_its_bias():
    """No variance: the distance from the mean is nothing, whatever it is divided by."""
    model = norm_model((1, 6, 5, 5), y_scale=0.02)
    x = np.random.default_rng(0).integers(0, 256, (1, 6, 5, 5)).astype(np.uint8)
    x[0, 2], x[0, 4] = 0, 255
    (found,) = judged(model, "tiny", np.uint8, samples=[{"x": x}])
    beta = np.random.default_rng((1, 6, 5, 5))
    beta.normal(1, 0.3, 6)
    expected = np.rint(beta.normal(0, 0.5, 6).astype(np.float32) / np.float32(0.02)) + 130
    assert (found["y"][0, 2] == expected[2]).all() and (found["y"][0, 4] == expected[4]).all()


def exported(*, steps):
    """A GroupNormalization as torch exports it, `steps` of it quantised each as quantize_static does."""
    rng = np.random.default_rng(7)
    nodes = [
        dequantize("x", "f"), node("Reshape", "f split", "r"), node("InstanceNormalization", "r ones zeros", "i", epsilon=1e-5),
        *([quantize("i", "iq", "n"), dequantize("iq", "id", "n")] if steps else []),
        node("Reshape", "id joined" if steps else "i joined", "g"), quantize("g", "y", "n"),
    ]
    constants = {
        "split": np.array([0, 3, -1]), "joined": np.array([2, 12, 5, 4]), "ones": rng.normal(1, 0.2, 3).astype(np.float32),
        "zeros": rng.normal(0, 0.2, 3).astype(np.float32), **parameters(**{"": (0.04, np.int8(-5)), "n": (0.03, np.int8(2))}),
    }
    return model_of(nodes, {"x": (I8, (2, 12, 5, 4))}, {"y": (I8, (2, 12, 5, 4))}, constants)


@pytest.mark.parametrize("steps", [True, False])
@pytest.mark.parametrize("arch", ["tiny", "edge16"])
def test_between_reshapes_the_tensor_is_normalised_as_it_lies(arch, steps):
    model = exported(steps=steps)
    assert [(n.op, n.attrs.groups) for n in read_network(model).nodes] == [("GroupNormalization", 3)]
    judged(model, arch, np.int8)


@pytest.mark.parametrize("shape", [(1, 8, 4, 8), (1, 4, 64), (2, 4, 4, 8)], ids=str)
def test_behind_a_reshape_that_changes_the_channels(shape):
    """Channels that are no whole ones of the tensor as it lies are moved first."""
    rng, channels = np.random.default_rng(3), shape[1]
    nodes = [
        dequantize("x", "f"), node("Reshape", "f shape", "r"), node("GroupNormalization", "r gamma beta", "g", num_groups=2), quantize("g", "y", "n"),
    ]
    constants = {
        "shape": np.array(shape), "gamma": rng.normal(1, 0.3, channels).astype(np.float32), "beta": rng.normal(0, 0.5, channels).astype(np.float32),
        **parameters(**{"": (0.04, np.int8(-5)), "n": (0.03, np.int8(2))}),
    }
    judged(model_of(nodes, {"x": (I8, (1, 4, 8, 8))}, {"y": (I8, shape)}, constants, opset=21), "tiny", np.int8)


def spelled_out(change=""):
    """A GroupNormalization with a scale and a bias of its own as torch exports it, none of it quantised."""
    rng = np.random.default_rng(8)
    nodes = [
        dequantize("x", "f"), node("Reshape", "f split", "r"), node("InstanceNormalization", "r scale bias", "i", epsilon=1e-5),
        node("Reshape", "i joined", "j"), node("Mul", "j gamma", "m"), node("Add", "beta m", "g"), quantize("g", "y", "n"),
    ]
    constants = {
        "split": np.array([0, 3, -1]), "joined": np.array([2, 12, 5, 4]), "scale": rng.normal(1, 0.2, 3).astype(np.float32),
        "bias": rng.normal(0, 0.2, 3).astype(np.float32), "gamma": rng.normal(1, 0.3, (12, 1, 1)).astype(np.float32),
        "beta": rng.normal(0, 0.5, (1, 12, 1, 1)).astype(np.float32), **parameters(**{"": (0.04, np.int8(-5)), "n": (0.03, np.int8(2))}),
    }
    if change == "a scale a column":
        constants["gamma"] = rng.normal(1, 0.3, 4).astype(np.float32)
    elif change == "other channels":
        constants |= {"joined": np.array([2, 5, 12, 4]), "gamma": constants["gamma"][:5], "beta": constants["beta"][:, :5]}
    elif change == "two readers":
        nodes[-2] = node("Add", "j m", "g")
        del constants["beta"]
    shape = tuple(constants["joined"].tolist())
    return model_of(nodes, {"x": (I8, (2, 12, 5, 4))}, {"y": (I8, shape)}, constants)


@pytest.mark.parametrize("arch", ["tiny", "edge16"])
def test_spelled_out_it_is_one_node(arch):
    model = spelled_out()
    ((op, attrs),) = [(n.op, n.attrs) for n in read_network(model).nodes]
    constants = {i.name: onnx.numpy_helper.to_array(i).astype(np.float64) for i in model.graph.initializer}
    assert (op, attrs.groups) == ("GroupNormalization", 3)
    np.testing.assert_array_equal(attrs.gamma, (constants["gamma"].reshape(3, 4) * constants["scale"][:, None]).reshape(-1).astype(np.float32))
    judged(model, arch, np.int8)


@pytest.mark.parametrize("change", ["", "a scale a column", "other channels", "two readers"])
def test_what_is_none_is_left_alone(change):
    """Each departure from the pattern is seen by the compiler and by the reference; without one both restore it."""
    model, _ = prepare_model(spelled_out(change))
    for changed in (restored(model, NORMALISATIONS), recognised(model, RECOGNISERS)):
        assert any(n.op_type == "GroupNormalization" for n in changed.graph.node) == (not change)


def test_the_definition_is_that_of_onnx():
    """Against the formula in double precision: no byte of these differs."""
    model = norm_model((2, 12, 4, 4), groups=3)
    x = np.random.default_rng(1).integers(0, 256, (2, 12, 4, 4)).astype(np.uint8)
    real = ((x.astype(np.float64) - 130) * np.float32(0.03)).reshape(2, 3, -1)
    normal = ((real - real.mean(-1, keepdims=True)) / np.sqrt(real.var(-1, keepdims=True) + 1e-5)).reshape(x.shape)
    rng = np.random.default_rng((2, 12, 4, 4))
    gamma, beta = (rng.normal(*m, 12).astype(np.float32).reshape(12, 1, 1) for m in ((1, 0.3), (0, 0.5)))
    expected = np.clip(np.rint((normal * gamma + beta) / np.float32(0.03)) + 130, 0, 255)
    np.testing.assert_array_equal(Reference(model).run({"x": x})["y"], expected)


REFUSED = {
    "What a GroupNormalization or InstanceNormalization averages must be at most 65536 numbers: 255 times as many are an exact float32. Found 66049.":
        ((1, 2, 257, 257), {}),
    "The epsilon of a normalisation must be between 2^-64 and 2^64 times the square of its input's scale. Found 0.0 for an input of scale "
    "0.029999999329447746.": ((1, 8, 2, 2), {"epsilon": 0.0}),
    "Scale and bias of a normalisation must be float32 numbers of at most 2^64. Found beta, which holds nan.":
        ((1, 8, 2, 2), {"constants": {"beta": np.full(8, np.nan, np.float32)}}),
}


@pytest.mark.parametrize("message", REFUSED)
def test_refusals(message):
    shape, settings = REFUSED[message]
    with pytest.raises(UnsupportedError) as error:
        read_network(norm_model(shape, **settings))
    assert [entry.reason for entry in error.value.entries] == [message]


def test_a_machine_without_roots_is_told():
    text = text_of("tiny").replace("      - (f32,4)=RSQRT_ESTIMATE((f32,4))\n", "")
    with pytest.raises(UnsupportedError) as error:
        compile_network(read_network(norm_model((1, 8, 2, 2))), parse_graph(text, name="tiny.yaml"))
    assert str(error.value).splitlines()[-1].strip() == (
        "n_g (GroupNormalization): no engines of tiny offer ADD + MAC + MAX + MUL + RSQRT_ESTIMATE + SUM + TABLE + REQUANTIZE on memories they share: "
        "no engine offers RSQRT_ESTIMATE"
    )


def test_a_machine_that_is_too_small_is_told():
    text = text_of("tiny").replace("lanes: 4, banks: 2, depth_words: 128", "lanes: 4, banks: 2, depth_words: 8")
    with pytest.raises(CompilerError) as error:
        compile_network(read_network(norm_model((1, 8, 8, 8), groups=2)), parse_graph(text, name="tiny.yaml"))
    assert str(error.value) == (
        "node n_g: found no strip that fits the on-chip memories; expected room for the intermediate values of one pixel of 8 channels; "
        "use an architecture with larger memories"
    )
