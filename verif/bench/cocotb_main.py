"""cocotb test module of the bench: control registers, memory image, and one awaited interrupt a run. Runs inside the simulator."""

import ctypes
import json
import os
import time
from pathlib import Path

import cocotb
from cocotb.triggers import FallingEdge, First, ReadOnly, RisingEdge, Timer

from verif.rtl_coverage import FOLDER_VARIABLE

from .job import CONTROL_IRQ_ENABLE, CONTROL_SOFT_RESET, CONTROL_START, RESET_CYCLES, STATUS_ERROR, STATUS_IDLE, Job, JobRun

#: Simulation time of a clock cycle; main.cpp toggles the clock every nanosecond.
CYCLE_NS = 2
#: Cycles that a register access or the idle state after a soft reset may take.
ANSWER_CYCLES = 10_000


class RegisterBus:
    """AXI4-Lite manager. Signals change at the falling edge; a handshake is decided by what stands just before the rising edge."""

    def __init__(self, dut):
        self._dut = dut

    async def _transfer(self, channels: dict[str, bool], answer: str) -> None:
        """Hold each channel's valid until its ready was seen, until `answer` is valid."""
        dut = self._dut
        for _ in range(ANSWER_CYCLES):
            await ReadOnly()
            accepted = [name for name, pending in channels.items() if pending and int(getattr(dut, f"s_axil_{name}ready").value)]
            answered = int(getattr(dut, f"s_axil_{answer}valid").value)
            if answered:
                self.data = int(dut.s_axil_rdata.value)
                self.response = int(getattr(dut, f"s_axil_{answer}resp").value)
            await FallingEdge(dut.clk)
            for name in accepted:
                channels[name] = False
                getattr(dut, f"s_axil_{name}valid").value = 0
            if answered:
                getattr(dut, f"s_axil_{answer}ready").value = 0
                if self.response:
                    raise RuntimeError(f"register access: found response {self.response}, expected OKAY (0)")
                return
        raise RuntimeError(f"register access: found no answer in {ANSWER_CYCLES} cycles, expected s_axil_{answer}valid")

    async def write(self, offset: int, value: int) -> None:
        """Write a 32-bit register at a byte offset."""
        dut = self._dut
        await FallingEdge(dut.clk)
        dut.s_axil_awaddr.value = offset
        dut.s_axil_wdata.value = value
        dut.s_axil_wstrb.value = 0xF
        dut.s_axil_awvalid.value = dut.s_axil_wvalid.value = dut.s_axil_bready.value = 1
        await self._transfer({"aw": True, "w": True}, "b")

    async def read(self, offset: int) -> int:
        """Read a 32-bit register at a byte offset."""
        dut = self._dut
        await FallingEdge(dut.clk)
        dut.s_axil_araddr.value = offset
        dut.s_axil_arvalid.value = dut.s_axil_rready.value = 1
        await self._transfer({"ar": True}, "r")
        return self.data


class Image:
    """The simulated memory's bytes, reached through the simulator program's own symbols."""

    def __init__(self):
        program = ctypes.CDLL(None)
        program.covenant_memory.restype = ctypes.c_void_p
        program.covenant_memory_bytes.restype = ctypes.c_uint64
        program.covenant_cycles.restype = ctypes.c_uint64
        self.cycles = program.covenant_cycles
        self._base = program.covenant_memory()
        self._size = program.covenant_memory_bytes()

    def _check(self, address: int, size: int) -> None:
        if address < 0 or address + size > self._size:
            raise ValueError(f"memory image: found bytes {address} to {address + size}, expected addresses in [0, {self._size})")

    def load(self, data: bytes, places: list[list[int]]) -> None:
        """Copy (address, offset, size) pieces of `data` into the memory."""
        for address, offset, size in places:
            self._check(address, size)
            ctypes.memmove(self._base + address, data[offset:offset + size], size)

    def dump(self, places: list[list[int]]) -> bytes:
        """Bytes of (address, size) regions, one after another."""
        for address, size in places:
            self._check(address, size)
        return b"".join(ctypes.string_at(self._base + address, size) for address, size in places)


