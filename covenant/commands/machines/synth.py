"""``covenant synth``: what open synthesis makes of machines."""

from acg.graph import load_graph
from covenant.errors import BROKEN, EXACT, UserError
from covenant.files import require_writable, write_json, write_text
from covenant.synth.bounded import Bounds
from covenant.synth.measure import measure
from covenant.synth.show import page, text
from covenant.terminal.progress import Progress

__all__ = ["synth"]


def synth(options) -> int:
    """Measure machines block by block, print a table each; status 1 where a block left the bounds of memory or time."""
    if options.memory <= 0 or options.minutes <= 0:
        raise UserError(f"synth: --memory {options.memory:g} --minutes {options.minutes:g}; expected both above 0")
    if options.markdown:
        require_writable(options.markdown)
    graphs = [load_graph(name) for name in options.arch]
    bounds = Bounds(round(options.memory * 1e9), 60.0 * options.minutes)
    results = []
    for graph in graphs:
        progress = Progress(f"synth {graph.name}", quiet=options.quiet)
        results.append(measure(graph, options.target, bounds, only=options.block, liberty=options.liberty, clock=options.clock, note=progress.note))
        progress.clear()
        if options.json != "-":
            print(text(results[-1]) + "\n")
    if options.markdown:
        command = " ".join(["covenant synth", *options.arch, *(["--target", options.target] if options.target != "ecp5" else []),
                            *([] if options.clock else ["--no-clock"])])
        write_text(options.markdown, page(results, command=command))
    if options.json:
        write_json(options.json, {"machines": results})
    return BROKEN if any(result["failed"] for result in results) else EXACT
