"""AXI rules of the load and store engines' address channel, for every instruction and every memory; and WLAST of the store engine's data channel."""

from amaranth.hdl import Cat, Signal, signed
from amaranth.lib import data

import hwgen.units.copy.bursts
import hwgen.units.copy.store
from tests.formal.bench import Bench

ADDRESS_BITS, BUS_BYTES = 13, 4
SIZE_BYTES = 3 << 11
#: Body of the instructions of the benches: narrow fields, all there.
BODY = data.StructLayout({
    "select": 1, "n_0": 2, "n_1": 2, "n_2": 2, "n_3": 12, "ext_address": ADDRESS_BITS,
    **{f"ext_stride_{level}": signed(ADDRESS_BITS + 1) for level in range(3)},
    "local_address": 6, **{f"local_stride_{level}": signed(7) for level in range(3)},
})


def splitter(module=hwgen.units.copy.bursts, *, outstanding_bursts: int = 2, claims_only: bool = False) -> Bench:
    """The address stage: any instruction when it is ready, any memory. Bursts are split at 1 KiB here (256 beats of 4 bytes)."""
    b = Bench(claims_only=claims_only)
    m = b.m
    m.submodules.dut = dut = module.BurstSplitter(
        bus_bytes=BUS_BYTES, address_bits=ADDRESS_BITS, size_bytes=SIZE_BYTES, outstanding_bursts=outstanding_bursts, body=BODY, memories=2)
    start, accept, done, stop = (b.free(1, name) for name in ("start", "accept", "done", "stop"))
    m.d.comb += [
        dut.start.eq(start & dut.ready), dut.instr.eq(b.free(BODY.size, "instr")), dut.accept.eq(accept & dut.offer),
        dut.stop.eq(stop),
    ]
    under_way = Signal(range(outstanding_bursts + 2))
    m.d.comb += dut.done.eq(done & (under_way > dut.refused))  # what was never offered is never done
    m.d.sync += under_way.eq(under_way + dut.push - dut.done - dut.refused)
    pending = b.past(dut.offer & ~dut.accept, "was_pending")
    end = Signal(ADDRESS_BITS + 2)
    m.d.comb += end.eq(dut.address + BUS_BYTES * (dut.length + 1))
    b.always(~pending | dut.offer, "an offered burst stays offered until it is accepted")
    b.always(~pending | (dut.address == b.past(dut.address, "old_address")) & (dut.length == b.past(dut.length, "old_length")),
             "address and length are stable until then")
    b.always(~dut.offer | (dut.address[:2] == 0), "addresses are aligned to the beat")
    b.always(~dut.offer | (end <= SIZE_BYTES), "no burst leaves the external memory")
    b.always(~dut.offer | ((end - 1)[12:] == dut.address[12:]), "no burst crosses 4 KiB")
    b.always(under_way <= outstanding_bursts, "no more bursts under way than allowed")
    if not claims_only:
        page, rest = b.look("dut.next_page", ADDRESS_BITS - 10), b.look("dut.next_rest", 12)
        inside = b.look("dut.inside_row", 1)
        b.inside(b.look("dut.busy", 1) | ~inside, "a row is left only while busy")
        b.inside(~inside | dut.refused | ((page << 10) + rest < SIZE_BYTES), "what is left of a row is in the memory")
        b.inside(b.look("dut.under_way", range(outstanding_bursts + 1)) == under_way, "bursts under way")
        b.inside(~dut.refused | (dut.outside & (under_way != 0)), "what is refused is reported, and was under way")
        b.inside(~dut.offer | (end[10:] == dut.address[10:]) | (end == (Cat(dut.address[10:] + 1) << 10)), "a burst stays in its split")
    return b


def store_last(module=hwgen.units.copy.store, *, claims_only: bool = False) -> Bench:
    """The store unit: the k-th WLAST is at the last beat of the k-th address, for any k; data channel stable until taken."""
    b = Bench(claims_only=claims_only)
    m = b.m
    m.submodules.dut = dut = module.StoreUnit(
        bus_bits=8 * BUS_BYTES, address_bits=ADDRESS_BITS, size_bytes=SIZE_BYTES, chunk_bytes=2, source_addr_bits=[5], source_latency_cycles=[1],
        outstanding_bursts=2, body=BODY)
    axi = dut.axi
    start, instr = b.free(1, "start"), Signal(BODY)
    m.d.comb += [
        instr.as_value().eq(b.free(BODY.size, "instr")), dut.start.eq(start & dut.ready), dut.instr.eq(instr),
        axi.awready.eq(b.free(1, "awready")), axi.wready.eq(b.free(1, "wready")), dut.sources[0].data.eq(b.free(16, "source")),
    ]
    b.assume(instr.n_3 < 24)
    ended, answered = Signal(4), Signal(4)
    answer = b.free(1, "answer")
    m.d.comb += axi.bvalid.eq(answer & (ended != answered))
    m.d.sync += [ended.eq(ended + (axi.wvalid & axi.wready & axi.wlast)), answered.eq(answered + axi.bvalid)]

    which = b.constant(3, "which")
    addresses, bursts, length, beats, known, done = Signal(4), Signal(4), Signal(8), Signal(8), Signal(), Signal()
    with m.If(axi.awvalid & axi.awready):
        m.d.sync += addresses.eq(addresses + 1)
        with m.If(addresses == which):
            m.d.sync += [length.eq(axi.awlen), known.eq(1)]
    with m.If(axi.wvalid & axi.wready):
        m.d.sync += bursts.eq(bursts + axi.wlast)
        with m.If(bursts == which):
            m.d.sync += [beats.eq(beats + 1), done.eq(axi.wlast)]
    b.always(~(known & done) | (beats == length + 1), "WLAST is at the last beat that the address announced")
    waiting = b.past(axi.wvalid & ~axi.wready, "was_waiting")
    same = [signal == b.past(signal, f"old_{name}") for name, signal in (("data", axi.wdata), ("strobes", axi.wstrb), ("last", axi.wlast))]
    b.always(~waiting | (axi.wvalid & Cat(same).all()), "an offered beat stays, unchanged, until it is taken")
    return b
