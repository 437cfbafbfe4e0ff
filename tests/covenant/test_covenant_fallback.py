"""``--fallback host``: cut at 8-bit tensors, what no engine can do on onnxruntime, judged segment by segment and as a whole."""

import json
import os
import resource
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from acg.graph import ARCHITECTURES, load_graph
from compiler.loader import parse_program
from covenant.cli import main
from covenant.errors import UserError
from covenant.fallback import make_plan, run_plan
from covenant.fallback.partition import NOTHING_TO_COMPUTE
from covenant.fallback.prepare import prepare
from covenant.samples import draw, model_inputs
from tests.support.models import F32, dequantize, model_of, node, parameters, quantize
from verif.golden import Golden
from verif.random.networks import random_inputs, random_network

I64 = TensorProto.INT64
TINY = load_graph("tiny")
P = parameters(x=(0.1, 3), y=(0.05, 7), w=(0.02, np.int8(0)))
WEIGHTS = np.random.default_rng(0).integers(-50, 50, (4, 4, 3, 3), np.int8)
CONSTANTS = {**P, "w": WEIGHTS, "axes": np.int64([1]), "half": np.float32(0.5), "mean": np.ones((1, 4, 1, 1), np.float32), "k": np.int64([2]), "first": np.int64(0)}
NOT_LISTED = "The operator must be one of those that the support table lists. Found"


def conv(x, y):
    """x and y quantised."""
    return [dequantize(x, f"{y}_d", "x"), dequantize("w", f"{y}_w", "w"), node("Conv", f"{y}_d {y}_w", f"{y}_c", pads=[1, 1, 1, 1]), quantize(f"{y}_c", y, "x")]


def untouched(x, y):
    """An operator that no engine has, and that changes nothing here: running sums over batches of one."""
    return node("CumSum", f"{x} first", y)


def head():
    """Float arithmetic before the first QuantizeLinear."""
    nodes = [node("Sub", "x mean", "a"), untouched("a", "b"), quantize("b", "q", "x"), *conv("q", "r"), dequantize("r", "y", "x")]
    return model_of(nodes, {"x": (F32, (1, 4, 4, 4))}, {"y": (F32, (1, 4, 4, 4))}, CONSTANTS)


def tail():
    """Two convolutions, then an ArgMin over channels."""
    nodes = [quantize("x", "q", "x"), *conv("q", "r"), *conv("r", "s"), dequantize("s", "t", "x"), node("ArgMin", "t", "y", axis=1, keepdims=0)]
    return model_of(nodes, {"x": (F32, (1, 4, 4, 4))}, {"y": (I64, (1, 4, 4))}, CONSTANTS)


def middle():
    """A TopK between two convolutions; its result is quantised anew."""
    topk = helper.make_node("TopK", ["t", "k"], ["u", "indices"], name="n_u", axis=3)
    nodes = [quantize("x", "q", "x"), *conv("q", "r"), dequantize("r", "t", "x"), topk, quantize("u", "v", "x"), *conv("v", "s"), dequantize("s", "y", "x")]
    return model_of(nodes, {"x": (F32, (1, 4, 4, 4))}, {"y": (F32, (1, 4, 4, 2))}, CONSTANTS)


def boxes():
    """NonMaxSuppression on what two quantised branches give: a result whose shape depends on the data."""
    nodes = [quantize("x", "q", "x"), *conv("q", "r"), dequantize("r", "t", "x"), node("Reshape", "t to_boxes", "boxes"),
             *conv("q", "s"), dequantize("s", "u", "x"), node("Reshape", "u to_scores", "scores"), node("NonMaxSuppression", "boxes scores most", "y")]
    constants = {**CONSTANTS, "to_boxes": np.int64([1, 16, 4]), "to_scores": np.int64([1, 4, 16]), "most": np.int64([3])}
    return model_of(nodes, {"x": (F32, (1, 4, 4, 4))}, {"y": (I64, (None, 3))}, constants)


def shared():
    """One DequantizeLinear with a reader on each side."""
    nodes = [quantize("x", "q", "x"), *conv("q", "r"), dequantize("r", "t", "x"), node("ArgMin", "t", "i", axis=1),
             node("MaxPool", "t", "m", kernel_shape=[2, 2]), quantize("m", "n", "x"), dequantize("n", "y", "x")]
    return model_of(nodes, {"x": (F32, (1, 4, 4, 4))}, {"i": (I64, (1, 1, 4, 4)), "y": (F32, (1, 4, 3, 3))}, CONSTANTS)


