"""The command line as a user meets it: results as text and JSON, and bad input: whole messages, exit status 2, no file left behind."""

import json
import os
import re
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from acg.fingerprint import fingerprint
from acg.graph import ARCHITECTURES, architecture_names, load_graph
from acg.isa import Instruction, InstructionSet
from acg.manual.describe import describe
from acg.manual.summary import totals
from compiler.loader import parse_program
from covenant.cli import main
from covenant.networks import compile_file
from tests.support.models import F32, U8, dequantize, model_of, node, parameters, quantize

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
DIGITS, SAMPLES = str(EXAMPLES / "digits_cnn.onnx"), str(EXAMPLES / "digits_test.npz")
TINY = load_graph("tiny")
ADVICE = "or give --fallback host: they run on onnxruntime then, between accelerator segments"
NOT_A_MODEL = "found bytes that are not an ONNX model; expected a file written by onnx.save; export it again"


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def program():
    return compile_file(DIGITS, TINY)[1]


@pytest.fixture(scope="module")
def samples():
    with np.load(SAMPLES) as arrays:
        return {name: arrays[name][:4] for name in arrays.files}


@pytest.fixture
def refused(capsys):
    """Run a command that must be refused; returns its message without the leading 'covenant: '."""

    def call(*arguments: str) -> str:
        before = sorted(os.listdir())
        status = main(arguments)
        captured = capsys.readouterr()
        assert (status, captured.out) == (2, "")
        assert sorted(os.listdir()) == before
        assert captured.err.startswith("covenant: ")
        return captured.err.removeprefix("covenant: ").removesuffix("\n")

    return call


@pytest.fixture
def told(capsys):
    """Run a command that must succeed; returns what it printed, parsed when ``--json -`` is among the arguments."""

    def call(*arguments: str):
        assert main(arguments) == 0
        out = capsys.readouterr().out
        return json.loads(out) if "--json" in arguments else out

    return call


# Results


def test_arch_list_and_check(told):
    rows = told("arch", "list", "--json", "-")
    assert [row["name"] for row in rows] == architecture_names()
    assert all(row["fingerprint"] == f"{fingerprint(load_graph(row['name'])):016x}" for row in rows)
    assert all(row["summary"] in told("arch", "list") for row in rows)
    assert told("arch", "check", "tiny") == (
        f"tiny: valid, fingerprint {fingerprint(TINY):016x}\n"
        "  multiply-accumulates a cycle: matrix 16, vector 4\n"
        "  bytes a cycle: external memory 8; ports of load 12, matrix 40, vector 80, store 12\n"
        "  bytes on chip: 31,232; act 16,384, wgt 8,192, acc 4,096, par 2,048, lut 512\n"
        "  bits an instruction: 1,024; of them used by load 332, matrix 459, vector 833, store 331\n")
    assert told("arch", "check", "tiny", "--json", "-") == next(row for row in rows if row["name"] == "tiny") | totals(TINY) | {"warnings": []}


def test_arch_show(told):
    assert told("arch", "show", "tiny") == describe(TINY)
    assert told("arch", "show", "tiny", "--json", "-")["instructions"]["bytes"] == InstructionSet(TINY).instruction_bytes


def test_compile_predict_and_disassemble(told, program):
    summary = told("compile", DIGITS, "--arch", "tiny", "-o", "sub/p.covenant", "--json", "-")
    assert summary["file"] == "sub/p.covenant" and Path("sub/p.covenant").read_bytes() == program.to_bytes()
    of_file, of_model = told("predict", "sub/p.covenant", "--json", "-"), told("predict", DIGITS, "--arch", "tiny", "--json", "-")
    for report in (of_file, of_model):
        del report["file"], report["seconds"]
    assert of_file == of_model and of_file["instructions"] == summary["instructions"] == len(program.instructions)
    lines = [line for line in told("disasm", "sub/p.covenant").splitlines() if not line.startswith(";")]
    listed = told("disasm", "sub/p.covenant", "--json", "-")
    assert lines == [f"{item['number']:6d}  {item['text']}" for item in listed] and len(lines) == len(program.instructions)
    again = [Instruction(item["engine"], item["fields"], item["waits"]) for item in listed]
    assert InstructionSet(TINY).encode_program(again) == program.code


