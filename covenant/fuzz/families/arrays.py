"""Samples: .npz archives and .npy members, as bytes, as headers that lie, as arrays that do not fit."""

from __future__ import annotations

import io
import random
import re
from functools import cache
from pathlib import Path

import numpy as np

from covenant.fuzz.case import Draw
from covenant.fuzz.damage import damaged_bytes
from covenant.fuzz.families.compiled import program
from covenant.fuzz.families.family import Command, Family
from covenant.fuzz.families.networks import float_network
from covenant.fuzz.families.programs import packed

__all__ = ["ARRAYS"]

_PROGRAMS = ("Add", "Conv", "ConvInteger", "Gemm")
_DTYPES = ("<f4", "<f8", "<f2", "<i8", "<i4", "|i1", "|u1", "|b1", "<c8", "|O", "|S5", "<U3", "|V4", ">f4", "<M8[s]", "(2,3)<f4", "<f4,<i4", "x")
_SHAPES = ("()", "(0,)", "(1,)", "(1, 4, 3, 3)", "(-1,)", f"({2**31},)", f"({2**40},)", f"({2**63},)", f"({2**32}, {2**32})", "(1,) * 9", "[1]", "5",
           "(1.5,)", "1" * 500)


@cache
def _arrays(name: str) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    types = {"f32": np.float32, "u8": np.uint8, "i8": np.int8, "i32": np.int32}
    return {item.name: rng.integers(0, 100, (2 * item.shape[0], *item.shape[1:])).astype(types[item.dtype]) for item in program(name).inputs}


def _npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def _other(rng: random.Random, array: np.ndarray) -> np.ndarray:
    """An array that is not what is expected."""
    kind = rng.randrange(7)
    if kind == 0:
        return array.astype(rng.choice((np.float64, np.float16, np.int64, np.uint8, np.int8, np.complex64, bool)))
    if kind == 1:
        others: list[np.ndarray] = [array[:0], array[0], array[None], array.reshape(-1), array[..., :1], np.array(1.0), np.array(None), array.T]
        return rng.choice(others)
    if kind == 2 and array.dtype.kind == "f":
        changed = array.copy()
        changed.reshape(-1)[rng.randrange(changed.size)] = rng.choice((np.nan, np.inf, -np.inf, 1e38, -0.0, 1e-45))
        return changed
    if kind == 3:
        return np.asfortranarray(array)
    if kind == 4:
        return array.astype(array.dtype.newbyteorder(">"))
    return rng.choice((array[:1], array, array))


def _header(rng: random.Random, data: bytes) -> bytes:
    """Another type, shape or length in the header of an .npy member."""
    kind = rng.randrange(4)
    if kind == 0:
        text = re.sub(rb"'descr': '[^']*'", f"'descr': {rng.choice(_DTYPES)!r}".encode(), data[:128])
    elif kind == 1:
        text = re.sub(rb"'shape': \([^)]*\)", f"'shape': {rng.choice(_SHAPES)}".encode(), data[:128])
    elif kind == 2:
        text = data[:128].replace(b"False", rng.choice((b"True ", b"None ", b"1    ")))
    else:
        text = damaged_bytes(rng, data[:128])
    text = text[:127].ljust(127) + b"\n" if kind < 3 and len(text) <= 128 else text
    return text + data[128:]


def _make(draw: Draw, folder: Path) -> list[Command]:
    base = draw.base
    calibrates = base.random() < 0.15
    name = base.choice(_PROGRAMS)
    arrays = {"x": np.random.default_rng(0).standard_normal((3, 2, 5, 5)).astype(np.float32)} if calibrates else dict(_arrays(name))
    members = {f"{key}.npy": _npy(array) for key, array in arrays.items()}
    raw = []
    for rng in draw.edits:
        chosen, kind = rng.choice(sorted(members)), rng.random()
        if kind < 0.3:
            raw.append(rng)
        elif kind < 0.55:
            members[chosen] = _header(rng, members[chosen])
        elif kind < 0.8:
            members[chosen] = _npy(_other(rng, arrays.get(chosen.removesuffix(".npy"), np.zeros(3, np.float32))))
        elif kind < 0.9:
            members[chosen] = damaged_bytes(rng, members[chosen])
        elif kind < 0.95:
            members[rng.choice(("y.npy", "x", "notes.txt", "../up.npy", "\x1b[2J.npy", "n" * 1000 + ".npy", ".npy"))] = members[chosen]
        elif kind < 0.995:
            members[rng.choice(("a", "other.npy", chosen.upper()))] = members.pop(chosen)
        else:
            members[chosen] = members[chosen][:128] + bytes(64 << 20)
    alone = calibrates and base.random() < 0.5  # one .npy in place of an archive
    data = next(iter(members.values())) if alone else packed(members)
    for rng in raw:
        data = damaged_bytes(rng, data)
    if calibrates:
        (folder / "samples").mkdir()
        (folder / "samples" / ("x.npy" if alone else "x.npz")).write_bytes(data)
        (folder / "f.onnx").write_bytes(float_network())
        return [["quantize", "f.onnx", "--calibrate", "samples", "-o", "q.onnx", "--quiet"]]
    (folder / "x.npz").write_bytes(data)
    (folder / "p.covenant").write_bytes(program(name).to_bytes())
    return [["run", "p.covenant", "--input", "x.npz", "--on", "iss", "--quiet"]]


def _prepare() -> None:
    float_network()
    for name in _PROGRAMS:
        program(name)


ARRAYS = Family("array", "samples, as archives, headers and arrays", 12, _make, _prepare)
