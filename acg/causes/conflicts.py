"""Why an instruction awaits another one: from what both touch."""

from collections.abc import Sequence
from enum import StrEnum

from acg.footprint import Access
from acg.graph import Graph

__all__ = ["Cause", "why"]


class Cause(StrEnum):
    """Why an engine does nothing in a cycle."""

    OPERAND = "operand on its way"          #: a copy engine has not brought the bytes yet
    RESULT = "result of another engine"     #: another engine has not computed the bytes yet
    DRAIN = "buffer not drained"            #: the bytes to be overwritten are still being read or written
    BANK = "bank port held"                 #: no byte in common, but a bank, whose port the other one holds
    COUNT = "retire counters"               #: nothing in common: engines may not run apart further than their counters can tell
    DISPATCH = "queue or dispatch"          #: the instruction had not been fetched and dispatched yet, or its queue was full
    END = "end of program"                  #: nothing left to do


def why(graph: Graph, awaited_engine: str, awaited: Sequence[Access], waiting: Sequence[Access]) -> Cause:
    """The strongest reason for which an instruction with the accesses ``waiting`` must see the retire of one with ``awaited`` of another engine."""
    found = set()
    for one in awaited:
        for two in waiting:
            if one.memory != two.memory:
                continue
            if one.lo_byte < two.hi_byte and two.lo_byte < one.hi_byte and (one.write or two.write):
                if one.write and not two.write:
                    found.add(Cause.OPERAND if graph.engines[awaited_engine].copies else Cause.RESULT)
                else:
                    found.add(Cause.DRAIN)
            elif one.write == two.write and one.first_bank <= two.last_bank and two.first_bank <= one.last_bank:
                found.add(Cause.BANK)
    return next((cause for cause in (Cause.OPERAND, Cause.RESULT, Cause.DRAIN, Cause.BANK) if cause in found), Cause.COUNT)
