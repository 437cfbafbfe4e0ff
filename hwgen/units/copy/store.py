"""Store unit: strided copy from on-chip memories into the external memory.

The address stage (:class:`~hwgen.units.copy.bursts.BurstSplitter`) offers bursts and queues one descriptor a row; the data stage reads one chunk
a cycle, and the pipeline behind the read places chunks into beats. A row that begins at ``off`` within a beat and ``lo`` within a chunk has
its chunk c at w = off - lo + c * U in the stream of its beats; the stage keeps w relative to the beats already sent. A step sends a beat if
its chunk ends at or above the end of that beat or is the row's last; a last chunk that ends above the beat it completes is followed
by one step that only sends. Cycles: ``acg/timing/dma.py``.

Beats wait in a queue for WREADY. A step that sends needs a place in it, counted from the step to the handshake, so nothing behind the read
ever stops; the queue is as long as the pipeline, so that a memory that is always ready never delays a step. A step that sends the first
beat of a burst waits until that burst's address is offered: WVALID never rises before AWVALID, and never waits for AWREADY.
"""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Out
from amaranth.utils import exact_log2

from hwgen.bus.axi import AXI4Write, Burst, size_code
from hwgen.control.queue import Queue
from hwgen.memory.ports import ReadPort
from hwgen.units.copy.bursts import BurstSplitter, check_unit, lanes_from, rotate_bytes
from hwgen.units.socket import engine_members

__all__ = ["StoreUnit"]


