"""Programs that no compiler writes: every checksum holds, and what they ask for is refused, in whole sentences, before anything of it is done."""

import io
import json
import time
import tracemalloc
import zipfile
from dataclasses import replace

import pytest

from acg.description.yaml_source import MOST_BYTES as MOST_DESCRIPTION_BYTES
from acg.graph import load_graph
from acg.isa import Instruction
from compiler.check_program import MOST_INSTRUCTIONS, ProgramError, check_instructions, check_program
from compiler.loader import MOST_LAYERS_BYTES, MOST_TILE_BYTES, carried_architecture, parse_program
from compiler.manifest import MOST_MANIFEST_BYTES
from compiler.passes import compile_network
from tests.compiler.random_networks import Sketch
from tests.compiler.test_compiler_program import rewritten

TINY = load_graph("tiny")
AGAIN = "compile the network again"
PLAIN = {"y_bound": 1, "x_bound": 1, "y_low": -128, "y_high": 127}


@pytest.fixture(scope="module")
def program():
    s = Sketch(1)
    x = s.input((1, 8, 6, 6), "i8")
    return compile_network(s.network(s.add(s.conv(x, 8, (3, 3), pads=(1, 1, 1, 1)), x)), TINY)


@pytest.fixture(scope="module")
def unfolded():
    """A program whose input is stored as windows."""
    s = Sketch(1)
    x = s.input((1, 1, 12, 12), "i8")
    made = compile_network(s.network(s.conv(x, 8, (3, 3), pads=(1, 1, 1, 1))), TINY)
    assert made.inputs[0].unfold
    return made


def refusal(given, graph=TINY):
    with pytest.raises(ProgramError) as error:
        parse_program(given, graph) if isinstance(given, bytes) else check_program(given, graph)
    return str(error.value)


@pytest.mark.parametrize(("instruction", "expected"), [
    (Instruction("vector", {**PLAIN, "reduce": 3}), "reduce 3; expected one of the reductions: 0, 1, 2"),
    (Instruction("vector", {**PLAIN, "b_enable": 1, "b_select": 3}), "b_select 3; expected one of the links of port b: 0, 1, 2"),
    (Instruction("vector", {**PLAIN, "n_0": 65536, "n_1": 65536, "n_2": 65536}), f"counts that make {(1 << 48) * 16 * 4} elements; expected at most {1 << 26} an instruction"),
    (Instruction("load", {f"n_{level}": 65536 for level in range(3)}), f"counts that make {(1 << 48) * 8 * 4} elements; expected at most {1 << 26} an instruction"),
    (Instruction("matrix", {**PLAIN, **{f"n_{level}": 65536 for level in range(6)}}),
     f"counts that make {(1 << 96) * 4} elements; expected at most {1 << 26} an instruction"),
    (Instruction("matrix", {**PLAIN, "n_5": 4}), "accumulator words that several positions of a pass add to; expected another word for each position"),
    (Instruction("vector", {**PLAIN, "a_select": 1, "n_5": 4, "a_stride_5": 1, "y_base": 1, "y_stride_5": 1}),
     "iterations whose port a reads what earlier ones have written; expected reads of what the instruction found, or of the iteration's own word"),
    (Instruction("load", {"n_3": 16}, {"store": 1}), "a wait for 1 retired instructions of store; expected at most the 0 that precede it"),
])
def test_instructions(instruction, expected):
    with pytest.raises(ProgramError) as error:
        check_instructions([instruction], TINY)
    assert str(error.value) == f"program, instruction 0 ({instruction.engine}): found {expected}; {AGAIN}"


def test_the_greatest_counts_are_refused_at_once():
    begin = time.process_time()
    for level in range(6):
        for engine in ("matrix", "vector"):
            fields = {f"n_{other}": 65536 for other in range(6) if other != level} | PLAIN
            with pytest.raises(ProgramError):
                check_instructions([Instruction(engine, fields)], TINY)
    assert time.process_time() - begin < 0.5


def test_the_number_of_instructions_is_bounded():
    with pytest.raises(ProgramError) as error:
        check_instructions([Instruction("load", {"n_3": 16})] * (MOST_INSTRUCTIONS + 1), TINY)
    assert str(error.value) == f"program: found {MOST_INSTRUCTIONS + 1} instructions; expected at most {MOST_INSTRUCTIONS}; divide the network"


