"""Front of the vector unit: loop nest, address streams, padding, read ports."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring

from acg.timing.vector import DETOUR_CYCLES
from hwgen.datapath.agu import AddressGenerator, LoopCounter
from hwgen.units.vector.pipeline import Pipeline

__all__ = ["LEVELS", "REDUCE_NONE", "VectorSource", "build_front", "check_source", "drive_port", "source_words"]

LEVELS = 6
REDUCE_NONE = 0


@dataclass(frozen=True)
class VectorSource:
    """A memory behind a read port: bits of an element (8 or 32), bits of a port word address, read latency in cycles (at least 1)."""

    element_bits: int
    addr_bits: int
    read_latency_cycles: int


def check_source(where: str, element_bits: int, addr_bits: int, read_latency_cycles: int = 1) -> None:
    """Raise TypeError or ValueError, naming ``where``, for a source or destination that cannot be built."""
    for name, value in (("element_bits", element_bits), ("addr_bits", addr_bits), ("read_latency_cycles", read_latency_cycles)):
        if not isinstance(value, int) or isinstance(value, bool):
            raise TypeError(f"{where}: {name} must be an integer, not {value!r}")
    if element_bits not in (8, 32):
        raise ValueError(f"{where}: element_bits must be 8 or 32, not {element_bits}")
    for name, value in (("addr_bits", addr_bits), ("read_latency_cycles", read_latency_cycles)):
        if value < 1:
            raise ValueError(f"{where}: {name} must be at least 1, not {value}")


def drive_port(m: Module, port, *, enable: Value, address: Value) -> Value:
    """Access ``port`` at ``address``, unless it lies beyond the port's address bits; returns whether it does."""
    beyond = Const(0, 1)
    if len(address) > len(port.addr):
        beyond = address[len(port.addr):] != 0
    m.d.comb += [port.addr.eq(address), port.en.eq(enable & ~beyond)]
    return enable & beyond


class Walk(NamedTuple):
    """What address generators follow: the loop counter's members, and instruction fields as of ``load``."""

    load: Value
    step: Value
    moving: Value
    last: Value
    zero: Value
    instr: Mapping[str, Value]


def _stream(m: Module, prefix: str, levels: Sequence[int], *, held: dict[str, Signal], walk: Walk,
            name: str = "stride", extra_bits: int = 0, origin: str = "base") -> Signal:
    """An address generator over fields <prefix>_<origin> and <prefix>_<name>_<level>."""
    base = walk.instr[f"{prefix}_{origin}"]
    strides = {level: held[f"{prefix}_{name}_{level}"] for level in levels}
    generator = AddressGenerator(width=len(base) + extra_bits, levels=LEVELS, stride_widths={
        level: len(stride) + (not stride.shape().signed) for level, stride in strides.items()})
    m.submodules[f"{prefix}_{name}"] = generator
    m.d.comb += [generator.load.eq(walk.load), generator.base.eq(base), generator.step.eq(walk.step), generator.moving.eq(walk.moving)]
    for level, stride in strides.items():
        gated = stride
        if prefix == "y" and name == "stride" and level >= 4 and not isinstance(held["reduce"], Const):
            gated = Mux(held["reduce"] == REDUCE_NONE, stride, 0)
        m.d.comb += getattr(generator, f"stride_{level}").eq(gated)
    return generator.value


