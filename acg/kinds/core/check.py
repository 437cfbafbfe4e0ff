"""What loaders refuse of a kernel: packets that do not exist, streams that the instruction lacks, registers read before they are written, and two slots
that write the same bytes in one cycle.

Registers hold whatever the last instruction left, so all of them count as not written at the start. Loops are walked as the machine runs them, with what
only repeats left out: from the eighth iteration on every stage is on, and what has been written stays written.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from acg.errors import InstructionError
from acg.kinds.core.operations import SLOT_OPERATIONS, patterns
from acg.kinds.core.packets import STAGE_BITS, Core, Op, PacketFormat, packet_format

__all__ = ["Loops", "kernel_fault"]

#: Found and expected.
Fault = tuple[str, str]
Fields = Mapping[str, int]


class Loops(NamedTuple):
    """How often each part of a kernel runs."""

    prologue_packets: int
    prologue_count: int
    head_packets: int
    body_packets: int
    body_count: int
    tiles: int
    drain_packets: int
    iterations: int

    def shorter(self, latency: int) -> "Loops":
        """The loops without what only repeats: of each kind of turn as many as stages and results on their way can tell apart. Where iterations end
        before the tiles do, more is on here than there."""
        stages = 1 << STAGE_BITS
        body_count = min(self.body_count, stages + 2 + -(-latency // self.body_packets))
        tiles = min(self.tiles, 2 + -(-(latency + (stages + 2) * self.body_packets) // (self.head_packets + body_count * self.body_packets)))
        counts = [(tiles_ * (self.head_packets + count * self.body_packets)) // self.body_packets
                  for tiles_, count in ((self.tiles, self.body_count), (tiles, body_count))]
        iterations = max(self.iterations - counts[0] + counts[1], min(self.iterations, counts[1]))
        prologue = min(self.prologue_count, stages + 2 + -(-latency // max(1, self.prologue_packets)))
        drain = min(self.drain_packets, self.head_packets + stages * self.body_packets + latency)
        return self._replace(prologue_count=prologue, body_count=body_count, tiles=tiles, iterations=iterations, drain_packets=drain)

    def packets(self) -> Iterator[tuple[int, int, int, bool]]:
        """Of each packet in order its place in the kernel, its iteration, the number of iterations, and whether the second tile has begun."""
        for turn in range(self.prologue_count):
            for place in range(self.prologue_packets):
                yield place, turn, self.prologue_count, False
        number, head, body = 0, self.prologue_packets, self.prologue_packets + self.head_packets
        for tile in range(self.tiles):
            for offset in range(self.head_packets + self.body_count * self.body_packets):
                place = head + offset if offset < self.head_packets else body + (offset - self.head_packets) % self.body_packets
                yield place, number // self.body_packets, self.iterations, tile > 0
                number += 1
        for offset in range(self.drain_packets):
            place = head + offset if offset < self.head_packets else body + (offset - self.head_packets) % self.body_packets
            yield place, number // self.body_packets, self.iterations, True
            number += 1


class _Action(NamedTuple):
    """What an operation of a packet does to registers: (register, granules) read at issue, added to, and written, as masks of granules."""

    slot: str
    op: Op
    latency: int
    reads: tuple[tuple[int, int], ...]
    adds: int
    writes: tuple[int, int] | None


class _Sizes:
    """Granules of a vector, and masks of them."""

    def __init__(self, core: Core):
        self.granule = int(core.sizes["granule_bytes"])
        self.count = int(core.sizes["vector_bytes"]) // self.granule
        self.quarter = self.count // 4
        self.all = (1 << self.count) - 1
        self.patterns = patterns(core.sizes)

    def of_quarter(self, number: int) -> int:
        return ((1 << self.quarter) - 1) << number * self.quarter

    def of_word(self, number: int) -> int:
        return 1 << number * 4 // self.granule

    def reads(self, op: Op, moved: int) -> Iterator[tuple[int, int]]:
        """Registers that an operation reads when it is issued, with the granules that count. ``moved``: granules of the stream of a store."""
        fields = op.fields
        if op.name == "STV":
            yield fields["a"], ((1 << moved) - 1) << fields["first"]
            return
        if op.name == "REQB":
            yield fields["a"], self.of_quarter(fields["qa"])
            if fields["op"]:
                yield fields["b"], self.of_quarter(fields["qb"])
            return
        for name in SLOT_OPERATIONS[op.name].reads:
            needs = self.all
            if name == "a" and op.name in ("DOT", "DOTH"):
                words = self.count * self.granule // 4
                needs = self.of_word(fields["k"]) | (self.of_word((fields["k"] + words // 2) % words) if op.name == "DOTH" else 0)
            elif name == "a" and op.name == "LMAC":
                needs = self.of_quarter(fields["k"])
            elif name == "b" and op.name == "PERM" and self.patterns[fields["pattern"]].startswith(("rotate", "spread")):
                continue
            yield fields[name], needs

    def written(self, op: Op) -> tuple[int, int] | None:
        """The register that an operation writes and the granules of it."""
        if not SLOT_OPERATIONS[op.name].writes:
            return None
        if "quarter" not in op.fields:
            return op.fields["d"], self.all
        number = op.fields["quarter"]
        if op.fields.get("pack", 1):
            return op.fields["d"], self.of_quarter(number)
        return op.fields["d"], sum(1 << number + 4 * group for group in range(self.quarter))


def _actions(core: Core, form: PacketFormat, sizes: _Sizes, code: bytes, first: int, streams: Mapping[str, int]) -> list[list[_Action]] | Fault:
    """What each packet does; or why one of them cannot be. ``streams``: granules by name of those that the instruction enables."""
    latencies, result = core.tables["latency_cycles"], []
    for place in range(len(code) // form.size_bytes):
        here = f"packet {first + place}"
        try:
            packet = form.decode(code[place * form.size_bytes : (place + 1) * form.size_bytes])
        except InstructionError as error:
            found, _, expected = str(error).removeprefix("packet, ").partition("; expected ")
            return f"{here}, {found}", expected
        actions = []
        for slot, op in packet.items():
            moves = {"load": "in", "store": "out"}.get(SLOT_OPERATIONS[op.name].moves)
            moved = streams.get(f"{moves}{op.fields['s']}", 0) if moves else 0
            if moves and not moved:
                return f"{here}, slot {slot}: {op.name} of stream {moves}{op.fields['s']}, which is not enabled", "streams that the instruction enables"
            if op.name == "STV" and op.fields["first"] + moved > sizes.count:
                return (f"{here}, slot {slot}: granules {op.fields['first']} to {op.fields['first'] + moved - 1} of a register",
                        f"less than {sizes.count}")
            latency = latencies[slot]
            assert isinstance(latency, int)
            adds = SLOT_OPERATIONS[op.name].adds
            actions.append(_Action(slot, op, latency, tuple(sizes.reads(op, moved)), op.fields[adds] if adds else -1, sizes.written(op)))
        result.append(actions)
    return result


class _Walk:
    """Registers written so far, as masks of granules, and what is on its way."""

    def __init__(self, registers: int, everything: int):
        self.written, self._all = [0] * registers, everything
        self._landing: dict[int, list[_Action]] = {}

    def step(self, cycle: int) -> Fault | None:
        """Land what is written at the end of the cycle before this one."""
        landing = self._landing.pop(cycle - 1, None)
        if landing is None:
            return None
        taken: dict[int, int] = {}
        for action in landing:
            if action.adds >= 0 and self.written[action.adds] != self._all:
                return f"slot {action.slot}: {action.op.name} adds to register {action.adds} before it is written", "a write that has landed"
            if action.writes is not None:
                register, mask = action.writes
                if taken.get(register, 0) & mask:
                    return f"two slots that write register {register} in one cycle, the later {action.slot}", "writes of a register in different cycles"
                taken[register] = taken.get(register, 0) | mask
        for register, mask in taken.items():
            self.written[register] |= mask
        return None

    def issue(self, action: _Action, cycle: int) -> Fault | None:
        """Issue an operation."""
        for register, needs in action.reads:
            if needs & ~self.written[register]:
                return f"slot {action.slot}: {action.op.name} reads register {register} before it is written", "a write that has landed"
        if action.writes is not None:
            self._landing.setdefault(cycle + action.latency - 1, []).append(action)
        return None


def kernel_fault(core: Core, fields: Fields, code: bytes) -> Fault | None:
    """What is wrong with a kernel as an instruction runs it, and what was expected instead; None where nothing is.

    Parameters
    ----------
    core : Core
        Engine of the graph.
    fields : Mapping[str, int]
        Every field of the instruction.
    code : bytes
        Its packets: prologue, head, body.
    """
    loops = Loops(*(fields[name] for name in Loops._fields))
    streams = []
    for direction, size in (("in", "in_streams"), ("out", "out_streams")):
        for number in range(int(core.sizes[size])):
            name = f"{direction}{number}"
            if fields[f"{name}_enable"]:
                streams.append((name, fields[f"{name}_granules"]))
    longest = max(value for value in core.tables["latency_cycles"].values() if isinstance(value, int))
    key = tuple(core.sizes.items()), tuple((name, tuple(table.items())) for name, table in core.tables.items())
    return _fault(_Key(core, key), loops.shorter(longest), tuple(streams), fields["code_base"], code)


class _Key:
    """A core, equal to others of the same numbers."""

    def __init__(self, core: Core, key: tuple):
        self.core, self._key = core, key

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)


@lru_cache(maxsize=4096)
def _fault(key: _Key, loops: Loops, streams: tuple[tuple[str, int], ...], first: int, code: bytes) -> Fault | None:
    core, sizes = key.core, _Sizes(key.core)
    actions = _actions(core, packet_format(core), sizes, code, first, dict(streams))
    if isinstance(actions, tuple):
        return actions
    walk, order = _Walk(int(core.sizes["registers"]), sizes.all), {name: number for number, name in enumerate(core.tables["slots"])}
    cycle = 0
    for cycle, (place, iteration, last, late) in enumerate(loops.packets()):
        fault = walk.step(cycle)
        for action in sorted(actions[place], key=lambda action: order[action.slot]) if fault is None else ():
            if 0 <= iteration - action.op.stage < last and (late or not action.op.late):
                fault = fault or walk.issue(action, cycle)
        if fault is not None:
            return f"packet {first + place}, {fault[0]}", fault[1]
    for later in range(cycle + 1, cycle + 1 + max(action.latency for packet in actions for action in packet) if any(actions) else 0):
        fault = walk.step(later)
        if fault is not None:
            return f"behind the last packet, {fault[0]}", fault[1]
    return None
