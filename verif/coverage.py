"""Functional coverage of instruction streams: which values of which fields, loop shapes, waits and stalls have been run.

Bins are derived from the formats of :mod:`acg.isa`, so a new field has its bins at once. A bin is named ``GROUP/KIND/WHAT``:

- ``instruction/<kind>``: an instruction of an engine of that kind;
- ``field/<kind>/<field>=<value>``: each value of a field of up to 3 bits; of wider ones ``low``, ``high`` and ``middle``, of signed ones ``low``,
  ``negative``, ``zero``, ``positive`` and ``high``. Counts reach 1 as ``low``;
- ``loops/<kind>/<pattern>``: for each level, outermost first, ``1`` if it has more than one iteration, else ``0``;
- ``wait/<kind>/<kind>``: which kind awaits which, ``own`` for the same engine; ``wait/distance/<n>``: how many of the awaited engine's instructions
  dispatched before are not awaited (``0``, ``1``, ``2-7``, ``8+``); ``wait/wrap``: a count that has wrapped;
- ``stall/...``, from the predicted timeline: ``none`` (started a cycle after its dispatch), ``start`` (later), ``dispatch`` (dispatched later than the cycle
  after the one before), and ``overlap/<n>``: instructions under way on other engines at a start (``3+``: three and more).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from acg.fields import Field
from acg.graph import Graph
from acg.isa import Instruction, instruction_set
from acg.predictor import Timeline

__all__ = ["GROUPS", "collect", "merge", "possible"]

GROUPS = ("instruction", "field", "loops", "wait", "stall")
_DISTANCES = ((0, "0"), (1, "1"), (7, "2-7"))
_ENUMERATED_BITS = 3


def _is_count(item: Field) -> bool:
    return item.name.startswith("n_") and item.bias == 1


def _field_bins(item: Field) -> list[str]:
    if item.width <= _ENUMERATED_BITS and not item.signed and not _is_count(item):
        return [str(value) for value in range(item.low, item.high + 1)]
    return ["low", "negative", "zero", "positive", "high"] if item.signed else ["low", "middle", "high"]


def _values(item: Field, instructions: Sequence[Instruction]) -> np.ndarray:
    values = np.array([int(instruction.fields.get(item.name, item.bias)) for instruction in instructions], np.int64)
    return values % (1 << item.width) if item.wraps else values


def _count_field(item: Field, values: np.ndarray) -> dict[str, int]:
    if item.width <= _ENUMERATED_BITS and not item.signed and not _is_count(item):
        return {str(value): int((values == value).sum()) for value in range(item.low, item.high + 1)}
    found = {"low": int((values == item.low).sum()), "high": int((values == item.high).sum())}
    between = (values != item.low) & (values != item.high)
    if not item.signed:
        return found | {"middle": int(between.sum())}
    return found | {name: int((between & mask).sum()) for name, mask in (("negative", values < 0), ("zero", values == 0), ("positive", values > 0))}


def possible(graph: Graph) -> Counter[str]:
    """Every bin of a graph, with count 0."""
    bins: Counter[str] = Counter()
    kinds = {engine.name: engine.kind for engine in graph.engines.values()}
    for name, layout in instruction_set(graph).formats.items():
        kind = kinds[name]
        levels = sum(_is_count(item) for item in layout.fields)
        names = [f"instruction/{kind}", *(f"loops/{kind}/{pattern:0{levels}b}" for pattern in range(1 << levels))]
        names += [f"field/{kind}/{item.name}={value}" for item in layout.fields for value in _field_bins(item)]
        names += [f"wait/{kind}/{other}" for engine, other in kinds.items() if engine != name] + [f"wait/{kind}/own"]
        bins.update(dict.fromkeys(names, 0))
    bins.update(dict.fromkeys(["wait/wrap", "wait/distance/8+", *(f"wait/distance/{label}" for _, label in _DISTANCES)], 0))
    bins.update(dict.fromkeys(["stall/none", "stall/start", "stall/dispatch", *(f"stall/overlap/{n}" for n in ("0", "1", "2", "3+"))], 0))
    return bins


def collect(graph: Graph, instructions: Sequence[Instruction], timeline: Timeline | None = None) -> Counter[str]:
    """Bins of one program, those that were not reached with count 0; stalls only with the predicted ``timeline`` of the same instructions."""
    bins = possible(graph)
    kinds = {engine.name: engine.kind for engine in graph.engines.values()}
    for name, layout in instruction_set(graph).formats.items():
        own = [instruction for instruction in instructions if instruction.engine == name]
        if not own:
            continue
        kind = kinds[name]
        bins[f"instruction/{kind}"] += len(own)
        counts = []
        for item in layout.fields:
            values = _values(item, own)
            bins.update({f"field/{kind}/{item.name}={label}": number for label, number in _count_field(item, values).items()})
            if _is_count(item):
                counts.append(values > 1)
        bins.update(f"loops/{kind}/{''.join(str(int(level)) for level in row)}" for row in zip(*counts, strict=True))
    _waits(bins, kinds, instructions)
    if timeline is not None and len(timeline.start):
        _stalls(bins, timeline)
    return bins


def _waits(bins: Counter[str], kinds: Mapping[str, str], instructions: Sequence[Instruction]) -> None:
    dispatched = dict.fromkeys(kinds, 0)
    for instruction in instructions:
        for other, count in instruction.waits.items():
            bins[f"wait/{kinds[instruction.engine]}/{'own' if other == instruction.engine else kinds[other]}"] += 1
            spared = (dispatched[other] - count) & 0xFFFF
            bins[f"wait/distance/{next((label for most, label in _DISTANCES if spared <= most), '8+')}"] += 1
            bins["wait/wrap"] += dispatched[other] - spared >= 1 << 16
        dispatched[instruction.engine] += 1


def _stalls(bins: Counter[str], timeline: Timeline) -> None:
    at_once = timeline.start == timeline.dispatch + 1
    bins["stall/none"] += int(at_once.sum())
    bins["stall/start"] += int((~at_once).sum())
    bins["stall/dispatch"] += int((np.diff(timeline.dispatch) > 1).sum())
    # Under way at cycle s: started before s, not retired before s; an engine's own are not "other".
    starts, retires = np.sort(timeline.start), np.sort(timeline.retire)
    under_way = np.searchsorted(starts, timeline.start) - np.searchsorted(retires, timeline.start)
    for engine in np.unique(timeline.engine):
        mine = timeline.engine == engine
        under_way[mine] -= (np.searchsorted(np.sort(timeline.start[mine]), timeline.start[mine])
                            - np.searchsorted(np.sort(timeline.retire[mine]), timeline.start[mine]))
    bins.update(f"stall/overlap/{min(int(number), 3)}{'+' if number >= 3 else ''}" for number in under_way)


def merge(runs: Iterable[Mapping[str, int]]) -> Counter[str]:
    """Bins of several runs, counts added; bins that none reached stay with count 0."""
    total: Counter[str] = Counter()
    for bins in runs:
        total.update(bins)
    return total
