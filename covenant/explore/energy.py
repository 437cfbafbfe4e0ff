"""Energy of a program: what it does, counted, times a table of what each costs. Without a table there are no joules.

Counted of the instructions alone, so that they do not depend on when each runs: bytes that the ports of each memory read and write, bytes over the external
bus, multiply-accumulates of whole arrays and lanes (those of ragged lanes too: they switch), values converted by the vector unit, cycles.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from acg.causes.idle import steps_of
from acg.description.yaml_source import MOST_BYTES
from acg.graph import Engine, Graph
from acg.isa import Instruction
from acg.kinds.spec import Control, Stream
from acg.machine import machine_of
from acg.nodes import Link
from acg.operations import OPERATIONS
from covenant.errors import UserError

__all__ = ["Technology", "counts", "picojoules", "read_technology"]


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    value: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    unit: str
    node: str
    source: str
    licence: str


#: Lines of a table, and their units. ``memory_KIB_kib``: of a memory on chip of that many KiB; between two sizes the line is drawn on a logarithmic scale.
_UNITS = {"mac_int8": "pJ", "lane_operation": "pJ", "external_bit": "pJ", "static_cycle": "pJ"}
_MEMORY = "memory_"


@dataclass(frozen=True)
class Technology:
    """Picojoules: of a multiply-accumulate, a lane's operation, a bit of external memory, a cycle; and of a byte of a memory on chip by (KiB, pJ)."""

    mac_int8: float
    lane_operation: float
    external_bit: float
    static_cycle: float
    memories: tuple[tuple[float, float], ...]
    sources: tuple[str, ...]

    def memory_byte(self, size_bytes: int) -> float:
        """Of a byte of a memory, drawn between the two nearest sizes of the table; the nearest size's own beyond its ends."""
        kib = size_bytes / 1024
        if kib <= self.memories[0][0]:
            return self.memories[0][1]
        for (low, a), (high, b) in zip(self.memories, self.memories[1:], strict=False):
            if kib <= high:
                return a + (b - a) * (kib - low) / (high - low)
        return self.memories[-1][1]


def read_technology(path: str | Path) -> Technology:
    """Read a table. Raises UserError for one that has not every line with value, unit, node, source and licence."""
    wanted = ", ".join((*_UNITS, f"{_MEMORY}KIB_kib"))
    try:
        text = Path(path).read_text(encoding="utf-8")
        if len(text) > MOST_BYTES:
            raise UserError(f"{path}: more than {MOST_BYTES} bytes; expected a table of energies")
        data = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or 'not UTF-8 text'}); expected a table of energies in YAML") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path}: not YAML; expected a table of energies") from None
    if not isinstance(data, dict):
        raise UserError(f"{path}: no table; expected the lines {wanted}")
    lines: dict[str, _Line] = {}
    for name, line in data.items():
        size = str(name).removeprefix(_MEMORY).removesuffix("_kib")
        if name not in _UNITS and not (str(name).startswith(_MEMORY) and size.isdecimal() and int(size) > 0):
            raise UserError(f"{path}: {name}: no line of a table; expected {wanted}")
        try:
            lines[name] = _Line.model_validate(line)
        except ValidationError as error:
            problem = error.errors()[0]
            raise UserError(f"{path}: {'.'.join(map(str, (name, *problem['loc'])))}: {problem['msg'].lower()}; expected value, unit, node, source and "
                            "licence") from None
        unit = _UNITS.get(name, "pJ a byte")
        if lines[name].unit != unit:
            raise UserError(f"{path}: {name}: found the unit {lines[name].unit!r}; expected {unit!r}")
    missing = [name for name in _UNITS if name not in lines]
    memories = sorted((float(name.removeprefix(_MEMORY).removesuffix("_kib")), line.value) for name, line in lines.items() if name.startswith(_MEMORY))
    if missing or not memories:
        raise UserError(f"{path}: without {', '.join(missing) or _MEMORY + 'KIB_kib'}; expected the lines {wanted}")
    said = tuple(f"{name}: {line.value:g} {line.unit}, {line.node}, {line.source} ({line.licence})" for name, line in lines.items())
    return Technology(**{name: lines[name].value for name in _UNITS}, memories=tuple(memories), sources=said)


