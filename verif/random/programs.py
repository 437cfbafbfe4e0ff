"""Random legal programs below the compiler: any order of any instructions, with the waits that their footprints ask for.

A program fills the on-chip memories, runs random instructions, and stores what they wrote, so that the functional simulator and the RTL
can be compared byte by byte. Waits are derived from :mod:`acg.footprint`, independently of the compiler's scheduler.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from acg.footprint import Access, Footprints
from acg.graph import Graph, Link
from acg.isa import Instruction, instruction_set
from acg.kinds.core.packets import Kernel, packet_format
from verif.random.cores import CoreDraw, random_kernel
from verif.random.instructions import InstructionDraw

__all__ = ["Copies", "Draft", "RandomProgram", "copies", "ordered", "random_program"]

#: External bytes that random copies read and write; the lower half starts with any bytes, the upper half with parameters.
WINDOW_BYTES = 1 << 16
#: Most bytes of on-chip memory that a program stores at its end.
MOST_OBSERVED_BYTES = 1 << 15
#: Most bytes of a memory that a program fills at its beginning.
_MOST_FILLED_BYTES = 4096
#: Kernels of a program for each engine that runs code.
KERNELS = 4


@dataclass(frozen=True)
class Draft:
    """An instruction before its waits are known. ``extra``: superfluous waits as (engine, how many of its latest instructions are not awaited)."""

    instruction: Instruction
    extra: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class RandomProgram:
    """A program and what it runs on.

    Attributes
    ----------
    graph : Graph
    drafts : tuple of Draft
        In program order, without the final stores.
    image : tuple of (byte address, bytes)
        Initial external memory.
    """

    graph: Graph
    seed: int
    drafts: tuple[Draft, ...]
    image: tuple[tuple[int, bytes], ...]

    @property
    def stores(self) -> tuple[Draft, ...]:
        """Stores of what the drafts wrote on chip, behind the window in external memory."""
        return tuple(Draft(item) for item in _observations(self.graph, [draft.instruction for draft in self.drafts]))

    @property
    def instructions(self) -> tuple[Instruction, ...]:
        """The whole program with its waits."""
        return ordered(self.graph, (*self.drafts, *self.stores))

    @property
    def observed_bytes(self) -> int:
        """External bytes, from 0, that are compared after the run."""
        return WINDOW_BYTES + MOST_OBSERVED_BYTES

    @property
    def program_address(self) -> int:
        """Byte address of the first instruction: behind what is observed, or so that the last one ends with the external memory."""
        size = instruction_set(self.graph).instruction_bytes
        if self.seed % 2:
            return self.graph.external.size_bytes - size * (len(self.drafts) + len(self.stores))
        return self.observed_bytes + size * (1 + self.seed % 5)

    def without(self, kept: Sequence[Draft]) -> "RandomProgram":
        """The same with these drafts only."""
        return replace(self, drafts=tuple(kept))


def _must_wait(earlier: Access, later: Access, same_engine: bool, same_walk: bool, external: str) -> bool:
    if earlier.memory != later.memory:
        return False
    overlaps = earlier.lo_byte < later.hi_byte and later.lo_byte < earlier.hi_byte
    ports_meet = earlier.first_bank <= later.last_bank and later.first_bank <= earlier.last_bank
    if same_engine:
        if earlier.memory != external and earlier.write == later.write and earlier.beat != later.beat and ports_meet:
            return True  # one of its ports may ask for the next instruction while another still does for the one before
        # An engine works in order; only a read may overtake an earlier instruction's write.
        return earlier.write and not later.write and overlaps and not (same_walk and earlier.self_ordered and later.self_ordered)
    if overlaps and (earlier.write or later.write):
        return True
    return earlier.memory != external and earlier.write == later.write and ports_meet


def ordered(graph: Graph, drafts: Sequence[Draft]) -> tuple[Instruction, ...]:
    """Instructions with waits for every earlier one that they meet, plus the superfluous ones."""
    footprints = Footprints(graph)
    accesses = [footprints(draft.instruction) for draft in drafts]
    walks = {name: [field for stream in engine.streams if stream.self_ordered for field in stream.walk]
             for name, engine in graph.engines.items()}
    retired = dict.fromkeys(graph.engines, 0)
    place: list[int] = []
    result = []
    for number, draft in enumerate(drafts):
        instruction = draft.instruction
        waits: dict[str, int] = {}
        for other in range(number):
            earlier = drafts[other].instruction
            if place[other] <= waits.get(earlier.engine, 0):
                continue
            same = earlier.engine == instruction.engine
            walk = same and all(earlier.fields.get(name) == instruction.fields.get(name) for name in walks[instruction.engine])
            if any(_must_wait(one, two, same, walk, graph.external.name) for one in accesses[other] for two in accesses[number]):
                waits[earlier.engine] = place[other]
        for engine, spared in draft.extra:
            waits[engine] = max(waits.get(engine, 0), retired[engine] - spared, 0)
        retired[instruction.engine] += 1
        place.append(retired[instruction.engine])
        result.append(replace(instruction, waits=waits))
    return tuple(result)


@dataclass(frozen=True)
class Copies:
    """An engine that copies rows of bytes: prefixes of its streams, the control that chooses among ``links`` on chip, the count of a row's bytes."""

    engine: str
    external: str
    local: str
    select: str
    row: str
    links: tuple[Link, ...]

    def instruction(self, link: int, size: int, external: int, local: int) -> Instruction:
        """Copy ``size`` bytes between these addresses."""
        chosen = {self.select: link} if self.select else {}
        return Instruction(self.engine, {**chosen, self.row: size, f"{self.external}_address": external, f"{self.local}_address": local})

    def on_chip(self, fields: Mapping[str, int], external: int) -> tuple[int, str] | None:
        """Address on chip, and memory, of the byte of external memory that an instruction of one row copies; None for one that it does not."""
        offset = external - fields[f"{self.external}_address"]
        link = self.links[fields.get(self.select, 0)]
        return (fields[f"{self.local}_address"] + offset, link.memory) if 0 <= offset < fields[self.row] else None


