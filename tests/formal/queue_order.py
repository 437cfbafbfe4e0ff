"""The instruction queue never loses, duplicates or reorders.

Method: one element, put at a time and with a value that nothing restricts, is followed to the other end. It must leave unchanged, when exactly
those before it have left. That it is any element makes the claim one about all.
"""

from amaranth.hdl import Array, Mux, Signal

import hwgen.control.queue
from tests.formal.bench import Bench

WIDTH = 4


def bench(module=hwgen.control.queue, *, depth_entries: int, claims_only: bool = False) -> Bench:
    """The queue with any traffic on both sides."""
    depth = depth_entries
    b = Bench(claims_only=claims_only)
    m = b.m
    m.submodules.dut = dut = module.Queue(shape=WIDTH, depth=depth)
    mark = b.free(1, "mark")
    m.d.comb += [dut.i.valid.eq(b.free(1, "put_valid")), dut.i.payload.eq(b.free(WIDTH, "put_value")), dut.o.ready.eq(b.free(1, "get_ready"))]
    put, get = dut.i.valid & dut.i.ready, dut.o.valid & dut.o.ready

    count = Signal(range(depth + 1))  # entries that were put and not got
    m.d.sync += count.eq(count + put - get)
    b.always(dut.i.ready == (count != depth), "full exactly when it holds depth entries")
    b.always(dut.o.valid == (count != 0), "empty exactly when it holds none")

    followed, before, value = Signal(), Signal(range(depth + 1)), Signal(WIDTH)
    with m.If(followed & get):
        m.d.sync += before.eq(before - 1)
        with m.If(before == 0):
            m.d.sync += followed.eq(0)
    with m.If(~followed & put & mark):
        m.d.sync += [followed.eq(1), before.eq(count - get), value.eq(dut.i.payload)]
    b.always(~(followed & (before == 0)) | (dut.o.payload == value), "the element leaves unchanged")
    b.inside(~followed | (before < count), "the element is in the queue until its turn")

    # What holds inside, so that one step of induction suffices.
    level, head, tail = (b.look(f"dut.{name}", range(bound)) for name, bound in (("level", depth + 1), ("head", depth), ("tail", depth)))
    words = Array([b.look(f"dut.entries[{place}]", WIDTH) for place in range(depth)])

    def wrapped(place):
        return Mux(place >= depth, place - depth, place)

    place = Signal(range(2 * depth))
    m.d.comb += place.eq(wrapped(head + before))
    b.inside((level == count) & (count <= depth) & (head < depth), "level and head are in range")
    b.inside(tail == wrapped(head + level), "tail is head plus level")
    b.inside(~followed | (words[place] == value), "the element is where head says")
    return b
