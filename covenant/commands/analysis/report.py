"""``covenant report``: one HTML file in which people see where the cycles go."""

import json
from pathlib import Path

from acg.fingerprint import fingerprint
from acg.predictor import predict
from covenant.errors import EXACT, UserError
from covenant.files import require_writable, write_json, write_text
from covenant.networks import CompiledNetwork, open_network

__all__ = ["report"]

#: A report of a run is small; what is larger is something else.
MOST_RUN_BYTES = 64 << 20


def report(options) -> int:
    """Write the report of a program (or of a network, compiled first), and beside it a JSON file with every number."""
    from covenant.analysis.html import html_page, report_data

    path = Path(options.output)
    if path.suffix == ".json":
        raise UserError(f"{path}: the name of the JSON file that is written beside the report; expected an HTML file, as in {path.with_suffix('.html')}")
    beside = path.with_suffix(".json")
    require_writable(path)
    require_writable(beside)
    network = open_network(options.file, options.arch, shapes=dict(options.shape))
    timeline = predict(network.graph, network.program.instructions)
    run = _run(options.run, network, timeline.total_cycles) if options.run else None
    data = report_data(network.graph, network.program, timeline, run=run)
    text = html_page(data)
    write_text(beside, json.dumps(data, indent=1) + "\n")
    write_text(path, text)
    if options.json:
        write_json(options.json, {"file": options.file, "arch": network.graph.name, "cycles": timeline.total_cycles, "output": str(path), "data": str(beside),
                                  "bytes": len(text.encode())})
    if options.json != "-":
        print(f"{path}: {len(text.encode()):,} bytes, opens in a browser from disk; every number in {beside}")
    return EXACT


def _run(path: str, network: CompiledNetwork, cycles: int) -> dict:
    """What a run found of this very program. Raises UserError."""
    where = f"{path}: expected the JSON of 'covenant run --json' of this network on {network.graph.name}"
    try:
        if Path(path).stat().st_size > MOST_RUN_BYTES:
            raise UserError(f"{where}; found more than {MOST_RUN_BYTES} bytes")
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{where}; cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError):
        raise UserError(f"{where}; found no JSON") from None
    try:
        result = {key: found[key] for key in ("exact", "samples", "on", "cycles")} | {"accuracy": found.get("accuracy")}
        same = found["fingerprint"] == f"{fingerprint(network.graph):016x}" and found["cycles"]["predicted"] == cycles
        result["cycles"] = {key: found["cycles"][key] for key in ("predicted", "measured")}
    except (KeyError, TypeError):
        raise UserError(f"{where}; found JSON of something else") from None
    if not same:
        raise UserError(f"{where}; found a run of another machine or program ({found['arch']}, {found['cycles']['predicted']} cycles; here {cycles})")
    return result
