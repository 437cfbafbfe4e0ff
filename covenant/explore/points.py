"""One point: the machine, whether it can be and fits, and what each network takes on it. The task that workers do."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import onnx

from acg.description.variants import resized_text
from acg.errors import ArchitectureError
from acg.graph import Graph, parse_graph
from acg.predictor import predict
from compiler.errors import CompilerError
from compiler.ir.network import Network
from compiler.passes import compile_network
from compiler.read_network import read_network
from covenant.explore.area import AreaModel
from covenant.explore.energy import Technology, picojoules
from covenant.explore.quantities import machine_quantities, network_of, weighted
from covenant.explore.space import Limit
from covenant.workers import shared

__all__ = ["Evaluated", "PointTask", "evaluate"]


@dataclass(frozen=True)
class PointTask:
    """A point as a worker gets it, all by value. ``networks`` are (name, weight, digest of the ONNX file, which is shared)."""

    base: str
    name: str
    sizes: tuple[tuple[tuple[str, str], int | str], ...]
    engines: tuple[tuple[str, int], ...]
    networks: tuple[tuple[str, int, str], ...]
    limits: tuple[Limit, ...]
    objectives: tuple[str, ...]
    area: AreaModel | None = None
    technology: Technology | None = None

    @property
    def key(self) -> str:
        """Of everything that decides the result but the sources."""
        parts = [self.base, self.name, repr(self.sizes), repr(self.engines), repr(self.networks), repr(self.limits), repr(self.objectives),
                 repr(self.area), repr(self.technology)]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Evaluated:
    """What a point is: ``quantities`` by name, those of a network as ``cycles:NAME``; or why there is none in ``refused``. ``notes``: areas beyond what was
    synthesised."""

    quantities: Mapping[str, float]
    refused: str | None = None
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict:
        """As the journal has it."""
        return {"quantities": dict(self.quantities), "refused": self.refused, "notes": list(self.notes)}

    @classmethod
    def of_json(cls, data: dict) -> Evaluated:
        """Of a line of the journal."""
        return cls(data["quantities"], data["refused"], tuple(data["notes"]))


@lru_cache(maxsize=64)
def _network(name: str, digest: str) -> Network:
    """Read once a process."""
    return read_network(onnx.load_model_from_string(shared(digest)), name=name)


@lru_cache(maxsize=4)
def _base(description: str) -> Graph:
    return parse_graph(description)


def evaluate(task: PointTask) -> Evaluated:
    """Refuse what cannot be or does not fit before anything is compiled, then compile and predict each network."""
    try:
        graph = parse_graph(resized_text(_base(task.base), name=task.name, sizes=dict(task.sizes), engines=dict(task.engines)), name=task.name)
    except ArchitectureError as error:
        return Evaluated({}, str(error).splitlines()[0])
    found: dict[str, float] = dict(machine_quantities(graph))
    notes: tuple[str, ...] = ()
    if task.area is not None:
        area, notes = task.area.of({f"{node}.{key}": value for (node, key), value in task.sizes} | dict(task.engines))
        found |= area
    refused = _out_of_bounds(found, task.limits)
    if refused:
        return Evaluated(found, refused, notes)
    wanted = {network_of(name)[0] for name in (*task.objectives, *(limit.quantity for limit in task.limits))}
    for name, _, digest in task.networks:
        try:
            instructions = compile_network(_network(name, digest), graph).instructions
        except CompilerError as error:
            return Evaluated(found, f"{name}: {str(error).splitlines()[0]}", notes)
        cycles = predict(graph, instructions).total_cycles
        found[f"cycles:{name}"] = cycles
        if task.technology is not None and "energy_pj" in wanted:
            found[f"energy_pj:{name}"] = round(picojoules(graph, instructions, cycles, task.technology), 1)
    weights = {name: weight for name, weight, _ in task.networks}
    for plain in ("cycles", "energy_pj"):
        each = {name: found[f"{plain}:{name}"] for name in weights if f"{plain}:{name}" in found}
        if each:
            found[plain] = round(weighted(each, weights), 1)
    return Evaluated(found, _out_of_bounds(found, task.limits), notes)


def _out_of_bounds(found: Mapping[str, float], limits: tuple[Limit, ...]) -> str | None:
    for limit in limits:
        if limit.quantity in found:
            why = limit.refuses(found[limit.quantity])
            if why:
                return why
    return None
