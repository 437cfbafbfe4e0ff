"""``covenant rtl``: everything that is generated from a graph alone."""

from pathlib import Path

from acg.fingerprint import fingerprint
from acg.graph import architecture_names, load_graph
from covenant.errors import EXACT
from covenant.files import require_writable, write_json, write_text

__all__ = ["rtl"]


def rtl(options) -> int:
    """Write Verilog, sidecar, header and manual into a folder and say what was written."""
    from covenant.hardware import rtl_text
    from hwgen.emit import generate

    graph = load_graph(options.arch)
    folder = Path(options.output or Path("build") / "rtl" / graph.name)
    require_writable(folder / f"{graph.name}.v")
    if options.arch in architecture_names():
        texts = generate(graph, verilog_text=rtl_text(graph))
    else:
        source = Path(options.arch)
        texts = generate(graph, source=source.name if source.is_absolute() else source.as_posix())
    for name, text in texts.items():
        write_text(folder / name, text)
    files = [str(folder / name) for name in texts]
    if options.json:
        write_json(options.json, {"arch": graph.name, "fingerprint": f"{fingerprint(graph):016x}", "files": files})
    else:
        print("\n".join(files))
    return EXACT
