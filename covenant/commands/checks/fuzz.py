"""``covenant fuzz``: damaged and forged files of every kind, each refused in a sentence or run exactly."""

import contextlib
import shutil
import sys
import time
from pathlib import Path

from covenant.errors import BROKEN, EXACT, UserError
from covenant.files import write_json, write_text
from covenant.terminal.show import table

__all__ = ["fuzz"]

#: Seconds from one report of a campaign that is under way to the next.
_REPORT_SECONDS = 20


def fuzz(options) -> int:
    """Run a campaign, or one input again; print the table, and of each cause of failure the command that replays its first input."""
    from covenant.fuzz.campaign import Tally, run_campaign
    from covenant.fuzz.case import Case
    from covenant.fuzz.families import FAMILIES
    from covenant.fuzz.verdict import Outcome, Verdict

    chosen = []
    if options.replay:
        chosen = [Case.parse(options.replay, tuple(FAMILIES))]
        options.family = [chosen[0].family]
    unknown = [name for name in options.family if name not in FAMILIES]
    if unknown:
        raise UserError(f"fuzz: no family {unknown[0]!r}; expected some of {', '.join(FAMILIES)}")
    families = {name: family for name, family in FAMILIES.items() if not options.family or name in options.family}
    count = options.count or (None if options.minutes else 1000)
    shown = written = time.monotonic()
    seen: set[str] = set()

    def progress(tally: Tally) -> None:
        """At once, so that a campaign that is interrupted has not been for nothing."""
        nonlocal shown, written
        if options.json not in (None, "-") and time.monotonic() - written > _REPORT_SECONDS:
            written = time.monotonic()
            write_json(options.json, _report(tally, options.seed))
        for signature in tally.failures.keys() - seen:
            seen.add(signature)
            _keep(families, tally.failures[signature].verdict, options.keep)
            print(f"fuzz: {signature[:200]}\n      replay: covenant fuzz --replay {tally.failures[signature].verdict.case}", file=sys.stderr, flush=True)
        if not options.quiet and time.monotonic() - shown > 5:
            shown = time.monotonic()
            speed = tally.tried / tally.seconds
            print(f"fuzz: {tally.tried:,} inputs, {speed:.0f} a second, {len(tally.failures)} causes of failure", file=sys.stderr, flush=True)

    tally = run_campaign(families, seed=options.seed, count=count, minutes=options.minutes, jobs=options.jobs, chosen=chosen, progress=progress)
    kept = [failure.verdict for failure in tally.failures.values()]
    if options.replay and not kept:
        kept = [Verdict(chosen[0], Outcome.REFUSED)]
        _keep(families, kept[0], options.keep)
    if options.json:
        write_json(options.json, _report(tally, options.seed))
    if options.json != "-":
        _show(tally, options.keep, replayed=kept if options.replay else [])
    return BROKEN if tally.failures or not tally.tried else EXACT


def _keep(families, verdict, place: str) -> None:
    """Write an input's files, and what was said of it, into a folder of its own."""
    from covenant.fuzz.run_case import make_case

    folder = Path(place).absolute() / str(verdict.case).replace(":", "-")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with contextlib.suppress(Exception):  # a fault in making the input, as its message says
        make_case(families[verdict.case.family], verdict.case, folder)
    write_text(folder / "message.txt", f"{verdict.outcome}\n{verdict.command}\n{verdict.message}\n")


def _report(tally, seed: int) -> dict:
    from covenant.fuzz.verdict import Outcome

    return {
        "seed": seed, "tried": tally.tried, "seconds": round(tally.seconds, 1),
        "families": {name: {str(outcome): row[outcome] for outcome in Outcome} for name, row in tally.counts.items()},
        "failures": [{"replay": str(failure.verdict.case), "outcome": str(failure.verdict.outcome), "seen": failure.seen, "command": failure.verdict.command,
                      "message": failure.verdict.message} for failure in tally.failures.values()],
    }


def _show(tally, keep: str, *, replayed) -> None:
    from covenant.fuzz.verdict import Outcome

    rows = [(name, f"{sum(row.values()):,}", *(f"{row[outcome]:,}" for outcome in Outcome)) for name, row in sorted(tally.counts.items())]
    rows.append(("all", f"{tally.tried:,}", *(f"{tally.of(outcome):,}" for outcome in Outcome)))
    print(table(("family", "tried", *map(str, Outcome)), rows, right=frozenset(range(1, 2 + len(Outcome)))))
    print(f"{tally.tried:,} inputs in {tally.seconds:.0f} s")
    for failure in tally.failures.values():
        verdict = failure.verdict
        print(f"\n{verdict.outcome}, {failure.seen} of one cause: {verdict.command}\n  " + "\n  ".join(verdict.message.strip().splitlines()[-6:]))
        print(f"  replay: covenant fuzz --replay {verdict.case}    (files in {keep}/{str(verdict.case).replace(':', '-')})")
    for verdict in replayed:
        print(f"files in {keep}/{str(verdict.case).replace(':', '-')}")
