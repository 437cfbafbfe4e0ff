"""Coverage files: the bins of :mod:`verif.coverage`, summed over the runs of campaigns."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from covenant.errors import UserError
from covenant.files import write_json
from covenant.terminal.show import table
from verif.coverage import GROUPS, merge

__all__ = ["add", "add_runs", "read_coverage", "summary", "unreached"]

_KEYS = {"runs", "instructions", "bins"}


def read_coverage(path: str | Path) -> dict:
    """``runs``, ``instructions`` and ``bins`` of a coverage file. Raises UserError for what is not one."""
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); expected a file of covenant verify --coverage") from None
    except (UnicodeDecodeError, ValueError) as error:
        raise UserError(f"{path}: found no readable JSON ({error}); expected a file of covenant verify --coverage") from None
    numbers = isinstance(found, dict) and set(found) == _KEYS and isinstance(found["bins"], dict)
    if not numbers or not all(type(value) is int and value >= 0 for value in (found["runs"], found["instructions"], *found["bins"].values())):
        raise UserError(f"{path}: found other JSON; expected an object of runs, instructions and bins, as covenant verify --coverage writes it")
    return found


def add(parts: Sequence[Mapping]) -> dict:
    """The sum of coverage files' contents."""
    bins = merge(part["bins"] for part in parts)
    return {"runs": sum(part["runs"] for part in parts), "instructions": sum(part["instructions"] for part in parts), "bins": dict(sorted(bins.items()))}


def add_runs(path: str | Path, runs: Sequence[tuple[int, Mapping[str, int]]]) -> dict:
    """Add runs, each (instructions, bins), to the coverage file ``path``; returns its new contents. Raises UserError."""
    before = [read_coverage(path)] if Path(path).exists() else []
    after = add([*before, *({"runs": 1, "instructions": count, "bins": bins} for count, bins in runs)])
    write_json(str(path), after)
    return after


def unreached(covered: Mapping) -> list[str]:
    """Bins that no run reached, by name."""
    return sorted(name for name, count in covered["bins"].items() if not count)


def summary(covered: Mapping) -> str:
    """A table of how many bins of each group and engine kind were reached."""
    rows = []
    for group in GROUPS:
        kinds = sorted({name.split("/")[1] for name in covered["bins"] if name.startswith(f"{group}/")}) if group in ("field", "loops") else [""]
        for kind in kinds:
            counts = [count for name, count in covered["bins"].items() if name.startswith(f"{group}/{kind}")]
            if counts:
                reached = sum(count > 0 for count in counts)
                rows.append((f"{group} {kind}".strip(), reached, len(counts), f"{100 * reached / len(counts):.1f}%"))
    head = f"coverage of {covered['runs']} runs, {covered['instructions']:,} instructions"
    return "\n".join([head, table(("group", "reached", "of", ""), rows, right=frozenset({1, 2, 3}))])
