"""Program files: bytes of the archive; its members, with checksums that hold, so that only the loader's own checks stand before the machine."""

from __future__ import annotations

import hashlib
import io
import json
import random
import warnings
import zipfile
from pathlib import Path
from typing import Any

from compiler.program import PAYLOADS, manifest_checksum
from covenant.fuzz.case import Draw
from covenant.fuzz.damage import damaged_bytes, damaged_text, damaged_value
from covenant.fuzz.families.compiled import NAMES, program
from covenant.fuzz.families.family import Command, Family

__all__ = ["PROGRAMS", "packed"]


def packed(members: dict[str, bytes], *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip archive."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def _member(rng: random.Random, members: dict[str, bytes], manifest: dict[str, Any]) -> None:
    """Damage one member; that of the manifest is done to its values."""
    kind = rng.random()
    if kind < 0.5:
        damaged_value(rng, manifest)
    elif kind < 0.65:
        provenance = json.loads(members["provenance.json"])
        damaged_value(rng, provenance)
        members["provenance.json"] = json.dumps(provenance).encode()
    elif kind < 0.75:
        members["architecture.yaml"] = damaged_text(rng, members["architecture.yaml"].decode(errors="replace")).encode(errors="replace")
    elif kind < 0.98:
        name = rng.choice(PAYLOADS)
        members[name] = damaged_bytes(rng, members[name])
    elif kind < 0.99:
        members[rng.choice(PAYLOADS)] = bytes(rng.choice((0, 1, 1 << 20, 40 << 20)))
    else:
        members["provenance.json"] = b'{"layers":[' + rng.choice((b"[],", b"0,", b"{},", b'"",')) * rng.choice((100, 1_000_000)) + b'0],"instructions":[]}'


def _make(draw: Draw, folder: Path) -> list[Command]:
    base = draw.base
    data = program(base.choice(NAMES)).to_bytes()
    if base.random() < 0.3:
        for rng in draw.edits:
            data = damaged_bytes(rng, data)
    else:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        manifest = json.loads(members.pop("manifest.json"))
        for rng in draw.edits:
            try:
                _member(rng, members, manifest)
            except ValueError:
                damaged_value(rng, manifest)  # an earlier edit left no JSON
        if base.random() < 0.95 and isinstance(manifest, dict):
            if isinstance(manifest.get("sha256"), dict):
                manifest["sha256"] |= {name: hashlib.sha256(content).hexdigest() for name, content in members.items()}
            manifest["checksum"] = manifest_checksum(manifest)
        text = json.dumps(manifest).encode()
        data = packed({"manifest.json": damaged_bytes(base, text) if base.random() < 0.05 else text, **members})
    (folder / "p.covenant").write_bytes(data)
    first: Command = [base.choice(("predict", "predict", "disasm")), "p.covenant"]
    return [first, ["run", "p.covenant", "--on", "iss", "--quiet"]]


def _prepare() -> None:
    for name in NAMES:
        program(name)


PROGRAMS = Family("program", "program files, as bytes and as members whose checksums hold", 38, _make, _prepare)
