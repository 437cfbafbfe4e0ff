"""``covenant trace``: the timeline for Perfetto."""

from acg.predictor import predict
from covenant.errors import EXACT
from covenant.files import require_writable, write_bytes, write_json
from covenant.networks import open_network

__all__ = ["trace"]


def trace(options) -> int:
    """Write the predicted timeline of a program (or of a network, compiled first) as a Perfetto trace: the cycles that the RTL takes."""
    from covenant.analysis.trace import perfetto_trace

    require_writable(options.output)
    network = open_network(options.file, options.arch, shapes=dict(options.shape))
    timeline = predict(network.graph, network.program.instructions)
    data = perfetto_trace(network.graph, network.program, timeline)
    write_bytes(options.output, data)
    if options.json:
        write_json(options.json, {"file": options.file, "arch": network.graph.name, "output": options.output, "bytes": len(data),
                                  "instructions": len(network.program.instructions), "cycles": timeline.total_cycles})
    if options.json != "-":
        size = f"{len(network.program.instructions):,} instructions, {timeline.total_cycles:,} cycles (a nanosecond each), {len(data):,} bytes"
        print(f"{options.output}: {size}; open it at ui.perfetto.dev")
    return EXACT