def build_front(m: Module, pipeline: Pipeline, unit: wiring.Component, held: dict[str, Signal], *, halt: Value) -> tuple[Value, list]:
    """Build stage 0: issue an iteration a cycle, address ports a and b.

    Carries ``inside``, ``restart``, ``last``, ``p_address`` and ``y_address`` with the iteration. Drives ``unit.ready``.

    Returns
    -------
    tuple of Value and list of (Value, Value)
        Whether an instruction is being issued; pairs (access beyond its port, address).
    """
    late = unit.address_cycles
    counter = LoopCounter(count_widths=[len(unit.instr[f"n_{level}"]) for level in range(LEVELS)])
    m.submodules.counter = counter
    issuing = Signal()
    step = Signal()
    m.d.comb += [step.eq(issuing & ~halt), counter.load.eq(unit.start), counter.step.eq(step)]
    m.d.comb += [getattr(counter, f"n_{level}").eq(unit.instr[f"n_{level}"]) for level in range(LEVELS)]
    ready = ~issuing | counter.last[0]
    if "FAKE_QUANTIZE" in unit.offers:
        # The last iteration goes round the detour: nothing may come straight behind it.
        pause = Signal(range(DETOUR_CYCLES))
        ending = issuing & counter.last[0] & held["numeric"] & held["quantize"]
        m.d.sync += pause.eq(Mux(ending, DETOUR_CYCLES - 1, Mux(pause == 0, 0, pause - 1)))
        ready = ready & ~ending & (pause == 0)
    m.d.comb += unit.ready.eq(ready & ~halt)
    with m.If(unit.start):
        m.d.sync += issuing.eq(1)
    with m.Elif(counter.last[0] | halt):
        m.d.sync += issuing.eq(0)

    walk = Walk(counter.load, counter.step, counter.moving, counter.last, counter.zero, {name: unit.instr[name] for name, _ in unit.instr.shape()})
    if late:  # the counter walks a cycle ahead of the addresses
        names = Walk._fields[:-1]
        walk = Walk(*(Signal(len(getattr(walk, name)), name=f"{name}_late", reset_less=name not in ("load", "step")) for name in names), held)
        m.d.sync += [getattr(walk, name).eq(getattr(counter, name)) for name in names]
        step = Signal(name="step_there")
        m.d.comb += step.eq(walk.step & ~halt)
        issuing = issuing | walk.step
    common = {"held": held, "walk": walk}
    # Wide enough for any origin, steps and counts: coordinates do not wrap.
    coordinates = {}
    for axis, levels in (("y", (2, 4)), ("x", (3, 5))):
        extra = max(len(unit.instr[f"n_{level}"]) + len(held[f"{axis}_step_{level}"]) for level in levels) + 2
        coordinates[axis] = _stream(m, axis, levels, name="step", origin="origin", extra_bits=extra, **common)
    inside = Signal()

    def field(name: str) -> Value:
        """A field of the instruction whose iteration is addressed."""
        return pipeline.of(name, 0)

    # Unsigned: a negative coordinate is beyond any bound.
    m.d.comb += inside.eq((coordinates["y"] < field("y_bound")) & (coordinates["x"] < field("x_bound")))

    fresh = Signal()
    m.d.sync += fresh.eq(walk.load)
    plain: Value = Const(1, 1)
    if unit.has("reduce"):
        plain = field("reduce") == REDUCE_NONE
        pipeline.carry("restart", plain | (walk.zero[4] & walk.zero[5]))
    pipeline.start(valid=step, fresh=fresh, emit=plain | walk.last[4] if unit.has("reduce") else plain)
    pipeline.carry("inside", inside)
    pipeline.carry("last", walk.last[0])
    if unit.has_parameters:
        pipeline.carry("p_address", _stream(m, "p", (0, 1), **common))
    pipeline.carry("y_address", _stream(m, "y", range(LEVELS), **common))

    beyond = []
    for prefix, ports, enable in (("a", unit.a_ports, step & inside), ("b", unit.b_ports, step & field("b_enable"))):
        if ports:
            address = _stream(m, prefix, range(LEVELS), **common)
            if prefix == "a" and unit.broadcasts:
                # Elements while an element is broadcast: the low bits are its place in the word. Else words, and nothing above their bits.
                bits = (unit.lanes - 1).bit_length()
                pipeline.carry("a_lane", address[:bits])
                address = Mux(field("broadcast"), address[bits:], address[:len(address) - bits])
            for number, port in enumerate(ports):
                beyond.append((drive_port(m, port, enable=enable & (field(f"{prefix}_select") == number), address=address), address))
    return issuing, beyond


def source_words(pipeline: Pipeline, ports: Sequence, sources: Sequence[VectorSource], select: str, *, at: int, enable: str) -> list[Value]:
    """Port words of the sources, each as of the iteration in stage ``at``: faster memories wait in registers."""
    words = []
    for number, (port, source) in enumerate(zip(ports, sources, strict=True)):
        word: Value = port.data
        for stage in range(source.read_latency_cycles, at):
            chosen = (pipeline.of(select, stage) == number) & _enabled(pipeline, enable, stage)
            word = pipeline.register(stage + 1, {f"{select}_{number}_waiting": word}, when=chosen)[f"{select}_{number}_waiting"]
        words.append(word)
    return words


def _enabled(pipeline: Pipeline, name: str, stage: int) -> Value:
    return pipeline.carried(name, stage) if name == "inside" else pipeline.of(name, stage)


def broadcast_words(m: Module, pipeline: Pipeline, words: Sequence[Value], sources: Sequence[VectorSource], *, lanes: int, stage: int) -> list[Value]:
    """Words of the sources, each with the element that the iteration in ``stage`` names in all lanes while one is broadcast."""
    result: list[Value] = []
    for number, (word, source) in enumerate(zip(words, sources, strict=True)):
        chosen = [word.word_select(lane, source.element_bits) for lane in range(lanes)]
        for bit in pipeline.carried("a_lane", stage):
            chosen = [Mux(bit, odd, even) for even, odd in zip(chosen[::2], chosen[1::2], strict=True)]
        element = Signal(source.element_bits, name=f"element_{number}")
        seen = Signal(len(word), name=f"seen_{number}")
        m.d.comb += [element.eq(chosen[0]), seen.eq(Mux(pipeline.of("broadcast", stage), element.replicate(lanes), word))]
        result.append(seen)
    return result


def lane_integer(words: Sequence[Value], sources: Sequence[VectorSource], lane: int, *, select: Value, is_signed: Value,
                 zero: Value) -> Value:
    """Integer of a lane from the selected source: 8-bit elements by signedness less zero point, int32 as they are."""
    values = []
    for word, source in zip(words, sources, strict=True):
        bits = source.element_bits
        element = word[lane * bits:(lane + 1) * bits]
        if bits == 8:
            element = Cat(element, element[7] & is_signed).as_signed() - zero
            values.append(element[:10].as_signed())
        else:
            values.append(element.as_signed())
    chosen = values[-1]
    for number in reversed(range(len(values) - 1)):
        chosen = Mux(select == number, values[number], chosen)
    width = max(len(value) for value in values)
    return chosen[:width].as_signed() if len(chosen) > width else chosen


def operand_shape(sources: Sequence[VectorSource]):
    """Shape of an operand: 10 bits hold any 8-bit value less any zero point."""
    return signed(max([32 if source.element_bits == 32 else 10 for source in sources], default=10))
