"""The program file: same bytes every time, and refusals of everything that is not to be run."""

import hashlib
import io
import json
import subprocess
import sys
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from acg.fingerprint import fingerprint
from acg.graph import load_graph
from acg.isa import Instruction
from compiler.errors import CompilerError
from compiler.host import pack_inputs, unpack_outputs
from compiler.loader import ProgramError, check_program, load_program, parse_program
from compiler.passes import compile_network
from compiler.program import manifest_checksum
from tests.compiler.random_networks import Sketch, random_network

TINY = load_graph("tiny")


@pytest.fixture(scope="module")
def program():
    s = Sketch(1)
    x = s.input((1, 8, 6, 6), "i8")
    return compile_network(s.network(s.add(s.conv(x, 8, (3, 3), pads=(1, 1, 1, 1)), x)), TINY)


def rewritten(program, change):
    """The file's bytes after `change(manifest, payloads)`, with checksums that hold."""
    with zipfile.ZipFile(io.BytesIO(program.to_bytes())) as archive:
        payloads = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(payloads.pop("manifest.json"))
    change(manifest, payloads)
    manifest["sha256"] = {name: hashlib.sha256(data).hexdigest() for name, data in payloads.items()}
    manifest["checksum"] = manifest_checksum(manifest)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("manifest.json", json.dumps(manifest))
        for name, data in payloads.items():
            archive.writestr(name, data)
    return stream.getvalue()


def test_files_from_before_layers_had_families_load(program):
    def old(manifest, payloads):
        provenance = json.loads(payloads["provenance.json"])
        assert [sorted(layer) for layer in provenance["layers"]] == [["channels", "family", "macs", "name", "op", "origin"]] * len(program.layers)
        for layer in provenance["layers"]:
            del layer["family"], layer["channels"]
        payloads["provenance.json"] = json.dumps(provenance).encode()

    loaded = parse_program(rewritten(program, old), TINY, where="old")
    assert loaded.layers == tuple(replace(layer, family="", channels=0) for layer in program.layers)
    assert [layer.label for layer in loaded.layers] == [layer.op for layer in loaded.layers]
    assert loaded.instructions == program.instructions



def message(data):
    with pytest.raises(ProgramError) as error:
        parse_program(data, TINY)
    return str(error.value)


@pytest.mark.parametrize("seed", range(8))
def test_a_program_survives_its_file(seed, tmp_path):
    graph, _ = random_network(seed)
    arch = load_graph(["tiny", "edge16", "dot16", "wide"][seed % 4])
    first = compile_network(graph, arch)
    first.save(tmp_path / "deep" / "net.cov")
    again = load_program(tmp_path / "deep" / "net.cov", arch)
    assert again == first
    assert again.to_bytes() == (tmp_path / "deep" / "net.cov").read_bytes()
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["net.cov"]