def detour():
    """A float value beside a quantised detour: both ends belong together, or each would wait for the other."""
    nodes = [quantize("x", "q", "x"), *conv("q", "o"), dequantize("o", "d", "x"), untouched("d", "f"), quantize("f", "r", "x"),
             *conv("r", "s"), dequantize("s", "t", "x"), node("Add", "f t", "g"), quantize("g", "h", "y"), *conv("h", "v"), dequantize("v", "y", "x")]
    return model_of(nodes, {"x": (F32, (1, 4, 4, 4))}, {"y": (F32, (1, 4, 4, 4))}, CONSTANTS)


def branch():
    """An If whose branches capture a value; Dropout and a computed shape on the way."""
    then = helper.make_graph([helper.make_node("Relu", ["t"], ["a"])], "then", [], [helper.make_tensor_value_info("a", F32, (1, 4, 4, 4))])
    other = helper.make_graph([helper.make_node("Neg", ["t"], ["b"])], "else", [], [helper.make_tensor_value_info("b", F32, (1, 4, 4, 4))])
    nodes = [quantize("x", "q", "x"), *conv("q", "r"), dequantize("r", "t", "x"), node("ReduceSum", "t", "sum", keepdims=0), node("Greater", "sum half", "c"),
             helper.make_node("If", ["c"], ["u"], name="n_u", then_branch=then, else_branch=other), quantize("u", "v", "x"), *conv("v", "s"),
             dequantize("s", "e", "x"), node("Dropout", "e", "g"), node("Shape", "x", "shape"), node("Gather", "shape zero", "n"),
             node("Concat", "n rest", "to", axis=0), node("Reshape", "g to", "h"), quantize("h", "i", "x"), dequantize("i", "y", "x")]
    constants = {**CONSTANTS, "zero": np.int64([0]), "rest": np.int64([-1])}
    return model_of(nodes, {"x": (F32, (1, 4, 4, 4))}, {"y": (F32, (1, 64))}, constants)


def ceiling():
    """A ceil_mode pool whose last window would begin in the padding: onnx's shape inference counts it, the standard does not."""
    pool = node("MaxPool", "r_f", "m", kernel_shape=[2, 2], strides=[3, 3], pads=[1, 1, 1, 1], ceil_mode=1)
    nodes = [quantize("x", "q", "x"), *conv("q", "r"), dequantize("r", "r_f", "x"), pool, quantize("m", "n", "x"), *conv("n", "s"),
             dequantize("s", "t", "x"), untouched("t", "e"), quantize("e", "o", "x"), *conv("o", "p"), dequantize("p", "y", "x")]
    return model_of(nodes, {"x": (F32, (1, 4, 5, 5))}, {"y": (F32, (1, 4, 2, 2))}, CONSTANTS)


NETWORKS = {"ceiling": (ceiling, "aha"), "head": (head, "ha"), "tail": (tail, "ah"), "middle": (middle, "aha"), "boxes": (boxes, "ah"), "shared": (shared, "ah"),
            "detour": (detour, "aha"), "branch": (branch, "aha")}


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_run_in_segments_as_onnxruntime_runs_them_whole(name):
    build, sides = NETWORKS[name]
    model = build()
    plan = make_plan(model, TINY, name=name)
    assert "".join(segment.where[0] for segment in plan.segments) == sides
    samples = draw(model_inputs(model), seed=1, count=3)
    report, outputs = run_plan(plan, samples, on="iss")
    assert report["exact"] is True
    assert [row["exact"] for row in report["segments"] if row["where"] == "accelerator"] == [True] * sides.count("a")
    whole = Golden(model)
    for sample, output in zip(samples, outputs, strict=True):
        for key, expected in whole.run(sample).items():
            np.testing.assert_array_equal(output[key], expected)
    assert {key: (entry["mismatches"], entry["onnxruntime"]) for key, entry in report["outputs"].items()} == {
        value.name: (0, {"mismatches": 0, "max_abs_diff": 0.0}) for value in model.graph.output
    }


@pytest.mark.parametrize("name", ["middle", "boxes"])
def test_every_computed_node_has_its_place_once_and_the_host_its_reasons(name):
    model = NETWORKS[name][0]()
    plan = make_plan(model, TINY, name=name)
    placed = [str(row["node"]) for row in plan.placement()]
    weights = {item.name for item in model.graph.node if item.input[0] == "w"}
    assert len(set(placed)) == len(placed) and {item.name for item in model.graph.node} - weights <= set(placed)
    reasons = {str(row["node"]): row["why"] for row in plan.placement()}
    assert all((row["why"] is not None) == (row["where"] == "host") for row in plan.placement())
    unsupported = "n_u" if name == "middle" else "n_y"
    assert reasons[unsupported] == f"{NOT_LISTED} {'TopK' if name == 'middle' else 'NonMaxSuppression'}."
    assert reasons["n_t"] == f"its values are not quantised between it and {unsupported}"