def test_a_store_into_the_instructions(program):
    number = next(n for n, item in enumerate(program.instructions) if item.engine == "store")
    old = program.instructions[number]
    fields = {**old.fields, "ext_address": program.program_address + 8}
    bad = replace(program, instructions=(*program.instructions[:number], Instruction("store", fields, old.waits), *program.instructions[number + 1 :]))
    assert refusal(bad).startswith(f"program, instruction {number} (store): found port destination at bytes {program.program_address + 8:#x} to ")
    assert refusal(bad).endswith(f" of dram, where instructions are; expected another place; {AGAIN}")


def _edge(**values):
    return lambda m, p: m["inputs"][0].update(values)


def _twice(manifest, payloads):
    manifest["outputs"] *= 2


def _beside(manifest, payloads):
    manifest["inputs"].append({**manifest["inputs"][0], "address": 4096, "dtype": "f32"})


FIT = f"expected types, shapes and sizes that fit each other; {AGAIN}"
SCHEMA = f"expected the fields of format 2; {AGAIN}"


@pytest.mark.parametrize(("change", "expected"), [
    (lambda m, p: m.update(outputs=[]), f"program: found no outputs; expected at least one; {AGAIN}"),
    (_twice, f"program: found output out0 twice; expected each output once; {AGAIN}"),
    (_beside, f"program, tensor in0: found f32 (1, 8, 6, 6) beside i8 (1, 8, 6, 6); expected one type and shape of an input; {AGAIN}"),
    (lambda m, p: m.update(program_address=m["program_address"] + 4), "program: found instructions at {program + 4:#x}; expected a multiple of 128; " + AGAIN),
    (_edge(address=600), f"program: found input in0 and constants both at 0x260; expected places of their own; {AGAIN}"),
    (_edge(dtype="f64"), f"program, tensor in0: found type f64 kept as i8; {FIT}"),
    (_edge(dtype="i64"), f"program, tensor in0: found type i64 kept as i8; {FIT}"),
    (_edge(dtype="bool"), f"program, tensor in0: found type bool kept as i8; {FIT}"),
    (_edge(dtype="u8"), f"program, tensor in0: found type u8 kept as i8; {FIT}"),
    (_edge(tensor_dtype="f32", dtype="f32"), f"program, tensor in0: found type f32 kept as f32; {FIT}"),
    (_edge(zero_point=128), f"program, tensor in0: found zero point 128 of i8; {FIT}"),
    (_edge(zero_point=1 << 40), f"program, tensor in0: found zero point {1 << 40} of i8; {FIT}"),
    (_edge(zero_point=1 << 80), f"program, manifest: found inputs.0.zero_point: Input should be less than 9223372036854775808; {SCHEMA}"),
    (_edge(scale=1e300), f"program, tensor in0: found scale 1e+300 of i8; {FIT}"),
    (_edge(scale=0.1), f"program, tensor in0: found scale 0.1 of i8; {FIT}"),
    (_edge(shape=[-1, 8, 6, 6]), f"program, manifest: found inputs.0.shape.0: Input should be greater than or equal to 0; {SCHEMA}"),
    (_edge(shape=[1, 8, 0, 6]), f"program, tensor in0: found shapes (1, 8, 0, 6), (1, 8, 6, 6), (1, 8, 6, 6) in 4 lanes; {FIT}"),
    (_edge(shape=[1] * 65), f"program, manifest: found inputs.0.shape: Tuple should have at most 64 items after validation, not 65; {SCHEMA}"),
    (_edge(lanes=0), f"program, tensor in0: found shapes (1, 8, 6, 6), (1, 8, 6, 6), (1, 8, 6, 6) in 0 lanes; {FIT}"),
    (_edge(unfold=[3, 3]), f"program, tensor in0: found 2 numbers of an unfolding; {FIT}"),
    (_edge(unknown=1), f"program, manifest: found inputs.0.unknown: Unexpected keyword argument; {SCHEMA}"),
    (lambda m, p: m.update(instructions=1 << 40), f"program: found {1 << 40} instructions; expected at most {MOST_INSTRUCTIONS}; divide the network"),
    (lambda m, p: m.update(memory_map=[{"name": "", "memory": "", "address": 0, "size_bytes": 1 << 70}]),
     f"program, manifest: found memory_map.0.size_bytes: Input should be less than 9223372036854775808; {SCHEMA}"),
    (lambda m, p: p.update({"provenance.json": p["provenance.json"].replace(b'"macs":', b'"macs":1' + b"0" * 400)}),
     f"program, provenance: found layers.0.macs: Input should be less than 9223372036854775808; expected layers and instructions; {AGAIN}"),
])
def test_manifests(program, change, expected):
    if "{program" in expected:
        expected = expected.replace("{program + 4:#x}", f"{program.program_address + 4:#x}")
    assert refusal(rewritten(program, change)) == expected


