"""Numbers of a core: requantisation of sums and of bytes, and single float32 operations. The vector unit's chain of stages serves all of them.

    operands -> float32 -> * scale -> with b -> * 52-bit constant -> integer -> + zero point, limits -> table -> packed bytes

A single float32 operation is the chain with 1.0 for the numbers that it has no use for; its result is the lane behind the 52-bit constant.
"""

from collections.abc import Collection

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from acg.kinds.core.operations import FLOAT_STAGES
from acg.timing.vector import depth_cycles
from hwgen.datapath import float32
from hwgen.memory.lookup import ENTRIES, LookupTable
from hwgen.memory.ports import WritePort
from hwgen.units.vector.float_stages import BINARY_ADD, BINARY_MAX, BINARY_MIN, BINARY_MULTIPLY, build_float
from hwgen.units.vector.pipeline import Pipeline

__all__ = ["OPERATIONS", "SET_FIELDS", "Convert", "least_cycles"]

OPERATIONS = ("REQ", "REQB", "CVT", "RND", "FMUL", "FADD", "FSUB", "FMIN", "FMAX", "RESC", "EST")
_BYTES = ("REQ", "REQB")
#: What each does with its second operand.
_PAIRED = {"FMUL": BINARY_MULTIPLY, "FADD": BINARY_ADD, "FSUB": BINARY_ADD, "FMIN": BINARY_MIN, "FMAX": BINARY_MAX}
#: Operation of the vector unit's stages for each of REQB's pairings.
_CODES = {"ADD": BINARY_ADD, "MUL": BINARY_MULTIPLY, "MIN": BINARY_MIN, "MAX": BINARY_MAX}
#: Numbers of a parameter set: bits, signed.
SET_FIELDS = {"scale_a": (32, False), "scale_b": (32, False), "scale_y": (32, False), "scale_y_low": (28, False), "zero": (9, True), "low": (9, True),
              "high": (9, True), "table_enable": (1, False), "table_select": (0, False)}
_ONE = Const(0x3F80_0000, 32)


def _stages(operations: Collection[str], tables: bool) -> tuple[tuple[str, int], ...]:
    """Stages of a slot with these operations; "bias", of the vector unit's, stands for the operands' registers."""
    present = [(name, cycles) for name, cycles, users in FLOAT_STAGES if not users or set(users) & set(operations)]
    return (("bias", 1), *((name, cycles) for name, cycles in present if name != "table" or tables))


def least_cycles(operations: Collection[str], *, tables: bool) -> int:
    """Least latency of a slot with these of `OPERATIONS`: their stages, and the cycle of the write."""
    return 1 + sum(cycles for _, cycles in _stages(operations, tables))