async def _finish(dut, bus: RegisterBus, job: Job) -> dict[str, object]:
    """Read the outcome of a run and lower the interrupt."""
    offset = job.registers
    names = ["STATUS", "ERROR_CODE", "ERROR_ENGINE", "ERROR_ADDRESS", "CYCLES_LO", "CYCLES_HI", *job.counters]
    values = {name: await bus.read(offset[name]) for name in names}
    await bus.write(offset["CONTROL"], 0)
    return {"status": values["STATUS"], "error_code": values["ERROR_CODE"], "error_engine": values["ERROR_ENGINE"],
            "error_address": values["ERROR_ADDRESS"], "cycles": values["CYCLES_HI"] << 32 | values["CYCLES_LO"],
            "counters": {name: values[name] for name in job.counters}}


async def inference(dut, bus: RegisterBus, image: Image, job: Job, run: JobRun, data: bytes) -> tuple[dict[str, object], bytes]:
    """One inference: load, start, sleep until the interrupt, read."""
    image.load(data, run.inputs)
    begun = int(dut.runs.value)
    first, seconds, cpu_seconds = image.cycles(), time.perf_counter(), time.process_time()
    await bus.write(job.registers["CONTROL"], CONTROL_IRQ_ENABLE | CONTROL_START)
    if not int(dut.irq.value):
        await First(RisingEdge(dut.irq), Timer(job.timeout_cycles * CYCLE_NS, "ns"))
    timed_out = not int(dut.irq.value)
    simulated, seconds, cpu_seconds = image.cycles() - first, time.perf_counter() - seconds, time.process_time() - cpu_seconds
    entry = await _finish(dut, bus, job)
    entry.update(timed_out=timed_out, simulated_cycles=simulated, seconds=seconds, cpu_seconds=cpu_seconds,
                 logged=int(dut.runs.value) != begun)
    return entry, image.dump(run.outputs)


async def recover(bus: RegisterBus, job: Job) -> None:
    """Soft reset after an error, then the configuration again."""
    await bus.write(job.registers["CONTROL"], CONTROL_SOFT_RESET)
    for _ in range(ANSWER_CYCLES):
        if await bus.read(job.registers["STATUS"]) & STATUS_IDLE:
            break
    else:
        raise RuntimeError("soft reset: found the machine busy, expected STATUS idle")
    for offset, value in job.configuration():
        await bus.write(offset, value)


async def configured(dut, folder: Path, image: Image | None = None) -> tuple[Job, RegisterBus, Image]:
    """Reset the machine, and load and configure what the folder's job says. ``image``: how the memory is reached, unless as in this simulator."""
    job, data = Job.read(folder), (folder / "data.bin").read_bytes()
    image, bus = image or Image(), RegisterBus(dut)
    for name in ("awvalid", "wvalid", "bready", "arvalid", "rready"):
        getattr(dut, f"s_axil_{name}").value = 0
    for _ in range(RESET_CYCLES):
        await FallingEdge(dut.clk)
    dut.rst.value = 0
    for _ in range(2):      # the bench holds reset in a register
        await FallingEdge(dut.clk)
    image.load(data, job.segments)
    for offset, value in job.configuration():
        await bus.write(offset, value)
    return job, bus, image


async def execute_job(dut, folder: Path, image: Image | None = None) -> None:
    """Run the folder's job, and leave ``outputs.bin`` and ``result.json`` in it; ``image`` as in `configured`."""
    job, bus, image = await configured(dut, folder, image)
    data = (folder / "data.bin").read_bytes()
    entries: list[dict] = []
    with open(folder / "outputs.bin", "wb") as outputs:
        for index, run in enumerate(job.runs):
            if index and entries[-1]["status"] & STATUS_ERROR:
                await recover(bus, job)
            entry, dumped = await inference(dut, bus, image, job, run, data)
            entries.append(entry)
            outputs.write(dumped)
            if entries[-1]["timed_out"] or (entries[-1]["status"] & STATUS_ERROR and not job.keep_going):
                break
    (folder / "result.json").write_text(json.dumps(entries))


@cocotb.test()
async def execute(dut):
    """Run the job of the folder COVENANT_WORK names."""
    await execute_job(dut, Path(os.environ["COVENANT_WORK"]))
    if FOLDER_VARIABLE in os.environ:
        target = Path(os.environ[FOLDER_VARIABLE]) / f"{os.getpid()}_{time.time_ns()}.dat"
        ctypes.CDLL(None).covenant_write_coverage(str(target).encode())
