"""What the tests of the vector unit share: instruction bodies, small units, random instructions, and a bench that compares each byte with the
functional model and each cycle with `VectorTiming`."""

import numpy as np
from amaranth.sim import Simulator

from acg import primitives
from acg.kinds.vector import ESTIMATES
from acg.timing.vector import VectorTiming
from hwgen.layout import body_layout
from hwgen.units.vector.unit import CODES, FIELDS, NEEDED_BY, OPTIONAL_FIELDS, VectorDestination, VectorSource, VectorUnit
from verif.iss.vector import execute_vector

LEVELS = range(6)
#: What a unit offers where nothing else is said.
OPERATIONS = ("MAC", "SUM", "MAXIMUM", "ADD", "MUL", "MIN", "MAX", "REQUANTIZE", "TABLE")
WORDS = {"a": 64, "b": 64, "p": 16, "y": 128}
SIGNED = {"a_zero", "b_zero", "y_zero", "y_low", "y_high", "q_low", "q_high", "y_origin", "x_origin"}
WIDTHS = {
    "a_select": 2, "b_select": 2, "estimate": 2, "reduce": 2, "binary": 3, "scale_a": 32, "scale_b": 32, "scale_y": 32, "scale_y_low": 28, "q_scale": 32,
    **dict.fromkeys(["a_zero", "b_zero", "y_zero", "y_low", "y_high", "q_low", "q_high"], 9),
    **{f"{axis}_{name}": width for axis in "yx" for name, width in (("origin", 7), ("bound", 6), *((f"step_{n}", 4) for n in LEVELS))},
    **{f"n_{level}": 5 for level in LEVELS},
    **{f"{port}_base": (WORDS[port] - 1).bit_length() for port in WORDS},
    **{f"{port}_stride_{level}": WORDS[port].bit_length() for port in WORDS for level in LEVELS},
}


def fields_there(operations):
    """Fields of a unit that offers these operations, the optional ones among them."""
    return [name for name in (*FIELDS, *OPTIONAL_FIELDS) if name not in NEEDED_BY or set(NEEDED_BY[name]) & set(operations)]


def body(operations, lanes):
    """Layout of instructions; an element of a that may be broadcast to all lanes widens what counts elements."""
    broadcast_lanes = lanes if "BROADCAST_MAC" in operations else 0
    rows, offset = [], 0
    for name in fields_there(operations):
        width = WIDTHS.get(name, 1)
        if broadcast_lanes and (name == "a_base" or name.startswith("a_stride_")):
            width += (broadcast_lanes - 1).bit_length()
        rows.append((name, width, offset, name in SIGNED or "_stride_" in name))
        offset += width
    return body_layout(rows)


def encode(layout, fields):
    word = 0
    for name, field in layout:
        value = fields[name] - (name.startswith("n_"))
        word |= (value & ((1 << field.width) - 1)) << field.offset
    return word


def unit(*, lanes=2, a=((8, 1),), b=((8, 1),), p_latency=1, y=(8,), table_banks=2, table_write_bytes=4, operations=OPERATIONS, registers=None):
    return VectorUnit(
        operations=operations, body=body(operations, lanes), lanes=lanes, a_sources=[VectorSource(bits, 6, latency) for bits, latency in a],
        b_sources=[VectorSource(bits, 6, latency) for bits, latency in b], p_addr_bits=4, p_read_latency_cycles=p_latency,
        y_destinations=[VectorDestination(bits, 7) for bits in y], table_banks=table_banks, table_write_bytes=table_write_bytes,
        registers=registers)


def expected_accesses(fields):
    """Reads and writes that an instruction makes, by port."""
    n = [fields[f"n_{level}"] for level in LEVELS]
    index = np.indices(n)
    y = fields["y_origin"] + fields["y_step_2"] * index[2] + fields["y_step_4"] * index[4]
    x = fields["x_origin"] + fields["x_step_3"] * index[3] + fields["x_step_5"] * index[5]
    inside = (y >= 0) & (y < fields["y_bound"]) & (x >= 0) & (x < fields["x_bound"])
    results = inside.size // (n[4] * n[5]) if fields.get("reduce", 0) else inside.size
    return {"a": int(inside.sum()), "b": inside.size * fields.get("b_enable", 0), "p": results * fields.get("p_enable", 0), "y": results}


