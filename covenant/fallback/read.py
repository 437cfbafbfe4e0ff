"""A plan of what a user names: an ONNX file, or the folder that ``covenant compile --fallback host`` wrote (nothing is compiled again)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import onnx
from pydantic import BaseModel, ConfigDict, FailFast, Field, NonNegativeInt, model_validator

from acg.graph import load_graph
from compiler.archive import read_bytes
from compiler.front.reading.load import load_model, prepare_model
from compiler.manifest import parse
from covenant.errors import UserError
from covenant.fallback.partition import Cut
from covenant.fallback.plan import Plan, Segment, make_plan
from covenant.fallback.write import NETWORK, PLAN
from covenant.networks import DEFAULT_ARCHITECTURE, is_program, load_ordered_program, load_program_file
from covenant.open_model import open_model
from covenant.samples import require_numbers

__all__ = ["is_plan", "open_plan", "read_plan"]


def is_plan(path: str) -> bool:
    """Whether a path names a folder with a plan in it."""
    return (Path(path) / PLAN).exists()


#: Most bytes of a plan.json, most segments of a plan: some thousand nodes, and every second of them on the host.
MOST_BYTES, MOST_SEGMENTS = 4 << 20, 1000


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Row(_Part):
    """A segment in plan.json: files of its ONNX model and (accelerator) of its program, both in the folder; the rest is for people."""

    where: Literal["accelerator", "host"]
    model: Annotated[str, Field(pattern=r"^segment[0-9]+\.onnx$")]
    program: Annotated[str, Field(pattern=r"^segment[0-9]+\.covenant$")] | None
    inputs: Annotated[list[str], FailFast()]
    outputs: Annotated[list[str], FailFast()]
    segment: object
    nodes: object
    operators: object
    why: object
    cycles: object = None
    instructions: object = None


class _Placed(_Part):
    """A node in plan.json: its segment and, on the host, why it is there."""

    node: str
    op: str
    segment: NonNegativeInt
    where: object
    why: str | None


class _Summary(_Part):
    """plan.json."""

    arch: object
    model: str
    segments: Annotated[list[_Row], FailFast(), Field(max_length=MOST_SEGMENTS)]
    placement: Annotated[list[_Placed], FailFast()]
    sha256: dict[str, str]

    @model_validator(mode="after")
    def _joined(self) -> _Summary:
        if any((row.where == "host") != (row.program is None) for row in self.segments):
            raise ValueError("accelerator segments, and no others, have a program")
        if any(entry.segment >= len(self.segments) for entry in self.placement):
            raise ValueError("every node is in one of the segments")
        return self


def _summary(folder: str) -> _Summary:
    path = Path(folder) / PLAN
    try:
        return parse(_Summary, read_bytes(path, most_bytes=MOST_BYTES))
    except OSError as error:
        reason = error.strerror or "no readable file"
    except ValueError as error:
        reason = str(error)
    raise UserError(f"{path}: not a readable plan ({reason}); expected one written by covenant compile --fallback host, compile again")


def _require_written(place: Path, summary: _Summary) -> None:
    """Refuse a program, or the network that it is of, that is not the plan's; host segments may be changed. Raises UserError."""
    for name in (name for row in summary.segments if row.program is not None for name in (row.model, row.program)):
        path = place / name
        if path.is_file():  # what is missing is said by whoever reads it
            with open(path, "rb") as stream:
                found = hashlib.file_digest(stream, "sha256").hexdigest()
            if summary.sha256.get(name) != found:
                raise UserError(f"{path}: its bytes are not those that {PLAN} states; expected the files of one plan, compile again")


def _model_of(path: Path, row: _Row, number: int) -> onnx.ModelProto:
    model = load_model(path)
    for what, values, expected in (("inputs", model.graph.input, row.inputs), ("outputs", model.graph.output, row.outputs)):
        found = [value.name for value in values]
        if found != expected:
            raise UserError(f"{path}: its {what} are {', '.join(found)}, those of segment {number} in {PLAN} {', '.join(expected)}; "
                            "expected the files of one plan, compile again")
    if row.where == "accelerator":  # nobody imports it again before the definition evaluates it
        prepare_model(model, name=str(path))
    return model


def read_plan(folder: str, arch: str | None) -> Plan:
    """Read a plan for the named architecture, or for the one of archs/ whose fingerprint its programs carry.

    Raises UserError for a folder that is no plan, ModelError and ProgramError for files in it that cannot be read.
    """
    summary, place = _summary(folder), Path(folder)
    _require_written(place, summary)
    first = next((row.program for row in summary.segments if row.program is not None), None)
    graph = load_graph(arch or DEFAULT_ARCHITECTURE) if first is None else load_program_file(str(place / first), arch)[0]
    segments = []
    of: dict[int, list[_Placed]] = {}
    for entry in summary.placement:
        of.setdefault(entry.segment, []).append(entry)
    for number, row in enumerate(summary.segments):
        placed = of.get(number, [])
        nodes = tuple(onnx.NodeProto(name=entry.node, op_type=entry.op) for entry in placed)
        cut = Cut(row.where == "host", nodes, {entry.node: entry.why for entry in placed if entry.why is not None})
        program = None if row.program is None else load_ordered_program(place / row.program, graph)
        segments.append(Segment(number, _model_of(place / row.model, row, number), cut, program))
    return Plan(summary.model, graph, load_model(place / NETWORK), tuple(segments))


def open_plan(path: str, arch: str | None, *, shapes: Mapping[str, tuple[int, ...]] | None = None) -> Plan:
    """Plan an ONNX file (for edge16 unless ``arch`` says otherwise), or read a folder that holds a plan. Raises UserError for a program file."""
    if is_program(path):
        what = "--fallback with a program file, which is compiled already"
        raise UserError(f"{path}: {what}; expected an ONNX network, give the option to covenant compile")
    if is_plan(path):
        if shapes:
            raise UserError(f"{path}: --shape with a plan, whose shapes are fixed; expected an ONNX network, give the option to covenant compile")
        return read_plan(path, arch)
    graph = load_graph(arch or DEFAULT_ARCHITECTURE)
    model = open_model(path, shapes)
    require_numbers(model, where=f"model {path}")
    return make_plan(model, graph, name=Path(path).name)
