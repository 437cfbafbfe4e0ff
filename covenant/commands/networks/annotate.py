"""``covenant annotate``: what each node costs, in a copy of the network."""

from pathlib import Path

from acg.predictor import predict
from compiler.front.reading.load import load_model
from covenant.errors import EXACT, UserError
from covenant.files import require_writable, write_bytes, write_json
from covenant.networks import is_program, open_network

__all__ = ["annotate"]


def annotate(options) -> int:
    """Write a copy of the network whose nodes carry their cycles, engines and longest wait, and beside it node data for Model Explorer."""
    from covenant.analysis.annotate import annotate as properties
    from covenant.analysis.annotate import node_costs, node_data

    path = Path(options.output)
    beside = path.with_suffix(".node_data.json")
    if is_program(options.file):
        raise UserError(f"{options.file}: a program file carries no network; expected the ONNX network that it was compiled from")
    for each in (path, beside):
        require_writable(each)
    network = open_network(options.file, options.arch, shapes=dict(options.shape))
    timeline = predict(network.graph, network.program.instructions)
    costs = node_costs(network.graph, network.program, timeline)
    model = load_model(options.file)
    properties(model, costs, machine=network.graph.name, total=timeline.total_cycles)
    data = node_data(model, costs, machine=network.graph.name)
    write_bytes(path, model.SerializeToString(deterministic=True))
    write_json(str(beside), data)
    counted = sum(len(graph["results"]) for graph in data.values())
    if options.json:
        write_json(options.json, {"file": options.file, "arch": network.graph.name, "cycles": timeline.total_cycles, "output": str(path),
                                  "node_data": str(beside), "nodes": len(model.graph.node), "with_cycles": counted})
    if options.json != "-":
        print(f"{path}: cycles of {counted} of {len(model.graph.node)} nodes on {network.graph.name} as metadata, for netron; {beside}: for Model Explorer")
    return EXACT
