"""Reads the monitor's file: 8-byte records of `monitor.v`."""

import numpy as np

__all__ = ["DISPATCH", "EVENT", "RETIRE", "START", "split_runs"]

DISPATCH, START, RETIRE, _BEGIN = range(4)
#: One event: cycle since the run began, kind (index of ``verif.timeline.KINDS``), engine index.
EVENT = np.dtype([("cycle", np.int64), ("kind", np.uint8), ("engine", np.uint8)])


def split_runs(records: bytes) -> list[np.ndarray]:
    """Events of each run, in the order they happened: one `EVENT` array a run.

    Parameters
    ----------
    records : bytes
        Content of the monitor's file. Events before the first run begins cannot be, and are refused.

    Raises
    ------
    ValueError
        If the file was cut off, holds an unknown kind, or events outside any run.
    """
    if len(records) % 8:
        raise ValueError(f"timeline: found {len(records)} bytes, expected whole records of 8; the simulator was stopped while it wrote")
    words = np.frombuffer(records, "<u8")
    events = np.empty(words.size, EVENT)
    events["cycle"] = words & np.uint64((1 << 48) - 1)
    events["engine"] = (words >> np.uint64(48)) & np.uint64(0xFF)
    events["kind"] = words >> np.uint64(56)
    if events.size and events["kind"].max() > _BEGIN:
        raise ValueError(f"timeline: found event kind {events['kind'].max()}, expected 0 to {_BEGIN}; the file is not a monitor's")
    begins = np.flatnonzero(events["kind"] == _BEGIN)
    if events.size and (begins.size == 0 or begins[0] != 0):
        raise ValueError(f"timeline: found {begins[0] if begins.size else events.size} events before a run began, expected none")
    return [piece[1:] for piece in np.split(events, begins[1:])] if begins.size else []
