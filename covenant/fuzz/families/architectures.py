"""Descriptions of machines: YAML that is damaged as text, as bytes and as values; what is still a machine runs a small network."""

from __future__ import annotations

import copy
import random
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from acg.graph import architecture_names, load_graph
from covenant.fuzz.case import Draw
from covenant.fuzz.damage import damaged_bytes, damaged_text, damaged_value
from covenant.fuzz.families.family import Command, Family
from covenant.fuzz.operator_networks import operator_network
from verif.random.architectures import random_architecture

__all__ = ["ARCHITECTURES"]

#: Networks that a machine is asked for.
_NETWORKS = ("Conv", "Gemm", "Softmax", "Add", "Transpose", "AveragePool")
#: Texts that are small and mean much: aliases of aliases, nesting, lists, long numbers.
_BOMBS = (
    "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)),
    "a: &a {b: *a}\n", "[" * 100_000, "{a: " * 5000, "- " * 100_000, "a: [" + "0," * 1_000_000 + "0]", "a: " + "9" * 1_000_000, "? " * 10_000,
    "\n" * 10_000_000,
    "".join(f"k{number}: {number}\n" for number in range(3000)),
)  # fmt: skip


#: libyaml's, several times as fast, where PyYAML has it.
_LOADER, _DUMPER = getattr(yaml, "CSafeLoader", yaml.SafeLoader), getattr(yaml, "CSafeDumper", yaml.SafeDumper)


@cache
def _texts() -> tuple[str, ...]:
    drawn = [random_architecture(seed).description for seed in range(6)]
    return tuple([load_graph("tiny").description] * 6 + [load_graph(name).description for name in architecture_names()] + drawn)


@cache
def _value(text: str) -> Any:
    """What a text says that is none of the fuzzer's."""
    return yaml.load(text, _LOADER)


@cache
def _network(name: str) -> bytes:
    return operator_network(name).SerializeToString()


def _prepare() -> None:
    for text in _texts():
        _value(text)
    for name in _NETWORKS:
        _network(name)


def _edited(text: str, rng: random.Random) -> str:
    if rng.random() < 0.4:
        try:
            value = copy.deepcopy(_value(text)) if text in _texts() else yaml.load(text, _LOADER)
            damaged_value(rng, value)
            return str(yaml.dump(value, Dumper=_DUMPER, sort_keys=False, allow_unicode=True, width=1000))
        except (yaml.YAMLError, ValueError, TypeError, OverflowError, AttributeError, RecursionError):
            pass  # what earlier edits left is no YAML for people
    return damaged_text(rng, text)


def _make(draw: Draw, folder: Path) -> list[Command]:
    base = draw.base
    bomb = base.random() < 0.005
    text = base.choice(_BOMBS if bomb else _texts())
    for rng in () if bomb else draw.edits:
        text = _edited(text, rng)
    data = text.encode(errors="surrogatepass")
    if base.random() < 0.1:
        data = damaged_bytes(base, data)
    (folder / "a.yaml").write_bytes(data)
    (folder / "n.onnx").write_bytes(_network(base.choice(_NETWORKS)))
    return [["arch", "check", "a.yaml"], ["run", "n.onnx", "--arch", "a.yaml", "--on", "iss", "--quiet"]]


ARCHITECTURES = Family("architecture", "descriptions of machines, as text, bytes and values", 18, _make, _prepare)