def test_cycles_are_summed_over_segments():
    plan = make_plan(middle(), TINY, name="middle")
    report, _ = run_plan(plan, draw(model_inputs(plan.model), seed=0, count=1), on="iss")
    parts = [row["cycles"]["predicted"] for row in report["segments"] if row["where"] == "accelerator"]
    assert report["cycles"] == {"predicted": sum(parts), "measured": None, "ideal": report["cycles"]["ideal"]} and len(parts) == 2 and min(parts) > 0


def test_a_constant_of_the_file_is_an_output():
    model = head()
    model.graph.output.append(helper.make_tensor_value_info("sx", F32, ()))
    report, outputs = run_plan(make_plan(model, TINY, name="m"), draw(model_inputs(model), seed=0, count=2), on="iss")
    scale = next(numpy_helper.to_array(item) for item in model.graph.initializer if item.name == "sx")
    assert report["exact"] is True and report["outputs"]["sx"]["onnxruntime"] == {"mismatches": 0, "max_abs_diff": 0.0}
    assert all(np.array_equal(sample["sx"], scale) for sample in outputs)


def test_constants_as_large_as_a_memory_are_not_computed_in_advance():
    """2^26 numbers of which the network reads the first."""
    constants = {**CONSTANTS, "column": np.ones((2**13, 1), np.float32), "row": np.ones((1, 2**13), np.float32), "start": np.int64([0, 0]), "end": np.int64([1, 1])}
    nodes = [quantize("x", "q", "x"), dequantize("q", "d", "x"), node("Mul", "column row", "e"), node("Slice", "e start end", "s"), untouched("d", "c"),
             node("Mul", "c s", "y")]  # fmt: skip
    model = model_of(nodes, {"x": (F32, (1, 4, 4, 4))}, {"y": (F32, (1, 4, 4, 4))}, constants)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    made = prepare(model, name="m").model
    assert "e" in [name for item in made.graph.node for name in item.output]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10


def test_a_supported_network_is_one_segment():
    model = model_of([quantize("x", "q", "x"), *conv("q", "r"), dequantize("r", "y", "x")], {"x": (F32, (1, 4, 4, 4))}, {"y": (F32, (1, 4, 4, 4))}, CONSTANTS)
    plan = make_plan(model, TINY, name="m")
    assert [(segment.where, len(segment.cut.nodes)) for segment in plan.segments] == [("accelerator", 5)]


def test_quantisation_alone_does_not_go_to_the_accelerator():
    nodes = [quantize("x", "q", "x"), dequantize("q", "d", "x"), untouched("d", "e"), quantize("e", "r", "x"), dequantize("r", "y", "x")]
    plan = make_plan(model_of(nodes, {"x": (F32, (1, 4, 4, 4))}, {"y": (F32, (1, 4, 4, 4))}, CONSTANTS), TINY, name="m")
    assert [segment.where for segment in plan.segments] == ["host"]
    assert [row["why"] for row in plan.placement()] == [
        NOTHING_TO_COMPUTE, "its values are not quantised between it and n_e", f"{NOT_LISTED} CumSum.",
        "its values are not quantised between it and n_e", NOTHING_TO_COMPUTE,
    ]
    report, _ = run_plan(plan, draw(model_inputs(plan.model), seed=0, count=1), on="iss")
    assert report["exact"] is None and report["cycles"]["predicted"] == 0


def test_what_the_architecture_lacks_goes_to_the_host(tmp_path):
    text = "\n".join(line for line in (ARCHITECTURES / "tiny.yaml").read_text().splitlines() if "TABLE" not in line)
    (tmp_path / "tableless.yaml").write_text(text)
    nodes = [quantize("x", "q", "x"), *conv("q", "r"), *conv("r", "s"), dequantize("s", "t", "x"), node("Sigmoid", "t", "u"), quantize("u", "v", "y"),
             *conv("v", "w_"), dequantize("w_", "y", "x")]
    model = model_of(nodes, {"x": (F32, (1, 4, 4, 4))}, {"y": (F32, (1, 4, 4, 4))}, CONSTANTS)
    plan = make_plan(model, load_graph(str(tmp_path / "tableless.yaml")), name="m")
    report, outputs = run_plan(plan, draw(model_inputs(model), seed=1, count=1), on="iss")
    assert [segment.where for segment in plan.segments] == ["accelerator", "host", "accelerator"] and report["exact"] is True
    assert any("TABLE on memories they share" in str(row["why"]) for row in plan.placement())
    assert {row["node"] for row in plan.placement() if row["op"] == "Sigmoid" and row["where"] == "host"} == {"n_u"}
    assert report["outputs"]["y"]["onnxruntime"]["mismatches"] == 0 and outputs[0]["y"].shape == (1, 4, 4, 4)


