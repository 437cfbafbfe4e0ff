"""Reading a program file, and refusing what the machine could not run.

Every refusal is a ProgramError that says where, what was found, what was expected and what to do.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from acg.errors import InstructionError
from acg.fingerprint import fingerprint
from acg.footprint import Access, Footprints
from acg.graph import Graph
from acg.isa import COUNTER_BITS, Instruction, InstructionSet
from compiler.errors import CompilerError
from compiler.program import FORMAT, PAYLOADS, EdgeTensor, Layer, Placed, Program, manifest_checksum

AGAIN = "compile the network again"
#: A wait compares modulo the counter: no count may lie further back than half its range.
HALF_RANGE = 1 << (COUNTER_BITS - 1)


class ProgramError(CompilerError):
    """A program file or program that is not to be run."""


def load_program(path: str | Path, graph: Graph) -> Program:
    """Read and check a program file for `graph`. Raises ProgramError."""
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ProgramError(f"program {path.name}", found=error.strerror or "an unreadable file", expected="a program file", do="check the path") from None
    return parse_program(data, graph, where=f"program {path.name}")


def parse_program(data: bytes, graph: Graph, *, where: str = "program") -> Program:
    """Read and check the bytes of a program file. Raises ProgramError."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            files = {name: archive.read(name) for name in ("manifest.json", *PAYLOADS)}
    except (zipfile.BadZipFile, KeyError, EOFError, OSError, NotImplementedError, RuntimeError, zlib.error) as error:
        raise ProgramError(where, found=f"a damaged or truncated archive ({error})", expected="a program file", do=AGAIN) from None
    try:
        manifest = json.loads(files["manifest.json"])
        version = manifest["format"]
    except (ValueError, KeyError, TypeError):
        raise ProgramError(f"{where}, manifest", found="no readable manifest", expected=f"format {FORMAT}", do=AGAIN) from None
    if version != FORMAT:
        raise ProgramError(f"{where}, manifest", found=f"format {version}", expected=f"format {FORMAT}", do=AGAIN)
    if manifest.get("checksum") != manifest_checksum(manifest):
        raise ProgramError(f"{where}, manifest", found="a checksum that does not hold", expected="an unchanged manifest", do=AGAIN)
    for name in PAYLOADS:
        digest = hashlib.sha256(files[name]).hexdigest()
        if digest != manifest["sha256"][name]:
            raise ProgramError(f"{where}, {name}", found=f"SHA-256 {digest[:16]}..", expected=f"{manifest['sha256'][name][:16]}..", do=AGAIN)
    own = f"{fingerprint(graph):016x}"
    if manifest["fingerprint"] != own:
        raise ProgramError(
            where, found=f"fingerprint {manifest['fingerprint']} of architecture {manifest['architecture']}",
            expected=f"{own} of {graph.name}", do="compile it for this architecture",
        )
    program = _program(manifest, files, graph, where)
    check_program(program, graph, where=where)
    return program


def _program(manifest: dict, files: dict[str, bytes], graph: Graph, where: str) -> Program:
    try:
        instructions = InstructionSet(graph).decode_program(files["instructions.bin"])
    except InstructionError as error:
        raise ProgramError(where, found=str(error), expected=f"instructions of {graph.name}", do=AGAIN) from None
    if len(instructions) != manifest["instructions"]:
        raise ProgramError(where, found=f"{len(instructions)} instructions", expected=f"{manifest['instructions']}", do=AGAIN)
    sizes = [size for _, size in manifest["segments"]]
    if sum(sizes) != len(files["constants.bin"]):
        raise ProgramError(where, found=f"{len(files['constants.bin'])} bytes of constants", expected=f"{sum(sizes)}", do=AGAIN)
    segments, position = [], 0
    for address, size in manifest["segments"]:
        segments.append((address, files["constants.bin"][position : position + size]))
        position += size
    provenance = json.loads(files["provenance.json"])
    return Program(
        name=manifest["name"], architecture=manifest["architecture"], fingerprint=int(manifest["fingerprint"], 16),
        instructions=tuple(instructions), code=files["instructions.bin"], program_address=manifest["program_address"], segments=tuple(segments),
        inputs=tuple(_edge(item) for item in manifest["inputs"]), outputs=tuple(_edge(item) for item in manifest["outputs"]),
        layers=tuple(Layer(**{**item, "origin": tuple(item["origin"])}) for item in provenance["layers"]),
        provenance=tuple((layer, tile) for layer, tile in provenance["instructions"]), external_bytes=manifest["external_bytes"],
        memory_map=tuple(Placed(**item) for item in manifest["memory_map"]),
    )


