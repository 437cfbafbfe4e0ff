"""A space of machines: a base, the numbers and whole engines that may vary, what is asked of a point and what is wanted of it.

    base: edge16                                    a name of archs/, or a YAML file beside this one
    networks: {resnet8: 1, dscnn_kws: 2}            of the zoo, or ONNX files; how much each counts
    numbers:
      "matrix.rows, matrix.columns": [8, 16, 32]    these places have the same value
      act.banks: {from: 4, to: 16, times: 2}        4, 8, 16
    engines: {window: [0, 1]}                       how many of an engine that the base has
    constraints: {on_chip_bytes: {most: 300000}}
    objectives: [cycles, on_chip_bytes]             all are to be small
    search: {method: local, points: 2000, seed: 1}
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, model_validator

from acg.description.yaml_source import MOST_BYTES, Source, read_yaml
from acg.errors import ArchitectureError
from acg.graph import Graph, load_graph
from covenant.errors import UserError
from covenant.explore.quantities import AFTER, BEFORE, network_of
from covenant.zoo.topologies import TOPOLOGIES

__all__ = ["METHODS", "Dimension", "Limit", "Point", "Space", "point_name", "read_space"]

_WHAT = "a space of machines"
METHODS = ("exhaustive", "local", "optuna-nsga2", "optuna-tpe")
_MOST_VALUES = 256
Whole = Annotated[int, Field(strict=True)]
#: Of each dimension the number of its value.
Point = tuple[int, ...]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Range(_Model):
    first: Whole = Field(alias="from")
    last: Whole = Field(alias="to")
    times: Annotated[Whole, Field(ge=2)] | None = None
    step: Annotated[Whole, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _one_way(self) -> "_Range":
        if (self.times is None) == (self.step is None) or not 0 < self.first <= self.last:
            raise ValueError("expected numbers above 0: from, to not below it, and one of times and step")
        return self

    def values(self) -> tuple[int, ...]:
        value = self.first
        found: list[int] = []
        while value <= self.last and len(found) <= _MOST_VALUES:
            found.append(value)
            value = value * self.times if self.times else value + (self.step or 1)
        return tuple(found)


#: A range, or each value.
_Values = Annotated[
    Annotated[_Range, Tag("range")] | Annotated[list[Whole | str], Field(min_length=1, max_length=_MOST_VALUES), Tag("list")],
    Discriminator(lambda value: "range" if isinstance(value, dict) else "list")]


class _LimitModel(_Model):
    least: Whole | None = None
    most: Whole | None = None


class _Search(_Model):
    method: Literal["exhaustive", "local", "optuna-nsga2", "optuna-tpe"] = "local"
    points: Annotated[Whole, Field(ge=1, le=1_000_000)] = 200
    seed: Annotated[Whole, Field(ge=0)] = 1
    round: Annotated[Whole, Field(ge=2, le=4096)] = 32


class _SpaceModel(_Model):
    base: Annotated[str, Field(min_length=1)]
    networks: Annotated[dict[str, Annotated[Whole, Field(ge=1)]], Field(min_length=1)]
    numbers: dict[str, _Values] = {}
    engines: dict[str, Annotated[list[Annotated[Whole, Field(ge=0, le=4)]], Field(min_length=1)]] = {}
    constraints: dict[str, _LimitModel] = {}
    objectives: Annotated[list[str], Field(min_length=1)] = ["cycles", "on_chip_bytes"]
    energy: str | None = None
    area_target: Literal["ecp5", "xilinx", "generic"] = "generic"
    search: _Search = _Search()


@dataclass(frozen=True)
class Dimension:
    """Something that varies: ``places`` are (node, key), or (engine, "") for how many there are of it; ``values`` in the order of the file."""

    name: str
    places: tuple[tuple[str, str], ...]
    values: tuple[int | str, ...]


@dataclass(frozen=True)
class Limit:
    """A bound of a quantity; None where there is none on that side."""

    quantity: str
    least: int | None
    most: int | None

    def refuses(self, value: float) -> str | None:
        """Why a value is out of bounds, None where it is not."""
        if self.least is not None and value < self.least:
            return f"{self.quantity} {value:,.6g}; expected at least {self.least:,}"
        if self.most is not None and value > self.most:
            return f"{self.quantity} {value:,.6g}; expected at most {self.most:,}"
        return None


@dataclass(frozen=True)
class Space:
    """What `read_space` reads; ``networks`` are (name, weight)."""

    name: str
    base: Graph
    networks: tuple[tuple[str, int], ...]
    dimensions: tuple[Dimension, ...]
    limits: tuple[Limit, ...]
    objectives: tuple[str, ...]
    energy: Path | None
    area_target: str
    method: str
    points: int
    seed: int
    round: int
    folder: Path

    @property
    def size(self) -> int:
        """Points that there are."""
        return prod(len(dimension.values) for dimension in self.dimensions)

    def choices(self, point: Point) -> dict[str, int | str]:
        """Values of a point by the names of the dimensions."""
        return {dimension.name: dimension.values[index] for dimension, index in zip(self.dimensions, point, strict=True)}

    def settings(self, point: Point) -> tuple[dict[tuple[str, str], int | str], dict[str, int]]:
        """Sizes and numbers of engines of a point, as `acg.description.variants.resized` takes them."""
        sizes: dict[tuple[str, str], int | str] = {}
        engines: dict[str, int] = {}
        for dimension, index in zip(self.dimensions, point, strict=True):
            for node, key in dimension.places:
                value = dimension.values[index]
                if key:
                    sizes[node, key] = value
                else:
                    assert isinstance(value, int)
                    engines[node] = value
        return sizes, engines

    def base_point(self) -> Point:
        """The base, where each dimension has its value; of others the first value."""
        data = yaml.safe_load(self.base.description)
        found = []
        for dimension in self.dimensions:
            node, key = dimension.places[0]
            value = _value(data, node, key) if key else 1
            found.append(dimension.values.index(value) if value in dimension.values else 0)
        return tuple(found)


def point_name(base: str, choices: Mapping[str, object]) -> str:
    """Name of a point's machine: the base's, and eight digits of its choices."""
    return f"{base[:23]}_{hashlib.sha256(json.dumps(dict(choices), sort_keys=True).encode()).hexdigest()[:8]}"


def read_space(path: str | Path) -> Space:
    """Read a file. Raises ArchitectureError with all problems at once, each with file, line, path, value and expectation; UserError where there is none."""
    name = str(path)
    try:
        with open(path, encoding="utf-8") as stream:
            text = stream.read(MOST_BYTES + 1)
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or 'not UTF-8 text'}); expected {_WHAT} in YAML") from None
    source = read_yaml(text, name=name, what=_WHAT)
    try:
        model = _SpaceModel.model_validate(source.data)
    except ValidationError as error:
        raise ArchitectureError(sorted({_line(source, problem) for problem in error.errors()})) from None
    folder = Path(path).parent
    base = load_graph(folder / model.base if model.base.endswith((".yaml", ".yml")) else model.base)
    dimensions, problems = _dimensions(model, base, source)
    problems += _unknown(model, source)
    if problems:
        raise ArchitectureError(problems)
    return Space(
        Path(path).stem, base, tuple(model.networks.items()), dimensions,
        tuple(Limit(quantity, limit.least, limit.most) for quantity, limit in model.constraints.items()), tuple(model.objectives),
        folder / model.energy if model.energy else None, model.area_target, model.search.method, model.search.points, model.search.seed, model.search.round,
        folder)


def _line(source: Source, problem) -> str:
    path = tuple(part for place, part in enumerate(problem["loc"]) if part != "[key]" and not (place == 2 and part in ("range", "list")))
    if problem["type"] == "extra_forbidden":
        return f"{source.where(path)}: unknown key; expected only the keys of docs/exploration.md, remove it or mend its spelling"
    if problem["type"] == "missing":
        return f"{source.where(path)}: missing; expected a value, add the key"
    found = repr(problem["input"])
    message = problem["msg"][0].lower() + problem["msg"][1:]
    return f"{source.where(path)}: found {found if len(found) <= 60 else found[:57] + '...'}; {message}"


def _value(data: dict, node: str, key: str) -> object:
    if node == "control":
        return {"queue_depth": data["control"]["queue_depth"], "outstanding_bursts": data["control"]["fetch"]["outstanding_bursts"]}.get(key)
    part = data["engines"].get(node) or data["memories"].get(node) or {}
    return part.get(key) if key not in ("kind", "capabilities", "element") else None


def _dimensions(model: _SpaceModel, base: Graph, source: Source) -> tuple[tuple[Dimension, ...], list[str]]:
    data = yaml.safe_load(base.description)
    found, problems = [], []
    taken: set[tuple[str, str]] = set()
    for text, given in model.numbers.items():
        places = []
        for place in text.split(","):
            node, _, key = place.strip().partition(".")
            if _value(data, node, key) is None:
                problems.append(f"{source.where(('numbers', text))}: {base.name} has no {place.strip()!r}; expected engine.size, memory.key, "
                                "control.queue_depth or control.outstanding_bursts of its description")
            elif (node, key) in taken:
                problems.append(f"{source.where(('numbers', text))}: {place.strip()} varies twice; expected each place once")
            taken.add((node, key))
            places.append((node, key))
        values = given.values() if isinstance(given, _Range) else tuple(given)
        if len(set(values)) != len(values) or len(values) > _MOST_VALUES:
            problems.append(f"{source.where(('numbers', text))}: found {len(values)} values, {len(set(values))} of them different; expected each once, "
                            f"at most {_MOST_VALUES}")
        found.append(Dimension(text, tuple(places), values))
    for engine, counts in model.engines.items():
        if engine not in base.engines:
            problems.append(f"{source.where(('engines', engine))}: {base.name} has no such engine; expected one of {', '.join(base.engines)}")
        if len(set(counts)) != len(counts):
            problems.append(f"{source.where(('engines', engine))}: a count stands twice; expected each once")
        found.append(Dimension(f"engines.{engine}", ((engine, ""),), tuple(counts)))
    if not found:
        problems.append(f"{source.where(())}: nothing varies; expected numbers or engines with values")
    return tuple(found), problems


def _unknown(model: _SpaceModel, source: Source) -> list[str]:
    problems = []
    known = (*BEFORE, *AFTER)
    for place, names in (("constraints", tuple(model.constraints)), ("objectives", tuple(model.objectives))):
        for number, name in enumerate(names):
            plain, network = network_of(name)
            where = source.where((place, name if place == "constraints" else number))
            if plain not in known or (network and plain not in AFTER):
                problems.append(f"{where}: found {name!r}; expected one of {', '.join(known)}, the last {len(AFTER)} also of one network, as in cycles:NAME")
            elif network and network not in model.networks:
                problems.append(f"{where}: found the network {network!r}; expected one of {', '.join(model.networks)}")
            elif plain.startswith("energy") and not model.energy:
                problems.append(f"{where}: energy without a technology; expected the key energy: with a file of units and sources, as "
                                "examples/technology_45nm.yaml")
    if len(set(model.objectives)) != len(model.objectives):
        problems.append(f"{source.where(('objectives',))}: an objective stands twice; expected each once")
    folder = Path(source.name).parent
    problems += [f"{source.where(('networks', name))}: neither a network of the zoo nor a file; expected one of {', '.join(TOPOLOGIES)}, or an ONNX file"
                 for name in model.networks if name not in TOPOLOGIES and not (folder / name).is_file()]
    return problems
