"""The compiler's view of an architecture graph: which engine can do what, and which memories its ports reach.

Nothing here or in any pass looks at a name: engines are found by capability, memories by the links of an engine's ports.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod

from acg.graph import Engine, Graph, Link, Memory
from acg.kinds.spec import Offer
from acg.operations import OPERATIONS
from compiler.errors import CompilerError
from compiler.kernels.core import Core, core_of
from compiler.levels import CONTRACTION, levels_of
from compiler.partitions import Cut, Partition, cuts, left_out, partitions, suited

#: What ends a chain of float32 values in a byte.
FINISH = "REQUANTIZE"
#: What a vector unit does, lane by lane: it offers some of these.
LANE_BY_LANE = ("MAC", "SUM", "MAXIMUM", "ADD", "MUL", "MIN", "MAX", "FAKE_QUANTIZE", FINISH, "TABLE")
#: What a matrix unit does.
PRODUCT = "MATMUL"
#: The same, one input for all lanes at a time, on a vector unit.
BROADCAST = "BROADCAST_MAC"


@dataclass(frozen=True)
class MatrixUnit:
    """An engine that contracts, by MATMUL or BROADCAST_MAC: `rows` input lanes by `columns` output lanes, and the memories of its operands and of its
    result, whatever its kind calls the sizes and the ports; `levels` of its loop nest for the loops of a contraction."""

    engine: Engine
    activation: Partition
    weight: Partition
    accumulator: Partition
    offer: Offer
    levels: Mapping[str, int]

    @cached_property
    def runs(self) -> bool:
        """Whether it reads the blocks of weights of an instruction one after the other, in the order of the passes."""
        return bool(self.engine.specification.stream(self.offer.operands[1]).run[1])

    @cached_property
    def rows(self) -> int:
        """Input channels a pass reduces."""
        return prod(self.engine.extent(self.offer.operation, dimension) for dimension in OPERATIONS[self.offer.operation].reduced)

    @cached_property
    def columns(self) -> int:
        """Output channels a pass computes."""
        return prod(self.engine.extent(self.offer.operation, dimension) for dimension in OPERATIONS[self.offer.operation].parallel)

    @cached_property
    def broadcasts(self) -> bool:
        """Whether it takes one input a pass, in instructions of a vector unit."""
        return self.offer.operation == BROADCAST


@dataclass(frozen=True)
class VectorUnit:
    """An engine that works lane by lane: `lanes` elements a cycle; memories of each operand port in the order of its links, none behind a port
    that its operations do not need. The properties without the suffix are for those who know that there is one."""

    engine: Engine
    a: tuple[Partition, ...]
    b: tuple[Partition, ...]
    y: tuple[Partition, ...]
    parameter_or_none: Partition | None
    table_or_none: Partition | None

    @property
    def parameter(self) -> Partition:
        """Memory of biases and scales."""
        assert self.parameter_or_none is not None, f"{self.engine.name} has no parameters"
        return self.parameter_or_none

    @property
    def table(self) -> Partition:
        """Memory of look-up tables."""
        assert self.table_or_none is not None, f"{self.engine.name} has no tables"
        return self.table_or_none

    @cached_property
    def lanes(self) -> int:
        """Elements an iteration."""
        return self.engine.number("lanes")

    @cached_property
    def parameter_blocks(self) -> int:
        """Blocks of channels whose parameters the memory holds: an int32 bias and a float32 scale a lane."""
        return self.parameter.size_bytes // (8 * self.lanes)


@dataclass(frozen=True)
class WindowUnit:
    """An engine that offers WINDOW_MAC or WINDOW_MAX, `operation`: `taps` elements of a window by `lanes`, kernels of at most `kernel_rows` rows, boxes of
    at most `row_words` columns, windows at most `steps` apart; memories of its operands (weights: None without) and its result."""

    engine: Engine
    operation: str
    activation: Partition
    weight_or_none: Partition | None
    accumulator: Partition

    @property
    def weight(self) -> Partition:
        """Memory of the weights."""
        assert self.weight_or_none is not None, f"{self.operation} has no weights"
        return self.weight_or_none

    @property
    def lanes(self) -> int:
        """Channels at once."""
        return self.engine.extent(self.operation, "l")

    @property
    def taps(self) -> int:
        """Kernel positions at once."""
        return self.engine.extent(self.operation, "t")

    @property
    def kernel_rows(self) -> int:
        """Most rows of a kernel."""
        return self.engine.number("kernel_rows")

    @property
    def row_words(self) -> int:
        """Most columns of a box."""
        return self.engine.number("row_words")

    @property
    def steps(self) -> int:
        """Greatest distance of windows."""
        return self.engine.number("steps")


@dataclass(frozen=True)
class CoreUnit:
    """A programmable engine: what its kernels are made for, memories of activations and results, of weights and parameters, of code and of tables, and
    `reads`, all that its streams can load from."""

    engine: Engine
    core: Core
    activation: Partition
    weight: Partition
    code: Partition
    table_or_none: Partition | None
    reads: tuple[Partition, ...]
    #: Memories of each port, in the order of its links.
    links: Mapping[str, tuple[str, ...]]

    @property
    def apart(self) -> bool:
        """Whether what it stores can never be loaded: no memory is behind both ports."""
        return not set(self.links["load"]) & set(self.links["store"])

    @property
    def products(self) -> int:
        """Slots that multiply a broadcast word."""
        return len(self.core.where.get("DOT", ()))


@dataclass(frozen=True)
class CopyPath:
    """A copy engine between external memory and an on-chip one; `select` numbers the link among the engine's on chip, which are `reach` ones."""

    engine: Engine
    memory: Partition
    select: int
    chunk_bytes: int
    reach: int