def test_run_reports_what_was_compared(told, samples):
    report = told("run", DIGITS, "--arch", "tiny", "--on", "iss", "--input", SAMPLES, "--limit", "4", "--json", "-", "-o", "y.npz")
    assert {"arch", "fingerprint", "model", "on", "cycles", "instructions", "outputs", "golden", "exact", "layers", "simulation"} <= set(report)
    assert (report["arch"], report["model"], report["on"], report["samples"], report["exact"]) == ("tiny", DIGITS, "iss", 4, True)
    assert set(report["cycles"]) == {"predicted", "measured", "ideal"} and report["cycles"]["measured"] is None
    assert set(report["layers"][0]) == {"name", "op", "operator", "macs", "predicted", "measured", "utilisation"}
    same = {"mismatches": 0, "max_abs_diff_steps": 0}
    assert report["outputs"] == {"logits": {"elements": 40, **same, "onnxruntime": same}}
    with np.load("y.npz") as arrays:
        assert {name: (arrays[name].dtype, arrays[name].shape) for name in arrays.files} == {"logits": (np.float32, (4, 10))}
        hits = float(np.mean(arrays["logits"].argmax(1) == samples["y"]))
    assert report["accuracy"] == {"functional simulator": hits, "reference": hits, "onnxruntime": hits}


def test_several_networks_are_a_list(told):
    reports = told("run", DIGITS, DIGITS, "--arch", "tiny", "--on", "iss", "--json", "-")
    assert len(reports) == 2 and reports[0] == reports[1]


def test_drawn_inputs_follow_the_seed(told):
    def logits(seed):
        told("run", DIGITS, "--arch", "tiny", "--on", "iss", "--seed", seed, "-o", "y.npz")
        return np.load("y.npz")["logits"].tobytes()

    assert logits("1") == logits("1") != logits("2")


def test_a_program_file_on_the_functional_simulator_is_held_against_nothing(told, program):
    Path("p.covenant").write_bytes(program.to_bytes())
    report = told("run", "p.covenant", "--on", "iss", "--json", "-")
    assert report["exact"] is None and report["golden"]["reference"] is None
    assert report["outputs"] == {"logits": {"elements": 10, "mismatches": None, "max_abs_diff_steps": None}}
    lines = told("run", "p.covenant", "--on", "iss").splitlines()
    assert lines[-1] == "exact: not judged; run the network, or run the program file on the RTL"


def test_a_reader_that_goes_away_is_no_fault(program):
    Path("p.covenant").write_bytes(program.to_bytes())
    command = [sys.executable, "-m", "covenant", "disasm", "p.covenant"]
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLES.parent)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as process:
        process.stdout.close()
        assert (process.stderr.read(), process.wait()) == (b"", 141)


# Architectures


@pytest.mark.parametrize(("name", "content", "expected"), [
    ("none.yaml", None, "none.yaml: cannot be read (No such file or directory); expected an architecture description in YAML"),
    ("folder.yaml", "folder", "folder.yaml: cannot be read (Is a directory); expected an architecture description in YAML"),
    ("empty.yaml", b"", "empty.yaml:1: the file is empty; expected an architecture description"),
    ("random.yaml", bytes(range(256)), "random.yaml: cannot be read (not UTF-8 text); expected an architecture description in YAML"),
    ("nope", None, f"architecture 'nope' does not exist; expected a .yaml file or one of {', '.join(architecture_names())}"),
    ("text.yaml", b"a: [\n", "text.yaml:2: not YAML: expected the node content, but found '<stream end>'; expected an architecture description"),
])
@pytest.mark.parametrize("command", [("arch", "check"), ("arch", "show"), ("rtl",)])
def test_what_is_no_architecture(refused, command, name, content, expected):
    _put(name, content)
    assert refused(*command, name) == expected


def test_an_architecture_that_cannot_work_is_refused_line_by_line(refused):
    text = (ARCHITECTURES / "tiny.yaml").read_text()
    Path("a.yaml").write_text(text.replace("queue_depth: ", "queue_deep: "))
    lines = refused("arch", "check", "a.yaml").splitlines()
    assert [line.split(": ", 1)[1] for line in lines] == [
        "control.queue_depth: missing; expected a value, add the key",
        "control.queue_deep: unknown key; expected only the keys of docs/reference/description.md, remove it or mend its spelling",
    ]


def test_arch_check_needs_a_name(refused):
    assert refused("arch", "check") == "arch check: no architecture named; expected a name of archs/ or a YAML file"


# Networks


def _put(name, content):
    if content == "folder":
        Path(name).mkdir()
    elif content is not None:
        Path(name).write_bytes(content)


