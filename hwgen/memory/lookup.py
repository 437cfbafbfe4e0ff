"""The lookup table of the vector unit: 256 byte entries a bank, a copy for every lane.

Each memory has one write port and one read port, as block RAM has: a memory of a read port a lane was more than synthesis could map for 16 lanes.
"""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for, exact_log2

from hwgen.memory.ports import UNORDERED, WritePort

__all__ = ["ENTRIES", "LookupTable"]

#: Entries of one bank: one for each value of a byte.
ENTRIES = 256

#: Bytes in a row of one memory. Writers of more bytes fill several memories side by side; a row stays within 64 bits, so
#: that its byte is picked cheaply in simulation.
_ROW_BYTES = 8


class LookupTable(wiring.Component):
    """Looks up one byte a lane and cycle.

    Parameters
    ----------
    lanes : int
        Lookups a cycle.
    banks : int
        Tables of 256 entries.
    write_bytes : int
        Bytes of the write port U, a power of two in 1..256. Address u, byte k is entry (u*U + k) % 256 of bank (u*U + k) // 256.

    Members
    -------
    write : In(WritePort)
        Bytes whose mask bit is set are written; lookups of later cycles see them.
    en, bank, index : In(1), In(bits of banks), In(8 * lanes)
        ``en`` at cycle t looks up ``index`` of each lane in ``bank``.
    data : Out(8 * lanes)
        Result at cycle t + 1, held until the next lookup.
    """

    def __init__(self, *, lanes: int, banks: int, write_bytes: int):
        for name, value, most in (("lanes", lanes, None), ("banks", banks, None), ("write_bytes", write_bytes, 256)):
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"LookupTable: {name} must be an integer, not {value!r}")
            if value < 1 or (most is not None and value > most):
                raise ValueError(f"LookupTable: {name} must be {'at least 1' if most is None else f'in 1..{most}'}, not {value}")
        if write_bytes & (write_bytes - 1):
            raise ValueError(f"LookupTable: write_bytes must be a power of two, not {write_bytes}")
        self.lanes = lanes
        self.banks = banks
        self.write_bytes = write_bytes
        super().__init__({
            "write": In(WritePort(addr_bits=bits_for(max(1, banks * ENTRIES // write_bytes - 1)), data_bits=8 * write_bytes)),
            "en": In(1),
            "bank": In(bits_for(max(1, banks - 1))),
            "index": In(8 * lanes),
            "data": Out(8 * lanes),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        row_bytes = min(_ROW_BYTES, self.write_bytes)
        columns = self.write_bytes // row_bytes
        rows = self.banks * ENTRIES // self.write_bytes
        byte_bits = exact_log2(self.write_bytes)
        columns_read: list[list] = []
        for column in range(columns):
            part = slice(column * row_bytes, (column + 1) * row_bytes)
            columns_read.append([])
            for lane in range(self.lanes):
                storage = memory.Memory(shape=data.ArrayLayout(8, row_bytes), depth=rows, init=[], attrs=UNORDERED)
                m.submodules[f"column_{column}_{lane}"] = storage
                write = storage.write_port(granularity=1)
                m.d.comb += [
                    write.addr.eq(self.write.addr),
                    write.data.eq(self.write.data[8 * part.start:8 * part.stop]),
                    write.en.eq(Mux(self.write.en, self.write.mask[part], 0)),
                ]
                columns_read[-1].append(storage.read_port())
        for lane in range(self.lanes):
            entry = Signal(8 + len(self.bank), name=f"entry_{lane}")
            m.d.comb += entry.eq(Cat(self.index.word_select(lane, 8), self.bank))
            picked = Signal(max(1, byte_bits), name=f"picked_{lane}", reset_less=True)
            with m.If(self.en):
                m.d.sync += picked.eq(entry[:byte_bits])
            words = []
            for reads in columns_read:
                read = reads[lane]
                m.d.comb += [read.addr.eq(entry[byte_bits:][:len(read.addr)]), read.en.eq(self.en)]
                words.append(read.data.as_value().word_select(picked[:exact_log2(row_bytes)], 8))
            found = words[0]
            if columns > 1:
                choice = Signal(8, name=f"choice_{lane}")
                with m.Switch(picked[exact_log2(row_bytes):]):
                    for column, word in enumerate(words):
                        with m.Case(column):
                            m.d.comb += choice.eq(word)
                found = choice
            m.d.comb += self.data.word_select(lane, 8).eq(found)
        return m
