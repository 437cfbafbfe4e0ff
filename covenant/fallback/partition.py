"""Which nodes run together, where.

Nodes that a value other than an 8-bit tensor joins cannot be separated: between DequantizeLinear and QuantizeLinear stands one quantised
operator. Such a *unit* goes to the host if any of its nodes has been refused, else to the accelerator. Units are then put into segments: the
level of a unit is the largest of those it reads from, one more where it changes sides; accelerator levels are even, host levels odd, and all
units of a level are one segment. Values only go from lower levels to higher ones, so the segments can run in turn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import networkx as nx
import onnx

from covenant.fallback.prepare import Prepared, reads

__all__ = ["NOTHING_TO_COMPUTE", "Cut", "partition"]

#: Operators that compute nothing: a segment of these alone is not worth a program.
_TRIVIAL = frozenset({"DequantizeLinear", "Flatten", "Identity", "QuantizeLinear", "Reshape", "Squeeze", "Unsqueeze"})
NOTHING_TO_COMPUTE = "nothing to compute: it only quantises or reshapes beside what the host does"


@dataclass(frozen=True)
class Cut:
    """A segment: its nodes in the order of the graph; on the host, ``why`` each is there by node name (empty on the accelerator)."""

    host: bool
    nodes: tuple[onnx.NodeProto, ...]
    why: dict[str, str]


def _joined(edges: list[tuple[int, int]], count: int) -> list[set[int]]:
    graph: nx.Graph = nx.Graph()
    graph.add_nodes_from(range(count))
    graph.add_edges_from(edges)
    return list(nx.connected_components(graph))


def _units(prepared: Prepared) -> tuple[list[onnx.NodeProto], nx.DiGraph]:
    """Nodes that are not constant, and the acyclic graph of the units: ``members`` of each are positions of its nodes."""
    nodes = [node for node in prepared.model.graph.node if not all(name in prepared.constants for name in node.output if name)]
    producer = {name: index for index, node in enumerate(nodes) for name in node.output if name}
    values = [(producer[name], index, name) for index, node in enumerate(nodes) for name in reads(node) if name in producer]
    parts = _joined([(source, reader) for source, reader, name in values if not prepared.eight_bits(name)], len(nodes))
    of = {index: number for number, part in enumerate(parts) for index in part}
    graph: nx.DiGraph = nx.DiGraph()
    graph.add_nodes_from(range(len(parts)))
    graph.add_edges_from((of[source], of[reader]) for source, reader, _ in values if of[source] != of[reader])
    # A float value that goes around a quantised detour makes a cycle: such parts are one unit too.
    units = nx.condensation(graph)
    for unit in units:
        units.nodes[unit]["members"] = sorted(index for part in units.nodes[unit]["members"] for index in parts[part])
    return nodes, units


def _levels(units: nx.DiGraph, host: Mapping[int, bool]) -> dict[int, int]:
    levels: dict[int, int] = {}
    for unit in nx.lexicographical_topological_sort(units):
        base = -1 if host[unit] else 0
        levels[unit] = max([base, *(levels[source] + (host[source] != host[unit]) for source in units.predecessors(unit))])
    return levels


def partition(prepared: Prepared, refused: Mapping[str, str]) -> list[Cut]:
    """Return the segments in the order in which they run. ``refused``: node name to the reason why no engine can do it."""
    nodes, units = _units(prepared)
    members = {unit: [nodes[index] for index in units.nodes[unit]["members"]] for unit in units}
    trivial = {unit: all(node.op_type in _TRIVIAL for node in members[unit]) for unit in units}
    why: dict[int, dict[str, str]] = {}
    for unit, inside in members.items():
        causes = [node.name for node in inside if node.name in refused]
        if causes:
            with_it = f"its values are not quantised between it and {causes[0]}"
            why[unit] = {node.name: refused.get(node.name, with_it) for node in inside}
    while True:
        levels = _levels(units, {unit: unit in why for unit in units})
        idle = {level for level in levels.values() if level % 2 == 0 and all(trivial[unit] for unit in units if levels[unit] == level)}
        moved = [
            unit for unit in units if unit not in why and trivial[unit] and (
                (levels[unit] in idle and len(why) > 0)
                or (units.out_degree(unit) > 0 and all(reader in why for reader in units.successors(unit))
                    and all(source in why for source in units.predecessors(unit)))
            )
        ]
        if not moved:
            break
        for unit in moved:
            why[unit] = {node.name: NOTHING_TO_COMPUTE for node in members[unit]}
    cuts = []
    for level in sorted(set(levels.values())):
        inside = sorted(index for unit in units if levels[unit] == level for index in units.nodes[unit]["members"])
        reasons = {name: text for unit in units if levels[unit] == level for name, text in why.get(unit, {}).items()}
        cuts.append(Cut(bool(level % 2), tuple(nodes[index] for index in inside), reasons))
    return cuts
