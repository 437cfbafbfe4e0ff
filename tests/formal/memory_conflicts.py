"""The scratchpad reports a conflict exactly when two requesters of one kind meet in a bank, and an address error exactly beyond the memory; so does the one
that some requesters enter at any word, of whose accesses only enabled words count.

Banks of any number of words: the specification divides, the RTL compares.
"""

from amaranth.hdl import Cat, Const

import hwgen.memory.columns
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


def columns(module=hwgen.memory.columns, *, banks: int, depth_words: int, words: int, claims_only: bool = False) -> Bench:
    """Two readers, one of them and the writer of several words from any on, with any requests."""
    b = Bench(claims_only=claims_only)
    m = b.m
    bits = (banks * depth_words - 1).bit_length()
    wide, narrow = module.PortWidths(8 * words, bits, unaligned=True), module.PortWidths(8, bits + 1)
    m.submodules.dut = dut = module.ColumnScratchpad(banks=banks, depth_words=depth_words, word_bits=8, columns=words, read_latency_cycles=1,
                                                     readers=[wide, narrow], writers=[wide])
    met, outside = [], []
    for port, shape in zip((dut.read_0, dut.read_1, dut.write_0), (wide, narrow, wide), strict=True):
        number = len(met)
        address, on = b.free(shape.addr_bits, f"address_{number}"), b.free(1, f"on_{number}")
        m.d.comb += [port.addr.eq(address), port.en.eq(on)]
        mask = Const(1, 1)
        if shape.unaligned:
            mask = b.free(words, f"mask_{number}")
            m.d.comb += port.mask.eq(mask)
        places = [(on & bit, (address + j)[:shape.addr_bits]) for j, bit in enumerate(mask)]
        met.append([Cat(enabled & (place // depth_words == bank) for enabled, place in places).any() for bank in range(banks)])
        outside += [enabled & (place >= banks * depth_words) for enabled, place in places]
    clash = Cat(one & other for one, other in zip(met[0], met[1], strict=True)).any()
    b.always(dut.conflict == b.past(clash, "clash"), "a conflict is reported if and only if there is one")
    b.always(dut.address_error == b.past(Cat(outside).any(), "outside"), "an address beyond the memory is reported, and no other")
    return b
