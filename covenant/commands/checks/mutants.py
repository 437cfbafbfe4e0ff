"""``covenant mutants``: inject small faults, one at a time, and see who notices."""

import fnmatch
import time

from covenant.errors import BROKEN, EXACT, UserError
from covenant.files import write_json, write_text
from covenant.terminal.progress import Progress
from covenant.terminal.show import table

__all__ = ["mutants"]


def mutants(options) -> int:
    """Judge the mutants whose names match, print the table, write it to build/mutants.md."""
    from covenant.hardware import cache_folder
    from covenant.mutants.catalogue import MUTANTS
    from covenant.mutants.mutant import MutantError
    from covenant.mutants.runner import Outcome, Runner, project_root
    from covenant.mutants.table import as_json, markdown, ok, text

    patterns = options.only or ["*"]
    chosen = [mutant for mutant in MUTANTS if any(fnmatch.fnmatchcase(mutant.name, pattern) for pattern in patterns)]
    if not chosen:
        raise UserError(f"--only {' '.join(patterns)}: matches no mutant; expected a pattern such as 'queue.*', see covenant mutants --list")
    if options.list:
        if options.json:
            write_json(options.json, [{"name": mutant.name, "file": mutant.file, "kind": mutant.kind, "machine": mutant.machine} for mutant in chosen])
        if options.json != "-":
            print(table(("mutant", "in", "kind", "machine"), [(mutant.name, mutant.file, mutant.kind, mutant.machine) for mutant in chosen]))
        return EXACT
    progress = Progress("mutants", quiet=options.quiet)
    folder = cache_folder().parent / "mutants"
    outcomes: dict[str, Outcome] = {}
    begin, fresh = time.monotonic(), 0
    try:
        with Runner(project_root(), folder, note=progress.note) as runner:
            for outcome in runner.run(chosen, jobs=options.jobs):
                outcomes[outcome.mutant.name] = outcome
                fresh += not outcome.cached
                rate = fresh / (time.monotonic() - begin)
                left = (len(chosen) - len(outcomes)) / rate if rate else 0
                if not outcome.cached:
                    progress.note(f"{len(outcomes)} of {len(chosen)}, {60 * rate:.1f} a minute, {left / 60:.0f} minutes to go: "
                                  f"{outcome.mutant.name} {outcome.state}{f' by {outcome.witness}' if outcome.witness else ''}")
    except MutantError as error:
        raise UserError(str(error)) from None
    ordered = [outcomes[mutant.name] for mutant in chosen]
    if options.json:
        write_json(options.json, as_json(ordered))
    if options.json != "-":
        print(text(ordered))
    if not options.only:
        write_text(folder.parent / "mutants.md", markdown(ordered))
    return EXACT if ok(ordered) else BROKEN
