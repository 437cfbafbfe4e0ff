"""The best points on the RTL: bytes and cycles."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from acg.description.variants import resized
from covenant.explore.explore import Explored
from covenant.networks import CompiledNetwork, compile_file
from covenant.report import judge_network
from covenant.samples import draw, model_inputs
from covenant.terminal.progress import Progress

__all__ = ["check_on_rtl"]


def check_on_rtl(explored: Explored, files: Mapping[str, Path], *, most: int, quiet: bool) -> list[dict]:
    """Run one drawn sample of each network on the first ``most`` machines of the front. Raises BenchError where nothing can be simulated."""
    rows = []
    for number in explored.front[:most]:
        item = explored.found[number]
        sizes, engines = explored.space.settings(item.point)
        graph = resized(explored.space.base, name=item.name, sizes=sizes, engines=engines)
        for name, path in files.items():
            model, program = compile_file(str(path), graph)
            progress = Progress(f"explore {item.name} {name}", quiet=quiet)
            report, _ = judge_network(CompiledNetwork(name, graph, program, model), draw(model_inputs(model), seed=0, count=1), on="rtl", progress=progress)
            told = report["cycles"]["predicted"] == item.result.quantities[f"cycles:{name}"]
            divergence = [*report.get("divergence", []), *([] if told else ["the search told other cycles"])]
            rows.append({"machine": item.name, "network": name, **report["cycles"], "exact": bool(report["exact"]) and told, "divergence": divergence})
    return rows
