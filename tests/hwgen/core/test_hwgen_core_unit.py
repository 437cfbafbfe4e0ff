"""A whole small core on a hand-written kernel: bytes against numpy, the cycle of its retirement, and what stops it.

The kernel is a 1x1 convolution of 4 channels, 4 pixels a tile, with padding on the left and on the right, requantised:

    LDV pixels  ->  4 DOT, a pixel each  ->  4 REQ, a pixel each into a quarter  ->  STV
"""

import re

import numpy as np
import pytest
from amaranth.sim import Simulator

from acg import primitives
from acg.graph import load_graph, parse_graph
from acg.isa import instruction_set
from acg.kinds.core.packets import Kernel, Op, packet_format
from acg.regmap import ErrorCode
from acg.timing.core import CoreTiming
from hwgen.layout import body_layout
from hwgen.units.core.build import build_core
from hwgen.units.socket import PortSocket, Socket

pytestmark = pytest.mark.sim

#: dsp_tiny with vectors of 16 bytes and the operations of this kernel.
CHANGES = (("vector_bytes: 32", "vector_bytes: 16"), ("registers: 32", "registers: 16"), ("in_streams: 3", "in_streams: 2"),
           ("parameter_sets: 2", "parameter_sets: 1"), ("M0: [DOT, DOTH, DOTV, LMAC, MAXV, ADDV, PERM]", "M0: [DOT]"),
           ("      M1: [DOT, DOTH, DOTV, LMAC, MAXV, ADDV]\n", ""), ("L: [LDV, LDW, STV]", "L: [LDV, STV]"),
           ("X: [REQ, REQB, CVT, RND, FMUL, FADD, FSUB, FMIN, FMAX, RESC, EST]", "X: [REQ]"), ("{M0: 4, M1: 4, L: 5, X: 15}", "{M0: 4, L: 5, X: 15}"),
           ("  - {from: lut, to: core, port: table}\n", ""), ("  - {from: load, to: lut, port: destination}\n", ""),
           ("  lut: {kind: table, element: i8, entries: 256, banks: 2}\n", "  more: {kind: scratchpad, element: i8, lanes: 4, banks: 1, depth_words: 64,\n"
            "    read_latency_cycles: 1}\n"),
           ("  - {from: core, to: act, port: store}\n", "  - {from: core, to: act, port: store}\n  - {from: more, to: core, port: load}\n"
            "  - {from: load, to: more, port: destination}\n"))
CAPABILITIES = ("DOT", "REQUANTIZE", "COPY")
LOADED, STORED, LAST = 5, 24, 6  # issue of the first DOT and of the store behind that of the load; tiles
PIXELS, ZERO = 21, 9


def graph():
    text = load_graph("dsp_tiny").description
    for old, new in CHANGES:
        assert old in text, old
        text = text.replace(old, new)
    lines = [line for line in text.splitlines() if not re.match(r"\s+- \(", line) or any(f"={name}(" in line for name in CAPABILITIES)]
    return parse_graph("\n".join(lines) + "\n")


GRAPH = graph()
ENGINE = GRAPH.engines["core"]
PACKETS = packet_format(ENGINE)
CODE_BASE = 3


