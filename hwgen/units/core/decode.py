"""The decoder of one slot: derived from its place in the packet and the fields of its operations."""


from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from acg.kinds.core.packets import PacketField, SlotFormat
from hwgen.units.core.sequencer import STAGES

__all__ = ["SlotDecoder", "field_bits"]


def field_bits(slot: SlotFormat) -> dict[str, int]:
    """Bits of each field of a slot's operations, by name."""
    widths: dict[str, int] = {}
    for fields in slot.fields.values():
        for name, item in fields.items():
            widths[name] = max(widths.get(name, 1), item.width)
    return widths


class SlotDecoder(wiring.Component):
    """Decodes what a slot issues, one cycle behind the packet's word.

    Members
    -------
    word : In
        The packet from the slot's first bit on.
    fetched, on, late : In(1), In(8), In(1)
        There is one; stages that are enabled, and whether late operations are.
    issue_<operation> : Out(1)
        The operation is issued in this cycle, and enabled.
    field_<name> : Out
        A field of it; something where it has none of this name.
    illegal : Out(1)
        The word holds what does not exist: nothing is issued.
    """

    def __init__(self, slot: SlotFormat):
        self.slot = slot
        super().__init__({
            "word": In(slot.width), "fetched": In(1), "on": In(STAGES), "late": In(1), "illegal": Out(1),
            **{f"issue_{name}": Out(1) for name in slot.operations}, **{f"field_{name}": Out(bits) for name, bits in field_bits(slot).items()},
        })

    def _part(self, item: PacketField) -> Value:
        first = item.lsb - self.slot.lsb
        return self.word[first:first + item.width]

    def elaborate(self, platform) -> Module:
        m = Module()
        code = self._part(self.slot.operation)
        enabled, wrong = Signal(name="enabled"), Signal(name="wrong")
        stage = self._part(self.slot.stage)
        m.d.comb += enabled.eq(self.on.bit_select(stage, 1)[0] & (self.late | ~self._part(self.slot.late)[0]))
        beyond = [code > len(self.slot.operations)] if len(self.slot.operations) + 1 < 1 << len(code) else []
        chosen = {}
        for number, name in enumerate(self.slot.operations, start=1):
            chosen[name] = Signal(name=f"is_{name}")
            m.d.comb += chosen[name].eq(code == number)
            missing = [self._part(item) >= item.values for item in self.slot.fields[name].values() if item.values < 1 << item.width]
            beyond += [chosen[name] & absent for absent in missing]
        m.d.comb += wrong.eq(Cat(beyond).any() if beyond else 0)
        m.d.sync += self.illegal.eq(self.fetched & wrong)
        m.d.sync += [getattr(self, f"issue_{name}").eq(self.fetched & enabled & ~wrong & is_it) for name, is_it in chosen.items()]
        for name in field_bits(self.slot):
            with m.If(self.fetched):
                m.d.sync += getattr(self, f"field_{name}").eq(self._field(name, chosen))
        return m

    def _field(self, name: str, chosen: dict[str, Signal]) -> Value:
        """The field where the operation at hand has it: operations that have it in one place share a way."""
        places: dict[PacketField, list[Value]] = {}
        for operation, fields in self.slot.fields.items():
            if name in fields:
                places.setdefault(fields[name], []).append(chosen[operation])
        items = list(places)
        value: Value = self._part(items[-1])
        for item in reversed(items[:-1]):
            value = Mux(Cat(places[item]).any(), self._part(item), value)
        return value
