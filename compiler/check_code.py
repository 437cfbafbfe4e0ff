"""Refusing kernels: what stands in code memories when an instruction runs them is known, and is what its engine can run.

Code comes from constants, which copies bring to code memories in the order of the program; the kind of an engine says what is wrong with it
(`acg.kinds.spec.EngineKind.code_fault`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from acg.footprint import Access
from acg.graph import Engine, Graph
from acg.isa import Instruction
from acg.kinds.spec import Stream

__all__ = ["CodeMemories"]

Fields = Mapping[str, int]


@dataclass
class _Bytes:
    """Bytes of a memory, and which of them are known."""

    data: np.ndarray
    known: np.ndarray


@dataclass(frozen=True)
class _Copy:
    """An engine that copies to memories on chip: its streams of bytes there and outside."""

    external: Stream
    local: Stream

    def starts(self, fields: Fields, stream: Stream) -> np.ndarray:
        """Where each row begins, in order: int64 [rows]."""
        total = np.array([fields.get(f"{stream.prefix}_address", 0)], np.int64)
        for level in stream.levels:
            step = np.arange(fields.get(f"n_{level}", 1)) * fields.get(f"{stream.prefix}_stride_{level}", 0)
            total = (total[:, None] + step).reshape(-1)
        return total


class CodeMemories:
    """What code memories hold while a program is gone through; nothing is kept of a machine whose engines run no code.

    `image`: what external memory holds before the start, (byte address, bytes) each.
    """

    def __init__(self, graph: Graph, image: Sequence[tuple[int, bytes]]) -> None:
        self._graph = graph
        self._code = {name: stream for name, engine in graph.engines.items() if engine.specification.code_fault
                      for stream in engine.streams if stream.sum_of}
        memories = {graph.link_of(name, stream.ports[0]).memory for name, stream in self._code.items()}
        self._memories = {name: _Bytes(np.zeros(graph.memories[name].size_bytes, np.uint8), np.zeros(graph.memories[name].size_bytes, bool))
                          for name in sorted(memories)}
        self._copies = {name: copy for name, engine in graph.engines.items() if (copy := self._copy_of(engine))} if memories else {}
        self._segments = sorted(image) if memories else []
        self._stored: list[tuple[int, int]] = []  # of external memory: no longer what the image says

    @staticmethod
    def _copy_of(engine: Engine) -> _Copy | None:
        """How an engine copies inward; None where it does not."""
        bytewise = [stream for stream in engine.streams if stream.row >= 0]
        outside = [stream for stream in bytewise if (port := engine.specification.port(stream.ports[0])).reads and "external" in port.memories]
        inside = [stream for stream in bytewise if not engine.specification.port(stream.ports[0]).reads]
        return _Copy(outside[0], inside[0]) if outside and inside else None

    def fault(self, instruction: Instruction, fields: Fields, accesses: Sequence[Access]) -> tuple[str, str] | None:
        """What is wrong with the code that an instruction runs, and what was expected instead; None for one that runs none, or where nothing is.

        `fields`: every field of it; `accesses`: its footprint, within the memories.
        """
        stream = self._code.get(instruction.engine)
        if stream is None:
            return None
        engine = self._graph.engines[instruction.engine]
        (access,) = (access for access in accesses if access.port == stream.ports[0])
        memory = self._memories[access.memory]
        if not memory.known[access.lo_byte : access.hi_byte].all():
            return (f"code at bytes {access.lo_byte:#x} to {access.hi_byte:#x} of {access.memory}, not all of which are constants that were brought there",
                    "code that copies have brought from the program's constants")
        check = engine.specification.code_fault
        assert check is not None
        return check(engine, fields, memory.data[access.lo_byte : access.hi_byte].tobytes())

    def follow(self, instruction: Instruction, accesses: Sequence[Access]) -> None:
        """What code memories hold behind an instruction."""
        if not self._memories:
            return
        copy = self._copies.get(instruction.engine)
        for access in accesses:
            if access.write and access.memory == self._graph.external.name:
                self._stored.append((access.lo_byte, access.hi_byte))
            elif access.write and access.memory in self._memories:
                memory = self._memories[access.memory]
                if copy is None:
                    memory.known[access.lo_byte : access.hi_byte] = False
                else:
                    self._bring(copy, instruction.fields, memory)

    def _bring(self, copy: _Copy, fields: Fields, memory: _Bytes) -> None:
        row = fields.get(f"n_{copy.local.row}", 1)
        for source, target in zip(copy.starts(fields, copy.external).tolist(), copy.starts(fields, copy.local).tolist(), strict=True):
            memory.known[target : target + row] = False
            for start, data in self._constants(source, source + row):
                place = slice(target + start - source, target + start - source + len(data))
                memory.data[place] = np.frombuffer(data, np.uint8)
                memory.known[place] = True

    def _constants(self, low: int, high: int) -> Iterator[tuple[int, bytes]]:
        """What is known of external memory from low to high: nothing that may have been stored there meanwhile."""
        if any(start < high and low < end for start, end in self._stored):
            return
        for address, data in self._segments:
            start, end = max(low, address), min(high, address + len(data))
            if start < end:
                yield start, data[start - address : end - address]
