"""The cycle predictor: start and retire cycle of every instruction of a program, without simulating hardware.

Contract (docs/architecture.md, "Time"): instructions are dispatched in program order, one a cycle at most, into one queue an
engine; an engine starts its queue's head when it is ready and the awaited retire counts are visible. An instruction waits only for
earlier instructions, so one walk in program order knows everything it needs: no event queue.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from acg.errors import InstructionError
from acg.graph import Graph
from acg.isa import Instruction
from acg.machine import machine_of
from acg.timing import DONE_CYCLES

__all__ = ["Timeline", "predict"]


@dataclass(frozen=True)
class Timeline:
    """Predicted cycles, one entry an instruction in program order (int64).

    Attributes
    ----------
    engine : numpy.ndarray
        Engine index.
    dispatch, start, retire : numpy.ndarray
        Cycle of each event; cycle 0 is the first cycle in which the machine is running.
    total_cycles : int
        Value of the CYCLES register when the program is done.
    """

    engine: np.ndarray
    dispatch: np.ndarray
    start: np.ndarray
    retire: np.ndarray
    total_cycles: int


def predict(graph: Graph, instructions: Sequence[Instruction]) -> Timeline:
    """Predict a program's timeline; where in memory the program stands does not matter, an instruction never crosses an AXI boundary.

    Raises
    ------
    InstructionError
        An instruction waits for one that does not precede it: such a program would never end.
    """
    machine = machine_of(graph)
    fetch = machine.fetch()
    names = {name: engine.index for name, engine in graph.engines.items()}
    timings = list(machine.timings().values())
    defaults = list(machine.least.values())
    sizes = [len(default) for default in defaults]
    starts: list[list[int]] = [[] for _ in names]
    retires: list[list[int]] = [[] for _ in names]
    depth = graph.control.queue_depth
    count = len(instructions)
    engines = [0] * count
    dispatches = [0] * count
    started = [0] * count
    retired = [0] * count
    end = -1
    for number, instruction in enumerate(instructions):
        index = names[instruction.engine]
        own = starts[index]
        dispatch = fetch.dispatch(own[-depth] + 1 if len(own) >= depth else 0)
        timing = timings[index]
        start = timing.ready_cycle
        if dispatch >= start:
            start = dispatch + 1
        for name, awaited in instruction.waits.items():
            history = retires[names[name]]
            # The counter is 16 bits wide: the count meant is the greatest not after this instruction's place in the program.
            back = (len(history) - awaited) & 0xFFFF
            position = len(history) - back
            if back & 0x8000:
                raise InstructionError(
                    f"instruction {number}: waits for {awaited} retired instructions of {name}, of which {len(history)} precede it; "
                    "expected a count not beyond that, the program would never end"
                )
            if position > 0 and history[position - 1] >= start:
                start = history[position - 1] + 1
        fields = instruction.fields
        if len(fields) != sizes[index]:
            fields = defaults[index] | dict(fields)
        retire = timing.start(start, fields)
        own.append(start)
        retires[index].append(retire)
        engines[number], dispatches[number], started[number], retired[number] = index, dispatch, start, retire
        if retire > end:
            end = retire
    engine, dispatched, start_cycles, retire_cycles = (np.array(values, dtype=np.int64) for values in (engines, dispatches, started, retired))
    return Timeline(engine, dispatched, start_cycles, retire_cycles, total_cycles=end + 1 + DONE_CYCLES)
