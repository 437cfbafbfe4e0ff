"""Folders of ``covenant compile --fallback host``: plan.json as values and bytes, its models and programs exchanged and damaged."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import tempfile
from functools import cache
from pathlib import Path

import onnx
from onnx import helper

from covenant.fallback import make_plan
from covenant.fallback.write import PLAN, write_plan
from covenant.fuzz.case import Draw
from covenant.fuzz.damage import damaged_bytes, damaged_value
from covenant.fuzz.families.compiled import machine
from covenant.fuzz.families.family import Command, Family
from covenant.fuzz.operator_networks import operator_network

__all__ = ["PLANS"]

_NAMES = ("Conv", "Gemm", "Add")


def _with_a_hole(name: str) -> onnx.ModelProto:
    """A network in which an operator that no engine has stands before the last QuantizeLinear."""
    model = operator_network(name)
    last = [item for item in model.graph.node if item.op_type == "QuantizeLinear"][-1]
    place = list(model.graph.node).index(last)
    hole = helper.make_node("Einsum", [last.input[0]], ["hole"], name="hole", equation="...->...")
    last.input[0] = "hole"
    model.graph.node.insert(place, hole)
    return model


@cache
def _files(name: str) -> dict[str, bytes]:
    """The files of the plan of a network."""
    with tempfile.TemporaryDirectory() as folder:
        write_plan(make_plan(_with_a_hole(name), machine(), name=f"{name}.onnx"), f"{folder}/plan")
        return {path.name: path.read_bytes() for path in sorted(Path(folder, "plan").iterdir())}


def _settled(files: dict[str, bytes]) -> None:
    """Give plan.json the checksums of the programs as they are now, in place; models keep theirs, as a program is of one network alone."""
    try:
        plan = json.loads(files[PLAN])
        plan["sha256"] |= {name: hashlib.sha256(files[name]).hexdigest() for name in plan["sha256"] if name.endswith(".covenant") and name in files}
        files[PLAN] = json.dumps(plan).encode()
    except (AttributeError, KeyError, TypeError, ValueError):
        return  # the plan has no table of checksums, or is no JSON: it stays as the edits before made it


def _edited(rng: random.Random, files: dict[str, bytes]) -> None:
    kind, chosen = rng.random(), rng.choice(sorted(files))
    if kind < 0.6:
        try:
            plan = json.loads(files[PLAN])
            damaged_value(rng, plan)
            files[PLAN] = json.dumps(plan).encode()
        except (KeyError, ValueError):
            pass
    elif kind < 0.75:
        files[chosen] = damaged_bytes(rng, files[chosen])
    elif kind < 0.85:
        files[chosen] = files[rng.choice(sorted(files))]
    elif kind < 0.9 and len(files) > 1:
        del files[chosen]
    elif kind < 0.995:
        files[PLAN] = damaged_bytes(rng, files.get(PLAN, b""))
    else:
        files[PLAN] = b'{"segments":[' + rng.choice((b"[],", b"0,", b"{},", b'"",')) * 2_000_000 + b"0]}"


def _make(draw: Draw, folder: Path) -> list[Command]:
    files = dict(_files(draw.base.choice(_NAMES)))
    for rng in draw.edits:
        _edited(rng, files)
    if draw.base.random() < 0.8:
        _settled(files)
    shutil.rmtree(folder / "plan", ignore_errors=True)
    (folder / "plan").mkdir()
    for name, data in files.items():
        (folder / "plan" / name).write_bytes(data)
    return [["predict", "plan"], ["run", "plan", "--on", "iss", "--quiet"]]


def _prepare() -> None:
    for name in _NAMES:
        _files(name)


PLANS = Family("plan", "folders of compile --fallback, plan.json and what it names", 2, _make, _prepare)
