"""An instruction whose result would depend on how far its pipeline has got.

A unit reads ahead of its writes by its own latency, a number that no program should know. Each kind says in its file what may not depend on it
(`acg.kinds.spec.EngineKind.order`); of one that says nothing operands are no results.
"""

from collections.abc import Mapping, Sequence

from acg.footprint import Access
from acg.kinds.rules import read_and_written
from acg.nodes import Graph

__all__ = ["order_fault"]


def order_fault(graph: Graph, engine: str, fields: Mapping[str, int], accesses: Sequence[Access]) -> tuple[str, str] | None:
    """What of an instruction depends on the unit's latency, and what was expected instead; None where nothing does.

    Parameters
    ----------
    fields : Mapping[str, int]
        Every field of the instruction.
    accesses : sequence of Access
        Its footprint, within the memories.
    """
    unit = graph.engines[engine]
    order = unit.specification.order
    if order is not None:
        return order(graph, unit, fields, accesses)
    alone = {port for stream in unit.specification.streams if not stream.self_ordered for port in stream.ports}
    port = read_and_written(accesses, alone)
    return None if port is None else (f"port {port}, which reads what the same instruction writes", "operands apart from results")