def float_patterns(rng, shape):
    """float32 patterns as int32: mostly of moderate magnitude; zeros, subnormals, infinities and patterns of NaN now and then."""
    moderate = rng.choice([-1, 1], shape) * 2.0 ** rng.uniform(-20, 20, shape)
    edges = np.array([0, 1 << 31, 1, 0x8000_0001, 0x007F_FFFF, 0x0080_0000, 0x7F7F_FFFF, 0x7F80_0000, 0xFF80_0000, 0x7FC0_0000, 0xFF80_0001], np.uint32)
    return np.where(rng.random(shape) < 0.8, moderate.astype(np.float32).view(np.uint32), rng.choice(edges, shape)).view(np.int32)


class Bench:
    """The unit among memories: words come back exactly in the cycle their latency promises, garbage in any other."""

    def __init__(self, dut, rng):
        self.dut, self.rng = dut, rng

        def words(kind, bits, width):
            # Small int32 values half of the time, so that sums do not always wrap.
            if bits == 8:
                return rng.integers(0, 256, (WORDS[kind], width), dtype=np.uint8)
            full = rng.integers(-(1 << 31), 1 << 31, (WORDS[kind], width))
            small = (full >> rng.integers(0, 31, full.shape)).astype(np.int32)
            return np.where(rng.random(full.shape) < 0.5, small, float_patterns(rng, full.shape))

        self.a = [words("a", source.element_bits, dut.lanes) for source in dut.a_sources]
        self.b = [words("b", source.element_bits, dut.lanes) for source in dut.b_sources]
        self.p = words("p", 32, 2 * dut.lanes)
        scales = rng.uniform(-1, 1, (WORDS["p"], dut.lanes)).astype(np.float32) * np.float32(2.0) ** rng.integers(-30, 1, (WORDS["p"], 1))
        self.p[:, dut.lanes:] = scales.astype(np.float32).view(np.int32)
        self.y = [words("y", destination.element_bits, dut.lanes) for destination in dut.y_destinations]
        self.table = rng.integers(0, 256, 256 * max(1, dut.table_banks), dtype=np.uint8)
        self.expected = [item.copy() for item in self.y]
        self.starts, self.retires, self.errors, self.log = [], [], [], []
        self.reads = {"a": 0, "b": 0, "p": 0}
        latencies = [source.read_latency_cycles for source in (*dut.a_sources, *dut.b_sources)]
        self.readers = list(zip([*dut.a_ports, *dut.b_ports], [*self.a, *self.b], latencies, strict=True))
        if dut.has_parameters:
            self.readers.append((dut.p, self.p, dut.p_read_latency_cycles))

    def execute(self, fields):
        execute_vector(fields, lanes=self.dut.lanes, a_memories=self.a, b_memories=self.b or [np.zeros((64, self.dut.lanes), np.uint8)],
                       parameter=self.p, table=self.table, y_memories=self.expected)

    async def fill_table(self, ctx):
        chunk = self.dut.table_write_bytes
        ctx.set(self.dut.table.en, 1)
        ctx.set(self.dut.table.mask, -1 & ((1 << chunk) - 1))
        for word in range(self.table.size // chunk):
            ctx.set(self.dut.table.addr, word)
            ctx.set(self.dut.table.data, int.from_bytes(self.table[word * chunk:(word + 1) * chunk].tobytes(), "little"))
            await ctx.tick()
        ctx.set(self.dut.table.en, 0)

    def run(self, program, *, gap=lambda: 0, halt_at=None, cycles=None):
        """Run (fields, ...) in order; ``gap()`` cycles of delay before each start. Checks ready and idle in every cycle."""
        dut, layout = self.dut, body(self.dut.offers, self.dut.lanes)
        timing = VectorTiming(read_latency_cycles=dut.read_latency_cycles, stages=dut.stages, address_cycles=dut.address_cycles)
        predicted = []

        async def bench(ctx):
            if dut.table_banks:
                await self.fill_table(ctx)
            due = [{} for _ in self.readers]
            queue = list(program)
            wait = gap()
            cycle = 0
            while cycle < cycles if cycles is not None else queue or any(cycle <= retire + 2 for _, retire in predicted):
                halted = halt_at is not None and cycle >= halt_at
                ctx.set(dut.halt, halted)
                for index, (port, memory, _) in enumerate(self.readers):
                    word = due[index].pop(cycle, None)
                    if word is None:
                        word = int.from_bytes(self.rng.bytes(memory[0].nbytes), "little")
                    ctx.set(port.data, word)
                ready = bool(ctx.get(dut.ready))
                if not halted:
                    assert ready == (cycle >= timing.ready_cycle), f"ready in cycle {cycle}"
                    assert ctx.get(dut.idle) == (not any(start < cycle <= retire for start, retire in predicted)), f"idle in cycle {cycle}"
                starting = bool(queue) and ready and wait == 0
                ctx.set(dut.start, starting)
                # Between starts the body is garbage: the unit must have captured what it needs.
                word = int.from_bytes(self.rng.bytes(layout.size // 8 + 1), "little") & ((1 << layout.size) - 1)
                ctx.set(dut.instr.as_value(), encode(layout, queue[0]) if starting else word)
                for index, (port, memory, latency) in enumerate(self.readers):
                    if ctx.get(port.en):
                        assert not halted
                        self.reads["p" if index == len(dut.a_ports) + len(dut.b_ports) else "a" if index < len(dut.a_ports) else "b"] += 1
                        due[index][cycle + latency] = int.from_bytes(memory[ctx.get(port.addr)].tobytes(), "little")
                for port, memory in zip(dut.y_ports, self.y, strict=True):
                    if ctx.get(port.en):
                        assert not halted and ctx.get(port.mask) == (1 << memory[0].nbytes) - 1
                        data = ctx.get(port.data).to_bytes(memory[0].nbytes, "little")
                        self.log.append((cycle, memory, ctx.get(port.addr), np.frombuffer(data, memory.dtype)))
                if ctx.get(dut.retire):
                    assert not halted
                    self.retires.append(cycle)
                if ctx.get(dut.error):
                    self.errors.append((cycle, ctx.get(dut.error_code), ctx.get(dut.error_address)))
                if starting:
                    fields = queue.pop(0)
                    predicted.append((cycle, timing.start(cycle, fields)))
                    self.starts.append(cycle)
                    wait = gap()
                elif wait:
                    wait -= 1
                await ctx.tick()
                cycle += 1
            self.idle_at_end = bool(ctx.get(dut.idle))

        simulator = Simulator(dut)
        simulator.add_clock(1e-6)
        simulator.add_testbench(bench)
        simulator.run()
        self.predicted = predicted

    def check(self, program):
        assert len(self.starts) == len(program)
        assert self.retires == [retire for _, retire in self.predicted]
        assert self.errors == [] and self.idle_at_end
        written = iter([*self.log, (1 << 62, None, 0, 0)])
        cycle, memory, address, word = next(written)
        for number, (fields, retire) in enumerate(zip(program, self.retires, strict=True)):
            self.execute(fields)
            assert cycle <= retire
            while cycle <= retire:
                memory[address] = word
                cycle, memory, address, word = next(written)
            for actual, expected in zip(self.y, self.expected, strict=True):
                np.testing.assert_array_equal(actual, expected, err_msg=f"instruction {number}: {fields}")
        assert memory is None
        accesses = [expected_accesses(fields) for fields in program]
        assert self.reads == {port: sum(access[port] for access in accesses) for port in self.reads}
        assert len(self.log) == sum(access["y"] for access in accesses)


def pattern(value):
    return int(np.float32(value).view(np.uint32))


def plain(operations=(*OPERATIONS, *ESTIMATES, "BROADCAST_MAC", "FAKE_QUANTIZE"), **given):
    """A pass-through of one iteration."""
    fields = dict.fromkeys(fields_there(operations), 0) | {f"n_{level}": 1 for level in LEVELS}
    known = {"y_bound": 1, "x_bound": 1, "scale_a": pattern(1), "scale_b": pattern(1), "scale_y": pattern(1), "y_low": -128, "y_high": 255,
             "q_low": -256, "q_high": 255, "q_scale": pattern(1)}
    assert not set(given) - set(fields)
    return fields | {name: value for name, value in known.items() if name in fields} | given


def random_fields(rng, dut, *, iterations=60):
    """Any instruction: all operations, padding, strides that wrap, counts with a limited product."""
    def pick(low, high):
        return int(rng.integers(low, high))

    fields = plain()
    left = pick(1, iterations + 1)
    for level in rng.permutation(6):
        fields[f"n_{level}"] = pick(1, min(left, 32) + 1)
        left //= fields[f"n_{level}"]
    for port in WORDS:
        fields[f"{port}_base"] = pick(0, WORDS[port])
        for level in (0, 1) if port == "p" else LEVELS:
            reach = int(rng.choice([1, 3, WORDS[port]]))
            fields[f"{port}_stride_{level}"] = pick(-reach, reach)
    for axis, levels in (("y", (2, 4)), ("x", (3, 5))):
        if pick(0, 2):
            fields |= {f"{axis}_origin": pick(-6, 6), f"{axis}_bound": pick(1, 40)}
            fields |= {f"{axis}_step_{level}": pick(0, 4) for level in levels}
    for name, limit in (("a_signed", 2), ("b_signed", 2), ("b_enable", 2), ("p_enable", 2), ("int_op", 2), ("numeric", 2), ("quantize", 2),
                        ("table_enable", 2), ("table_select", max(1, dut.table_banks)),
                        ("a_select", len(dut.a_sources)), ("b_select", max(1, len(dut.b_sources))), ("y_select", len(dut.y_destinations))):
        fields[name] = pick(0, limit)
    for name, codes in CODES.items():
        fields[name] = int(rng.choice([0, *sorted({code for operation, code in codes.items() if operation in dut.offers})]))
    fields |= {"a_float": pick(0, 2), "b_float": pick(0, 2)}
    if "broadcast" in fields_there(dut.offers) and pick(0, 3):
        fields |= {"broadcast": 1, "a_base": pick(0, WORDS["a"] * dut.lanes)}
        for level in LEVELS:
            reach = int(rng.choice([1, 3, WORDS["a"] * dut.lanes]))
            fields[f"a_stride_{level}"] = pick(-reach, reach)
    if not dut.b_sources:
        fields["b_enable"] = 0
    for name in ("a_zero", "b_zero", "y_zero"):
        fields[name] = pick(-256, 256)
    fields["y_low"], fields["y_high"] = sorted((pick(-256, 256), pick(-256, 256)))
    fields["q_low"], fields["q_high"] = (pick(-256, 256), pick(-256, 256)) if pick(0, 6) == 0 else sorted((pick(-256, 256), pick(-256, 256)))
    fields["q_scale"] = pattern(np.float32(2.0) ** rng.integers(-12, 6) * -rng.uniform(1, 2))
    scale = np.float32(2.0) ** rng.integers(-12, 6, 3) * rng.uniform(1, 2, 3).astype(np.float32)
    fields["scale_a"], fields["scale_b"] = pattern(scale[0] * 0.01), pattern(-scale[1])
    fields["scale_y"], fields["scale_y_low"] = primitives.divide_constant(scale[2]) if pick(0, 2) else primitives.scale_constant(scale[2])
    if pick(0, 8) == 0:   # infinities, zeros and subnormals from the fields
        fields[str(rng.choice(["scale_a", "scale_b", "scale_y", "q_scale"]))] = int(rng.choice([0, 0x7F00_0000, 0x7F80_0000, 0x8000_0001, 0x0080_0000]))
    return {name: value for name, value in fields.items() if name in fields_there(dut.offers)}
