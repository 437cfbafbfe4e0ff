"""The banked memory with ports that begin at any word, against a Python model: widths, latencies, bounds, both errors."""

import random
import re
from itertools import chain

import pytest
from amaranth.sim import Simulator

from hwgen.memory.banked import PortWidths
from hwgen.memory.columns import ColumnScratchpad

CASES = [  # banks, depth_words, word_bits, columns, latency; readers and writers: bits, minus the words of an unaligned one; writers masked
    (4, 8, 32, 4, 1, [-4, 32, 8], [(-4, False), (16, True)]),
    (3, 12, 16, 4, 2, [-4, -2], [(-2, False), (16, False)]),
    (1, 2, 8, 2, 3, [-2], [(-2, False)]),
    (2, 16, 8, 8, 4, [8, -8], [(8, False)]),
    (4, 8, 32, 4, 1, [-4, 64, 128, 16], [(64, True), (-3, False), (8, False)]),
    (3, 12, 16, 4, 2, [64, -4, 32], [(64, False), (32, True)]),
]


def make(banks, depth_words, word_bits, columns, latency, readers, writers):
    bits = (banks * depth_words - 1).bit_length()

    def shape(width, masked=False):
        if width < 0:
            return PortWidths(-width * word_bits, bits, unaligned=True)
        return PortWidths(width, max(1, (banks * depth_words * word_bits // width - 1).bit_length()), masked)

    return ColumnScratchpad(banks=banks, depth_words=depth_words, word_bits=word_bits, columns=columns, read_latency_cycles=latency,
                            readers=[shape(width) for width in readers], writers=[shape(*writer) for writer in writers])


def simulate(dut, testbench):
    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()


class Traffic:
    """Random requests that meet in no bank, the bytes that they leave, and what each read must return."""

    def __init__(self, dut, rng):
        self.dut, self.rng = dut, rng
        self.word_bytes = dut.word_bits // 8
        self.words = dut.banks * dut.depth_words
        self.bytes = bytearray(self.words * self.word_bytes)

    def request(self, port, shape, used):
        """(address, words enabled, bytes touched), or None where it would meet another."""
        if not shape.unaligned:
            width = shape.data_bits // 8
            address = self.rng.randrange(len(self.bytes) // width)
            touched = [list(range(address * width, (address + 1) * width))]
            mask = 1
        else:
            address, mask = self.rng.randrange(1 << shape.addr_bits), self.rng.getrandbits(shape.data_bits // self.dut.word_bits)
            words = [(address + j) % (1 << shape.addr_bits) for j in range(shape.data_bits // self.dut.word_bits)]
            mask &= sum(1 << j for j, word in enumerate(words) if word < self.words)
            touched = [[word * self.word_bytes + i for i in range(self.word_bytes)] for word in words]
        banks = {part[0] // self.word_bytes // self.dut.depth_words for j, part in enumerate(touched) if mask >> j & 1}
        if self.rng.random() < 0.3 or banks & used:
            return None
        used |= banks
        return address, mask, touched


@pytest.mark.sim
@pytest.mark.parametrize("case", CASES, ids=lambda case: "x".join(str(number) for number in case[:5]))
def test_random_traffic_matches_the_model(case):
    seed = 5
    print("seed", seed)
    dut = make(*case)
    traffic = Traffic(dut, random.Random(seed))
    rng, latency, checked, errors = traffic.rng, dut.read_latency_cycles, 0, []
    expected = {}

    async def testbench(ctx):
        nonlocal checked
        for cycle in range(250):
            writes = []
            used = {"read": set(), "write": set()}
            for kind, ports, shapes in (("read", dut.read_ports, dut.readers), ("write", dut.write_ports, dut.writers)):
                for number, (port, shape) in enumerate(zip(ports, shapes, strict=True)):
                    asked = traffic.request(port, shape, used[kind])
                    ctx.set(port.en, asked is not None)
                    if asked is None:
                        continue
                    address, mask, touched = asked
                    ctx.set(port.addr, address)
                    if shape.unaligned:
                        ctx.set(port.mask, mask)
                    if kind == "read":
                        expected[cycle + latency, number] = {j: bytes(traffic.bytes[i] for i in part) for j, part in enumerate(touched) if mask >> j & 1}
                        continue
                    data = rng.randbytes(shape.data_bits // 8)
                    ctx.set(port.data, int.from_bytes(data, "little"))
                    enabled = [mask >> j & 1 for j in range(len(touched)) for _ in touched[j]]
                    if not shape.unaligned:
                        masked = rng.getrandbits(len(data)) if shape.byte_masked else (1 << len(data)) - 1
                        ctx.set(port.mask, masked)
                        enabled = [masked >> i & 1 for i in range(len(data))]
                    writes += [(place, byte) for place, byte, on in zip(chain(*touched), data, enabled, strict=True) if on]
            for place, byte in writes:
                traffic.bytes[place] = byte
            for number, (port, shape) in enumerate(zip(dut.read_ports, dut.readers, strict=True)):
                parts = expected.pop((cycle, number), {})
                found = ctx.get(port.data).to_bytes(shape.data_bits // 8, "little")
                for j, part in parts.items():
                    assert found[j * len(part):(j + 1) * len(part)] == part, (cycle, number, j)
                    checked += 1
            if ctx.get(dut.conflict) or ctx.get(dut.address_error):
                errors.append(cycle)
            await ctx.tick()

    simulate(dut, testbench)
    assert checked > 100
    assert errors == []


@pytest.mark.sim
@pytest.mark.parametrize("requests, conflict, address_error, port, address", [
    ({"read_0": (6, 0b1111), "read_1": (15, 1)}, 1, 0, 0, 24),  # words 6 to 9 and 15: both in bank 1
    ({"read_0": (6, 0b0011), "read_1": (15, 1)}, 0, 0, None, None),  # words 6 and 7 alone: bank 0
    ({"read_0": (6, 0b1111), "write_0": (6, 0b1111)}, 0, 0, None, None),
    ({"write_0": (22, 0b0100)}, 0, 1, 3, 88),  # word 24 of 24
    ({"write_0": (22, 0b0011)}, 0, 0, None, None),
    ({"read_0": (31, 0b0110)}, 0, 0, None, None),  # word 0 and 1, from below
    ({"read_0": (31, 0b0111)}, 0, 1, 0, 124),
])
def test_errors_name_the_port_and_the_byte(requests, conflict, address_error, port, address):
    dut = make(3, 8, 32, 4, 1, [-4, 32, 16], [(-4, False), (8, True)])

    async def testbench(ctx):
        for name, (word, mask) in requests.items():
            ctx.set(getattr(dut, name).en, 1)
            ctx.set(getattr(dut, name).addr, word)
            if name.endswith("_0"):
                ctx.set(getattr(dut, name).mask, mask)
        await ctx.tick()
        for name in requests:
            ctx.set(getattr(dut, name).en, 0)
        assert (ctx.get(dut.conflict), ctx.get(dut.address_error)) == (conflict, address_error)
        if port is not None:
            assert (ctx.get(dut.error_port), ctx.get(dut.error_address)) == (port, address)
        await ctx.tick()
        assert (ctx.get(dut.conflict), ctx.get(dut.address_error)) == (0, 0)

    simulate(dut, testbench)


@pytest.mark.parametrize("change, message", [
    ({"columns": 3}, "ColumnScratchpad: columns must be a power of two, not 3"),
    ({"depth_words": 6}, "ColumnScratchpad: depth_words must be a multiple of 4 columns, not 6"),
    ({"readers": [PortWidths(160, 3, unaligned=True)]}, "ColumnScratchpad: reader 0 has data_bits 160; it must be 1 to 4 words of 32"),
    ({"writers": [PortWidths(256, 3)]}, "ColumnScratchpad: writer 0 has data_bits 256; it must be a power of two between 8 and 128"),
    ({"columns": 1, "readers": [PortWidths(32, 3, unaligned=True)]},
     "ColumnScratchpad: reader 0 has data_bits 32; it must be of an aligned port, where there are no columns"),
])
def test_impossible_parameters_are_refused(change, message):
    parameters = {"banks": 2, "depth_words": 8, "word_bits": 32, "read_latency_cycles": 1, "columns": 4, "readers": [], "writers": []} | change
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        ColumnScratchpad(**parameters)
