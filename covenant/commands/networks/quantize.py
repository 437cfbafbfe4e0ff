"""``covenant quantize``: a float network becomes a quantised one."""

import math
import shlex
from pathlib import Path
from typing import Any

from acg.graph import load_graph
from covenant.errors import BROKEN, EXACT, UserError
from covenant.files import require_writable, write_bytes, write_json
from covenant.open_model import open_model
from covenant.samples import model_inputs
from covenant.terminal.show import table
from covenant.terminal.warn import warn

__all__ = ["quantize"]


def _decibels(value: float | None) -> str:
    return "-" if value is None else "exact" if math.isinf(value) else f"{value:.1f}"


def _calibration(options, inputs, converted):
    """Samples to calibrate with, and how many of which kind, for people."""
    from covenant.quantise import draw_calibration, read_calibration

    if options.calibrate:
        return read_calibration(options.calibrate, inputs, limit=options.limit, converted=converted)
    drawn = draw_calibration(inputs, seed=options.seed, count=options.limit)
    warn(f"no --calibrate: ranges come from {len(drawn.samples)} samples drawn from seed {options.seed}; the network will run, but how well it does "
          "on real data nobody knows: give samples of these")
    return drawn


def _undone(result, options) -> list[str]:
    """What of the network does not run on the accelerator, and what to do about it."""
    lines = []
    path = shlex.quote(options.output)
    if result.refusal is not None:
        lines += [f"NOT compiled for {result.arch}: {result.refusal}"]
    if result.unsupported:
        count = f"{len(result.unsupported)} node{'' if len(result.unsupported) == 1 else 's'} that no engine does"
        if result.runs:
            lines.append(f"{count}, on the host:")
        elif options.fallback:
            lines.append(f"NOT compiled for {result.arch}: {count}, and nothing is left that one does; change each as it says:")
        else:
            lines.append(f"NOT compiled for {result.arch}: {count}; change each as it says, or let the host do them (covenant run {path} --fallback host):")
        lines += [f"  {entry}" for entry in result.unsupported]
    return lines


def _text(options, report: dict[str, Any], rows, result) -> str:
    lines = [table(("tensor", "operator", "elements", "SNR, dB"), [(row.tensor, row.op, f"{row.elements:,}", _decibels(row.snr_db)) for row in rows],
                   right=frozenset({2, 3})), ""]
    samples = f"{report['samples']} {'' if options.calibrate else 'drawn '}samples"
    lines.append(f"{options.output}: {options.activations} activations, {report['weights']}, {options.method} over {samples}")
    lines += [f"one scale for all channels of {entry['tensor']}: {entry['why']}" for entry in report["per_tensor"]]
    if "accuracy" in report:
        lines.append("accuracy: " + ", ".join(f"{key} {100 * value:.2f}%" for key, value in report["accuracy"].items()))
    made = result.summary()
    if made is not None:
        parts = f"{made['segments']} segments and {made['host_nodes']} nodes on the host, " if made["host_nodes"] else ""
        lines.append(f"compiled for {result.arch}: {parts}{made['layers']} layers, {made['instructions']:,} instructions, {made['cycles']:,} cycles predicted")
    return "\n".join([*lines, *_undone(result, options)])


def quantize(options) -> int:
    """Quantise, compile what came out, write the network, and report what it costs. The file is written whole, and only if there is a network to write.

    Status 1 where the network is written and the architecture cannot run it: what is written is to run.
    """
    from covenant.quantise import accuracies, outcome_of, prepared, quantise, tensor_noise
    from covenant.quantise.float32 import OTHER_FLOATS

    graph = load_graph(options.arch)
    for path in (options.output, options.json if options.json != "-" else None):
        if path:
            require_writable(path)
    name = Path(options.model).name
    model = open_model(options.model, dict(options.shape))
    original = prepared(model, name=name)
    inputs = model_inputs(original)
    converted = [value.name for value in model.graph.input if value.type.tensor_type.elem_type in OTHER_FLOATS and value.name in {v.name for v in inputs}]
    if converted:
        warn(f"model {options.model}: float64 becomes float32, inputs and outputs too")
    calibration = _calibration(options, inputs, converted)
    choices = {"method": options.method, "per_channel": not options.per_tensor, "activations": options.activations}
    try:
        made = quantise(original, calibration.samples, name=name, **choices)
    except UserError as error:
        raise UserError(f"{error}{'' if options.calibrate else '; drawn samples do not suit every network: give --calibrate'}") from None
    rows = tensor_noise(original, made.model, calibration.samples)
    result = outcome_of(made, graph, name=Path(options.output).name, host=options.fallback == "host")
    report: dict[str, Any] = {
        "model": options.model, "file": options.output, "samples": len(calibration.samples), "drawn": not options.calibrate, "method": options.method,
        "weights": "int8 a tensor" if options.per_tensor else "int8 a channel", "activations": options.activations,
        "per_tensor": [{"tensor": entry.tensor, "why": entry.why} for entry in made.shared], "converted": converted,
        "tensors": [{"tensor": row.tensor, "node": row.node, "op": row.op, "elements": row.elements,
                     "snr_db": None if row.snr_db is None or math.isinf(row.snr_db) else round(row.snr_db, 2)} for row in rows],
        "arch": graph.name, "compiled": result.summary(), "refusal": result.refusal, "unsupported": [str(entry) for entry in result.unsupported],
    }
    if calibration.labels is not None:
        report["accuracy"] = accuracies(original, made.model, calibration.samples, calibration.labels)
    write_bytes(options.output, made.data)
    if options.json:
        write_json(options.json, report)
    if options.json != "-":
        print(_text(options, report, rows, result))
    return EXACT if result.runs else BROKEN
