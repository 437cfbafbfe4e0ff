"""What was found of each point, on disk as it is found: a search that was interrupted goes on where it was."""

from __future__ import annotations

import hashlib
import json
import os
from functools import cache
from pathlib import Path

import acg
import compiler
from acg.packages import packages
from covenant.errors import UserError
from covenant.explore.points import Evaluated

__all__ = ["Journal", "sources_digest"]


@cache
def sources_digest() -> str:
    """Of everything that decides a point's result: graph, compiler, this folder, kinds from outside."""
    digest = hashlib.sha256()
    for folder in (Path(str(acg.__file__)).parent, Path(str(compiler.__file__)).parent, Path(__file__).parent):
        for path in sorted(folder.rglob("*.py")):
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    for outside in packages():
        for path in outside.sources():
            digest.update(outside.module.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


class Journal:
    """Lines of JSON: key of the task, sources, what it came to. A last line that was cut off is left out; lines of other sources are not used."""

    def __init__(self, path: Path) -> None:
        self._known: dict[str, Evaluated] = {}
        self.path = path
        whole = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            for line in path.read_bytes().splitlines(keepends=True) if path.exists() else ():
                if not line.endswith(b"\n"):
                    break
                whole += len(line)
                entry = json.loads(line)
                if entry["sources"] == sources_digest():
                    self._known[entry["key"]] = Evaluated.of_json(entry["result"])
            self._stream = open(path, "ab")  # noqa: SIM115 - open as long as the search lasts
            self._stream.truncate(whole)
        except OSError as error:
            raise UserError(f"{path}: cannot be written ({error.strerror}); expected a folder that can be written to") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise UserError(f"{path}: no journal of covenant explore; expected one, or a folder without it: give another -o") from None

    def __len__(self) -> int:
        return len(self._known)

    def find(self, key: str) -> Evaluated | None:
        """What a task came to, None where it was not tried."""
        return self._known.get(key)

    def add(self, key: str, result: Evaluated) -> None:
        """Keep a result, at once."""
        line = json.dumps({"key": key, "sources": sources_digest(), "result": result.as_json()}, separators=(",", ":"))
        self._stream.write(line.encode() + b"\n")
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._known[key] = result

    def close(self) -> None:
        """End."""
        self._stream.close()
