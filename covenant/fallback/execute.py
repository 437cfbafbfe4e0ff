"""The segments of a plan in turn; each accelerator segment is judged by itself, the whole against onnxruntime."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from acg.fingerprint import fingerprint
from covenant import judge
from covenant.errors import UserError
from covenant.fallback.plan import Plan, Segment
from covenant.networks import CompiledNetwork
from covenant.report import judge_network
from covenant.terminal.progress import Progress
from verif.golden import VERSION, open_session

__all__ = ["run_plan", "segment_row"]

Sample = dict[str, np.ndarray]
_SUMMED = ("predicted", "measured", "ideal")


def _on_host(model: onnx.ModelProto, samples: Sequence[Sample], *, where: str) -> list[Sample]:
    """Outputs of a model by onnxruntime, each sample by itself. Raises UserError with onnxruntime's own words."""
    names = [value.name for value in model.graph.output]
    inputs = [value.name for value in model.graph.input]
    try:
        session = open_session(model)
        return [dict(zip(names, session.run(names, {name: sample[name] for name in inputs}), strict=True)) for sample in samples]
    except Exception as error:  # onnxruntime's exceptions have no common base
        if not type(error).__module__.startswith("onnxruntime"):
            raise
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"{where}: onnxruntime cannot run it ({reason}); expected operators and inputs that it takes") from None


def _against(got: Sequence[Sample], expected: Sequence[Sample]) -> dict[str, dict[str, Any]]:
    """For each output ``mismatches`` and ``max_abs_diff`` in its own unit; where a sample has another shape every element differs, by None."""
    result = {}
    for name in got[0]:
        mismatches = 0
        largest: float | None = 0.0
        for ours, theirs in zip(got, expected, strict=True):
            a, b = ours[name], theirs[name]
            if a.shape != b.shape or a.dtype != b.dtype:
                mismatches, largest = mismatches + max(a.size, 1), None
                continue
            differs = (a != b) & ~((a != a) & (b != b))  # a NaN equals a NaN here
            mismatches += int(np.count_nonzero(differs))
            if differs.any() and largest is not None:
                largest = max(largest, float(np.abs(a[differs].astype(np.float64) - b[differs].astype(np.float64)).max()))
        result[name] = {"mismatches": mismatches, "max_abs_diff": largest}
    return result


def segment_row(segment: Segment) -> dict[str, Any]:
    """A segment's line of the report, before anything has run."""
    counts = Counter(node.op_type for node in segment.cut.nodes)
    return {
        "segment": segment.number, "where": segment.where, "nodes": len(segment.cut.nodes),
        "operators": dict(sorted(counts.items())), "why": list(dict.fromkeys(segment.cut.why.values())),
        "inputs": [value.name for value in segment.model.graph.input], "outputs": [value.name for value in segment.model.graph.output],
    }


def _total(parts: Sequence[int | None]) -> int | None:
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None


def run_plan(plan: Plan, samples: Sequence[Sample], *, labels: np.ndarray | None = None, on: str = "rtl",
             progress: Progress | None = None) -> tuple[dict[str, Any], list[Sample]]:
    """Run and judge a plan; returns the report and the network's outputs of each sample.

    ``exact`` holds if every accelerator segment gives the bytes that the ONNX definition gives for the inputs it had, in the predicted cycles;
    it is None where there is no such segment. The outputs are also compared with onnxruntime's run of the whole network.
    Raises UserError where onnxruntime cannot run a host segment.
    """
    values = [dict(sample) for sample in samples]
    rows, reports = [], []
    for segment in plan.segments:
        row = segment_row(segment)
        inputs = [{name: sample[name] for name in row["inputs"]} for sample in values]
        if segment.program is None:
            outputs = _on_host(segment.model, inputs, where=f"model {plan.name}: host segment {segment.number}")
        else:
            part = CompiledNetwork(f"{plan.name}, segment {segment.number}", plan.graph, segment.program, segment.model)
            report, outputs = judge_network(part, inputs, on=on, progress=progress)
            reports.append(report)
            row |= {key: report[key] for key in ("cycles", "instructions", "golden", "exact", "divergence", "witnesses") if key in report}
            row["compared"] = report["outputs"]
        for sample, made in zip(values, outputs, strict=True):
            sample.update(made)
        rows.append(row)
    wanted = [value.name for value in plan.model.graph.output]
    constants = {item.name: numpy_helper.to_array(item) for item in plan.model.graph.initializer if item.name in wanted}
    values = [constants | sample for sample in values]  # an output may be a constant of the file
    outputs = [{name: sample[name] for name in wanted} for sample in values]
    golden, refusal = None, None
    try:
        golden = _on_host(plan.model, samples, where=f"model {plan.name}")
    except UserError as error:
        refusal = str(error)
    exact = all(part["exact"] for part in reports) if reports else None
    # Every part gives what the definition gives for what it was given: then so does the whole. Otherwise nobody has followed it through.
    by_definition = 0 if exact else None
    compared: dict[str, dict[str, Any]] = {
        name: {"elements": sum(sample[name].size for sample in outputs), "mismatches": by_definition, "max_abs_diff_steps": by_definition}
        for name in wanted
    }
    if golden is not None:
        for name, entry in _against(outputs, golden).items():
            compared[name]["onnxruntime"] = entry
    report = {
        "arch": plan.graph.name, "fingerprint": f"{fingerprint(plan.graph):016x}", "model": plan.name, "on": on, "samples": len(samples),
        "fallback": "host",
        "cycles": {key: _total([part["cycles"][key] for part in reports]) for key in _SUMMED},
        "instructions": {key: _total([part["instructions"][key] for part in reports]) for key in ("count", "timeline_mismatches")},
        "outputs": compared,
        "golden": {"reference": "ONNX definition (numpy), segment by segment", "onnxruntime": VERSION if golden is not None else None}
        | ({"onnxruntime_error": refusal} if refusal else {}),
        "exact": exact,
        "layers": [layer for part in reports for layer in part["layers"]],
        "simulation": next((part["simulation"] for part in reports), None),
        "segments": rows, "placement": plan.placement(),
    }
    if labels is not None:
        name = wanted[0]
        report["accuracy"] = {"hardware" if on == "rtl" else "functional simulator": judge.accuracy(outputs, name, labels)}
        if golden is not None:
            report["accuracy"]["onnxruntime"] = judge.accuracy(golden, name, labels)
    return report, outputs
