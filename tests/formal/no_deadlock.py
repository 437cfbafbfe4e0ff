"""Dispatch, queues, issue and retire counters cannot deadlock: small configurations, any program, any delay.

The environment is abstract: the fetch unit offers when it likes; an engine takes an instruction and retires it when it likes. The program is any
whose waits name earlier instructions, at most 2^15 back, of engines that do not run more than 2^15 ahead (docs/architecture.md), with at most 2^18
instructions an engine, which wraps the 16-bit counters four times. The same is proved with 4-bit counters and scaled bounds, where wraps come early.
Three engines are searched to a stated depth only: their induction step takes the solver more than ten minutes.

Liveness as safety: in every reachable cycle in which the environment is done (the units are ready, nothing is
under way, the fetch unit offers if anything is left), an instruction is dispatched or started in that very cycle. Each such event brings the end nearer
(an instruction is dispatched, started and retired once), so a run whose environment always answers ends. That starts respect the waits is proved
beside it on the same machine.

What makes the step hold is the argument of docs/architecture.md: each entry carries how many instructions of each engine precede it (a ghost that
rides in the body), and these counts are ordered as the program is.
"""

from amaranth.hdl import Array, Cat, Mux, Signal
from amaranth.lib import data

import hwgen.control.dispatch
import hwgen.control.issue
import hwgen.control.progress
import hwgen.control.queue
from tests.formal.bench import Bench


