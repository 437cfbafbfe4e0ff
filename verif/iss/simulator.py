"""The instruction-level functional simulator: memories as numpy bytes, instructions executed in program order.

Program order is a legal order of the machine: an instruction waits only for earlier ones, and the compiler orders whatever touches the
same bytes. That it does is checked against the predicted timeline by :mod:`verif.hazards`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from acg.graph import Graph, Link
from acg.isa import Instruction
from acg.machine import machine_of
from acg.regmap import ErrorCode
from acg.rules import absent, exceeded
from verif.iss.errors import MachineError
from verif.iss.meanings import meaning_of

__all__ = ["Simulator"]


class Simulator:
    """A machine of a graph.

    Attributes
    ----------
    memories : dict[str, numpy.ndarray]
        Bytes (uint8) of every memory by node name; zero at first. The external memory is sized by need, ``external_bytes``.
    """

    def __init__(self, graph: Graph, *, external_bytes: int | None = None):
        self.graph = graph
        size = graph.external.size_bytes if external_bytes is None else external_bytes
        if size > graph.external.size_bytes:
            raise ValueError(f"Simulator: external_bytes is {size}; expected at most the graph's {graph.external.size_bytes}")
        self.memories = {
            name: np.zeros(size if memory.kind == "external" else memory.size_bytes, np.uint8) for name, memory in graph.memories.items()
        }
        self._least = machine_of(graph).least
        self._run = {name: self._runner(name) for name in graph.engines}

    def _runner(self, name: str) -> Callable[[Mapping[str, int]], None]:
        engine = self.graph.engines[name]
        words = {port for stream in engine.streams if stream.unit == "word" for port in stream.ports}
        ports = {port.name: [self._view(link, port.name in words) for link in self.graph.links_of(name, port.name)] for port in engine.ports}
        meaning = meaning_of(engine.kind)
        sizes = {**engine.sizes, **engine.tables}
        return lambda fields: meaning(fields, sizes, ports)

    def _view(self, link: Link, words: bool) -> np.ndarray:
        """The memory behind a link: its bytes, or port words, of int32 where its elements are."""
        flat = self.memories[link.memory]
        if not words:
            return flat
        return (flat.view(np.int32) if link.element.bits == 32 else flat).reshape(-1, link.lanes)

    def write(self, address: int, data: bytes | np.ndarray) -> None:
        """Put bytes into the external memory at a byte address."""
        view = np.frombuffer(data, np.uint8) if isinstance(data, bytes) else data
        self.memories[self.graph.external.name][address : address + view.size] = view.reshape(-1)

    def read(self, address: int, size_bytes: int) -> bytes:
        """Bytes of the external memory."""
        return self.memories[self.graph.external.name][address : address + size_bytes].tobytes()

    def execute(self, instruction: Instruction) -> None:
        """Execute one instruction. Raises MachineError, with nothing written, for a code that does not exist, fields beyond a limit, an access outside
        a memory."""
        missing = absent(self.graph, instruction)
        if missing is not None:
            code, value = missing
            raise MachineError(ErrorCode.ILLEGAL, value, f"{code.field} is {value}; expected one of {code.what}, {', '.join(map(str, code.meanings))}")
        excess = exceeded(self.graph, instruction)
        if excess is not None:
            raise MachineError(ErrorCode.ILLEGAL, excess.value, f"{excess.found}; expected {excess.expected}")
        self._run[instruction.engine](self._least[instruction.engine] | dict(instruction.fields))

    def run(self, instructions: Sequence[Instruction], *, after: Callable[[int, Instruction], None] | None = None) -> None:
        """Execute a program in order; ``after(number, instruction)`` is called behind each.

        Raises MachineError whose message names the instruction's number.
        """
        for number, instruction in enumerate(instructions):
            try:
                self.execute(instruction)
            except MachineError as error:
                raise MachineError(error.code, error.address, f"instruction {number} ({instruction.engine}): {error}") from None
            if after is not None:
                after(number, instruction)

    def load_segments(self, segments: Iterable[tuple[int, bytes]]) -> None:
        """Write several segments of (byte address, bytes)."""
        for address, data in segments:
            self.write(address, data)