def counts(graph: Graph, instructions: Sequence[Instruction]) -> Counter[tuple[str, str]]:
    """("read" or "write", memory): bytes; ("macs", engine) and ("lanes", engine): operations of a multiplication, of a lane of any other kind."""
    found: Counter[tuple[str, str]] = Counter()
    controls = {name: {item.name: item for item in engine.specification.body if isinstance(item, Control)} for name, engine in graph.engines.items()}
    for instruction in instructions:
        engine, fields = graph.engines[instruction.engine], instruction.fields
        steps = steps_of(graph, engine, fields)
        for stream in engine.streams:
            for link, moved_bytes in _accesses(graph, engine, stream, fields, steps):
                found["read" if link.reads else "write", link.memory] += moved_bytes
        if not engine.copies:
            kind, each = _arithmetic(engine, fields, controls[engine.name])
            found[kind, engine.name] += steps * each
    return found


def _accesses(graph: Graph, engine: Engine, stream: Stream, fields: Mapping[str, int], steps: int) -> list[tuple[Link, int]]:
    """Bytes that a stream moves over each of its links: one that adds to what it finds is read and written in each of the ``steps``."""
    if stream.enabled_by and not fields.get(stream.enabled_by, 0):
        return []
    row = next((item.row for item in engine.streams if item.row >= 0), -1)
    result = []
    for port in stream.ports:
        links = graph.links_of(engine.name, port)
        if not links:
            continue
        link = links[fields.get(stream.select, 0) if stream.select else 0]
        if row >= 0:  # of copies every byte, once on each side
            result.append((link, prod(fields.get(f"n_{level}", 1) for level in range(row + 1))))
        elif stream.run[0]:
            words = prod(fields.get(f"n_{level}", 1) for level in stream.run[0]) * (engine.number(stream.run[1]) if stream.run[1] else 1)
            result.append((link, words * link.port_bytes))
        elif stream.sum_of:
            result.append((link, sum(fields.get(name, 0) for name in stream.sum_of) * link.port_bytes))
        elif stream.own_counts:
            result.append((link, prod(fields.get(f"{stream.prefix}_n_{level}", 1) for level in stream.levels) * link.port_bytes))
        else:
            words = steps if stream.self_ordered else _moved(engine, stream, fields)
            result.append((link, words * link.port_bytes))
    return result


def _moved(engine: Engine, stream: Stream, fields: Mapping[str, int]) -> int:
    """Words over the levels that move a stream; of a look-up one for each lane of each result."""
    if stream.unit == "bank":
        result = next(item for item in engine.streams if item.folded[0])
        return _moved(engine, result, fields) * max(link_lanes for link_lanes in (engine.extent(name, "l") for name in engine.operations))
    control, folded = stream.folded
    return prod(fields.get(f"n_{level}", 1) for level in stream.levels if not (control and fields.get(control, 0) and level in folded))


def _arithmetic(engine: Engine, fields: Mapping[str, int], controls: Mapping[str, Control]) -> tuple[str, int]:
    """What a step computes, and how many of it."""
    for name in engine.operations:
        formula = OPERATIONS[name]
        if formula.reduced or (len(formula.operands) == 2 and formula.result.element == "i32"):
            chosen = next((control.name for control in controls.values() if name in dict(control.codes)), None)
            if chosen is None or fields.get(chosen, 0) == dict(controls[chosen].codes)[name]:
                return "macs", engine.issues(name) * prod(engine.extent(name, dimension) for dimension in (*formula.parallel, *formula.reduced))
    name = next(iter(engine.operations))
    return "lanes", prod(engine.extent(name, dimension) for dimension in OPERATIONS[name].parallel)


def picojoules(graph: Graph, instructions: Sequence[Instruction], cycles: int, technology: Technology) -> float:
    """Energy of one inference of a program of ``cycles``."""
    total = cycles * technology.static_cycle
    for (kind, name), number in counts(graph, instructions).items():
        if kind == "macs":
            total += number * technology.mac_int8
        elif kind == "lanes":
            total += number * technology.lane_operation
        elif name == graph.external.name:
            total += 8 * number * technology.external_bit
        else:
            total += number * technology.memory_byte(graph.memories[name].size_bytes // graph.memories[name].banks)
    code = len(instructions) * machine_of(graph).instruction_set.instruction_bytes
    return total + 8 * code * technology.external_bit
