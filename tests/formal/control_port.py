"""AXI4-Lite rules of the control port for every host, and the effect of every access."""

from amaranth.hdl import Cat, Mux, Signal

import hwgen.control.registers
from tests.formal.bench import Bench

ADDRESS_BITS = 5


def bench(module=hwgen.control.registers, *, claims_only: bool = False) -> Bench:
    """Three registers, one of each kind of access, and addresses without any; a host that keeps to the rules offers and takes when it likes."""
    b = Bench(claims_only=claims_only)
    m = b.m
    shapes = [module.ControlRegister("ID", 0, "constant", 0xC0DE), module.ControlRegister("STATE", 4, "ro"), module.ControlRegister("LIMIT", 12, "rw", 7)]
    m.submodules.dut = dut = module.Control(registers=shapes, addr_bits=ADDRESS_BITS)
    bus = dut.axil
    for name, width in (("awvalid", 1), ("awaddr", ADDRESS_BITS), ("wvalid", 1), ("wdata", 32), ("wstrb", 4), ("bready", 1),
                        ("arvalid", 1), ("araddr", ADDRESS_BITS), ("rready", 1)):
        m.d.comb += getattr(bus, name).eq(b.free(width, name))
    m.d.comb += dut.state.eq(b.free(32, "state"))

    def stable(channel: str, payload: tuple[str, ...]):
        valid, ready = getattr(bus, f"{channel}valid"), getattr(bus, f"{channel}ready")
        waiting = b.past(valid & ~ready, f"{channel}_waiting")
        return ~waiting | (valid & Cat(getattr(bus, channel + name) == b.past(getattr(bus, channel + name), f"{channel}_{name}") for name in payload).all())

    for channel, payload in (("aw", ("addr",)), ("w", ("data", "strb")), ("ar", ("addr",))):
        b.assume(stable(channel, payload))
    b.always(stable("b", ("resp",)), "a write's answer stays, unchanged, until it is taken")
    b.always(stable("r", ("data", "resp")), "a read's answer stays, unchanged, until it is taken")

    addressed, written = bus.awvalid & bus.awready, bus.wvalid & bus.wready
    b.always(addressed == written, "address and data of a write are taken together")
    asked, limit = bus.arvalid & bus.arready, Signal(32, init=7)
    writes, reads = Signal(2), Signal(2)
    m.d.sync += [writes.eq(writes + addressed - (bus.bvalid & bus.bready)), reads.eq(reads + asked - (bus.rvalid & bus.rready))]
    b.always(bus.bvalid == (writes != 0), "an answer to every write, and to nothing else")
    b.always(bus.rvalid == (reads != 0), "an answer to every read, and to nothing else")
    b.always((writes <= 1) & (reads <= 1), "one access of a kind at a time")

    with m.If(addressed & (bus.awaddr[2:] == 3)):
        m.d.sync += limit.eq(Cat(Mux(bus.wstrb[byte], bus.wdata[8 * byte:8 * byte + 8], limit[8 * byte:8 * byte + 8]) for byte in range(4)))
    b.always(dut.limit == limit, "a register holds the enabled bytes of its last write")
    where, value = b.past(bus.araddr[2:], "where"), b.past(Mux(bus.araddr[2:] == 0, 0xC0DE, Mux(bus.araddr[2:] == 1, dut.state, limit)), "value")
    known = (where == 0) | (where == 1) | (where == 3)
    b.always(~b.past(asked, "was_asked") | ((bus.rdata == Mux(known, value, 0)) & (bus.rresp == Mux(known, 0, 2))), "what a read returns")
    place = b.past(bus.awaddr[2:], "place")
    b.always(~b.past(addressed, "was_written") | (bus.bresp == Mux((place == 0) | (place == 1) | (place == 3), 0, 2)), "how a write is answered")
    return b
