"""Kernels by what decides them: one body for one core is scheduled once in a process, and comes out the same in every one.

Where a folder is named (`compiler.kept`) they outlive the process: a file a kernel, its name a digest of recipe, shape, core and the sources that schedule, its
content JSON with a digest in front. A file appears whole or not at all, so that processes and users may share the folder; what is damaged, or may not be
read or written, is as if it were not there.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import cache, lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import acg.kinds.core
from acg.kinds.core.packets import Op
from compiler import kept
from compiler.kernels.body import Body
from compiler.kernels.core import Core, Misfit
from compiler.kernels.modulo import busiest
from compiler.kernels.pack import Packed, Packet, pack

__all__ = ["kernel", "least_packets"]

#: Bytes of the digest in front of a file, in hexadecimal.
_DIGEST = 64


@cache
def _sources_digest() -> str:
    """Of all that decides a kernel but its recipe's arguments, as it is when first asked for."""
    digest = hashlib.sha256()
    for package in (Path(__file__).parent, Path(str(acg.kinds.core.__file__)).parent):
        for path in sorted(package.rglob("*.py")):
            digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    for name in ("networkx", "numpy"):
        digest.update(version(name).encode() + b"\0")
    return digest.hexdigest()


def _spelled(value: Any) -> str | None:
    """A value in full, the same for equal ones alone; None where that is not sure."""
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value)
    if isinstance(value, tuple):
        inner = [_spelled(each) for each in value]
        return None if None in inner else f"({','.join(map(str, inner))})"
    if is_dataclass(value) and not isinstance(value, type):
        return _spelled((type(value).__qualname__, *(getattr(value, field.name) for field in fields(value))))
    return None


def _path(recipe: Callable[..., Body], shape: Any, core: Core) -> Path | None:
    """The file of a kernel; None where none is kept, or its shape cannot be spelled."""
    folder, spelled = kept.kernels(), _spelled((shape, core))
    if folder is None or spelled is None or recipe.__closure__:
        return None
    key = "\0".join([recipe.__module__, recipe.__qualname__, spelled, _sources_digest()])
    return folder / f"{hashlib.sha256(key.encode()).hexdigest()}.json"


def _written(found: Packed | Misfit) -> bytes:
    if isinstance(found, Misfit):
        content: dict[str, Any] = {"misfit": str(found)}
    else:
        content = {part: [{slot: [op.name, op.stage, op.late, dict(op.fields)] for slot, op in packet.items()} for packet in getattr(found, part)]
                   for part in ("prologue", "head", "body")} | {name: getattr(found, name) for name in ("drain", "bound", "registers")}  # fmt: skip
    text = json.dumps(content, separators=(",", ":")).encode()
    return hashlib.sha256(text).hexdigest().encode() + text


def _read(data: bytes) -> Packed | Misfit | None:
    """What `_written` wrote; None of anything else."""
    if hashlib.sha256(data[_DIGEST:]).hexdigest().encode() != data[:_DIGEST]:
        return None
    content = json.loads(data[_DIGEST:])
    if "misfit" in content:
        return Misfit(content["misfit"])

    def packets(part: str) -> tuple[Packet, ...]:
        return tuple({slot: Op(name, stage, late, fields) for slot, (name, stage, late, fields) in packet.items()} for packet in content[part])

    return Packed(packets("prologue"), packets("head"), packets("body"), content["drain"], content["bound"], content["registers"])


def _kept(path: Path) -> Packed | Misfit | None:
    try:
        return _read(path.read_bytes())
    except (OSError, ValueError):
        return None


def _keep(path: Path, found: Packed | Misfit) -> None:
    """Write a file beside its place and put it there; a folder that takes none has none."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, part = tempfile.mkstemp(prefix=".", suffix=".part", dir=path.parent)
    except (OSError, ValueError):  # no folder, or no name of one
        return
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(_written(found))
        os.chmod(part, 0o644)  # mkstemp's are of one user
        os.replace(part, path)
    except OSError:
        pass
    finally:
        Path(part).unlink(missing_ok=True)


def _made(recipe: Callable[[Any, Core], Body], shape: Any, core: Core) -> Packed | Misfit:
    try:
        return pack(recipe(shape, core), core)
    except Misfit as misfit:
        return misfit


@lru_cache(maxsize=2048)
def _found(recipe: Callable[[Any, Core], Body], shape: Any, core: Core) -> Packed | Misfit:
    path = _path(recipe, shape, core)
    found = None if path is None else _kept(path)
    if found is None:
        found = _made(recipe, shape, core)
        if path is not None:
            _keep(path, found)
    return found


def kernel(recipe: Callable[[Any, Core], Body], shape: Any, core: Core) -> Packed:
    """The kernel that a recipe makes of a shape. Raises Misfit where the core cannot hold it."""
    found = _found(recipe, shape, core)
    if isinstance(found, Misfit):
        raise Misfit(str(found))
    return found


@lru_cache(maxsize=4096)
def least_packets(recipe: Callable[[Any, Core], Body], shape: Any, core: Core) -> int:
    """Packets of an iteration that slots alone allow."""
    return busiest(recipe(shape, core).items, core)
