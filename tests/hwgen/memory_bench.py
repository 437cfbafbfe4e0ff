"""A unit with an activation, a weight and an accumulator port, driven cycle by cycle against its timing contract; what it does is recorded."""

import random

import numpy as np
from amaranth.sim import Simulator

PORTS = ("activation", "weight", "accumulator")


class MemoryBench:
    """Serves a unit its memories.

    ``unit`` is a component; ``memory`` arrays by port, one row a word; ``latency`` read latencies by port; ``timing()`` a fresh state of the contract;
    ``encoded(fields)`` a body of the unit's layout.
    """

    def __init__(self, unit, *, memory, latency, timing, encoded, seed):
        self.unit, self.memory, self.latency, self.timing, self.encoded = unit, memory, latency, timing, encoded
        self.rng = random.Random(seed)
        self.expected = memory["accumulator"].copy()
        self.starts, self.retires, self.reads, self.writes = [], [], dict.fromkeys(PORTS, 0), []
        self.cycle = 0

    async def memories(self, ctx):
        """Serve one cycle: data of past reads (garbage when there is none), reads, then the write."""
        for port in PORTS:
            signals = getattr(self.unit, port)
            data = self.lines[port].pop(0)
            ctx.set(signals.data, self.rng.getrandbits(len(signals.data)) if data is None else data)
            word = None
            if ctx.get(signals.en):
                self.reads[port] += 1
                word = int.from_bytes(self.memory[port][ctx.get(signals.addr)].tobytes(), "little")
            self.lines[port].append(word)
        result = self.unit.result
        if ctx.get(result.en):
            self.writes.append(self.cycle)
            assert ctx.get(result.mask) == (1 << len(result.mask)) - 1
            word = ctx.get(result.data).to_bytes(len(result.data) // 8, "little")
            self.memory["accumulator"][ctx.get(result.addr)] = np.frombuffer(word, np.int32)

    def simulate(self, testbench):
        self.lines = {port: [None] * latency for port, latency in self.latency.items()}
        simulator = Simulator(self.unit)
        simulator.add_clock(1e-6)
        simulator.add_testbench(testbench)
        simulator.run()

    def run(self, plan):
        """Run ``plan``, pairs of fields and the earliest start cycle, or a function of the retire cycles that gives it."""
        timing = self.timing()
        expected_retires = []

        async def bench(ctx):
            queue = list(plan)
            while queue or len(self.retires) < len(plan):
                # Ready is promised from ready_cycle on, whether or not an instruction waits.
                assert ctx.get(self.unit.ready) == (self.cycle >= timing.ready_cycle), f"ready in cycle {self.cycle}"
                busy = any(retire >= self.cycle for retire in expected_retires)
                assert ctx.get(self.unit.idle) == (not busy), f"idle in cycle {self.cycle}"
                begin = False
                if queue:
                    fields, earliest = queue[0]
                    begin = self.cycle >= max(earliest(expected_retires) if callable(earliest) else earliest, timing.ready_cycle)
                ctx.set(self.unit.start, begin)
                if begin:
                    ctx.set(self.unit.instr, self.encoded(fields))
                    expected_retires.append(timing.start(self.cycle, fields))
                    self.starts.append(self.cycle)
                    queue.pop(0)
                else:
                    ctx.set(self.unit.instr.as_value(), self.rng.getrandbits(self.unit.layout.size))
                if ctx.get(self.unit.retire):
                    self.retires.append(self.cycle)
                await self.memories(ctx)
                assert ctx.get(self.unit.error) == 0
                assert queue or self.cycle <= expected_retires[-1], "an instruction did not retire"
                await ctx.tick()
                self.cycle += 1
            ctx.set(self.unit.start, 0)
            for _ in range(4):
                assert ctx.get(self.unit.retire) == 0
                await self.memories(ctx)
                await ctx.tick()
            assert ctx.get(self.unit.idle) == 1

        self.simulate(bench)
        assert self.retires == expected_retires
        return self

    def halted(self, fields, moment, *, again):
        """Start an instruction, halt 20 cycles some cycles after it, start it anew without a reset and go on for ``again`` cycles: of the cycles in which
        the unit was halted, whether it left its ports alone. Tokens and commands of the work that was dropped are gone then."""
        unit, quiet = self.unit, []

        async def cycles(ctx, number):
            for _ in range(number):
                await self.memories(ctx)
                await ctx.tick()

        async def begin(ctx):
            ctx.set(unit.start, 1)
            ctx.set(unit.instr, self.encoded(fields))
            await cycles(ctx, 1)
            ctx.set(unit.start, 0)

        async def interrupt(ctx):
            await begin(ctx)
            await cycles(ctx, moment)
            assert ctx.get(unit.idle) == 0, "halt comes while work is under way"
            ctx.set(unit.halt, 1)
            for late in range(20):
                quiet.append(not any(ctx.get(getattr(unit, port).en) for port in (*PORTS, "result")))
                assert ctx.get(unit.ready) == 0
                assert ctx.get(unit.retire) == 0
                assert ctx.get(unit.idle) == (late > 0)
                await cycles(ctx, 1)
            ctx.set(unit.halt, 0)
            assert ctx.get(unit.ready) == 1
            await begin(ctx)
            await cycles(ctx, again)

        self.simulate(interrupt)
        return quiet
