"""The scratchpad reports a conflict exactly when two requesters of one kind meet in a bank, and an address error exactly beyond the memory.

Banks of any number of words: the specification divides, the RTL compares.
"""

from amaranth.hdl import Cat, Const

import hwgen.memory.scratchpad
from tests.formal.bench import Bench


def bench(module=hwgen.memory.scratchpad, *, banks: int, depth_words: int, claims_only: bool = False) -> Bench:
    """Two readers and two writers, of a whole and of half a word of 16 bits, with any requests."""
    b = Bench(claims_only=claims_only)
    m = b.m
    bits = (2 * banks * depth_words - 1).bit_length() + 1
    shapes = [module.PortWidths(16, bits - 1), module.PortWidths(8, bits)]
    m.submodules.dut = dut = module.Scratchpad(banks=banks, depth_words=depth_words, word_bits=16, read_latency_cycles=1, readers=shapes, writers=shapes)
    clashes, outside = [], []
    for kind, ports in (("read", dut.read_ports), ("write", dut.write_ports)):
        requests = []
        for index, (port, shape) in enumerate(zip(ports, shapes, strict=True)):
            address, on = b.free(shape.addr_bits, f"{kind}_{index}_address"), b.free(1, f"{kind}_{index}_on")
            m.d.comb += [port.addr.eq(address), port.en.eq(on)]
            if kind == "write":
                m.d.comb += port.data.eq(b.free(shape.data_bits, f"write_{index}_data"))
            bank = address // (depth_words * 16 // shape.data_bits)
            requests.append((on & (bank < banks), bank))
            outside.append(on & (bank >= banks))
        (one, bank_1), (two, bank_2) = requests
        clashes.append(one & two & (bank_1 == bank_2))
    b.always(dut.conflict == b.past(Cat(clashes).any() if clashes else Const(0), "clash"), "a conflict is reported if and only if there is one")
    b.always(dut.address_error == b.past(Cat(outside).any(), "outside"), "an address beyond the memory is reported, and no other")
    return b