def kernel():
    body = [{} for _ in range(4)]

    def put(cycle, slot, name, **fields):
        assert slot not in body[cycle % 4]
        body[cycle % 4][slot] = Op(name, stage=cycle // 4, fields=fields)

    put(0, "L", "LDV", d=0, s=0)
    for pixel in range(4):
        put(LOADED + pixel, "M0", "DOT", d=8 + pixel, a=0, b=1, c=2, k=pixel)
        put(LOADED + 4 + pixel, "X", "REQ", d=4, a=8 + pixel, b=3, quarter=pixel, pack=0, set=0, form=0)
    # The last quarter is there when the next tile's first one is about to be.
    put(27, "L", "STV", a=4, s=0, first=0)
    return Kernel(tuple({"L": Op("LDV", fields={"d": register, "s": 1})} for register in (1, 2, 3)), (), tuple(body))


class Data:
    """Operands, where they stand, and the expected bytes."""

    def __init__(self, seed=4):
        print("seed", seed)
        rng = np.random.default_rng(seed)
        self.x = rng.integers(0, 256, (PIXELS, 4)).astype(np.uint8)
        w = rng.integers(-128, 128, (4, 4)).astype(np.int8)
        bias, scale = rng.integers(-3000, 3000, 4).astype(np.int32), rng.uniform(0.001, 0.01, 4).astype(np.float32)
        self.act, self.wgt = (bytearray(rng.integers(0, 256, 4096).astype(np.uint8).tobytes()) for _ in range(2))
        self.act[4 * 50:4 * 50 + self.x.nbytes] = self.x.tobytes()
        self.wgt[64:112] = w.tobytes() + bias.tobytes() + scale.tobytes()
        rows = np.full((4 * LAST, 4), ZERO, np.int64)
        rows[1:1 + PIXELS] = self.x[:4 * LAST - 1]
        total = ((rows - ZERO) @ w.T.astype(np.int64) + bias).astype(np.int32)
        self.constant = primitives.divide_constant(0.37)
        value = primitives.multiply_constant(primitives.multiply(primitives.int32_to_float32(total), scale), *self.constant)
        y = primitives.saturate(primitives.round_to_int32(value), 12, 0, 255).astype(np.uint8)
        # Results from pixel 2 of the row on are written, up to the row's end.
        self.expected = bytearray(self.act)
        self.expected[4 * 500:4 * (500 + 4 * LAST - 3)] = y[:4 * LAST - 3].tobytes()
        self.code = {CODE_BASE + number: word for number, word in enumerate(map(PACKETS.encode, kernel().packets))}

    def fields(self, **changes):
        values = {name: 0 for name, _ in layout()}
        values |= {name: 0 if biased else value for name, (value, biased) in {}.items()}
        low, high = self.constant
        return values | {
            "code_base": CODE_BASE, "prologue_packets": 3, "prologue_count": 0, "body_packets": 3, "body_count": LAST - 1, "tiles": 0, "drain_packets": STORED,
            "iterations": LAST, "a_zero": ZERO, "w_signed": 1, "q0_scale_y": low, "q0_scale_y_low": high, "q0_zero": 12, "q0_high": 255,
            "in0_enable": 1, "in0_granules": 3, "in0_bounded": 1, "in0_base": 49, "in0_n_5": LAST - 1, "in0_stride_5": 4, "in0_y_bound": 1,
            "in0_x_origin": -1, "in0_x_step_5": 4, "in0_x_step_word": 1, "in0_x_bound": PIXELS,
            "in1_enable": 1, "in1_select": 1, "in1_granules": 3, "in1_base": 16, "in1_n_5": 2, "in1_stride_5": 4,
            "out0_enable": 1, "out0_granules": 3, "out0_bounded": 1, "out0_base": 500, "out0_n_5": LAST - 1, "out0_stride_5": 4, "out0_y_bound": 1,
            "out0_x_step_5": 4, "out0_x_step_word": 1, "out0_x_bound": 4 * LAST - 3,
        } | changes


def layout():
    own = instruction_set(GRAPH).formats["core"]
    return body_layout([(field.name, field.width, field.lsb - own.body_lsb, field.signed) for field in own.fields], size_bits=own.body_bits)


def unit():
    """The core, as its builder makes it from the numbers of its place."""
    ports = {}
    for port in ENGINE.ports:
        memories = [(link, GRAPH.memories[link.memory]) for link in GRAPH.links_of("core", port.name)]
        ports[port.name] = tuple(PortSocket(8, (memory.size_bytes // link.port_bytes - 1).bit_length(), memory.read_latency_cycles, memory.banks,
                                            words=link.words) for link, memory in memories)
    return build_core(Socket(
        sizes=ENGINE.sizes, tables=ENGINE.tables, operations=ENGINE.operations, body=layout(), ports=ports, bus_bits=64, bus_address_bits=32,
        external_bytes=GRAPH.external.size_bytes, chunk_bytes=GRAPH.chunk_bytes("core"), codes={code.name: code for code in ErrorCode})).component


class Memories:
    """What the ports of a core are connected to."""

    def __init__(self, dut, data):
        self.dut, self.data = dut, data
        self.arriving = {}

    def cycle(self, ctx):
        """Serve what is asked in this cycle; what was asked in the last one arrives."""
        dut, data = self.dut, self.data
        for port, value in self.arriving.items():
            ctx.set(getattr(dut, port).data, value)
        self.arriving = {}
        if ctx.get(dut.code.en):
            self.arriving["code"] = int.from_bytes(data.code.get(ctx.get(dut.code.addr), b""), "little")
        for name, memory in (("load_0", data.act), ("load_1", data.wgt)):
            port = getattr(dut, name)
            if ctx.get(port.en):
                words = [memory[4 * place:4 * place + 4] for place in ((ctx.get(port.addr) + j) % 1024 for j in range(4))]
                words = [bytes(word) if ctx.get(port.mask) >> j & 1 else b"\xee" * 4 for j, word in enumerate(words)]
                self.arriving[name] = int.from_bytes(b"".join(words), "little")
        port = dut.store_0
        if ctx.get(port.en):
            value = ctx.get(port.data).to_bytes(16, "little")
            for j in range(4):
                if ctx.get(port.mask) >> j & 1:
                    place = (ctx.get(port.addr) + j) % 1024
                    data.act[4 * place:4 * place + 4] = value[4 * j:4 * j + 4]


def run(dut, body):
    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(body)
    sim.run()


def test_the_kernel_is_exact_and_retires_when_predicted():
    dut, data = unit(), Data()
    first = bytes(data.act)
    meant = {"prologue_packets": 3, "body_packets": 4, "body_count": LAST, "drain_packets": STORED}
    ends = CoreTiming(code_latency_cycles=1, latency_cycles=15).start(0, meant)

    async def testbench(ctx):
        memories = Memories(dut, data)
        for attempt in range(2):
            assert ctx.get(dut.ready) and ctx.get(dut.idle)
            for cycle in range(ends + 1):
                ctx.set(dut.instr, data.fields() if cycle == 0 else {name: -1 if "stride" in name else 1 for name in ("in0_stride_5", "body_packets")})
                ctx.set(dut.start, cycle == 0)
                memories.cycle(ctx)
                assert ctx.get(dut.retire) == (cycle == ends), cycle
                assert ctx.get(dut.ready) == (cycle == 0) and not ctx.get(dut.error), cycle
                await ctx.tick()
            assert data.act == data.expected, attempt
            data.act[:] = first

    run(dut, testbench)


def stopped(changes, code):
    """(code, address) of the error that an instruction ends in."""
    dut, data = unit(), Data()
    data.code |= code
    found = []

    async def testbench(ctx):
        memories = Memories(dut, data)
        for cycle in range(90):
            ctx.set(dut.instr, data.fields(**changes))
            ctx.set(dut.start, cycle == 0)
            memories.cycle(ctx)
            if found:
                ctx.set(dut.halt, 1)
                assert not ctx.get(dut.store_0.en) and not ctx.get(dut.load_0.en)
            if ctx.get(dut.error):
                found.append((ErrorCode(ctx.get(dut.error_code)).name, ctx.get(dut.error_address)))
            assert not ctx.get(dut.retire) or not found
            await ctx.tick()
        assert ctx.get(dut.idle)

    run(dut, testbench)
    return found


L = PACKETS.slots["L"].operation


@pytest.mark.parametrize("changes, code, error", [
    ({"in1_select": 3}, {}, [("ILLEGAL", 3)]),
    ({}, {CODE_BASE + 4: (3 << L.lsb).to_bytes(16, "little")}, [("ILLEGAL", CODE_BASE + 4)]),
    ({"out0_enable": 0}, {}, [("ILLEGAL", CODE_BASE + 3 + 3)]),
    ({"in0_enable": 0}, {}, [("ILLEGAL", CODE_BASE + 3)]),
], ids=["link", "operation", "store", "load"])
def test_what_does_not_exist_stops_it(changes, code, error):
    assert stopped(changes, code) == error
