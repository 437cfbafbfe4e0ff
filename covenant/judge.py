"""Are the outputs exact? Counts of what differs from a reference, in elements and in quantisation steps."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from verif.bounds import FUNCTION

__all__ = ["accuracy", "compare", "exact", "float_steps"]


Arrays = Mapping[str, np.ndarray]


def _in_order(values: np.ndarray) -> np.ndarray:
    """Number of each float32 value in the order of all of them, 0 for zero: neighbours differ by one unit in the last place."""
    patterns = values.view(np.int32).astype(np.int64)
    return np.where(patterns < 0, -(patterns & 0x7FFF_FFFF), patterns)


def float_steps(expected: Sequence[Arrays], names: Collection[str]) -> dict[str, float]:
    """Return a step of each output of float32 numbers, by which another library's floats are counted: this part of its largest number."""
    found = {}
    for name in names:
        sizes = np.abs(np.concatenate([np.ravel(sample[name]) for sample in expected]).astype(np.float64))
        found[name] = float(sizes[np.isfinite(sizes)].max(initial=0.0)) * FUNCTION or 1.0
    return found


def compare(
    got: Sequence[Arrays], expected: Sequence[Arrays], steps: Mapping[str, float | None], *, close: Collection[str] = ()
) -> dict[str, dict[str, int]]:
    """Compare samples output by output.

    Parameters
    ----------
    got, expected : sequences of mappings
        One mapping a sample, arrays by output name.
    steps : mapping
        Size of one quantisation step of each output; None for integer outputs (a step is 1) and for float functions of one (a step is a unit
        in the last place).
    close : collection of str
        Outputs of which less than half a step is no difference.

    Returns
    -------
    dict
        For each output ``elements``, ``mismatches`` (elements whose bytes differ), ``max_abs_diff_steps``.

    Raises
    ------
    ValueError
        Samples, names, types or shapes differ: that is a fault of the caller, not a mismatch.
    """
    if len(got) != len(expected):
        raise ValueError(f"compare: {len(got)} samples against {len(expected)}; expected equally many")
    result = {}
    for name, step in steps.items():
        elements = mismatches = 0
        largest = 0.0
        for ours, theirs in zip(got, expected, strict=True):
            if name not in ours or name not in theirs:
                raise ValueError(f"compare: output {name!r} is missing on one side; expected it on both")
            a, b = ours[name], theirs[name]
            if a.dtype != b.dtype or a.shape != b.shape:
                raise ValueError(f"compare: output {name!r} is {a.dtype}{a.shape} against {b.dtype}{b.shape}; expected the same")
            differs = (a != b) & ~((a != a) & (b != b))  # a NaN equals a NaN
            if name in close and step is not None:
                with np.errstate(invalid="ignore"):  # infinities that are equal are no difference already
                    differs &= ~(np.abs(a.astype(np.float64) - b) < step / 2)
            elements += a.size
            mismatches += int(np.count_nonzero(differs))
            if differs.any():
                places = step is None and a.dtype == np.float32
                x, y = (_in_order(v[differs]) if places else v[differs].astype(np.float64) for v in (a, b))
                gap = np.abs(x - y).max()
                largest = max(largest, gap if step is None else gap / step)
        result[name] = {"elements": elements, "mismatches": mismatches, "max_abs_diff_steps": round(largest)}
    for sample in (*got, *expected):
        extra = set(sample) - set(steps)
        if extra:
            raise ValueError(f"compare: unexpected output {sorted(extra)[0]!r}; expected only {', '.join(steps)}")
    return result


def exact(report: Mapping[str, Mapping[str, int]]) -> bool:
    """Whether something was compared and nothing differed."""
    return bool(report) and all(entry["elements"] > 0 and entry["mismatches"] == 0 for entry in report.values())


def accuracy(outputs: Sequence[Arrays], name: str, labels: np.ndarray) -> float:
    """Share of samples whose largest logit is the label; several rows a sample count each. ``labels`` has one entry a row, a scalar is a row."""
    rows = np.concatenate([sample[name].reshape(-1, *sample[name].shape[-1:] or (1,)) for sample in outputs])
    return float(np.mean(np.argmax(rows, axis=1) == labels[: len(rows)]))
