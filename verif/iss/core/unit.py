"""A core, packet by packet: one a cycle, results written when their slot's latency has passed.

A packet issued in cycle t reads registers as the writes of cycles before t left them; an operation of latency n is written at the end of cycle
t + n - 1, and what it adds to is read in that very cycle. Of two slots that write one register in one cycle the later one stays.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, repeat
from typing import Any

import numpy as np

from acg.errors import InstructionError
from acg.kinds.core.operations import SLOT_OPERATIONS
from acg.kinds.core.packets import Op, PacketFormat
from acg.regmap import ErrorCode
from verif.iss.core import lanes
from verif.iss.core.streams import Stream
from verif.iss.errors import MachineError

__all__ = ["execute_core"]

Fields = Mapping[str, int]
#: An operation of a packet: from which iteration it is on, whether from the second tile on alone, and what issues it.
Issue = tuple[int, bool, Callable[[int], None]]

_FLOAT_PAIRS = ("FMUL", "FADD", "FSUB", "FMIN", "FMAX")


class _Slow:
    """Results of operations on floats, worked out together: many of a kind at once when the first of them is needed."""

    def __init__(self, work: Callable[[list[Any]], Iterable[np.ndarray]]):
        self._work = work
        self._operands: list[Any] = []
        self._places: list[list[np.ndarray]] = []

    def add(self, operands: Any) -> Callable[[], np.ndarray]:
        """Remember operands; the function that is returned gives their result."""
        place: list[np.ndarray] = []
        self._operands.append(operands)
        self._places.append(place)

        def result() -> np.ndarray:
            if not place:
                for one, value in zip(self._places, self._work(self._operands), strict=True):
                    one.append(value)
                self._operands, self._places = [], []
            return place[0]

        return result


class _Unit:
    """Registers and pipelines while one instruction runs."""

    def __init__(self, fields: Fields, sizes: Mapping[str, Any], ports: Mapping[str, Sequence[np.ndarray]]):
        self.fields = fields
        self.vector, self.granule = int(sizes["vector_bytes"]), int(sizes["granule_bytes"])
        self.quarter, self.granules = self.vector // 4, self.vector // self.granule
        self.form = PacketFormat(sizes, sizes)
        self.latency = {name: int(value) for name, value in sizes["latency_cycles"].items()}
        (self.code,) = ports["code"]
        self.table = ports["table"][0] if "table" in ports else None
        self.bytes = np.zeros((int(sizes["registers"]), self.vector), np.uint8)
        self.words = self.bytes.view(np.int32)
        self.numbers = lanes.Numbers(fields)
        self._products: dict[str, list[np.ndarray | None]] = {name: [None] * len(self.bytes) for name in "aw"}
        padding = fields.get("a_zero", 0) & 255
        self.inputs = [Stream(fields, f"in{i}", ports["load"], self.granules, padding) for i in range(int(sizes["in_streams"]))]
        self.outputs = [Stream(fields, f"out{i}", ports["store"], self.granules, padding) for i in range(int(sizes["out_streams"]))]
        #: By slot: cycle of the write, register, what it adds to (-1: nothing), bytes written (None: all), value or the function that gives it.
        self.pending: dict[str, deque[tuple[int, int, int, np.ndarray | None, Any]]] = {name: deque() for name in self.form.slots}
        self._slow: dict[tuple, _Slow] = {}
        self._issues: dict[int, list[Issue]] = {}

    # ---- time

    def run(self) -> None:
        """All packets, then what is on its way."""
        cycle = 0
        for address, iteration, last, late in self._packets():
            self._land(cycle)
            issues = self._issues.get(address)
            if issues is None:
                issues = self._issues[address] = self._decoded(address)
            for stage, needs_late, issue in issues:
                if 0 <= iteration - stage < last and (late or not needs_late):
                    issue(cycle)
            cycle += 1
        for later in range(cycle, cycle + max(self.latency.values())):
            self._land(later)

    def _packets(self) -> Iterator[tuple[int, int, int, bool]]:
        """Of each packet in order: its address, the iteration, the number of iterations, and whether the second tile has begun."""
        fields = self.fields
        prologue, head, body = fields["prologue_packets"], fields["head_packets"], fields["body_packets"]
        at = fields["code_base"]
        for turn in range(fields["prologue_count"]):
            for offset in range(prologue):
                yield at + offset, turn, fields["prologue_count"], False
        head_at, body_at, iterations = at + prologue, at + prologue + head, fields["iterations"]
        number = 0
        for tile in range(fields["tiles"]):
            for address in chain(range(head_at, body_at), *repeat(range(body_at, body_at + body), fields["body_count"])):
                yield address, number // body, iterations, tile > 0
                number += 1
        for offset in range(fields["drain_packets"]):
            address = head_at + offset if offset < head else body_at + (offset - head) % body
            yield address, number // body, iterations, True
            number += 1

    def _land(self, cycle: int) -> None:
        """Writes at the end of the cycle before ``cycle``: all addends are read before any of them."""
        landing = []
        for queue in self.pending.values():
            if queue and queue[0][0] == cycle - 1:
                _, register, addend, places, value = queue.popleft()
                if callable(value):
                    value = value()
                if addend >= 0:
                    value = self.words[addend] + value
                landing.append((register, places, value))
        for register, places, value in landing:
            if places is not None:
                self.bytes[register][places] = value
            elif value.dtype == np.int32:
                self.words[register] = value
            else:
                self.bytes[register] = value
            self._products["a"][register] = self._products["w"][register] = None

    # ---- packets

    def _decoded(self, address: int) -> list[Issue]:
        """What a packet issues. Raises MachineError for one that the machine answers with ILLEGAL."""
        if not 0 <= address < len(self.code):
            raise MachineError(ErrorCode.ADDRESS, address, f"core: packet {address}; code memory has {len(self.code)}")
        try:
            packet = self.form.decode(self.code[address].tobytes())
        except InstructionError as error:
            raise MachineError(ErrorCode.ILLEGAL, address, f"core: packet {address}: {error}") from None
        return [(op.stage, op.late, self._issue(slot, op, address)) for slot, op in packet.items()]

    def _issue(self, slot: str, op: Op, address: int) -> Callable[[int], None]:
        """The function that issues an operation in a cycle."""
        common = self._float_pair if op.name in _FLOAT_PAIRS else self._lanewise if SLOT_OPERATIONS[op.name].lanewise else self._dot
        make: Callable[[Op, int], Callable[[], Any]] = getattr(self, f"_{op.name.lower()}", common)
        work = make(op, address)
        if op.name == "STV":
            return lambda cycle: work()
        queue, latency, register = self.pending[slot], self.latency[slot], op.fields["d"]
        addend, places = op.fields.get("c", -1), self._places(op)
        return lambda cycle: queue.append((cycle + latency - 1, register, addend, places, work()))

    def _places(self, op: Op) -> np.ndarray | None:
        """Bytes of its register that an operation writes."""
        if "quarter" not in op.fields:
            return None
        return lanes.packed_places(op.fields["quarter"], op.fields.get("pack", 1), self.vector, self.granule)

    def _product(self, name: str, register: int) -> np.ndarray:
        """9-bit numbers of a register's bytes as an operand of products: float32 [V], exact."""
        known = self._products[name][register]
        if known is None:
            known = self._products[name][register] = self.numbers.product[name][self.bytes[register]]
        return known

    # ---- operations: each takes the packet's fields and gives what reads the registers and makes the value

    def _dot(self, op: Op, address: int) -> Callable[[], np.ndarray]:
        """DOT, DOTH and DOTV: sums of four products are exact in float32."""
        a, b, k = op.fields["a"], op.fields["b"], op.fields.get("k", 0)
        if op.name == "DOTV":
            return lambda: (self._product("a", a) * self._product("w", b)).reshape(-1, 4).sum(1).astype(np.int32)
        words, half = self.vector // 4, self.vector // 8
        if op.name == "DOT":
            return lambda: (self._product("w", b).reshape(-1, 4) @ self._product("a", a)[4 * k : 4 * k + 4]).astype(np.int32)
        upper = (k + half) % words

        def both() -> np.ndarray:
            weights, values = self._product("w", b).reshape(-1, 4), self._product("a", a)
            return np.concatenate([weights[:half] @ values[4 * k : 4 * k + 4], weights[half:] @ values[4 * upper : 4 * upper + 4]]).astype(np.int32)

        return both

    def _lmac(self, op: Op, address: int) -> Callable[[], np.ndarray]:
        a, b, low = op.fields["a"], op.fields["b"], op.fields["k"] * self.quarter
        return lambda: self._product("a", a)[low : low + self.quarter].astype(np.int32) * (((self.words[b] + 256) & 511) - 256)

    def _lanewise(self, op: Op, address: int) -> Callable[[], np.ndarray]:
        """What the table of operations says of each lane."""
        kind, function = SLOT_OPERATIONS[op.name].lanewise or ("", np.add)
        a, b = op.fields["a"], op.fields["b"]
        return lambda: function(self.bytes[a].view(kind), self.bytes[b].view(kind)).view(np.uint8)

    def _maxv(self, op: Op, address: int) -> Callable[[], np.ndarray]:
        a, b = op.fields["a"], op.fields["b"]
        if op.fields["form"]:
            return lambda: np.maximum(self.words[a], self.words[b])
        if self.numbers.a_signed:
            return lambda: np.maximum(self.bytes[a].view(np.int8), self.bytes[b].view(np.int8)).view(np.uint8)
        return lambda: np.maximum(self.bytes[a], self.bytes[b])

    def _perm(self, op: Op, address: int) -> Callable[[], np.ndarray]:
        a, b, taken = op.fields["a"], op.fields["b"], lanes.permutation(op.fields["pattern"], self.vector, self.granule)
        return lambda: np.concatenate([self.bytes[a], self.bytes[b]])[taken]

    def _stream(self, streams: Sequence[Stream], number: int, address: int) -> Stream:
        if not streams[number].enabled:
            raise MachineError(ErrorCode.ILLEGAL, address, f"core: packet {address} uses stream {number}; expected one that the instruction enables")
        return streams[number]

    def _ldv(self, op: Op, address: int) -> Callable[[], np.ndarray]:
        number = op.fields["s"]
        return lambda: self._stream(self.inputs, number, address).read()

    def _ldw(self, op: Op, address: int) -> Callable[[], np.ndarray]:
        number, taken = op.fields["s"], lanes.window_places(op.fields["step"] + 1, self.vector, self.granule)
        return lambda: self._stream(self.inputs, number, address).read()[taken]

    def _stv(self, op: Op, address: int) -> Callable[[], None]:
        number, a, first = op.fields["s"], op.fields["a"], op.fields["first"]

        def store() -> None:
            stream = self._stream(self.outputs, number, address)
            if first + stream.moved > self.granules:
                raise MachineError(ErrorCode.ILLEGAL, address, f"core: packet {address} stores granules {first} to {first + stream.moved - 1}; "
                                                               f"expected less than {self.granules}")
            stream.write(self.bytes[a].reshape(-1, self.granule)[first : first + stream.moved])

        return store

    # ---- floats

    def _together(self, key: tuple, work: Callable[[list[Any]], Iterable[np.ndarray]]) -> _Slow:
        return self._slow.setdefault(key, _Slow(work))

    def _req(self, op: Op, address: int) -> Callable[[], Callable[[], np.ndarray]]:
        a, b, form, prefix = op.fields["a"], op.fields["b"], op.fields["form"], f"q{op.fields['set']}"

        def all_of(taken: list[Any]) -> np.ndarray:
            values, scales, forms = (np.array(column) for column in zip(*taken, strict=True))
            return lanes.requantise(values, scales, forms.astype(bool), self.fields, prefix, self.table)

        slow = self._together(("REQ", prefix), all_of)
        return lambda: slow.add((self.words[a].copy(), self.words[b].copy(), form))

    def _reqb(self, op: Op, address: int) -> Callable[[], Callable[[], np.ndarray]]:
        a, b, how, prefix = op.fields["a"], op.fields["b"], op.fields["op"], f"q{op.fields['set']}"
        at, bt = (op.fields[name] * self.quarter for name in ("qa", "qb"))

        def all_of(taken: list[Any]) -> np.ndarray:
            one, two = (self.numbers.exact[name][np.array(column)] for name, column in zip("aw", zip(*taken, strict=True), strict=True))
            return lanes.requantise_pair(one, two, how, self.fields, prefix, self.table)

        slow = self._together(("REQB", prefix, how), all_of)
        return lambda: slow.add((self.bytes[a][at : at + self.quarter].copy(), self.bytes[b][bt : bt + self.quarter].copy()))

    def _one(self, op: Op, key: tuple, work: Callable[[np.ndarray], np.ndarray]) -> Callable[[], Callable[[], np.ndarray]]:
        a, slow = op.fields["a"], self._together(key, lambda taken: work(np.array(taken)))
        return lambda: slow.add(self.words[a].copy())

    def _cvt(self, op: Op, address: int) -> Callable[[], Callable[[], np.ndarray]]:
        return self._one(op, ("CVT",), lanes.convert)

    def _rnd(self, op: Op, address: int) -> Callable[[], Callable[[], np.ndarray]]:
        return self._one(op, ("RND",), lanes.round_lanes)

    def _resc(self, op: Op, address: int) -> Callable[[], Callable[[], np.ndarray]]:
        prefix = f"q{op.fields['set']}"
        return self._one(op, ("RESC", prefix), lambda values: lanes.rescale(values, self.fields, prefix))

    def _est(self, op: Op, address: int) -> Callable[[], Callable[[], np.ndarray]]:
        form = op.fields["form"]
        return self._one(op, ("EST", form), lambda values: lanes.estimate(values, form))

    def _float_pair(self, op: Op, address: int) -> Callable[[], Callable[[], np.ndarray]]:
        a, b, name = op.fields["a"], op.fields["b"], op.name

        def all_of(taken: list[Any]) -> np.ndarray:
            one, two = (np.array(column) for column in zip(*taken, strict=True))
            return lanes.float_pair(name, one, two)

        slow = self._together((name,), all_of)
        return lambda: slow.add((self.words[a].copy(), self.words[b].copy()))


def execute_core(fields: Fields, sizes: Mapping[str, Any], ports: Mapping[str, Sequence[np.ndarray]]) -> None:
    """Execute one instruction of a core on the memories behind its ports, in place.

    Parameters
    ----------
    fields
        Every field of the instruction, as `acg.isa` names them.
    sizes
        Of the engine, with its tables ``slots`` and ``latency_cycles``.
    ports
        ``code``: uint8 [packets, packet bytes]; ``load`` and ``store``: uint8 [words, granule bytes] in select order; ``table``: uint8 [banks * 256].
        Registers are zero at the start.

    Raises
    ------
    MachineError
        ILLEGAL with a packet's address, ADDRESS with that of the first granule of an access. Nothing has been written then.
    """
    before = [(memory, memory.copy()) for memory in ports["store"]]
    try:
        _Unit(fields, sizes, ports).run()
    except MachineError:
        for memory, kept in before:
            memory[:] = kept
        raise
