"""A slot: the functional units of its operations behind its decoder, its read ports of the registers, and its write port."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Flow, In, Out

from acg.kinds.core.operations import SLOT_OPERATIONS
from acg.kinds.core.packets import SlotFormat
from hwgen.datapath.float32 import wire
from hwgen.units.core import convert, lanes, multiply, transfer
from hwgen.units.core.decode import SlotDecoder, field_bits
from hwgen.units.core.sequencer import STAGES

__all__ = ["CoreSizes", "Slot"]


@dataclass(frozen=True)
class CoreSizes:
    """Numbers that all slots share. ``load``: links of that port; ``stores``: number of links of the other."""

    vector_bytes: int
    granule_bytes: int
    registers: int
    in_streams: int
    out_streams: int
    parameter_sets: int
    load: tuple[transfer.LoadLink, ...]
    stores: int
    table_banks: int = 0
    table_write_bytes: int = 0


class Slot(wiring.Component):
    """Decodes and executes what one slot issues.

    Parameters
    ----------
    slot : acg.kinds.core.packets.SlotFormat
    sizes : CoreSizes
    layout : amaranth.lib.data.Layout
        Body of the instruction, as encoded.
    latency_cycles : int
        Results are written that many cycles less one behind their issue.

    Members
    -------
    word, fetched, on, late : In
        As of `hwgen.units.core.decode.SlotDecoder`.
    begin, held, halt : In
        As of `hwgen.units.core.transfer.Transfer`.
    read_<field>, data_<field> : Out, In
        Registers read: ``a`` and ``b`` in the cycle of issue, ``c`` in that of the write; those that operations of the slot have.
    write, mask, value : Out
        Register written; an enable a granule.
    illegal_packet, illegal_access : Out(1)
        The packet of this cycle holds what does not exist; that of the cycle before accesses what is not enabled.
    """

    def __init__(self, *, slot: SlotFormat, sizes: CoreSizes, layout: data.Layout, latency_cycles: int):
        self.slot, self.sizes, self.layout, self.latency_cycles = slot, sizes, layout, latency_cycles
        self.decoder = SlotDecoder(slot)
        table = [SLOT_OPERATIONS[name] for name in slot.operations]
        self.early = tuple(name for name in "ab" if any(name in operation.reads for operation in table))
        self.addend = any(operation.adds for operation in table)
        self.writes = any(operation.writes for operation in table)
        self.units = self._units()
        bits = (sizes.registers - 1).bit_length()
        members = {
            "word": In(slot.width), "fetched": In(1), "on": In(STAGES), "late": In(1), "begin": In(1), "held": In(layout), "halt": In(1),
            **{member: flow for name in (*self.early, *("c" if self.addend else ""))
               for member, flow in ((f"read_{name}", Out(bits)), (f"data_{name}", In(8 * sizes.vector_bytes)))},
            "illegal_packet": Out(1), "illegal_access": Out(1),
        }
        if self.writes:
            members |= {"write": Out(bits), "mask": Out(sizes.vector_bytes // sizes.granule_bytes), "value": Out(8 * sizes.vector_bytes)}
        mover = self.units.get("transfer")
        if mover is not None:
            members |= {name: member for name, member in mover.signature.members.items() if name.startswith(("load_", "store_"))}
        if "table" in self.tabled:
            members["table"] = self.tabled["table"]
        super().__init__(members)

    @property
    def tabled(self) -> Mapping[str, wiring.Member]:
        """The write port of its tables, where it has any."""
        unit = self.units.get("convert")
        return {} if unit is None else {name: member for name, member in unit.signature.members.items() if name == "table"}

    def _units(self) -> dict[str, wiring.Component]:
        """Its functional units, those that one of its operations needs."""
        sizes, offered, latency = self.sizes, self.slot.operations, self.latency_cycles
        units: dict[str, wiring.Component] = {}
        if set(multiply.OPERATIONS) & set(offered):
            units["multiply"] = multiply.Multiply(operations=offered, lanes=sizes.vector_bytes // 4, latency_cycles=latency)
        if lanes.FUNCTIONS.keys() & set(offered):
            widths = field_bits(self.slot)
            own = [name for name in offered if name in lanes.FUNCTIONS]
            names = [name for operation in own for name in self.slot.fields[operation] if name not in "dab"]
            units["lanes"] = lanes.Lanes(operations=offered, fields={name: widths[name] for name in names}, vector_bytes=sizes.vector_bytes,
                                         granule_bytes=sizes.granule_bytes, latency_cycles=latency)
        if set(convert.OPERATIONS) & set(offered):
            units["convert"] = convert.Convert(
                operations=offered, vector_bytes=sizes.vector_bytes, granule_bytes=sizes.granule_bytes, sets=sizes.parameter_sets, latency_cycles=latency,
                table_banks=sizes.table_banks, table_write_bytes=sizes.table_write_bytes)
        if {*transfer.LOADS, *transfer.STORES} & set(offered):
            units["transfer"] = transfer.Transfer(
                operations=offered, layout=self.layout, vector_bytes=sizes.vector_bytes, granule_bytes=sizes.granule_bytes, in_streams=sizes.in_streams,
                out_streams=sizes.out_streams, load=sizes.load, stores=sizes.stores, latency_cycles=latency)
        return units

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.decoder = decoder = self.decoder
        m.d.comb += [getattr(decoder, name).eq(getattr(self, name)) for name in ("word", "fetched", "on", "late")]
        m.d.comb += self.illegal_packet.eq(decoder.illegal)
        fields = {name: getattr(decoder, f"field_{name}") for name in field_bits(self.slot)}
        m.d.comb += [getattr(self, f"read_{name}").eq(fields[name]) for name in self.early]
        for name, unit in self.units.items():
            m.submodules[name] = unit
            self._connect(m, unit, fields)
        if self.addend:
            m.d.comb += self.read_c.eq(self._late(m, [fields["c"]], "addend")[-1])
        if "transfer" in self.units:
            m.d.comb += self.illegal_access.eq(self.units["transfer"].illegal)
        if self.writes:
            self._write(m, fields)
        return m

    def _connect(self, m: Module, unit: wiring.Component, fields: Mapping[str, Value]) -> None:
        """Its members by name: what is issued, fields of the packet, registers, numbers of the instruction; ports go out as they are."""
        numbers = {name for name, _ in self.layout}
        for name, member in unit.signature.members.items():
            port = getattr(unit, name)
            if not member.is_port:
                wiring.connect(m, wiring.flipped(getattr(self, name)), port)
            elif member.flow is not Flow.In:
                continue
            elif name.startswith("issue_"):
                m.d.comb += port.eq(getattr(self.decoder, name))
            elif name in ("a", "b", "c"):
                m.d.comb += port.eq(getattr(self, f"data_{name}") if name in self.early or name == "c" else 0)
            elif name in ("begin", "held", "halt"):
                m.d.comb += port.eq(getattr(self, name))
            elif name.removeprefix("field_") in fields:
                m.d.comb += port.eq(fields[name.removeprefix("field_")])
            elif name in numbers:
                m.d.comb += port.eq(self.held[name])

    def _late(self, m: Module, values: Sequence[Value], name: str) -> list[Value]:
        """Values of the cycle of issue as of each later one, up to that of the write."""
        ages: list[Value] = [Cat(values)]
        for age in range(1, self.latency_cycles):
            register = Signal(len(ages[0]), name=f"{name}_{age}", reset_less=True)
            m.d.sync += register.eq(ages[-1])
            ages.append(register)
        return ages

    def _write(self, m: Module, fields: Mapping[str, Value]) -> None:
        """The result of the unit whose operation arrives."""
        writing = {name: [operation for operation in unit.operations if SLOT_OPERATIONS[operation].writes] for name, unit in self.units.items()}
        line: dict[str, Value] = {}
        for name, operations in writing.items():
            present: Value = wire(m, Cat(getattr(self.decoder, f"issue_{operation}") for operation in operations).any() if operations else Const(0, 1),
                                  f"{name}_issued")
            for age in range(1, self.latency_cycles):
                register = Signal(name=f"{name}_arrives_{age}")
                m.d.sync += register.eq(present)
                present = register
            line[name] = present
        m.d.comb += self.write.eq(self._late(m, [fields["d"]], "result")[-1])
        mask: Value = Const(0, len(self.mask))
        names = [name for name, operations in writing.items() if operations]
        value: Value = self.units[names[-1]].d
        for name in names:
            unit = self.units[name]
            mask = Mux(line[name], unit.mask if name == "convert" else Const(-1, signed(len(self.mask))).as_unsigned(), mask)
        for name in reversed(names[:-1]):
            value = Mux(line[name], self.units[name].d, value)
        m.d.comb += [self.mask.eq(mask), self.value.eq(value)]
