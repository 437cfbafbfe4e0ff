"""cocotb test module: one cycle of given pin values on the AXI memory. Runs inside the simulator."""

import json
import os
from pathlib import Path

import cocotb
from cocotb.triggers import FallingEdge


@cocotb.test()
async def misuse(dut):
    """Drive the pins of the setting for one cycle after reset; the memory is expected to stop the simulation."""
    folder = Path(os.environ["COVENANT_WORK"])
    for name in ("arvalid", "awvalid", "wvalid", "rready", "bready"):
        getattr(dut, name).value = 0
    for _ in range(4):
        await FallingEdge(dut.clk)
    dut.rst.value = 0
    for name, value in json.loads((folder / "setting.json").read_text()).items():
        getattr(dut, name).value = value
    await FallingEdge(dut.clk)
    await FallingEdge(dut.clk)
    (folder / "survived").touch()
