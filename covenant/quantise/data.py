"""Calibration samples: one .npz, or a folder of .npz and .npy files in the order of their names; or drawn from a seed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from covenant.arrays import ArrayFile, read_arrays
from covenant.errors import UserError
from covenant.samples import ModelInput, take

__all__ = ["DRAWN", "Calibration", "draw_calibration", "read_calibration"]

#: Samples that are drawn where nobody says how many.
DRAWN = 16


@dataclass(frozen=True)
class Calibration:
    """Samples, arrays by input name in the model's shapes; ``labels`` int (rows,) where the data has them under 'y'."""

    samples: list[dict[str, np.ndarray]]
    labels: np.ndarray | None


def _files(folder: Path) -> list[Path]:
    files = sorted(path for path in folder.iterdir() if path.suffix in (".npz", ".npy") and path.is_file())
    if not files:
        raise UserError(f"{folder}: no .npz or .npy file in this folder; expected calibration samples")
    return files


def draw_calibration(inputs: Sequence[ModelInput], *, seed: int, count: int | None = None) -> Calibration:
    """``count`` random samples, DRAWN where it is None.

    Floats are standard normal, 8-bit integers over their whole type, wider ones 0 or 1: they may be indices.
    """
    rng = np.random.default_rng(seed)
    samples = []
    for _ in range(DRAWN if count is None else count):
        sample = {}
        for value in inputs:
            numbers: np.ndarray | float
            if value.dtype.kind == "f":
                numbers = rng.standard_normal(value.shape)
            elif value.dtype in (np.int8, np.uint8):
                limits = np.iinfo(value.dtype)
                numbers = rng.integers(limits.min, limits.max, value.shape, endpoint=True)
            else:
                numbers = rng.integers(0, 2, value.shape)
            sample[value.name] = np.asarray(numbers).astype(value.dtype)
        samples.append(sample)
    return Calibration(samples, None)


def _taken(arrays: ArrayFile, inputs: Sequence[ModelInput], converted: Collection[str], *, limit: int | None, where: str) -> list[dict[str, np.ndarray]]:
    """Samples of a file; floats of the ``converted`` inputs may be of any type there."""
    widths = {name: arrays.header(name).dtype for name in converted if name in arrays and arrays.header(name).dtype.kind == "f"}
    found = take(arrays, [replace(value, dtype=widths.get(value.name, value.dtype)) for value in inputs], limit=limit, where=where)
    with np.errstate(over="ignore"):
        return [{value.name: sample[value.name].astype(value.dtype, copy=False) for value in inputs} for sample in found]


def read_calibration(path: str, inputs: Sequence[ModelInput], *, limit: int | None = None, converted: Collection[str] = ()) -> Calibration:
    """Read at most ``limit`` samples. ``converted``: inputs whose floats may be of another type than ``inputs`` says, and become that.

    Raises UserError for files or arrays that do not fit the network's inputs, NaN and infinity included.
    """
    source = Path(path)
    files = _files(source) if source.is_dir() else [source]
    samples: list[dict[str, np.ndarray]] = []
    labels: list[np.ndarray] = []
    for file in files:
        left = None if limit is None else limit - len(samples)
        if left == 0:
            break
        if file.suffix == ".npy" and len(inputs) != 1:
            raise UserError(f"{file}: an .npy file for a network with {len(inputs)} inputs; expected .npz files with an array for each")
        arrays = read_arrays(file, single=inputs[0].name if len(inputs) == 1 else None)
        found = _taken(arrays, inputs, converted, limit=left, where=str(file))
        for value in inputs:
            if value.dtype.kind == "f" and any(np.isinf(sample[value.name]).any() for sample in found):
                raise UserError(f"{file}: array {value.name!r} holds an infinity; expected finite numbers, an infinity has no quantisation range")
        samples += found
        if "y" in arrays and all(value.name != "y" for value in inputs):
            if arrays["y"].ndim != 1 or arrays["y"].dtype.kind not in "iu" or len(arrays["y"]) < len(found):
                text = f"{arrays['y'].dtype}{arrays['y'].shape}"
                raise UserError(f"{file}: array 'y' is {text}; expected integer labels, one for each of {len(found)} samples")
            labels.append(arrays["y"][: len(found)])
    whole = sum(map(len, labels)) == len(samples)
    return Calibration(samples, np.concatenate(labels) if labels and whole else None)