def test_refusals_behind_refusals_are_found():
    nodes = [quantize("x", "q", "x"), *conv("q", "r"), dequantize("r", "t", "x"), untouched("t", "e"), quantize("e", "f", "x"),
             dequantize("f", "g", "x"), node("ArgMin", "g", "h", axis=1, keepdims=0), node("Cast", "h", "y", to=I64)]
    plan = make_plan(model_of(nodes, {"x": (F32, (1, 4, 4, 4))}, {"y": (I64, (1, 4, 4))}, CONSTANTS), TINY, name="m")
    reasons = {str(row["node"]): row["why"] for row in plan.placement()}
    assert (reasons["n_e"], reasons["n_h"]) == (f"{NOT_LISTED} CumSum.", f"{NOT_LISTED} ArgMin.")


def test_a_graph_input_that_is_no_tensor_of_the_machine_is_read_on_the_host():
    nodes = [node("Gather", "table x", "a", axis=0), quantize("a", "q", "x"), *conv("q", "r"), dequantize("r", "y", "x")]
    table = np.random.default_rng(3).standard_normal((5, 4, 4)).astype(np.float32)
    model = model_of(nodes, {"x": (I64, (1, 4))}, {"y": (F32, (1, 4, 4, 4))}, {**CONSTANTS, "table": table})
    plan = make_plan(model, TINY, name="m")
    sample = {"x": np.int64([[4, 0, 2, 2]])}
    report, outputs = run_plan(plan, [sample], on="iss")
    assert report["exact"] is True and [segment.where for segment in plan.segments] == ["host", "accelerator"]
    np.testing.assert_array_equal(outputs[0]["y"], Golden(model).run(sample)["y"])
    with pytest.raises(UserError, match=r"^model m: host segment 0: onnxruntime cannot run it \(.*n_a.*indices.*\); expected operators and inputs that it takes$"):
        run_plan(plan, [{"x": np.int64([[4, 0, 2, 9]])}], on="iss")


@pytest.mark.parametrize("seed", range(12))
def test_random_networks_with_unsupported_nodes_in_them(seed):
    """A running sum over the batch stands before a third of the QuantizeLinear nodes."""
    rng = np.random.default_rng(seed)
    model = random_network(seed, size="tiny", max_nodes=6, form="qdq")
    model.graph.initializer.append(numpy_helper.from_array(np.int64(0), "first"))
    nodes, placed = [], set()
    for item in model.graph.node:
        if item.op_type == "QuantizeLinear" and rng.random() < 1 / 3 and not any(item.input[0] == value.name for value in model.graph.input):
            nodes.append(helper.make_node("CumSum", [item.input[0], "first"], [f"{item.input[0]}_e"], name=f"e_{len(nodes)}"))
            item.input[0] = nodes[-1].output[0]
            placed.add(nodes[-1].name)
        nodes.append(item)
    nodes = [onnx.NodeProto.FromString(item.SerializeToString()) for item in nodes]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    plan = make_plan(model, TINY, name=f"seed {seed}")
    assert placed <= {row["node"] for row in plan.placement() if row["where"] == "host"}
    assert [segment.where for segment in plan.segments] == [("accelerator", "host")[(number + (plan.segments[0].where == "host")) % 2]
                                                            for number in range(len(plan.segments))]
    report, outputs = run_plan(plan, [random_inputs(model, seed)], on="iss")
    assert report["exact"] is not False
    for name, expected in Golden(model).run(random_inputs(model, seed)).items():
        got = outputs[0][name]
        assert (got.dtype, got.shape) == (expected.dtype, expected.shape)
        if report["exact"] is None:  # all of it by onnxruntime, in two ways of cutting
            assert report["outputs"][name]["onnxruntime"]["mismatches"] == 0


@pytest.mark.rtl
def test_predicted_is_measured_in_every_segment():
    plan = make_plan(middle(), TINY, name="middle")
    report, _ = run_plan(plan, draw(model_inputs(plan.model), seed=5, count=2), on="rtl")
    assert report["exact"] is True and report["instructions"]["timeline_mismatches"] == 0
    assert report["cycles"]["measured"] == report["cycles"]["predicted"] > 0
    rows = [row["cycles"] for row in report["segments"] if row["where"] == "accelerator"]
    assert [row["measured"] for row in rows] == [row["predicted"] for row in rows]