def copies(graph: Graph, *, inward: bool) -> Iterator[Copies]:
    """Engines that copy from external memory, or into it."""
    for engine in graph.capable("COPY"):
        kind = engine.specification
        offer = kind.offer("COPY")
        source, target = kind.stream(offer.operands[0]), kind.stream(offer.result)
        if kind.port((source if inward else target).ports[0]).memories == ("external",):
            external, local = (source, target) if inward else (target, source)
            yield Copies(engine.name, external.prefix, local.prefix, local.select, f"n_{local.row}", graph.links_of(engine.name, local.ports[0]))


def _constants(graph: Graph) -> dict[str, int]:
    """Memories of which a word holds one operand of 32-bit elements and another, a bias and a scale a lane: how many lanes."""
    return {link.memory: link.lanes // port.lanes[0] for engine in graph.engines.values() for port in engine.ports if port.access
            for link in graph.links_of(engine.name, port.name)}


def _parameters(rng: np.random.Generator, lanes: int) -> bytes:
    """Words of ``lanes`` int32 biases and as many float32 scales of moderate magnitude, half the window in all."""
    words = WINDOW_BYTES // 2 // (8 * lanes)
    magnitude = (1 << rng.integers(1, 31, (words, lanes), np.int64)).astype(np.int64)
    bias = rng.integers(-magnitude, magnitude).astype(np.int32)
    scale = (2.0 ** rng.uniform(-14, 2, (words, lanes))).astype(np.float32).view(np.int32)
    return np.concatenate([bias, scale], axis=1).tobytes()


def _fills(graph: Graph, rng: np.random.Generator) -> list[Instruction]:
    """A load into the beginning of every memory that a load engine reaches, parameters from where they are."""
    fills = []
    constants = _constants(graph)
    for engine in copies(graph, inward=True):
        for number, link in enumerate(engine.links):
            memory = graph.memories[link.memory]
            size = min(memory.size_bytes, _MOST_FILLED_BYTES)
            source = WINDOW_BYTES // 2 if memory.name in constants else int(rng.integers(0, WINDOW_BYTES // 2 - size + 1))
            fills.append(engine.instruction(number, size, source, 0))
    return [fills[position] for position in rng.permutation(len(fills))]


