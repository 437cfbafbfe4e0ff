"""An instruction whose result would depend on how far its pipeline has got.

A unit reads ahead of its writes by its own latency, a number that no program should know. Each kind says in its file what may not depend on it
(`acg.kinds.spec.EngineKind.order`).
"""

from collections.abc import Mapping, Sequence

from acg.footprint import Access
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
    return None if order is None else order(graph, unit, fields, accesses)