@pytest.mark.parametrize("place", range(8))
@pytest.mark.parametrize("value", [0, 1 << 30])
def test_windows(unfolded, place, value):
    def change(manifest, payloads):
        manifest["inputs"][0]["unfold"][place] = value

    old = unfolded.inputs[0]
    changed = list(old.unfold)
    changed[place] = value
    # Without a pad there are other windows, of the same number; where the kernel is 1 no dilation is looked at.
    accepted = place >= 6 if value == 0 else place in (4, 5) and old.unfold[place - 4] == 1
    if accepted:
        assert parse_program(rewritten(unfolded, change), TINY).inputs[0].unfold == tuple(changed)
    else:
        what = f"an unfolding by {tuple(changed)} of shape {old.tensor_shape} to {old.stored_shape}"
        assert refusal(rewritten(unfolded, change)) == f"program, tensor {old.name}: found {what}; {FIT}"


@pytest.mark.parametrize(("name", "most"), [
    ("manifest.json", MOST_MANIFEST_BYTES), ("architecture.yaml", MOST_DESCRIPTION_BYTES), ("constants.bin", TINY.external.size_bytes),
    ("instructions.bin", None), ("provenance.json", None),
])
def test_bombs_are_refused_within_a_second_and_200_megabytes(program, name, most):
    """Members of 64 KB that unpack to 64 MB; larger ones end at the same comparison."""
    data = program.to_bytes()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {entry: archive.read(entry) for entry in archive.namelist()}
    members[name] = bytes(64 << 20)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for entry, content in members.items():
            archive.writestr(entry, content)
    del members
    bomb = stream.getvalue()
    count = len(program.instructions)
    most = most or {"instructions.bin": len(program.code), "provenance.json": MOST_LAYERS_BYTES + count * MOST_TILE_BYTES}[name]
    begin = time.process_time()
    tracemalloc.start()
    message = refusal(bomb)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 30 << 20 and time.process_time() - begin < 1
    assert message == (f"program: found a damaged or truncated archive (member {name} of {64 << 20} bytes, more than {most}); expected a program file; {AGAIN}")


@pytest.mark.parametrize("piece", [b"[],", b"0,", b"{},", b'"",'])
@pytest.mark.parametrize("member", ["manifest.json", "provenance.json"])
def test_long_lists_are_refused_at_their_first_fault(program, tmp_path, member, piece):
    def change(manifest, payloads):
        if member == "provenance.json":
            payloads[member] = b'{"layers":[' + piece * ((MOST_LAYERS_BYTES - 100) // len(piece)) + b'0],"instructions":[]}'
        else:
            manifest["segments"] = json.loads(b"[" + piece * (1_000_000 // len(piece)) + b"0]")

    bomb = rewritten(program, change)
    begin = time.process_time()
    assert len(refusal(bomb)) < 300
    assert time.process_time() - begin < 1.5


def test_the_description_inside_is_bounded_before_it_is_parsed(program, tmp_path):
    (tmp_path / "p").write_bytes(rewritten(program, lambda m, p: p.update({"architecture.yaml": b"a: " + b"[0," * 100_000})))
    with pytest.raises(ProgramError) as error:
        carried_architecture(tmp_path / "p")
    assert str(error.value) == (f"program p: found a damaged or truncated archive (member architecture.yaml of 300003 bytes, more than {MOST_DESCRIPTION_BYTES}); "
                                f"expected a program file; {AGAIN}")


def test_a_file_without_end(tmp_path):
    with pytest.raises(ProgramError) as error:
        carried_architecture("/dev/null")
    assert str(error.value) == f"program null: found a damaged or truncated archive (File is not a zip file); expected a program file; {AGAIN}"
