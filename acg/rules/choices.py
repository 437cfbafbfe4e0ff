"""Fields that hold a code: a number that chooses a memory, a table or an operation. Which values exist follows from the graph."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from acg.fields import Field
from acg.isa import Instruction, instruction_set
from acg.kinds.spec import Control
from acg.nodes import Engine, Graph

__all__ = ["Code", "absent", "codes"]

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
    return {name: tuple(_codes(graph, engine, isa.formats[name].by_name)) for name, engine in graph.engines.items()}


def _codes(graph: Graph, engine: Engine, fields: Mapping[str, Field]) -> Iterator[Code]:
    """Those that choose a link, then tables, then what controls choose; each in the order of the kind's body."""
    streams = engine.streams
    for stream in streams:
        if stream.select:
            links = graph.links_of(engine.name, stream.ports[0])
            memories = [link.memory for link in links]
            meanings = {value: f"{link.memory} as {link.element.name}" if memories.count(link.memory) > 1 else link.memory for value, link in enumerate(links)}
            yield Code(stream.select, f"the links of port {stream.ports[0]}", meanings, 1 << fields[stream.select].width, stream.enabled_by or None)
    for stream in streams:
        if stream.unit == "bank":
            memory, field = graph.memories[graph.link_of(engine.name, stream.ports[0]).memory], f"{stream.prefix}_select"
            meanings = {value: f"table {value} of {memory.name}" for value in range(memory.banks)}
            yield Code(field, f"the tables of {memory.name}", meanings, 1 << fields[field].width, stream.enabled_by or None)
    for item in engine.body:
        if isinstance(item, Control) and item.what and item.name in fields:
            meanings = {0: item.meanings[0] if item.meanings else "none"}
            for operation, value in item.codes:
                if engine.can(operation):
                    meanings[value] = item.meanings[value] if item.meanings else operation.lower().replace("_", " ")
            yield Code(item.name, item.what, dict(sorted(meanings.items())), 1 << fields[item.name].width)


def absent(graph: Graph, instruction: Instruction) -> tuple[Code, int] | None:
    """The first code of an instruction whose value does not exist, with that value; None where all that is chosen exists."""
    fields = instruction.fields
    for code in codes(graph)[instruction.engine]:
        value = fields.get(code.field, 0)
        if value not in code.meanings and (code.needs is None or fields.get(code.needs, 0)):
            return code, value
    return None
