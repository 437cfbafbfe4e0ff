"""A plan that ``covenant compile --fallback host`` wrote, run and predicted from its folder."""

import hashlib
import json
import shutil
from pathlib import Path

import onnx
import pytest

from covenant.cli import main
from tests.covenant.test_covenant_fallback import middle


def unreadable(reason):
    return f"plan/plan.json: not a readable plan ({reason}); expected one written by covenant compile --fallback host, compile again"



@pytest.fixture
def folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    onnx.save(middle(), "m.onnx")
    assert main(["compile", "m.onnx", "--arch", "tiny", "--fallback", "host", "-o", "plan"]) == 0
    capsys.readouterr()
    return Path("plan")


def reported(capsys, *arguments):
    assert main([*arguments, "--json", "-"]) == 0
    report = json.loads(capsys.readouterr().out)
    report.pop("simulation", None)
    return report


@pytest.mark.parametrize("command", [("run", "--on", "iss", "--seed", "3"), ("predict",)])
def test_the_folder_gives_what_the_network_gives(folder, capsys, command):
    whole = reported(capsys, *command, "m.onnx", "--arch", "tiny", "--fallback", "host")
    Path("m.onnx").unlink()
    for arch in ([], ["--arch", "tiny"]):
        again = reported(capsys, *command, "plan", *arch)
        for report in (whole, again):
            for key in ("file", "seconds"):
                report.pop(key, None)
        for row in again["segments"]:
            row.pop("model", None), row.pop("program", None)
        assert again == whole


def test_a_changed_segment_is_what_runs(folder, capsys):
    """The folder's own files count, not the network that they were made of: another TopK on the host gives another result."""
    before = reported(capsys, "run", "plan", "--on", "iss", "--seed", "3")
    model = onnx.load("plan/segment1.onnx")
    next(node for node in model.graph.node if node.op_type == "TopK").attribute.append(onnx.helper.make_attribute("largest", 0))
    onnx.save(model, "plan/segment1.onnx")
    after = reported(capsys, "run", "plan", "--on", "iss", "--seed", "3")
    assert before["outputs"]["y"]["onnxruntime"]["mismatches"] == 0 < after["outputs"]["y"]["onnxruntime"]["mismatches"]


def edit(change):
    def apply():
        plan = json.loads(Path("plan/plan.json").read_text())
        change(plan)
        Path("plan/plan.json").write_text(json.dumps(plan))
    return apply


@pytest.mark.parametrize("damage, message", [
    (lambda: Path("plan/plan.json").unlink(), "model plan: found a directory; expected an ONNX file; check the path"),
    (lambda: Path("plan/plan.json").write_text("{"), unreadable("Invalid JSON: EOF while parsing an object at line 1 column 1")),
    (lambda: Path("plan/plan.json").write_bytes(b"\xff\xfe"), unreadable("Invalid JSON: expected value at line 1 column 1")),
    (edit(lambda plan: plan.pop("segments")), unreadable("segments: Field required")),
    (edit(lambda plan: plan["segments"][0].update(inputs="x")), unreadable("segments.0.inputs: Input should be a valid array")),
    (edit(lambda plan: plan.update(segments=[])), unreadable("Value error, every node is in one of the segments")),
    (edit(lambda plan: plan["segments"][0].update(program=None)), unreadable("Value error, accelerator segments, and no others, have a program")),
    (edit(lambda plan: plan["segments"][1].update(where="elsewhere")), unreadable("segments.1.where: Input should be 'accelerator' or 'host'")),
    (edit(lambda plan: plan["placement"][0].update(segment=3)), unreadable("Value error, every node is in one of the segments")),
    (edit(lambda plan: plan["placement"][0].pop("why")), unreadable("placement.0.why: Field required")),
    (edit(lambda plan: plan["segments"][0].update(model="../segment0.onnx")), unreadable("segments.0.model: String should match pattern '^segment[0-9]+\\.onnx$'")),
    (edit(lambda plan: plan["segments"][0].update(program="/tmp/p.covenant")),
     unreadable("segments.0.program: String should match pattern '^segment[0-9]+\\.covenant$'")),
    (edit(lambda plan: plan["segments"][0].update(colour="red")), unreadable("segments.0.colour: Extra inputs are not permitted")),
    (edit(lambda plan: plan.update(segments=plan["segments"] * 501)), unreadable("segments: List should have at most 1000 items after validation, not 1503")),
    (lambda: Path("plan/plan.json").write_bytes(b'{"segments":[' + b"[]," * 1_300_000 + b"0]}"), unreadable("arch: Field required")),
    (lambda: Path("plan/plan.json").write_bytes(bytes(5 << 20)), unreadable("more than 4194304 bytes")),
    (lambda: Path("plan/segment1.onnx").unlink(), "model plan/segment1.onnx: found no such file; expected an ONNX file; check the path"),
    (lambda: Path("plan/network.onnx").unlink(), "model plan/network.onnx: found no such file; expected an ONNX file; check the path"),
    (lambda: Path("plan/segment0.covenant").unlink(), "plan/segment0.covenant: no such file; expected a program file, written by covenant compile"),
])
def test_what_is_wrong_with_a_folder_is_said(folder, capsys, damage, message):
    damage()
    assert main(["run", "plan", "--on", "iss"]) == 2
    assert capsys.readouterr().err == f"covenant: {message}\n"


def forged():
    """State the bytes that the files have by now."""
    edit(lambda plan: plan["sha256"].update({name: hashlib.sha256(Path("plan", name).read_bytes()).hexdigest() for name in plan["sha256"]}))()


@pytest.mark.parametrize("name", ["segment0.onnx", "segment0.covenant"])
def test_what_the_accelerator_runs_is_what_was_compiled(folder, capsys, name):
    """Found by the fuzzer: a segment's network with another bias than its program has."""
    data = bytearray(Path("plan", name).read_bytes())
    data[len(data) // 2] ^= 1
    Path("plan", name).write_bytes(data)
    assert main(["run", "plan", "--on", "iss"]) == 2
    message = "its bytes are not those that plan.json states; expected the files of one plan, compile again"
    assert capsys.readouterr().err == f"covenant: plan/{name}: {message}\n"


def test_a_segment_that_is_none_of_the_plan_is_refused(folder, capsys):
    shutil.copy("plan/segment1.onnx", "plan/segment0.onnx")
    forged()
    assert main(["run", "plan", "--on", "iss"]) == 2
    assert capsys.readouterr().err == (
        "covenant: plan/segment0.onnx: its inputs are r, those of segment 0 in plan.json x; expected the files of one plan, compile again\n"
    )


def test_a_segment_that_lacks_a_constant_is_refused(folder, capsys):
    """Found by the fuzzer: the definition ended in a KeyError, since nobody imports a segment's model again."""
    model = onnx.load("plan/segment0.onnx")
    model.graph.initializer[0].name = "elsewhere"
    onnx.save(model, "plan/segment0.onnx")
    forged()
    assert main(["run", "plan", "--on", "iss"]) == 2
    assert capsys.readouterr().err.startswith("covenant: model plan/segment0.onnx: found ")


def test_shapes_of_a_plan_are_fixed(folder, capsys):
    assert main(["run", "plan", "--shape", "x=1,4,4,4"]) == 2
    assert capsys.readouterr().err == (
        "covenant: plan: --shape with a plan, whose shapes are fixed; expected an ONNX network, give the option to covenant compile\n"
    )
