"""Run control: start, end, first error, watchdog, soft reset, cycle counter, interrupt.

Cycle 0 of a run is the first cycle with ``running`` = 1. It is the second cycle after the one in which the write of the start bit is
accepted, or later if engines are still completing bus transactions. A run whose last instruction retires at cycle r is running in cycles
0 to r + 1, so the cycle counter ends at r + 2.
"""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Sequencer", "error_layout"]


def error_layout() -> data.StructLayout:
    """One source of errors: pulse or level, error code, 1 + engine index (0: none to blame), address or instruction number."""
    return data.StructLayout({"valid": 1, "code": 8, "engine": 8, "address": 32})


class _State(enum.Enum, shape=3):
    STOPPED = 0
    ARMED = 1
    RUNNING = 2
    FAILED = 3
    RESETTING = 4


class Sequencer(wiring.Component):
    """State of the machine as a whole: stopped, armed, running, failed or resetting.

    Errors count while running; the first cycle with one ends the run, and of several in that cycle the source with the lowest index is
    recorded. A failed machine ignores starts until a soft reset. Soft reset halts everything, waits until all is idle (a memory that never
    answers needs the hard reset instead), and clears engines, queues, counters and the error; registers the host wrote remain.

    Parameters
    ----------
    fingerprint : int
        64 bits; a program made for another one is refused.
    external_bytes : int
        Size of the external memory; the program must lie inside.
    instruction_bytes : int
        A power of two; the program must be aligned to it.
    sources : int
        Number of error sources.
    code_fingerprint, code_external, code_watchdog : int
        Error codes.

    Ports
    -----
    start, soft_reset : In(1)
        Pulses from the control register. ``start`` is ignored unless stopped.
    irq_enable, program_fingerprint, program_address, program_count, watchdog_cycles : In
        Registers.
    errors : In(sources x error_layout())
    all_idle : In(1)
        No engine and no bus port has anything in flight.
    finished : In(1)
        Every instruction is dispatched, started and retired.
    activity : In(1)
        Something moved in this cycle. After ``watchdog_cycles`` (unless 0) cycles without, the run fails.
    begin : Out(1)
        Pulse in the cycle before cycle 0: load the fetch unit, clear the counters.
    running, halt, clear : Out(1)
        Engines may start; engines must stop; reset pulse for engines and queues.
    busy, done, error, idle, irq : Out(1)
        Status bits; ``irq`` is a level, ``done | error`` if enabled; the cycle of a command no longer shows ``done``.
    error_code, error_engine, error_address, cycles : Out
    """

    def __init__(self, *, fingerprint: int, external_bytes: int, instruction_bytes: int, sources: int, code_fingerprint: int,
                 code_external: int, code_watchdog: int):
        if instruction_bytes < 1 or instruction_bytes & (instruction_bytes - 1):
            raise ValueError(f"Sequencer: instruction_bytes must be a power of two, not {instruction_bytes}")
        if not 0 <= fingerprint < 1 << 64:
            raise ValueError(f"Sequencer: fingerprint must be an unsigned 64-bit number, not {fingerprint}")
        if sources < 1:
            raise ValueError(f"Sequencer: sources must be at least 1, not {sources}")
        self.fingerprint = fingerprint
        self.external_bytes = external_bytes
        self.instruction_bytes = instruction_bytes
        self.sources = sources
        self.code_fingerprint = code_fingerprint
        self.code_external = code_external
        self.code_watchdog = code_watchdog
        super().__init__({
            "start": In(1),
            "soft_reset": In(1),
            "irq_enable": In(1),
            "program_fingerprint": In(64),
            "program_address": In(64),
            "program_count": In(32),
            "watchdog_cycles": In(32),
            "errors": In(data.ArrayLayout(error_layout(), sources)),
            "all_idle": In(1),
            "finished": In(1),
            "activity": In(1),
            "begin": Out(1),
            "running": Out(1),
            "halt": Out(1),
            "clear": Out(1),
            "busy": Out(1),
            "done": Out(1),
            "error": Out(1),
            "idle": Out(1),
            "irq": Out(1),
            "error_code": Out(8),
            "error_engine": Out(8),
            "error_address": Out(32),
            "cycles": Out(64),
        })

    def elaborate(self, platform):
        m = Module()
        outside = Signal()
        shift = self.instruction_bytes.bit_length() - 1
        last = (self.external_bytes >> shift) - self.program_count
        m.d.comb += outside.eq((self.program_address[:shift] != 0) | (self.program_address[shift:] > last))
        expired = self._watchdog(m)

        def fail(code, engine=0, address=0):
            m.d.sync += [self.error.eq(1), self.error_code.eq(code), self.error_engine.eq(engine), self.error_address.eq(address)]

        state = Signal(_State)
        with m.Switch(state):
            with m.Case(_State.STOPPED), m.If(self.start):
                m.d.sync += self.done.eq(0)
                with m.If(self.program_fingerprint != self.fingerprint):
                    fail(self.code_fingerprint)
                    m.d.sync += state.eq(_State.FAILED)
                with m.Elif(outside):
                    fail(self.code_external, address=self.program_address[:32])
                    m.d.sync += state.eq(_State.FAILED)
                with m.Else():
                    m.d.comb += self.begin.eq(self.all_idle)
                    m.d.sync += state.eq(Mux(self.all_idle, _State.RUNNING, _State.ARMED))
            with m.Case(_State.ARMED):
                m.d.comb += self.begin.eq(self.all_idle)
                with m.If(self.all_idle):
                    m.d.sync += state.eq(_State.RUNNING)
            with m.Case(_State.RUNNING):
                m.d.comb += self.running.eq(1)
                m.d.sync += self.cycles.eq(self.cycles + 1)
                failed = Signal()
                m.d.comb += failed.eq(expired | Cat(source.valid for source in self.errors).any())
                with m.If(failed):
                    m.d.sync += state.eq(_State.FAILED)
                    fail(self.code_watchdog)
                    for cause in reversed(list(self.errors)):
                        with m.If(cause.valid):
                            fail(cause.code, cause.engine, cause.address)
                with m.Elif(self.finished):
                    m.d.sync += [self.done.eq(1), state.eq(_State.STOPPED)]
            with m.Case(_State.FAILED):
                m.d.comb += self.halt.eq(1)
            with m.Case(_State.RESETTING):
                m.d.comb += self.halt.eq(1)
                with m.If(self.all_idle):
                    m.d.comb += self.clear.eq(1)
                    m.d.sync += [self.error.eq(0), self.error_code.eq(0), self.error_engine.eq(0), self.error_address.eq(0)]
                    m.d.sync += state.eq(_State.STOPPED)
        with m.If(self.soft_reset):
            m.d.sync += [self.done.eq(0), state.eq(_State.RESETTING)]
        with m.If(self.begin | self.clear):
            m.d.sync += self.cycles.eq(0)
        m.d.comb += [
            self.busy.eq((state == _State.ARMED) | (state == _State.RUNNING) | (state == _State.RESETTING)),
            self.idle.eq(~self.busy & self.all_idle),
            # One write may enable the interrupt and give a command that takes ``done`` back in the next cycle.
            self.irq.eq(self.irq_enable & ((self.done & ~self.start & ~self.soft_reset) | self.error)),
        ]
        return m

    def _watchdog(self, m: Module):
        # Activity comes from everywhere, hence into a register alone; the count begins at 1 for the cycle that this takes.
        still, quiet_cycles = Signal(name="still"), Signal(32, init=1, name="quiet_cycles")
        m.d.sync += [still.eq(self.running & ~self.activity), quiet_cycles.eq(Mux(still, quiet_cycles + 1, 1))]
        return (self.watchdog_cycles != 0) & still & (quiet_cycles >= self.watchdog_cycles)