# The command line


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    onnx.save(tail(), "m.onnx")
    return tmp_path


def test_run_prints_what_ran_where_and_why(folder, capsys):
    assert main(["run", "m.onnx", "--arch", "tiny", "--on", "iss", "--fallback", "host", "-o", "y.npz", "--limit", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["segment", "where", "nodes", "predicted", "measured", "exact", "operators"]
    assert lines[2].split()[:3] == ["0", "accelerator", "7"] and lines[3].split()[:3] == ["1", "host", "2"]
    assert lines[4:8] == ["", "on the host:", "  n_t (DequantizeLinear): its values are not quantised between it and n_y", f"  n_y (ArgMin): {NOT_LISTED} ArgMin."]
    assert lines[-1] == "exact: yes, every accelerator segment"
    assert np.load("y.npz")["y"].shape == (2, 4, 4)


def test_run_without_it_refuses_and_with_it_reports_as_json(folder, capsys):
    assert main(["run", "m.onnx", "--arch", "tiny", "--on", "iss"]) == 2
    assert capsys.readouterr().err == (
        "covenant: model m.onnx: found 1 unsupported node; expected supported operators only; change or remove:\n"
        f"  n_y (ArgMin): {NOT_LISTED} ArgMin.\n"
        "or give --fallback host: they run on onnxruntime then, between accelerator segments\n"
    )
    assert main(["run", "m.onnx", "--arch", "tiny", "--on", "iss", "--fallback", "host", "--json", "-"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["fallback"], report["exact"], [row["where"] for row in report["segments"]]) == ("host", True, ["accelerator", "host"])
    assert [row["node"] for row in report["placement"] if row["where"] == "host"] == ["n_t", "n_y"]


def test_compile_writes_a_folder_of_segments(folder, capsys):
    assert main(["compile", "m.onnx", "--arch", "tiny", "--fallback", "host", "-o", "sub/out"]) == 0
    assert capsys.readouterr().out.endswith("sub/out: 2 segments and plan.json\n")
    assert sorted(os.listdir("sub/out")) == ["network.onnx", "plan.json", "segment0.covenant", "segment0.onnx", "segment1.onnx"] and os.listdir("sub") == ["out"]
    plan = json.loads(Path("sub/out/plan.json").read_text())
    assert [(row["program"], row["model"]) for row in plan["segments"]] == [("segment0.covenant", "segment0.onnx"), (None, "segment1.onnx")]
    assert [value.name for value in parse_program(Path("sub/out/segment0.covenant").read_bytes(), TINY, where="p").outputs] == plan["segments"][0]["outputs"]
    assert [value.name for value in onnx.load("sub/out/segment1.onnx").graph.input] == plan["segments"][1]["inputs"]
    assert main(["compile", "m.onnx", "--arch", "tiny", "--fallback", "host", "-o", "sub/out"]) == 2
    assert capsys.readouterr().err == "covenant: sub/out: exists already; expected a new folder for the segments, name another or remove it\n"
    assert main(["compile", "m.onnx", "--arch", "tiny", "--fallback", "host", "-o", "m.onnx/out"]) == 2
    assert capsys.readouterr().err == "covenant: m.onnx/out: cannot be written (File exists); expected a new folder for the segments\n"


def test_predict_sums_the_segments(folder, capsys):
    assert main(["predict", "m.onnx", "--arch", "tiny", "--fallback", "host", "--json", "-"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert main(["predict", "m.onnx", "--arch", "tiny", "--fallback", "host"]) == 0
    total = report["cycles"]["predicted"]
    assert total == report["segments"][0]["cycles"]["predicted"] > 0
    assert capsys.readouterr().out.splitlines()[-1] == f"m.onnx on tiny: {total:,} cycles in accelerator segments, ideal {report['cycles']['ideal']:,}"


def test_a_program_file_is_past_it(folder, capsys):
    assert main(["compile", "m.onnx", "--arch", "tiny", "--fallback", "host", "-o", "out"]) == 0
    capsys.readouterr()
    for command in ("run", "predict"):
        assert main([command, "out/segment0.covenant", "--fallback", "host"]) == 2
        assert capsys.readouterr().err == (
            "covenant: out/segment0.covenant: --fallback with a program file, which is compiled already; expected an ONNX network, "
            "give the option to covenant compile\n"
        )
