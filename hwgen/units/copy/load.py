"""Load unit: strided copy from the external memory into on-chip memories.

The address stage (:class:`~hwgen.units.copy.bursts.BurstSplitter`) asks for bursts and queues one descriptor a row; the data stage takes the
beats and writes one chunk a cycle. A row that begins at ``off`` within a beat and ``lo`` within a chunk has its chunk c at
w = off - lo + c * U in the stream of its beats (byte 0 is the first beat's): a window over at most two beats. The stage keeps w relative to
the beats taken so far. A step needs one more beat if the window's needed part ends above 0, and writes unless it ends above one beat, in
which case it only takes. Cycles: ``acg/timing/dma.py``.
"""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Out
from amaranth.utils import exact_log2

from hwgen.bus.axi import AXI4Read, Burst, size_code
from hwgen.control.queue import Queue
from hwgen.memory.ports import WritePort
from hwgen.units.copy.bursts import BurstSplitter, check_unit, lanes_from, lanes_to, rotate_bytes
from hwgen.units.socket import engine_members

__all__ = ["LoadUnit"]


class LoadUnit(wiring.Component):
    """Engine of kind ``load``.

    Parameters
    ----------
    bus_bits : int
        Width of the AXI data bus, B bytes; a power of two, at least 8.
    address_bits, size_bytes : int
        Width of an AXI address; size of the external memory, a multiple of B.
    chunk_bytes : int
        Bytes U of every write; a power of two up to B.
    destination_addr_bits : sequence of int
        For each destination in select order, the width of its port's address, in chunks. Accesses beyond are ADDRESS errors.
    outstanding_bursts : int
        Most bursts addressed and not read to the end.
    address_cycles : int
        As of `BurstSplitter`.
    body : data.Layout
        Layout of the instruction body (fields :data:`hwgen.units.copy.bursts.BODY_FIELDS`, counts minus one).
    code_bus, code_external, code_address, code_illegal : int
        Error codes: a beat came with an error response; a row is outside the external memory; a chunk is outside its destination's port;
        ``select`` names no destination.

    Members
    -------
    axi : Out(AXI4Read)
    destination_0, ... : Out(WritePort), also ``destinations``
        ``mask`` names the bytes of the row.
    start, instr, ready, retire, idle, halt, error, error_code, error_address
        Engine interface. ``error_address`` is a byte address, on-chip for ADDRESS, else external; for ILLEGAL the number
        selected. After an error or ``halt`` the unit makes no more accesses, swallows the beats still to come, and is then ``idle``; only a
        reset lets it work again.
    """

    def __init__(self, *, bus_bits: int, address_bits: int, size_bytes: int, chunk_bytes: int, destination_addr_bits: Sequence[int],
                 outstanding_bursts: int, body: data.Layout, code_bus: int = 6, code_external: int = 7, code_address: int = 4, code_illegal: int = 3,
                 address_cycles: int = 0):
        self.destination_addr_bits = tuple(destination_addr_bits)
        check_unit("LoadUnit", bus_bits=bus_bits, chunk_bytes=chunk_bytes, address_bits=address_bits, size_bytes=size_bytes,
                   outstanding_bursts=outstanding_bursts, port_addr_bits=self.destination_addr_bits, body=body)
        self.bus_bits = bus_bits
        self.address_bits = address_bits
        self.size_bytes = size_bytes
        self.chunk_bytes = chunk_bytes
        self.outstanding_bursts = outstanding_bursts
        self.address_cycles = address_cycles
        self.body = body
        self.codes = {"bus": code_bus, "external": code_external, "address": code_address, "illegal": code_illegal}
        super().__init__({
            "axi": Out(AXI4Read(addr_bits=address_bits, data_bits=bus_bits)),
            **{f"destination_{index}": Out(WritePort(addr_bits=bits, data_bits=8 * chunk_bytes))
               for index, bits in enumerate(self.destination_addr_bits)},
            **engine_members(body),
        })
        self.destinations = [getattr(self, f"destination_{index}") for index in range(len(self.destination_addr_bits))]

    def elaborate(self, platform) -> Module:
        m = Module()
        axi, bus, chunk = self.axi, self.bus_bits // 8, self.chunk_bytes
        beat_bits, lane_bits = exact_log2(bus), exact_log2(chunk)
        widths = {name: Shape.cast(self.body[name].shape).width for name in ("n_3", "local_address", "select")}

        stopped, stop = Signal(name="stopped"), Signal(name="stop")
        m.d.comb += stop.eq(stopped | self.halt)
        m.submodules.bursts = bursts = BurstSplitter(
            bus_bytes=bus, address_bits=self.address_bits, size_bytes=self.size_bytes, outstanding_bursts=self.outstanding_bursts,
            body=self.body, memories=len(self.destinations), address_cycles=self.address_cycles)
        m.d.comb += [
            bursts.start.eq(self.start), bursts.instr.eq(self.instr), self.ready.eq(bursts.ready), bursts.stop.eq(stop),
            axi.arvalid.eq(bursts.offer), axi.araddr.eq(bursts.address), axi.arlen.eq(bursts.length), bursts.accept.eq(axi.arready),
            axi.arsize.eq(size_code(self.bus_bits)), axi.arburst.eq(Burst.INCR),
            bursts.done.eq(axi.rvalid & axi.rready & axi.rlast),
        ]

        # A row is queued while its first burst is under way, so there are never more rows than bursts allowed.
        tail_bits, low_bits = max(widths["n_3"], lane_bits) + 1, max(lane_bits, 1)
        row_layout = data.StructLayout({
            "window": signed(beat_bits + 3), "low": low_bits, "chunks": tail_bits - lane_bits, "tail": low_bits,
            "address": widths["local_address"] + 2 - lane_bits, "select": widths["select"], "last": 1, "ext": self.address_bits - beat_bits,
        })
        m.submodules.rows = rows = Queue(shape=row_layout, depth=max(2, self.outstanding_bursts))
        entry, low, tail = rows.i.payload, Signal(low_bits, name="low"), Signal(tail_bits, name="tail")
        m.d.comb += [
            rows.i.valid.eq(bursts.row),
            low.eq(bursts.row_local[:lane_bits]),
            tail.eq(low + bursts.row_size),
            entry.window.eq(bursts.row_ext[:beat_bits] - low),
            entry.low.eq(low), entry.tail.eq(tail[:lane_bits]), entry.chunks.eq(tail[lane_bits:]),
            entry.address.eq(bursts.row_local[lane_bits:]),
            entry.select.eq(bursts.row_select), entry.last.eq(bursts.row_last), entry.ext.eq(bursts.row_ext[beat_bits:]),
        ]

        # The present row: `chunks` counts down to 0 at the last one, whose highest byte is `tail`.
        row, valid, first = Signal(row_layout, reset_less=True, name="row"), Signal(name="valid"), Signal(reset_less=True, name="first")
        last_chunk, end = Signal(name="last_chunk"), Signal(signed(beat_bits + 3), name="end")
        take, write, step, row_done, failed = Signal(name="take"), Signal(name="write"), Signal(name="step"), Signal(name="row_done"), Signal(name="failed")
        m.d.comb += [
            last_chunk.eq(row.chunks == 0),
            end.eq(row.window + Mux(last_chunk, row.tail + 1, chunk)),
            take.eq(end > 0),
            write.eq(end <= bus),
            step.eq(valid & ~stop & (~take | axi.rvalid)),
            axi.rready.eq(stop | (valid & take)),
            failed.eq(step & take & (axi.rresp != 0)),
            row_done.eq(step & write & last_chunk),
            rows.o.ready.eq(~valid | row_done),
        ]
        with m.If(step):
            m.d.sync += row.window.eq(row.window - Mux(take, bus, 0) + Mux(write, chunk, 0))
            with m.If(take):
                m.d.sync += row.ext.eq(row.ext + 1)
            with m.If(write):
                m.d.sync += [row.chunks.eq(row.chunks - 1), row.address.eq(row.address + 1), first.eq(0)]
        with m.If(rows.o.ready):
            m.d.sync += [row.eq(rows.o.payload), valid.eq(rows.o.valid), first.eq(1)]

        # One register behind the step: the window's lanes, gathered from the beat before and this one.
        held, lanes = Signal(self.bus_bits, reset_less=True, name="held"), Signal(self.bus_bits, reset_less=True, name="lanes")
        lane_shift = Signal(beat_bits, reset_less=True)
        mask = Signal(chunk, reset_less=True)
        address = Signal(len(row.address), reset_less=True)
        select = Signal(widths["select"], reset_less=True)
        gathered, finishing = Signal(name="gathered"), Signal(name="finishing")
        shift = row.window[:beat_bits]
        with m.If(step & take):
            m.d.sync += held.eq(axi.rdata)
        m.d.sync += [gathered.eq(step & write & ~failed), finishing.eq(row_done & row.last & ~failed)]
        with m.If(step & write):
            behind = lanes_from(shift, bus)
            for lane in range(bus):
                place = slice(8 * lane, 8 * lane + 8)
                m.d.sync += lanes[place].eq(Mux(~take | (row.window[-1] & behind[lane]), held[place], axi.rdata[place]))
            m.d.sync += [
                lane_shift.eq(shift), address.eq(row.address), select.eq(row.select),
                mask.eq((~first.replicate(chunk) | lanes_from(row.low, chunk)) & (~last_chunk.replicate(chunk) | lanes_to(row.tail, chunk))),
            ]

        # The second register: rotated and written.
        turned = rotate_bytes(m, lanes, lane_shift, "turned")
        misplaced, outside, writing = Signal(name="misplaced"), Signal(name="outside"), Signal(name="writing")
        m.d.comb += [outside.eq(1), misplaced.eq(gathered & outside & ~stopped)]
        m.d.sync += [writing.eq(gathered), self.retire.eq(finishing & ~misplaced & ~stopped)]
        for index, port in enumerate(self.destinations):
            m.d.sync += port.en.eq(0)
            with m.If(select == index):
                m.d.comb += outside.eq(address[port.signature.addr_bits:].any())
                m.d.sync += port.en.eq(gathered & ~misplaced & ~stopped)
            m.d.sync += [port.addr.eq(address), port.data.eq(turned), port.mask.eq(mask)]

        m.d.sync += self.error.eq(misplaced | failed | (bursts.outside & ~stopped) | bursts.absent)
        with m.If(misplaced):
            m.d.sync += [self.error_code.eq(self.codes["address"]), self.error_address.eq(Cat(Const(0, lane_bits), address))]
        with m.Elif(failed):
            m.d.sync += [self.error_code.eq(self.codes["bus"]), self.error_address.eq(Cat(Const(0, beat_bits), row.ext))]
        with m.Elif(bursts.absent):
            m.d.sync += [self.error_code.eq(self.codes["illegal"]), self.error_address.eq(bursts.row_select)]
        with m.Else():
            m.d.sync += [self.error_code.eq(self.codes["external"]), self.error_address.eq(Mux(bursts.outside, self.error_address, bursts.row_ext))]
        with m.If(misplaced | failed | bursts.outside | bursts.absent | self.halt):
            m.d.sync += stopped.eq(1)
        # Behind the last beat under way only steps without a beat are left, one a cycle, and each of them writes.
        m.d.comb += self.idle.eq(bursts.quiet & (bursts.ready | stop) & ~gathered & ~writing)
        return m
