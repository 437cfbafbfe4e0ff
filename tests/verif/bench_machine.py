"""The small hand-written machine of ``data/bench_dut.v``: its description, registers and predicted timeline."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np

from verif.bench import Description

DUT = Path(__file__).parent / "data" / "bench_dut.v"
CACHE = Path(__file__).parents[2] / "build" / "cache"
FINGERPRINT = 0x0123456789ABCDEF
READ_LATENCY, WRITE_LATENCY, WORD_BYTES, BURST_WORDS = 5, 3, 8, 8
MEMORY_BYTES = 1 << 16
OFFSET_BYTES = 0x1000
MACHINE = Description(memory_bytes=MEMORY_BYTES, read_latency_cycles=READ_LATENCY, write_latency_cycles=WRITE_LATENCY,
                      engines=("load", "store"))
_NAMES = (
    "ID VERSION FINGERPRINT_LO FINGERPRINT_HI CONTROL STATUS ERROR_CODE ERROR_ENGINE ERROR_ADDRESS PROGRAM_ADDRESS_LO PROGRAM_ADDRESS_HI "
    "PROGRAM_COUNT PROGRAM_FINGERPRINT_LO PROGRAM_FINGERPRINT_HI WATCHDOG_CYCLES CYCLES_LO CYCLES_HI RETIRED_0 RETIRED_1"
)
REGISTERS = {name: 4 * index for index, name in enumerate(_NAMES.split())}


def expected_output(content: bytes) -> bytes:
    """What the machine writes for what it reads."""
    return bytes(255 - byte for byte in content)


def predicted(words: int) -> SimpleNamespace:
    """Timeline of a copy of `words` bus words: a load and a store a burst. Only loads are dispatched, so that has its own engines."""
    cycle, engine, start, retire, dispatch = 0, [], [], [], []
    for first in range(0, words, BURST_WORDS):
        beats = min(BURST_WORDS, words - first)
        last_beat = cycle + READ_LATENCY + beats - 1
        answer = last_beat + beats + WRITE_LATENCY
        engine += [0, 1]
        start += [cycle, last_beat + 1]
        retire += [last_beat, answer]
        dispatch.append(cycle)
        cycle = answer + 1
    return SimpleNamespace(engine=np.array(engine), start=np.array(start), retire=np.array(retire), dispatch=np.array(dispatch), cycles=cycle)
