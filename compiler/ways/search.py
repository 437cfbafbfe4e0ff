"""Search on the exact predictor: compile with other decisions, keep what takes fewer cycles.

    before   the compiler's own decisions
    after    the best program that so many compilations found, and the decisions that lead to it

Every decision that a compilation meets (tiles, engines, splits between engines, tensors outside, memories, order: `decisions`) is changed once, in an
order drawn from the seed, and what is better is kept. When a round of all of them has gone by, the next one begins from what was found; where a round
finds nothing, decisions are changed two at a time. The same network, machine, seed and number of tries give the same program; a limit of time does not, but
the choices stand in the program, and `Options.choices` lead to its bytes again.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from acg.graph import Graph
from acg.predictor import predict
from compiler.errors import CompilerError
from compiler.ir.network import Network
from compiler.passes import Memos, Options, compile_network, compile_prepared, prepare
from compiler.program import Program
from compiler.ways.decisions import Decisions

__all__ = ["Effort", "Found", "optimise"]

#: Pairs are drawn so often until one is new; after that nothing is left to try.
MOST_DRAWS = 100


@dataclass(frozen=True)
class Effort:
    """How long to search: so many `tries` (compilations), so many `seconds`, or both; what comes first ends it. `seed`: of the order of changes."""

    tries: int | None = None
    seconds: float | None = None
    seed: int = 0


@dataclass(frozen=True)
class Found:
    """What a search found: the program, cycles of the compiler's own decisions (`before`) and of the program (`after`), compilations made."""

    program: Program
    before: int
    after: int
    tries: int


Choices = tuple[tuple[str, int], ...]


def optimise(
    ir: Network, graph: Graph, effort: Effort, *, options: Options | None = None, progress: Callable[[int, int, int], None] | None = None
) -> Found:
    """Compile a network with the best decisions that are found. `progress` is called with tries made, cycles before and now.

    Raises what `compile_network` raises for the compiler's own decisions, or for the choices of the options, with which the search begins.
    """
    options = options or Options()
    begin = time.monotonic()
    prepared = prepare(ir, graph, options)
    memos = [Memos() for _ in prepared.targets]
    met: dict[str, int] = {}

    order: dict[str, int] = {}

    def cycles(choices: Choices) -> int:
        decisions = Decisions(order | dict(choices), met)
        found = compile_prepared(prepared, decisions, options, memos=memos)
        if found.order and not order:
            order["order"] = found.order  # that of the first program: the others need not try them all
        return found.cycles

    best: Choices = tuple(sorted(Decisions(options.choices).given.items()))
    before = now = cycles(best)
    tries, seen = 1, {best}
    draw = random.Random(effort.seed)

    def over() -> bool:
        return (effort.tries is not None and tries >= effort.tries) or (effort.seconds is not None and time.monotonic() - begin >= effort.seconds)

    single = True
    while not over():
        improved = tried = False
        for changes in _singles(met, draw) if single else _pairs(met, draw):
            changed = dict(best) | dict(changes)
            candidate = tuple(sorted((name, number) for name, number in changed.items() if number))
            if candidate in seen:
                continue
            if over():
                break
            seen.add(candidate)
            tries, tried = tries + 1, True
            try:
                found = cycles(candidate)
            except CompilerError:  # no room for these tiles beside those tensors
                continue
            if found < now:
                best, now, improved = candidate, found, True
            if progress is not None:
                progress(tries, before, now)
            if improved and not single:
                break
        if not single and not improved and not tried:
            break
        single = improved
    program = _program(ir, graph, options, best)
    after = predict(graph, program.instructions).total_cycles
    if after > now:  # other orders than the first program's are compared less thoroughly than each alone
        program = _program(ir, graph, options, tuple(sorted((order | dict(best)).items())))
        after = predict(graph, program.instructions).total_cycles
    return Found(program, before, after, tries)


def _singles(met: dict[str, int], draw: random.Random) -> Iterator[Choices]:
    """Each way of each decision, in any order."""
    changes = [((name, number),) for name, ways in sorted(met.items()) for number in range(ways)]
    draw.shuffle(changes)
    return iter(changes)


def _pairs(met: dict[str, int], draw: random.Random) -> Iterator[Choices]:
    """Two decisions at a time, drawn."""
    names = sorted(name for name, ways in met.items() if ways > 1)
    for _ in range(MOST_DRAWS):
        if len(names) < 2:
            return
        yield tuple((name, draw.randrange(met[name])) for name in draw.sample(names, 2))


def _program(ir: Network, graph: Graph, options: Options, best: Choices) -> Program:
    """The program of some choices, compiled from the beginning; without those that lead to nothing beside the others."""
    choices = dict(best)
    decisions = Decisions(choices)
    compile_prepared(prepare(ir, graph, options), decisions, options)
    for name in decisions.unread():
        del choices[name]
    return compile_network(ir, graph, options=replace(options, choices=choices))
