"""cocotb test module of the hostile bench: memories behind every master, a host at the registers, one step after another."""

import ctypes
import json
import logging
import os
from pathlib import Path

import cocotb
from cocotb.triggers import ClockCycles, First, RisingEdge, Timer
from cocotb.utils import get_sim_time
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiResp
from cocotbext.axi.sparse_memory import SparseMemory

from verif.bench.job import CONTROL_IRQ_ENABLE, CONTROL_SOFT_RESET, CONTROL_START, RESET_CYCLES, STATUS_ERROR, STATUS_IDLE

from .memory import CYCLE_NS, Behaviour, connect
from .scenario import Scenario, Stalls, Step

_REGISTERS = ("STATUS", "ERROR_CODE", "ERROR_ENGINE", "ERROR_ADDRESS", "CYCLES_LO", "CYCLES_HI")


class Registers:
    """The control registers by name, through cocotbext-axi's AXI4-Lite master."""

    def __init__(self, dut, offsets: dict[str, int], timeout_cycles: int):
        self._timeout_ns = timeout_cycles * CYCLE_NS
        self._master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk, dut.rst)
        self._offsets = offsets
        self.behaviour = Behaviour("control")

    def pause(self) -> None:
        """Let the host stall too."""
        write, read = self._master.write_if, self._master.read_if
        sides = {"aw": write.aw_channel, "w": write.w_channel, "b": write.b_channel, "ar": read.ar_channel, "r": read.r_channel}
        for channel, side in sides.items():
            side.set_pause_generator(self.behaviour.pauses(channel))

    async def write(self, offset: int, value: int) -> None:
        """Write the register at a byte offset."""
        answer = await self._master.write(offset, value.to_bytes(4, "little"))
        if answer.resp != AxiResp.OKAY:
            raise RuntimeError(f"register at {offset:#x}: found response {answer.resp.name}, expected OKAY")

    async def control(self, value: int) -> None:
        """Write CONTROL."""
        await self.write(self._offsets["CONTROL"], value)

    async def read(self, name: str) -> int:
        """Read a register."""
        answer = await self._master.read(self._offsets[name], 4)
        if answer.resp != AxiResp.OKAY:
            raise RuntimeError(f"register {name}: found response {answer.resp.name}, expected OKAY")
        return int.from_bytes(answer.data, "little")

    async def state(self) -> dict[str, int]:
        """Status, error and cycles."""
        values = {name: await self.read(name) for name in _REGISTERS}
        cycles = values.pop("CYCLES_LO") | values.pop("CYCLES_HI") << 32
        return {**{name.lower(): value for name, value in values.items()}, "cycles": cycles}

    async def reset(self) -> dict[str, int]:
        """Soft reset; returns the state after it. What the host wrote must have stayed, so nothing is written again.

        The machine completes its transactions first, which takes what the stalled bus takes.
        """
        await self.control(CONTROL_SOFT_RESET)
        end_ns = get_sim_time("ns") + self._timeout_ns
        while get_sim_time("ns") < end_ns:
            if await self.read("STATUS") & STATUS_IDLE:
                return await self.state()
        raise RuntimeError(f"soft reset: found the machine busy after {self._timeout_ns // CYCLE_NS} cycles, expected idle")


async def _step(dut, registers: Registers, memory: SparseMemory, behaviours: list, step: Step, timeout_cycles: int) -> dict:
    """One run: until the interrupt, or until its soft reset."""
    for address, data in step.inputs:
        memory.write(address, data)
    for behaviour in behaviours:
        behaviour.set(step.stalls, step.faults, step.seed)
    await registers.control(CONTROL_IRQ_ENABLE | CONTROL_START)
    entry: dict = {"timed_out": False, "after_reset": None}
    if step.reset_after_cycles is None:
        if not int(dut.irq.value):
            await First(RisingEdge(dut.irq), Timer(timeout_cycles * CYCLE_NS, "ns"))
        entry["interrupt"] = int(dut.irq.value)
        entry["timed_out"] = not entry["interrupt"]
        entry.update(await registers.state())
        if entry["status"] & STATUS_ERROR:
            entry["after_reset"] = await registers.reset()
    else:
        if step.reset_after_cycles:
            await ClockCycles(dut.clk, step.reset_after_cycles)
        entry["after_reset"] = await registers.reset()
        entry.update(entry["after_reset"], interrupt=int(dut.irq.value))
    await registers.control(0)
    entry["outputs"] = [memory.read(address, size).hex() for address, size in step.outputs]
    return entry


@cocotb.test()
async def execute(dut):
    """Run the scenario of the folder COVENANT_WORK names."""
    logging.getLogger("cocotb").setLevel(logging.WARNING)
    folder = Path(os.environ["COVENANT_WORK"])
    scenario = Scenario.read(folder)
    clock_cycles = ctypes.CDLL(None).covenant_cycles
    clock_cycles.restype = ctypes.c_uint64
    memory = SparseMemory(scenario.memory_bytes)
    for address, data in scenario.segments:
        memory.write(address, data)
    pausing = any(step.stalls.fraction > 0 for step in scenario.steps)
    behaviours = [connect(dut, name, writes=writes, memory=memory, pausing=pausing,
                          latency_cycles=scenario.write_latency_cycles if writes else scenario.read_latency_cycles)
                  for name, writes in scenario.ports.items()]
    registers = Registers(dut, scenario.registers, scenario.timeout_cycles)
    behaviours.append(registers.behaviour)
    if pausing:
        registers.pause()
    dut.rst.value = 1
    await ClockCycles(dut.clk, RESET_CYCLES)
    dut.rst.value = 0
    await ClockCycles(dut.clk, RESET_CYCLES)
    for offset, value in scenario.configuration:
        await registers.write(offset, value)
    entries = []
    for step in scenario.steps:
        first = clock_cycles()
        entry = await _step(dut, registers, memory, behaviours, step, scenario.timeout_cycles)
        entry.update(first_cycle=first, end_cycle=clock_cycles())
        entries.append(entry)
        if entry["timed_out"]:
            break
        for behaviour in behaviours:
            behaviour.set(Stalls(), (), 0)
    await ClockCycles(dut.clk, RESET_CYCLES)
    (folder / "result.json").write_text(json.dumps(entries))
