"""The banked memory against a Python model: any depth, any mix of port widths, exact latency, and both errors."""

import random
import re

import pytest
from amaranth.sim import Simulator

from hwgen.memory.banked import PortWidths
from hwgen.memory.scratchpad import Scratchpad


class Model:
    """The memory as bytes, and what each read port must return at which cycle."""

    def __init__(self, dut):
        self.dut = dut
        self.bytes = bytearray(dut.banks * dut.depth_words * dut.word_bits // 8)

    def bank(self, address, data_bits):
        return address * data_bits // 8 // (self.dut.depth_words * self.dut.word_bits // 8)

    def read(self, address, data_bits):
        n = data_bits // 8
        return int.from_bytes(self.bytes[address * n:(address + 1) * n], "little")

    def write(self, address, data_bits, value, mask):
        n = data_bits // 8
        for i, byte in enumerate(value.to_bytes(n, "little")):
            if mask >> i & 1:
                self.bytes[address * n + i] = byte


def simulate(dut, testbench):
    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()


def addr_bits(banks, depth_words, word_bits, data_bits):
    """One bit more than the memory needs, so that addresses beyond it can be asked for."""
    return (banks * depth_words * word_bits // data_bits - 1).bit_length() + 1


CASES = [  # banks, depth_words, word_bits, latency, readers' bits, writers' (bits, masked)
    (4, 8, 32, 1, [32, 8, 16], [(32, False), (16, True)]),
    (3, 7, 64, 2, [64, 16], [(64, False), (16, False)]),
    (1, 5, 16, 4, [16], [(16, True)]),
    (2, 6, 32, 3, [8, 32], [(32, False)]),
    (5, 1, 8, 1, [8, 8], [(8, False), (8, False)]),
]


@pytest.mark.sim
@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c[0]}x{c[1]}x{c[2]}-latency{c[3]}")
def test_random_traffic_matches_the_model(case):
    banks, depth_words, word_bits, latency, reader_bits, writer_shapes = case
    seed = 17
    print("seed", seed)
    rng = random.Random(seed)
    dut = Scratchpad(
        banks=banks, depth_words=depth_words, word_bits=word_bits, read_latency_cycles=latency,
        readers=[PortWidths(bits, addr_bits(banks, depth_words, word_bits, bits)) for bits in reader_bits],
        writers=[PortWidths(bits, addr_bits(banks, depth_words, word_bits, bits), masked) for bits, masked in writer_shapes])
    model = Model(dut)
    expected = {}
    errors = []
    checked = 0

    async def testbench(ctx):
        nonlocal checked
        for cycle in range(600):
            used = {"r": set(), "w": set()}
            requests = ([("r", p, bits, i) for i, (p, bits) in enumerate(zip(dut.read_ports, reader_bits, strict=True))]
                        + [("w", p, bits, i) for i, (p, (bits, _)) in enumerate(zip(dut.write_ports, writer_shapes, strict=True))])
            pending = []
            for kind, port, bits, number in requests:
                size = banks * depth_words * word_bits // bits
                address = rng.randrange(size)
                enable = rng.random() < 0.7 and model.bank(address, bits) not in used[kind]
                ctx.set(port.en, enable)
                ctx.set(port.addr, address)
                if enable:
                    used[kind].add(model.bank(address, bits))
                if kind == "r" and enable:
                    expected[cycle + latency, number] = model.read(address, bits)
                if kind == "w":
                    value, masked = rng.getrandbits(bits), writer_shapes[number][1]
                    mask = rng.getrandbits(bits // 8) if masked else (1 << bits // 8) - 1
                    ctx.set(port.data, value)
                    ctx.set(port.mask, mask)
                    if enable:
                        pending.append((address, bits, value, mask))
            for write in pending:
                model.write(*write)
            for number, port in enumerate(dut.read_ports):
                if (cycle, number) in expected:
                    assert ctx.get(port.data) == expected.pop((cycle, number)), (cycle, number)
                    checked += 1
            if ctx.get(dut.conflict) or ctx.get(dut.address_error):
                errors.append(cycle)
            await ctx.tick()

    simulate(dut, testbench)
    assert checked > 150
    assert errors == []


def small():
    return Scratchpad(banks=3, depth_words=6, word_bits=32, read_latency_cycles=1,
                      readers=[PortWidths(32, 5), PortWidths(16, 6)], writers=[PortWidths(32, 5), PortWidths(8, 8, True)])


@pytest.mark.sim
@pytest.mark.parametrize("requests, conflict, address_error, port, address", [
    ({"read_0": 5, "read_1": 11}, 1, 0, 0, 20),       # words 5 and 5: bank 0 twice
    ({"read_0": 6, "read_1": 11}, 0, 0, None, None),  # banks 1 and 0
    ({"read_0": 6, "write_0": 7}, 0, 0, None, None),  # read and write port of one bank
    ({"write_0": 17, "write_1": 48}, 1, 0, 2, 68),    # words 17 and 12: bank 2 twice
    ({"read_1": 36}, 0, 1, 1, 72),                    # word 18 of 18
    ({"read_0": 0, "read_1": 0, "write_1": 200}, 1, 1, 3, 200),
])
def test_errors_name_the_port_and_the_byte(requests, conflict, address_error, port, address):
    dut = small()

    async def testbench(ctx):
        for name, value in requests.items():
            ctx.set(getattr(dut, name).en, 1)
            ctx.set(getattr(dut, name).addr, value)
        await ctx.tick()
        for name in requests:
            ctx.set(getattr(dut, name).en, 0)
        assert (ctx.get(dut.conflict), ctx.get(dut.address_error)) == (conflict, address_error)
        if port is not None:
            assert (ctx.get(dut.error_port), ctx.get(dut.error_address)) == (port, address)
        await ctx.tick()
        assert (ctx.get(dut.conflict), ctx.get(dut.address_error)) == (0, 0)

    simulate(dut, testbench)


@pytest.mark.sim
def test_a_write_beyond_the_memory_changes_nothing():
    dut = small()

    async def testbench(ctx):
        for address in range(18, 32):
            ctx.set(dut.write_0.en, 1)
            ctx.set(dut.write_0.addr, address)
            ctx.set(dut.write_0.data, 0xFFFFFFFF)
            await ctx.tick()
            assert ctx.get(dut.address_error)
        ctx.set(dut.write_0.en, 0)
        ctx.set(dut.read_0.en, 1)
        for address in range(18):
            ctx.set(dut.read_0.addr, address)
            await ctx.tick()
            assert ctx.get(dut.read_0.data) == 0

    simulate(dut, testbench)


def test_granularity_is_the_coarsest_that_serves_all_writers():
    def granularity(*writers):
        return Scratchpad(banks=1, depth_words=2, word_bits=64, read_latency_cycles=1, readers=[], writers=writers).granularity_bits

    assert granularity(PortWidths(64, 1)) == 64
    assert granularity(PortWidths(64, 1), PortWidths(16, 3)) == 16
    assert granularity(PortWidths(64, 1), PortWidths(16, 3, True)) == 8


@pytest.mark.parametrize("change, error, message", [
    ({"banks": 0}, ValueError, "Scratchpad: banks must be at least 1, not 0"),
    ({"depth_words": 2.0}, TypeError, "Scratchpad: depth_words must be an integer, not 2.0"),
    ({"word_bits": 24}, ValueError, "Scratchpad: word_bits must be a power of two and at least 8, not 24"),
    ({"readers": [PortWidths(64, 3)]}, ValueError,
     "Scratchpad: reader 0 has data_bits 64; it must be a power of two between 8 and 32"),
    ({"writers": [PortWidths(32, 3), PortWidths(12, 3)]}, ValueError,
     "Scratchpad: writer 1 has data_bits 12; it must be a power of two between 8 and 32"),
])
def test_impossible_parameters_are_refused(change, error, message):
    parameters = {"banks": 2, "depth_words": 4, "word_bits": 32, "read_latency_cycles": 1, "readers": [], "writers": []} | change
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        Scratchpad(**parameters)
