"""The accelerator of a graph: the one place of the generator that walks it."""

from dataclasses import dataclass
from functools import partial, reduce
from operator import or_

from amaranth.hdl import Array, Cat, Const, Module, Mux, ResetInserter
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Out
from amaranth.utils import exact_log2

from acg.fingerprint import fingerprint
from acg.graph import Engine, Graph, Link
from acg.isa import InstructionSet
from acg.register_bits import ControlBit, StatusBit
from acg.regmap import ErrorCode, RegisterMap
from acg.rules import limits
from hwgen.bus.axi import AXI4Lite, AXI4Read, AXI4Write
from hwgen.bus.wires import FlatBus
from hwgen.control.dispatch import Dispatch
from hwgen.control.fetch import Fetch
from hwgen.control.issue import Issue, wait_layout
from hwgen.control.progress import Progress
from hwgen.control.queue import Queue
from hwgen.control.registers import Control, ControlRegister
from hwgen.control.sequencer import Sequencer
from hwgen.memory.banked import PortWidths
from hwgen.memory.columns import ColumnScratchpad
from hwgen.memory.scratchpad import Scratchpad
from hwgen.units.builders import builder_of
from hwgen.units.socket import PortSocket, Socket

from .layout import body_layout

__all__ = ["Accelerator"]

#: Registers whose value is fixed by the graph.
_CONSTANTS = ("ID", "VERSION", "FINGERPRINT_LO", "FINGERPRINT_HI")


@dataclass(frozen=True)
class _Use:
    """A unit's port on an on-chip memory. ``byte_masked`` writers enable bytes, others write whole port words. ``words``: of an access, from any on."""

    memory: str
    port: wiring.PureInterface
    reads: bool
    byte_masked: bool = False
    words: int = 1

    @property
    def shape(self) -> PortWidths:
        """Of the port at its memory."""
        return PortWidths(len(self.port.data), len(self.port.addr), self.byte_masked, unaligned=self.words > 1)


@dataclass(frozen=True)
class _Unit:
    """The hardware of an engine and what it is to be connected to; ``tables``: memories that stand within it, and the ports that write them."""

    name: str
    component: wiring.Component
    uses: tuple[_Use, ...]
    tables: tuple[tuple[str, wiring.PureInterface], ...]
    axi: wiring.PureInterface | None = None


def _buses(graph: Graph) -> tuple[FlatBus, dict[str, FlatBus]]:
    """The host's bus, and the AXI masters by "fetch" and by engine name."""
    external = graph.external
    read = AXI4Read(addr_bits=external.address_bits, data_bits=external.bus_bits)
    write = AXI4Write(addr_bits=external.address_bits, data_bits=external.bus_bits)
    masters = {"fetch": FlatBus("m_axi_fetch", read)}
    for engine in graph.engines.values():
        for port in engine.specification.ports:
            if port.memories == ("external",):
                masters[engine.name] = FlatBus(f"m_axi_{engine.name}", read if port.reads else write)
    return FlatBus("s_axil", AXI4Lite(addr_bits=exact_log2(RegisterMap(graph).size_bytes)).flip()), masters


def top_members(graph: Graph) -> dict[str, wiring.Member]:
    """Ports of the accelerator of a graph by name; clock and reset come on top."""
    host, masters = _buses(graph)
    members: dict[str, wiring.Member] = {}
    for bus in (host, *masters.values()):
        members |= bus.members()
    engines = len(graph.engines)
    return members | {
        "irq": Out(1),
        "running": Out(1),
        "trace_start": Out(engines),
        "trace_retire": Out(engines),
        "trace_dispatch": Out(1),
        "trace_dispatch_engine": Out(8),
    }


