"""The list of what ``make formal`` proves, and of the faults that each proof must be able to refute."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType

import hwgen.control.dispatch
import hwgen.control.issue
import hwgen.control.progress
import hwgen.control.queue
import hwgen.control.registers
import hwgen.datapath.agu
import hwgen.datapath.float32
import hwgen.memory.banked
import hwgen.memory.columns
import hwgen.memory.scratchpad
import hwgen.units.copy.bursts
import hwgen.units.copy.store
import hwgen.units.core.decode
import hwgen.units.core.sequencer
from tests.formal import axi_bursts, control_port, core_decode, core_loops, float32_rounding, issue_waits, loop_sums, memory_conflicts, no_deadlock, queue_order
from tests.formal.bench import Bench, broken

__all__ = ["Fault", "Property", "properties"]


@dataclass(frozen=True)
class Fault:
    """A broken variant: ``build`` makes the bench of the broken block, refuted within ``depth`` cycles."""

    name: str
    build: Callable[[], Bench]
    depth: int


@dataclass(frozen=True)
class Property:
    """``method`` and ``depth`` as in :func:`tests.formal.engine.check`; ``quick``: proved in seconds, so also in ``make test``."""

    name: str
    claim: str
    method: str
    depth: int
    build: Callable[[], Bench]
    faults: tuple[Fault, ...] = ()
    quick: bool = True


def _fault(name: str, module: ModuleType, old: str, new: str, build: Callable[..., Bench], *, depth: int, user: ModuleType | None = None, **options) -> Fault:
    """A fault in the source of ``module``; the bench is built with the broken copy in its place, or with ``user`` on top of it, and with its claims only."""

    def variant() -> Bench:
        with broken(module, old, new, user=user) as copy:
            bench = build(copy, claims_only=True, **options)
            bench.rtlil()  # elaborate while the copy is there
            return bench

    return Fault(name, variant, depth)


def _queue() -> Iterator[Property]:
    faults = tuple(
        _fault(name, hwgen.control.queue, old, new, queue_order.bench, depth=10, **{"depth_entries": 3}) for name, old, new in (
            ("head stays at the last place", "self.depth - 1, 0, head + 1", "self.depth - 1, head, head + 1"),
            ("a put beside a get is not counted", "level + put - get", "level + (put & ~get) - get"),
            ("accepts when full", "level != self.depth)", "level != self.depth + 1)"),
        ))
    for depth in (2, 3, 8):
        yield Property(f"queue of {depth}", "no entry is lost, duplicated or reordered", "induction", 1,
                       lambda depth=depth: queue_order.bench(depth_entries=depth), faults if depth == 3 else ())


def _issue() -> Iterator[Property]:
    faults = (
        _fault("the distance's second highest bit decides", hwgen.control.issue, "distance[-1]", "distance[-2]", issue_waits.bench, depth=1, engines=2),
        _fault("the enable bit of a wait is ignored", hwgen.control.issue, "self.waits[index].on & distance", "distance", issue_waits.bench, depth=1, engines=2),
        Fault("an engine 2^15 ahead of the count", lambda: issue_waits.bench(engines=1, ahead=1 << 15), 1),
        Fault("a count more than 2^15 in the future", lambda: issue_waits.bench(engines=1, behind=(1 << 15) + 1), 1),
    )
    for engines in (1, 4, 8):
        yield Property(f"issue, {engines} engines", "starts exactly when every awaited count is reached, over the wrap", "all inputs", 1,
                       lambda engines=engines: issue_waits.bench(engines=engines), faults if engines == 4 else ())


def _narrow(**options) -> Bench:
    """The control with 4-bit counters, bounds scaled: their wrap is in reach of a bounded search."""
    with broken(hwgen.control.issue, "COUNTER_BITS = 16", "COUNTER_BITS = 4") as issue:
        bench = no_deadlock.bench(issue=issue, **options)
        bench.rtlil()
        return bench


def _control() -> Iterator[Property]:
    claim = "never deadlocks; no start before its waits"
    small = {"engines": 2, "depth": 2, "most_in_flight": 2, "claims_only": True}

    def fault(name: str, module: ModuleType, old: str, new: str, argument: str, depth: int) -> Fault:
        def variant() -> Bench:
            with broken(module, old, new) as copy:
                return _narrow(**small, **{argument: copy})

        return Fault(name, variant, depth)

    faults = (
        Fault("waits on instructions that come later", lambda: _narrow(**small, later_waits=True), 10),
        fault("dispatch to a full queue is not held back", hwgen.control.dispatch, "good & room)", "good)", "dispatch", 12),
        fault("a queue whose last place is never freed", hwgen.control.queue, "level != self.depth)", "(level != self.depth) & (tail != 1))", "queue", 10),
        fault("a retire beside another one is not counted", hwgen.control.progress, "(self.retired[index], self.retire[index])",
              "(self.retired[index], self.retire[index] & (self.retire == 1 << index))", "progress", 12),
    )
    yield Property("control, 2 engines, queues of 2, 4-bit counters", claim, "induction", 1, lambda: _narrow(engines=2, depth=2, most_in_flight=3), faults, quick=False)
    yield Property("control, 2 engines, queues of 2, 16-bit counters", claim, "induction", 1, lambda: no_deadlock.bench(engines=2, depth=2, most_in_flight=2), quick=False)
    yield Property("control, 3 engines, queues of 2, 4-bit counters", claim, "bounded", 10,
                   lambda: _narrow(engines=3, depth=2, most_in_flight=2, claims_only=True), quick=False)


def _float32() -> Iterator[Property]:
    def fault(name: str, old: str, new: str, build, **options) -> tuple[Fault, ...]:
        return (_fault(name, hwgen.datapath.float32, old, new, build, depth=1, **options),)

    blocks = (
        ("int32 to float32", "nearest even, all 2^32 integers", float32_rounding.int_to_float,
         fault("ties away from zero", "half & (magnitude[discarded] | (magnitude[:discarded - 1] != 0))", "half", float32_rounding.int_to_float)),
        ("float32 rounding of products", "nearest even, all products, exponents, sticky bits", float32_rounding.product,
         fault("sticky bit left out", "(shifted[:23] != 0) | sticky)", "(shifted[:23] != 0))", float32_rounding.product)),
        ("52-bit constant", "exact upper 48 bits and sticky of 76", float32_rounding.constant_product,
         fault("one bit of the low product lost", "low[28:])[:48]", "low[29:])[:48]", float32_rounding.constant_product)),
        ("float32 to integer", "nearest even within 1024, all 2^32 patterns", float32_rounding.to_integer,
         fault("ties up", "spread[25] & (spread[26] | (spread[:25] != 0))", "spread[25]", float32_rounding.to_integer)),
    )
    for name, claim, build, faults in blocks:
        yield Property(name, claim, "all inputs", 1, build, faults)
    subtract = fault("difference of a tie's lowest bit", "spread[24] | (spread[:24] != 0)", "spread[24]", float32_rounding.add, distance=12)
    for distance in range(float32_rounding.FAR + 1):
        apart = f"{distance} apart" if distance < float32_rounding.FAR else f"{distance} or more apart"
        yield Property(f"float32 sum, exponents {apart}", "nearest even, all pairs", "all inputs", 1,
                       lambda distance=distance: float32_rounding.add(distance=distance), subtract if distance == 12 else (), quick=distance in (0, 1))


def _memory() -> Iterator[Property]:
    fault = _fault("banks beyond the first are not compared", hwgen.memory.banked, "for b in range(pad.banks)]\n            clash",
                   "for b in range(1)]\n            clash", memory_conflicts.bench, depth=4, user=hwgen.memory.scratchpad, banks=3, depth_words=5)
    for banks, depth_words in ((3, 5), (4, 8)):
        yield Property(f"scratchpad, {banks} banks of {depth_words} words", "conflict and address error if and only if real", "induction", 1,
                       lambda banks=banks, depth_words=depth_words: memory_conflicts.bench(banks=banks, depth_words=depth_words),
                       (fault,) if banks == 3 else ())
    fault = _fault("words in front of the first have its row", hwgen.memory.columns, "late.eq(first > column)", "late.eq(first > column + 1)",
                   memory_conflicts.columns, depth=4, banks=3, depth_words=4, words=4)
    for banks, depth_words, words in ((3, 4, 4), (4, 8, 2), (2, 12, 4)):
        yield Property(f"scratchpad, {banks} banks of {depth_words} words, {words} from any on", "conflict and address error if and only if real", "induction", 1,
                       lambda sizes=(banks, depth_words, words): memory_conflicts.columns(banks=sizes[0], depth_words=sizes[1], words=sizes[2]),
                       (fault,) if banks == 3 else ())


def _core() -> Iterator[Property]:
    faults = tuple(_fault(name, hwgen.units.core.sequencer, old, new, core_loops.bench, depth=depth) for name, old, new, depth in (
        ("an iteration one packet too long", "place.eq(held.body_packets), self.on", "place.eq(held.body_packets + 1), self.on", 8),
        ("an iteration too many", "coming.eq(fields.iterations - some)", "coming.eq(fields.iterations)", 5),
        ("late one tile early", "self.late.eq(0), tiles", "self.late.eq(self.instr.tiles == 0), tiles", 4),
        ("the drain ends with its pass", "finished.eq(drain == 0)", "finished.eq(ended)", 6),
    ))
    yield Property("core's loops", "packets, predicates and end as defined", "induction", 1, core_loops.bench, faults)
    faults = tuple(_fault(name, hwgen.units.core.decode, old, new, core_decode.bench, depth=3) for name, old, new in (
        ("a number one too large", "self._part(item) >= item.values", "self._part(item) > item.values"),
        ("late operations in the first tile", "(self.late | ~", "(self.late | "),
    ))
    yield Property("core's slot", "what the word says is issued, what does not exist is illegal", "induction", 1, core_decode.bench, faults)


def _loops() -> Iterator[Property]:
    shapes = {"all levels strided": {0: 3, 1: 3, 2: 3}, "a level without stride": {0: 3, 2: 3}}
    fault = _fault("an outer step leaves the inner sum", hwgen.datapath.agu, "if level <= outermost and not", "if level == outermost and not", loop_sums.bench, depth=8,
                   count_widths=(2, 2, 2), width=6, strides={0: 3, 1: 3, 2: 3})
    for name, strides in shapes.items():
        yield Property(f"loops, {name}", "value = base + sum of stride x index; row-major order", "induction", 1,
                       lambda strides=strides: loop_sums.bench(count_widths=(2, 2, 2), width=6, strides=strides), (fault,) if len(strides) == 3 else ())


def _axi() -> Iterator[Property]:
    faults = tuple(_fault(name, hwgen.units.copy.bursts, old, new, axi_bursts.splitter, depth=8) for name, old, new in (
        ("one beat too long", "final_offset[beat_bits:] - offset[beat_bits:]", "final_offset[beat_bits:] - offset[beat_bits:] + 1"),
        ("the next burst replaces one not accepted", " & (~self.offer | self.accept)", ""),
        ("one burst too many under way", "under_way != self.outstanding_bursts)", "under_way != self.outstanding_bursts + 1)"),
    ))
    yield Property("AXI address channel of load and store", "stable until accepted, aligned, in memory, within 4 KiB", "induction", 1, axi_bursts.splitter, faults)
    fault = _fault("WLAST one beat early", hwgen.units.copy.store, "plan.last.eq(row_done | row.page.all())", "plan.last.eq(row_done | row.page[1:].all())",
                   axi_bursts.store_last, depth=14)
    yield Property("AXI data channel of store", "WLAST at the announced beat; stable until taken", "bounded", 13, axi_bursts.store_last, (fault,), quick=False)

    faults = tuple(_fault(name, hwgen.control.registers, old, new, control_port.bench, depth=8) for name, old, new in (
        ("a read is accepted before the last is answered", "axil.arready.eq(~axil.rvalid)", "axil.arready.eq(1)"),
        ("the write's answer waits for nobody", "with m.If(axil.bready):", "with m.If(axil.bvalid):"),
        ("strobes are ignored", "with m.If(axil.wstrb[byte]):", "with m.If(axil.wstrb.any()):"),
    ))
    yield Property("AXI4-Lite control port", "stable answers, one an access, registers as written", "induction", 1, control_port.bench, faults)


def properties() -> list[Property]:
    """All properties, quick blocks first in each group."""
    return [*_queue(), *_issue(), *_control(), *_float32(), *_memory(), *_loops(), *_core(), *_axi()]