def bench(*, engines: int, depth: int, most_in_flight: int = 3, queue=hwgen.control.queue, issue=hwgen.control.issue, dispatch=hwgen.control.dispatch,
          progress=hwgen.control.progress, later_waits: bool = False, claims_only: bool = False) -> Bench:
    """The machine's control around abstract engines. ``most_in_flight``: instructions that an engine holds at most; ``later_waits`` drops the rule of waits."""
    b = Bench(claims_only=claims_only)
    m = b.m
    half, width = 1 << issue.COUNTER_BITS - 1, issue.COUNTER_BITS + 4
    waits_layout = issue.wait_layout(engines)
    counts = data.ArrayLayout(width, engines)
    entry = data.StructLayout({"waits": waits_layout, "body": counts})
    bits = 8 + waits_layout.size
    m.submodules.dispatch = front = dispatch.Dispatch(instruction_bits=bits, engine_lsb=0, engines=engines, parity=0, code_check=1, code_illegal=2, code_bus=3)
    m.submodules.progress = back = progress.Progress(engines=engines)

    number, waits = b.free(8, "offered_engine"), Signal(waits_layout)
    m.d.comb += [
        waits.as_value().eq(b.free(waits_layout.size, "offered_waits")),
        front.enable.eq(1), front.valid.eq(b.free(1, "offered")), front.instruction.eq(Cat(number, waits)),
    ]
    b.assume((number >= 1) & (number <= engines))
    dispatched = [Signal(width, name=f"dispatched_{index}") for index in range(engines)]
    started = [Signal(width, name=f"started_{index}") for index in range(engines)]
    retired = [Signal(width, name=f"retired_{index}") for index in range(engines)]

    queues, ready, progressing = [], [], [front.dispatched]
    for index in range(engines):
        m.submodules[f"queue_{index}"] = fifo = queue.Queue(shape=entry, depth=depth)
        m.submodules[f"issue_{index}"] = slot = issue.Issue(engines=engines)
        takes, answers = b.free(1, f"ready_{index}"), b.free(1, f"answers_{index}")
        retires = Signal(name=f"retires_{index}")
        flying = Signal(range(most_in_flight + 1), name=f"flying_{index}")
        m.d.comb += [
            retires.eq(answers & (flying != 0)),
            fifo.i.valid.eq(front.queue_valid[index]), fifo.i.payload.waits.eq(waits), fifo.i.payload.body.eq(Cat(dispatched)),
            slot.valid.eq(fifo.o.valid), slot.waits.eq(fifo.o.payload.waits), slot.ready.eq(takes & (flying != most_in_flight)), slot.enable.eq(1),
            fifo.o.ready.eq(slot.start), back.start[index].eq(slot.start), back.retire[index].eq(retires),
            *(slot.retired[other].eq(back.retired[other]) for other in range(engines)),
        ]
        m.d.sync += [
            flying.eq(flying + slot.start - retires), started[index].eq(started[index] + slot.start), retired[index].eq(retired[index] + retires),
            dispatched[index].eq(dispatched[index] + (front.dispatched & (number == index + 1))),
        ]
        queues.append((fifo, slot, flying, takes))
        ready.append(fifo.i.ready)
        progressing.append(slot.start)
    m.d.comb += front.queue_ready.eq(Cat(ready))

    # The rules of programs.
    for index in range(engines):
        wait, before = waits[index], dispatched[index]
        b.assume(before < 1 << width - 2)
        age = Signal(issue.COUNTER_BITS, name=f"age_{index}")
        m.d.comb += age.eq(before - wait.count)
        if not later_waits:
            b.assume(~wait.on | ((age <= half) & (age <= before)))

    def entry_of(index: int, place: int, head, words):
        at = Signal(range(2 * depth), name=f"at_{index}_{place}")
        m.d.comb += at.eq(head + place)
        word = Signal(entry, name=f"entry_{index}_{place}")
        m.d.comb += word.as_value().eq(words[Mux(at >= depth, at - depth, at)])
        return word

    done = Cat(flying == 0 for _, _, flying, _ in queues).all() & Cat(takes for _, _, _, takes in queues).all()
    left = Cat(fifo.o.valid for fifo, _, _, _ in queues).any()
    b.always(~(done & (left | front.valid)) | Cat(progressing).any(), "with the environment done, something is dispatched or started")

    inside = []
    for index, (fifo, slot, flying, _) in enumerate(queues):
        level, head, tail = (b.look(f"queue_{index}.{name}", range(bound)) for name, bound in (("level", depth + 1), ("head", depth), ("tail", depth)))
        words = Array([b.look(f"queue_{index}.entries[{place}]", entry.size) for place in range(depth)])
        at_tail = Signal(range(2 * depth), name=f"at_tail_{index}")
        m.d.comb += at_tail.eq(head + level)
        b.inside((level <= depth) & (head < depth) & (tail == Mux(at_tail >= depth, at_tail - depth, at_tail)), "queue pointers")
        b.inside(retired[index] + flying == started[index], "what started and has not retired is under way")
        b.inside((started[index] + level == dispatched[index]) & (flying <= most_in_flight), "what was dispatched and has not started is queued")
        b.inside(dispatched[index] <= 1 << width - 2, "counters do not overflow")
        b.inside(back.retired[index] == retired[index], "the machine's counter")
        inside += [(index, place, place < level, entry_of(index, place, head, words)) for place in range(depth)]
        for other in range(engines):
            # docs/architecture.md: no awaited engine runs more than 2^15 beyond the count before the waiter looks.
            entry_waits = fifo.o.payload.waits[other]
            count = true_count(m, entry_waits.count, fifo.o.payload.body[other], name=f"awaited_{index}_{other}")
            b.assume(~(fifo.o.valid & entry_waits.on) | later_waits | (retired[other] < count + half))
            b.always(~(slot.start & entry_waits.on) | later_waits | (retired[other] >= count), "no start before every awaited instruction has retired")
    for one, (index, place, there, word) in enumerate(inside):
        body = word.body
        b.inside(~there | (body[index] == started[index] + place), "an entry's own count")
        for other in range(engines):
            wait = word.waits[other]
            age = Signal(issue.COUNTER_BITS, name=f"age_{index}_{place}_{other}")
            m.d.comb += age.eq(body[other] - wait.count)
            b.inside(~there | (body[other] <= dispatched[other]), "an entry counts what was dispatched")
            b.inside(~(there & wait.on) | later_waits | ((age <= half) & (age <= body[other])), "an entry awaits what precedes it")
        for index_2, _, there_2, word_2 in inside[one + 1:]:
            up = Cat(body[engine] <= word_2.body[engine] for engine in range(engines)).all() & (body[index] < word_2.body[index])
            down = Cat(body[engine] >= word_2.body[engine] for engine in range(engines)).all() & (body[index_2] > word_2.body[index_2])
            b.inside(~(there & there_2) | up | down, "entries are ordered as the program is")
    return b


def true_count(m, count, before, *, name: str) -> Signal:
    """The unbounded number whose low 16 bits are ``count``, at most ``before`` and less than one wrap below it."""
    value = Signal(len(before), name=name)
    age = Signal(len(count), name=f"{name}_age")
    m.d.comb += [age.eq(before - count), value.eq(before - age)]
    return value