class Convert(wiring.Component):
    """The chain of a slot; it is the ``unit`` of the vector unit's stages.

    Parameters
    ----------
    operations : collection of str
        What of `OPERATIONS` the slot issues; what serves others only is not built.
    vector_bytes, granule_bytes, sets, latency_cycles : int
        A result is on ``d`` ``latency_cycles`` less one behind its issue.
    table_banks, table_write_bytes : int
        As of the vector unit.

    Members
    -------
    issue_<operation>, a, b : In
        In the cycle of issue, as are quarter, qa, qb, pack, set, form and op.
    a_signed, a_zero, w_signed, w_zero, q<i>_<number> : In
        Numbers of bytes of ``a`` and ``b``, and of each parameter set.
    d, mask : Out
        The result, and an enable a granule.
    table : In(WritePort)
    """

    def __init__(self, *, operations: Collection[str], vector_bytes: int, granule_bytes: int, sets: int, latency_cycles: int, table_banks: int = 0,
                 table_write_bytes: int = 0):
        self.operations = tuple(name for name in OPERATIONS if name in operations)
        least = least_cycles(self.operations, tables=table_banks > 0)
        if latency_cycles < least:
            raise ValueError(f"Convert: latency_cycles must be at least {least}, not {latency_cycles}")
        self.lanes, self.granule_bytes, self.sets, self.latency_cycles = vector_bytes // 4, granule_bytes, sets, latency_cycles
        self.granules = vector_bytes // granule_bytes
        self.table_banks, self.table_write_bytes = table_banks if set(_BYTES) & set(self.operations) else 0, table_write_bytes
        self.stages = _stages(self.operations, table_banks > 0)
        self.offers = frozenset(name for name, code in _CODES.items() if "REQB" in self.operations
                                or any(_PAIRED.get(operation) == code for operation in self.operations))
        self.table_bits = bits_for(max(1, self.table_banks - 1))
        members = {
            **{f"issue_{name}": In(1) for name in self.operations}, "a": In(8 * vector_bytes), "b": In(8 * vector_bytes),
            "quarter": In(2), "qa": In(2), "qb": In(2), "pack": In(1), "set": In(bits_for(max(1, sets - 1))), "form": In(1), "op": In(3),
            "a_signed": In(1), "a_zero": In(signed(9)), "w_signed": In(1), "w_zero": In(signed(9)), "d": Out(8 * vector_bytes), "mask": Out(self.granules),
            **{f"q{number}_{name}": In(signed(bits) if sign else bits or self.table_bits) for number in range(sets)
               for name, (bits, sign) in SET_FIELDS.items()},
        }
        if self.table_banks:
            address_bits = bits_for(max(1, self.table_banks * ENTRIES // table_write_bytes - 1))
            members["table"] = In(WritePort(addr_bits=address_bits, data_bits=8 * table_write_bytes))
        super().__init__(members)

    def depth(self, stage: str) -> int:
        """Registers from the cycle of issue until the output of a stage, or to where it would be."""
        return depth_cycles(stage, self.stages)

    def has(self, stage: str) -> bool:
        """Whether it has a stage."""
        return any(name == stage for name, _ in self.stages)

    def _issued(self, *names: str) -> Value:
        present = [getattr(self, f"issue_{name}") for name in names if name in self.operations]
        return Cat(present).any() if present else Const(0, 1)

    def _number(self, m: Module, name: str) -> Signal:
        """A number of the parameter set that the packet names."""
        values = [getattr(self, f"q{number}_{name}") for number in range(self.sets)]
        value: Value = values[-1]
        for number in reversed(range(self.sets - 1)):
            value = Mux(self.set == number, values[number], value)
        return float32.wire(m, value, f"set_{name}")

    def elaborate(self, platform) -> Module:
        m = Module()
        last = self.latency_cycles - 1
        pipeline = Pipeline(m, depth=last, results_from=last + 2)
        issued = float32.wire(m, self._issued(*self.operations), "issued")
        numbers = {name: self._number(m, name) for name in SET_FIELDS}
        scaled = self._issued(*_BYTES, "RESC")
        pairing: Value = Mux(self._issued("REQB"), self.op, 0)
        for name, code in _PAIRED.items():
            pairing = Mux(self._issued(name), code, pairing)
        fields = {
            "numeric": ~self._issued("RND", "EST"), "a_float": self._issued(*_PAIRED, "RESC") | (self._issued("REQ") & self.form),
            "b_float": self._issued(*_PAIRED), "binary": pairing[:3],
            "scale_b": Mux(self._issued("REQB"), numbers["scale_b"], _ONE), "scale_y": Mux(scaled, numbers["scale_y"], _ONE),
            "scale_y_low": Mux(scaled, numbers["scale_y_low"], 0), "zero": numbers["zero"], "low": numbers["low"], "high": numbers["high"],
            "table_enable": numbers["table_enable"], "table_select": numbers["table_select"], "root": self.form, "rounds": self._issued("RND"),
            "estimates": self._issued("EST"), "packs": self._issued(*_BYTES), "row": self.pack | self._issued("REQB"), "quarter": self.quarter,
        }
        for name, value in fields.items():
            pipeline.field(name, float32.wire(m, value, f"field_{name}"))
        pipeline.start(valid=issued, fresh=issued, emit=Const(1, 1))

        lanes = pipeline.lanes(1, self._operands(m, numbers["scale_a"]))
        values = build_float(m, pipeline, lanes, unit=self, data_stage=0)
        words, at = self._words(m, pipeline, values, self.depth("rescale"))
        words = self._waiting(pipeline, words, at, last)
        bytes_: list[Value] = []
        if set(_BYTES) & set(self.operations):
            bytes_, at = self._bytes(m, pipeline, values, self.depth("rescale"))
            bytes_ = self._waiting(pipeline, bytes_, at, last)
        self._pack(m, pipeline, words, bytes_, last)
        return m

    def _operands(self, m: Module, scale_a: Value) -> list[dict[str, Value]]:
        """For each lane the value, its factor, and the second operand."""
        small = self._issued("REQB")
        quarters = {}
        if "REQB" in self.operations:
            for name, register, number in (("a", self.a, self.qa), ("b", self.b, self.qb)):
                parts = [register[lsb:lsb + 8 * self.lanes] for lsb in range(0, len(register), 8 * self.lanes)]
                low, high = (Mux(number[0], parts[i + 1], parts[i]) for i in (0, 2))
                quarters[name] = float32.wire(m, Mux(number[1], high, low), f"quarter_{name}")
        flipped = Cat(Const(0, 31), self._issued("FSUB"))
        result = []
        for lane in range(self.lanes):
            a, b = (register[32 * lane:32 * lane + 32] for register in (self.a, self.b))
            value: Value = a.as_signed()
            scale: Value = Mux(self._issued("REQ"), b, Mux(small, scale_a, _ONE))
            second: Value = (b ^ flipped).as_signed()
            if quarters:
                one, other = (Cat(quarters[name].word_select(lane, 8), quarters[name][8 * lane + 7] & sign).as_signed() - zero
                              for name, sign, zero in (("a", self.a_signed, self.a_zero), ("b", self.w_signed, self.w_zero)))
                value = Mux(small, one, value)
                second = Mux(small, other, second) if _PAIRED.keys() & set(self.operations) else other
            operand = {"v": float32.wire(m, value.as_unsigned()[:32], f"value_{lane}"), "scale": scale}
            if self.has("binary"):
                operand["b"] = float32.wire(m, second[:32].as_signed() if len(second) > 32 else second, f"second_{lane}")
            result.append(operand)
        return result

    def _words(self, m: Module, pipeline: Pipeline, values: list[Value], stage: int) -> tuple[list[Value], int]:
        """Lanes of 32 bits behind the chain, and their stage."""
        if self.operations and set(self.operations) <= set(_BYTES):
            return [], stage
        if not {"RND", "EST"} & set(self.operations):
            return values, stage
        columns = []
        for n, value in enumerate(values):
            word: Value = value
            if "EST" in self.operations:
                word = Mux(pipeline.of("estimates", stage), float32.estimate(m, value, root=pipeline.of("root", stage), name=f"guess_{n}"), word)
            if "RND" in self.operations:
                word = Mux(pipeline.of("rounds", stage), float32.round_to_int32(m, value, f"nearest_{n}"), word)
            columns.append({"word": word[:32]})
        return [lane["word"] for lane in pipeline.lanes(stage + 1, columns)], stage + 1

    def _bytes(self, m: Module, pipeline: Pipeline, values: list[Value], stage: int) -> tuple[list[Value], int]:
        """Rounded, limited, looked up: a byte a lane, and their stage."""
        packs = pipeline.of("packs", stage)
        rounded = [{"integer": float32.round_to_integer(m, value, f"rounded_{n}")[:12].as_signed()} for n, value in enumerate(values)]
        integers = pipeline.lanes(stage + 1, rounded, when=packs)
        stage += 1
        zero, least, most = (pipeline.of(name, stage) for name in ("zero", "low", "high"))
        limited = [{"byte": float32.limited_byte(m, lane["integer"], zero=zero, least=least, most=most, name=str(n))} for n, lane in enumerate(integers)]
        bytes_ = [lane["byte"] for lane in pipeline.lanes(stage + 1, limited, when=pipeline.of("packs", stage))]
        stage += 1
        if not self.table_banks:
            return bytes_, stage
        m.submodules.tables = table = LookupTable(lanes=self.lanes, banks=self.table_banks, write_bytes=self.table_write_bytes)
        wiring.connect(m, wiring.flipped(self.table), table.write)
        looking = pipeline.of("table_enable", stage)
        m.d.comb += [table.en.eq(pipeline.valid(stage) & pipeline.of("packs", stage) & looking), table.bank.eq(pipeline.of("table_select", stage)),
                     table.index.eq(Cat(bytes_))]
        plain = pipeline.register(stage + 1, {"plain": Cat(bytes_)}, when=pipeline.of("packs", stage) & ~looking)["plain"]
        seen = float32.wire(m, Mux(pipeline.of("table_enable", stage + 1), table.data, plain), "seen")
        return [seen[lsb:lsb + 8] for lsb in range(0, len(seen), 8)], stage + 1

    @staticmethod
    def _waiting(pipeline: Pipeline, values: list[Value], at: int, until: int) -> list[Value]:
        for stage in range(at, until if values else at):
            values = [lane["waiting"] for lane in pipeline.lanes(stage + 1, [{"waiting": value} for value in values])]
        return values

    def _pack(self, m: Module, pipeline: Pipeline, words: list[Value], bytes_: list[Value], stage: int) -> None:
        """The register that is written, and which granules of it."""
        whole = Cat(words)
        if not bytes_:
            m.d.comb += [self.d.eq(whole), self.mask.eq(-1)]
            return
        groups = self.granules // 4
        packed = [Cat(bytes_[first:first + self.granule_bytes]) for first in range(0, self.lanes, self.granule_bytes)]
        row, quarter = pipeline.of("row", stage), pipeline.of("quarter", stage)
        granules, here = [], []
        for number in range(self.granules):
            granules.append(Mux(row, packed[number % groups], packed[number // 4]))
            here.append(quarter == Mux(row, number // groups, number % 4))
        if words:
            packs = pipeline.of("packs", stage)
            m.d.comb += [self.d.eq(Mux(packs, Cat(granules), whole)), self.mask.eq(Mux(packs, Cat(here), -1))]
        else:
            m.d.comb += [self.d.eq(Cat(granules)), self.mask.eq(Cat(here))]
