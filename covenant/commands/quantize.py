"""``covenant quantize``: a float network becomes a quantised one."""

import math
from pathlib import Path
from typing import Any

import onnx

from compiler.errors import UnsupportedError
from compiler.front.read_network import read_network
from covenant.errors import EXACT
from covenant.files import require_writable, write_bytes, write_json
from covenant.open_model import open_model
from covenant.samples import model_inputs
from covenant.show import table

__all__ = ["quantize"]


def _unsupported(model: onnx.ModelProto, name: str) -> list[str]:
    """Nodes of the quantised network that no engine can do."""
    try:
        read_network(model, name=name)
    except UnsupportedError as error:
        return [str(entry) for entry in error.entries]
    return []


def _decibels(value: float | None) -> str:
    return "-" if value is None else "exact" if math.isinf(value) else f"{value:.1f}"


def quantize(options) -> int:
    """Quantise, write the network, and report what it costs. The file is written whole, and only if everything went well."""
    from covenant.quantise import accuracies, noise, quantise, read_calibration
    from covenant.quantise.convert import prepared

    for path in (options.output, options.json if options.json != "-" else None):
        if path:
            require_writable(path)
    name = Path(options.model).name
    model = open_model(options.model, dict(options.shape))
    original = prepared(model, name=name)
    calibration = read_calibration(options.calibrate, model_inputs(original), limit=options.limit)
    choices = {"method": options.method, "per_channel": not options.per_tensor, "activations": options.activations}
    data = quantise(original, calibration.samples, name=name, **choices)
    quantised = onnx.ModelProto.FromString(data)
    rows = noise(original, quantised, calibration.samples)
    report: dict[str, Any] = {
        "model": options.model, "file": options.output, "samples": len(calibration.samples), "method": options.method,
        "weights": "int8 a tensor" if options.per_tensor else "int8 a channel", "activations": options.activations,
        "tensors": [{"tensor": row.tensor, "node": row.node, "op": row.op, "elements": row.elements,
                     "snr_db": None if row.snr_db is None or math.isinf(row.snr_db) else round(row.snr_db, 2)} for row in rows],
        "unsupported": _unsupported(quantised, name),
    }
    if calibration.labels is not None:
        report["accuracy"] = accuracies(original, quantised, calibration.samples, calibration.labels)
    write_bytes(options.output, data)
    if options.json:
        write_json(options.json, report)
    if options.json == "-":
        return EXACT
    print(table(("tensor", "operator", "elements", "SNR, dB"), [(row.tensor, row.op, f"{row.elements:,}", _decibels(row.snr_db)) for row in rows],
                right=frozenset({2, 3})))
    print(f"\n{options.output}: {options.activations} activations, {report['weights']}, {options.method} over {report['samples']} samples")
    if "accuracy" in report:
        print("accuracy: " + ", ".join(f"{key} {100 * value:.2f}%" for key, value in report["accuracy"].items()))
    if report["unsupported"]:
        print(f"{len(report['unsupported'])} nodes that no engine does (--fallback host runs them on the host):")
        print("\n".join(f"  {line}" for line in report["unsupported"]))
    return EXACT
