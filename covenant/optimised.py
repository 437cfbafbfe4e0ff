"""``--optimise``: the search of `compiler.ways.search` as commands have it."""

from __future__ import annotations

from acg.graph import Graph
from compiler.ir.network import Network
from compiler.passes import Options
from compiler.program import Program
from compiler.ways.search import Effort, Found, optimise
from covenant.errors import UserError
from covenant.fallback import is_plan
from covenant.terminal.progress import Progress

__all__ = ["Optimiser", "optimiser"]


class Optimiser:
    """Searches for what is compiled with it, and shows how far it is. ``found``: of each search, in their order, what it found."""

    def __init__(self, effort: Effort, progress: Progress) -> None:
        self.effort, self.progress = effort, progress
        self.found: list[Found] = []

    def __call__(self, ir: Network, graph: Graph, options: Options) -> Program:
        """A program of fewer cycles, if there is one."""
        self.progress.restart()
        found = optimise(ir, graph, self.effort, options=options, progress=self.progress.searching)
        self.progress.clear()
        self.found.append(found)
        return found.program

    def report(self, number: int = -1) -> dict[str, int]:
        """What a search found: cycles ``before`` and ``after``, ``tries``."""
        found = self.found[number]
        return {"before": found.before, "after": found.after, "tries": found.tries}

    def said(self, number: int = -1) -> str:
        """The same as a line."""
        found = self.found[number]
        saved = 100 * (1 - found.after / found.before)
        return f"optimised: {found.before:,} cycles before, {found.after:,} after {found.tries:,} compilations ({saved:.1f}% saved)"


def optimiser(options, what: str) -> Optimiser | None:
    """The search that a command's options ask for; None where they ask for none. Raises UserError for one beside segments on the host."""
    if options.optimise is None:
        return None
    if getattr(options, "fallback", None):
        raise UserError(f"{what}: --optimise with --fallback host; expected one program to search for, leave one of them out")
    given = getattr(options, "file", [])
    for path in [given] if isinstance(given, str) else given:
        if is_plan(path):
            raise UserError(f"{path}: --optimise with a plan, whose programs are compiled already; expected an ONNX network")
    unit, amount = options.optimise
    effort = Effort(tries=amount, seed=options.optimise_seed) if unit == "tries" else Effort(seconds=60.0 * amount, seed=options.optimise_seed)
    return Optimiser(effort, Progress(what, quiet=options.quiet))
