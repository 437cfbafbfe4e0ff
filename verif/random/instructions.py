"""Random legal instructions of any graph, below the compiler: fields that no compiler would choose, footprints within the memories.

Legal is what the engines ask for: addresses in range, no two operands of one instruction on one port of a bank, positions of a matrix pass
naming different accumulator words and its blocks the same words in the same order or none in common (:mod:`acg.timing.matrix`), no
iteration of a vector instruction reading what another one writes (:mod:`verif.iss.vector`).
"""

from collections.abc import Callable

import numpy as np

from acg.footprint import Access, Footprints
from acg.graph import Engine, Graph
from acg.isa import Instruction, instruction_set
from acg.kinds.matrix import MATRIX_WALK
from acg.kinds.vector import ESTIMATES

__all__ = ["InstructionDraw"]

_PREFIX = {"activation": "a", "weight": "w", "accumulator": "c", "parameter": "p", "a": "a", "b": "b", "y": "y"}
#: Most iterations of a vector instruction, bytes of a copy, and passes times positions of a matrix instruction.
MOST_ITERATIONS, MOST_BYTES, MOST_POSITIONS = 300, 6000, 500


class InstructionDraw:
    """Draws instructions of ``graph``; copies stay within the first ``window_bytes`` of the external memory.

    ``reach``: greatest stride in words and about the greatest count; 1 gives instructions of next to nothing.
    """

    def __init__(self, graph: Graph, rng: np.random.Generator, *, window_bytes: int, reach: int = 24):
        self.graph = graph
        self.rng = rng
        self.window_bytes = window_bytes
        self.reach = reach
        self._walks: dict[str, dict[str, int]] = {}  # accumulator walk of each engine's latest matrix instruction
        self._footprints = Footprints(graph)
        self._formats = instruction_set(graph).formats
        kinds: dict[str, Callable[[Engine, int], dict[str, int] | None]] = {
            "load": self._copy, "store": self._copy, "matrix": self._matrix, "vector": self._vector}
        self._kinds = kinds
        self._extremes = rng.spawn(1)[0]  # draws that leave `rng` where it is

    def __call__(self, engine_name: str) -> Instruction:
        """An instruction of one engine, without waits. Raises RuntimeError where none is found, which no valid graph should cause."""
        engine = self.graph.engines[engine_name]
        for attempt in range(200):
            fields = self._kinds[engine.kind](engine, max(1, self.reach >> attempt // 12))
            if fields is not None:
                return Instruction(engine_name, fields | self._idle_strides(engine, fields))
        raise RuntimeError(f"no legal instruction found for {engine_name} of {self.graph.name}; expected one within 200 draws")

    def _idle_strides(self, engine: Engine, fields: dict[str, int]) -> dict[str, int]:
        """Extreme strides of levels with one iteration, now and then: they must move nothing."""
        idle = [item for item in self._formats[engine.name].fields
                if "_stride_" in item.name and fields.get(f"n_{item.name[-1]}", 1) == 1 and self._extremes.random() < 0.05]
        return {item.name: (item.low, item.high)[int(self._extremes.integers(2))] for item in idle}

    def _integer(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high + 1))

    def _chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def _pick(self, *values):
        return values[int(self.rng.integers(len(values)))]

    def _counts(self, number: int, most: int, reach: int) -> dict[str, int]:
        """Loop counts, in a random order of levels, whose product is at most ``most``."""
        counts = {}
        for level in self.rng.permutation(number).tolist():
            count = 1 if self._chance(0.35) else self._integer(1, self._pick(3, 5, max(2, reach)))
            counts[f"n_{level}"] = min(count, most)
            most //= counts[f"n_{level}"]
        return {name: counts[name] for name in sorted(counts)}

    def _strides(self, engine: Engine, prefix: str, levels, reach: int) -> dict[str, int]:
        strides = {}
        for level in levels:
            name = f"{prefix}_stride_{level}"
            item = self._formats[engine.name].by_name[name]
            stride = 0 if self._chance(0.1) else self._integer(-reach, reach) if self._chance(0.6) else self._integer(0, 3)
            strides[name] = min(max(stride, item.low), item.high)
        return strides

    def _padding(self, levels: dict[str, tuple[int, int]]) -> dict[str, int]:
        fields: dict[str, int] = {}
        for axis, (outer, inner) in levels.items():
            fields |= {f"{axis}_origin": 0, f"{axis}_step_{outer}": 0, f"{axis}_step_{inner}": 0, f"{axis}_bound": 1}
            if self._chance(0.5):
                fields |= {f"{axis}_origin": self._integer(-3, 2), f"{axis}_step_{outer}": self._integer(0, 3), f"{axis}_step_{inner}": self._integer(0, 3),
                           f"{axis}_bound": self._integer(0 if self._chance(0.05) else 1, 9)}
        return fields

    def _number(self, prefix: str) -> dict[str, int]:
        return {f"{prefix}_signed": self._integer(0, 1), f"{prefix}_zero": self._integer(-256, 255) if self._chance(0.2) else self._integer(-128, 127)}

    def _scale(self) -> int:
        """Float32 pattern: mostly of a moderate magnitude, now and then anything."""
        if self._chance(0.08):
            return self._integer(0, (1 << 32) - 1)
        return int(np.float32(self.rng.choice([-1, 1], p=[0.1, 0.9]) * 2.0 ** self.rng.uniform(-14, 3)).view(np.uint32))

    def _place(self, fields: dict[str, int], engine: Engine) -> list[Access] | None:
        """Choose the bases, given 0, so that every access fits; its accesses then, or None if one does not fit."""
        for access in self._footprints(Instruction(engine.name, fields)):
            if access.port in ("result", "table"):
                continue
            link = next(link for link in self.graph.links_of(engine.name, access.port) if link.memory == access.memory)
            words = self.graph.memories[access.memory].size_bytes // link.port_bytes
            length = (access.hi_byte - access.lo_byte) // link.port_bytes
            if length > words:
                return None
            name = f"{_PREFIX[access.port]}_base"
            first = self._pick(0, words - length) if self._chance(0.1) else self._integer(0, words - length)
            fields[name] = (first - access.lo_byte // link.port_bytes) % (1 << self._formats[engine.name].by_name[name].width)
        return self._footprints(Instruction(engine.name, fields))

    def _shares_port(self, accesses: list[Access]) -> bool:
        """Whether two operands use one port of a bank."""
        return any(one.memory == two.memory and one.write == two.write and one.first_bank <= two.last_bank and two.first_bank <= one.last_bank
                   for position, one in enumerate(accesses) for two in accesses[position + 1:])

    def _copy(self, engine: Engine, reach: int) -> dict[str, int] | None:
        links = self.graph.links_of(engine.name, "destination" if engine.kind == "load" else "source")
        select = self._integer(0, len(links) - 1)
        size = self.graph.memories[links[select].memory].size_bytes
        row = self._integer(1, self._pick(4, 40, 40, 300, MOST_BYTES))
        row = min(row, size, 16 * reach * reach)
        counts = {f"n_{level}": 1 if self._chance(0.4) else self._integer(1, 6) for level in range(3)}
        if row * counts["n_0"] * counts["n_1"] * counts["n_2"] > MOST_BYTES:
            return None
        fields = {"select": select, **counts, "n_3": row}
        for side, limit in (("ext", self.window_bytes), ("local", size)):
            strides = {}
            for level in range(3):
                far = min(limit // 4, self._pick(row + 3, 2 * row, 5000))
                strides[f"{side}_stride_{level}"] = self._pick(min(row, limit - 1), self._integer(-far, far), self._integer(0, far))
            spans = [(counts[f"n_{level}"] - 1) * strides[f"{side}_stride_{level}"] for level in range(3)]
            low, high = sum(min(span, 0) for span in spans), sum(max(span, 0) for span in spans) + row
            if high - low > limit:
                return None
            start = self._pick(0, limit - (high - low)) if self._chance(0.1) else self._integer(0, limit - (high - low))
            fields |= {f"{side}_address": start - low, **strides}
        return fields

    def _matrix(self, engine: Engine, reach: int) -> dict[str, int] | None:
        counts = self._counts(6, MOST_POSITIONS, min(reach, 9))
        fields = {**counts, **self._strides(engine, "a", range(6), reach), **self._strides(engine, "c", (0, 4, 5), reach),
                  **self._number("a"), **self._number("w"), **self._padding({"y": (1, 4), "x": (2, 5)}),
                  "a_base": 0, "w_base": 0, "c_base": 0, "accumulate": self._integer(0, 1)}
        if engine.name in self._walks and self._chance(0.4):
            fields |= self._walks[engine.name]  # go on with the same sums: no wait is needed
            counts |= {name: fields[name] for name in counts}
            if int(np.prod(list(counts.values()))) > 2 * MOST_POSITIONS:
                return None
        positions = (np.arange(counts["n_4"])[:, None] * fields["c_stride_4"] + np.arange(counts["n_5"]) * fields["c_stride_5"]).reshape(-1)
        if len(np.unique(positions)) != positions.size:
            return None
        if fields["c_stride_0"]:
            blocks = np.arange(counts["n_0"])[:, None] * fields["c_stride_0"] + positions
            if len(np.unique(blocks)) != blocks.size:
                return None
        base = fields["c_base"]
        accesses = self._place(fields, engine)
        if accesses is None or self._shares_port(accesses):
            return None
        fields["c_base"] = base or fields["c_base"]
        self._walks[engine.name] = {name: fields[name] for name in MATRIX_WALK}
        return fields

    def _vector(self, engine: Engine, reach: int) -> dict[str, int] | None:
        selects = {port: self._integer(0, len(self.graph.links_of(engine.name, port)) - 1) for port in "aby"}
        wide = {port: [number for number, link in enumerate(self.graph.links_of(engine.name, port)) if self.graph.memories[link.memory].element.bits == 32]
                for port in "aby"}
        if all(wide.values()) and self._chance(0.25):
            selects = {port: self._pick(*numbers) for port, numbers in wide.items()}
        table_banks = self.graph.memories[self.graph.link_of(engine.name, "table").memory].banks
        low, high = sorted((self._integer(-256, 255), self._integer(-256, 255))) if self._chance(0.3) else self._pick((-128, 127), (0, 255))
        fields = {
            **self._counts(6, MOST_ITERATIONS, min(2 * reach, 16)), **{f"{port}_select": select for port, select in selects.items()},
            **{name: value for port in "aby" for name, value in self._strides(engine, port, range(6), reach).items()},
            **self._strides(engine, "p", (0, 1), min(reach, 3)),
            **self._number("a"), **self._number("b"), **self._padding({"y": (2, 4), "x": (3, 5)}), "a_base": 0, "b_base": 0, "p_base": 0, "y_base": 0,
            "b_enable": self._integer(0, 1), "p_enable": self._integer(0, 1), "int_op": int(self._chance(0.3)), "reduce": self._pick(0, 0, 1, 2),
            "numeric": int(self._chance(0.7)), "binary": self._integer(0, 4), "scale_a": self._scale(), "scale_b": self._scale(), "scale_y": self._scale(),
            "scale_y_low": 0 if self._chance(0.3) else self._integer(0, (1 << 28) - 1), "y_zero": self._integer(-256, 255), "y_low": low, "y_high": high,
            "table_enable": int(self._chance(0.3)), "table_select": self._integer(0, table_banks - 1),
        }
        known = self._formats[engine.name].by_name
        if "a_float" in known:
            fields |= {"a_float": self._integer(0, 1), "b_float": self._integer(0, 1)}
            if fields["a_float"] and self._chance(0.6):  # the pattern reaches the float path as it was written
                fields |= {"numeric": 1, "reduce": 0, "int_op": 0, "p_enable": int(self._chance(0.2))}
        if "estimate" in known:
            fields["estimate"] = self._pick(0, *(code for operation, code in ESTIMATES.items() if engine.can(operation)))
        if self._chance(0.005):  # the greatest count, with nothing to move it
            level = self._integer(0, 5)
            fields |= {f"n_{other}": 1 for other in range(6)} | {f"n_{level}": 1 << 16}
            fields |= {name: 0 for name in fields if name.endswith((f"_stride_{level}", f"_step_{level}"))}
        memories = {port: self.graph.links_of(engine.name, port)[select].memory for port, select in selects.items()}
        in_place = memories["a"] == memories["y"] and self._chance(0.3)
        if in_place:
            fields |= {"reduce": 0, "y_origin": 0, "x_origin": 0, "y_bound": 65535, "x_bound": 65535}
            fields |= {f"y_stride_{level}": fields[f"a_stride_{level}"] for level in range(6)}
        accesses = self._place(fields, engine)
        if accesses is None:
            return None
        if in_place:
            fields["y_base"] = fields["a_base"]
            accesses = self._footprints(Instruction(engine.name, fields))
            walk = np.zeros(1, np.int64)
            for level in range(6):
                walk = (walk[:, None] + np.arange(fields[f"n_{level}"]) * fields[f"y_stride_{level}"]).reshape(-1)
            if len(np.unique(walk)) != walk.size:
                return None
        written = next(access for access in accesses if access.port == "y")
        read = [access for access in accesses if access.memory == written.memory and access.port in ("b",) + (() if in_place else ("a",))]
        if any(access.lo_byte < written.hi_byte and written.lo_byte < access.hi_byte for access in read) or self._shares_port(accesses):
            return None
        return fields
