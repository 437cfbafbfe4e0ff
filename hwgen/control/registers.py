"""AXI4-Lite slave: the register file that the host sees."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hwgen.bus.axi import AXI4Lite, Response

__all__ = ["Control", "ControlRegister"]


@dataclass(frozen=True)
class ControlRegister:
    """One 32-bit register.

    ``access`` is ``constant`` (reads ``reset``), ``ro`` (reads the port of its name) or ``rw`` (drives the port of its name, ``reset``
    after reset). Bits of ``pulse_mask`` of an ``rw`` register fall back to 0 in the cycle after a write has set them.
    """

    name: str
    offset_bytes: int
    access: str
    reset: int = 0
    pulse_mask: int = 0


class Control(wiring.Component):
    """Register file behind an AXI4-Lite port.

    One write and one read are under way at a time; a write is accepted when its address and its data are both offered, and its effect
    is visible on the ports in the next cycle. Writes to registers that are not ``rw`` are accepted and ignored; an address without a
    register answers SLVERR and reads 0. Byte strobes are honoured.

    Parameters
    ----------
    registers : sequence of ControlRegister
        With distinct names, and distinct offsets that are multiples of 4.
    addr_bits : int
        Width of the AXI addresses; every offset is less than 2^addr_bits.

    Ports
    -----
    axil : In(AXI4Lite)
    <register name in lower case> : In(32) for ``ro``, Out(32) for ``rw``
    """

    def __init__(self, *, registers: Sequence[ControlRegister], addr_bits: int):
        names: set[str] = set()
        offsets: dict[int, str] = {}
        for register in registers:
            where = f"Control: register {register.name!r}"
            if register.access not in ("constant", "ro", "rw"):
                raise ValueError(f"{where} has access {register.access!r}; expected 'constant', 'ro' or 'rw'")
            if register.name in names:
                raise ValueError(f"{where} is given twice; names must be unique")
            if register.offset_bytes % 4 or not 0 <= register.offset_bytes < 1 << addr_bits:
                raise ValueError(f"{where} has offset {register.offset_bytes}; expected a multiple of 4 from 0 to {(1 << addr_bits) - 4}")
            if register.offset_bytes in offsets:
                raise ValueError(f"{where} has the offset of {offsets[register.offset_bytes]!r}; offsets must be unique")
            names.add(register.name)
            offsets[register.offset_bytes] = register.name
        self.registers = tuple(registers)
        self.addr_bits = addr_bits
        members = {"axil": In(AXI4Lite(addr_bits=addr_bits))}
        for register in registers:
            if register.access == "ro":
                members[register.name.lower()] = In(32)
            elif register.access == "rw":
                members[register.name.lower()] = Out(32, init=register.reset)
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        self._write(m)
        self._read(m)
        return m

    def _write(self, m: Module) -> None:
        axil = self.axil
        accept = Signal()
        m.d.comb += [
            accept.eq(axil.awvalid & axil.wvalid & ~axil.bvalid),
            axil.awready.eq(accept),
            axil.wready.eq(accept),
        ]
        with m.If(axil.bready):
            m.d.sync += axil.bvalid.eq(0)
        for register in self.registers:
            if register.pulse_mask:
                port = getattr(self, register.name.lower())
                m.d.sync += port.eq(port & ~register.pulse_mask & 0xFFFFFFFF)
        with m.If(accept):
            m.d.sync += [axil.bvalid.eq(1), axil.bresp.eq(Response.OKAY)]
            with m.Switch(axil.awaddr[2:]):
                for register in self.registers:
                    with m.Case(register.offset_bytes >> 2):
                        if register.access == "rw":
                            port = getattr(self, register.name.lower())
                            for byte in range(4):
                                with m.If(axil.wstrb[byte]):
                                    m.d.sync += port[8 * byte:8 * byte + 8].eq(axil.wdata[8 * byte:8 * byte + 8])
                with m.Default():
                    m.d.sync += axil.bresp.eq(Response.SLVERR)

    def _read(self, m: Module) -> None:
        axil = self.axil
        m.d.comb += axil.arready.eq(~axil.rvalid)
        with m.If(axil.rready):
            m.d.sync += axil.rvalid.eq(0)
        with m.If(axil.arvalid & axil.arready):
            # Gates and an OR: half of what a chain of choices takes.
            values, found = [], []
            for register in self.registers:
                here = Signal(name=f"reads_{register.name.lower()}")
                m.d.comb += here.eq(axil.araddr[2:] == register.offset_bytes >> 2)
                found.append(here)
                values.append(Mux(here, Const(register.reset, 32) if register.access == "constant" else getattr(self, register.name.lower()), 0))
            m.d.sync += [axil.rvalid.eq(1), axil.rdata.eq(reduce(or_, values)), axil.rresp.eq(Mux(Cat(found).any(), Response.OKAY, Response.SLVERR))]
