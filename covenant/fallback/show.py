"""What ran where, for people."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from acg.text import printable
from compiler.front.reading.quantised import quantised_operator
from covenant.fallback.plan import Plan
from covenant.fallback.write import NETWORK
from covenant.networks import quantise_command
from covenant.terminal.colour import Paint, plain
from covenant.terminal.show import said, said_exact, table, witness_lines
from covenant.terminal.warn import warn

__all__ = ["placement_text", "run_text", "warn_if_idle"]


def _operators(row: dict[str, Any]) -> str:
    return ", ".join(name if count == 1 else f"{count} {name}" for name, count in row["operators"].items())


def _count(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def placement_text(rows: list[dict[str, Any]], placement: list[dict[str, Any]]) -> str:
    """The segments, and below them every node of the host with the reason."""
    cells = []
    for row in rows:
        cycles = row.get("cycles", {})
        exact = {True: "yes", False: "NO", None: "-"}[row.get("exact")]
        counts = (_count(cycles.get(key)) for key in ("predicted", "measured"))
        cells.append((row["segment"], row["where"], row["nodes"], *counts, exact, _operators(row)))
    lines = [table(("segment", "where", "nodes", "predicted", "measured", "exact", "operators"), cells, right=frozenset({0, 2, 3, 4}))]
    host = [node for node in placement if node["where"] == "host"]
    if host:
        lines += ["", "on the host:", *(printable(f"  {node['node']} ({node['op']}): {node['why']}") for node in host)]
    return "\n".join(lines)


def warn_if_idle(plan: Plan, path: str, shapes: Mapping[str, tuple[int, ...]] | None = None) -> bool:
    """Say it loudly, on standard error, where nothing of a network in a file runs on the accelerator. Returns whether that is so."""
    if any(segment.program is not None for segment in plan.segments):
        return False
    do = "every node's reason is listed"
    if quantised_operator(plan.model) is None:
        source = Path(path) / NETWORK if Path(path).is_dir() else path
        do = f"it is a float network, quantise it first: {quantise_command(str(source), shapes)}"
    warn(f"{path}: NOTHING runs on {plan.graph.name}, the host does all of it; {do}")
    return True


def run_text(report: dict[str, Any], paint: Paint = plain) -> str:
    """What ``covenant run --fallback host`` prints of its report."""
    cycles = report["cycles"]
    lines = [placement_text(report["segments"], report["placement"]), "",
             f"{report['model']} on {report['arch']} ({report['on']}) and host, {report['samples']} sample{'s' if report['samples'] != 1 else ''}"]
    for name, entry in report["outputs"].items():
        text = f"  output {name}: {entry['elements']:,} elements"
        if "onnxruntime" in entry:
            golden = entry["onnxruntime"]
            text += f", {golden['mismatches']:,} mismatches against onnxruntime {report['golden']['onnxruntime']} of the whole network"
            if golden["mismatches"]:
                text += " (of another shape)" if golden["max_abs_diff"] is None else f" (largest difference {golden['max_abs_diff']:g})"
        lines.append(text)
    if "onnxruntime_error" in report["golden"]:
        lines.append(f"  WARNING: onnxruntime cannot run the whole network, only its segments are judged: {report['golden']['onnxruntime_error']}")
    if "accuracy" in report:
        lines.append("  accuracy: " + ", ".join(f"{name} {100 * value:.2f}%" for name, value in report["accuracy"].items()))
    instructions = report["instructions"]
    lines.append(f"  instructions: {_count(instructions['count'])}, timeline mismatches: {_count(instructions['timeline_mismatches'])}")
    texts = ", ".join(f"{key} {_count(cycles[key])}" for key in ("predicted", "measured", "ideal"))
    lines.append(f"  accelerator cycles an inference: {texts}")
    for row in report["segments"]:
        lines += [f"  segment {row['segment']}: {line}" for line in (*witness_lines(row), *row.get("divergence", []))]
    state = {True: "yes, every accelerator segment", False: "NO", None: "not judged; no node runs on the accelerator"}[report["exact"]]
    return "\n".join([lines[0], *said(lines[1:], paint), said_exact(state, report["exact"], paint)])
