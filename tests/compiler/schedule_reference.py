"""Scheduling as its rules say: every pair of instructions is compared, nothing is forgotten, every start is computed anew."""

from acg.footprint import Footprints
from acg.timing import engine_timing
from compiler.ordering.list_schedule import LOOK_AHEAD
from compiler.target import Target


def overlap(one, two):
    return one.memory == two.memory and one.lo_byte < two.hi_byte and two.lo_byte < one.hi_byte


def conflict(graph, engine, access, other_engine, other):
    """Of an access and an earlier one: None, 'start' where the order of starts suffices, 'retire' where the retire is to be awaited."""
    if not overlap(access, other) or not (access.write or other.write):
        return None
    if engine != other_engine or (other.write and not access.write and not (access.self_ordered and other.self_ordered)):
        return "retire"
    return "start"


def order(graph, instructions):
    footprints = [Footprints(graph)(i) for i in instructions]
    emptying = {path.engine.name for paths in Target(graph).out_of.values() for path in paths}
    needs = []
    for number, instruction in enumerate(instructions):
        kinds = {}
        for earlier in range(number):
            found = {conflict(graph, instruction.engine, a, instructions[earlier].engine, b) for a in footprints[number] for b in footprints[earlier]}
            if found != {None}:
                kinds[earlier] = "retire" in found
        if instruction.engine in emptying:
            kinds = {earlier: kind for earlier, kind in kinds.items() if kind}
            kinds |= {e: False for e in range(number) if instructions[e].engine == instruction.engine and e not in kinds}
        needs.append(kinds)
    ports = [{(a.memory, a.write, bank, a.beat) for a in accesses if a.memory != graph.external.name for bank in range(a.first_bank, a.last_bank + 1)}
             for accesses in footprints]
    timings = {name: engine_timing(graph, name) for name in graph.engines}
    done, held = {}, {}
    while len(done) < len(instructions):
        starts = []
        for name in graph.engines:
            ready = [n for n, i in enumerate(instructions) if i.engine == name and n not in done and all(e in done for e in needs[n])]
            for number in ready[:LOOK_AHEAD]:
                after = [done[e][1 if kind else 0] + 1 for e, kind in needs[number].items()]
                after += [until for *port, beat in ports[number] for other, until in held.get(tuple(port), {}).items() if other != (name, beat)]
                starts.append((max([timings[name].ready_cycle, *after]), number))
        start, number = min(starts)
        retire = timings[instructions[number].engine].start(start, instructions[number].fields)
        done[number] = start, retire
        for *port, beat in ports[number]:
            held.setdefault(tuple(port), {})[instructions[number].engine, beat] = retire + 1
    return [number for _, number in sorted((start, number) for number, (start, _) in done.items())]


def waits(graph, instructions):
    """For each instruction the retire counts it must see; programs short enough for counters not to wrap."""
    footprints = [Footprints(graph)(i) for i in instructions]
    place = [sum(other.engine == i.engine for other in instructions[: number + 1]) for number, i in enumerate(instructions)]
    known = {name: dict.fromkeys(graph.engines, 0) for name in graph.engines}
    result = []
    for number, instruction in enumerate(instructions):
        engine, needed = instruction.engine, dict.fromkeys(graph.engines, 0)
        for earlier in range(number):
            other = instructions[earlier].engine
            for a in footprints[number]:
                for b in footprints[earlier]:
                    shared = a.memory == b.memory != graph.external.name and a.first_bank <= b.last_bank and b.first_bank <= a.last_bank
                    if conflict(graph, engine, a, other, b) == "retire" or ((other, b.beat) != (engine, a.beat) and shared and a.write == b.write):
                        needed[other] = max(needed[other], place[earlier])
        result.append({name: count for name, count in needed.items() if count > known[engine][name]})
        known[engine] |= result[-1]
    return result
