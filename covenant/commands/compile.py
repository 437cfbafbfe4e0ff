"""``covenant compile``."""

from acg.graph import load_graph
from covenant.errors import BROKEN, EXACT
from covenant.fallback import open_plan, placement_text, warn_if_idle, write_plan
from covenant.fallback.write import require_new_folder
from covenant.files import require_writable, write_bytes, write_json
from covenant.networks import compile_network
from covenant.warn import given

__all__ = ["compile_"]


def compile_(options) -> int:
    """Compile a network and write its program file."""
    if options.fallback:
        return _segments(options)
    graph = load_graph(options.arch)
    require_writable(options.output)
    given()
    _, program = compile_network(options.model, graph, shapes=dict(options.shape))
    data = program.to_bytes()
    write_bytes(options.output, data)
    summary = {"arch": graph.name, "model": options.model, "file": options.output, "bytes": len(data), "instructions": len(program.instructions),
               "layers": len(program.layers), "memory_bytes": program.external_bytes, "warnings": given()}
    if options.json:
        write_json(options.json, summary)
    else:
        counts = f"{summary['instructions']:,} instructions, {summary['layers']} layers, {summary['memory_bytes']:,} bytes of external memory"
        print(f"{options.output}: {counts}")
    return EXACT


def _segments(options) -> int:
    require_new_folder(options.output)
    given()
    plan = open_plan(options.model, options.arch, shapes=dict(options.shape))
    summary = write_plan(plan, options.output)
    idle = warn_if_idle(plan, options.model, dict(options.shape))
    if options.json:
        write_json(options.json, summary | {"folder": options.output, "warnings": given()})
    else:
        print(placement_text(summary["segments"], summary["placement"]))
        print(f"\n{options.output}: {len(summary['segments'])} segments and plan.json")
    return BROKEN if idle else EXACT
