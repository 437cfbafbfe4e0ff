"""Random instructions that run a given kernel: loops, numbers and streams of any shape, within the memories, results apart from operands."""

import numpy as np

from acg.footprint import Footprints
from acg.graph import Engine, Graph
from acg.isa import Instruction, instruction_set
from acg.kinds.core.packets import Kernel
from acg.kinds.spec import Control, Stream
from acg.rules import absent, order_fault
from acg.timing.core import packets
from verif.random.cores.kernels import most_first

__all__ = ["CoreDraw"]

MOST_PACKETS_ISSUED = 1500
_LEVELS = 6

Fields = dict[str, int]


class CoreDraw:
    """Draws instructions for kernels of cores of ``graph``."""

    def __init__(self, graph: Graph, rng: np.random.Generator):
        self.graph, self.rng = graph, rng
        self._footprints, self._formats = Footprints(graph), instruction_set(graph).formats

    def __call__(self, engine_name: str, kernel: Kernel, code_base: int) -> Instruction:
        """An instruction that runs ``kernel`` from ``code_base`` on. Raises RuntimeError where none is found, which no valid graph should cause."""
        engine = self.graph.engines[engine_name]
        for attempt in range(200):
            fields = self._loops(kernel, code_base) | self._controls(engine) | self._streams(engine, kernel, max(1, 12 >> attempt // 20))
            if fields and self._place(engine, fields) and self._legal(engine, fields):
                return Instruction(engine_name, fields)
        raise RuntimeError(f"no legal instruction found for {engine_name} of {self.graph.name}; expected one within 200 draws")

    def _loops(self, kernel: Kernel, code_base: int) -> Fields:
        sizes = {"prologue_packets": len(kernel.prologue), "head_packets": len(kernel.head), "body_packets": len(kernel.body)}
        while True:
            counts = {"prologue_count": self._pick(1, 1, 2, 5), "body_count": self._pick(1, 2, 3, 9, 40), "tiles": self._pick(1, 1, 2, 3, 20)}
            drain = self._pick(0, self._integer(0, 8 * len(kernel.body)), self._integer(0, 50))
            if packets(sizes | counts | {"drain_packets": drain}) <= MOST_PACKETS_ISSUED:
                break
        total = counts["tiles"] * (sizes["head_packets"] + counts["body_count"] * sizes["body_packets"]) // sizes["body_packets"]
        iterations = self._pick(total, total, self._integer(0, total + 3), (1 << 32) - 1)
        return {"code_base": code_base, **sizes, **counts, "drain_packets": drain, "iterations": iterations}

    def _controls(self, engine: Engine) -> Fields:
        """Numbers of operands and of requantisation: whatever their fields hold, mostly what makes results say much."""
        fields: Fields = {}
        for item in engine.body:
            if not isinstance(item, Control) or item.words_of or item.links_of or item.part_of or item.name.endswith(("_count", "_packets", "iterations")):
                continue
            field = self._formats[engine.name].by_name[item.name]
            if item.shown_as == "float32":
                sign, exponent = self._integer(0, 1), self._integer(0, 255) if self.rng.random() < 0.05 else self._integer(105, 130)
                fields[item.name] = sign << 31 | exponent << 23 | self._integer(0, (1 << 23) - 1)
            elif item.usual and self.rng.random() < 0.7:
                fields[item.name] = self._pick(*item.usual)
            elif item.name != "tiles":
                fields[item.name] = self._integer(field.low, field.high)
        for stream in engine.streams:
            if stream.unit == "bank":
                memory = self.graph.memories[self.graph.link_of(engine.name, stream.ports[0]).memory]
                fields[f"{stream.prefix}_select"] = self._integer(0, memory.banks - 1)
        return fields

    def _streams(self, engine: Engine, kernel: Kernel, reach: int) -> Fields:
        """All address generators, their bases 0."""
        fields: Fields = {}
        for stream in (stream for stream in engine.streams if stream.own_counts):
            links = self.graph.links_of(engine.name, stream.ports[0])
            most = links[0].words - (0 if engine.specification.port(stream.ports[0]).reads else most_first(kernel))
            fields |= {stream.enabled_by: 1, stream.select: self._integer(0, len(links) - 1), f"{stream.prefix}_base": 0,
                       stream.moves: most if self.rng.random() < 0.6 else self._integer(1, most)}
            for level in range(_LEVELS):
                count = 1 if self.rng.random() < 0.4 else self._pick(2, 3, reach, 1 + reach // 2)
                stride = self._pick(0, 1, links[0].words, self._integer(-reach, reach), self._integer(-4 * reach, 4 * reach))
                count, stride = (65535, 0) if self.rng.random() < 0.01 else (count, stride)
                fields |= {f"{stream.prefix}_n_{level}": count, f"{stream.prefix}_stride_{level}": stride}
            if stream.axes:
                fields |= self._bounds(stream)
        return fields

    def _bounds(self, stream: Stream) -> Fields:
        fields = {stream.bounded_by: int(self.rng.random() < 0.6)}
        for axis in stream.axes:
            fields |= {f"{axis.name}_origin": self._integer(-4, 2), f"{axis.name}_bound": self._integer(0 if self.rng.random() < 0.1 else 2, 16)}
            fields |= {f"{axis.name}_step_{level}": self._pick(0, 0, 0, 1, 2, 3) for level in axis.levels}
            if axis.words:
                fields[f"{axis.name}_step_word"] = self._pick(0, 1, 1, 1, 2)
        return fields

    def _place(self, engine: Engine, fields: Fields) -> bool:
        """Choose the bases so that every access fits, loads below stores or above them in each memory; False if one cannot."""
        cuts: dict[str, tuple[int, bool]] = {}
        for stream in (stream for stream in engine.streams if stream.own_counts):
            port = engine.specification.port(stream.ports[0])
            link = self.graph.links_of(engine.name, port.name)[fields[stream.select]]
            words = self.graph.memories[link.memory].size_bytes // link.port_bytes
            cut, below = cuts.setdefault(link.memory, (self._integer(words // 4, 3 * words // 4), bool(self.rng.integers(2))))
            low, high = (0, cut) if port.reads == below else (cut, words)
            only = {name: value for name, value in fields.items() if name.startswith(f"{stream.prefix}_")}
            accesses = [access for access in self._footprints(Instruction(engine.name, only)) if access.port == port.name]
            if not accesses:
                continue  # nothing of it is within its bounds
            first, length = accesses[0].lo_byte // link.port_bytes, (accesses[0].hi_byte - accesses[0].lo_byte) // link.port_bytes
            width = self._formats[engine.name].by_name[f"{stream.prefix}_base"].width
            first = first - (1 << width) if first >= 1 << width - 1 else first  # begins before word 0 of base 0
            if length > high - low:
                return False
            start = self._pick(low, high - length) if self.rng.random() < 0.1 else self._integer(low, high - length)
            fields[f"{stream.prefix}_base"] = (start - first) % (1 << width)
        return True

    def _legal(self, engine: Engine, fields: Fields) -> bool:
        instruction = Instruction(engine.name, fields)
        accesses = self._footprints(instruction)
        if any(access.hi_byte > self.graph.memories[access.memory].size_bytes for access in accesses) or absent(self.graph, instruction):
            return False
        reads = {(access.port, access.memory, bank) for access in accesses if not access.write for bank in range(access.first_bank, access.last_bank + 1)}
        if any(memory == other and bank == place and port != another for port, memory, bank in reads for another, other, place in reads):
            return False  # code and operands from one bank
        everything = {item.name: item.bias for item in self._formats[engine.name].fields} | fields
        return order_fault(self.graph, engine.name, everything, accesses) is None

    def _integer(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high + 1))

    def _pick(self, *values: int) -> int:
        return values[int(self.rng.integers(len(values)))]
