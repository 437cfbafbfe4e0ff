"""Instruction queue of one engine."""

from amaranth.hdl import Module, Mux, ShapeLike, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Queue"]


class Queue(wiring.Component):
    """A first-in first-out queue: written at cycle t, visible at t + 1; a place freed at t may be written at t + 1.

    Neither ``i.ready`` nor ``o.valid`` depends on the other side's signals of the same cycle.

    Parameters
    ----------
    shape : ShapeLike
        Shape of one entry.
    depth : int
        Entries, at least 2: with one, a full queue would admit an instruction every other cycle only.
    """

    def __init__(self, *, shape: ShapeLike, depth: int):
        if not isinstance(depth, int) or isinstance(depth, bool):
            raise TypeError(f"Queue: depth must be an integer, not {depth!r}")
        if depth < 2:
            raise ValueError(f"Queue: depth must be at least 2, not {depth}")
        self.shape = shape
        self.depth = depth
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.entries = entries = memory.Memory(shape=self.shape, depth=self.depth, init=[])
        write, read = entries.write_port(), entries.read_port(domain="comb")
        level = Signal(range(self.depth + 1))
        tail = Signal(range(self.depth))
        head = Signal(range(self.depth))
        put = Signal()
        get = Signal()
        m.d.comb += [
            self.i.ready.eq(level != self.depth),
            self.o.valid.eq(level != 0),
            put.eq(self.i.valid & self.i.ready),
            get.eq(self.o.valid & self.o.ready),
            write.en.eq(put),
            write.addr.eq(tail),
            write.data.eq(self.i.payload),
            read.addr.eq(head),
            self.o.payload.eq(read.data),
        ]
        m.d.sync += level.eq(level + put - get)
        with m.If(put):
            m.d.sync += tail.eq(Mux(tail == self.depth - 1, 0, tail + 1))
        with m.If(get):
            m.d.sync += head.eq(Mux(head == self.depth - 1, 0, head + 1))
        return m
