"""cocotb test module: random traffic on the AXI memory against a model of its promise, cycle by cycle. Runs inside the simulator.

The model is written from the contract, per beat: a burst has a ready time, a beat a time; it shares no structure with the Verilog.
"""

import json
import os
import random
from pathlib import Path

import cocotb
from cocotb.triggers import FallingEdge, ReadOnly

PORTS, WORD_BYTES, SIZE_WORDS = 2, 4, 2048
SIZE_CODE, INCR, DECERR = 2, 1, 3


class ReadPort:
    """Expected beats of one read port: (word, last), due times by burst."""

    def __init__(self, latency):
        self.latency, self.beats, self.free = latency, [], 0

    def address(self, cycle, word, length):
        self.beats += [(word + index, index == length, cycle + self.latency) for index in range(length + 1)]

    def expected(self, cycle):
        """The beat that must be valid in this cycle, or None."""
        return self.beats[0] if self.beats and cycle >= max(self.beats[0][2], self.free) else None

    def accept(self, cycle):
        self.beats.pop(0)
        self.free = cycle + 1


class WritePort:
    """Bursts of one write port and the answers they owe."""

    def __init__(self, latency):
        self.latency, self.bursts, self.answers = latency, [], []

    def data(self, cycle, memory, value, strobes):
        word, left, bad = self.bursts[0]
        if word < SIZE_WORDS:
            for lane in range(WORD_BYTES):
                if strobes >> lane & 1:
                    memory[word * WORD_BYTES + lane] = value >> 8 * lane & 0xFF
        bad |= word >= SIZE_WORDS
        self.bursts[0] = (word + 1, left - 1, bad)
        if left == 0:
            self.bursts.pop(0)
            self.answers.append((cycle + self.latency, bad))


def lanes(values, bits):
    return sum(value << bits * port for port, value in enumerate(values))


def burst(rng):
    """A legal burst (word, length - 1): mostly inside the memory, some beyond its end."""
    word = rng.randrange(SIZE_WORDS + 200)
    return word, min(rng.choice((0, 0, 1, 3, 7, 15)), 1023 - word % 1024)


@cocotb.test()
async def traffic(dut):
    """Every valid, data, response and last of both ports in every cycle."""
    folder = Path(os.environ["COVENANT_WORK"])
    setting = json.loads((folder / "setting.json").read_text())
    rng = random.Random(setting["seed"])
    reads = [ReadPort(setting["read_latency"]) for _ in range(PORTS)]
    writes = [WritePort(setting["write_latency"]) for _ in range(PORTS)]
    history = [bytearray(SIZE_WORDS * WORD_BYTES) for _ in range(2)]     # as of this cycle, and of the one before
    for name in ("arvalid", "awvalid", "wvalid", "rready", "bready"):
        getattr(dut, name).value = 0
    dut.arsize.value = dut.awsize.value = lanes([SIZE_CODE] * PORTS, 3)
    dut.arburst.value = dut.awburst.value = lanes([INCR] * PORTS, 2)
    for _ in range(4):
        await FallingEdge(dut.clk)
    dut.rst.value = 0
    beats = answers = errors = stalls = 0
    held = [None] * PORTS
    for cycle in range(setting["cycles"]):
        drain = cycle > setting["cycles"] - 400
        # Random valids and readies of this cycle.
        ar = [not drain and len(reads[p].beats) < 40 and rng.random() < 0.2 for p in range(PORTS)]
        aw = [not drain and len(writes[p].bursts) < 8 and rng.random() < 0.15 for p in range(PORTS)]
        ready = [drain or rng.random() < setting["ready"] for _ in range(PORTS)]
        read_bursts, write_bursts = [burst(rng) for _ in range(PORTS)], [burst(rng) for _ in range(PORTS)]
        for p in range(PORTS):
            if ar[p]:
                reads[p].address(cycle, *read_bursts[p])
            if aw[p]:
                writes[p].bursts.append((*write_bursts[p], False))
        w = [bool(writes[p].bursts) and (drain or rng.random() < 0.7) for p in range(PORTS)]
        values, strobes = [rng.getrandbits(32) for _ in range(PORTS)], [rng.choice((15, 15, rng.randrange(16))) for _ in range(PORTS)]
        last = [bool(writes[p].bursts) and writes[p].bursts[0][1] == 0 for p in range(PORTS)]
        dut.arvalid.value, dut.awvalid.value, dut.wvalid.value = lanes(ar, 1), lanes(aw, 1), lanes(w, 1)
        dut.araddr.value = lanes([word * WORD_BYTES for word, _ in read_bursts], 16)
        dut.awaddr.value = lanes([word * WORD_BYTES for word, _ in write_bursts], 16)
        dut.arlen.value, dut.awlen.value = lanes([length for _, length in read_bursts], 8), lanes([length for _, length in write_bursts], 8)
        dut.wdata.value, dut.wstrb.value, dut.wlast.value = lanes(values, 32), lanes(strobes, 4), lanes(last, 1)
        dut.rready.value, dut.bready.value = lanes(ready, 1), lanes([1] * PORTS, 1)
        await ReadOnly()
        pins = {name: int(getattr(dut, name).value) for name in ("arready", "awready", "wready", "rvalid", "rdata", "rresp", "rlast", "bvalid", "bresp")}
        assert (pins["arready"], pins["awready"], pins["wready"]) == (3, 3, 3), f"cycle {cycle}: ready"
        for p in range(PORTS):
            beat = reads[p].expected(cycle)
            found = (pins["rvalid"] >> p & 1, pins["rdata"] >> 32 * p & 0xFFFFFFFF, pins["rresp"] >> 2 * p & 3, pins["rlast"] >> p & 1)
            assert found[0] == (beat is not None), f"cycle {cycle}: rvalid[{p}] is {found[0]}, expected beat {beat}"
            if beat is not None:
                word, is_last, _ = beat
                if held[p] is None:     # the data is that of the first cycle of the beat, and stays
                    content = history[1][word * WORD_BYTES:(word + 1) * WORD_BYTES]
                    held[p] = (1, int.from_bytes(content, "little"), 0, is_last) if word < SIZE_WORDS else (1, 0, DECERR, is_last)
                assert found == held[p], f"cycle {cycle}: R[{p}] is {found}, expected {held[p]}"
                stalls += not ready[p]
                if ready[p]:
                    reads[p].accept(cycle)
                    held[p] = None
                    beats += 1
            answer = writes[p].answers[0] if writes[p].answers and cycle >= writes[p].answers[0][0] else None
            found_answer = (pins["bvalid"] >> p & 1, pins["bresp"] >> 2 * p & 3)
            assert found_answer[0] == (answer is not None), f"cycle {cycle}: bvalid[{p}] is {found_answer[0]}, expected {answer}"
            if answer is not None:
                assert found_answer[1] == (DECERR if answer[1] else 0), f"cycle {cycle}: bresp[{p}]"
                writes[p].answers.pop(0)
                answers += 1
                errors += answer[1]
        history[1] = bytearray(history[0])
        for p in range(PORTS):
            if w[p]:
                writes[p].data(cycle, history[0], values[p], strobes[p])
        await FallingEdge(dut.clk)
    assert not any(port.beats for port in reads)
    assert not any(port.bursts or port.answers for port in writes)
    (folder / "traffic.json").write_text(json.dumps({"beats": beats, "answers": answers, "errors": errors, "stalls": stalls}))
