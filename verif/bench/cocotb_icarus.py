"""The cocotb test on Icarus Verilog: as `cocotb_main`, with a clock of cocotb's and the memory reached word by word. Runs inside the simulator."""

import os
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.utils import get_sim_time

from .cocotb_main import CYCLE_NS, execute_job


class Image:
    """The simulated memory. Bytes that nobody has written are unknown, and to read one is an error."""

    def __init__(self, memory):
        self._words = memory
        self._bytes = len(memory[0]) // 8

    def cycles(self) -> int:
        """Clock cycles since the simulation began."""
        return int(get_sim_time("ns")) // CYCLE_NS

    def load(self, data: bytes, places: list[list[int]]) -> None:
        """Copy (address, offset, size) pieces of `data` into the memory."""
        for address, offset, size in places:
            words: dict[int, list[str]] = {}
            for place in range(size):
                word, lane = divmod(address + place, self._bytes)
                bits = words.setdefault(word, list(str(self._words[word].value)))
                low = 8 * (self._bytes - 1 - lane)
                bits[low:low + 8] = format(data[offset + place], "08b")
            for word, bits in words.items():
                self._words[word].value = cocotb.types.LogicArray("".join(bits))

    def dump(self, places: list[list[int]]) -> bytes:
        """Bytes of (address, size) regions, one after another. Raises ValueError for an unknown one."""
        result = bytearray()
        for address, size in places:
            for byte in range(address, address + size):
                word, lane = divmod(byte, self._bytes)
                low = 8 * (self._bytes - 1 - lane)
                bits = str(self._words[word].value)[low:low + 8]
                if set(bits) - {"0", "1"}:
                    raise ValueError(f"memory byte {byte:#x}: found {bits}, expected a known value")
                result.append(int(bits, 2))
        return bytes(result)


@cocotb.test()
async def execute(dut):
    """Run the job of the folder COVENANT_WORK names."""
    folder = Path(os.environ["COVENANT_WORK"])
    dut.rst.value = 1
    Clock(dut.clk, CYCLE_NS, "ns").start()
    await execute_job(dut, folder, Image(dut.external.memory))  # type: ignore[arg-type]
