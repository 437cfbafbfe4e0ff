"""What `covenant quantize` writes, `covenant run` takes, whichever operator stands first or between: the compiler itself says what it needs quantised."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from acg.graph import load_graph
from compiler.front.support import TABLE_FUNCTIONS
from covenant.cli import main
from covenant.errors import UserError
from covenant.networks import CompiledNetwork
from covenant.quantise import draw_calibration, outcome_of, prepared, quantise
from covenant.report import judge_network
from covenant.samples import draw, model_inputs
from tests.support.models import F32, model_of, node
from verif.golden import open_session

TINY = load_graph("tiny")
RNG = np.random.default_rng(11)
IMAGE = (1, 4, 6, 6)
W = (RNG.standard_normal((4, 4, 3, 3)) / 6).astype(np.float32)
CONV = {"pads": [1, 1, 1, 1]}


def model(nodes, constants=None, *, shape=IMAGE, inputs=None):
    """A float network of x (and z), its outputs the values that no node reads."""
    read = {name for item in nodes for name in item.input}
    outputs = {name: (F32, None) for item in nodes for name in item.output if name not in read}
    result = model_of(nodes, {"x": (F32, shape), **(inputs or {})}, outputs, {"w": W, **(constants or {})})
    used = [item for item in result.graph.initializer if item.name in read]
    del result.graph.initializer[:]
    result.graph.initializer.extend(used)
    return result


def quantised(network, *, samples=None, **choices):
    original = prepared(network, name="m")
    samples = samples or draw_calibration(model_inputs(original), seed=3, count=4).samples
    return quantise(original, samples, name="m", **choices)


def require_exact(network, **choices):
    """Quantise, compile, run on the functional simulator; returns the quantised network."""
    made = quantised(network, **choices)
    assert made.unsupported == ()
    result = outcome_of(made, TINY, name="m")
    assert result.runs and result.refusal is None and result.unsupported == ()
    samples = draw(model_inputs(made.model), seed=5, count=2)
    report, _ = judge_network(CompiledNetwork("m", TINY, result.programs[0], made.model), samples, on="iss")
    assert report["exact"] is True, report
    dequantised = {name for item in made.model.graph.node if item.op_type == "DequantizeLinear" for name in item.output}
    assert all(entry["onnxruntime"]["max_abs_diff_steps"] <= 1 for name, entry in report["outputs"].items() if name in dequantised)
    return made.model


def kinds(network):
    return [item.op_type for item in network.graph.node]


#: Nodes from x to t, and their constants.
FIRST = {
    "division": ([node("Div", "x k", "t")], {"k": np.float32(255)}),
    "mean and deviation": ([node("Sub", "x m", "s"), node("Mul", "s f", "t")],
                           {"m": np.float32([0.4, 0.5, 0.1, -1]).reshape(1, 4, 1, 1), "f": np.float32([2, 3, 0.5, 1]).reshape(1, 4, 1, 1)}),
    "AveragePool": ([node("AveragePool", "x", "t", kernel_shape=[2, 2], strides=[2, 2])], {}),
    "GlobalAveragePool": ([node("GlobalAveragePool", "x", "t")], {}),
    "MaxPool": ([node("MaxPool", "x", "t", kernel_shape=[3, 3])], {}),
    "PRelu": ([node("PRelu", "x s", "t")], {"s": np.float32([0.1, 0.25, 0.9, 0]).reshape(4, 1, 1)}),
    "ReduceMean": ([node("ReduceMean", "x", "t", axes=[2, 3])], {}),
    "Resize": ([node("Resize", "x - k", "t", mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")],
               {"k": np.float32([1, 1, 2, 2])}),
    "Transpose": ([node("Transpose", "x", "t", perm=[0, 1, 3, 2])], {}),
    "Softmax": ([node("Softmax", "x", "t", axis=1)], {}),
    "Clip": ([node("Clip", "x l h", "t")], {"l": np.float32(0), "h": np.float32(1)}),
    "Pow": ([node("Pow", "x k", "t")], {"k": np.float32(2)}),
    "normalised": ([node("LpNormalization", "x", "t", axis=1, p=2)], {}),
    "several": ([node("Mul", "x k", "a"), node("Elu", "a", "b"), node("AveragePool", "b", "c", kernel_shape=[2, 2]), node("Tanh", "c", "t")],
                {"k": np.float32(0.3)}),
}


@pytest.mark.parametrize("last", [True, False], ids=["at the end", "before Conv"])
@pytest.mark.parametrize("first", FIRST)
def test_the_first_operator_reads_the_float_input(first, last):
    nodes, constants = FIRST[first]
    require_exact(model([*nodes, *([] if last else [node("Conv", "t w", "y", **CONV)])], constants))


@pytest.mark.parametrize("follower", [
    node("AveragePool", "a", "t", kernel_shape=[2, 2]), node("ReduceMean", "a", "t", axes=[2, 3]), node("GlobalAveragePool", "a", "t"),
    node("Resize", "a - k", "t", mode="linear", coordinate_transformation_mode="half_pixel"), node("Conv", "a w", "t", **CONV),
], ids=lambda item: item.op_type)
@pytest.mark.parametrize("function", ["Elu", "Softplus", "Pow", "Mish", "Erf"])
def test_a_function_that_onnxruntime_leaves_alone_in_front(function, follower):
    """Of the result of a Conv, and the result read by another Conv as well."""
    exponent = {"k2": np.float32(2)} if function == "Pow" else {}
    nodes = [node("Conv", "x w", "c", **CONV), node(function, f"c {' '.join(exponent)}", "a"), follower, node("Conv", "t w", "y", **CONV)]
    network = model(nodes, {"k": np.float32([1, 1, 2, 2]), **exponent})
    network.opset_import[0].version = 18 if function == "Mish" else 17
    if function == "Mish" and follower.op_type == "ReduceMean":
        pytest.skip("axes are no attribute in opset 18")
    require_exact(network)


@pytest.mark.parametrize("follower", [node("GlobalMaxPool", "a", "t"), node("AveragePool", "a", "t", kernel_shape=[2, 2])], ids=lambda item: item.op_type)
def test_every_function_that_the_compiler_knows(follower):
    """Each between the input and a pool, at once; samples from 0.3 to 0.9, where all are numbers. Most averages need no quantisation in front."""
    schemas = {schema.name: schema for schema in onnx.defs.get_all_schemas_with_history() if schema.since_version <= 17 and schema.domain == ""}
    known = [schemas[name] for name in sorted(TABLE_FUNCTIONS) if name in schemas]
    floats = [s.name for s in known if s.min_input == 1 and s.type_constraints and "tensor(float)" in s.type_constraints[0].allowed_type_strs]
    floats = [name for name in floats if name not in ("Acosh", "Cast", "IsInf", "IsNaN", "Not")]
    assert len(floats) > 20
    nodes = [node(name, "x", f"f{name}") for name in floats]
    for name in floats:
        nodes.append(onnx.NodeProto.FromString(follower.SerializeToString()))
        nodes[-1].name, nodes[-1].input[0], nodes[-1].output[0] = f"pool{name}", f"f{name}", f"y{name}"
    samples = [{"x": np.random.default_rng(seed).uniform(0.3, 0.9, IMAGE).astype(np.float32)} for seed in range(3)]
    made = quantised(model(nodes), samples=samples)
    assert made.unsupported == () and outcome_of(made, TINY, name="m").runs
    least, most = (len(floats) // 2, 2 * len(floats) + 1) if follower.op_type == "GlobalMaxPool" else (1, len(floats) // 2)
    assert least < kinds(made.model).count("QuantizeLinear") <= most


def test_only_what_is_missing_is_quantised():
    """A network that onnxruntime quantises whole keeps its bytes; one value more is one pair more."""
    whole = model([node("Conv", "x w", "c", **CONV), node("Relu", "c", "r"), node("Conv", "r w", "y", **CONV)])
    assert kinds(quantised(whole).model).count("QuantizeLinear") == 3
    more = model([node("Div", "x k", "d"), node("Conv", "d w", "c", **CONV), node("Relu", "c", "r"), node("Conv", "r w", "y", **CONV)], {"k": np.float32(255)})
    made = quantised(more).model
    assert kinds(made).count("QuantizeLinear") == 4
    assert next(item.input[0] for item in made.graph.node if item.op_type == "QuantizeLinear") == "x"


def test_a_value_that_is_quantised_for_one_reader_is_so_for_all():
    nodes = [node("AveragePool", "x", "p", kernel_shape=[3, 3], pads=[1, 1, 1, 1]), node("Conv", "x w", "c", **CONV), node("Add", "p c", "y")]
    made = require_exact(model(nodes))
    assert [item.input[0] for item in made.graph.node if item.op_type == "QuantizeLinear"].count("x") == 1


def test_ranges_are_those_of_the_samples():
    """Also for what onnxruntime has not calibrated, by each method; 0 is in every range."""
    x = np.linspace(-3, 5, int(np.prod(IMAGE)), dtype=np.float32).reshape(IMAGE)
    network = model([node("AveragePool", "x", "t", kernel_shape=[2, 2])])
    for activations, zero in (("uint8", 96), ("int8", -32)):
        made = quantised(network, samples=[{"x": x}, {"x": x / 2}], activations=activations).model
        constants = {item.name: numpy_helper.to_array(item) for item in made.graph.initializer}
        first = next(item for item in made.graph.node if item.op_type == "QuantizeLinear")
        assert constants[first.input[1]] == pytest.approx(8 / 255) and constants[first.input[2]] == zero and constants[first.input[2]].dtype == activations
    for method in ("entropy", "percentile"):
        made = quantised(network, samples=[{"x": x}], method=method).model
        constants = {item.name: numpy_helper.to_array(item) for item in made.graph.initializer}
        assert 4 / 255 < constants["x_scale"] <= np.float32(10 / 255)


def test_what_no_engine_does_stays_float_and_what_follows_is_quantised():
    """Hardmax reads x as it is; its result is quantised, so that the pool can run behind the host; it is named once, with its own reason."""
    nodes = [node("Hardmax", "x", "h", axis=1), node("AveragePool", "h", "t", kernel_shape=[2, 2]), node("Elu", "t", "y")]
    made = quantised(model(nodes))
    assert [(entry.node, entry.operator) for entry in made.unsupported] == [("n_h", "Hardmax")]
    assert made.unsupported[0].reason == "The operator must be one of those that the support table lists. Found Hardmax."
    assert kinds(made.model) == ["Hardmax", "QuantizeLinear", "DequantizeLinear", "AveragePool", "Elu"]
    alone, shared = outcome_of(made, TINY, name="m"), outcome_of(made, TINY, name="m", host=True)
    assert not alone.runs and alone.unsupported == made.unsupported
    assert shared.runs and shared.unsupported == made.unsupported and shared.summary()["host_nodes"] >= 1
    assert open_session(made.model).run(None, {"x": np.ones(IMAGE, np.float32)})


def test_values_without_a_range_are_not_quantised():
    """Log of zero: minus infinity has no step."""
    samples = [{"x": np.maximum(np.random.default_rng(1).standard_normal(IMAGE), 0).astype(np.float32)}]
    made = quantised(model([node("Log", "x", "l"), node("AveragePool", "l", "y", kernel_shape=[2, 2])]), samples=samples)
    assert [str(entry) for entry in made.unsupported] == [f"n_y (AveragePool): l is from -inf to {np.log(samples[0]['x'].max()):g} over the samples, and no scale holds that."]
    assert all(np.isfinite(numpy_helper.to_array(item)).all() for item in made.model.graph.initializer)
    with pytest.raises(UserError) as error:  # where onnxruntime would quantise it
        quantised(model([node("Log", "x", "l"), node("Conv", "l w", "y")]), samples=samples)
    assert str(error.value) == (
        f"model m: node n_l (Log): its result is from -inf to {np.log(samples[0]['x'].max()):g} over the samples, and no scale holds that;"
        " expected finite numbers, give other samples or change the node"
    )


def test_the_same_bytes_whatever_the_hash_seed(tmp_path):
    onnx.save(model(FIRST["several"][0] + [node("Elu", "t", "u"), node("Softplus", "t", "v")], FIRST["several"][1]), tmp_path / "m.onnx")
    found = set()
    for seed in ("0", "1"):
        command = [sys.executable, "-m", "covenant", "quantize", "m.onnx", "-o", f"q{seed}.onnx", "--arch", "tiny", "--json", "-"]
        root = str(Path(__file__).resolve().parents[2])
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, env={"PYTHONPATH": root, "PYTHONHASHSEED": seed, "PATH": ""})
        found.add((tmp_path / f"q{seed}.onnx").read_bytes())
    assert len(found) == 1


def test_names_in_use_are_left_alone():
    """Constants of the network that are called as the quantiser would call its own."""
    nodes = [node("Mul", "x x_scale", "t"), node("Elu", "t", "y")]
    made = require_exact(model(nodes, {"x_scale": np.float32(0.5)}))
    names = [item.name for item in made.graph.initializer]
    assert len(set(names)) == len(names)


def test_a_subgraph_that_reads_the_value_is_left_alone():
    inner = helper.make_graph([node("Neg", "x", "n")], "g", [], [helper.make_tensor_value_info("n", F32, IMAGE)])
    other = helper.make_graph([node("Abs", "x", "o")], "g", [], [helper.make_tensor_value_info("o", F32, IMAGE)])
    nodes = [node("ReduceMax", "x", "m", keepdims=0), node("Greater", "m zero", "b"), node("If", "b", "i", then_branch=inner, else_branch=other),
             node("AveragePool", "i", "y", kernel_shape=[2, 2])]
    network = model(nodes, {"zero": np.float32(0)})
    made = quantised(network)
    assert "If" in {entry.operator for entry in made.unsupported}
    x = {"x": np.random.default_rng(0).standard_normal(IMAGE).astype(np.float32)}
    np.testing.assert_allclose(open_session(made.model).run(["y"], x)[0], open_session(network).run(["y"], x)[0], atol=0.2)


def test_the_command_ends_by_compiling(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    onnx.save(model([node("Div", "x k", "d"), node("Conv", "d w", "y", **CONV)], {"k": np.float32(255)}), "m.onnx")
    assert main(["quantize", "m.onnx", "-o", "q.onnx", "--arch", "tiny"]) == 0
    captured = capsys.readouterr()
    assert captured.err == (
        "covenant: warning: no --calibrate: ranges come from 16 samples drawn from seed 0; the network will run, but how well it does on real data"
        " nobody knows: give samples of these\n"
    )
    lines = captured.out.splitlines()
    assert lines[-2] == "q.onnx: uint8 activations, int8 a channel, minmax over 16 drawn samples"
    assert lines[-1].startswith("compiled for tiny: ") and lines[-1].endswith(" cycles predicted")
    assert main(["run", "q.onnx", "--arch", "tiny", "--on", "iss", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["exact"] is True
    first = Path("q.onnx").read_bytes()
    assert main(["quantize", "m.onnx", "-o", "q.onnx", "--arch", "tiny", "--seed", "1", "--limit", "3", "--json", "-"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["samples"], report["drawn"], report["arch"], report["compiled"]["layers"]) == (3, True, "tiny", 2)
    assert Path("q.onnx").read_bytes() != first


def test_nodes_that_stay_are_named_with_what_to_do_and_status_1(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    onnx.save(model([node("Conv", "x w", "c", **CONV), node("Hardmax", "c", "h"), node("Conv", "h w", "y", **CONV)]), "m.onnx")
    assert main(["quantize", "m.onnx", "-o", "q.onnx", "--arch", "tiny"]) == 1
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "NOT compiled for tiny: 1 node that no engine does; change each as it says, or let the host do them (covenant run q.onnx --fallback host):",
        "  n_h (Hardmax): The operator must be one of those that the support table lists. Found Hardmax.",
    ]
    assert main(["run", "q.onnx", "--arch", "tiny", "--on", "iss", "--fallback", "host", "--json", "-"]) == 0
    capsys.readouterr()
    assert main(["quantize", "m.onnx", "-o", "q.onnx", "--arch", "tiny", "--fallback", "host"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-3].startswith("compiled for tiny: 2 segments and ") and lines[-2] == "1 node that no engine does, on the host:"
    onnx.save(model([node("Hardmax", "x", "y")]), "m.onnx")
    assert main(["quantize", "m.onnx", "-o", "q.onnx", "--arch", "tiny", "--fallback", "host"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2] == "NOT compiled for tiny: 1 node that no engine does, and nothing is left that one does; change each as it says:"


def test_a_network_that_does_not_fit_is_status_1(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    onnx.save(model([node("MaxPool", "x", "y", kernel_shape=[200, 200])], shape=(1, 1, 256, 256)), "m.onnx")
    assert main(["quantize", "m.onnx", "-o", "q.onnx", "--arch", "tiny", "--limit", "1"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith("NOT compiled for tiny: node n_y: found no tile that fits the on-chip memories; ") and Path("q.onnx").exists()
