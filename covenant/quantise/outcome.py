"""What a quantised network is worth: compiled for an architecture, whole or, if asked for, in segments with the host between."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import onnx

from acg.graph import Graph
from acg.predictor import predict
from compiler.errors import CompilerError, UnsupportedEntry, UnsupportedError
from compiler.passes import compile_network
from compiler.program import Program
from compiler.read_network import read_network
from covenant.fallback import Plan, make_plan
from covenant.quantise.convert import Quantised

__all__ = ["Outcome", "outcome_of"]


@dataclass(frozen=True)
class Outcome:
    """A network on ``arch``: the programs that it became (one, or those of its accelerator segments), and what stays undone.

    ``unsupported``: nodes that no engine does; ``refusal``: why it does not fit the machine, None where it does.
    """

    arch: str
    programs: tuple[Program, ...] = ()
    unsupported: tuple[UnsupportedEntry, ...] = ()
    refusal: str | None = None
    host_nodes: int = 0
    cycles: int = field(default=0)

    @property
    def runs(self) -> bool:
        """Whether all of it, or with the host what can, runs on the accelerator."""
        return bool(self.programs)

    def summary(self) -> dict[str, Any] | None:
        """What a report says of it; None where nothing was compiled."""
        if not self.programs:
            return None
        return {"segments": len(self.programs), "instructions": sum(len(program.instructions) for program in self.programs),
                "layers": sum(len(program.layers) for program in self.programs), "cycles": self.cycles, "host_nodes": self.host_nodes}


def _made(graph: Graph, programs: tuple[Program, ...], *, unsupported: tuple[UnsupportedEntry, ...] = (), host_nodes: int = 0) -> Outcome:
    cycles = sum(predict(graph, program.instructions).total_cycles for program in programs)
    return Outcome(graph.name, programs, unsupported, None, host_nodes, cycles)


def _with_host(model: onnx.ModelProto, graph: Graph, name: str, unsupported: tuple[UnsupportedEntry, ...]) -> Outcome:
    plan: Plan = make_plan(model, graph, name=name)
    host = sum(len(segment.cut.nodes) for segment in plan.segments if segment.program is None)
    return _made(graph, tuple(segment.program for segment in plan.segments if segment.program is not None), unsupported=unsupported, host_nodes=host)


def outcome_of(made: Quantised, graph: Graph, *, name: str, host: bool = False) -> Outcome:
    """Compile a quantised network, with ``host`` in segments where it has nodes that no engine does."""
    model = made.model
    try:
        return _made(graph, (compile_network(read_network(model, name=name), graph),))
    except UnsupportedError as error:
        reasons = {(entry.node, entry.operator): entry for entry in made.unsupported}
        entries = tuple(reasons.get((entry.node, entry.operator), entry) for entry in error.entries)
    except CompilerError as error:
        return Outcome(graph.name, refusal=str(error))
    if not host:
        return Outcome(graph.name, unsupported=entries)
    try:
        return _with_host(model, graph, name, entries)
    except CompilerError as error:
        return Outcome(graph.name, unsupported=entries, refusal=str(error))
