"""Forged instructions behind checksums that hold: fields, waits and order changed, on the functional simulator and, some, on the RTL.

What the loader accepts must run on both, with equal bytes, every event in its predicted cycle.
"""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np

from acg.errors import InstructionError
from acg.fields import Field
from acg.isa import Instruction, instruction_set
from acg.predictor import predict
from compiler.check_program import ProgramError, check_program
from compiler.program import Program
from covenant.fuzz.case import Draw
from covenant.fuzz.families.compiled import NAMES, machine, program
from covenant.fuzz.families.family import Command, Family
from covenant.hardware import simulator
from verif.random.instructions import InstructionDraw

__all__ = ["INSTRUCTIONS", "RTL"]

#: What is predicted to take longer is not simulated, on the functional simulator alone.
_MOST_CYCLES = 60_000


def _value(rng: random.Random, item: Field, old: int, others: list[int]) -> int:
    """Another value that the field can hold: a neighbour, an end, a flipped bit, what another instruction has there."""
    kind = rng.randrange(8)
    if kind < 3:
        new = old + rng.choice((-1, 1, 2, -3, 4))
    elif kind == 3:
        new = rng.choice((item.low, item.high, item.low + 1, 0, 1))
    elif kind == 4:
        new = item.bias + ((old - item.bias) ^ 1 << rng.randrange(item.width))
    elif kind == 5 and others:
        new = rng.choice(others)
    else:
        new = rng.randint(item.low, item.high) >> rng.choice((0, 0, item.width // 2))
    return max(item.low, min(item.high, new))


def _edited(rng: random.Random, items: list[Instruction]) -> None:
    """Change one instruction, its waits, or the order."""
    formats = instruction_set(machine()).formats
    place, kind = rng.randrange(len(items)), rng.random()
    old = items[place]
    if kind < 0.7:
        item = rng.choice(formats[old.engine].fields)
        others = [other.fields.get(item.name, item.bias) for other in items if other.engine == old.engine]
        value = _value(rng, item, old.fields.get(item.name, item.bias), others)
        items[place] = replace(old, fields={**old.fields, item.name: value})
    elif kind < 0.8:
        waits = dict(old.waits)
        name = rng.choice(list(formats))
        waits[name] = rng.choice((0, 1, waits.get(name, 0) + 1, max(0, waits.get(name, 0) - 1), 0xFFFF, rng.randrange(1 << 16)))
        if rng.random() < 0.3:
            waits.pop(name)
        items[place] = replace(old, waits=waits)
    elif kind < 0.85 and len(items) > 1:
        del items[place]
    elif kind < 0.9:
        items.insert(place, rng.choice(items))
    elif kind < 0.93:
        other = rng.randrange(len(items))
        items[place], items[other] = items[other], items[place]
    else:
        drawn = InstructionDraw(machine(), np.random.default_rng(rng.getrandbits(64)), window_bytes=256)(rng.choice(list(formats)))
        items.insert(place, replace(drawn, waits=old.waits))


def _forged(draw: Draw) -> Program:
    made = program(draw.base.choice(NAMES))
    items = list(made.instructions)
    for rng in draw.edits:
        _edited(rng, items)
    code = instruction_set(machine()).encode_program(items)
    provenance = (made.provenance * 2)[: len(items)]
    return replace(made, instructions=tuple(items), code=code, provenance=provenance, external_bytes=made.program_address + len(code))


def _make(draw: Draw, folder: Path) -> list[Command]:
    (folder / "p.covenant").write_bytes(_forged(draw).to_bytes())
    return [["run", "p.covenant", "--on", "iss", "--quiet"]]


def _make_rtl(draw: Draw, folder: Path) -> list[Command]:
    made = _forged(draw)
    (folder / "p.covenant").write_bytes(made.to_bytes())
    try:
        check_program(made, machine())
        short = predict(machine(), made.instructions).total_cycles <= _MOST_CYCLES
    except (ProgramError, InstructionError):
        short = True  # refused before anything runs
    return [["run", "p.covenant", "--on", "rtl" if short else "iss", "--quiet", "--limit", "2"]]


def _prepare() -> None:
    for name in NAMES:
        program(name)


def _prepare_rtl() -> None:
    _prepare()
    simulator(machine())


INSTRUCTIONS = Family("instruction", "forged instructions behind checksums that hold, on the functional simulator", 20, _make, _prepare)
RTL = Family("rtl", "the same on tiny's RTL, against the functional simulator and the prediction", 0.2, _make_rtl, _prepare_rtl)
