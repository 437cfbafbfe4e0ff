"""Fields that hold a code: a number that chooses a memory, a table or an operation. Which values exist follows from the graph."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from acg.capability import ESTIMATES
from acg.graph import Graph
from acg.isa import Instruction, instruction_set

__all__ = ["BINARIES", "REDUCTIONS", "Code", "absent", "codes"]

#: Meanings of a vector instruction's fields ``reduce`` and ``binary``, by their values.
REDUCTIONS = ("none", "sum", "maximum")
BINARIES = ("none", "add", "multiply", "minimum", "maximum")

#: Select fields of each engine kind: the port whose links they number, and the field that must be 1 for the choice to be made (None: always).
_SELECTS: dict[str, dict[str, tuple[str, str | None]]] = {
    "load": {"select": ("destination", None)},
    "store": {"select": ("source", None)},
    "matrix": {},
    "vector": {"a_select": ("a", None), "b_select": ("b", "b_enable"), "y_select": ("y", None)},
}


@dataclass(frozen=True)
class Code:
    """A field that chooses.

    Attributes
    ----------
    field, what : str
        Name of the field, and what its values number.
    meanings : Mapping[int, str]
        The values that exist, and what they choose.
    values : int
        Values that the field can hold: 0 up to this less one.
    needs : str or None
        Field that must be 1 for the choice to be made: else any value is legal. None: the choice is always made.
    """

    field: str
    what: str
    meanings: Mapping[int, str]
    values: int
    needs: str | None = None

    @property
    def missing(self) -> tuple[int, ...]:
        """Values that the field can hold and that do not exist."""
        return tuple(value for value in range(self.values) if value not in self.meanings)


@lru_cache(maxsize=64)
def codes(graph: Graph) -> Mapping[str, tuple[Code, ...]]:
    """Codes of each engine's instructions, by engine; of an instruction with several that do not exist, the machine reports the first."""
    isa = instruction_set(graph)
    result = {}
    for name, engine in graph.engines.items():
        fields = isa.formats[name].by_name
        rows: list[tuple[str, str, Mapping[int, str], str | None]] = []
        for field, (port, needs) in _SELECTS[engine.kind].items():
            rows.append((field, f"the links of port {port}", {value: link.memory for value, link in enumerate(graph.links_of(name, port))}, needs))
        if engine.kind == "vector":
            table = graph.memories[graph.link_of(name, "table").memory]
            estimates = {0: "none"} | {value: operation.lower().replace("_", " ") for operation, value in ESTIMATES.items() if engine.can(operation)}
            rows += [
                ("table_select", f"the tables of {table.name}", {value: f"table {value} of {table.name}" for value in range(table.banks)}, "table_enable"),
                ("reduce", "the reductions", dict(enumerate(REDUCTIONS)), None),
                ("binary", "the operations on two values", dict(enumerate(BINARIES)), None),
                ("estimate", "the estimates", estimates, None),
            ]
        result[name] = tuple(Code(field, what, meanings, 1 << fields[field].width, needs) for field, what, meanings, needs in rows if field in fields)
    return result


def absent(graph: Graph, instruction: Instruction) -> tuple[Code, int] | None:
    """The first code of an instruction whose value does not exist, with that value; None where all that is chosen exists."""
    fields = instruction.fields
    for code in codes(graph)[instruction.engine]:
        value = fields.get(code.field, 0)
        if value not in code.meanings and (code.needs is None or fields.get(code.needs, 0)):
            return code, value
    return None
