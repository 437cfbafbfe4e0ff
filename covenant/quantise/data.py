"""Calibration samples: one .npz, or a folder of .npz and .npy files in the order of their names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from covenant.arrays import read_arrays
from covenant.errors import UserError
from covenant.samples import ModelInput, take

__all__ = ["Calibration", "read_calibration"]


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


def read_calibration(path: str, inputs: Sequence[ModelInput], *, limit: int | None = None) -> Calibration:
    """Read at most ``limit`` samples. Raises UserError for files or arrays that do not fit the network's inputs, NaN and infinity included."""
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
        found = take(arrays, list(inputs), limit=left, where=str(file))
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
