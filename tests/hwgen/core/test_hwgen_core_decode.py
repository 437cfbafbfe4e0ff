"""The decoder of a slot against the encoding of packets: what is issued, its fields, and what does not exist."""

import random

import pytest
from amaranth.sim import Simulator

from acg.errors import InstructionError
from acg.kinds.core.operations import SLOT_OPERATIONS
from acg.kinds.core.packets import Op, PacketFormat
from hwgen.units.core.decode import SlotDecoder, field_bits
from hwgen.units.core.sequencer import STAGES

SIZES = {"vector_bytes": 32, "granule_bytes": 4, "registers": 16, "in_streams": 3, "out_streams": 1, "parameter_sets": 3, "packet_bytes": 32}
TABLES = {"slots": {"A": ("STV",), "B": tuple(SLOT_OPERATIONS), "C": ("REQB", "DOT", "PERM", "EST")}}


def drawn(rng, slot, packets):
    """A word of the slot: a legal operation, or any bits."""
    if rng.random() < 0.4:
        return rng.getrandbits(slot.width)
    name = rng.choice(slot.operations)
    fields = {item.name: rng.randrange(item.values) for item in slot.fields[name].values()}
    word = packets.encode({slot.name: Op(name, rng.randrange(STAGES), rng.random() < 0.5, fields)})
    return int.from_bytes(word, "little") >> slot.lsb


@pytest.mark.sim
@pytest.mark.parametrize("name", TABLES["slots"])
def test_it_issues_what_the_packet_says(name):
    seed = 13
    print("seed", seed)
    rng = random.Random(seed)
    packets = PacketFormat(SIZES, TABLES)
    slot = packets.slots[name]
    dut = SlotDecoder(slot)
    seen = {"issued": 0, "illegal": 0, "disabled": 0}

    async def testbench(ctx):
        for _ in range(60 * min(8, len(slot.operations))):
            word, on, late, fetched = drawn(rng, slot, packets), rng.getrandbits(STAGES), rng.getrandbits(1), rng.random() < 0.9
            for port, value in (("word", word), ("on", on), ("late", late), ("fetched", fetched)):
                ctx.set(getattr(dut, port), value)
            await ctx.tick()
            try:
                op = packets.decode((word << slot.lsb).to_bytes(packets.size_bytes, "little")).get(name)
                illegal = False
            except InstructionError:
                op, illegal = None, True
            assert ctx.get(dut.illegal) == (illegal and fetched), hex(word)
            enabled = op is not None and fetched and on >> op.stage & 1 and (late or not op.late)
            issued = {operation for operation in slot.operations if ctx.get(getattr(dut, f"issue_{operation}"))}
            assert issued == ({op.name} if enabled else set()), hex(word)
            if enabled:
                assert {field: ctx.get(getattr(dut, f"field_{field}")) for field in op.fields} == op.fields, op
            seen["issued" if enabled else "illegal" if illegal else "disabled"] += 1

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()
    assert min(seen.values()) > 5, seen


def test_fields_of_one_name_share_their_widest():
    packets = PacketFormat(SIZES, TABLES)
    assert field_bits(packets.slots["A"]) == {"a": 4, "s": 1, "first": 3}
    assert field_bits(packets.slots["B"])["k"] == 3 and field_bits(packets.slots["B"])["s"] == 2