def test_same_bytes_under_another_hash_seed(program):
    code = (
        "import sys, hashlib; from acg.graph import load_graph; from compiler.passes import compile_network;"
        "from tests.compiler.random_networks import random_network;"
        "print([hashlib.sha256(compile_network(random_network(s)[0], load_graph('tiny')).to_bytes()).hexdigest() for s in range(6)])"
    )
    runs = [
        subprocess.run([sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1] and len(runs[0]) > 300


def test_a_truncated_file_is_refused(program):
    data = program.to_bytes()
    for size in (0, 10, len(data) // 2, len(data) - 1):
        assert message(data[:size]).startswith("program: found a damaged or truncated archive (")


def test_every_flipped_byte_of_a_payload_is_refused(program):
    data = program.to_bytes()
    rng = np.random.default_rng(7)
    refused = 0
    for at in rng.integers(0, len(data), 40):
        damaged = bytearray(data)
        damaged[at] ^= 1 << int(rng.integers(8))
        try:
            assert parse_program(bytes(damaged), TINY) == program  # the bit said nothing, e.g. in a timestamp
        except ProgramError:
            refused += 1
    assert refused >= 30


def test_a_flipped_checksum_is_refused(program):
    def change(manifest, payloads):
        pass

    data = rewritten(program, change)
    assert parse_program(data, TINY) == program
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        payloads = {name: archive.read(name) for name in archive.namelist()}
    payloads["constants.bin"] = bytes([payloads["constants.bin"][0] ^ 1]) + payloads["constants.bin"][1:]
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in payloads.items():
            archive.writestr(name, content)
    found = hashlib.sha256(payloads["constants.bin"]).hexdigest()[:16]
    expected = json.loads(payloads["manifest.json"])["sha256"]["constants.bin"][:16]
    assert message(stream.getvalue()) == (
        f"program, constants.bin: found SHA-256 {found}..; expected {expected}..; compile the network again"
    )


def test_a_program_for_another_graph_is_refused(program):
    with pytest.raises(ProgramError) as error:
        parse_program(program.to_bytes(), load_graph("wide"))
    assert str(error.value) == (
        f"program: found fingerprint {fingerprint(TINY):016x} of architecture tiny; "
        f"expected {fingerprint(load_graph('wide')):016x} of wide; compile it for this architecture"
    )


def test_another_format_is_refused(program):
    assert message(rewritten(program, lambda m, p: m.update(format=1))) == (
        "program, manifest: found format 1; expected format 2; compile the network again"
    )


def test_missing_instructions_are_refused(program):
    size = len(program.code) // len(program.instructions)

    def drop(manifest, payloads):
        payloads["instructions.bin"] = payloads["instructions.bin"][:-size]

    count = len(program.instructions)
    assert message(rewritten(program, drop)) == f"program: found {count - 1} instructions; expected {count}; compile the network again"


def test_an_instruction_for_a_missing_engine_is_refused(program):
    def change(manifest, payloads):
        code = bytearray(payloads["instructions.bin"])
        code[2], code[0] = 9, code[0] ^ code[2] ^ 9  # engine field; the check halfword follows
        payloads["instructions.bin"] = bytes(code)

    assert message(rewritten(program, change)) == (
        "program: found program, instruction 0: engine field is 9; expected 1 to 4; expected instructions of tiny; compile the network again"
    )


def altered(program, kind, **fields):
    """The program with fields of its first instruction of an engine kind changed, and that instruction's number."""
    number = next(n for n, i in enumerate(program.instructions) if TINY.engines[i.engine].kind == kind)
    old = program.instructions[number]
    new = Instruction(old.engine, {**old.fields, **fields}, old.waits)
    return replace(program, instructions=(*program.instructions[:number], new, *program.instructions[number + 1 :])), number


def test_an_address_outside_a_memory_is_refused(program):
    bad, number = altered(program, "load", n_3=1 << 20, ext_address=0)
    with pytest.raises(ProgramError) as error:
        check_program(replace(bad, external_bytes=TINY.external.size_bytes), TINY)
    memory = TINY.memories["act"]
    assert str(error.value) == (
        f"program, instruction {number} (load): found port destination at bytes 0x0 to 0x100000 of act; "
        f"expected addresses below {memory.size_bytes:#x}; compile the network again"
    )
    bad, number = altered(program, "store", ext_address=program.external_bytes)
    with pytest.raises(ProgramError) as error:
        check_program(bad, TINY)
    assert str(error.value).startswith(f"program, instruction {number} (store): found port destination at bytes {program.external_bytes:#x} to ")
    assert str(error.value).endswith(f" of dram; expected addresses below {program.external_bytes:#x}; compile the network again")


def test_operands_in_one_bank_are_refused(program):
    number = next(n for n, i in enumerate(program.instructions) if i.fields.get("binary"))
    old = program.instructions[number]
    bad = Instruction(old.engine, {**old.fields, "b_base": old.fields["a_base"]}, old.waits)
    bank = old.fields["a_base"] // TINY.memories["act"].depth_words
    with pytest.raises(ProgramError) as error:
        check_program(replace(program, instructions=(*program.instructions[:number], bad, *program.instructions[number + 1 :])), TINY)
    assert str(error.value) == (
        f"program, instruction {number} (vector): found ports a and b in bank {bank} of act; "
        "expected operands that are used at the same time in different banks; compile the network again"
    )


def test_a_memory_that_is_not_linked_is_refused(program):
    bad, number = altered(program, "store", select=0)
    check_program(bad, TINY)
    number = next(n for n, i in enumerate(program.instructions) if i.engine == "vector")
    old = program.instructions[number]
    bad = Instruction(old.engine, {**old.fields, "y_select": 2}, old.waits)
    with pytest.raises(ProgramError) as error:
        check_program(replace(program, instructions=(*program.instructions[:number], bad, *program.instructions[number + 1 :])), TINY)
    assert str(error.value) == f"program, instruction {number} (vector): found y_select 2; expected one of the links of port y: 0, 1; compile the network again"


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ProgramError) as error:
        load_program(tmp_path / "none.cov", TINY)
    assert str(error.value) == "program none.cov: found No such file or directory; expected a program file; check the path"


def test_inputs_are_quantised_and_outputs_dequantised_as_onnx_defines():
    s = Sketch(5)
    x = s.input((1, 3, 1, 4), "u8")
    s.inputs[0] = replace(s.inputs[0], dtype="f32")
    graph = s.network(s.unary(x))
    program = compile_network(graph, TINY)
    values = np.float32([-1e30, -0.5, 0.5, 1.5, 2.5, 1e30, 0, 1, 2, 3, 4, 5]).reshape(1, 3, 1, 4) * np.float32(x.scale)
    ((address, data),) = pack_inputs(program, {"in0": values})
    assert address == program.inputs[0].address
    packed = np.frombuffer(data, np.uint8).reshape(4, 4)[:, :3].T
    steps = np.float32([-1e30, 0, 0, 2, 2, 1e30, 0, 1, 2, 3, 4, 5]).reshape(3, 4)
    np.testing.assert_array_equal(packed, np.clip(steps + x.zero_point, 0, 255))
    item = program.outputs[0]
    raw = np.arange(item.size_bytes, dtype=np.uint8)
    output = unpack_outputs(program, lambda at, size: raw.tobytes())["out0"]
    assert output.shape == (1, 3, 1, 4) and output.dtype == {"f32": np.float32, "i8": np.int8, "u8": np.uint8}[item.dtype]


def test_missing_inputs_are_named(program):
    with pytest.raises(CompilerError) as error:
        pack_inputs(program, {"x": np.zeros(1)})
    assert str(error.value) == f"inputs of {program.name}: found x; expected in0; give these arrays"


def test_provenance_names_nodes_and_tiles(program):
    kinds = {program.layer_of(n).op for n in range(len(program.instructions))}
    assert kinds == {"Conv", "Add"} and {layer.origin for layer in program.layers} == {("onnx_conv0",), ("onnx_add1",)}
    assert program.describe(len(program.instructions) - 1).startswith("onnx_add1 (Add) tile n0 y")
    assert program.layers[0].macs == 8 * 8 * 9 * 36


@pytest.mark.parametrize(("change", "expected"), [
    (lambda m, p: m.pop("inputs"), "program, manifest: found inputs: Field required; expected the fields of format 2; compile the network again"),
    (lambda m, p: m["inputs"][0].update(lanes="4"),
     "program, manifest: found inputs.0.lanes: Input should be a valid integer; expected the fields of format 2; compile the network again"),
    (lambda m, p: m["outputs"][0].update(size_bytes=1),
     "program, tensor out0: found 1 bytes for shape (1, 8, 6, 6) in 4 lanes; expected types, shapes and sizes that fit each other; compile the network again"),
    (lambda m, p: m["outputs"][0].update(function=[0] * 256, dtype="i8"),
     "program, tensor out0: found a function of 256 values of i8 as i8; expected types, shapes and sizes that fit each other; compile the network again"),
    (lambda m, p: m["outputs"][0].update(function=[0] * 255, dtype="f32"),
     "program, tensor out0: found a function of 255 values of i8 as f32; expected types, shapes and sizes that fit each other; compile the network again"),
    (lambda m, p: m["outputs"][0].update(function=[0] * 255 + [1 << 32], dtype="f32"),
     "program, tensor out0: found a function of 256 values of i8 as f32; expected types, shapes and sizes that fit each other; compile the network again"),
    (lambda m, p: m["inputs"][0].update(scale=0.0),
     "program, tensor in0: found scale 0.0 of i8; expected types, shapes and sizes that fit each other; compile the network again"),
    (lambda m, p: m.update(external_bytes=1 << 40),
     "program: found 1099511627776 bytes of external memory; expected at most 16777216, what tiny has; compile the network again"),
    (lambda m, p: p.update({"provenance.json": b'{"layers": [], "instructions": [[-1, ""]]}'}),
     "program, provenance: found instructions.0.0: Input should be greater than or equal to 0; expected layers and instructions; compile the network again"),
    (lambda m, p: p.update({"provenance.json": p["provenance.json"].replace(b"[1,", b"[7,")}),
     "program: found provenance in layer 7; expected below 2; compile the network again"),
    (lambda m, p: p.update({"constants.bin": p["constants.bin"] + b"\0"}), None),
])
def test_a_manifest_that_does_not_fit_is_refused(program, change, expected):
    """Every checksum holds: only the contents are wrong."""
    if expected is None:
        size = sum(len(data) for _, data in program.segments)
        expected = f"program: found {size + 1} bytes of constants; expected {size}; compile the network again"
    assert message(rewritten(program, change)) == expected
