"""Dispatch: each fetched instruction is checked and written to the queue of its engine."""

from amaranth.hdl import Array, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Dispatch"]


class Dispatch(wiring.Component):
    """Passes one instruction a cycle at most, in order, while ``enable``; stops for good at the first bad one.

    Parameters
    ----------
    instruction_bits : int
        Width of an instruction.
    engine_lsb : int
        Lowest of the 8 bits that hold 1 + the index of its engine.
    engines : int
        Number of engines, 1 to 255.
    parity : int
        What the XOR of an instruction's halfwords must be.
    code_check, code_illegal, code_bus : int
        Error codes of a wrong parity, of an engine that does not exist, of a bus error while fetching.

    Ports
    -----
    valid, ready, instruction, parity, bus_error
        From the fetch unit.
    queue_valid, queue_ready : Out(engines), In(engines)
        One bit an engine; the entry is cut out of ``instruction`` by who connects the queue.
    dispatched, engine : Out(1), Out(8)
        An instruction is being written to the queue of this engine (index) in this cycle.
    count : Out(32)
        Instructions dispatched since ``clear``.
    error, error_code, error_engine
        The next instruction is bad (level while ``enable``): its engine field as it stands (0 if the whole instruction is not to be
        trusted); its number in the program is ``count``.
    """

    def __init__(self, *, instruction_bits: int, engine_lsb: int, engines: int, parity: int, code_check: int, code_illegal: int,
                 code_bus: int):
        if not 1 <= engines <= 255:
            raise ValueError(f"Dispatch: engines must be between 1 and 255, not {engines}")
        if not 0 <= engine_lsb <= instruction_bits - 8:
            raise ValueError(f"Dispatch: engine_lsb must be between 0 and {instruction_bits - 8}, not {engine_lsb}")
        if not 0 <= parity < 1 << 16:
            raise ValueError(f"Dispatch: parity must be between 0 and 65535, not {parity}")
        self.instruction_bits = instruction_bits
        self.engine_lsb = engine_lsb
        self.engines = engines
        self.expected_parity = parity
        self.code_check = code_check
        self.code_illegal = code_illegal
        self.code_bus = code_bus
        super().__init__({
            "enable": In(1),
            "clear": In(1),
            "valid": In(1),
            "ready": Out(1),
            "instruction": In(instruction_bits),
            "parity": In(16),
            "bus_error": In(1),
            "queue_valid": Out(engines),
            "queue_ready": In(engines),
            "dispatched": Out(1),
            "engine": Out(8),
            "count": Out(32),
            "error": Out(1),
            "error_code": Out(8),
            "error_engine": Out(8),
        })

    def elaborate(self, platform):
        m = Module()
        number = Signal(8)
        m.d.comb += number.eq(self.instruction[self.engine_lsb:self.engine_lsb + 8])
        with m.If(self.bus_error):
            m.d.comb += self.error_code.eq(self.code_bus)
        with m.Elif(self.parity != self.expected_parity):
            m.d.comb += self.error_code.eq(self.code_check)
        with m.Elif((number == 0) | (number > self.engines)):
            m.d.comb += [self.error_code.eq(self.code_illegal), self.error_engine.eq(number)]
        good, room = Signal(name="good"), Signal(name="room")
        m.d.comb += [
            good.eq(self.error_code == 0),
            room.eq(Array([0, *self.queue_ready])[number]),
            self.error.eq(self.enable & self.valid & ~good),
            self.dispatched.eq(self.enable & self.valid & good & room),
            self.ready.eq(self.dispatched),
            self.engine.eq(number - 1),
        ]
        for index in range(self.engines):
            m.d.comb += self.queue_valid[index].eq(self.enable & self.valid & good & (number == index + 1))
        with m.If(self.clear):
            m.d.sync += self.count.eq(0)
        with m.Elif(self.dispatched):
            m.d.sync += self.count.eq(self.count + 1)
        return m
