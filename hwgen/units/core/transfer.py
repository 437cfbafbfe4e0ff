"""Loads and stores of a core: one access to memory a packet, V bytes from any granule on.

    cycle 0: stream chosen, its coordinates      1: the memory's port      ...      data, padding, wires of LDW      ...      into the register
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from hwgen.datapath.float32 import wire
from hwgen.memory.ports import UnalignedPort
from hwgen.units.core.stream import CoreStream

__all__ = ["LOADS", "STORES", "LoadLink", "Transfer", "least_cycles"]

LOADS, STORES = ("LDV", "LDW"), ("STV",)


@dataclass(frozen=True)
class LoadLink:
    """A memory behind the port ``load``: its read latency."""

    read_latency_cycles: int


def least_cycles(operations: Collection[str], links: Sequence[LoadLink]) -> int:
    """Least latency of a slot with these operations: the port is asked in the cycle behind the issue, and data are written in which they arrive."""
    if not set(LOADS) & set(operations):
        return 2
    return 2 + max(link.read_latency_cycles for link in links)


class Transfer(wiring.Component):
    """The memory accesses of a slot, and the streams that they follow.

    Parameters
    ----------
    operations : collection of str
        What of `LOADS` and `STORES` the slot issues.
    layout : amaranth.lib.data.Layout
        Body of the instruction, as encoded.
    vector_bytes, granule_bytes : int
    in_streams, out_streams : int
    load : sequence of LoadLink
    stores : int
        Links of the port ``store``.
    latency_cycles : int
        What is loaded is on ``d`` that many cycles less one behind its issue.

    Members
    -------
    begin : In(1)
        Streams go to their first access; ``held`` must have the instruction's fields from this cycle on.
    halt : In(1)
        No access any more.
    issue_<operation>, a, s, first, step : In
        In the cycle of issue.
    illegal : Out(1)
        An access of a stream that is not enabled, or a store of granules that a vector does not have; a cycle behind its issue.
    load_<link>, store_<link> : Out
    d : Out
    """

    def __init__(self, *, operations: Collection[str], layout: data.Layout, vector_bytes: int, granule_bytes: int, in_streams: int, out_streams: int,
                 load: Sequence[LoadLink], stores: int, latency_cycles: int):
        least = least_cycles(operations, load)
        if latency_cycles < least:
            raise ValueError(f"Transfer: latency_cycles must be at least {least}, not {latency_cycles}")
        self.operations = tuple(name for name in (*LOADS, *STORES) if name in operations)
        self.layout, self.vector_bytes, self.granule_bytes = layout, vector_bytes, granule_bytes
        self.words = vector_bytes // granule_bytes
        self.prefixes = {"in": [f"in{i}" for i in range(in_streams)], "out": [f"out{i}" for i in range(out_streams)]}
        self.load, self.stores, self.latency_cycles = tuple(load), stores, latency_cycles
        address = {kind: Shape.cast(layout[f"{prefixes[0]}_base"].shape).width for kind, prefixes in self.prefixes.items()}
        bits = 8 * vector_bytes
        super().__init__({
            "begin": In(1), "held": In(layout), "halt": In(1), **{f"issue_{name}": In(1) for name in self.operations},
            "a": In(bits), "s": In(bits_for(max(1, in_streams - 1, out_streams - 1))), "first": In(bits_for(self.words - 1)), "step": In(1),
            "illegal": Out(1), "d": Out(bits),
            **{f"load_{i}": Out(UnalignedPort(addr_bits=address["in"], data_bits=bits, words=self.words, reads=True)) for i in range(len(load))},
            **{f"store_{i}": Out(UnalignedPort(addr_bits=address["out"], data_bits=bits, words=self.words, reads=False)) for i in range(stores)},
        })

    def _issued(self, *names: str) -> Value:
        present = [getattr(self, f"issue_{name}") for name in names if name in self.operations]
        return Cat(present).any() if present else Const(0, 1)

    def _field(self, name: str) -> Value:
        return self.held[name] if name in dict(self.layout) else Const(0, 1)

    def elaborate(self, platform) -> Module:
        m = Module()
        loading, storing = wire(m, self._issued(*LOADS), "loading"), wire(m, self._issued(*STORES), "storing")
        streams = {kind: self._streams(m, kind, issued) for kind, issued in (("in", loading), ("out", storing))}
        chosen = {kind: self._chosen(m, kind, streams[kind]) for kind in streams}
        first = wire(m, Mux(storing, self.first, 0), "first_granule")
        granules = wire(m, Mux(storing, chosen["out"]["granules"], chosen["in"]["granules"]) + 1, "granules")
        inside = self._inside(m, streams, first, storing)
        reached = [first <= j for j in range(self.words - 1)] + [Const(1, 1)]
        mask = Cat(reached[j] & (j < first + granules) & inside[j] for j in range(self.words))
        absent = (loading & ~chosen["in"]["enable"]) | (storing & ~chosen["out"]["enable"])
        m.d.sync += self.illegal.eq(absent | (storing & (first + granules > self.words)))

        requested = {}
        for kind, issued in (("in", loading), ("out", storing)):
            register = {"address": Signal(len(chosen[kind]["address"]), name=f"{kind}_address", reset_less=True),
                        "select": Signal(len(chosen[kind]["select"]), name=f"{kind}_select", reset_less=True),
                        "mask": Signal(self.words, name=f"{kind}_mask", reset_less=True)}
            valid = Signal(name=f"{kind}_valid")
            m.d.sync += valid.eq(issued & chosen[kind]["enable"])
            with m.If(issued):
                m.d.sync += [register["address"].eq(chosen[kind]["address"] - (first if kind == "out" else 0)),
                             register["select"].eq(chosen[kind]["select"]), register["mask"].eq(mask)]
            requested[kind] = (valid, register)
        valid, register = requested["out"]
        stored = Signal(len(self.a), name="stored", reset_less=True)
        with m.If(storing):
            m.d.sync += stored.eq(self.a)
        for number in range(self.stores):
            port = getattr(self, f"store_{number}")
            m.d.comb += [port.en.eq(valid & (register["select"] == number) & register["mask"].any() & ~self.halt), port.addr.eq(register["address"]),
                         port.mask.eq(register["mask"]), port.data.eq(stored)]
        if set(LOADS) & set(self.operations):
            self._arrive(m, *requested["in"])
        return m

    def _streams(self, m: Module, kind: str, issued: Value) -> list[CoreStream]:
        streams = []
        for number, prefix in enumerate(self.prefixes[kind]):
            m.submodules[prefix] = stream = CoreStream(layout=self.layout, prefix=prefix, words=self.words)
            m.d.comb += [stream.load.eq(self.begin), stream.step.eq(issued & (self.s == number)), stream.held.eq(self.held)]
            streams.append(stream)
        return streams

    def _chosen(self, m: Module, kind: str, streams: Sequence[CoreStream]) -> dict[str, Value]:
        """Numbers of the stream that the packet names."""
        values: dict[str, list[Value]] = {
            "address": [stream.address for stream in streams],
            **{name: [self._field(f"{prefix}_{name}") for prefix in self.prefixes[kind]] for name in ("enable", "select", "granules")},
        }
        result: dict[str, Value] = {}
        for name, each in values.items():
            value = each[-1]
            for number in reversed(range(len(each) - 1)):
                value = Mux(self.s == number, each[number], value)
            result[name] = wire(m, value, f"{kind}_{name}_chosen")
        return result

    def _inside(self, m: Module, streams: dict[str, list[CoreStream]], first: Value, storing: Value) -> list[Value]:
        """Whether each granule of a vector lies within the bounds of its stream; only the first stream of a direction has any."""
        here, there = streams["in"][0], streams["out"][0]
        if not here.axes and not there.axes:
            return [Const(1, 1)] * self.words

        def either(name: str) -> Value:
            return Mux(storing, self._field(f"out0_{name}"), self._field(f"in0_{name}"))

        bounded = wire(m, (self.s == 0) & either("bounded"), "bounded")
        y = wire(m, Mux(storing, there.y, here.y), "y")
        x = wire(m, Mux(storing, there.x, here.x), "x")
        step = wire(m, either("x_step_word"), "x_step")
        # Unsigned: a negative coordinate is beyond any bound.
        beside = wire(m, (x - first * step)[:len(x) + 1].as_signed(), "x_of_granule_0")
        row = wire(m, y.as_unsigned() < either("y_bound"), "row_inside")
        bound = wire(m, either("x_bound"), "x_bound")
        inside = []
        for j in range(self.words):
            column = wire(m, (beside + j * step)[:len(beside)], f"x_of_granule_{j}_here")
            inside.append(wire(m, ~bounded | (row & (column.as_unsigned() < bound)), f"inside_{j}"))
        return inside

    def _arrive(self, m: Module, valid: Value, register: dict[str, Value]) -> None:
        """What was asked for, padded and wired, with as many registers behind it as the latency has left."""
        most = max(link.read_latency_cycles for link in self.load)
        slack = self.latency_cycles - 2 - most
        words: list[Value] = []
        forms = Signal(2, name="form")  # LDW, and its step
        m.d.sync += forms.eq(Cat(self._issued("LDW"), self.step))
        # Of each cycle since the port was asked.
        present, select, mask, form = [valid], [register["select"]], [register["mask"]], [forms]
        for age in range(most):
            for line, name in ((present, "present"), (select, "link"), (mask, "here"), (form, "form")):
                line.append(Signal(len(line[-1]), name=f"{name}_{age}", reset_less=name != "present"))
            m.d.sync += present[-1].eq(present[-2] & ~self.halt)
            with m.If(present[-2]):
                m.d.sync += [line[-1].eq(line[-2]) for line in (select, mask, form)]
        for number, link in enumerate(self.load):
            port = getattr(self, f"load_{number}")
            m.d.comb += [port.en.eq(valid & (register["select"] == number) & register["mask"].any() & ~self.halt), port.addr.eq(register["address"]),
                         port.mask.eq(register["mask"])]
            word: Value = port.data
            for age in range(link.read_latency_cycles, most):
                waiting = Signal(len(word), name=f"waiting_{number}_{age}", reset_less=True)
                with m.If(present[age] & (select[age] == number)):
                    m.d.sync += waiting.eq(word)
                word = waiting
            words.append(word)
        word = words[-1]
        for number in reversed(range(len(words) - 1)):
            word = Mux(select[most] == number, words[number], word)
        word = wire(m, word, "arrived")
        here, shape, moving = mask[most], form[most], present[most]
        if slack > 0:
            word, here, shape, moving = self._registered(m, word, here, shape, moving)
        padding = Signal(8, name="padding")
        m.d.comb += padding.eq(self.held["a_zero"])
        size = 8 * self.granule_bytes
        padded = wire(m, Cat(Mux(here[j], word[j * size:(j + 1) * size], padding.replicate(self.granule_bytes)) for j in range(self.words)), "padded")
        result: Value = padded
        if "LDW" in self.operations:
            windows = wire(m, Mux(shape[1], self._windows(padded, 2), self._windows(padded, 1)), "windows")
            result = Mux(shape[0], windows, padded) if "LDV" in self.operations else windows
        for age in range(1, slack):
            later, moved = Signal(len(self.d), name=f"loaded_{age}", reset_less=True), Signal(name=f"loaded_{age}_moving")
            m.d.sync += moved.eq(moving)
            with m.If(moving):
                m.d.sync += later.eq(result)
            result, moving = later, moved
        m.d.comb += self.d.eq(result)

    def _registered(self, m: Module, word: Value, here: Value, shape: Value, moving: Value) -> tuple[Value, Value, Value, Value]:
        registers = [Signal(len(value), name=f"{name}_arrived", reset_less=True) for name, value in (("word", word), ("here", here), ("form", shape))]
        moved = Signal(name="moving_arrived")
        m.d.sync += moved.eq(moving)
        with m.If(moving):
            m.d.sync += [register.eq(value) for register, value in zip(registers, (word, here, shape), strict=True)]
        return registers[0], registers[1], registers[2], moved

    def _windows(self, word: Value, step: int) -> Value:
        """Lane G p + c: byte c of the granules p step to p step + 3."""
        lanes, size = self.vector_bytes // 4, self.granule_bytes
        parts = []
        for lane in range(lanes):
            group, byte = divmod(lane, size)
            for q in range(4):
                first = 8 * (((group * step + q) % self.words) * size + byte)
                parts.append(word[first:first + 8])
        return Cat(parts)
