"""Ragged lanes: what of an engine's working steps goes to lanes that have nothing to do, as 10 channels leave 6 of 16 lanes without.

A step of an engine that multiplies can do as many multiplications as its operation has; of a layer as many are wanted as ONNX has. What is left over,
in whole steps, is ragged: input channels and filters that do not fill rows and columns, a depthwise filter that meets one column of all, zeros between
blocks. Steps that do not multiply go over the channels of the layer's result word by word: of them the part of the last word that stands empty.
Copies move bytes and have no lanes. Engines that run kernels are left out, none of their packets is called ragged: which lanes of a packet's slots have
something to do, the outer instruction does not say.
"""

from collections import Counter
from collections.abc import Mapping
from math import prod

from acg.causes.idle import steps_of
from acg.graph import Engine, Graph
from acg.isa import Instruction
from acg.kinds.spec import Control
from acg.operations import OPERATIONS
from compiler.program import Layer, Program

__all__ = ["ragged_steps"]

#: Operations of engines that do all of a layer's multiplications where the layer has them at all.
_CONTRACTIONS = ("MATMUL", "WINDOW_MAC")
#: Those of engines that multiply lane by lane.
_LANE_BY_LANE = ("MAC", "BROADCAST_MAC")


def ragged_steps(graph: Graph, program: Program) -> Mapping[str, int]:
    """Of each engine's steps as many as its empty lanes amount to."""
    layers: dict[int, list[Instruction]] = {}
    for (number, _), instruction in zip(program.provenance, program.instructions, strict=True):
        engine = graph.engines[instruction.engine]
        if not engine.copies and not engine.tables:
            layers.setdefault(number, []).append(instruction)
    result: Counter[str] = Counter()
    for number, instructions in layers.items():
        result.update(_of_layer(graph, program.layers[number], instructions))
    return result


def _of_layer(graph: Graph, layer: Layer, instructions: list[Instruction]) -> Counter[str]:
    """Ragged steps of a layer by engine."""
    contract = {name for name, engine in graph.engines.items() if any(engine.can(operation) for operation in _CONTRACTIONS)}
    contract &= {instruction.engine for instruction in instructions}
    multiplying: Counter[str] = Counter()
    others: Counter[str] = Counter()
    for instruction in instructions:
        steps = steps_of(graph, graph.engines[instruction.engine], instruction.fields)
        fields = instruction.fields
        multiplies = instruction.engine in contract if contract else any(_chosen(graph.engines[instruction.engine], name, fields) for name in _LANE_BY_LANE)
        (multiplying if multiplies and layer.macs else others)[instruction.engine] += steps
    result: Counter[str] = Counter()
    able = sum(steps * _at_once(graph.engines[name]) for name, steps in multiplying.items())
    for name, steps in multiplying.items():
        result[name] += steps * max(0, able - layer.macs) // able
    for name, steps in others.items():
        lanes = 0 if name in contract else _at_once(graph.engines[name])
        if layer.channels and lanes:
            words = -(-layer.channels // lanes)
            result[name] += steps * (words * lanes - layer.channels) // (words * lanes)
    return result


def _chosen(engine: Engine, operation: str, fields: Mapping[str, int]) -> bool:
    """Whether an instruction's fields choose an operation: every control that has a code for it."""
    codes = [(item.name, code) for item in engine.body if isinstance(item, Control) for name, code in item.codes if name == operation]
    return bool(codes) and all(fields.get(name, 0) == code for name, code in codes)


def _at_once(engine: Engine) -> int:
    """Multiplications of a step where the engine contracts, else its lanes."""
    contraction = next((operation for operation in _CONTRACTIONS if engine.can(operation)), None)
    operation = contraction or engine.capabilities[0].operation
    formula = OPERATIONS[operation]
    return prod(engine.extent(operation, dimension) for dimension in (*formula.parallel, *(formula.reduced if contraction else ())))
