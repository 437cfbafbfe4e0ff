"""``covenant layers``: fourteen layers on some machines, cycles against the bound."""

from acg.graph import load_graph
from covenant.errors import BROKEN, EXACT, UserError
from covenant.files import require_writable, write_json, write_text
from covenant.hardware import cache_folder
from covenant.terminal.progress import Progress
from covenant.zoo.single import SINGLE, layer_file
from covenant.zoo.single_table import markdown, mean_share, measure, text

__all__ = ["MACHINES", "layers"]

#: Machines of docs/layers.md.
MACHINES = ("edge16", "mobile16", "dsp")


def layers(options) -> int:
    """Measure the layers named, or all, on each machine, and print the table; JSON and Markdown to files."""
    unknown = [name for name in options.layer if name not in SINGLE]
    if unknown:
        raise UserError(f"layers: {unknown[0]!r} is none of them; expected {', '.join(SINGLE)}")
    graphs = [load_graph(name) for name in options.arch or MACHINES]
    twice = next((graph.name for number, graph in enumerate(graphs) if graph.name in [other.name for other in graphs[:number]]), None)
    if twice:
        raise UserError(f"layers: two machines named {twice}; expected each once")
    on = options.on or ["predict"]
    if len(on) not in (1, len(graphs)):
        raise UserError(f"layers: --on {len(on)} times for {len(graphs)} machines; expected it once, or once a machine in their order")
    for path in (options.markdown, options.json if options.json != "-" else None):
        if path:
            require_writable(path)
    rows = []
    for graph, where in zip(graphs, on * (len(graphs) if len(on) == 1 else 1), strict=True):
        for name in options.layer or SINGLE:
            progress = Progress(f"layers {graph.name} {name}", quiet=options.quiet)
            progress.note("quantising (kept for the next time), compiling")
            rows.append(measure(name, layer_file(name, cache_folder().parent / "models"), graph, on=where, seed=options.seed, progress=progress))
            for line in rows[-1]["divergence"]:
                progress.note(line)
    if options.json:
        means = {graph.name: mean_share([row for row in rows if row["arch"] == graph.name]) for graph in graphs}
        write_json(options.json, {"layers": rows, "geometric_mean": means})
    if options.markdown:
        write_text(options.markdown, markdown(rows, graphs))
    if options.json != "-":
        print(text(rows))
    return BROKEN if any(row["exact"] is False for row in rows) else EXACT
