"""``covenant predict``: cycles without simulation."""

import sys
import time

from acg.fingerprint import fingerprint
from acg.predictor import predict as predict_timeline
from covenant.analysis.causes import cause_report, cause_tables
from covenant.errors import BROKEN, EXACT
from covenant.fallback import is_plan, open_plan, placement_text, warn_if_idle
from covenant.fallback.write import segment_rows
from covenant.files import write_json
from covenant.networks import open_network
from covenant.optimised import optimiser
from covenant.run import Execution, ideal_cycles, layer_rows
from covenant.terminal.show import table

__all__ = ["predict"]


def predict(options) -> int:
    """Predict a program (or a network, compiled first) and print cycles a layer, what engines wait for, the critical path, the busiest engine and the total."""
    search = optimiser(options, "predict")
    if options.fallback or is_plan(options.file):
        return _segments(options)
    network = open_network(options.file, options.arch, shapes=dict(options.shape), search=search)
    graph, program = network.graph, network.program
    begin = time.perf_counter()
    timeline = predict_timeline(graph, program.instructions)
    seconds = time.perf_counter() - begin
    busy = {}
    for engine in graph.engines.values():
        mine = timeline.engine == engine.index
        # Cycles in which at least one instruction of the engine is under way: spans merged, since an engine overlaps its own.
        covered, until = 0, -1
        for start, retire in zip(timeline.start[mine].tolist(), timeline.retire[mine].tolist(), strict=True):
            covered += max(0, retire - max(start - 1, until))
            until = max(until, retire)
        busy[engine.name] = covered
    layers = layer_rows(graph, program, Execution([], timeline))
    report = {
        "arch": graph.name, "fingerprint": f"{fingerprint(graph):016x}", "file": options.file,
        "cycles": {"predicted": timeline.total_cycles, "ideal": ideal_cycles(graph, program)},
        "instructions": len(program.instructions), "busy_cycles": busy, "bottleneck": max(busy, key=lambda name: busy[name]),
        "layers": [{key: value for key, value in layer.items() if key != "measured"} for layer in layers],
        "causes": cause_report(graph, program, timeline), "seconds": round(seconds, 6),
    }
    if search is not None:
        report["optimised"] = search.report()
    if options.json:
        write_json(options.json, report)
    if options.json == "-":
        return EXACT
    print(table(("layer", "operator", "MACs", "cycles", "of peak"),
                [(layer["name"], layer["operator"], f"{layer['macs']:,}", f"{layer['predicted']:,}", f"{100 * layer['utilisation']:.1f}%") for layer in layers],
                right=frozenset({2, 3, 4})))
    total = timeline.total_cycles
    print(f"\n{cause_tables(report['causes'], total)}")
    print(f"\n{options.file} on {graph.name}: {total:,} cycles, ideal {report['cycles']['ideal']:,}, {report['instructions']:,} instructions")
    shares = ", ".join(f"{name} {100 * cycles / max(1, total):.0f}%" for name, cycles in busy.items())
    print(f"busy: {shares}; bottleneck: {report['bottleneck']}")
    if search is not None:
        print(search.said())
    return EXACT


def _segments(options) -> int:
    """Cycles of each segment and in total; what the host takes nobody predicts."""
    plan = open_plan(options.file, options.arch, shapes=dict(options.shape))
    rows = segment_rows(plan)
    cycles = {key: sum(row["cycles"][key] for row in rows if "cycles" in row) for key in ("predicted", "ideal")}
    if options.json:
        write_json(options.json, {"arch": plan.graph.name, "fingerprint": f"{fingerprint(plan.graph):016x}", "file": options.file, "cycles": cycles,
                                  "segments": rows, "placement": plan.placement()})
    if options.json != "-":
        print(placement_text(rows, plan.placement()))
        print(f"\n{options.file} on {plan.graph.name}: {cycles['predicted']:,} cycles in accelerator segments, ideal {cycles['ideal']:,}")
        sys.stdout.flush()
    return BROKEN if warn_if_idle(plan, options.file, dict(options.shape)) else EXACT
