"""Where the cycles of a program go, as reports say it: by engine, and along the critical path by engine and layer."""

from collections import Counter

from acg.causes import bindings, critical_path, engine_cycles, spans
from acg.graph import Graph
from acg.predictor import Timeline
from compiler.program import DEPTHWISE, Program
from covenant.analysis.lanes import ragged_steps
from covenant.terminal.show import table

__all__ = ["MOST_ROWS", "cause_report", "cause_tables", "path_parts"]

#: Rows of the critical path that are shown to people; JSON has all.
MOST_ROWS = 12


def cause_report(graph: Graph, program: Program, timeline: Timeline) -> dict:
    """``engines``: of each the cycles that it works, that go to ragged lanes (`covenant.analysis.lanes`), that it fills and drains, and is idle by cause:
    together the total; ``critical_path``: cycles by engine, layer and operator, most first, together the total too; ``engine`` None stands for fetch
    and dispatch, and for the end of the program."""
    found = spans(graph, program.instructions, timeline)
    bound = bindings(graph, program.instructions, timeline, found)
    cycles = engine_cycles(graph, program.instructions, timeline, found, bound)
    ragged = ragged_steps(graph, program)
    names = list(graph.engines)
    rows: Counter[tuple[str | None, str, str]] = Counter()
    entered: dict[tuple[str | None, str, str], Counter[str]] = {}
    for segment in critical_path(graph, timeline, found, bound):
        if segment.instruction < 0:
            key: tuple[str | None, str, str] = (None, str(segment.cause), "")
        else:
            layer = program.layer_of(segment.instruction)
            key = names[found.engine[segment.instruction]], layer.name, layer.label
        rows[key] += segment.cycles
        if segment.instruction >= 0 and segment.cause is not None:
            entered.setdefault(key, Counter())[str(segment.cause)] += 1
    return {
        "engines": {
            name: {
                "working": each.working - min(each.working, ragged.get(name, 0)), "ragged": min(each.working, ragged.get(name, 0)), "filling": each.filling,
                "idle": {str(cause): count for cause, count in sorted(each.idle.items())},
            } for name, each in cycles.items()
        },
        "critical_path": [
            {"engine": engine, "layer": layer, "op": op, "cycles": count, "waited_for_as": dict(sorted(entered.get((engine, layer, op), {}).items()))}
            for (engine, layer, op), count in sorted(rows.items(), key=lambda item: (-item[1], *map(str, item[0])))
        ],
    }


def path_parts(graph: Graph, program: Program, report: dict) -> tuple[int, list[tuple[str, int]]]:
    """The critical path of a `cause_report` in few words: cycles of dense layers (products over all channels, their requantisation) where they are computed;
    and all else, most first: a kind of layer on an engine, what a copy engine does for a layer, fetch and dispatch. Together the total."""
    dense = {layer.name for layer in program.layers if layer.macs and layer.family != DEPTHWISE}
    within, others = 0, Counter[str]()
    for row in report["critical_path"]:
        engine, layer, operator = row["engine"], row["layer"], row["op"]
        if engine is None:
            others[layer] += row["cycles"]
        elif graph.engines[engine].copies:
            others[f"{engine} for {layer}"] += row["cycles"]
        elif layer in dense:
            within += row["cycles"]
        else:
            others[f"{operator} on {engine}"] += row["cycles"]
    return within, sorted(others.items(), key=lambda item: (-item[1], item[0]))


def cause_tables(report: dict, total: int) -> str:
    """The report for people: idle cycles by cause and engine, and the longest parts of the critical path."""
    engines = report["engines"]
    causes = sorted({cause for each in engines.values() for cause in each["idle"]})
    share = [f"{100 * row['cycles'] / max(1, total):.1f}%" for row in report["critical_path"][:MOST_ROWS]]
    rows = [(name, *(f"{100 * each['idle'].get(cause, 0) / max(1, total):.1f}%" for cause in causes),
             *(f"{100 * each[part] / max(1, total):.1f}%" for part in ("filling", "ragged", "working"))) for name, each in engines.items()]  # fmt: skip
    path = [(row["engine"] or "-", row["layer"], row["op"], f"{row['cycles']:,}", part)
            for row, part in zip(report["critical_path"], share, strict=False)]  # fmt: skip
    more = len(report["critical_path"]) - len(path)
    left = sum(row["cycles"] for row in report["critical_path"][MOST_ROWS:])
    text = table(("engine", *causes, "fill and drain", "ragged lanes", "working"), rows, right=frozenset(range(1, len(causes) + 4)))
    text += "\n\n" + table(("critical path", "layer", "operator", "cycles", "of all"), path, right=frozenset({3, 4}))
    return text + (f"\n... and {more} more with {left:,} cycles (--json has all)" if more > 0 else "")
