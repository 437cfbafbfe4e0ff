"""The core: code from memory, slots that issue one packet a cycle, registers between them.

    cycle 0: start      1: code memory is asked      ...      its word, decoded      F = 2 + read latency: the first packet issues

Contract of fields and operations: acg.kinds.core; of time: acg.timing.core.
"""

from collections.abc import Mapping

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Out

from acg.kinds.core.packets import PacketFormat
from hwgen.memory.ports import ReadPort
from hwgen.units.core.registers import RegisterFile
from hwgen.units.core.sequencer import KernelSequencer
from hwgen.units.core.slot import CoreSizes, Slot
from hwgen.units.socket import engine_members

__all__ = ["CoreUnit"]


class CoreUnit(wiring.Component):
    """A programmable engine.

    Parameters
    ----------
    packets : PacketFormat
    sizes : CoreSizes
    latency_cycles : mapping of str to int
        By slot: from issue to the first issue that may read the result.
    body : amaranth.lib.data.Layout
        Of the instruction, as encoded.
    code_address_bits, code_latency_cycles : int
        Of the code memory's port, which counts packets.
    code_illegal : int

    Members
    -------
    start, instr, ready, retire, idle, halt, error, error_code, error_address
        As of the vector unit. ILLEGAL names the packet's address in code memory, or the number of what does not exist.
    code : Out(ReadPort)
    load_<link>, store_<link> : Out
    table : In(WritePort)
    """

    def __init__(self, *, packets: PacketFormat, sizes: CoreSizes, latency_cycles: Mapping[str, int], body: data.Layout, code_address_bits: int,
                 code_latency_cycles: int, code_illegal: int):
        self.packets, self.sizes, self.body, self.code_illegal = packets, sizes, body, code_illegal
        self.code_latency_cycles = code_latency_cycles
        self.slots = {name: Slot(slot=slot, sizes=sizes, layout=body, latency_cycles=latency_cycles[name]) for name, slot in packets.slots.items()}
        self.longest_cycles = max(latency_cycles[name] for name in packets.slots)
        self.sequencer = KernelSequencer(body)
        members = {
            **engine_members(body),
            "code": Out(ReadPort(addr_bits=max(code_address_bits, len(self.sequencer.packet)), data_bits=8 * packets.size_bytes)),
        }
        tables = [slot for slot in self.slots.values() if slot.tabled]
        for slot in self.slots.values():
            members |= {name: member for name, member in slot.signature.members.items() if name.startswith(("load_", "store_"))}
        if tables:
            members["table"] = tables[0].tabled["table"]
        super().__init__(members)

    def elaborate(self, platform) -> Module:
        m = Module()
        held = Signal(self.body, reset_less=True)
        fresh, running, failed = Signal(name="fresh"), Signal(name="running"), Signal(name="failed")
        m.submodules.sequencer = sequencer = self.sequencer
        with m.If(self.start):
            m.d.sync += held.eq(self.instr)
        m.d.sync += fresh.eq(self.start)
        m.d.comb += [
            sequencer.start.eq(self.start), sequencer.instr.eq(self.instr), sequencer.held.eq(held), sequencer.stop.eq(self.halt | failed),
            self.code.en.eq(sequencer.active & ~self.halt), self.code.addr.eq(sequencer.packet),
            self.ready.eq(~running & ~self.halt), self.idle.eq(~running),
        ]
        # The last packet's results are written longest_cycles - 1 behind its issue; the cycle after that the instruction retires.
        ends = Signal(1 + self.code_latency_cycles + self.longest_cycles)
        m.d.sync += ends.eq(Mux(self.halt, 0, Cat(sequencer.last, ends)))
        m.d.comb += self.retire.eq(ends[-1] & ~self.halt)
        with m.If(self.retire | self.halt):
            m.d.sync += running.eq(0)
        with m.Elif(self.start):
            m.d.sync += running.eq(1)

        # What of the sequencer goes with a packet, as of the cycle in which its word arrives.
        fetched: list[Value] = [Cat(sequencer.active, sequencer.late, sequencer.on, sequencer.packet)]
        for age in range(self.code_latency_cycles):
            register = Signal(len(fetched[0]), name=f"fetched_{age}")
            m.d.sync += register.eq(Mux(self.halt | failed, 0, fetched[-1]))
            fetched.append(register)
        arrived = fetched[-1]
        stages = len(sequencer.on)
        illegal = self._slots(m, held, fresh, valid=arrived[0] & ~failed & ~self.halt, late=arrived[1], on=arrived[2:2 + stages])
        places = [arrived[2 + stages:]]
        for age in range(2):
            places.append(Signal(len(places[0]), name=f"place_{age}", reset_less=True))
            m.d.sync += places[-1].eq(places[-2])
        packet, access = (Cat(signals).any() for signals in illegal)
        absent, number = self._absent(held)
        failing = Signal()
        m.d.comb += failing.eq((packet | access | (fresh & absent)) & ~failed)
        m.d.sync += self.error.eq(failing)
        with m.If(failing):
            m.d.sync += [failed.eq(1), self.error_code.eq(self.code_illegal), self.error_address.eq(Mux(access, places[2], Mux(packet, places[1], number)))]
        return m

    def _slots(self, m: Module, held: data.View, fresh: Value, *, valid: Value, late: Value, on: Value) -> tuple[list[Value], list[Value]]:
        """Slots and registers; returns what each finds illegal in its packet, and in what it accesses."""
        sizes = self.sizes
        reads = [(slot, name) for slot in self.slots.values() for name in (*slot.early, *("c" if slot.addend else ""))]
        writers = [slot for slot in self.slots.values() if slot.writes]
        m.submodules.registers = registers = RegisterFile(
            registers=sizes.registers, vector_bits=8 * sizes.vector_bytes, granules=sizes.vector_bytes // sizes.granule_bytes, reads=len(reads),
            writes=len(writers))
        for number, (slot, name) in enumerate(reads):
            m.d.comb += [getattr(registers, f"read_{number}").eq(getattr(slot, f"read_{name}")), getattr(slot, f"data_{name}").eq(
                getattr(registers, f"data_{number}"))]
        for number, slot in enumerate(writers):
            m.d.comb += [getattr(registers, f"{name}_{number}").eq(getattr(slot, name)) for name in ("write", "mask", "value")]
        for name, slot in self.slots.items():
            m.submodules[f"slot_{name}"] = slot
            first = slot.slot.lsb
            m.d.comb += [slot.word.eq(self.code.data[first:first + slot.slot.width]), slot.fetched.eq(valid), slot.on.eq(on), slot.late.eq(late),
                         slot.begin.eq(fresh), slot.held.eq(held), slot.halt.eq(self.halt)]
            for member in slot.signature.members:
                if member.startswith(("load_", "store_")):
                    wiring.connect(m, getattr(slot, member), wiring.flipped(getattr(self, member)))
            if slot.tabled:
                m.d.comb += [getattr(slot.table, signal).eq(getattr(self.table, signal)) for signal in ("en", "addr", "data", "mask")]
        return [slot.illegal_packet for slot in self.slots.values()], [slot.illegal_access for slot in self.slots.values()]

    def _absent(self, held: data.View) -> tuple[Value, Value]:
        """Whether the instruction chooses what does not exist, and the number it chooses: the first such field's."""
        names = {name for name, _ in self.body}
        choices = []
        for prefix, count, links in (("in", self.sizes.in_streams, len(self.sizes.load)), ("out", self.sizes.out_streams, self.sizes.stores)):
            choices += [(f"{prefix}{i}_select", held[f"{prefix}{i}_enable"], links) for i in range(count)]
        choices += [(f"q{i}_table_select", held[f"q{i}_table_enable"] if f"q{i}_table_enable" in names else Const(0, 1), self.sizes.table_banks)
                    for i in range(self.sizes.parameter_sets)]
        illegal: Value = Const(0, 1)
        number: Value = Const(0, 1)
        for name, used, count in reversed(choices):
            if name in names and 1 << Shape.cast(self.body[name].shape).width > count:
                absent = used & (held[name] >= count)
                illegal, number = illegal | absent, Mux(absent, held[name], number)
        return illegal, number
