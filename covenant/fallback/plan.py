"""The plan: segments compiled, and what a compilation refuses moved to the host, until everything has a place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import onnx

from acg.graph import Graph
from compiler.errors import ModelError, UnsupportedEntry, UnsupportedError
from compiler.ir.network import Network
from compiler.passes import compile_network
from compiler.program import Program
from compiler.read_network import read_network
from covenant.fallback.extract import extract
from covenant.fallback.partition import Cut, partition
from covenant.fallback.prepare import Prepared, prepare, reads
from covenant.terminal.warn import warn

__all__ = ["Plan", "Segment", "make_plan"]


@dataclass(frozen=True)
class Segment:
    """A part of a network: an ONNX model, and its program where the accelerator runs it (None on the host)."""

    number: int
    model: onnx.ModelProto
    cut: Cut
    program: Program | None

    @property
    def where(self) -> str:
        """'accelerator' or 'host'."""
        return "host" if self.program is None else "accelerator"


@dataclass(frozen=True)
class Plan:
    """A network in segments, in the order in which they run; ``model`` is the whole of it as given."""

    name: str
    graph: Graph
    model: onnx.ModelProto
    segments: tuple[Segment, ...]

    def placement(self) -> list[dict[str, object]]:
        """For each node, in the order of the segments: its name, operator, segment, where and (host) why."""
        return [
            {"node": node.name, "op": node.op_type, "segment": segment.number, "where": segment.where, "why": segment.cut.why.get(node.name)}
            for segment in self.segments for node in segment.cut.nodes
        ]


def _refused_nodes(prepared: Prepared, entries: tuple[UnsupportedEntry, ...]) -> dict[str, str]:
    """Node names with reasons. What is said of an input is said of its readers, what is said of an output of its producer."""
    nodes = prepared.model.graph.node
    names = {node.name for node in nodes}
    result: dict[str, str] = {}
    for entry in entries:
        if entry.operator == "graph input":
            result |= {node.name: entry.reason for node in nodes if entry.node in reads(node)}
        elif entry.operator == "graph output":
            result |= {node.name: entry.reason for node in nodes if entry.node in node.output}
        elif entry.node in names:
            result[entry.node] = entry.reason
    return result


_Made = TypeVar("_Made")


def _key(cut: Cut) -> tuple[str, ...]:
    return tuple(node.name for node in cut.nodes)


def make_plan(model: onnx.ModelProto, graph: Graph, *, name: str) -> Plan:
    """Cut a network at its 8-bit tensors and compile what the architecture can run.

    Raises ModelError for a model that is wrong as a whole and CompilerError for a segment that does not fit the machine.
    """
    try:
        prepared = prepare(model, name=name)
    except UnicodeDecodeError:  # names are decoded when they are first looked at
        raise ModelError(f"model {name}", found="names that are not UTF-8", expected="a file written by onnx.save", do="export it again") from None
    refused: dict[str, str] = {}
    networks: dict[tuple[str, ...], Network] = {}
    programs: dict[tuple[str, ...], Program] = {}

    def attempt(done: dict[tuple[str, ...], _Made], make: Callable[[tuple[str, ...], onnx.ModelProto], _Made]) -> dict[str, str]:
        """Make something of every accelerator segment that has none yet; returns what is newly refused."""
        found: dict[str, str] = {}
        for cut, part in zip(cuts, models, strict=True):
            key = _key(cut)
            if cut.host or key in done:
                continue
            try:
                done[key] = make(key, part)
            except UnsupportedError as error:
                new = {node: reason for node, reason in _refused_nodes(prepared, error.entries).items() if node not in refused}
                found |= new or dict.fromkeys(key, str(error.entries[0]))  # what is refused may be no node of the file: all of it then
        return found

    while True:
        cuts = partition(prepared, refused)
        models = [extract(prepared, cuts, number) for number in range(len(cuts))]
        # To import is quick and finds nearly all that is refused: nothing is compiled before every segment can be imported.
        found = attempt(networks, lambda _, part: read_network(part, name=name)) or attempt(
            programs, lambda key, _: compile_network(networks[key], graph))
        if not found:
            break
        refused |= found
    for note in dict.fromkeys(note for cut in cuts if not cut.host for note in networks[_key(cut)].notes):
        warn(f"model {name}: {note}")
    segments = tuple(
        Segment(number, part, cut, None if cut.host else programs[_key(cut)])
        for number, (cut, part) in enumerate(zip(cuts, models, strict=True))
    )
    return Plan(name, graph, model, segments)