def _observations(graph: Graph, instructions: Sequence[Instruction]) -> list[Instruction]:
    footprints = Footprints(graph)
    written: dict[str, list[tuple[int, int]]] = {name: [] for name in graph.memories}
    for instruction in instructions:
        for access in footprints(instruction):
            if access.write:
                written[access.memory].append((access.lo_byte, access.hi_byte))
    links = {link.memory: (engine, number) for engine in copies(graph, inward=False) for number, link in enumerate(engine.links)}
    stores, target = [], WINDOW_BYTES
    for name, (engine, number) in links.items():
        end = 0
        for low, high in sorted(written[name]):
            low = max(low, end)
            size = min(high - low, WINDOW_BYTES + MOST_OBSERVED_BYTES - target)
            if size <= 0:
                continue
            stores.append(engine.instruction(number, size, target, low))
            target += size
            end = low + size
    return stores


@dataclass(frozen=True)
class _Kernel:
    """A kernel of a program: its encoding at an address of external memory, the copy that brings it to code memory, and its first packet there."""

    kernel: Kernel
    code: bytes
    address: int
    brought: Instruction
    base: int


def _kernels(graph: Graph, rng: np.random.Generator) -> dict[str, list[_Kernel]]:
    """Some kernels for each engine that runs code, at the end of the window."""
    found: dict[str, list[_Kernel]] = {}
    end = WINDOW_BYTES
    for name, engine in graph.engines.items():
        for stream in (stream for stream in engine.streams if stream.sum_of):
            link = graph.link_of(name, stream.ports[0])
            able = [(copy, number) for copy in copies(graph, inward=True) for number, other in enumerate(copy.links) if other.memory == link.memory]
            for _ in range(KERNELS):
                kernel = random_kernel(engine, rng)
                code = packet_format(engine).encode_kernel(kernel)
                base = int(rng.integers(0, (graph.memories[link.memory].size_bytes - len(code)) // link.port_bytes + 1))
                copy, number = able[int(rng.integers(len(able)))]
                end -= len(code)
                brought = copy.instruction(number, len(code), end, base * link.port_bytes)
                found.setdefault(name, []).append(_Kernel(kernel, code, end, brought, base))
    return found


def random_program(graph: Graph, seed: int, *, instructions: int = 40) -> RandomProgram:
    """A random program of ``instructions`` random instructions between its fills and stores; equal arguments give equal programs."""
    rng = np.random.default_rng([seed, 0x9406])
    kernels = _kernels(graph, np.random.default_rng([seed, 0xC0DE]))
    size = sum(len(kernel.code) for found in kernels.values() for kernel in found)
    draw = InstructionDraw(graph, rng, window_bytes=WINDOW_BYTES - size, reach=int(rng.choice([24, 24, 24, 5, 1])))
    draw_core = CoreDraw(graph, rng)
    names = list(graph.engines)
    lanes = next(iter(_constants(graph).values()), 1)
    image = ((0, rng.integers(0, 256, WINDOW_BYTES // 2, np.uint8).tobytes()), (WINDOW_BYTES // 2, _parameters(rng, lanes)[: WINDOW_BYTES // 2 - size]),
             *((kernel.address, kernel.code) for found in kernels.values() for kernel in found))
    drafts = [Draft(item) for item in _fills(graph, rng)]
    favourite, share = names[int(rng.integers(len(names)))], rng.choice([0.0, 0.0, 0.5, 0.8])  # floods one queue, starves the others
    for _ in range(instructions):
        name = favourite if rng.random() < share else names[int(rng.integers(len(names)))]
        extra = tuple((names[int(rng.integers(len(names)))], int(rng.integers(0, 12))) for _ in range(int(rng.integers(0, 3)) if rng.random() < 0.3 else 0))
        if name in kernels:
            kernel = kernels[name][int(rng.integers(len(kernels[name])))]
            drafts += [Draft(kernel.brought, extra), Draft(draw_core(name, kernel.kernel, kernel.base))]
        else:
            drafts.append(Draft(draw(name), extra))
    return RandomProgram(graph, seed, tuple(drafts), image)