@pytest.mark.parametrize(("name", "content", "expected"), [
    ("none.onnx", None, "model none.onnx: found no such file; expected an ONNX file; check the path"),
    ("folder.onnx", "folder", "model folder.onnx: found a directory; expected an ONNX file; check the path"),
    ("empty.onnx", b"", "model empty.onnx: found an empty graph; expected nodes and outputs; export it again"),
    ("random.onnx", bytes(range(255, -1, -1)), f"model random.onnx: {NOT_A_MODEL}"),
    ("nul\0.onnx", None, r"model nul\x00.onnx: found no such file; expected an ONNX file; check the path"),
])
@pytest.mark.parametrize("command", ["compile", "predict", "run"])
def test_what_is_no_network(refused, command, name, content, expected):
    _put(name, content)
    assert refused(command, name, "--arch", "tiny", *(("-o", "p.covenant") if command == "compile" else ())) == expected


def test_a_dynamic_dimension(refused):
    model = onnx.load(DIGITS)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "N"
    onnx.save(model, "m.onnx")
    assert refused("compile", "m.onnx", "-o", "p.covenant") == (
        "model m.onnx: found dimensions left open: input (N, 1, 8, 8); expected positive numbers; "
        "give --shape input=N,1,8,8, with numbers for what is open"
    )


def test_unsupported_operators_are_listed_all_at_once(refused):
    nodes = [dequantize("x", "d", "x"), node("Hardmax", "d", "a"), node("Bernoulli", "a", "b"), node("Hardmax", "d", "y"), quantize("d", "q", "x")]
    outputs = {"b": (F32, (1, 4)), "y": (F32, (1, 4)), "q": (U8, (1, 4))}
    onnx.save(model_of(nodes, {"x": (U8, (1, 4))}, outputs, parameters(x=(0.1, 3))), "m.onnx")
    reason = "The operator must be one of those that the support table lists. Found"
    assert refused("compile", "m.onnx", "-o", "p.covenant").splitlines() == [
        "model m.onnx: found 3 unsupported nodes; expected supported operators only; change or remove:",
        *(f"  n_{output} ({op}): {reason} {op}." for output, op in (("a", "Hardmax"), ("b", "Bernoulli"), ("y", "Hardmax"))),
        ADVICE,
    ]


# Samples


@pytest.mark.parametrize(("change", "expected"), [
    (lambda x: {"z": x}, "no array 'input', found z; expected one for each input of the model"),
    (lambda x: {}, "no array 'input', found none; expected one for each input of the model"),
    (lambda x: {"input": x.astype(np.float64)}, "array 'input' is float64; expected float32, as the model declares"),
    (lambda x: {"input": x[..., :7]}, "array 'input' has shape (4, 1, 8, 7); expected (1, 1, 8, 8), or a multiple of its leading dimension"),
    (lambda x: {"input": x[:0]}, "array 'input' has shape (0, 1, 8, 8); expected (1, 1, 8, 8), or a multiple of its leading dimension"),
    (lambda x: {"input": x * np.float32(np.nan)}, "array 'input' holds a NaN; expected numbers, a NaN has no quantised value"),
    (lambda x: {"input": np.array([None, {}])}, "'input' is no array of plain numbers; expected an .npz with one array for each input of the model"),
    (lambda x: {"input": x, "y": np.zeros(3, np.int64)}, "array 'y' is int64(3,); expected integer labels, one for each of 4 rows"),
    (lambda x: {"input": x, "y": np.zeros((4, 2))}, "array 'y' is float64(4, 2); expected integer labels, one for each of 4 rows"),
])
def test_samples_that_do_not_fit(refused, samples, change, expected):
    np.savez("x.npz", **change(samples["input"]))
    assert refused("run", DIGITS, "--arch", "tiny", "--on", "iss", "--input", "x.npz", "-o", "y.npz") == f"x.npz: {expected}"


@pytest.mark.parametrize(("name", "content", "expected"), [
    ("none.npz", None, "none.npz: cannot be read (No such file or directory); expected an .npz with one array for each input of the model"),
    ("folder.npz", "folder", "folder.npz: cannot be read (Is a directory); expected an .npz with one array for each input of the model"),
    ("empty.npz", b"", "empty.npz: not an .npz file of plain arrays; expected one with an array for each input of the model"),
    ("random.npz", bytes(range(256)), "random.npz: not an .npz file of plain arrays; expected one with an array for each input of the model"),
    ("cut.npz", Path(SAMPLES).read_bytes()[:999], "cut.npz: not an .npz file of plain arrays; expected one with an array for each input of the model"),
])
def test_files_without_samples(refused, name, content, expected):
    _put(name, content)
    assert refused("run", DIGITS, "--arch", "tiny", "--on", "iss", "--input", name) == expected


# Outputs


