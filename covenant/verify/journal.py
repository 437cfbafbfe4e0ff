"""Campaigns that add up: what was tried, by content, and its rows; a campaign goes on where it was, and its totals are read from there."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from functools import cache
from pathlib import Path

import acg
import compiler
import covenant.verify
import hwgen
import verif
from covenant.errors import UserError
from covenant.lines import Lines, digest_of, read_lines
from covenant.terminal.show import table
from covenant.verify.campaign import Job, Row

__all__ = ["Journal", "job_key", "journal_totals", "sources_digest", "totals_table"]

_FILE = "campaign.jsonl"


@cache
def sources_digest() -> str:
    """Of all that a verdict depends on: the layers, the campaign itself, kinds from outside."""
    return digest_of((acg, hwgen, compiler, verif, covenant.verify))


def job_key(job: Job, description: str) -> str:
    """Of a job: its options and the machine's text, which is drawn from the same sources or stands in a file that may change."""
    asked = {name: value for name, value in asdict(job).items() if name not in ("quiet", "keep")}
    return hashlib.sha256((description + "\0" + json.dumps(asked, sort_keys=True, default=list)).encode()).hexdigest()[:32]


class Journal:
    """A folder with a line of JSON a finished job. What was found with other sources stays there, apart in the totals, and is tried again."""

    def __init__(self, folder: str | Path) -> None:
        self.path = Path(folder) / _FILE
        whole, self._entries = _read(self.path)
        self._lines = Lines(self.path, whole)

    def find(self, key: str) -> list[Row] | None:
        """Rows of a job that has ended with these sources, None where it has not."""
        entry = self._entries.get((sources_digest(), key))
        return None if entry is None else [Row(**{**row, "divergence": tuple(row["divergence"])}) for row in entry["rows"]]

    def add(self, key: str, rows: list[Row]) -> None:
        """Keep the rows of a job that has ended, at once."""
        entry = {"sources": sources_digest(), "key": key, "rows": [asdict(row) | {"bins": dict(row.bins)} for row in rows]}
        self._lines.add(entry)
        self._entries[sources_digest(), key] = entry

    def close(self) -> None:
        """End."""
        self._lines.close()


def _read(path: Path) -> tuple[int, dict[tuple[str, str], dict]]:
    """Bytes of whole lines, and entries by (sources, key). Raises UserError for a file that is no journal."""
    entries = {}
    try:
        found, whole = read_lines(path)
        for entry in found:
            [row["kind"] for row in entry["rows"]]
            entries[str(entry["sources"]), str(entry["key"])] = entry
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{path}: no journal of covenant verify; expected one, or a folder without it") from None
    return whole, entries


def journal_totals(folder: str | Path) -> dict:
    """Totals of a journal: of the sources as they are now, and under ``other_sources`` the number of jobs found with others.

    Raises UserError where there is no journal.
    """
    path = Path(folder) / _FILE
    if not path.is_file():
        raise UserError(f"{path}: no such file; expected a folder that covenant verify --journal has written")
    _, entries = _read(path)
    mine = [entry for (sources, _), entry in entries.items() if sources == sources_digest()]
    rows = [row for entry in mine for row in entry["rows"]]
    return _totals(rows) | {"jobs": len(mine), "other_sources": len(entries) - len(mine)}


def _totals(rows: Iterable[dict]) -> dict:
    machines: dict[str, set[str]] = {}
    kinds: Counter[str] = Counter()
    done: Counter[str] = Counter()
    architectures, failures, refused, instructions, beats = set(), [], 0, 0, 0
    for row in rows:
        architectures.add(row["arch"])
        beats += row["stalled_beats"]
        if row["refused"] is not None:
            refused += 1
            continue
        if row["divergence"]:
            failures.append(row["replay"])
        done[row["kind"]] += 1
        if row["measured"] is not None:
            instructions += row["instructions"] * row["samples"]
        for name, number in row["bins"].items():
            if name.startswith("instruction/"):
                kinds[name.removeprefix("instruction/")] += number
                machines.setdefault(name.removeprefix("instruction/"), set()).add(row["arch"])
    return {"architectures": len(architectures), "runs": dict(sorted(done.items())), "refused": refused, "instructions_compared": instructions,
            "stalled_beats": beats, "kinds": {kind: {"architectures": len(machines[kind]), "instructions": kinds[kind]} for kind in sorted(kinds)},
            "broken": len(failures), "failures": failures}


def totals_table(totals: dict) -> str:
    """Totals for people."""
    runs = totals["runs"]
    lines = [table(("architectures", "programs", "networks", "stalled programs", "instructions compared", "stalled beats", "refused", "broken"), [
        (totals["architectures"], runs.get("program", 0), runs.get("network", 0) + runs.get("example", 0), runs.get("stalled", 0),
         f"{totals['instructions_compared']:,}", f"{totals['stalled_beats']:,}", totals["refused"], totals["broken"])])]
    lines.append(table(("kind of engine", "architectures", "instructions"), [(kind, found["architectures"], f"{found['instructions']:,}")
                                                                             for kind, found in totals["kinds"].items()], right=frozenset({1, 2})))
    if totals["other_sources"]:
        lines.append(f"{totals['other_sources']} jobs were found with other sources and are not counted")
    lines += [f"BROKEN: {replay}" for replay in totals["failures"]]
    return "\n".join(lines)
