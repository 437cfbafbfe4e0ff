"""Files of JSON lines that grow as something is found, and the digest of sources that such findings depend on."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from acg.packages import packages
from covenant.errors import UserError

__all__ = ["Lines", "digest_of", "read_lines"]

#: Kinds of files that decide what is found.
_SUFFIXES = (".py", ".v", ".sv", ".cpp", ".h", ".yaml")


def digest_of(modules: Iterable[ModuleType]) -> str:
    """16 hexadecimal digits of the sources of packages, and of kinds from outside."""
    digest = hashlib.sha256()
    for module in modules:
        folder = Path(str(module.__file__)).parent
        for path in sorted(item for item in folder.rglob("*") if item.suffix in _SUFFIXES):
            digest.update(path.relative_to(folder.parent).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    for outside in packages():
        for path in outside.sources():
            digest.update(outside.module.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def read_lines(path: Path) -> tuple[list[Any], int]:
    """Values of the whole lines, and their bytes; a last line that was cut off while it was written is left out. Raises ValueError, OSError."""
    lines = [line for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")] if path.exists() else []
    return [json.loads(line) for line in lines], sum(map(len, lines))


class Lines:
    """A file open for more lines behind its first ``whole`` bytes. Raises UserError where it cannot be written."""

    def __init__(self, path: Path, whole: int) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = open(path, "ab")  # noqa: SIM115 - open as long as the search or campaign lasts
            self._stream.truncate(whole)
        except OSError as error:
            raise UserError(f"{path}: cannot be written ({error.strerror}); expected a folder that can be written to") from None

    def add(self, value: object) -> None:
        """Keep a line, at once."""
        self._stream.write(json.dumps(value, separators=(",", ":")).encode() + b"\n")
        self._stream.flush()
        os.fsync(self._stream.fileno())

    def close(self) -> None:
        """End."""
        self._stream.close()
