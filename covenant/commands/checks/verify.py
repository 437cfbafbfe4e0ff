"""``covenant verify``: the co-verification suite on chosen and on random architectures."""

import sys
from collections import Counter

from acg.graph import architecture_names
from covenant.errors import BROKEN, EXACT
from covenant.files import write_json
from covenant.terminal.colour import painter
from covenant.terminal.show import table
from covenant.verify.campaign import Row, run_campaign
from covenant.verify.coverage import add_runs, summary
from covenant.verify.journal import journal_totals, totals_table
from covenant.verify.rtl_coverage import counted_lines, line_table

__all__ = ["verify"]


def _show(row: Row) -> None:
    state, style = ("exact", "good") if row.exact else ("refused", "warning") if row.refused else ("BROKEN", "bad")
    measured = "-" if row.measured is None else f"{row.measured:,}"
    print(f"{row.arch:10s} {row.name:24s} {row.instructions:6,} instructions  predicted {row.predicted:>10,}  measured {measured:>10}  "
          f"{painter(sys.stdout)(state, style)}", flush=True)
    for line in (row.refused,) if row.refused else row.divergence:
        print(f"         {line}", flush=True)
    if row.divergence:
        print(f"         replay: {row.replay}", flush=True)


def _kinds(rows: list[Row]) -> dict[str, dict[str, int]]:
    """Of each kind of engine the architectures that have one, and the instructions that ran on them."""
    start = "instruction/"
    counted: Counter[str] = Counter()
    machines: dict[str, set[str]] = {}
    for row in rows:
        for name, number in row.bins.items():
            if name.startswith(start):
                kind = name.removeprefix(start)
                counted[kind] += number
                machines.setdefault(kind, set()).add(row.arch)
    return {kind: {"architectures": len(machines[kind]), "instructions": counted[kind]} for kind in sorted(machines)}


def verify(options) -> int:
    """Run the campaign; print one line a run, divergences with the command that replays them, and a summary.

    Without --arch, --random-archs and --random-cores, all architectures of archs/ are verified.
    """
    if options.summary:
        totals = journal_totals(options.summary)
        if options.json:
            write_json(options.json, totals)
        if options.json != "-":
            print(totals_table(totals))
        return BROKEN if totals["broken"] or not totals["runs"] else EXACT
    if not options.arch:
        options.arch = [] if options.random_archs or options.random_cores or options.minutes else architecture_names()
    rows: list[Row] = []
    with counted_lines(options.rtl_coverage, options.arch, drawn=bool(options.random_archs or options.random_cores or options.minutes)) as lines:
        for row in run_campaign(options):
            rows.append(row)
            if options.json != "-":
                _show(row)
    if lines and options.json != "-":
        print(line_table(lines))
    if options.coverage:
        covered = add_runs(options.coverage, [(row.instructions, row.bins) for row in rows if row.bins])
        if options.json != "-":
            print(summary(covered))
    broken = sum(bool(row.divergence) for row in rows)
    refused = sum(row.refused is not None for row in rows)
    compared = sum(row.instructions * row.samples for row in rows if row.measured is not None)
    kinds = _kinds(rows)
    if options.json:
        write_json(options.json, {"runs": [row.as_json() for row in rows], "kinds": kinds, "instructions_compared": compared, "refused": refused,
                                  "broken": broken})
    if options.json != "-":
        for row in rows:
            if row.divergence:
                print(f"{painter(sys.stdout)('BROKEN:', 'bad')} {row.replay}")
        print(table(("kind of engine", "architectures", "instructions"), [(kind, count["architectures"], f"{count['instructions']:,}")
                                                                          for kind, count in kinds.items()], right=frozenset({1, 2})))
        architectures = len({row.arch for row in rows})
        print(table(("architectures", "runs", "instructions compared cycle by cycle", "refused", "broken"),
                    [(architectures, len(rows), f"{compared:,}", refused, broken)]))
    return BROKEN if broken or not any(row.exact for row in rows) else EXACT