@pytest.mark.parametrize(("path", "reason"), [
    ("/proc/none/file", "No such file or directory"), ("file/below", "Not a directory"), ("folder", "Is a directory"), ("nul\0", "embedded null byte"),
])
@pytest.mark.parametrize("command", [
    ("compile", DIGITS, "--arch", "tiny", "-o"),
    ("run", DIGITS, "--arch", "tiny", "--on", "iss", "-o"),
    ("run", DIGITS, "--arch", "tiny", "--on", "iss", "--json"),
])
def test_outputs_that_cannot_be_written_are_refused_before_any_work(refused, command, path, reason):
    Path("folder").mkdir()
    Path("file").touch()
    shown = path.replace("\0", r"\x00")
    assert refused(*command, path) == f"{shown}: cannot be written ({reason}); expected a file in a folder that can be written to"


def test_rtl_into_a_file(refused):
    Path("file").touch()
    path = Path("file") / "tiny.v"
    assert refused("rtl", "tiny", "-o", "file") == f"{path}: cannot be written (Not a directory); expected a file in a folder that can be written to"


def test_one_output_file_for_two_networks(refused):
    assert refused("run", DIGITS, DIGITS, "--on", "iss", "-o", "y.npz") == (
        "run: -o y.npz with 2 networks; expected one network, run them one by one"
    )


@pytest.mark.parametrize(("arguments", "expected"), [
    (("run", DIGITS, "--limit", "0"), "argument --limit: 0 is less than 1"),
    (("run", DIGITS, "--limit", "few"), "argument --limit: 'few' is not a whole number"),
    (("run", DIGITS, "--seed", "-1"), "argument --seed: -1 is negative"),
])
def test_arguments_that_are_none(capsys, arguments, expected):
    with pytest.raises(SystemExit) as error:
        main(arguments)
    assert error.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"covenant {arguments[0]}: error: {expected}"


# Program files


@pytest.mark.parametrize("command", [("disasm",), ("predict",), ("run", "--on", "iss")])
def test_a_program_for_another_architecture(refused, program, command):
    Path("p.covenant").write_bytes(program.to_bytes())
    assert refused(*command, "p.covenant", "--arch", "wide") == (
        f"program p.covenant: found fingerprint {fingerprint(TINY):016x} of architecture tiny; "
        f"expected {fingerprint(load_graph('wide')):016x} of wide; compile it for this architecture"
    )


