"""What manuals say of a core's packets: its slots, and the bits of each of their operations."""

from collections.abc import Sequence

from acg.kinds.core.operations import SLOT_OPERATIONS, patterns
from acg.kinds.core.packets import Core, PacketField, packet_format

__all__ = ["packets_manual"]

Table = tuple[tuple[str, ...], Sequence[tuple[object, ...]]]


def _bits(item: PacketField) -> str:
    return f"`{item.name}` {item.lsb + item.width - 1}:{item.lsb}" if item.width > 1 else f"`{item.name}` {item.lsb}"


def packets_manual(core: Core) -> list[Table]:
    """Tables, heads and rows each: slots; operations with the bits of their fields; what PERM does by number, where a slot has it."""
    form, latencies = packet_format(core), core.tables["latency_cycles"]
    slots, operations = [], []
    for name, slot in form.slots.items():
        slots.append((name, f"{slot.lsb + slot.width - 1}:{slot.lsb}", latencies[name], ", ".join(map(_bits, (slot.operation, slot.stage, slot.late)))))
        for code, operation in enumerate(slot.operations, 1):
            fields = ", ".join(map(_bits, slot.fields[operation].values()))
            operations.append((name, code, operation, fields, SLOT_OPERATIONS[operation].doc.replace("|", "or")))
    tables: list[Table] = [
        (("slot", f"bits of {8 * form.size_bytes}", "latency, cycles", "bits"), slots),
        (("slot", "operation", "which is", "bits", "does"), operations),
    ]
    if any("PERM" in slot.operations for slot in form.slots.values()):
        tables.append((("pattern", "of PERM"), list(enumerate(patterns(core.sizes)))))
    return tables
