"""Traces written by hand for the rule monitors of the hostile bench."""

import numpy as np

from verif.hostile.channels import record_type


def trace_of(port, *events):
    """Records from (cycle, channel, ready, signals)."""
    cycles = sorted({event[0] for event in events})
    trace = np.zeros(len(cycles), record_type((port,)))
    trace["cycle"] = cycles
    for cycle, channel, ready, signals in events:
        record = trace[cycles.index(cycle)]
        record[f"{port.name}_{channel}valid"], record[f"{port.name}_{channel}ready"] = 1, ready
        for name, value in signals.items():
            record[f"{port.name}_{channel}{name}"] = value
    return trace
