"""Which packet is issued when: the parts of a kernel one after the other, and which operations of each packet are enabled."""

from amaranth.hdl import Cat, Module, Shape, Signal
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["FIELDS", "STAGES", "KernelSequencer", "Part"]

#: Stages that an operation may carry.
STAGES = 8
#: Fields of the instruction that it reads.
FIELDS = ("code_base", "prologue_packets", "prologue_count", "head_packets", "body_packets", "body_count", "tiles", "drain_packets", "iterations")


class Part(enum.Enum, shape=3):
    """Part of the kernel that a packet belongs to."""

    PROLOGUE = 0
    HEAD = 1
    BODY = 2
    LAST_HEAD = 3
    DRAIN = 4


class KernelSequencer(wiring.Component):
    """Walks a kernel, a packet a cycle from the one after ``start`` on, without a gap.

    An operation of stage s is enabled while ``on[s]``: from the prologue's pass s on, and in iterations s to s + ``iterations`` - 1 of what follows, where an
    iteration is as long as the body. So ``on`` is shifted once an iteration.

    Members
    -------
    start, instr : In
        Pulse and body of the instruction, which must stay on ``held`` from the next cycle on.
    stop : In(1)
        Ends it at once.
    active : Out(1)
        ``packet`` is to be fetched.
    packet : Out
        Its address in code memory, in packets.
    on, late : Out(8), Out(1)
        Stages enabled, and whether operations that are to begin with the second tile are.
    last : Out(1)
        It is the instruction's last packet.
    """

    def __init__(self, layout: data.Layout):
        self.layout = layout
        super().__init__({
            "start": In(1), "instr": In(layout), "held": In(layout), "stop": In(1),
            "active": Out(1), "packet": Out(Shape.cast(layout["code_base"].shape).width + 2), "on": Out(STAGES), "late": Out(1), "last": Out(1),
        })

    def _bits(self, *names: str) -> int:
        return max(Shape.cast(self.layout[name].shape).width for name in names)

    def elaborate(self, platform) -> Module:
        m = Module()
        held = self.held
        part = Signal(Part, reset_less=True)
        left = Signal(self._bits("prologue_packets", "head_packets", "body_packets"), reset_less=True)  # packets of this pass behind this one
        passes = Signal(self._bits("prologue_count", "body_count"), reset_less=True)  # of this part behind this one
        tiles = Signal(self._bits("tiles"), reset_less=True)  # behind this one
        drain = Signal(self._bits("drain_packets"), reset_less=True)  # packets of the drain behind this one
        place = Signal(self._bits("body_packets"), reset_less=True)  # packets of this iteration behind this one
        coming = Signal(self._bits("iterations"), reset_less=True)  # iterations behind this one that begin a stage 0
        head, body = Signal(len(self.packet), name="head"), Signal(len(self.packet), name="body")
        m.d.comb += [head.eq(held.code_base + held.prologue_packets), body.eq(head + held.head_packets)]

        ended, following, finished = Signal(name="ended"), Signal(len(self.packet), name="following"), Signal(name="finished")
        m.d.comb += [ended.eq(left == 0), following.eq(self.packet + 1), self.last.eq(self.active & finished)]

        def enter(to: Part, fields, at=None):
            """The first packet of a pass."""
            size = {Part.PROLOGUE: fields.prologue_packets - 1, Part.HEAD: fields.head_packets - 1, Part.LAST_HEAD: fields.head_packets - 1}
            m.d.sync += [part.eq(to), left.eq(size.get(to, fields.body_packets))]
            if at is not None:
                m.d.comb += following.eq(at)

        def enter_body(fields, at=None):
            m.d.sync += passes.eq(fields.body_count)
            enter(Part.BODY, fields, at)

        def enter_tile(fields, at=None):
            with m.If(fields.head_packets != 0):
                enter(Part.HEAD, fields, at)
            with m.Else():
                enter_body(fields, at)

        def begin(fields):
            """The first iteration."""
            some = fields.iterations != 0
            m.d.sync += [self.on.eq(some), coming.eq(fields.iterations - some), place.eq(fields.body_packets)]
            enter_tile(fields)

        def enter_drain():
            m.d.sync += [self.late.eq(1), drain.eq(held.drain_packets - 1)]
            with m.If(held.drain_packets == 0):
                m.d.comb += finished.eq(1)
            with m.Elif(held.head_packets != 0):
                enter(Part.LAST_HEAD, held, head)
            with m.Else():
                enter(Part.DRAIN, held, body)

        with m.If(self.active):
            m.d.sync += self.packet.eq(following)
            with m.If(part != Part.PROLOGUE):
                m.d.sync += place.eq(place - 1)
                with m.If(place == 0):
                    m.d.sync += [place.eq(held.body_packets), self.on.eq(Cat(coming != 0, self.on)), coming.eq(coming - (coming != 0))]
            with m.If(~ended):
                m.d.sync += left.eq(left - 1)
            with m.Else(), m.Switch(part):
                with m.Case(Part.PROLOGUE):
                    with m.If(passes != 0):
                        m.d.sync += [passes.eq(passes - 1), self.on.eq(Cat(1, self.on))]
                        enter(Part.PROLOGUE, held, held.code_base)
                    with m.Else():
                        begin(held)
                with m.Case(Part.HEAD):
                    enter_body(held)
                with m.Case(Part.BODY):
                    with m.If(passes != 0):
                        m.d.sync += passes.eq(passes - 1)
                        enter(Part.BODY, held, body)
                    with m.Elif(tiles != 0):
                        m.d.sync += [tiles.eq(tiles - 1), self.late.eq(1)]
                        enter_tile(held, head)
                    with m.Else():
                        enter_drain()
                with m.Case(Part.LAST_HEAD, Part.DRAIN):
                    enter(Part.DRAIN, held, body)
            with m.If((part == Part.LAST_HEAD) | (part == Part.DRAIN)):
                m.d.sync += drain.eq(drain - 1)
                m.d.comb += finished.eq(drain == 0)
            with m.If(finished):
                m.d.sync += self.active.eq(0)
        with m.If(self.start):
            m.d.sync += [self.active.eq(1), self.packet.eq(self.instr.code_base), self.late.eq(0), tiles.eq(self.instr.tiles)]
            with m.If(self.instr.prologue_packets != 0):
                m.d.sync += [self.on.eq(1), passes.eq(self.instr.prologue_count)]
                enter(Part.PROLOGUE, self.instr)
            with m.Else():
                begin(self.instr)
        with m.If(self.stop):
            m.d.sync += self.active.eq(0)
        return m
