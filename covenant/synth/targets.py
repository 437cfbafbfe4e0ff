"""What is synthesised for: the script of each target, and what its cells are."""

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from covenant.errors import UserError

__all__ = ["CLASSES", "TARGETS", "classes_of", "nand2_area", "script"]

TARGETS = ("ecp5", "xilinx", "generic")
#: What cells are counted as. ``lut``: of 4 inputs on ecp5 and generic, of up to 6 on xilinx.
CLASSES = ("lut", "carry", "ff", "dsp", "ram", "lutram")
_CELLS = {
    "ecp5": {"lut": r"LUT4", "carry": r"CCU2C", "ff": r"TRELLIS_FF", "dsp": r"MULT(9|18)X(9|18)D|ALU54B", "ram": r"DP16KD|PDPW16KD",
             "lutram": r"TRELLIS_DPR16X4"},
    "xilinx": {"lut": r"LUT[1-6]", "carry": r"CARRY[48]", "ff": r"FD[RSCP]E", "dsp": r"DSP48E[12]", "ram": r"RAMB(18|36)E[12]|URAM288",
               "lutram": r"RAM(32|64|128|256)\w+"},
    "generic": {"lut": r"\$lut", "carry": r"\$alu|\$lcu", "ff": r"\$_\w*DFF\w*_", "dsp": r"\$mul|\$macc\w*", "ram": r"\$mem\w*", "lutram": r"(?!)"},
}


def script(target: str, top: str, *, liberty: str | None = None, netlist: str | None = None) -> str:
    """Yosys commands that synthesise ``design.v`` and write ``stat.json`` (and ``bits.json``, bits of memories, of the generic target).

    The hierarchy stays, so that cells can be told apart by module. ``liberty``: a file in the folder, of the generic target; ``netlist``: a file to write.
    """
    lines = ["read_verilog design.v"]
    if target == "ecp5":
        lines.append(f"synth_lattice -family ecp5 -noflatten -nowidelut -top {top}" + (f" -json {netlist}" if netlist else ""))
    elif target == "xilinx":
        lines.append(f"synth_xilinx -family xcup -noiopad -top {top}")
    else:
        lines += [f"hierarchy -check -top {top}", "proc", "tee -q -o bits.json stat -json", f"synth -noabc -run begin:fine -top {top}", "opt -fast -full",
                  "memory_map" if liberty else "opt_clean", "techmap", "opt -fast"]
        lines += [f"dfflibmap -liberty {liberty}", f"abc -liberty {liberty}"] if liberty else ["abc -lut 4"]
        lines.append("clean")
    lines.append("tee -q -o stat.json stat -json" + (f" -liberty {liberty}" if liberty else ""))
    return "\n".join(lines) + "\n"


def classes_of(target: str, cells: Mapping[str, int]) -> dict[str, int]:
    """Numbers of cells by class of `CLASSES`."""
    counted: Counter[str] = Counter()
    for name, number in cells.items():
        for kind, pattern in _CELLS[target].items():
            if re.fullmatch(pattern, name):
                counted[kind] += number
    return {kind: counted[kind] for kind in CLASSES}


def nand2_area(path: str | Path) -> float:
    """Area of the smallest two-input NAND of a Liberty file, in the file's unit. Raises UserError."""
    try:
        text = Path(path).read_text(errors="replace")
    except OSError as error:
        raise UserError(f"--liberty {path}: cannot be read ({error.strerror}); expected a Liberty file") from None
    found = []
    for match in re.finditer(r'\bcell\s*\(\s*"?([\w.]+)"?\s*\)\s*\{', text):
        area = re.search(r"\barea\s*:\s*\"?([\d.eE+-]+)", text[match.end():match.end() + 20000])
        if re.search(r"nand2", match[1], re.I) and area:
            found.append(float(area[1]))
    if not found or min(found) <= 0:
        raise UserError(f"--liberty {path}: found no cell with 'nand2' in its name and an area; expected a Liberty file of standard cells")
    return min(found)
