"""A program's timeline as a Perfetto trace (TrackEvent): open it in ui.perfetto.dev or with the package ``perfetto``. A nanosecond of its axis is a cycle.

    engines    a track each: a slice an instruction, from its start to its retire, with layer, tile, ONNX nodes, cause of its start and disassembly; arrows
               from an instruction to those that await its retire
    memories   a track for the read and one for the write port of each bank: who holds it
    counters   instructions in each queue; bytes copied by each engine that copies
"""

from collections.abc import Iterator, Sequence
from heapq import heappop, heappush

from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace, TracePacket, TrackEvent

from acg.causes import Binding, Spans, bindings, spans
from acg.causes.idle import steps_of
from acg.graph import Graph
from acg.isa import instruction_set
from acg.machine import machine_of
from acg.predictor import Timeline
from acg.text import printable
from compiler.program import Program

__all__ = ["perfetto_trace"]

#: All packets are of one sequence, which begins with the first of them.
_SEQUENCE = 1
_ENGINES, _MEMORIES, _COUNTERS = 1, 2, 3
_BEGIN, _END, _COUNTER = TrackEvent.TYPE_SLICE_BEGIN, TrackEvent.TYPE_SLICE_END, TrackEvent.TYPE_COUNTER
#: (cycle, order within it, packet): ends come before begins.
_Event = tuple[int, int, TracePacket]


class _Tracks:
    """Tracks of one name, as many as slices overlap: Perfetto shows them as one."""

    def __init__(self, trace: "_Writer", name: str, parent: int) -> None:
        self.trace, self.name, self.parent = trace, name, parent
        self._free: list[int] = []
        self._held: list[tuple[int, int]] = []

    def take(self, first: int, end: int) -> int:
        """A track on which nothing is during [first, end); asked for in the order of ``first``."""
        while self._held and self._held[0][0] <= first:
            heappush(self._free, heappop(self._held)[1])
        track = heappop(self._free) if self._free else self.trace.track(self.name, self.parent)
        heappush(self._held, (end, track))
        return track


class _Writer:
    def __init__(self, name: str) -> None:
        self.trace = Trace()
        self.events: list[_Event] = []
        self._uuid = 100
        first = self._descriptor(_ENGINES, f"{name}: engines", 0)
        first.sequence_flags = TracePacket.SEQ_INCREMENTAL_STATE_CLEARED
        self._descriptor(_MEMORIES, f"{name}: bank ports", 0)
        self._descriptor(_COUNTERS, f"{name}: counters", 0)

    def _descriptor(self, uuid: int, name: str, parent: int) -> TracePacket:
        packet = self.trace.packet.add()
        packet.trusted_packet_sequence_id = _SEQUENCE
        packet.track_descriptor.uuid, packet.track_descriptor.name = uuid, name
        if parent:
            packet.track_descriptor.parent_uuid = parent
        return packet

    def track(self, name: str, parent: int, *, counter: bool = False) -> int:
        """A new track."""
        self._uuid += 1
        packet = self._descriptor(self._uuid, name, parent)
        if counter:
            packet.track_descriptor.counter.SetInParent()
        return self._uuid

    def event(self, cycle: int, kind: int, track: int) -> TrackEvent:
        """A new event on a track."""
        packet = TracePacket()
        packet.timestamp, packet.trusted_packet_sequence_id = cycle, _SEQUENCE
        packet.track_event.type, packet.track_event.track_uuid = kind, track
        self.events.append((cycle, kind != _END, packet))
        return packet.track_event

    def slice(self, first: int, end: int, track: int, name: str) -> TrackEvent:
        """A slice [first, end); returns its beginning."""
        event = self.event(first, _BEGIN, track)
        event.name = name
        self.event(end, _END, track)
        return event

    def serialize(self) -> bytes:
        """The trace, its events in the order of time."""
        self.trace.packet.extend(packet for *_, packet in sorted(self.events, key=lambda event: event[:2]))
        return self.trace.SerializeToString(deterministic=True)


