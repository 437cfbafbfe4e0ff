"""What loaders refuse of kernels, and that leaving out what only repeats changes no verdict."""

import numpy as np
import pytest

from acg.graph import load_graph
from acg.isa import instruction_set
from acg.kinds.core import check
from acg.kinds.core.check import Loops, kernel_fault
from acg.kinds.core.packets import Kernel, Op, packet_format

GRAPH = load_graph("dsp_tiny")
CORE = GRAPH.engines["core"]
FORMAT = packet_format(CORE)
DEFAULTS = {item.name: item.bias for item in instruction_set(GRAPH).formats["core"].fields}
ENABLED = {"in0_enable": 1, "in0_granules": 8, "out0_enable": 1, "out0_granules": 4}


def op(name, stage=0, late=False, **fields):
    return Op(name, stage, late, fields)


def fault(kernel, **fields):
    loops = {"prologue_packets": len(kernel.prologue), "head_packets": len(kernel.head), "body_packets": len(kernel.body), "iterations": 1}
    return kernel_fault(CORE, {**DEFAULTS, **ENABLED, **loops, **fields}, FORMAT.encode_kernel(kernel))


LOAD, EMPTY = {"L": op("LDV", d=1, s=0)}, {}


def test_a_kernel_that_is_right():
    kernel = Kernel((LOAD, *[EMPTY] * 4), (), ({"M0": op("ADDV", d=2, a=1, b=1)}, *[EMPTY] * 3, {"L": op("STV", a=2, s=0, first=4)}))
    assert fault(kernel) is None and fault(kernel, body_count=1000, tiles=60000, iterations=60000000, drain_packets=5) is None


@pytest.mark.parametrize(("kernel", "fields", "expected"), [
    (Kernel((LOAD, *[EMPTY] * 3), (), ({"M0": op("ADDV", d=2, a=1, b=1)},)), {},
     ("packet 4, slot M0: ADDV reads register 1 before it is written", "a write that has landed")),
    (Kernel((LOAD, *[EMPTY] * 4), (), ({"M0": op("DOT", d=2, a=1, b=1, c=2)},)), {},
     ("behind the last packet, slot M0: DOT adds to register 2 before it is written", "a write that has landed")),
    (Kernel((LOAD, *[EMPTY] * 4), (), ({"X": op("REQ", d=2, a=1, b=1, quarter=1)}, *[EMPTY] * 15, {"L": op("STV", a=2, s=0, first=0)})), {},
     ("packet 21, slot L: STV reads register 2 before it is written", "a write that has landed")),
    (Kernel((LOAD, *[EMPTY] * 4), (), ({"M0": op("ADDV", d=2, a=1, b=1), "M1": op("ADDV", d=2, a=1, b=1)},)), {},
     ("behind the last packet, two slots that write register 2 in one cycle, the later M1", "writes of a register in different cycles")),
    # 11 packets apart, in the second iteration alone: 15 cycles of X and 4 of M0
    (Kernel((LOAD, *[EMPTY] * 4), (), ({"X": op("CVT", d=2, a=1)}, {"M0": op("ADDV", d=2, a=1, b=1, stage=1)}, *[EMPTY] * 8)), {"body_count": 2, "iterations": 2},
     ("packet 10, two slots that write register 2 in one cycle, the later M0", "writes of a register in different cycles")),
    (Kernel((), (), ({"L": op("LDV", d=1, s=1)},)), {}, ("packet 0, slot L: LDV of stream in1, which is not enabled", "streams that the instruction enables")),
    (Kernel((), (), (EMPTY, {"L": op("STV", a=1, s=0, first=5)})), {"code_base": 7},
     ("packet 8, slot L: granules 5 to 8 of a register", "less than 8")),
])  # fmt: skip
def test_what_is_refused(kernel, fields, expected):
    assert fault(kernel, **fields) == expected


def test_a_packet_that_does_not_exist():
    code = bytearray(FORMAT.encode_kernel(Kernel((), (), (EMPTY, EMPTY))))
    code[16:32] = (7 << 30).to_bytes(16, "little")
    found = kernel_fault(CORE, {**DEFAULTS, **ENABLED, "body_packets": 2, "iterations": 1}, bytes(code))
    assert found == ("packet 1, slot M1: operation code is 7", "0 to 6")


def test_what_is_left_out_of_loops_changes_no_verdict():
    """Random kernels, half of them faulty, walked whole and shortened."""
    rng, verdicts = np.random.default_rng(3), []
    longest = max(CORE.tables["latency_cycles"].values())
    for _ in range(300):
        def packet(first, rng=rng):
            drawn = {"L": op("LDV", d=int(rng.integers(first, 4)), s=0, stage=int(rng.integers(3)))} if rng.random() < 0.5 else {}
            if rng.random() < 0.5:
                a, d = (int(value) for value in rng.integers(0, 6, 2))
                drawn["M0"] = op("ADDV", d=d, a=a, b=a, stage=int(rng.integers(8)), late=bool(rng.random() < 0.3))
            if rng.random() < 0.3:
                drawn["X"] = op("CVT", d=int(rng.integers(6)), a=int(rng.integers(4)), stage=int(rng.integers(4)), late=bool(rng.random() < 0.3))
            return drawn

        heads = int(rng.integers(2))
        kernel = Kernel((*({"L": op("LDV", d=r, s=0)} for r in range(4)), *[EMPTY] * 5)[: 9 * (rng.random() < 0.8)],
                        tuple(packet(0) for _ in range(2 * heads)), tuple(packet(0) for _ in range(int(rng.integers(1, 5)))))
        loops = Loops(len(kernel.prologue), int(rng.integers(1, 30)), len(kernel.head), len(kernel.body), int(rng.integers(1, 40)), int(rng.integers(1, 40)),
                      int(rng.integers(0, 90)), int(rng.integers(1, 3000)))
        key, code = check._Key(CORE, ("a test",)), FORMAT.encode_kernel(kernel)
        full, short = (check._fault(key, some, (("in0", 8),), 0, code) for some in (loops, loops.shorter(longest)))
        whole = loops.tiles * (loops.head_packets + loops.body_count * loops.body_packets) // loops.body_packets
        assert full is None or short is not None, (kernel, loops, full)
        assert (full is None) == (short is None) or loops.iterations < whole, (kernel, loops, short)  # ends early: what is on then is not told apart
        verdicts.append(full is None)
    assert 30 < sum(verdicts) < 270
