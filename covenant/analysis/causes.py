"""Where the cycles of a program go, as reports say it: by engine, and along the critical path by engine and layer."""

from collections import Counter

from acg.causes import bindings, critical_path, engine_cycles, spans
from acg.graph import Graph
from acg.predictor import Timeline
from compiler.program import Program
from covenant.terminal.show import table

__all__ = ["MOST_ROWS", "cause_report", "cause_tables"]

#: Rows of the critical path that are shown to people; JSON has all.
MOST_ROWS = 12


def cause_report(graph: Graph, program: Program, timeline: Timeline) -> dict:
    """``engines``: of each the cycles that it works, fills and drains, and is idle by cause: together the total; ``critical_path``: cycles by engine, layer
    and operator, most first, together the total too; ``engine`` None stands for fetch and dispatch, and for the end of the program."""
    found = spans(graph, program.instructions, timeline)
    bound = bindings(graph, program.instructions, timeline, found)
    cycles = engine_cycles(graph, program.instructions, timeline, found, bound)
    names = list(graph.engines)
    rows: Counter[tuple[str | None, str, str]] = Counter()
    entered: dict[tuple[str | None, str, str], Counter[str]] = {}
    for segment in critical_path(graph, timeline, found, bound):
        if segment.instruction < 0:
            key: tuple[str | None, str, str] = (None, str(segment.cause), "")
        else:
            layer = program.layer_of(segment.instruction)
            key = names[found.engine[segment.instruction]], layer.name, layer.op
        rows[key] += segment.cycles
        if segment.instruction >= 0 and segment.cause is not None:
            entered.setdefault(key, Counter())[str(segment.cause)] += 1
    return {
        "engines": {
            name: {"working": each.working, "filling": each.filling, "idle": {str(cause): count for cause, count in sorted(each.idle.items())}}
            for name, each in cycles.items()
        },
        "critical_path": [
            {"engine": engine, "layer": layer, "op": op, "cycles": count, "waited_for_as": dict(sorted(entered.get((engine, layer, op), {}).items()))}
            for (engine, layer, op), count in sorted(rows.items(), key=lambda item: (-item[1], *map(str, item[0])))
        ],
    }


def cause_tables(report: dict, total: int) -> str:
    """The report for people: idle cycles by cause and engine, and the longest parts of the critical path."""
    engines = report["engines"]
    causes = sorted({cause for each in engines.values() for cause in each["idle"]})
    share = [f"{100 * row['cycles'] / max(1, total):.1f}%" for row in report["critical_path"][:MOST_ROWS]]
    rows = [(name, *(f"{100 * each['idle'].get(cause, 0) / max(1, total):.1f}%" for cause in causes),
             f"{100 * each['filling'] / max(1, total):.1f}%", f"{100 * each['working'] / max(1, total):.1f}%") for name, each in engines.items()]  # fmt: skip
    path = [(row["engine"] or "-", row["layer"], row["op"], f"{row['cycles']:,}", part)
            for row, part in zip(report["critical_path"], share, strict=False)]  # fmt: skip
    more = len(report["critical_path"]) - len(path)
    left = sum(row["cycles"] for row in report["critical_path"][MOST_ROWS:])
    text = table(("engine", *causes, "fill and drain", "working"), rows, right=frozenset(range(1, len(causes) + 3)))
    text += "\n\n" + table(("critical path", "layer", "operator", "cycles", "of all"), path, right=frozenset({3, 4}))
    return text + (f"\n... and {more} more with {left:,} cycles (--json has all)" if more > 0 else "")
