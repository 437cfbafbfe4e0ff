"""Random legal kernels: any operation of the slots with any fields, in prologue, head and body, at any stage, late or not.

Legal whatever the counts are: the prologue loads every register that is used and waits for the last of them, and no two slots write one register.
"""

import numpy as np

from acg.kinds.core.operations import SLOT_OPERATIONS
from acg.kinds.core.packets import Core, Kernel, Op, Packet, PacketFormat, SlotFormat, packet_format

__all__ = ["MOST_PACKETS", "most_first", "random_kernel"]

#: Most packets of a kernel beside those that load its registers.
MOST_PACKETS = 24
_MOST_REGISTERS = 8


def random_kernel(core: Core, rng: np.random.Generator) -> Kernel:
    """A kernel for a core whose streams are all enabled."""
    form = packet_format(core)
    registers = rng.permutation(int(core.sizes["registers"]))[: int(rng.integers(len(form.slots), _MOST_REGISTERS + 1))].tolist()
    owners = {name: [register for place, register in enumerate(registers) if place % len(form.slots) == number] for number, name in enumerate(form.slots)}
    full, busy = rng.random() < 0.3, float(rng.choice([0.3, 0.6, 1.0]))
    stages = int(rng.choice([1, 2, 4, 8]))
    draw = _Packets(form, rng, registers, owners, busy, 1 if rng.random() < 0.2 else stages)
    body = int(rng.integers(1, 9))
    head = body * int(rng.integers(0, 3)) if full or rng.random() < 0.6 else int(rng.integers(0, 7))
    loads = _loads(core, form, registers)
    further = draw(int(rng.integers(0, 4)))
    longest = max(value for value in core.tables["latency_cycles"].values() if isinstance(value, int))
    wait: list[Packet] = [{} for _ in range(longest if further else 0)]  # the next pass loads the same registers
    return Kernel((*loads, *further, *wait), tuple(draw(min(head, MOST_PACKETS - body))), tuple(draw(body)))


def _loads(core: Core, form: PacketFormat, registers: list[int]) -> list[Packet]:
    """Packets that load each register, and the wait for the last."""
    able = {name for name, operation in SLOT_OPERATIONS.items() if operation.moves and operation.writes}
    slot, name = next((slot, name) for slot, item in form.slots.items() for name in item.operations if name in able)
    wait = core.tables["latency_cycles"][slot]
    assert isinstance(wait, int)
    streams = int(core.sizes["in_streams"])
    packets: list[Packet] = [{slot: Op(name, fields={"d": register, "s": place % streams})} for place, register in enumerate(registers)]
    return [*packets, *({} for _ in range(wait - 1))]


class _Packets:
    """Draws packets of operations on some registers; each slot writes its own."""

    def __init__(self, form: PacketFormat, rng: np.random.Generator, registers: list[int], owners: dict[str, list[int]], busy: float, stages: int):
        self.form, self.rng, self.registers, self.owners, self.busy, self.stages = form, rng, registers, owners, busy, stages

    def __call__(self, count: int) -> list[Packet]:
        """So many packets."""
        return [{name: op for name, slot in self.form.slots.items() if self.rng.random() < self.busy and (op := self._op(name, slot))}
                for _ in range(count)]

    def _op(self, name: str, slot: SlotFormat) -> Op:
        operation = slot.operations[int(self.rng.integers(len(slot.operations)))]
        table, fields = SLOT_OPERATIONS[operation], {}
        for item in table.fields:
            if item.name == table.writes:
                own = self.owners[name]
                fields[item.name] = own[int(self.rng.integers(len(own)))]
            elif item.numbers == "register":
                fields[item.name] = self.registers[int(self.rng.integers(len(self.registers)))]
            elif item.numbers == "granule":
                fields[item.name] = 0 if self.rng.random() < 0.5 else int(self.rng.integers(slot.fields[operation][item.name].values // 2 + 1))
            else:
                fields[item.name] = int(self.rng.integers(slot.fields[operation][item.name].values))
        return Op(operation, int(self.rng.integers(self.stages)), bool(self.rng.random() < 0.15), fields)


def most_first(kernel: Kernel) -> int:
    """The greatest granule from which a kernel stores."""
    return max((op.fields["first"] for packet in kernel.packets for op in packet.values() if "first" in op.fields), default=0)