def _edge(item: dict[str, Any]) -> EdgeTensor:
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in item.items()}
    return EdgeTensor(**values)


def check_program(program: Program, graph: Graph, *, where: str = "program") -> None:
    """Check what the file's checksums cannot: addresses, bank conflicts within an instruction, waits. Raises ProgramError."""
    size = graph.external.size_bytes
    for address, data in program.image:
        if address < 0 or address + len(data) > size:
            raise ProgramError(where, found=f"{len(data)} bytes at {address:#x}", expected=f"addresses below {size:#x}", do=AGAIN)
    for item in (*program.inputs, *program.outputs):
        if item.address < 0 or item.address + item.size_bytes > size:
            raise ProgramError(f"{where}, tensor {item.name}", found=f"address {item.address:#x}", expected=f"below {size:#x}", do=AGAIN)
    if program.provenance and len(program.provenance) != len(program.instructions):
        raise ProgramError(where, found=f"provenance of {len(program.provenance)} instructions", expected=f"{len(program.instructions)}", do=AGAIN)
    check_instructions(program.instructions, graph, where=where)


def check_instructions(instructions: Sequence[Instruction], graph: Graph, *, where: str = "program") -> None:
    """Check the footprint and the waits of every instruction. Raises ProgramError naming the first at fault."""
    footprints = Footprints(graph)
    retired = dict.fromkeys(graph.engines, 0)
    for number, instruction in enumerate(instructions):
        here = f"{where}, instruction {number} ({instruction.engine})"
        _check_selects(instruction, graph, here)
        accesses = footprints(instruction)
        for access in accesses:
            size = graph.memories[access.memory].size_bytes
            if access.lo_byte < 0 or access.hi_byte > size:
                raise ProgramError(
                    here, found=f"port {access.port} at bytes {access.lo_byte:#x} to {access.hi_byte:#x} of {access.memory}",
                    expected=f"addresses below {size:#x}", do=AGAIN,
                )
        _check_banks(accesses, graph, here)
        for name, count in instruction.waits.items():
            ahead = (retired[name] - count) & ((1 << COUNTER_BITS) - 1)
            if ahead >= HALF_RANGE:
                raise ProgramError(
                    here, found=f"a wait for {count} retired instructions of {name}", expected=f"at most the {retired[name]} that precede it", do=AGAIN
                )
        retired[instruction.engine] += 1


def _check_selects(instruction: Instruction, graph: Graph, here: str) -> None:
    kind = graph.engines[instruction.engine].kind
    ports = {"load": {"select": "destination"}, "store": {"select": "source"}, "vector": {"a_select": "a", "b_select": "b", "y_select": "y"}}
    for field, port in ports.get(kind, {}).items():
        links = len(graph.links_of(instruction.engine, port))
        used = field != "b_select" or instruction.fields.get("b_enable", 0)
        if used and instruction.fields.get(field, 0) >= links:
            raise ProgramError(here, found=f"{field} {instruction.fields[field]}", expected=f"below {links}, the links of port {port}", do=AGAIN)


def _check_banks(accesses: list[Access], graph: Graph, here: str) -> None:
    for index, one in enumerate(accesses):
        for two in accesses[index + 1 :]:
            if (one.memory, one.write) != (two.memory, two.write) or graph.memories[one.memory].kind == "external":
                continue
            first, last = max(one.first_bank, two.first_bank), min(one.last_bank, two.last_bank)
            if first <= last:
                raise ProgramError(
                    here, found=f"ports {one.port} and {two.port} in bank {first} of {one.memory}",
                    expected="operands that are used at the same time in different banks", do=AGAIN,
                )
