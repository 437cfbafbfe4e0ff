"""Functional model of one load or store instruction: rows of bytes between the external and an on-chip memory.

All bounds are checked before a byte is moved. Rows are moved in order: where destination rows overlap, the later one stays.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from acg.regmap import ErrorCode
from verif.iss.errors import MachineError

__all__ = ["execute_load", "execute_store"]

#: Rows at least this long are moved one by one, shorter ones through index arrays (8 bytes of index a byte moved).
_LONG_ROW_BYTES = 128


def _row_starts(fields: Mapping[str, int], side: str) -> np.ndarray:
    """Byte address of each row, int64 [n_0 * n_1 * n_2], in order of execution; ``side`` is 'ext' or 'local'."""
    starts = np.full((1, 1, 1), fields[f"{side}_address"], np.int64)
    for level in range(3):
        shape = [1, 1, 1]
        shape[level] = -1
        starts = starts + (np.arange(fields[f"n_{level}"], dtype=np.int64) * fields[f"{side}_stride_{level}"]).reshape(shape)
    return starts.reshape(-1)


def _check(where: str, code: ErrorCode, starts: np.ndarray, row_bytes: int, size_bytes: int) -> None:
    bad = (starts < 0) | (starts + row_bytes > size_bytes)
    if bad.any():
        start = int(starts[bad][0])
        raise MachineError(code, start, f"{where}: row of {row_bytes} bytes at {start} is outside [0, {size_bytes})")


def _move(source: np.ndarray, source_starts: np.ndarray, target: np.ndarray, target_starts: np.ndarray, row_bytes: int) -> None:
    if row_bytes >= _LONG_ROW_BYTES:
        for source_start, target_start in zip(source_starts.tolist(), target_starts.tolist(), strict=True):
            target[target_start : target_start + row_bytes] = source[source_start : source_start + row_bytes]
        return
    offsets = np.arange(row_bytes)
    # Indexed assignment is done in index order, so a byte named twice keeps its last value.
    target[(target_starts[:, None] + offsets).reshape(-1)] = source[(source_starts[:, None] + offsets).reshape(-1)]


def _execute(kind: str, fields: Mapping[str, int], external: np.ndarray, memories: Sequence[np.ndarray]):
    select, row_bytes = fields.get("select", 0), fields["n_3"]
    ext, local = _row_starts(fields, "ext"), _row_starts(fields, "local")
    _check(f"{kind}, external memory", ErrorCode.EXTERNAL, ext, row_bytes, external.size)
    _check(f"{kind}, on-chip memory {select}", ErrorCode.ADDRESS, local, row_bytes, memories[select].size)
    return ext, local, row_bytes, memories[select]


def execute_load(fields: Mapping[str, int], *, external: np.ndarray, memories: Sequence[np.ndarray]) -> None:
    """Copy rows from ``external`` into ``memories[select]``.

    Parameters
    ----------
    fields
        Decoded body of a load instruction: ``select``, ``n_0`` to ``n_3``, ``ext_address``, ``ext_stride_0..2``, ``local_address``,
        ``local_stride_0..2``; addresses and strides in bytes, ``n_3`` bytes a row.
    external
        The external memory, uint8 [size_bytes].
    memories
        On-chip memories in select order, each uint8 [size_bytes]; changed in place.

    Raises
    ------
    MachineError
        EXTERNAL or ADDRESS when any row leaves its memory; nothing is copied then.
    """
    ext, local, row_bytes, memory = _execute("load", fields, external, memories)
    _move(external, ext, memory, local, row_bytes)


def execute_store(fields: Mapping[str, int], *, external: np.ndarray, memories: Sequence[np.ndarray]) -> None:
    """Copy rows from ``memories[select]`` into ``external``; parameters and errors as of :func:`execute_load`."""
    ext, local, row_bytes, memory = _execute("store", fields, external, memories)
    _move(memory, local, external, ext, row_bytes)