class Target:
    """What the passes ask of a graph, its memories cut in one way; the first of `cuts` unless given. Raises CompilerError when the graph cannot run any
    network."""

    def __init__(self, graph: Graph, cut: Cut | None = None) -> None:
        self.graph = graph
        self._left_out = left_out(graph)
        self._partitions = partitions(graph, cuts(graph)[0] if cut is None else cut)
        self.partitions = {partition.name: partition for partition in self._partitions.values()}
        self.external = self.partitions[graph.external.name]
        self.matrix = tuple(self._matrix(e) for e in self.capable(PRODUCT))
        able = [e for e in graph.engines.values() if e.name not in self._left_out and e.operations.intersection(LANE_BY_LANE) and self._lanes(e)]
        #: Those that finish chains first: a unit for pools alone is of less use.
        self.vector = tuple(self._vector(e) for e in sorted(able, key=lambda e: not e.can(FINISH)))
        self.matrix += tuple(unit for e in self.capable(BROADCAST) if (unit := self._broadcast(e)) is not None)
        #: Programmable ones; what they offer others do by instructions of their own.
        self.cores = tuple(self._core(e) for e in graph.engines.values() if e.tables)
        self.into: dict[str, tuple[CopyPath, ...]] = {}
        self.out_of: dict[str, tuple[CopyPath, ...]] = {}
        for engine in graph.capable("COPY"):
            inward, links = self._on_chip(engine)
            table = self.into if inward else self.out_of
            for select, link in enumerate(links):
                for memory in self.partitions.values():
                    if memory.within == link.memory:
                        path = CopyPath(engine, memory, select, graph.chunk_bytes(engine.name), len(links))
                        table[memory.name] = (*table.get(memory.name, ()), path)

    def capable(self, operation: str) -> tuple[Engine, ...]:
        """Engines that offer an operation, but those that the memories leave no room for."""
        return tuple(engine for engine in self.graph.capable(operation) if engine.name not in self._left_out)

    def _on_chip(self, engine: Engine) -> tuple[bool, tuple[Link, ...]]:
        """Whether a copy engine reads external memory, and its links on chip."""
        offer, kind = engine.specification.offer("COPY"), engine.specification
        ends = [self.graph.links_of(engine.name, kind.stream(prefix).ports[0]) for prefix in (offer.operands[0], offer.result)]
        inward = any(self.graph.memories[link.memory].kind == "external" for link in ends[0])
        return inward, ends[1] if inward else ends[0]

    def _lanes(self, engine: Engine) -> bool:
        """Whether an engine has an operand and a result lane by lane, as a vector unit has."""
        return all(any(port.name == name for port in engine.ports) for name in ("a", "y"))

    def _memories(self, engine: Engine, port: str) -> tuple[Partition, ...]:
        links = self.graph.links_of(engine.name, port)
        return tuple(dict.fromkeys(memory for link in links for memory in suited(self._partitions, engine, link)))

    def _matrix(self, engine: Engine) -> MatrixUnit:
        """By the operation's formula: what streams over all that is reduced, the matrix, the sums."""
        offer, kind = engine.specification.offer(PRODUCT), engine.specification
        streams = [kind.stream(prefix) for prefix in (*offer.operands, offer.result)]
        activation, weight, accumulator = (self._memories(engine, stream.ports[0])[0] for stream in streams)
        return MatrixUnit(engine, activation, weight, accumulator, offer, levels_of(kind, offer, CONTRACTION))

    def _broadcast(self, engine: Engine) -> MatrixUnit | None:
        """A vector unit as one that contracts: activations and weights in two memories of bytes, as it reads both at once, and sums in one of 32 bits that
        it reads again; None where it has no such memories or cannot add sums up."""
        offer, kind = engine.specification.offer(BROADCAST), engine.specification
        a, b, y = (self._memories(engine, kind.stream(prefix).ports[0]) for prefix in (*offer.operands, offer.result))
        written = {memory.name for memory in y}
        near = sorted((m for m in a if m.kind == "scratchpad" and m.element.bits == 8), key=lambda m: m.name not in written)
        sums = [m for m in a if m.element.bits == 32 and m.name in written]
        weights = [m for m in b if m.kind == "scratchpad" and m.element.bits == 8 and near and m.name != near[0].name]
        if not (near and sums and weights and engine.can("SUM")):
            return None
        return MatrixUnit(engine, near[0], weights[0], sums[0], offer, {})

    def window(self, operation: str) -> tuple[WindowUnit, ...]:
        """Engines that slide kernels by this operation: their operands and results stand where its streams go."""
        return tuple(self._window(engine, operation) for engine in self.capable(operation) if not engine.tables)

    def _window(self, engine: Engine, operation: str) -> WindowUnit:
        kind = engine.specification
        offer = kind.offer(operation)
        activation, *weight = (self._memories(engine, kind.stream(prefix).ports[0])[0] for prefix in offer.operands)
        return WindowUnit(engine, operation, activation, weight[0] if weight else None, self._memories(engine, kind.stream(offer.result).ports[0])[0])

    def _core(self, engine: Engine) -> CoreUnit:
        """Activations stand where its results go, weights beside them if there is another memory."""
        results = {memory.name for memory in self._memories(engine, "store")}
        read = self._memories(engine, "load")
        near = next((memory for memory in read if memory.name in results), read[0])
        weight = next((memory for memory in read if memory.name != near.name and memory.element.bits == 8), near)
        table = next(iter(self._memories(engine, "table")), None)
        code = self._memories(engine, "code")[0]
        links = {port.name: tuple(link.memory for link in self.graph.links_of(engine.name, port.name)) for port in engine.ports}
        return CoreUnit(engine, core_of(engine, code.size_bytes // engine.number("packet_bytes")), near, weight, code, table, read, links)

    def _vector(self, engine: Engine) -> VectorUnit:
        a, b, y = (self._memories(engine, port) for port in ("a", "b", "y"))
        parameter, table = (next(iter(self._memories(engine, port)), None) for port in ("parameter", "table"))
        return VectorUnit(engine, a, b, y, parameter, table)

    def load_path(self, memory: Memory, *, constant: bool = False) -> CopyPath:
        """Copy engine that fills `memory`: of several the one that serves fewest memories, so that a dedicated one is used.

        Of equal ones activations take the first and constants the last, so that neither waits for the other.

        Raises CompilerError when no engine reaches it.
        """
        paths = self.into.get(memory.name, ())
        if not paths:
            raise CompilerError(
                f"memory {memory.name}", found="no COPY engine from external memory", expected="a link from a load engine",
                do="add the link to the architecture",
            )
        order = -1 if constant else 1
        return min(paths, key=lambda p: (p.reach, order * p.engine.index))

    def store_path(self, memory: Memory) -> CopyPath:
        """Copy engine that empties `memory` into external memory. Raises CompilerError when there is none."""
        paths = self.out_of.get(memory.name, ())
        if not paths:
            raise CompilerError(
                f"memory {memory.name}", found="no COPY engine into external memory", expected="a link to a store engine",
                do="add the link to the architecture",
            )
        return min(paths, key=lambda p: (p.reach, p.engine.index))


def narrow(memories: tuple[Partition, ...], preferred: Partition | None) -> Partition | None:
    """Memory of 8-bit elements among `memories`: `preferred` if it is there, else the first."""
    bytes_only = [m for m in memories if m.element.bits == 8 and m.kind == "scratchpad"]
    if preferred is not None and any(m.name == preferred.name for m in bytes_only):
        return preferred
    return bytes_only[0] if bytes_only else None
