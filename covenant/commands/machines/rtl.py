"""``covenant rtl``: a folder with everything that a system needs of a machine."""

from pathlib import Path

from acg.fingerprint import fingerprint
from acg.graph import architecture_names, load_graph
from covenant.errors import EXACT
from covenant.files import require_writable, write_json, write_text

__all__ = ["rtl"]


def rtl(options) -> int:
    """Write the Verilog and all that goes with it into a folder and say what was written."""
    from covenant.hardware import rtl_text
    from covenant.package.folder import files
    from hwgen.emit import generate

    graph = load_graph(options.arch)
    folder = Path(options.output or Path("build") / "rtl" / graph.name)
    require_writable(folder / f"{graph.name}.v")
    if options.arch in architecture_names():
        texts = generate(graph, verilog_text=rtl_text(graph)) | files(graph)
    else:
        path = Path(options.arch)
        source = path.name if path.is_absolute() else path.as_posix()
        texts = generate(graph, source=source) | files(graph, source=source)
    for name, text in texts.items():
        write_text(folder / name, text)
    names = [str(folder / name) for name in texts]
    if options.json:
        write_json(options.json, {"arch": graph.name, "fingerprint": f"{fingerprint(graph):016x}", "files": names})
    if options.json != "-":
        print("\n".join(names))
    return EXACT
