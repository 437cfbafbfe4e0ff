"""Packets of a core: their encoding follows from the slot table and the operation table; encode, decode, disassemble (one line a packet).

Slots stand in the order of the description from bit 0 on. Each has ``operation`` (0 none, then its operations from 1), ``stage``, ``late``, then the
fields of that operation one after the other; it is as wide as the widest of its operations.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Protocol

from acg.errors import InstructionError
from acg.kinds.core.operations import SLOT_OPERATIONS, Parameter

__all__ = ["STAGE_BITS", "Core", "Kernel", "Op", "Packet", "PacketField", "PacketFormat", "SlotFormat", "packet_bits", "packet_format"]

STAGE_BITS = 3

Sizes = Mapping[str, int | str]
Tables = Mapping[str, Mapping[str, int | Sequence[str]]]


class Core(Protocol):
    """What of a core its packets follow from: an engine of the graph, or the socket of its unit."""

    @property
    def sizes(self) -> Sizes:
        """Numbers by name."""

    @property
    def tables(self) -> Tables:
        """``slots`` among them."""


@dataclass(frozen=True)
class Op:
    """One operation of a packet: its fields by name, those left out 0; enabled from iteration ``stage`` on, with ``late`` from the second tile on."""

    name: str
    stage: int = 0
    late: bool = False
    fields: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))


#: Slot -> what it issues; slots left out issue nothing.
Packet = Mapping[str, Op]


@dataclass(frozen=True)
class Kernel:
    """Code of a core: what runs once in front, where a tile begins, and in between."""

    prologue: tuple[Packet, ...]
    head: tuple[Packet, ...]
    body: tuple[Packet, ...]

    @property
    def packets(self) -> tuple[Packet, ...]:
        """All of it, in the order of code memory."""
        return (*self.prologue, *self.head, *self.body)


@dataclass(frozen=True)
class PacketField:
    """Bits ``lsb`` up of a packet; ``values``: those that exist, 0 up to this less one."""

    name: str
    width: int
    lsb: int
    values: int

    def of(self, word: int) -> int:
        """Its value in a packet."""
        return word >> self.lsb & (1 << self.width) - 1


@dataclass(frozen=True)
class SlotFormat:
    """A slot: where it stands, its operations in the order of their codes, and the fields of each."""

    name: str
    lsb: int
    width: int
    operations: tuple[str, ...]
    operation: PacketField
    stage: PacketField
    late: PacketField
    fields: Mapping[str, Mapping[str, PacketField]]


def _bits(values: int) -> int:
    return max(1, (values - 1).bit_length())


def _slot(name: str, lsb: int, operations: tuple[str, ...], sizes: Sizes) -> SlotFormat:
    code = PacketField("operation", len(operations).bit_length(), lsb, len(operations) + 1)
    stage = PacketField("stage", STAGE_BITS, code.lsb + code.width, 1 << STAGE_BITS)
    late = PacketField("late", 1, stage.lsb + stage.width, 2)
    fields, end = {}, late.lsb + 1
    for operation in operations:
        position, own = late.lsb + 1, {}
        for item in SLOT_OPERATIONS[operation].fields:
            own[item.name] = PacketField(item.name, _bits(item.values(sizes)), position, item.values(sizes))
            position += own[item.name].width
        fields[operation] = MappingProxyType(own)
        end = max(end, position)
    return SlotFormat(name, lsb, end - lsb, operations, code, stage, late, MappingProxyType(fields))


class PacketFormat:
    """Encoding of the packets of a core.

    Attributes
    ----------
    slots : Mapping[str, SlotFormat]
        In the order of the description.
    bits, size_bytes : int
        Bits that slots take, and bytes of a packet in code memory.
    """

    def __init__(self, sizes: Sizes, tables: Tables):
        self.sizes = sizes
        self.size_bytes = int(sizes["packet_bytes"])
        slots, position = {}, 0
        for name, operations in tables["slots"].items():
            assert not isinstance(operations, int)
            slots[name] = _slot(name, position, tuple(operations), sizes)
            position += slots[name].width
        self.slots: Mapping[str, SlotFormat] = MappingProxyType(slots)
        self.bits = position

    def encode(self, packet: Packet) -> bytes:
        """Encode; raise InstructionError for what no packet of this core can say."""
        word = 0
        for name, op in packet.items():
            word |= self._encoded(name, op)
        return word.to_bytes(self.size_bytes, "little")

    def _encoded(self, name: str, op: Op) -> int:
        if name not in self.slots:
            raise InstructionError(f"packet: slot {name!r} does not exist; expected one of {', '.join(self.slots)}")
        slot = self.slots[name]
        if op.name not in slot.operations:
            raise InstructionError(f"packet, slot {name}: operation {op.name!r}; expected one of {', '.join(slot.operations)}")
        known = slot.fields[op.name]
        unknown = [item for item in op.fields if item not in known]
        if unknown:
            raise InstructionError(f"packet, slot {name}: {op.name} has no field {unknown[0]!r}; expected {', '.join(known)}")
        if not 0 <= op.stage < slot.stage.values:
            raise InstructionError(f"packet, slot {name}: stage is {op.stage}; expected 0 to {slot.stage.values - 1}")
        word = (slot.operations.index(op.name) + 1) << slot.operation.lsb | op.stage << slot.stage.lsb | int(op.late) << slot.late.lsb
        for item in known.values():
            value = int(op.fields.get(item.name, 0))
            if not 0 <= value < item.values:
                raise InstructionError(f"packet, slot {name}: {op.name} has {item.name} {value}; expected 0 to {item.values - 1}")
            word |= value << item.lsb
        return word

    def encode_kernel(self, kernel: Kernel) -> bytes:
        """A kernel as it stands in code memory."""
        return b"".join(map(self.encode, kernel.packets))

    def decode(self, data: bytes) -> dict[str, Op]:
        """Decode one packet; raise InstructionError for one that the machine answers with ILLEGAL, or of another length."""
        if len(data) != self.size_bytes:
            raise InstructionError(f"packet: {len(data)} bytes; expected {self.size_bytes}")
        word = int.from_bytes(data, "little")
        packet = {}
        for name, slot in self.slots.items():
            code = slot.operation.of(word)
            if code > len(slot.operations):
                raise InstructionError(f"packet, slot {name}: operation code is {code}; expected 0 to {len(slot.operations)}")
            if not code:
                continue
            operation = slot.operations[code - 1]
            fields = {}
            for item in slot.fields[operation].values():
                fields[item.name] = item.of(word)
                if fields[item.name] >= item.values:
                    raise InstructionError(f"packet, slot {name}: {operation} has {item.name} {fields[item.name]}; expected 0 to {item.values - 1}")
            packet[name] = Op(operation, slot.stage.of(word), bool(slot.late.of(word)), fields)
        return packet

    def disassemble(self, packet: Packet) -> str:
        """One line: slot by slot what is issued, ``@2`` from stage 2 on, ``!`` from the second tile on.

        >>> from acg.graph import load_graph
        >>> format = packet_format(load_graph("dsp_tiny").engines["core"])
        >>> format.disassemble({"M0": Op("DOT", stage=1, fields={"d": 3, "a": 1, "b": 2, "c": 3, "k": 5}), "L": Op("LDV", fields={"d": 1, "s": 0})})
        'M0 DOT@1 d=3 a=1 b=2 c=3 k=5 | L LDV d=1 s=0'
        """
        parts = []
        for name, slot in self.slots.items():
            if name not in packet:
                continue
            op = packet[name]
            shown = [f"{item}={op.fields.get(item, 0)}" for item in slot.fields[op.name]]
            parts.append(" ".join([f"{name} {op.name}{f'@{op.stage}' if op.stage else ''}{'!' if op.late else ''}", *shown]))
        return " | ".join(parts) or "none"

    @cached_property
    def of_slot(self) -> Mapping[str, Mapping[str, tuple[Parameter, ...]]]:
        """Fields of the operations of each slot, as the operation table has them."""
        return {name: {operation: SLOT_OPERATIONS[operation].fields for operation in slot.operations} for name, slot in self.slots.items()}


def packet_bits(sizes: Sizes, tables: Tables) -> int:
    """Bits that a packet of a core of these slots takes."""
    return PacketFormat(sizes, tables).bits


def packet_format(core: Core) -> PacketFormat:
    """Encoding of the packets of a core: an engine of the graph, or its unit's socket."""
    return PacketFormat(core.sizes, core.tables)
