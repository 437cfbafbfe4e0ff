"""What each node of a network costs, in the tools that show networks: `metadata_props` of ONNX nodes (netron), node data of Google's Model Explorer.

A layer of a program comes from one or several nodes: the one that it is named after has its cycles, the others say which layer they are part of and
have none of their own, so that cycles add up to those of the layers. Layers overlap in time: together they may have more cycles than the whole.
"""

from collections import Counter
from typing import Any

import numpy as np
import onnx

from acg.causes import bindings, spans
from acg.graph import Graph
from acg.predictor import Timeline
from compiler.program import Program
from covenant.layers import layer_cycles

__all__ = ["annotate", "node_costs", "node_data"]

#: Before each key that is set.
_PREFIX = "covenant."
_GRADIENT = [{"stop": 0, "bgColor": "#ffffff"}, {"stop": 1, "bgColor": "#d9534f"}]


def node_costs(graph: Graph, program: Program, timeline: Timeline) -> dict[str, dict[str, Any]]:
    """By node: ``layer``; of the node that a layer is named after ``cycles`` from its first start to its last retire, ``engines`` (cycles with an instruction
    of its under way, by engine) and ``cause``, (what its engines waited for longest, cycles) or None; of the others these are 0, {} and None."""
    found = spans(graph, program.instructions, timeline)
    bound = bindings(graph, program.instructions, timeline, found)
    layer_of = np.array([layer for layer, _ in program.provenance], np.int64)
    cycles = layer_cycles(graph, program.instructions, layer_of, timeline.start, timeline.retire, len(program.layers))
    busy: list[Counter[str]] = [Counter() for _ in program.layers]
    waits: list[Counter[str]] = [Counter() for _ in program.layers]
    until = dict.fromkeys(graph.engines, 0)
    for number, instruction in enumerate(program.instructions):
        of, name = int(layer_of[number]), instruction.engine
        start, end = int(timeline.start[number]), int(timeline.retire[number]) + 1
        busy[of][name] += max(0, end - max(start, until[name]))
        until[name] = max(until[name], end)
        cause = bound[number].cause
        if cause is not None and not graph.engines[name].copies:
            waits[of][str(cause)] += start - int(found.ready[number])
    rows: dict[str, dict[str, Any]] = {}
    for number, layer in enumerate(program.layers):
        names = layer.origin or (layer.name,)
        first = layer.name if layer.name in names else names[0]
        longest = min(((-count, cause) for cause, count in waits[number].items() if count > 0), default=None)
        for name in names:
            row = rows.setdefault(name, {"layer": layer.name, "operator": layer.label, "cycles": 0, "engines": Counter(), "cause": None})
            if name == first:
                row["cycles"] += cycles[number]
                row["engines"].update(busy[number])
                if longest is not None and (row["cause"] is None or -longest[0] > row["cause"][1]):
                    row["cause"] = (longest[1], -longest[0])
    return rows


def _label(node: onnx.NodeProto, index: int) -> str:
    """The node's name as programs have it."""
    return node.name or f"#{index}"


def annotate(model: onnx.ModelProto, costs: dict[str, dict[str, Any]], *, machine: str, total: int) -> None:
    """Set ``covenant.*`` properties of the model and of each of its nodes, in place, in the place of earlier ones; nodes without a name get one."""
    _set(model.metadata_props, {"machine": machine, "cycles": str(total)})
    for index, node in enumerate(model.graph.node):
        node.name = _label(node, index)
        row = costs.get(node.name)
        if row is None:
            said = {"cycles": "0", "engine": "none: folded into constants, or into where data lie"}
        elif not row["engines"]:
            said = {"cycles": "0", "engine": f"with {row['layer']}", "layer": row["layer"]}
        else:
            said = {"cycles": str(row["cycles"]), "engine": ", ".join(f"{name} {count}" for name, count in sorted(row["engines"].items())),
                    "largest_wait": "none" if row["cause"] is None else f"{row['cause'][0]}: {row['cause'][1]} cycles",
                    "layer": row["layer"], "operator": row["operator"]}
        _set(node.metadata_props, {"machine": machine, **said})


def _set(properties, values: dict[str, str]) -> None:
    kept = [item for item in properties if not item.key.startswith(_PREFIX)]
    del properties[:]
    properties.extend([*kept, *(onnx.StringStringEntryProto(key=_PREFIX + key, value=value) for key, value in values.items())])


def node_data(model: onnx.ModelProto, costs: dict[str, dict[str, Any]], *, machine: str) -> dict[str, Any]:
    """Model Explorer's node data of an annotated model: by graph ``results``, cycles by node, and the colours of least and most."""
    results = {node.name: {"value": costs[node.name]["cycles"]} for node in model.graph.node if costs.get(node.name, {}).get("engines")}
    return {model.graph.name or "graph": {"name": f"cycles on {machine}", "results": results, "gradient": _GRADIENT}}
