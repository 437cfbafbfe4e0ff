"""Address stage of the load and store units: walks an instruction's rows and splits each into AXI bursts."""

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hwgen.bus.axi import BOUNDARY_BYTES, MAX_BEATS
from hwgen.datapath.agu import AddressGenerator, LoopCounter

__all__ = ["BODY_FIELDS", "BurstSplitter", "check_unit", "lanes_from", "lanes_to", "rotate_bytes"]

#: Fields of a load's or store's body.
BODY_FIELDS = ("select", "n_0", "n_1", "n_2", "n_3", "ext_address", "ext_stride_0", "ext_stride_1", "ext_stride_2",
               "local_address", "local_stride_0", "local_stride_1", "local_stride_2")

LEVELS = 3


def check_unit(where: str, *, bus_bits: int, chunk_bytes: int, address_bits: int, size_bytes: int, outstanding_bursts: int,
               port_addr_bits: tuple[int, ...], body: data.Layout) -> None:
    """Check the parameters that both units share. Raises TypeError or ValueError that names parameter, value and expectation."""
    for name, value in (("bus_bits", bus_bits), ("chunk_bytes", chunk_bytes), ("address_bits", address_bits), ("size_bytes", size_bytes),
                        ("outstanding_bursts", outstanding_bursts), *(("port address bits", bits) for bits in port_addr_bits)):
        if not isinstance(value, int) or isinstance(value, bool):
            raise TypeError(f"{where}: {name} must be an integer, not {value!r}")
        if value < 1:
            raise ValueError(f"{where}: {name} must be at least 1, not {value}")
    if not port_addr_bits:
        raise ValueError(f"{where}: at least one on-chip port is needed, not none")
    if chunk_bytes & (chunk_bytes - 1) or chunk_bytes * 8 > bus_bits:
        raise ValueError(f"{where}: chunk_bytes must be a power of two up to {bus_bits // 8} (the bus), not {chunk_bytes}")
    if size_bytes > 1 << address_bits or size_bytes * 8 % bus_bits:
        raise ValueError(f"{where}: size_bytes must be a multiple of {bus_bits // 8} (the bus) up to 2^{address_bits}, not {size_bytes}")
    missing = [name for name in BODY_FIELDS if name not in dict(body)]
    if missing:
        raise ValueError(f"{where}: body has no field {missing[0]}; expected {', '.join(BODY_FIELDS)}")


def lanes_from(index, lanes: int):
    """One bit a lane: the lane's number is at least ``index``, which is less than ``lanes``."""
    return Cat(*(index <= lane for lane in range(lanes - 1)), Const(1))


def lanes_to(index, lanes: int):
    """One bit a lane: the lane's number is at most ``index``."""
    return Cat(Const(1), *(index >= lane for lane in range(1, lanes)))


def rotate_bytes(m: Module, value, places: Signal, name: str):
    """``value`` rotated towards bit 0: byte i of the result is byte (i + places) mod the number of bytes, 2^len(places)."""
    for bit in range(len(places)):
        cut = 8 << bit
        turned = Signal(len(value), name=f"{name}_{bit}")
        m.d.comb += turned.eq(Mux(places[bit], Cat(value[cut:], value[:cut]), value))
        value = turned
    return value


