"""Scheduling: every conflict is awaited, nothing more than needed, whatever the order; counters may wrap."""

import numpy as np
import pytest

from acg.fields import COUNTER_BITS
from acg.footprint import Footprints
from acg.graph import load_graph
from acg.isa import Instruction, InstructionSet
from acg.machine import machine_of
from acg.predictor import predict
from compiler.check_program import ProgramError, check_instructions
from compiler.ordering import schedule as module
from compiler.ordering.schedule import add_waits, order, schedule
from compiler.passes import Options, compile_network
from tests.compiler.ir_reference import check_program
from tests.compiler.random_networks import Sketch, random_network
from verif.hazards import find_hazards

TINY = load_graph("tiny")
DEFAULTS = {name: {f.name: f.bias for f in form.fields} for name, form in InstructionSet(TINY).formats.items()}


def load(address, size, *, select=0, source=0):
    return Instruction("load", DEFAULTS["load"] | {"select": select, "local_address": address, "n_3": size, "ext_address": source})


def store(address, size, *, target=65536):
    return Instruction("store", DEFAULTS["store"] | {"select": 0, "local_address": address, "n_3": size, "ext_address": target})


def copy(a, y, words):
    fields = {"a_select": 1, "a_base": a, "y_base": y, "n_3": words, "a_stride_3": 1, "y_stride_3": 1, "y_bound": 1, "x_bound": 1, "y_low": -128, "y_high": 127}
    return Instruction("vector", DEFAULTS["vector"] | fields)


def waits(*instructions):
    return [dict(i.waits) for i in add_waits(machine_of(TINY), instructions)]


def test_a_read_awaits_the_write():
    assert waits(load(0, 64), copy(0, 1024, 16), store(4096, 64)) == [{}, {"load": 1}, {"vector": 1}]


def test_a_write_awaits_the_reads_of_other_engines():
    assert waits(copy(0, 1024, 16), load(0, 64), copy(64, 2048, 16)) == [{}, {"vector": 1}, {}]


def test_one_port_of_one_bank_is_used_by_one_engine_at_a_time():
    assert waits(copy(0, 1024, 4), store(64, 16)) == [{}, {"vector": 1}]  # both read bank 0
    assert waits(copy(1024, 0, 4), load(64, 16)) == [{}, {"vector": 1}]  # both write bank 0
    assert waits(copy(0, 1024, 4), store(12288, 16)) == [{}, {}]


def test_an_engine_awaits_itself_only_for_what_it_wrote():
    assert waits(copy(0, 1024, 4), copy(1024, 2048, 4), copy(3072, 1024, 4)) == [{}, {"vector": 1}, {}]


def test_what_was_awaited_before_is_not_named_again():
    assert waits(load(0, 16), load(16, 16), copy(4, 1024, 4), copy(0, 1028, 4)) == [{}, {}, {"load": 2}, {}]


def test_external_memory_orders_by_bytes_alone():
    assert waits(store(0, 64, target=512), load(4096, 64, source=0), load(8192, 64, source=500)) == [{}, {}, {"store": 1}]


@pytest.mark.parametrize("seed", range(12))
def test_reordering_keeps_every_conflict_in_order(seed):
    graph, arrays = random_network(1000 + seed)
    plain, program = (compile_network(graph, TINY, options=Options(reorder=r)) for r in (False, True))
    assert check_program(graph, plain, TINY, arrays) >= 0.95 * check_program(graph, program, TINY, arrays)
    alike = compile_network(graph, TINY, options=Options(choices={"order": 1}))  # places as without reordering; other orders of layers have others
    check_program(graph, alike, TINY, arrays)
    assert sorted(map(_body, plain.instructions)) == sorted(map(_body, alike.instructions))


def _body(instruction):
    return instruction.engine, sorted(instruction.fields.items())


def test_an_order_is_a_permutation_with_dependences_forward():
    chain = [load(0, 64), copy(0, 1024, 16), copy(1024, 2048, 16), store(8192, 64), load(0, 64)]
    assert order(machine_of(TINY), chain) == [0, 1, 2, 4, 3] or order(machine_of(TINY), chain) == [0, 1, 4, 2, 3]
    many = [load(64 * (i % 64), 64, source=64 * i) for i in range(200)]
    assert sorted(order(machine_of(TINY), many)) == list(range(200))


def test_without_waits_the_hazard_check_fails():
    graph, _ = random_network(3)
    program = compile_network(graph, TINY)
    bare = [Instruction(i.engine, i.fields) for i in program.instructions]
    assert find_hazards(TINY, bare, predict(TINY, bare))


