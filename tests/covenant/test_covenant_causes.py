"""`covenant predict` tells where the cycles go: JSON whose parts add up, tables for people."""

import json
from pathlib import Path

import pytest

from acg.causes.idle import steps_of
from acg.graph import load_graph
from acg.predictor import predict
from acg.timing.core import packets
from compiler.passes import Options, compile_network
from covenant.analysis.causes import cause_report, cause_tables, path_parts
from covenant.analysis.lanes import ragged_steps
from covenant.cli import main
from covenant.networks import compile_file
from covenant.zoo.measure import path_line
from covenant.zoo.quantised import model_file
from tests.compiler.random_networks import Sketch

EDGE = load_graph("edge16")


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    path = tmp_path_factory.mktemp("causes") / "r.json"
    assert main(["predict", "examples/digits_cnn.onnx", "--arch", "edge16", "--json", str(path)]) == 0
    return json.loads(path.read_text())


def test_parts_add_up(report):
    total = report["cycles"]["predicted"]
    causes = report["causes"]
    assert set(causes["engines"]) == {"load", "matrix", "vector", "store"}
    for each in causes["engines"].values():
        assert each["working"] + each["ragged"] + each["filling"] + sum(each["idle"].values()) == total
    assert sum(row["cycles"] for row in causes["critical_path"]) == total
    assert {"engine", "layer", "op", "cycles", "waited_for_as"} == set(causes["critical_path"][0])
    assert [row["cycles"] for row in causes["critical_path"]] == sorted((row["cycles"] for row in causes["critical_path"]), reverse=True)
    names = {layer["name"] for layer in report["layers"]}
    assert {row["layer"] for row in causes["critical_path"] if row["engine"]} <= names


def test_tables_for_people(report):
    text = cause_tables(report["causes"], report["cycles"]["predicted"])
    head, *_ = text.splitlines()
    assert head.split("  ")[0] == "engine" and "operand on its way" in head and head.rstrip().endswith("working")
    shown = text.split("critical path")[1].splitlines()[2:14]
    first = report["causes"]["critical_path"][0]
    assert f"{first['cycles']:,}" in shown[0] and shown[0].startswith(first["engine"])


def test_long_paths_are_cut_and_say_so():
    rows = [{"engine": "load", "layer": f"l{i}", "op": "Conv", "cycles": 10, "waited_for_as": {}} for i in range(15)]
    text = cause_tables({"engines": {"load": {"working": 150, "ragged": 0, "filling": 0, "idle": {}}}, "critical_path": rows}, 150)
    assert text.splitlines()[-1] == "... and 3 more with 30 cycles (--json has all)"


def compiled(channels, filters, *, groups=1, graph=EDGE):
    s = Sketch(1)
    x = s.input((1, channels, 6, 6), "i8")
    return compile_network(s.network(s.conv(x, filters, (3, 3), pads=(1, 1, 1, 1), group=groups)), graph, options=Options(unfold=False))


def steps(program, engine, graph=EDGE):
    return sum(steps_of(graph, graph.engines[engine], i.fields) for i in program.instructions if i.engine == engine)


@pytest.mark.parametrize(("channels", "filters", "left"), [(16, 16, 0), (16, 8, 8 / 16), (32, 24, 8 / 32), (8, 16, 8 / 16), (24, 20, 1 - 24 * 20 / 32**2)])
def test_lanes_that_channels_do_not_fill(channels, filters, left):
    """Of a convolution on 16 rows and columns what is left over of each step, of its requantisation on 16 lanes what of the last word; in whole steps."""
    program = compiled(channels, filters)
    ragged = ragged_steps(EDGE, program)
    assert ragged["matrix"] == int(steps(program, "matrix") * left)
    words = -(-filters // 16)
    assert ragged["vector"] == steps(program, "vector") * (16 * words - filters) // (16 * words)


def test_depthwise_layers_stand_apart():
    """Each filter meets one channel, wherever it is computed; on the matrix unit 15 of 16 multiplications are by zero."""
    tiny = load_graph("tiny")
    for graph, groups, label in ((EDGE, 1, "Conv"), (EDGE, 32, "Conv (depthwise)"), (tiny, 32, "Conv (depthwise)")):
        program = compiled(32, 32, groups=groups, graph=graph)
        assert [layer.label for layer in program.layers] == [label]
        report = cause_report(graph, program, predict(graph, program.instructions))
        assert {row["op"] for row in report["critical_path"] if row["engine"]} == {label}
        dense, others = path_parts(graph, program, report)
        assert (dense > 0) == (groups == 1)
        assert dense + sum(cycles for _, cycles in others) == predict(graph, program.instructions).total_cycles


def test_the_documents_table_is_what_is_found(tmp_path):
    """One line of docs/models.md, the whole of which `make models` writes."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "models.md").read_text()
    program = compile_file(str(model_file("dscnn_kws", tmp_path)), EDGE)[1]
    timeline = predict(EDGE, program.instructions)
    dense, others = path_parts(EDGE, program, cause_report(EDGE, program, timeline))
    row = {"network": "dscnn_kws", "predicted": timeline.total_cycles, "critical_path": {"dense": dense, "others": others}}
    assert path_line(row) in page.splitlines()
    assert [line.split(" | ")[3].rsplit(" ", 2)[0] for line in page.splitlines() if line.startswith("| mobilenet_v1")][1:] == ["Conv (depthwise) on vector"]


def test_a_core_works_on_its_packets():
    """Steps of an instruction that runs a kernel are what it issues; none of its lanes is called empty."""
    tiny = load_graph("dsp_tiny")
    program = compile_file(str(Path(__file__).resolve().parents[2] / "examples" / "digits_cnn.onnx"), tiny)[1]
    timeline = predict(tiny, program.instructions)
    issued = sum(packets(i.fields) for i in program.instructions if i.engine == "core")
    core = cause_report(tiny, program, timeline)["engines"]["core"]
    assert core["working"] == issued > timeline.total_cycles / 2 and core["ragged"] == 0