class StoreUnit(wiring.Component):
    """Engine of kind ``store``.

    Parameters
    ----------
    bus_bits : int
        Width of the AXI data bus, B bytes; a power of two, at least 8.
    address_bits, size_bytes : int
        Width of an AXI address; size of the external memory, a multiple of B.
    chunk_bytes : int
        Bytes U of every read; a power of two up to B.
    source_addr_bits : sequence of int
        For each source in select order, the width of its port's address, in chunks. Accesses beyond are ADDRESS errors.
    source_latency_cycles : sequence of int
        For each source, its read latency; data of faster ones is delayed to the slowest.
    outstanding_bursts : int
        Most bursts addressed and not answered.
    address_cycles : int
        As of `BurstSplitter`.
    body : data.Layout
        Layout of the instruction body (fields :data:`hwgen.units.copy.bursts.BODY_FIELDS`, counts minus one).
    code_bus, code_external, code_address, code_illegal : int
        Error codes: an error response; a row is outside the external memory; a chunk is outside its source's port; ``select``
        names no source.

    Members
    -------
    axi : Out(AXI4Write)
    source_0, ... : Out(ReadPort), also ``sources``
    start, instr, ready, retire, idle, halt, error, error_code, error_address
        Engine interface. ``error_address`` is a byte address, on-chip for ADDRESS, else external; for ILLEGAL the number
        selected. After an error or ``halt`` the unit reads nothing more, completes its bursts with beats without strobes, and is then ``idle``;
        only a reset lets it work again.
    """

    def __init__(self, *, bus_bits: int, address_bits: int, size_bytes: int, chunk_bytes: int, source_addr_bits: Sequence[int],
                 source_latency_cycles: Sequence[int], outstanding_bursts: int, body: data.Layout,
                 code_bus: int = 6, code_external: int = 7, code_address: int = 4, code_illegal: int = 3, address_cycles: int = 0):
        self.source_addr_bits = tuple(source_addr_bits)
        self.source_latency_cycles = tuple(source_latency_cycles)
        check_unit("StoreUnit", bus_bits=bus_bits, chunk_bytes=chunk_bytes, address_bits=address_bits, size_bytes=size_bytes,
                   outstanding_bursts=outstanding_bursts, port_addr_bits=self.source_addr_bits, body=body)
        if len(self.source_latency_cycles) != len(self.source_addr_bits) or min(self.source_latency_cycles) < 1:
            raise ValueError("StoreUnit: source_latency_cycles must name a latency of at least 1 for each of the "
                             f"{len(self.source_addr_bits)} sources, not {self.source_latency_cycles}")
        self.bus_bits = bus_bits
        self.address_bits = address_bits
        self.size_bytes = size_bytes
        self.chunk_bytes = chunk_bytes
        self.outstanding_bursts = outstanding_bursts
        self.address_cycles = address_cycles
        self.body = body
        self.codes = {"bus": code_bus, "external": code_external, "address": code_address, "illegal": code_illegal}
        super().__init__({
            "axi": Out(AXI4Write(addr_bits=address_bits, data_bits=bus_bits)),
            **{f"source_{index}": Out(ReadPort(addr_bits=bits, data_bits=8 * chunk_bytes))
               for index, bits in enumerate(self.source_addr_bits)},
            **engine_members(body),
        })
        self.sources = [getattr(self, f"source_{index}") for index in range(len(self.source_addr_bits))]

    def elaborate(self, platform) -> Module:
        m = Module()
        axi, bus, chunk = self.axi, self.bus_bits // 8, self.chunk_bytes
        beat_bits, lane_bits = exact_log2(bus), exact_log2(chunk)
        latency = max(self.source_latency_cycles)
        queue_depth = latency + 4                                        # cycles from a step to the one after its handshake, never stalled

        stopped, stop, misplaced = Signal(name="stopped"), Signal(name="stop"), Signal(name="misplaced")
        m.d.comb += stop.eq(stopped | self.halt)
        m.submodules.bursts = bursts = BurstSplitter(
            bus_bytes=bus, address_bits=self.address_bits, size_bytes=self.size_bytes, outstanding_bursts=self.outstanding_bursts,
            body=self.body, memories=len(self.sources), address_cycles=self.address_cycles)
        m.d.comb += [
            bursts.start.eq(self.start), bursts.instr.eq(self.instr), self.ready.eq(bursts.ready), bursts.stop.eq(stop),
            axi.awvalid.eq(bursts.offer), axi.awaddr.eq(bursts.address), axi.awlen.eq(bursts.length), bursts.accept.eq(axi.awready),
            axi.awsize.eq(size_code(self.bus_bits)), axi.awburst.eq(Burst.INCR),
            bursts.done.eq(axi.bvalid),
        ]
        failed = self._responses(m, bursts, stopped)
        rows, row_layout = self._row_queue(m, bursts)

        # The present row: `chunks` counts down to 0 at the last one, whose highest byte is `tail`; `page` is the beat's place
        # between two addresses at which bursts split.
        row, valid, first = Signal(row_layout, reset_less=True, name="row"), Signal(name="valid"), Signal(reset_less=True, name="first")
        last_chunk, end = Signal(name="last_chunk"), Signal(signed(beat_bits + 3), name="end")
        flush, flush_end = Signal(name="flush"), Signal(beat_bits + 1, reset_less=True, name="flush_end")
        step, send, row_done, begins = Signal(name="step"), Signal(name="send"), Signal(name="row_done"), Signal(name="begins")
        offered, tokens = Signal(name="offered"), Signal(range(self.outstanding_bursts + 1), name="tokens")
        credits = Signal(range(queue_depth + 1), init=queue_depth)
        over = Signal()
        m.d.comb += [
            last_chunk.eq(row.chunks == 0),
            end.eq(Mux(flush, flush_end, row.window + Mux(last_chunk, row.tail + 1, chunk))),
            over.eq(~flush & last_chunk & (end > bus)),
            send.eq(flush | last_chunk | (end >= bus)),
            begins.eq(first | (row.page == 0)),
            step.eq(valid & (~send | ((credits != 0) & (~begins | (tokens != 0))))),
            row_done.eq(step & (flush | last_chunk) & ~over),
            rows.o.ready.eq(~valid | row_done),
        ]
        m.d.sync += [
            offered.eq(bursts.push),
            tokens.eq(tokens + (offered & ~bursts.refused) - (step & send & begins)),
            credits.eq(credits - (step & send) + (axi.wvalid & axi.wready)),
        ]
        with m.If(step):
            m.d.sync += [
                flush.eq(over), flush_end.eq(end - bus),
                row.window.eq(row.window + chunk - Mux(send, bus, 0)), row.chunks.eq(row.chunks - 1), row.address.eq(row.address + 1),
            ]
            with m.If(send):
                m.d.sync += [row.page.eq(row.page + 1), first.eq(0)]
        with m.If(rows.o.ready):
            m.d.sync += [row.eq(rows.o.payload), valid.eq(rows.o.valid), first.eq(1), flush.eq(0)]

        outside = Signal()
        m.d.comb += [outside.eq(1), misplaced.eq(step & ~flush & outside & ~stop)]
        for index, port in enumerate(self.sources):
            m.d.sync += [port.en.eq(0), port.addr.eq(row.address)]
            with m.If(row.select == index):
                m.d.comb += outside.eq(row.address[port.signature.addr_bits:].any())
                m.d.sync += port.en.eq(step & ~flush & ~outside & ~stop)

        # What the pipeline must know of a step: travels along with the read.
        plan_layout = data.StructLayout({
            "read": 1, "send": 1, "last": 1, "before": 1, "shift": beat_bits, "select": len(row.select), "strobes": bus})
        plan = Signal(plan_layout)
        m.d.comb += [
            plan.read.eq(step & ~flush), plan.send.eq(step & send), plan.last.eq(row_done | row.page.all()),
            plan.before.eq(row.window[-1]), plan.shift.eq(row.window[:beat_bits]), plan.select.eq(row.select),
            plan.strobes.eq((~first.replicate(bus) | lanes_from(row.low, bus)) & ~(row_done.replicate(bus) & lanes_from(end, bus + 1)[:bus])
                            & ~(stop | misplaced).replicate(bus)),
        ]
        self._beats(m, plan, latency, queue_depth)

        m.d.sync += self.error.eq(misplaced | failed | (bursts.outside & ~stopped) | bursts.absent)
        with m.If(failed):
            m.d.sync += self.error_code.eq(self.codes["bus"])
        with m.Elif(misplaced):
            m.d.sync += [self.error_code.eq(self.codes["address"]), self.error_address.eq(Cat(Const(0, lane_bits), row.address))]
        with m.Elif(bursts.absent):
            m.d.sync += [self.error_code.eq(self.codes["illegal"]), self.error_address.eq(bursts.row_select)]
        with m.Else():
            m.d.sync += [self.error_code.eq(self.codes["external"]), self.error_address.eq(Mux(bursts.outside, self.error_address, bursts.row_ext))]
        with m.If(misplaced | failed | bursts.outside | bursts.absent | self.halt):
            m.d.sync += stopped.eq(1)
        m.d.comb += self.idle.eq(bursts.quiet & (bursts.ready | stop))
        return m

    def _responses(self, m: Module, bursts: BurstSplitter, stopped: Signal) -> Signal:
        """Retire at an instruction's last response; returns the pulse of an error response. A queue holds the bursts under way."""
        failed = Signal()
        layout = data.StructLayout({"last": 1, "address": self.address_bits})
        m.submodules.pending = pending = Queue(shape=layout, depth=max(2, self.outstanding_bursts))
        m.d.comb += [
            pending.i.valid.eq(bursts.push), pending.i.payload.last.eq(bursts.push_last), pending.i.payload.address.eq(bursts.push_address),
            pending.o.ready.eq(self.axi.bvalid),
            self.axi.bready.eq(1),
            failed.eq(self.axi.bvalid & (self.axi.bresp != 0) & ~stopped),
        ]
        m.d.sync += self.retire.eq(self.axi.bvalid & pending.o.payload.last & (self.axi.bresp == 0) & ~stopped)
        with m.If(failed):
            m.d.sync += self.error_address.eq(pending.o.payload.address)
        return failed

    def _row_queue(self, m: Module, bursts: BurstSplitter) -> tuple[Queue, data.StructLayout]:
        """Rows on their way to the data stage. A row enters with its first burst and leaves before that is answered, so there are never
        more than bursts allowed."""
        beat_bits, lane_bits, split_bits = exact_log2(self.bus_bits // 8), exact_log2(self.chunk_bytes), exact_log2(bursts.split_bytes)
        widths = {name: Shape.cast(self.body[name].shape).width for name in ("n_3", "local_address", "select")}
        tail_bits, low_bits = max(widths["n_3"], lane_bits) + 1, max(lane_bits, 1)
        layout = data.StructLayout({
            "window": signed(beat_bits + 3), "low": beat_bits, "chunks": tail_bits - lane_bits, "tail": low_bits,
            "address": widths["local_address"] + 2 - lane_bits, "select": widths["select"], "page": split_bits - beat_bits,
        })
        m.submodules.rows = rows = Queue(shape=layout, depth=max(2, self.outstanding_bursts))
        entry, low, tail = rows.i.payload, Signal(low_bits, name="low"), Signal(tail_bits, name="tail")
        m.d.comb += [
            rows.i.valid.eq(bursts.row),
            low.eq(bursts.row_local[:lane_bits]),
            tail.eq(low + bursts.row_size),
            entry.window.eq(bursts.row_ext[:beat_bits] - low),
            entry.low.eq(bursts.row_ext[:beat_bits]), entry.tail.eq(tail[:lane_bits]), entry.chunks.eq(tail[lane_bits:]),
            entry.address.eq(bursts.row_local[lane_bits:]), entry.select.eq(bursts.row_select),
            entry.page.eq(bursts.row_ext[beat_bits:split_bits]),
        ]
        return rows, layout

    def _beats(self, m: Module, plan: Signal, latency: int, queue_depth: int) -> None:
        """The pipeline behind a step: read data arrives latency + 1 cycles after it, is registered, placed into lanes and queued."""
        axi, bus, chunk = self.axi, self.bus_bits // 8, self.chunk_bytes
        arriving = plan
        for stage in range(latency + 1):
            following = Signal.like(plan, name=f"plan_{stage}")
            m.d.sync += following.eq(arriving)
            arriving = following
        word, placed = Signal(8 * chunk, reset_less=True, name="word"), Signal.like(plan, name="placed")
        m.d.sync += placed.eq(arriving)
        for index, (port, own) in enumerate(zip(self.sources, self.source_latency_cycles, strict=True)):
            value = port.data
            for stage in range(latency - own):
                delayed = Signal(8 * chunk, name=f"delayed_{index}_{stage}", reset_less=True)
                m.d.sync += delayed.eq(value)
                value = delayed
            with m.If(arriving.select == index):
                m.d.sync += word.eq(value)

        # Lane i holds byte (i - shift) mod bus of the word, if there is one; lanes below shift are the next beat's, unless the
        # window begins before the row's first beat: then those from shift on are nobody's.
        places = Signal(len(plan.shift))
        m.d.comb += places.eq(-placed.shift)
        turned = rotate_bytes(m, Cat(word, Const(0, self.bus_bits - 8 * chunk)), places, "turned")
        held = Signal(self.bus_bits, reset_less=True)
        m.submodules.sending = sending = Queue(
            shape=data.StructLayout({"data": self.bus_bits, "strobes": bus, "last": 1}), depth=queue_depth)
        beat = sending.i.payload
        above = lanes_from(placed.shift, bus)
        for lane in range(bus):
            at = slice(8 * lane, 8 * lane + 8)
            byte, here = Signal(len(places), name=f"byte_{lane}"), Signal(name=f"here_{lane}")
            m.d.comb += [
                byte.eq(lane - placed.shift),
                here.eq(placed.read & (byte < chunk if chunk < bus else 1)),
                beat.data[at].eq(Mux(here & (placed.before ^ above[lane]), turned[at], held[at])),
            ]
            with m.If(here):
                m.d.sync += held[at].eq(turned[at])
        m.d.comb += [
            sending.i.valid.eq(placed.send), beat.strobes.eq(placed.strobes), beat.last.eq(placed.last),
            axi.wvalid.eq(sending.o.valid), sending.o.ready.eq(axi.wready),
            axi.wdata.eq(sending.o.payload.data), axi.wstrb.eq(sending.o.payload.strobes), axi.wlast.eq(sending.o.payload.last),
        ]
