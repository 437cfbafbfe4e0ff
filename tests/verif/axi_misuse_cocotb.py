"""cocotb test module: given pin values, held for some cycles, on the AXI memory. Runs inside the simulator."""

import json
import os
from pathlib import Path

import cocotb
from cocotb.triggers import FallingEdge


@cocotb.test()
async def misuse(dut):
    """Drive the pins of the setting for its ``cycles`` (default 2) after reset; the memory is expected to stop the simulation."""
    folder = Path(os.environ["COVENANT_WORK"])
    for name in ("arvalid", "awvalid", "wvalid", "rready", "bready"):
        getattr(dut, name).value = 0
    for _ in range(4):
        await FallingEdge(dut.clk)
    dut.rst.value = 0
    setting = json.loads((folder / "setting.json").read_text())
    cycles = setting.pop("cycles", 2)
    for name, value in setting.items():
        getattr(dut, name).value = value
    for _ in range(cycles):
        await FallingEdge(dut.clk)
    (folder / "survived").touch()
