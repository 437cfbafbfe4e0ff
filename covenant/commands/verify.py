"""``covenant verify``: the co-verification suite on chosen architectures."""

from pathlib import Path

import acg
from acg.graph import architecture_names, load_graph
from compiler.onnx_import.pipeline import read_network
from compiler.pipeline import compile_graph
from covenant.errors import BROKEN, EXACT
from covenant.files import read_arrays, write_json
from covenant.networks import Network, compile_network
from covenant.progress import Progress
from covenant.report import judge_network
from covenant.samples import draw, model_inputs, take
from covenant.show import table
from verif.hazards import find_hazards

__all__ = ["verify"]

EXAMPLES = Path(acg.__file__).resolve().parent.parent / "examples"


def _networks(graph, options):
    """(name, network, samples) of the committed examples and of seeded random networks."""
    for path in sorted(EXAMPLES.glob("*.onnx")):
        model, program = compile_network(str(path), graph)
        inputs = model_inputs(model)
        data = path.with_name(path.name.split("_")[0] + "_test.npz")
        if data.exists():
            samples = take(read_arrays(data), inputs, limit=options.limit, where=str(data))
        else:
            samples = draw(inputs, seed=options.seed, count=options.limit)
        yield path.name, Network(path.name, graph, program, model), samples
    from verif.random_networks import random_network

    for seed in range(options.seed, options.seed + options.networks):
        name = f"random network {seed}"
        model = random_network(seed)
        program = compile_graph(read_network(model, name=name), graph)
        yield name, Network(name, graph, program, model), draw(model_inputs(model), seed=seed, count=options.limit)


def verify(options) -> int:
    """Run every network on every architecture's RTL; print one line each, the first divergence of what is not exact, and a summary."""
    rows, instructions = [], 0
    for name in options.arch or architecture_names():
        graph = load_graph(name)
        for label, network, samples in _networks(graph, options):
            progress = Progress(f"verify {graph.name} {label}", quiet=options.quiet)
            report, _ = judge_network(network, samples, on="rtl", progress=progress)
            hazards = find_hazards(graph, network.program.instructions, _timeline(network), most=1)
            ok = report["exact"] and not hazards
            instructions += report["instructions"]["count"] * len(samples)
            rows.append({"arch": graph.name, "network": label, "instructions": report["instructions"]["count"], "samples": len(samples),
                         "cycles": report["cycles"], "exact": ok, "divergence": [*report.get("divergence", []), *map(str, hazards)]})
            if options.json != "-":
                print(f"{graph.name:8s} {label:24s} {report['instructions']['count']:6,} instructions  predicted {report['cycles']['predicted']:>10,}  "
                      f"measured {report['cycles']['measured']:>10,}  {'exact' if ok else 'BROKEN'}", flush=True)
                for line in rows[-1]["divergence"]:
                    print(f"         {line}", flush=True)
    broken = sum(not row["exact"] for row in rows)
    if options.json:
        write_json(options.json, {"runs": rows, "instructions_compared": instructions, "broken": broken})
    if options.json != "-":
        print(table(("runs", "instructions compared cycle by cycle", "broken"), [(len(rows), f"{instructions:,}", broken)]))
    return BROKEN if broken or not rows else EXACT


def _timeline(network: Network):
    from acg.predictor import predict

    return predict(network.graph, network.program.instructions, program_address=network.program.program_address)
