"""``covenant rtl``: everything that is generated from a graph alone."""

from pathlib import Path

from acg.graph import load_graph
from covenant.errors import EXACT

__all__ = ["rtl"]


def rtl(options) -> int:
    """Write Verilog, sidecar, header and manual into a folder and say what was written."""
    from hwgen.emit import emit

    graph = load_graph(options.arch)
    folder = Path(options.output or Path("build") / "rtl" / graph.name)
    for path in emit(graph, folder):
        print(path)
    return EXACT
