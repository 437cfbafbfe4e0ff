"""One line of the table of networks: compile, predict, run, judge."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from acg.graph import Graph
from acg.predictor import predict
from covenant import layers as layering
from covenant.analysis.causes import cause_report, path_parts
from covenant.networks import CompiledNetwork, compile_file
from covenant.optimised import Optimiser
from covenant.report import judge_network
from covenant.samples import draw, model_inputs
from covenant.terminal.progress import Progress
from covenant.terminal.show import table

__all__ = ["describe", "markdown", "measure", "path_line", "text"]

HEAD = ("network", "MACs", "ideal", "predicted", "measured", "optimised", "of peak", "instructions", "exact", "onnxruntime", "compile s", "simulate s")
#: Parts of the critical path that are named apart.
_LARGEST = 3
_PATH = ("network", "cycles", "dense layers", "largest", "second", "third", "all else")
_RIGHT = frozenset({1, 2, 3, 4, 5, 6, 7, 10, 11})


def measure(
    name: str, path: Path, graph: Graph, *, on: str, seed: int = 0, search: Optimiser | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """Compile an ONNX file for a graph, run one drawn sample and judge it; and once more where there is a ``search`` for a better program.

    Returns
    -------
    dict
        ``macs``, cycles ``ideal``, ``predicted``, ``measured`` (None on the ISS), ``utilisation`` of the matrix units' peak over the whole
        inference, ``instructions``, ``exact``, ``onnxruntime`` (elements, mismatches, largest difference in steps; None where it cannot run
        the network), ``compile_seconds``, ``simulation_seconds`` (None on the ISS), ``critical_path``: cycles in ``dense`` layers and (what, cycles) of all
        ``others`` (`covenant.analysis.causes.path_parts`). With a search ``optimised``: cycles ``predicted`` and ``measured``, ``tries``; the program found
        is judged too, ``exact`` and ``divergence`` are those of both.
    """
    begin = time.perf_counter()
    model, program = compile_file(str(path), graph)
    compile_seconds = time.perf_counter() - begin
    network = CompiledNetwork(name, graph, program, model)
    report, _ = judge_network(network, draw(model_inputs(model), seed=seed, count=1), on=on, progress=progress)
    macs = sum(layer.macs for layer in program.layers)
    cycles = report["cycles"]
    dense, others = path_parts(graph, program, cause_report(graph, program, predict(graph, program.instructions)))
    measured = cycles["measured"]
    exact, divergence, optimised = report["exact"], list(report.get("divergence", [])), {}
    if search is not None:
        model, found = compile_file(str(path), graph, search=search)
        again, _ = judge_network(CompiledNetwork(name, graph, found, model), draw(model_inputs(model), seed=seed, count=1), on=on, progress=progress)
        exact, divergence = exact and again["exact"], divergence + again.get("divergence", [])
        optimised = {"optimised": {"predicted": again["cycles"]["predicted"], "measured": again["cycles"]["measured"], "tries": search.report()["tries"]}}
    compared = [entry for entry in report["outputs"].values() if "onnxruntime" in entry]
    rate = report["simulation"]["cycles_per_second"] if report["simulation"] else 0
    return {
        "network": name, "macs": macs, **cycles, "utilisation": macs / (layering.peak_macs(graph) * max(1, cycles["predicted"])),
        "instructions": report["instructions"]["count"], "exact": exact, "divergence": divergence, **optimised,
        "onnxruntime": {
            "elements": sum(entry["elements"] for entry in compared),
            "mismatches": sum(entry["onnxruntime"]["mismatches"] for entry in compared),
            "max_abs_diff_steps": max(entry["onnxruntime"]["max_abs_diff_steps"] for entry in compared),
        } if compared else None,
        "compile_seconds": round(compile_seconds, 2), "simulation_seconds": round(measured / rate, 1) if rate and measured is not None else None,
        "critical_path": {"dense": dense, "others": [list(item) for item in others]},
    }


def describe(row: dict[str, Any]) -> tuple[str, ...]:
    """Cells of a line under `HEAD`."""
    golden, optimised = row["onnxruntime"], row.get("optimised")
    against = "-"
    if golden is not None:
        against = f"{golden['mismatches']:,} of {golden['elements']:,} differ"
        against += f", at most {golden['max_abs_diff_steps']} step{'s' if golden['max_abs_diff_steps'] != 1 else ''}" if golden["mismatches"] else ""
    return (
        row["network"], f"{row['macs']:,}", f"{row['ideal']:,}", f"{row['predicted']:,}", "-" if row["measured"] is None else f"{row['measured']:,}",
        "-" if optimised is None else f"{optimised['predicted']:,} ({100 * (optimised['predicted'] / max(1, row['predicted']) - 1):+.1f}%)",
        f"{100 * row['utilisation']:.1f}%", f"{row['instructions']:,}", "yes" if row["exact"] else "NO", against, f"{row['compile_seconds']:.1f}",
        "-" if row["simulation_seconds"] is None else f"{row['simulation_seconds']:.0f}",
    )


def path_line(row: dict[str, Any]) -> str:
    """A line of the table of critical paths."""
    total, path = max(1, row["predicted"]), row["critical_path"]

    def part(cycles: int) -> str:
        return f"{cycles:,} ({100 * cycles / total:.1f}%)"

    largest = [f"{what} {part(cycles)}" for what, cycles in path["others"][:_LARGEST]]
    left = sum(cycles for _, cycles in path["others"][_LARGEST:])
    cells = [row["network"], f"{row['predicted']:,}", part(path["dense"]), *largest, *["-"] * (_LARGEST - len(largest)), part(left)]
    return "| " + " | ".join(cells) + " |"


def text(rows: Sequence[dict[str, Any]]) -> str:
    """The table for a terminal."""
    return table(HEAD, [describe(row) for row in rows], right=_RIGHT)


def _searched(rows: Sequence[dict[str, Any]]) -> str:
    tries = sorted({row["optimised"]["tries"] for row in rows if "optimised" in row})
    if not tries:
        return "*Optimised*: no search was asked for (`--optimise`)."
    most = f"{tries[0]:,}" if len(tries) == 1 else f"{tries[0]:,} to {tries[-1]:,}"
    return f"*Optimised* are the cycles of the program that a search of {most} compilations found (`--optimise`), which ran and was judged like the other."


def markdown(rows: Sequence[dict[str, Any]], graph: Graph, *, on: str) -> str:
    """The table as a page of the documents."""
    where = "the Verilator simulation of its RTL" if on == "rtl" else "the functional simulator"
    lines = [
        f"# Networks on {graph.name}", "",
        f"Written by `covenant models --arch {graph.name} --on {on} --markdown FILE` (`make models`). One inference each on {where}: cycles predicted from "
        "the graph and measured, every output byte against the ONNX definition.",
        f"*Ideal* is the larger of MACs / {layering.peak_macs(graph)} and external bytes / {graph.external.bus_bytes}; *of peak* is MACs over peak and "
        "predicted cycles. Topologies are the published ones, weights are drawn from a seed and quantised by onnxruntime's `quantize_static` (QDQ, "
        "uint8 activations, int8 weights a channel). Seconds are this machine's.",
        _searched(rows), "",
        "| " + " | ".join(HEAD) + " |", "|" + "|".join("---:" if column in _RIGHT else "---" for column in range(len(HEAD))) + "|",
    ]
    lines += ["| " + " | ".join(describe(row)) + " |" for row in rows]
    lines += ["", "## Where the cycles go", "",
              "The critical path: what no engine could have done sooner, cycle by cycle, so that each line adds up. *Dense layers* are products over all "
              "channels with their requantisation, where they are computed; beside them the three largest of all else: a kind of layer on an engine, or "
              "what a copy engine does for one layer.", "",
              "| " + " | ".join(_PATH) + " |", "|---|---:|---:|" + "---|" * _LARGEST + "---:|"]  # fmt: skip
    return "\n".join([*lines, *map(path_line, rows)]) + "\n"
