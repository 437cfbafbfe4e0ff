"""What was found of each point, on disk as it is found: a search that was interrupted goes on where it was."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import acg
import compiler
import covenant.explore
from covenant.errors import UserError
from covenant.explore.points import Evaluated
from covenant.lines import Lines, digest_of, read_lines

__all__ = ["Journal", "sources_digest"]


@cache
def sources_digest() -> str:
    """Of everything that decides a point's result: graph, compiler, this folder, kinds from outside."""
    return digest_of((acg, compiler, covenant.explore))


class Journal:
    """Lines of JSON: key of the task, sources, what it came to. Lines of other sources are not used."""

    def __init__(self, path: Path) -> None:
        self._known: dict[str, Evaluated] = {}
        self.path = path
        try:
            entries, whole = read_lines(path)
            for entry in entries:
                if entry["sources"] == sources_digest():
                    self._known[entry["key"]] = Evaluated.of_json(entry["result"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise UserError(f"{path}: no journal of covenant explore; expected one, or a folder without it: give another -o") from None
        self._lines = Lines(path, whole)

    def __len__(self) -> int:
        return len(self._known)

    def find(self, key: str) -> Evaluated | None:
        """What a task came to, None where it was not tried."""
        return self._known.get(key)

    def add(self, key: str, result: Evaluated) -> None:
        """Keep a result, at once."""
        self._lines.add({"key": key, "sources": sources_digest(), "result": result.as_json()})
        self._known[key] = result

    def close(self) -> None:
        """End."""
        self._lines.close()
