"""A compiled program: instructions, constants, descriptors of its edges, provenance; and its file.

The file is a zip archive with fixed timestamps (same program, same bytes; no pickle):

    architecture.yaml   the description of the machine that it was compiled for
    manifest.json       format, architecture, fingerprint, tensors, memory map, counts, program address, SHA-256 of each payload
    instructions.bin    encoded instructions
    constants.bin       constant segments, one after another (their addresses stand in the manifest)
    provenance.json     layers (name, operator, ONNX nodes, MACs, family, channels) and, for each instruction, its layer and tile
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import FailFast, Field

from acg.isa import Instruction

FORMAT = 2
PAYLOADS = ("architecture.yaml", "instructions.bin", "constants.bin", "provenance.json")
#: An address, a size or a number of something; and a whole number of any sign. As the manifest's schema bounds them (`compiler.manifest`).
Count = Annotated[int, Field(ge=0, lt=1 << 63)]
Whole = Annotated[int, Field(ge=-(1 << 63), lt=1 << 63)]
#: Family of layers whose filters see a single channel each, whatever engine has them.
DEPTHWISE = "depthwise"
_TIMESTAMP = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class EdgeTensor:
    """A network input or output: `name`, `dtype`, `shape` as ONNX has it; `tensor_*` as the machine has it.

    `stored_shape` (N, C, H, W), `lanes` and `planes` give the layout of the `size_bytes` bytes at `address` of external memory;
    `tensor_shape` is a row-major reinterpretation of it, unless `unfold` says that the bytes are windows of the tensor: kernel, strides,
    dilations and pads, each (y, x). `scale` None: raw integers. `function`: see `compiler.ir.network.EdgeOutput`.
    """

    name: str
    dtype: str
    shape: Annotated[tuple[Count, ...], Field(max_length=64)]
    tensor_dtype: str
    tensor_shape: tuple[Count, Count, Count, Count]
    scale: float | None
    zero_point: Whole
    stored_shape: tuple[Count, Count, Count, Count]
    lanes: Count
    address: Count
    size_bytes: Count
    unfold: Annotated[tuple[Count, ...], FailFast()] = ()
    function: Annotated[tuple[Count, ...], FailFast()] = ()
    planes: bool = False


@dataclass(frozen=True)
class Layer:
    """A codelet of the program: `name`, operator, ONNX nodes it comes from, multiplications, family and channels of its result ('' and 0: a file made
    before programs said so)."""

    name: str
    op: str
    origin: Annotated[tuple[str, ...], FailFast()]
    macs: Count
    family: str = ""
    channels: Count = 0

    @property
    def label(self) -> str:
        """The operator as tables have it: what sees one channel at a time apart from what sees all."""
        return f"{self.op} ({DEPTHWISE})" if self.family == DEPTHWISE else self.op


@dataclass(frozen=True)
class Placed:
    """A buffer of the memory map: bytes [address, address + size_bytes) of `memory`."""

    name: str
    memory: str
    address: Count
    size_bytes: Count


@dataclass(frozen=True)
class Program:
    """A compiled network.

    Attributes
    ----------
    architecture, fingerprint : str, int
        The graph it was compiled for.
    description : str
        The YAML text of that graph.
    instructions : tuple[Instruction, ...]
        In program order, with their waits.
    code : bytes
        The same, encoded; it stands at `program_address` of external memory.
    segments : tuple[tuple[int, bytes], ...]
        Constants: byte address in external memory, bytes.
    inputs, outputs : tuple[EdgeTensor, ...]
    layers : tuple[Layer, ...]
    provenance : tuple[tuple[int, str], ...]
        For each instruction the number of its layer, and its tile.
    external_bytes : int
        External memory in use, from address 0.
    memory_map : tuple[Placed, ...]
        Resident tensors, and everything in external memory but constants and code.
    choices : dict[str, int]
        What was decided otherwise than the compiler does by itself (`compiler.ways.decisions`): compiled with them the same bytes come again.
    """

    name: str
    architecture: str
    fingerprint: int
    description: str
    instructions: tuple[Instruction, ...]
    code: bytes
    program_address: int
    segments: tuple[tuple[int, bytes], ...]
    inputs: tuple[EdgeTensor, ...]
    outputs: tuple[EdgeTensor, ...]
    layers: tuple[Layer, ...]
    provenance: tuple[tuple[int, str], ...]
    external_bytes: int
    memory_map: tuple[Placed, ...] = ()
    choices: dict[str, int] = field(default_factory=dict)

    @property
    def image(self) -> tuple[tuple[int, bytes], ...]:
        """All that external memory holds before the start, inputs excepted: constants and code."""
        return (*self.segments, (self.program_address, self.code))

    def layer_of(self, number: int) -> Layer:
        """Layer of an instruction."""
        return self.layers[self.provenance[number][0]]

    def describe(self, number: int) -> str:
        """Provenance of an instruction on one line: ONNX nodes, operator, tile."""
        layer, (_, tile) = self.layer_of(number), self.provenance[number]
        return f"{' + '.join(layer.origin) or layer.name} ({layer.op}) tile {tile}"

    def to_bytes(self) -> bytes:
        """The file's bytes."""
        payloads = {
            "architecture.yaml": self.description.encode(),
            "instructions.bin": self.code,
            "constants.bin": b"".join(data for _, data in self.segments),
            "provenance.json": _json({"layers": [asdict(layer) for layer in self.layers], "instructions": list(self.provenance)}),
        }
        manifest = {
            "format": FORMAT, "name": self.name, "architecture": self.architecture, "fingerprint": f"{self.fingerprint:016x}",
            "instructions": len(self.instructions), "program_address": self.program_address, "external_bytes": self.external_bytes,
            "segments": [[address, len(data)] for address, data in self.segments],
            "inputs": [_edge(item) for item in self.inputs], "outputs": [_edge(item) for item in self.outputs],
            "memory_map": [asdict(item) for item in self.memory_map], **({"choices": self.choices} if self.choices else {}),
            "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in payloads.items()},
        }
        manifest["checksum"] = manifest_checksum(manifest)
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in {"manifest.json": _json(manifest), **payloads}.items():
                entry = zipfile.ZipInfo(name, _TIMESTAMP)
                entry.compress_type, entry.external_attr, entry.create_system = zipfile.ZIP_DEFLATED, 0o644 << 16, 3
                archive.writestr(entry, data)
        return stream.getvalue()

    def save(self, path: str | Path) -> None:
        """Write the file: all of it or nothing."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            part.write_bytes(self.to_bytes())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


def _edge(item: EdgeTensor) -> dict:
    """The fields of an edge; `planes` only where there are some."""
    return {name: value for name, value in asdict(item).items() if name != "planes" or value}


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def manifest_checksum(manifest: dict) -> str:
    """SHA-256 over the manifest without its own checksum."""
    return hashlib.sha256(_json({key: value for key, value in manifest.items() if key != "checksum"})).hexdigest()