@pytest.mark.parametrize("command", [("disasm",), ("predict",), ("run", "--on", "iss")])
def test_a_truncated_program(refused, program, command):
    data = program.to_bytes()
    Path("p.covenant").write_bytes(data[: len(data) // 2])
    damaged = "program p.covenant: found a damaged or truncated archive (File is not a zip file); expected a program file; compile the network again"
    assert refused(*command, "p.covenant") == refused(*command, "p.covenant", "--arch", "tiny") == damaged


def test_a_program_that_is_not_there(refused):
    assert refused("disasm", "p.covenant") == "p.covenant: no such file; expected a program file, written by covenant compile"


def test_a_program_whose_architecture_is_not_the_one_of_its_fingerprint(refused, program):
    Path("p.covenant").write_bytes(replace(program, fingerprint=1).to_bytes())
    assert refused("predict", "p.covenant") == (
        f"program p.covenant: found fingerprint {1:016x} of architecture tiny; expected {fingerprint(TINY):016x} of tiny; compile it for this architecture"
    )


@pytest.mark.parametrize(("description", "found"), [
    ("", "program p.covenant, architecture.yaml:1: the file is empty; expected an architecture description"),
    ("name: x\nname: y\n", "program p.covenant, architecture.yaml:2: key 'name'"),
])
def test_a_program_whose_architecture_is_none(refused, program, description, found):
    Path("p.covenant").write_bytes(replace(program, description=description).to_bytes())
    assert refused("predict", "p.covenant").startswith(found)


@pytest.mark.parametrize("command", [("disasm",), ("predict",), ("run", "--on", "iss")])
def test_a_program_carries_its_architecture(command, tmp_path, monkeypatch, capsys):
    """One that stands in no folder of ours, and nowhere any more when the program is used."""
    monkeypatch.chdir(tmp_path)
    mine = TINY.description.replace("name: tiny", "name: mine").replace("queue_depth: ", "queue_depth: 1")
    assert mine != TINY.description
    Path("mine.yaml").write_text(mine)
    assert main(["compile", str(DIGITS), "--arch", "mine.yaml", "-o", "p.covenant"]) == 0
    Path("mine.yaml").unlink()
    assert main([*command, "p.covenant"]) == 0
    if command != ("disasm",):
        assert "mine" in capsys.readouterr().out


@pytest.mark.parametrize("member", ["manifest.json", "instructions.bin", "constants.bin", "provenance.json"])
def test_a_flipped_bit_in_any_member(refused, program, member):
    """The archive is written again, so that its own checksums hold and only ours can see the damage."""
    Path("p.covenant").write_bytes(program.to_bytes())
    with zipfile.ZipFile("p.covenant") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    damaged = bytearray(members[member])
    place = damaged.index(b"digits") if member == "manifest.json" else len(damaged) // 2
    damaged[place] ^= 1
    with zipfile.ZipFile("p.covenant", "w") as archive:
        for name, data in members.items():
            archive.writestr(name, bytes(damaged) if name == member else data)
    message = refused("disasm", "p.covenant", "--arch", "tiny")
    if member == "manifest.json":
        assert message == "program p.covenant, manifest: found a checksum that does not hold; expected an unchanged manifest; compile the network again"
    else:
        found, expected = (message.split(word)[1][:18] for word in ("found SHA-256 ", "expected "))
        assert message == f"program p.covenant, {member}: found SHA-256 {found}; expected {expected}; compile the network again"
        assert found != expected


def _with(program, number, instruction=None, code=None):
    """The program's file with one instruction, or its encoded bytes, replaced; all checksums hold."""
    size = InstructionSet(TINY).instruction_bytes
    code = InstructionSet(TINY).encode(instruction) if code is None else code
    return replace(program, code=program.code[: number * size] + code + program.code[(number + 1) * size :]).to_bytes()


def test_an_instruction_for_an_engine_that_does_not_exist(refused, program):
    size = InstructionSet(TINY).instruction_bytes
    code = bytearray(program.code[:size])
    code[0], code[2] = code[0] ^ code[2] ^ 9, 9  # engine field, and the check halfword that it enters
    Path("p.covenant").write_bytes(_with(program, 0, code=bytes(code)))
    assert refused("run", "p.covenant") == (
        "program p.covenant: found program, instruction 0: engine field is 9; expected 1 to 4; expected instructions of tiny; compile the network again"
    )


def test_an_address_out_of_range(refused, program):
    number, old = next((n, i) for n, i in enumerate(program.instructions) if i.engine == "load")
    far = Instruction(old.engine, {**old.fields, "ext_address": 0xFFFFFF00}, old.waits)
    Path("p.covenant").write_bytes(_with(program, number, far))
    end = 0xFFFFFF00 + old.fields["n_3"]
    assert refused("run", "p.covenant") == (
        f"program p.covenant, instruction {number} (load): found port source at bytes 0xffffff00 to {end:#x} of dram; "
        f"expected addresses below {program.external_bytes:#x}; compile the network again"
    )


def test_operands_in_one_bank(refused):
    bias = {"sx": np.float32(0.1), "zx": np.uint8(128), "sy": np.float32(0.2), "zy": np.uint8(128)}
    model = model_of([node("QLinearAdd", "a sx zx b sx zx sy zy", "y", domain="com.microsoft")],
                     {"a": (U8, (1, 4, 4, 4)), "b": (U8, (1, 4, 4, 4))}, {"y": (U8, (1, 4, 4, 4))}, bias)
    onnx.save(model, "m.onnx")
    added = compile_file("m.onnx", TINY)[1]
    number, old = next((n, i) for n, i in enumerate(added.instructions) if i.engine == "vector")
    clash = Instruction(old.engine, {**old.fields, "b_base": old.fields["a_base"]}, old.waits)
    Path("p.covenant").write_bytes(_with(added, number, clash))
    bank = old.fields["a_base"] // TINY.memories["act"].depth_words
    assert refused("run", "p.covenant") == (
        f"program p.covenant, instruction {number} (vector): found ports a and b in bank {bank} of act; "
        "expected operands that are used at the same time in different banks; compile the network again"
    )


def test_instructions_without_an_order(refused, program):
    """Every checksum holds, every instruction is sound by itself: only the waits are missing."""
    bare = [Instruction(item.engine, item.fields) for item in program.instructions]
    Path("p.covenant").write_bytes(replace(program, code=InstructionSet(TINY).encode_program(bare)).to_bytes())
    for command in ("run", "predict", "disasm"):
        assert re.fullmatch(
            r"program p.covenant: found instructions \d+ and \d+ (touch common bytes|use one port of one bank) of [a-z]+ without an order; "
            "expected a wait between them; compile the network again", refused(command, "p.covenant"))


def test_the_programs_altered_above_are_sound_without_the_alteration(program):
    number, old = next((n, i) for n, i in enumerate(program.instructions) if i.engine == "load")
    assert parse_program(_with(program, number, old), TINY) == program