def perfetto_trace(graph: Graph, program: Program, timeline: Timeline) -> bytes:
    """The bytes of a Perfetto trace of ``program`` on ``graph``; the same for the same program."""
    found = spans(graph, program.instructions, timeline)
    bound = bindings(graph, program.instructions, timeline, found)
    writer = _Writer(printable(f"{program.name} on {graph.name}"))
    _engines(writer, graph, program, timeline, found, bound)
    _memories(writer, graph, program, found)
    _queues(writer, graph, timeline)
    _bytes(writer, graph, program, timeline)
    return writer.serialize()


def _engines(writer: _Writer, graph: Graph, program: Program, timeline: Timeline, found: Spans, bound: Sequence[Binding]) -> None:
    isa = instruction_set(graph)
    awaited = {binding.awaited for binding in bound}
    lanes = {engine.index: _Tracks(writer, engine.name, _ENGINES) for engine in graph.engines.values()}
    for number, instruction in enumerate(program.instructions):
        start, end = int(found.start[number]), int(found.retire[number]) + 1
        layer, tile = program.layer_of(number), program.provenance[number][1]
        event = writer.slice(start, end, lanes[int(found.engine[number])].take(start, end), printable(layer.name))
        notes = {
            "instruction": str(number), "operator": layer.label, "nodes": " + ".join(layer.origin), "tile": tile,
            "started by": str(bound[number].cause or "its engine"), "dispatch": str(int(timeline.dispatch[number])), "text": isa.disassemble(instruction),
        }
        for name, value in notes.items():
            note = event.debug_annotations.add()
            note.name, note.string_value = name, printable(value)
        if number in awaited:
            event.flow_ids.append(number + 1)
        if bound[number].awaited >= 0:
            event.terminating_flow_ids.append(bound[number].awaited + 1)


def _memories(writer: _Writer, graph: Graph, program: Program, found: Spans) -> None:
    footprints = machine_of(graph).footprints
    lanes: dict[tuple[str, int, bool], _Tracks] = {}
    for memory in graph.memories.values():
        for bank in range(memory.banks) if memory.kind != "external" else ():
            for write in (False, True):
                lanes[memory.name, bank, write] = _Tracks(writer, f"{memory.name} bank {bank} {'write' if write else 'read'}", _MEMORIES)
    for number, instruction in enumerate(program.instructions):
        start, end = int(found.start[number]), int(found.retire[number]) + 1
        for access in footprints(instruction):
            for bank in range(access.first_bank, access.last_bank + 1) if (access.memory, access.first_bank, access.write) in lanes else ():
                writer.slice(start, end, lanes[access.memory, bank, access.write].take(start, end), f"{instruction.engine}.{access.port}")


def _queues(writer: _Writer, graph: Graph, timeline: Timeline) -> None:
    for engine in graph.engines.values():
        mine = timeline.engine == engine.index
        track, waiting = writer.track(f"{engine.name}: queued instructions", _COUNTERS, counter=True), 0
        changes = sorted([(int(cycle), 1) for cycle in timeline.dispatch[mine]] + [(int(cycle), -1) for cycle in timeline.start[mine]])
        for cycle, value in _last_of_each(changes):
            waiting += value
            writer.event(cycle, _COUNTER, track).counter_value = waiting


def _last_of_each(changes: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The changes of a cycle as one."""
    total: dict[int, int] = {}
    for cycle, change in changes:
        total[cycle] = total.get(cycle, 0) + change
    yield from ((cycle, change) for cycle, change in total.items() if change)


def _bytes(writer: _Writer, graph: Graph, program: Program, timeline: Timeline) -> None:
    for engine in graph.engines.values():
        if not engine.copies:
            continue
        track, copied = writer.track(f"{engine.name}: bytes copied", _COUNTERS, counter=True), 0
        chunk = graph.chunk_bytes(engine.name)
        done = [(int(timeline.retire[n]), steps_of(graph, engine, program.instructions[n].fields) * chunk)
                for n in (timeline.engine == engine.index).nonzero()[0].tolist()]  # fmt: skip
        for cycle, size in sorted(done):
            copied += size
            writer.event(cycle, _COUNTER, track).counter_value = copied
