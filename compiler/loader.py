"""Reading a program file, and refusing what the machine could not run.

Every refusal is a ProgramError that says where, what was found, what was expected and what to do.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

from acg.errors import InstructionError
from acg.fingerprint import fingerprint
from acg.footprint import Access, Footprints
from acg.graph import Graph, parse_graph
from acg.isa import COUNTER_BITS, Instruction, InstructionSet
from compiler.errors import CompilerError
from compiler.manifest import Manifest, Provenance, edge_fault, parse, read_json
from compiler.program import FORMAT, PAYLOADS, Program, manifest_checksum

AGAIN = "compile the network again"
#: A wait compares modulo the counter: no count may lie further back than half its range.
HALF_RANGE = 1 << (COUNTER_BITS - 1)


class ProgramError(CompilerError):
    """A program file or program that is not to be run."""


def load_program(path: str | Path, graph: Graph) -> Program:
    """Read and check a program file for `graph`. Raises ProgramError."""
    path = Path(path)
    return parse_program(_bytes(path), graph, where=f"program {path.name}")


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ProgramError(f"program {path.name}", found=error.strerror or "an unreadable file", expected="a program file", do="check the path") from None


def carried_architecture(path: str | Path) -> Graph:
    """Return the architecture that a program file was compiled for, as the file describes it.

    Raises ProgramError, or ArchitectureError for a description that is none.
    """
    where = f"program {Path(path).name}"
    return parse_graph(_description(_members(_bytes(Path(path)), ("architecture.yaml",), where), where), name=f"{where}, architecture.yaml")


def _members(data: bytes, names: Sequence[str], where: str) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return {name: archive.read(name) for name in names}
    except (zipfile.BadZipFile, KeyError, EOFError, OSError, NotImplementedError, RuntimeError, ValueError, zlib.error) as error:
        raise ProgramError(where, found=f"a damaged or truncated archive ({error})", expected="a program file", do=AGAIN) from None


def _description(files: dict[str, bytes], where: str) -> str:
    try:
        return files["architecture.yaml"].decode()
    except UnicodeDecodeError:
        raise ProgramError(f"{where}, architecture.yaml", found="bytes that are not UTF-8", expected="an architecture description", do=AGAIN) from None


def parse_program(data: bytes, graph: Graph, *, where: str = "program") -> Program:
    """Read and check the bytes of a program file. Raises ProgramError."""
    files = _members(data, ("manifest.json", *PAYLOADS), where)
    try:
        fields = read_json(files["manifest.json"])
        version = fields["format"]
    except (ValueError, KeyError):
        raise ProgramError(f"{where}, manifest", found="no readable manifest", expected=f"format {FORMAT}", do=AGAIN) from None
    if version != FORMAT:
        raise ProgramError(f"{where}, manifest", found=f"format {version}", expected=f"format {FORMAT}", do=AGAIN)
    if fields.get("checksum") != manifest_checksum(fields):
        raise ProgramError(f"{where}, manifest", found="a checksum that does not hold", expected="an unchanged manifest", do=AGAIN)
    try:
        manifest = parse(Manifest, files["manifest.json"])
    except ValueError as error:
        raise ProgramError(f"{where}, manifest", found=str(error), expected=f"the fields of format {FORMAT}", do=AGAIN) from None
    for name in PAYLOADS:
        digest, wanted = hashlib.sha256(files[name]).hexdigest(), manifest.sha256.get(name, "none")
        if digest != wanted:
            raise ProgramError(f"{where}, {name}", found=f"SHA-256 {digest[:16]}..", expected=f"{wanted[:16]}..", do=AGAIN)
    own = f"{fingerprint(graph):016x}"
    if manifest.fingerprint != own:
        raise ProgramError(
            where, found=f"fingerprint {manifest.fingerprint} of architecture {manifest.architecture}",
            expected=f"{own} of {graph.name}", do="compile it for this architecture",
        )
    program = _program(manifest, files, graph, where)
    check_program(program, graph, where=where)
    return program


def _program(manifest: Manifest, files: dict[str, bytes], graph: Graph, where: str) -> Program:
    try:
        instructions = InstructionSet(graph).decode_program(files["instructions.bin"])
    except InstructionError as error:
        raise ProgramError(where, found=str(error), expected=f"instructions of {graph.name}", do=AGAIN) from None
    if len(instructions) != manifest.instructions:
        raise ProgramError(where, found=f"{len(instructions)} instructions", expected=f"{manifest.instructions}", do=AGAIN)
    total = sum(size for _, size in manifest.segments)
    if total != len(files["constants.bin"]):
        raise ProgramError(where, found=f"{len(files['constants.bin'])} bytes of constants", expected=f"{total}", do=AGAIN)
    segments, position = [], 0
    for address, size in manifest.segments:
        segments.append((address, files["constants.bin"][position : position + size]))
        position += size
    try:
        provenance = parse(Provenance, files["provenance.json"])
    except ValueError as error:
        raise ProgramError(f"{where}, provenance", found=str(error), expected="layers and instructions", do=AGAIN) from None
    return Program(
        name=manifest.name, architecture=manifest.architecture, fingerprint=int(manifest.fingerprint, 16),
        description=_description(files, where),
        instructions=tuple(instructions), code=files["instructions.bin"], program_address=manifest.program_address, segments=tuple(segments),
        inputs=manifest.inputs, outputs=manifest.outputs, layers=provenance.layers, provenance=provenance.instructions,
        external_bytes=manifest.external_bytes, memory_map=manifest.memory_map,
    )


def check_program(program: Program, graph: Graph, *, where: str = "program") -> None:
    """Check what the file's checksums cannot: addresses, bank conflicts within an instruction, waits. Raises ProgramError."""
    size = program.external_bytes
    if size > graph.external.size_bytes:
        raise ProgramError(
            where, found=f"{size} bytes of external memory", expected=f"at most {graph.external.size_bytes}, what {graph.name} has", do=AGAIN
        )
    for address, data in program.image:
        if address < 0 or address + len(data) > size:
            raise ProgramError(where, found=f"{len(data)} bytes at {address:#x}", expected=f"addresses below {size:#x}", do=AGAIN)
    for item in (*program.inputs, *program.outputs):
        fault = edge_fault(item)
        if fault is not None:
            raise ProgramError(f"{where}, tensor {item.name}", found=fault, expected="types, shapes and sizes that fit each other", do=AGAIN)
        if item.address < 0 or item.address + item.size_bytes > size:
            raise ProgramError(f"{where}, tensor {item.name}", found=f"address {item.address:#x}", expected=f"below {size:#x}", do=AGAIN)
    if len(program.provenance) != len(program.instructions):
        raise ProgramError(where, found=f"provenance of {len(program.provenance)} instructions", expected=f"{len(program.instructions)}", do=AGAIN)
    unknown = next((layer for layer, _ in program.provenance if not 0 <= layer < len(program.layers)), None)
    if unknown is not None:
        raise ProgramError(where, found=f"provenance in layer {unknown}", expected=f"below {len(program.layers)}", do=AGAIN)
    check_instructions(program.instructions, graph, where=where, external_bytes=size)


def check_instructions(
    instructions: Sequence[Instruction], graph: Graph, *, where: str = "program", external_bytes: int | None = None
) -> None:
    """Check the footprint and the waits of every instruction. Raises ProgramError naming the first at fault.

    `external_bytes` bounds the addresses of external memory, all of it unless given.
    """
    footprints = Footprints(graph)
    sizes = {name: memory.size_bytes for name, memory in graph.memories.items()}
    if external_bytes is not None:
        sizes[graph.external.name] = external_bytes
    retired = dict.fromkeys(graph.engines, 0)
    for number, instruction in enumerate(instructions):
        here = f"{where}, instruction {number} ({instruction.engine})"
        _check_selects(instruction, graph, here)
        accesses = footprints(instruction)
        for access in accesses:
            size = sizes[access.memory]
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
