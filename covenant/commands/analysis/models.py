"""``covenant models``: networks of the MLPerf Tiny and ImageNet classes in one table."""

from pathlib import Path

from acg.graph import load_graph
from covenant.errors import BROKEN, EXACT, UserError
from covenant.files import require_writable, write_json, write_text
from covenant.hardware import cache_folder
from covenant.optimised import optimiser
from covenant.terminal.progress import Progress
from covenant.zoo.measure import markdown, measure, text
from covenant.zoo.quantised import model_file
from covenant.zoo.topologies import TOPOLOGIES

__all__ = ["models"]


def _chosen(names: list[str]) -> list[tuple[str, Path | None]]:
    """Pairs of name and file, None for a network of the zoo."""
    chosen: list[tuple[str, Path | None]] = []
    for name in names or list(TOPOLOGIES):
        if name in TOPOLOGIES:
            chosen.append((name, None))
        elif Path(name).is_file():
            chosen.append((Path(name).stem, Path(name)))
        else:
            raise UserError(f"models: {name!r} is neither a file nor a network of the zoo; expected an ONNX file or one of {', '.join(TOPOLOGIES)}")
    return chosen


def models(options) -> int:
    """Measure the networks named, or all of the zoo, and print the table; JSON and Markdown to files."""
    graph = load_graph(options.arch)
    chosen = _chosen(options.network)
    for path in (options.markdown, options.json if options.json != "-" else None):
        if path:
            require_writable(path)
    rows, search = [], optimiser(options, "models")
    for number, (name, path) in enumerate(chosen, 1):
        progress = Progress(f"models {number}/{len(chosen)} {name}", quiet=options.quiet)
        progress.note("quantising (kept for the next time), compiling" if path is None else "compiling")
        file = path or model_file(name, cache_folder().parent / "models")
        row = measure(name, file, graph, on=options.on, seed=options.seed, search=search, progress=progress)
        for line in row["divergence"]:
            progress.note(line)
        rows.append(row)
    if options.json:
        write_json(options.json, {"arch": graph.name, "on": options.on, "networks": rows})
    if options.markdown:
        write_text(options.markdown, markdown(rows, graph, on=options.on))
    if options.json != "-":
        print(text(rows))
    return EXACT if all(row["exact"] for row in rows) else BROKEN
