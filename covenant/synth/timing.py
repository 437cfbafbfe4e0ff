"""Place and route of a block for an ECP5, and what limits its clock."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Longest", "longest_path", "nextpnr_command"]


@dataclass(frozen=True)
class Longest:
    """The longest path of a block: nanoseconds, cells on it, names of the registers at its ends (below the block; ``ports`` for what is outside)."""

    nanoseconds: float
    cells: int
    begin: str
    end: str


def nextpnr_command(program: str, netlist: str, report: str) -> list[str]:
    """Places and routes for the largest ECP5 of speed grade 6, whatever the timing."""
    return [program, "--85k", "--package", "CABGA756", "--speed", "6", "--json", netlist, "--report", report, "--freq", "100", "--timing-allow-fail",
            "--lpf-allow-unconstrained", "--seed", "1", "--quiet"]


def _register(cell: str) -> str:
    """A register's signal from a cell's name."""
    if not cell.startswith("dut."):
        return "ports"
    name = re.sub(r"(_TRELLIS_FF|_CCU2C|_LUT4|_DP16KD|_MULT18|_PFUMX|_L6MUX|_DPR16X4|\$).*$", "", cell.removeprefix("dut."))
    return re.sub(r"(_Q|_DI|_LSR|_CE)(_\d+)?$", "", name)


def longest_path(report: Path) -> tuple[float, Longest | None]:
    """Clock in MHz and the path that limits it, from nextpnr's report; (0, None) for a block without a path between registers."""
    data = json.loads(report.read_text())
    clocks = [entry["achieved"] for entry in data.get("fmax", {}).values()]
    found = None
    for entry in data.get("critical_paths", []):
        steps = entry["path"]
        if not entry["from"].startswith("posedge") or not entry["to"].startswith("posedge") or not steps:
            continue
        delay = sum(step["delay"] for step in steps)
        cells = sum(step["type"] == "logic" for step in steps)
        path = Longest(round(delay, 2), cells, _register(steps[0]["from"]["cell"]), _register(steps[-1]["to"]["cell"]))
        found = path if found is None or path.nanoseconds > found.nanoseconds else found
    return (round(min(clocks), 1) if clocks else 0.0), found
