"""The decoder of a slot: exactly what a word says is issued, with its fields, where its stage is enabled; a word that says what does not exist is illegal.

The slot is one of each kind of number that has gaps; its layout is written down here, bit by bit, not taken from the packet format.
"""

from amaranth.hdl import Cat, Signal

import hwgen.units.core.decode
from acg.kinds.core.packets import PacketFormat
from tests.formal.bench import Bench

SIZES = {"vector_bytes": 32, "granule_bytes": 4, "registers": 8, "in_streams": 3, "out_streams": 1, "parameter_sets": 3, "packet_bytes": 8}
OPERATIONS = ("LDW", "REQ", "PERM", "DOT")
#: Operation -> (field, first bit, bits, values that exist); the operation's own code stands in bits 0 to 2, the stage in 3 to 5, late in 6.
FIELDS = {
    "LDW": (("d", 7, 3, 8), ("s", 10, 2, 3), ("step", 12, 1, 2)),
    "REQ": (("d", 7, 3, 8), ("a", 10, 3, 8), ("b", 13, 3, 8), ("quarter", 16, 2, 4), ("pack", 18, 1, 2), ("set", 19, 2, 3), ("form", 21, 1, 2)),
    "PERM": (("d", 7, 3, 8), ("a", 10, 3, 8), ("b", 13, 3, 8), ("pattern", 16, 4, 11)),
    "DOT": (("d", 7, 3, 8), ("a", 10, 3, 8), ("b", 13, 3, 8), ("c", 16, 3, 8), ("k", 19, 3, 8)),
}


def bench(module=hwgen.units.core.decode, *, claims_only: bool = False) -> Bench:
    """Any words, stages and predicates."""
    b = Bench(claims_only=claims_only)
    m = b.m
    slot = PacketFormat(SIZES, {"slots": {"S": OPERATIONS}}).slots["S"]
    m.submodules.dut = dut = module.SlotDecoder(slot)
    word, fetched, on, late = b.free(slot.width, "word"), b.free(1, "fetched"), b.free(8, "on"), b.free(1, "late")
    m.d.comb += [dut.word.eq(word), dut.fetched.eq(fetched), dut.on.eq(on), dut.late.eq(late)]
    code, stage = word[0:3], word[3:6]
    absent = [code > len(OPERATIONS)]
    for number, name in enumerate(OPERATIONS, start=1):
        absent += [(code == number) & (word[lsb:lsb + bits] >= values) for _, lsb, bits, values in FIELDS[name]]
    wrong = Signal()
    m.d.comb += wrong.eq(Cat(absent).any())
    enabled = Cat((stage == number) & on[number] for number in range(8)).any() & (late | ~word[6])
    b.always(dut.illegal == b.past(fetched & wrong, "wrong_before"), "what does not exist is illegal, and nothing else")
    for number, name in enumerate(OPERATIONS, start=1):
        issued = b.past(fetched & enabled & ~wrong & (code == number), f"issued_{name}")
        b.always(getattr(dut, f"issue_{name}") == issued, f"{name} is issued where the word says so")
        for field, lsb, bits, _ in FIELDS[name]:
            b.always(~issued | (getattr(dut, f"field_{field}") == b.past(word[lsb:lsb + bits], f"{name}_{field}")), f"{field} of {name}")
    return b