class Accelerator(wiring.Component):
    """The whole machine.

    Parameters
    ----------
    graph : acg.graph.Graph
        A checked graph of the queued discipline.

    Ports
    -----
    s_axil_* : AXI4-Lite slave
        Registers of acg.regmap.
    m_axi_fetch_*, m_axi_<engine>_* : AXI4 masters
        Reading for instruction fetch and load engines, writing for store engines. One transaction ID, hence no ID signals.
    irq : Out(1)
        Level; a run has ended, well or not.
    running : Out(1)
        The cycles that the cycle counter counts; the first is cycle 0.
    trace_start, trace_retire : Out(engines)
        One bit an engine, pulses. Simulation and logic analysers only.
    trace_dispatch, trace_dispatch_engine : Out(1), Out(8)
        An instruction enters the queue of this engine (index).

    Raises
    ------
    ValueError
        For a table memory that several engines write.
    KindError
        A package's builder of a kind cannot be used.
    """

    def __init__(self, graph: Graph):
        self.graph = graph
        self.isa = InstructionSet(graph)
        self.registers = RegisterMap(graph)
        self._builders = {engine.kind: builder_of(engine.kind) for engine in graph.engines.values()}
        self._host, self._buses = _buses(graph)
        super().__init__(top_members(graph))

    @property
    def parity(self) -> int:
        """XOR of the halfwords of every instruction made for this graph."""
        low = fingerprint(self.graph) & 0xFFFF
        return sum(1 << bit for bit in range(16) if self.isa.halfword_xor(1 << bit) & low)

    def elaborate(self, platform):
        m = Module()
        graph, isa, external = self.graph, self.isa, self.graph.external
        engines = list(graph.engines.values())
        names = [engine.name for engine in engines]

        sequencer = Sequencer(
            fingerprint=fingerprint(graph), external_bytes=external.size_bytes, instruction_bytes=isa.instruction_bytes,
            sources=1 + len(engines) + len({link.memory for link in graph.links if graph.memories[link.memory].kind == "scratchpad"}),
            code_fingerprint=ErrorCode.FINGERPRINT, code_external=ErrorCode.EXTERNAL, code_watchdog=ErrorCode.WATCHDOG)
        fetch = Fetch(
            addr_bits=external.address_bits, data_bits=external.bus_bits, instruction_bits=isa.instruction_bits,
            outstanding_bursts=graph.control.fetch_outstanding_bursts)
        dispatch = Dispatch(
            instruction_bits=isa.instruction_bits, engine_lsb=next(item.lsb for item in isa.header if item.name == "engine"),
            engines=len(engines), parity=self.parity, code_check=ErrorCode.CHECK,
            code_illegal=ErrorCode.ILLEGAL, code_bus=ErrorCode.BUS)
        progress = Progress(engines=len(engines))
        control = Control(registers=self._register_shapes(), addr_bits=exact_log2(self.registers.size_bytes))
        m.submodules.control, m.submodules.sequencer, m.submodules.progress = control, sequencer, progress
        clear = sequencer.clear
        m.submodules.fetch = ResetInserter(clear)(fetch)
        m.submodules.dispatch = dispatch

        units = [self._unit(engine) for engine in engines]
        queues = []
        for index, (name, unit) in enumerate(zip(names, units, strict=True)):
            m.submodules[f"engine_{name}"] = ResetInserter(clear)(unit.component)
            queues.append(self._queue(m, index, unit, dispatch=dispatch, progress=progress, sequencer=sequencer))
        pads, moving = self._memories(m, units)
        self._errors(m, sequencer, dispatch, units, pads)
        self._host_side(m, control, sequencer, progress)

        handshakes = [self._buses["fetch"].attach(m, self, fetch.axi)]
        handshakes += [self._buses[name].attach(m, self, unit.axi) for name, unit in zip(names, units, strict=True) if unit.axi is not None]
        m.d.comb += [
            fetch.load.eq(sequencer.begin),
            fetch.address.eq(sequencer.program_address),
            fetch.count.eq(sequencer.program_count),
            fetch.halt.eq(sequencer.halt),
            fetch.ready.eq(dispatch.ready),
            *[getattr(dispatch, name).eq(getattr(fetch, name)) for name in ("valid", "instruction", "parity", "bus_error")],
            dispatch.enable.eq(sequencer.running),
            dispatch.clear.eq(sequencer.begin | clear),
            dispatch.queue_ready.eq(Cat(queue.i.ready for queue in queues)),
            progress.clear.eq(sequencer.begin | clear),
            progress.retire.eq(Cat(unit.component.retire for unit in units)),
            sequencer.all_idle.eq(fetch.idle & Cat(unit.component.idle for unit in units).all()),
            sequencer.finished.eq((dispatch.count == sequencer.program_count) & ~Cat(queue.o.valid for queue in queues).any()
                                  & progress.quiet),
            sequencer.activity.eq(dispatch.dispatched | progress.start.any() | progress.retire.any() | reduce(or_, handshakes)
                                  | Cat(moving).any()),
            self.running.eq(sequencer.running),
            self.trace_start.eq(progress.start),
            self.trace_retire.eq(progress.retire),
            self.trace_dispatch.eq(dispatch.dispatched),
            self.trace_dispatch_engine.eq(dispatch.engine),
        ]
        return m

    def _body(self, engine: str) -> data.FlexibleLayout:
        layout = self.isa.formats[engine]
        fields = [(field.name, field.width, field.lsb - layout.body_lsb, field.signed) for field in layout.fields]
        return body_layout(fields, size_bits=layout.body_bits)

    def _unit(self, engine: Engine) -> _Unit:
        """The hardware of an engine: its kind's builder is told the numbers of its place."""
        graph, external = self.graph, self.graph.external
        on_chip = [port for port in engine.ports if port.memories != ("external",)]
        links = {port.name: graph.links_of(engine.name, port.name) for port in on_chip}
        plug = self._builders[engine.kind](Socket(
            sizes=engine.sizes, tables=engine.tables, registers=engine.registers, operations=engine.operations, body=self._body(engine.name),
            ports={port.name: tuple(self._port(link, port.built_in) for link in links[port.name]) for port in on_chip},
            bus_bits=external.bus_bits, bus_address_bits=external.address_bits, external_bytes=external.size_bytes,
            chunk_bytes=graph.chunk_bytes(engine.name), codes={code.name: code for code in ErrorCode},
            limits=tuple((bound.fields, bound.number, bound.others) for bound in limits(graph)[engine.name])))
        uses, tables = [], []
        for port in on_chip:
            for link, interface in zip(links[port.name], plug.ports[port.name], strict=True):
                if port.built_in:
                    tables.append((link.memory, interface))
                else:
                    uses.append(_Use(link.memory, interface, port.reads, port.masked, link.words))
        return _Unit(engine.name, plug.component, tuple(uses), tuple(tables), plug.axi)

    def _port(self, link: Link, built_in: bool) -> PortSocket:
        memory = self.graph.memories[link.memory]
        return PortSocket(
            element_bits=link.element.bits, address_bits=max(1, (memory.size_bytes // link.port_bytes - 1).bit_length()),
            read_latency_cycles=memory.read_latency_cycles, banks=memory.banks,
            write_bytes=self._table_writer(memory.name).port_bytes if built_in else 0, words=link.words)

    def _table_writer(self, memory: str) -> Link:
        """The only link that writes a table memory."""
        links = [link for link in self.graph.links if link.memory == memory and not link.reads]
        if len(links) != 1:
            raise ValueError(f"Accelerator: {len(links)} engines write table memory {memory!r}; expected one load engine, change the links")
        return links[0]

    def _queue(self, m: Module, index: int, unit: _Unit, *, dispatch: Dispatch, progress: Progress, sequencer: Sequencer) -> Queue:
        """Queue and start logic of one engine; the queue holds the waits and the body that this engine needs."""
        engines, name = len(self.graph.engines), unit.name
        body = self._body(name)
        entry = data.StructLayout({"waits": wait_layout(engines), "body": body})
        queue = Queue(shape=entry, depth=self.graph.control.queue_depth)
        issue = Issue(engines=engines)
        m.submodules[f"queue_{name}"] = ResetInserter(sequencer.clear)(queue)
        m.submodules[f"issue_{name}"] = issue

        header = {field.name: field for field in self.isa.header}
        instruction = dispatch.instruction
        first = self.isa.formats[name].body_lsb
        m.d.comb += [queue.i.valid.eq(dispatch.queue_valid[index]), queue.i.payload.body.eq(instruction[first:first + body.size])]
        for other in range(engines):
            on, count = header[f"wait_on_{other}"], header[f"wait_count_{other}"]
            m.d.comb += [
                queue.i.payload.waits[other].on.eq(instruction[on.lsb]),
                queue.i.payload.waits[other].count.eq(instruction[count.lsb:count.lsb + count.width]),
                issue.retired[other].eq(progress.retired[other]),
            ]
        component = unit.component
        m.d.comb += [
            issue.valid.eq(queue.o.valid),
            issue.waits.eq(queue.o.payload.waits),
            issue.ready.eq(component.ready),
            issue.enable.eq(sequencer.running),
            queue.o.ready.eq(issue.start),
            component.start.eq(issue.start),
            component.instr.eq(queue.o.payload.body),
            component.halt.eq(sequencer.halt),
            progress.start[index].eq(issue.start),
            progress.stalled[index].eq(issue.stalled),
        ]
        return queue

    def _memories(self, m: Module, units: list[_Unit]) -> tuple[list, list]:
        """Scratchpads with all their requesters. Returns (scratchpad, engine number of each of its ports) pairs, and all enables."""
        pads, moving = [], []
        for memory in self.graph.memories.values():
            users = [(number, use) for number, unit in enumerate(units, start=1) for use in unit.uses if use.memory == memory.name]
            readers = [(number, use) for number, use in users if use.reads]
            writers = [(number, use) for number, use in users if not use.reads]
            moving += [use.port.en for _, use in users]
            if memory.kind == "table":
                # The tables themselves are in the units that look them up, each unit with its own copies.
                for table in (interface for unit in units for name, interface in unit.tables if name == memory.name):
                    (_, writer), = writers
                    for signal in ("en", "addr", "data", "mask"):
                        m.d.comb += getattr(table, signal).eq(getattr(writer.port, signal))
            if memory.kind != "scratchpad" or not users:  # what nothing reaches is not built
                continue
            # Unaligned accesses begin at any of their own words, of which one of the memory may be several.
            widest = max(len(use.port.data) for _, use in users)
            word_bits = min([8 * memory.word_bytes, *(len(use.port.data) // use.words for _, use in users if use.words > 1)])
            build = partial(ColumnScratchpad, columns=widest // word_bits) if any(use.words > 1 for _, use in users) else Scratchpad
            pad = build(banks=memory.banks, depth_words=memory.bank_bytes * 8 // word_bits, word_bits=word_bits, read_latency_cycles=memory.read_latency_cycles,
                        readers=[use.shape for _, use in readers], writers=[use.shape for _, use in writers])
            m.submodules[f"memory_{memory.name}"] = pad
            for port, (_, use) in zip([*pad.read_ports, *pad.write_ports], [*readers, *writers], strict=True):
                wiring.connect(m, use.port, port)
            pads.append((pad, [number for number, _ in readers + writers]))
        return pads, moving

    def _errors(self, m: Module, sequencer: Sequencer, dispatch: Dispatch, units: list[_Unit], pads: list) -> None:
        sources = [(dispatch.error, dispatch.error_code, dispatch.error_engine, dispatch.count)]
        for number, unit in enumerate(units, start=1):
            component = unit.component
            sources.append((component.error, component.error_code, Const(number, 8), component.error_address))
        for pad, numbers in pads:
            code = Mux(pad.address_error, ErrorCode.ADDRESS, ErrorCode.CONFLICT)
            sources.append((pad.conflict | pad.address_error, code, Array(numbers)[pad.error_port], pad.error_address))
        for record, (valid, code, number, address) in zip(sequencer.errors, sources, strict=True):
            m.d.comb += [record.valid.eq(valid), record.code.eq(code), record.engine.eq(number), record.address.eq(address)]

    def _register_shapes(self) -> list[ControlRegister]:
        shapes = []
        for register in self.registers.registers:
            access = "constant" if register.name in _CONSTANTS else register.access
            pulses = (ControlBit.START | ControlBit.SOFT_RESET).value if register.name == "CONTROL" else 0
            shapes.append(ControlRegister(register.name, register.offset_bytes, access, register.reset, pulses))
        return shapes

    def _host_side(self, m: Module, control: Control, sequencer: Sequencer, progress: Progress) -> None:
        self._host.attach(m, self, control.axil)
        m.d.comb += [
            *(getattr(sequencer, bit.name.lower()).eq(control.control[bit.bit_length() - 1]) for bit in ControlBit),
            sequencer.program_fingerprint.eq(Cat(control.program_fingerprint_lo, control.program_fingerprint_hi)),
            sequencer.program_address.eq(Cat(control.program_address_lo, control.program_address_hi)),
            sequencer.program_count.eq(control.program_count),
            sequencer.watchdog_cycles.eq(control.watchdog_cycles),
            control.status.eq(Cat(getattr(sequencer, bit.name.lower()) for bit in StatusBit)),
            control.error_code.eq(sequencer.error_code),
            control.error_engine.eq(sequencer.error_engine),
            control.error_address.eq(sequencer.error_address),
            Cat(control.cycles_lo, control.cycles_hi).eq(sequencer.cycles),
            self.irq.eq(sequencer.irq),
        ]
        for index in range(len(self.graph.engines)):
            for counter in ("retired", "busy", "stall"):
                m.d.comb += getattr(control, f"{counter}_{index}").eq(getattr(progress, counter)[index])
