"""Every number of the page."""

from collections import Counter

import numpy as np

from acg.causes import bindings, critical_path, spans
from acg.causes.idle import steps_of
from acg.fingerprint import fingerprint
from acg.graph import Graph
from acg.predictor import Timeline
from compiler.program import Program
from covenant.analysis.causes import cause_report
from covenant.analysis.html.occupancy import occupancy
from covenant.layers import layer_cycles, peak_macs

__all__ = ["machine_data", "report_data"]

def machine_data(graph: Graph) -> dict:
    """Memories, engines and links of a machine."""
    memories = {
        name: {"kind": memory.kind, "bytes": memory.size_bytes, "banks": memory.banks, "word_bytes": memory.word_bytes}
        for name, memory in graph.memories.items()
    }
    engines = {
        name: {"kind": engine.kind, "copies": engine.copies, "sizes": dict(engine.sizes), "operations": [c.operation for c in engine.capabilities]}
        for name, engine in graph.engines.items()
    }
    links = [{"engine": link.engine, "memory": link.memory, "port": link.port, "reads": link.reads, "bytes": link.port_bytes} for link in graph.links]
    return {"name": graph.name, "summary": graph.summary, "fingerprint": f"{fingerprint(graph):016x}", "memories": memories, "engines": engines, "links": links}

def _moved(graph: Graph, program: Program) -> list[int]:
    """Bytes that copies of each layer move, in whole steps."""
    moved = [0] * len(program.layers)
    for number, instruction in enumerate(program.instructions):
        engine = graph.engines[instruction.engine]
        layer = program.provenance[number][0]
        if engine.copies and layer >= 0:
            moved[layer] += steps_of(graph, engine, instruction.fields) * graph.chunk_bytes(engine.name)
    return moved

def _covered(starts: np.ndarray, retires: np.ndarray) -> int:
    """Cycles in which at least one of these is under way; starts ascend."""
    covered, until = 0, -1
    for start, retire in zip(starts.tolist(), retires.tolist(), strict=True):
        covered += max(0, retire - max(start - 1, until))
        until = max(until, retire)
    return covered

def report_data(graph: Graph, program: Program, timeline: Timeline, *, run: dict | None = None) -> dict:
    """What the page shows, as JSON: machine, totals, layers, causes, timeline, occupancy; ``run``: what ``covenant run`` found, where it was run."""
    found = spans(graph, program.instructions, timeline)
    bound = bindings(graph, program.instructions, timeline, found)
    layer_of = np.array([layer for layer, _ in program.provenance], np.int64)
    cycles = layer_cycles(graph, program.instructions, layer_of, timeline.start, timeline.retire, len(program.layers))
    critical: Counter[int] = Counter()
    for segment in critical_path(graph, timeline, found, bound):
        if segment.instruction >= 0:
            critical[int(layer_of[segment.instruction])] += segment.cycles
    moved, peak = _moved(graph, program), peak_macs(graph)
    layers = []
    for number, layer in enumerate(program.layers):
        busy = {}
        for name, engine in graph.engines.items():
            mine = (layer_of == number) & (timeline.engine == engine.index)
            if mine.any():
                busy[name] = _covered(timeline.start[mine], timeline.retire[mine])
        layers.append({
            "name": layer.name, "operator": layer.label, "nodes": list(layer.origin), "macs": layer.macs, "cycles": cycles[number],
            "critical_cycles": critical[number], "bytes": moved[number], "busy_cycles": busy,
            "utilisation": round(layer.macs / (peak * max(1, cycles[number])), 4) if peak else 0.0,
        })  # fmt: skip
    macs = sum(layer.macs for layer in program.layers)
    tiles = sorted({tile for _, tile in program.provenance})
    place = {tile: number for number, tile in enumerate(tiles)}
    causes = sorted({str(binding.cause) for binding in bound if binding.cause})
    return {
        "network": program.name, "machine": machine_data(graph),
        "totals": {
            "cycles": timeline.total_cycles, "instructions": len(program.instructions), "macs": macs, "peak_macs_per_cycle": peak,
            "bytes": sum(moved), "bus_bytes_per_cycle": graph.external.bus_bytes,
        },
        "layers": layers, "causes": cause_report(graph, program, timeline),

        "timeline": {
            "engine": timeline.engine.tolist(), "start": timeline.start.tolist(), "retire": timeline.retire.tolist(), "layer": layer_of.tolist(),
            "tile": [place[tile] for _, tile in program.provenance], "tiles": tiles,
            "cause": [causes.index(str(binding.cause)) if binding.cause else -1 for binding in bound], "causes": causes,
            "awaited": [binding.awaited for binding in bound],
        },
        "occupancy": occupancy(graph, program.instructions, timeline), "run": run,
    }  # fmt: skip
