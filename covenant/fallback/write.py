"""A plan as files: a folder with ``segmentN.onnx`` for each segment, ``segmentN.covenant`` beside it where the accelerator runs it, the whole
``network.onnx``, and ``plan.json``, which says what joins them and of which bytes the
accelerator's are: a program is of one network alone. `read.read_plan` is the inverse."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from acg.predictor import predict
from covenant.errors import UserError
from covenant.fallback.execute import segment_row
from covenant.fallback.plan import Plan
from covenant.run import ideal_cycles
from verif.leftovers import beside, unfinished

__all__ = ["NETWORK", "PLAN", "require_new_folder", "segment_rows", "write_plan"]

#: Names in the folder: what joins the segments, and the network as it was given (with its shapes), which onnxruntime runs for comparison.
PLAN, NETWORK = "plan.json", "network.onnx"


def segment_rows(plan: Plan) -> list[dict[str, Any]]:
    """The segments as the report of a run has them, with predicted cycles only."""
    rows = []
    for segment in plan.segments:
        row = segment_row(segment)
        if segment.program is not None:
            predicted = predict(plan.graph, segment.program.instructions).total_cycles
            row["cycles"] = {"predicted": predicted, "measured": None, "ideal": ideal_cycles(plan.graph, segment.program)}
            row["instructions"] = {"count": len(segment.program.instructions)}
        rows.append(row)
    return rows


def require_new_folder(folder: str) -> None:
    """Refuse, before any work, a folder that holds something already. Raises UserError."""
    path = Path(folder)
    if path.is_file() or (path.is_dir() and any(path.iterdir())):
        raise UserError(f"{folder}: exists already; expected a new folder for the segments, name another or remove it")


def write_plan(plan: Plan, folder: str) -> dict[str, Any]:
    """Write the folder whole or not at all, and return what stands in its plan.json. Raises UserError."""
    require_new_folder(folder)
    target = Path(folder)
    rows = segment_rows(plan)
    summary: dict[str, Any] = {"arch": plan.graph.name, "model": plan.name, "segments": rows, "placement": plan.placement()}
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with unfinished(beside(target)) as scratch:
            scratch.mkdir()
            for segment, row in zip(plan.segments, rows, strict=True):
                row["model"] = f"segment{segment.number}.onnx"
                (scratch / row["model"]).write_bytes(segment.model.SerializeToString(deterministic=True))
                row["program"] = None if segment.program is None else f"segment{segment.number}.covenant"
                if segment.program is not None:
                    (scratch / row["program"]).write_bytes(segment.program.to_bytes())
            (scratch / NETWORK).write_bytes(plan.model.SerializeToString(deterministic=True))
            names = [row[key] for row in rows if row["program"] is not None for key in ("model", "program")]
            summary["sha256"] = {name: hashlib.sha256((scratch / name).read_bytes()).hexdigest() for name in names}
            (scratch / PLAN).write_text(json.dumps(summary, indent=2) + "\n")
            os.replace(scratch, target)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror}); expected a new folder for the segments") from None
    return summary
