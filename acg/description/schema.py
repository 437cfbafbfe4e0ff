"""The strict schema of an architecture description (YAML)."""

import re
from functools import cache, reduce
from operator import or_
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, create_model

from acg.description.yaml_source import Source
from acg.errors import ArchitectureError
from acg.kinds import KINDS
from acg.kinds.spec import EngineKind, Size, Table
from acg.shared import document

__all__ = ["ArchitectureModel", "ControlModel", "LinkModel", "MemoryModel", "parse"]



def _one_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError("expected one line of characters that can be printed")
    return text


#: It goes into comments of what is generated.
Summary = Annotated[str, Field(max_length=200), AfterValidator(_one_line)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FetchModel(_Model):
    """Where instructions come from, and how many of them the fetch unit asks for ahead."""

    memory: Name
    outstanding_bursts: Annotated[int, Field(strict=True, ge=1, le=64)]


class ControlModel(_Model):
    """How instructions reach engines."""

    discipline: Literal["queued"]
    queue_depth: Annotated[int, Field(strict=True, ge=2, le=256)]
    fetch: FetchModel


class ExternalModel(_Model):
    """External memory behind AXI4, with the timing that its deterministic model promises."""

    kind: Literal["external"]
    size_bytes: Annotated[int, Field(strict=True, ge=4096, le=1 << 40)]
    bus_bits: Literal[32, 64, 128, 256, 512]
    address_bits: Annotated[int, Field(strict=True, ge=12, le=64)]
    read_latency_cycles: Annotated[int, Field(strict=True, ge=1, le=1024)]
    write_latency_cycles: Annotated[int, Field(strict=True, ge=1, le=1024)]


Element = Literal["i8", "i32"]


class ScratchpadModel(_Model):
    """Banked on-chip memory; ``depth_words`` is that of one bank.

    A word has ``width_bytes``; or ``lanes`` elements of a type, which is then that of the links that name none.
    """

    kind: Literal["scratchpad"]
    width_bytes: Annotated[int, Field(strict=True, ge=1, le=1024)] | None = None
    element: Element | None = None
    lanes: Annotated[int, Field(strict=True, ge=1, le=256)] | None = None
    banks: Annotated[int, Field(strict=True, ge=1, le=64)]
    depth_words: Annotated[int, Field(strict=True, ge=1, le=1 << 20)]
    read_latency_cycles: Annotated[int, Field(strict=True, ge=1, le=8)]


class TableModel(_Model):
    """Look-up tables for unary functions of one 8-bit value: ``banks`` tables of ``entries`` bytes."""

    kind: Literal["table"]
    element: Literal["i8"]
    entries: Literal[256]
    banks: Annotated[int, Field(strict=True, ge=1, le=16)]


MemoryModel = Annotated[ExternalModel | ScratchpadModel | TableModel, Field(discriminator="kind")]
Capabilities = Annotated[list[str], Field(min_length=1)]


def _size_type(size: Size) -> Any:
    return Literal[size.choices] if size.choices else Annotated[int, Field(strict=True, ge=size.low, le=size.high)]


#: Name of an entry of a nested table.
Key = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9]{0,7}$")]


def _table_type(table: Table) -> Any:
    words: Any = Literal[table.words] if table.words else str
    value: Any = _size_type(table.number) if table.number else Annotated[list[words], Field(min_length=1)]
    return Annotated[dict[Key, value], Field(min_length=1, max_length=table.most)]


def _engine_model(kind: EngineKind) -> type[_Model]:
    """What a description says of an engine of this kind: its sizes, its tables, its pipeline where it is deeper than usual, and its capabilities."""
    fields: dict[str, Any] = {"kind": (Literal[kind.name], ...)}
    fields |= {size.name: (_size_type(size), ...) for size in kind.sizes}
    fields |= {table.name: (_table_type(table), ...) for table in kind.tables}
    if kind.depths:
        depths: dict[str, Any] = {depth.name: (Annotated[int, Field(strict=True, ge=depth.usual, le=depth.most)], depth.usual) for depth in kind.depths}
        pipeline = create_model(f"{kind.name.capitalize()}PipelineModel", __base__=_Model, **depths)
        fields["pipeline"] = (pipeline, pipeline())
    return create_model(f"{kind.name.capitalize()}Model", __base__=_Model, **fields, capabilities=(Capabilities, ...))


class LinkModel(BaseModel):
    """A port of an engine on a memory; its direction says whether the engine reads or writes.

    ``element``: the type that it carries, of a port that takes several; unless given that of the memory, or else the port's first.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
    source: Name = Field(alias="from")
    target: Name = Field(alias="to")
    port: Name
    element: Element | None = None


class ArchitectureModel(_Model):
    """A whole description."""

    name: Name
    summary: Summary
    control: ControlModel
    memories: dict[Name, MemoryModel]
    engines: dict[Name, Any]
    links: list[LinkModel]


@cache
def _model() -> type[ArchitectureModel]:
    """The description's model with those of all kinds of engines. Raises KindError where an installed package with a kind cannot be used."""
    engine: Any = Annotated[reduce(or_, map(_engine_model, KINDS.values())), Field(discriminator="kind")]
    return create_model("ArchitectureModel", __base__=ArchitectureModel, engines=(dict[Name, engine], ...))


def parse(source: Source) -> ArchitectureModel:
    """Validate; raise ArchitectureError with one line a problem: file, line, path, value, expectation."""
    try:
        return _model().model_validate(source.data)
    except ValidationError as error:
        raise ArchitectureError([_line(source, problem) for problem in error.errors()]) from None


_MEMORY_KINDS = ("external", "scratchpad", "table")


def _line(source: Source, problem) -> str:
    location = tuple(part for part in problem["loc"] if part not in ("[key]",))
    tags = {*_MEMORY_KINDS, *KINDS}
    # pydantic inserts the discriminator's value behind a union's place
    path = tuple(part for index, part in enumerate(location) if not (index == 2 and part in tags and location[0] in ("memories", "engines")))
    where = source.where(path)
    kind = problem["type"]
    if kind == "extra_forbidden":
        return f"{where}: unknown key; expected only the keys of {document('reference/description.md')}, remove it or mend its spelling"
    if kind == "missing":
        return f"{where}: missing; expected a value, add the key"
    message = re.sub(r" or instance of \w+PipelineModel$", "", problem["msg"][0].lower() + problem["msg"][1:])
    value = repr(problem["input"])
    if len(value) > 60:
        value = value[:57] + "..."
    return f"{where}: found {value}; {message}"
