"""Reading a program file, and refusing what the machine could not run.

Every refusal is a ProgramError that says where, what was found, what was expected and what to do.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from acg.description.yaml_source import MOST_BYTES as MOST_DESCRIPTION_BYTES
from acg.errors import InstructionError
from acg.fingerprint import fingerprint
from acg.graph import Graph, parse_graph
from acg.isa import instruction_set
from compiler.archive import Archive, ArchiveError, read_bytes
from compiler.check_program import AGAIN, MOST_INSTRUCTIONS, ProgramError, check_program
from compiler.manifest import MOST_MANIFEST_BYTES, Manifest, Provenance, parse, read_json
from compiler.program import FORMAT, PAYLOADS, Program, manifest_checksum

#: Most bytes of a program file. Constants hardly pack: more than this is more than any machine of archs/ has external memory for.
MOST_FILE_BYTES = 1 << 30
#: Most bytes of a file's provenance: of its layers, and of each instruction (the number of its layer, its tile).
MOST_LAYERS_BYTES, MOST_TILE_BYTES = 4 << 20, 200


def load_program(path: str | Path, graph: Graph) -> Program:
    """Read and check a program file for `graph`. Raises ProgramError."""
    path = Path(path)
    return parse_program(_bytes(path), graph, where=f"program {path.name}")


def _bytes(path: Path) -> bytes:
    try:
        return read_bytes(path, most_bytes=MOST_FILE_BYTES)
    except OSError as error:
        raise ProgramError(f"program {path.name}", found=error.strerror or "an unreadable file", expected="a program file", do="check the path") from None
    except ArchiveError as error:
        raise ProgramError(f"program {path.name}", found=str(error), expected="a program file", do="check the path") from None


def carried_architecture(path: str | Path) -> Graph:
    """Return the architecture that a program file was compiled for, as the file describes it.

    Raises ProgramError, or ArchitectureError for a description that is none.
    """
    where = f"program {Path(path).name}"
    return parse_graph(_description(_archive(_bytes(Path(path)), where), where), name=f"{where}, architecture.yaml")


def _archive(data: bytes, where: str) -> Archive:
    try:
        return Archive(data)
    except ArchiveError as error:
        raise _damaged(where, error) from None


def _damaged(where: str, error: ArchiveError) -> ProgramError:
    return ProgramError(where, found=f"a damaged or truncated archive ({error})", expected="a program file", do=AGAIN)


def _member(archive: Archive, name: str, most_bytes: int, where: str) -> bytes:
    try:
        return archive.read(name, most_bytes=most_bytes)
    except ArchiveError as error:
        raise _damaged(where, error) from None


def _description(archive: Archive, where: str) -> str:
    try:
        return _member(archive, "architecture.yaml", MOST_DESCRIPTION_BYTES, where).decode()
    except UnicodeDecodeError:
        raise ProgramError(f"{where}, architecture.yaml", found="bytes that are not UTF-8", expected="an architecture description", do=AGAIN) from None


def parse_program(data: bytes, graph: Graph, *, where: str = "program") -> Program:
    """Read and check the bytes of a program file. Raises ProgramError.

    The manifest is read first: what it says of the other members, within what `graph` has room for, bounds what is unpacked of them.
    """
    archive = _archive(data, where)
    manifest = _manifest(_member(archive, "manifest.json", MOST_MANIFEST_BYTES, where), where)
    own = f"{fingerprint(graph):016x}"
    if manifest.fingerprint != own:
        raise ProgramError(
            where, found=f"fingerprint {manifest.fingerprint} of architecture {manifest.architecture}",
            expected=f"{own} of {graph.name}", do="compile it for this architecture",
        )
    if manifest.instructions > MOST_INSTRUCTIONS:
        raise ProgramError(where, found=f"{manifest.instructions} instructions", expected=f"at most {MOST_INSTRUCTIONS}", do="divide the network")
    bounds = {
        "architecture.yaml": MOST_DESCRIPTION_BYTES, "instructions.bin": manifest.instructions * instruction_set(graph).instruction_bytes,
        "constants.bin": graph.external.size_bytes, "provenance.json": MOST_LAYERS_BYTES + manifest.instructions * MOST_TILE_BYTES,
    }
    files = {}
    for name in PAYLOADS:
        files[name] = _member(archive, name, bounds[name], where)
        digest, wanted = hashlib.sha256(files[name]).hexdigest(), manifest.sha256.get(name, "none")
        if digest != wanted:
            raise ProgramError(f"{where}, {name}", found=f"SHA-256 {digest[:16]}..", expected=f"{wanted[:16]}..", do=AGAIN)
    program = _program(manifest, files, _description(archive, where), graph, where)
    check_program(program, graph, where=where)
    return program


def _manifest(text: bytes, where: str) -> Manifest:
    try:
        fields = read_json(text)
        version = fields["format"]
    except (ValueError, KeyError):
        raise ProgramError(f"{where}, manifest", found="no readable manifest", expected=f"format {FORMAT}", do=AGAIN) from None
    if version != FORMAT:
        raise ProgramError(f"{where}, manifest", found=f"format {version!r:.40}", expected=f"format {FORMAT}", do=AGAIN)
    if fields.get("checksum") != manifest_checksum(fields):
        raise ProgramError(f"{where}, manifest", found="a checksum that does not hold", expected="an unchanged manifest", do=AGAIN)
    try:
        return parse(Manifest, text)
    except ValueError as error:
        raise ProgramError(f"{where}, manifest", found=str(error), expected=f"the fields of format {FORMAT}", do=AGAIN) from None


def _program(manifest: Manifest, files: dict[str, bytes], description: str, graph: Graph, where: str) -> Program:
    try:
        instructions = instruction_set(graph).decode_program(files["instructions.bin"])
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
        description=description,
        instructions=tuple(instructions), code=files["instructions.bin"], program_address=manifest.program_address, segments=tuple(segments),
        inputs=manifest.inputs, outputs=manifest.outputs, layers=provenance.layers, provenance=provenance.instructions,
        external_bytes=manifest.external_bytes, memory_map=manifest.memory_map, choices=dict(manifest.choices),
    )
