"""The vector registers of a core: read ports without delay, a write port a slot with an enable a granule."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

__all__ = ["RegisterFile"]


class RegisterFile(wiring.Component):
    """Vector registers.

    A read gives what the writes of earlier cycles left. Of two writes to one granule in one cycle that of the later port counts.

    Parameters
    ----------
    registers, vector_bits, granules : int
        Number of registers, bits of each, and parts of a register that a write can leave out.
    reads, writes : int
        Ports.

    Members
    -------
    read_<i>, data_<i> : In, Out
        Register, and its contents in the same cycle.
    write_<i>, mask_<i>, value_<i> : In
        Register, an enable a granule (none: nothing is written), contents.
    """

    def __init__(self, *, registers: int, vector_bits: int, granules: int, reads: int, writes: int):
        self.registers, self.vector_bits, self.granules, self.reads, self.writes = registers, vector_bits, granules, reads, writes
        bits = bits_for(registers - 1)
        super().__init__({
            **{name: member for i in range(reads) for name, member in ((f"read_{i}", In(bits)), (f"data_{i}", Out(vector_bits)))},
            **{name: member for i in range(writes) for name, member in (
                (f"write_{i}", In(bits)), (f"mask_{i}", In(granules)), (f"value_{i}", In(vector_bits)))},
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.storage = storage = memory.Memory(shape=self.vector_bits, depth=self.registers, init=[])
        for i in range(self.reads):
            port = storage.read_port(domain="comb")
            m.d.comb += [port.addr.eq(getattr(self, f"read_{i}")), getattr(self, f"data_{i}").eq(port.data)]
        for i in range(self.writes):
            port = storage.write_port(granularity=self.vector_bits // self.granules)
            register = getattr(self, f"write_{i}")
            overruled = Signal(self.granules, name=f"overruled_{i}")
            later = [Mux(getattr(self, f"write_{j}") == register, getattr(self, f"mask_{j}"), 0) for j in range(i + 1, self.writes)]
            m.d.comb += overruled.eq(Cat(Cat(mask[granule] for mask in later).any() for granule in range(self.granules)) if later else 0)
            m.d.comb += [port.addr.eq(register), port.data.eq(getattr(self, f"value_{i}")), port.en.eq(getattr(self, f"mask_{i}") & ~overruled)]
        return m