@pytest.mark.parametrize("seed", range(4))
def test_every_wait_matters_or_is_implied(seed):
    """Dropping all waits on one engine leaves a hazard on the timeline for at least one engine."""
    s = Sketch(seed)
    x = s.input((1, 8, 10, 10), "i8")
    graph = s.network(s.add(s.conv(x, 8, (3, 3), pads=(1, 1, 1, 1)), x))
    program = compile_network(graph, TINY)
    broken = 0
    for name in TINY.engines:
        kept = [Instruction(i.engine, i.fields, {k: v for k, v in i.waits.items() if k != name}) for i in program.instructions]
        broken += bool(find_hazards(TINY, kept, predict(TINY, kept)))
    assert broken >= 2


def test_counts_wrap_and_never_lie_half_the_range_back(monkeypatch):
    monkeypatch.setattr(module, "FURTHEST_WAIT", 8)
    instructions = [load(0, 16), *(load(4096, 16) for _ in range(30)), copy(0, 3072, 4), *(load(8192, 16) for _ in range(5))]
    found = add_waits(machine_of(TINY), instructions)
    assert dict(found[31].waits) == {"load": 23}
    check_instructions(found, TINY)
    many = [store(0, 4) for _ in range((1 << COUNTER_BITS) + 5)] + [load(0, 4)]
    monkeypatch.undo()
    found = add_waits(machine_of(TINY), many)
    assert dict(found[-1].waits) == {"store": 5}
    check_instructions(found, TINY)


def test_engines_meet_before_one_runs_half_the_range_ahead(monkeypatch):
    monkeypatch.setattr(module, "FURTHEST_WAIT", 8)
    found = add_waits(machine_of(TINY), [copy(0, 3072, 4), *(load(8192, 16) for _ in range(9))])
    assert [(n, dict(i.waits)) for n, i in enumerate(found) if i.waits] == [(5, {"vector": 1})]


def test_a_wait_for_the_future_is_refused():
    with pytest.raises(ProgramError) as error:
        check_instructions([Instruction("load", load(0, 4).fields, {"store": 1})], TINY)
    assert str(error.value) == (
        "program, instruction 0 (load): found a wait for 1 retired instructions of store; expected at most the 0 that precede it; "
        "compile the network again"
    )


def test_waits_cover_what_footprints_say():
    """Brute force: every conflicting pair of a program is ordered by waits and the order of engines alone."""
    graph, _ = random_network(17)
    program = compile_network(graph, load_graph("wide"))
    arch = load_graph("wide")
    accesses = [Footprints(arch)(i) for i in program.instructions]
    count = len(program.instructions)
    place = {}  # (engine, retire count) -> instruction
    done = np.zeros((count, count), bool)  # done[i, j]: j has retired when i starts
    started = dict.fromkeys(arch.engines, None)
    numbers = dict.fromkeys(arch.engines, 0)
    for i, instruction in enumerate(program.instructions):
        previous = started[instruction.engine]
        if previous is not None:
            done[i] |= done[previous]
        for name, awaited in instruction.waits.items():
            for k in range(1, awaited + 1):
                j = place[name, k]
                done[i, j] = True
                done[i] |= done[j]
        numbers[instruction.engine] += 1
        place[instruction.engine, numbers[instruction.engine]] = i
        started[instruction.engine] = i
    external = arch.external.name
    for i in range(count):
        for j in range(i):
            same = program.instructions[i].engine == program.instructions[j].engine
            for a in accesses[i]:
                for b in accesses[j]:
                    if a.memory != b.memory:
                        continue
                    data = (a.write or b.write) and a.lo_byte < b.hi_byte and b.lo_byte < a.hi_byte
                    port = a.write == b.write and a.memory != external and a.first_bank <= b.last_bank and b.first_bank <= a.last_bank
                    reads_own = data and b.write and not a.write and not (a.self_ordered and b.self_ordered)
                    assert not (reads_own if same else data or port) or done[i, j], (i, j)


def test_schedule_returns_the_positions_of_its_instructions():
    instructions = [load(0, 64), copy(0, 1024, 16), load(64, 64), store(4096, 64)]
    scheduled = schedule(machine_of(TINY), instructions)
    found, positions = scheduled.instructions, scheduled.positions
    assert scheduled.accesses == [Footprints(TINY)(instruction) for instruction in found]
    assert sorted(positions) == [0, 1, 2, 3]
    assert [i.fields for i in found] == [instructions[p].fields for p in positions]