class BurstSplitter(wiring.Component):
    """Rows of an instruction as bursts, at most one a cycle.

    Bursts are INCR of full beats from an aligned address; a row is split at each multiple of min(4096, 256 beats) bytes. A burst is
    *pushed* when fewer than ``outstanding_bursts`` are under way and the address register is free; the register offers it from the
    next cycle on. With the first burst of a row, the row itself is handed over.

    Parameters
    ----------
    bus_bytes : int
        Bytes of a beat; a power of two.
    address_bits, size_bytes : int
        Width of an external address, and size of the external memory.
    outstanding_bursts : int
        Most bursts pushed and not yet ``done``.
    body : data.Layout
        Body of the instruction with the fields :data:`BODY_FIELDS`, counts minus one.
    memories : int
        On-chip memories that ``select`` chooses from.
    address_cycles : int
        0, or 1: a row waits in a register between the address generators and its bursts, and each instruction begins a cycle later.

    Members
    -------
    start, instr, ready
        Start pulse with its instruction, only when ``ready``; the first push is in the next cycle at the earliest, ``ready`` again one
        cycle after the last push.
    stop : In(1)
        No more pushes. A burst already offered stays until accepted.
    done : In(1)
        Pulse: the oldest burst under way is complete.
    quiet : Out(1)
        No burst is under way.
    offer, accept, address, length
        The address channel: valid, ready, byte address, beats minus one.
    push, push_last, push_address
        Pulse at each push; whether it is the instruction's last burst; its address.
    row, row_last, row_ext, row_local, row_size, row_select
        Pulse at the first push of each row; whether the row is the instruction's last; its first byte's external address and on-chip
        address (two's complement, two bits wider than the field); bytes minus one; selected memory.
    outside : Out(1)
        Pulse: the row of the cycle before is not within the memory; ``row_ext`` (low bits) was its address then. Nothing is pushed until ``stop`` follows in
        the next cycle. From a register, so that no push waits for the comparison.
    refused : Out(1)
        Such a row's burst was pushed in the cycle before: it is never offered, and no longer under way.
    absent : Out(1)
        The instruction selects a memory that does not exist; ``row_select`` is its number. Held, and nothing pushed, until ``stop``.
    """

    def __init__(self, *, bus_bytes: int, address_bits: int, size_bytes: int, outstanding_bursts: int, body: data.Layout, memories: int,
                 address_cycles: int = 0):
        self.bus_bytes = bus_bytes
        self.address_bits = address_bits
        self.size_bytes = size_bytes
        self.outstanding_bursts = outstanding_bursts
        self.body = body
        self.memories = memories
        self.address_cycles = address_cycles
        self.split_bytes = min(BOUNDARY_BYTES, MAX_BEATS * bus_bytes)
        widths = {name: Shape.cast(body[name].shape).width for name in BODY_FIELDS}
        self.widths = widths
        super().__init__({
            "start": In(1), "instr": In(body), "ready": Out(1), "stop": In(1), "done": In(1), "quiet": Out(1),
            "offer": Out(1), "accept": In(1), "address": Out(address_bits), "length": Out(8),
            "push": Out(1), "push_last": Out(1), "push_address": Out(address_bits),
            "row": Out(1), "row_last": Out(1), "row_ext": Out(address_bits), "row_local": Out(widths["local_address"] + 2),
            "row_size": Out(widths["n_3"]), "row_select": Out(widths["select"]),
            "outside": Out(1), "refused": Out(1), "absent": Out(1),
        })

    def _generator(self, m: Module, loops: LoopCounter, instr: data.View, side: str) -> AddressGenerator:
        """Row addresses of one side, wide enough to be exact: a partial sum is an address in range, plus one signed stride."""
        strides = {level: self.widths[f"{side}_stride_{level}"] for level in range(LEVELS)}
        width = max(self.widths[f"{side}_address"] + 1, *strides.values()) + 1
        m.submodules[f"{side}_rows"] = generator = AddressGenerator(width=width, levels=LEVELS, stride_widths=strides)
        m.d.comb += [
            generator.load.eq(self.start),
            generator.base.eq(self.instr[f"{side}_address"]),
            generator.step.eq(loops.step),
            generator.moving.eq(loops.moving),
            *(getattr(generator, f"stride_{level}").eq(instr[f"{side}_stride_{level}"]) for level in range(LEVELS)),
        ]
        return generator

    def _beyond(self, m: Module, ext: Value, instr: data.View) -> Signal:
        """Whether a row is not within the memory."""
        row_end = Signal(max(len(ext), self.widths["n_3"] + 2) + 1, name="row_end")
        beyond = Signal(name="beyond")
        m.d.comb += [row_end.eq(ext.as_signed() + instr.n_3), beyond.eq(ext[-1] | (row_end >= self.size_bytes))]
        return beyond

    def _row_register(self, m: Module, loops: LoopCounter, ext: Value, local: Value, beyond: Value, done: Value) -> tuple[Value, ...]:
        """The present row in registers, followed by the next once it is done: its addresses; whether it is the last, is beyond, is there."""
        walking, there, take = (Signal(name=f"row_{name}") for name in ("walking", "there", "take"))
        m.d.comb += [take.eq(walking & (~there | done)), loops.step.eq(take)]
        values = [Signal(len(value), name=f"row_{name}", reset_less=True) for name, value in
                  (("ext_held", ext), ("local_held", local), ("is_last", loops.last[0]), ("is_beyond", beyond))]
        with m.If(take):
            m.d.sync += [held.eq(value) for held, value in zip(values, (ext, local, loops.last[0], beyond), strict=True)]
            with m.If(loops.last[0]):
                m.d.sync += walking.eq(0)
        m.d.sync += there.eq((there & ~done) | take)
        with m.If(self.start):
            m.d.sync += walking.eq(1)
        return (*values, there)

    def elaborate(self, platform) -> Module:
        m = Module()
        beat_bits, split_bits = exact_log2(self.bus_bytes), exact_log2(self.split_bytes)
        instr = Signal(self.body, reset_less=True)
        busy = Signal()
        m.d.comb += self.ready.eq(~busy)

        m.submodules.loops = loops = LoopCounter(count_widths=[self.widths[f"n_{level}"] for level in range(LEVELS)])
        m.d.comb += [loops.load.eq(self.start), *(getattr(loops, f"n_{level}").eq(self.instr[f"n_{level}"]) for level in range(LEVELS))]
        ext, local = (self._generator(m, loops, instr, side).value for side in ("ext", "local"))
        beyond = self._beyond(m, ext, instr)
        last_row, there, done_row = loops.last[0], busy, Signal(name="done_row")
        if self.address_cycles:
            ext, local, last_row, beyond, there = self._row_register(m, loops, ext, local, beyond, done_row)
        else:
            m.d.comb += loops.step.eq(done_row)

        # A burst: from `offset` within its page (of split_bytes), `rest` + 1 bytes of the row still to come.
        inside_row = Signal()
        next_page = Signal(self.address_bits - split_bits if self.address_bits > split_bits else 1, reset_less=True)
        next_rest = Signal(self.widths["n_3"], reset_less=True)
        offset, rest, page = Signal(split_bits, name="offset"), Signal.like(next_rest, name="rest"), Signal.like(next_page, name="page")
        m.d.comb += [
            offset.eq(Mux(inside_row, 0, ext[:split_bits])),
            rest.eq(Mux(inside_row, next_rest, instr.n_3)),
            page.eq(Mux(inside_row, next_page, ext[split_bits:])),
        ]
        last_byte = Signal(max(split_bits, len(rest)) + 1)
        crosses = Signal()
        final_offset = Signal(split_bits)
        m.d.comb += [
            last_byte.eq(offset + rest),
            crosses.eq(last_byte[split_bits:].any()),
            final_offset.eq(Mux(crosses, self.split_bytes - 1, last_byte)),
        ]

        refusing = Signal()
        m.d.comb += refusing.eq(there & ~self.stop & ~inside_row & beyond)
        m.d.sync += [self.outside.eq(refusing & ~self.outside), self.refused.eq(refusing & self.push)]
        if self.memories < 1 << self.widths["select"]:
            m.d.comb += self.absent.eq(busy & ~self.stop & (instr.select >= self.memories))

        under_way = Signal(range(self.outstanding_bursts + 1))
        waiting = Signal()
        m.d.comb += [
            self.offer.eq(waiting & ~self.refused),
            self.quiet.eq(under_way == 0),
            self.push.eq(there & ~self.stop & ~self.outside & ~self.absent & (under_way != self.outstanding_bursts) & (~self.offer | self.accept)),
            self.push_last.eq(last_row & ~crosses),
            self.push_address.eq(Cat(Const(0, beat_bits), offset[beat_bits:], page)),
            self.row.eq(self.push & ~inside_row),
            self.row_last.eq(last_row),
            self.row_ext.eq(ext),
            self.row_local.eq(local.as_signed()),
            self.row_size.eq(instr.n_3),
            self.row_select.eq(instr.select),
            done_row.eq(self.push & ~crosses),
        ]
        m.d.sync += under_way.eq(under_way + self.push - self.done - self.refused)
        with m.If(self.accept | self.refused):
            m.d.sync += waiting.eq(0)
        with m.If(self.refused):
            m.d.sync += inside_row.eq(0)
        with m.If(self.push):
            m.d.sync += [
                waiting.eq(1),
                self.address.eq(self.push_address),
                self.length.eq(final_offset[beat_bits:] - offset[beat_bits:]),
                inside_row.eq(crosses),
                next_page.eq(page + 1),
                next_rest.eq(last_byte - self.split_bytes),
            ]
            with m.If(self.push_last):
                m.d.sync += busy.eq(0)
        with m.If(self.start):
            m.d.sync += [instr.eq(self.instr), busy.eq(1)]
        return m
