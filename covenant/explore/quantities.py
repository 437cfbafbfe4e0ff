"""What is said of a point: quantities that follow from the machine alone, and those that take compilations."""

from collections.abc import Mapping
from math import exp, log

from acg.graph import Graph
from acg.machine import machine_of
from covenant.analysis.advise import on_chip_bytes
from covenant.layers import peak_macs

__all__ = ["AFTER", "AREA", "BEFORE", "machine_quantities", "network_of", "weighted"]

#: Of synthesised blocks (`covenant.explore.area`).
AREA = ("lut", "ff", "dsp", "ram", "memory_bits")
#: Known of a machine before anything is compiled for it.
BEFORE = ("on_chip_bytes", "macs_per_cycle", "instruction_bytes", "bus_bytes", *AREA)
#: Of programs: the weighted geometric mean over the networks, or of the one that is named behind a colon.
AFTER = ("cycles", "energy_pj")


def network_of(quantity: str) -> tuple[str, str]:
    """Quantity and network of ``quantity:NETWORK``; '' where none is named."""
    plain, _, network = quantity.partition(":")
    return plain, network


def machine_quantities(graph: Graph) -> dict[str, int]:
    """What is known of a machine without its RTL: bytes on chip, multiply-accumulates a cycle, bytes of an instruction, bytes of the bus."""
    return {"on_chip_bytes": on_chip_bytes(graph), "macs_per_cycle": peak_macs(graph), "instruction_bytes": machine_of(graph).instruction_set.instruction_bytes,
            "bus_bytes": graph.external.bus_bytes}


def weighted(values: Mapping[str, float], weights: Mapping[str, int]) -> float:
    """Geometric mean of positive values by network, each as often as its weight says: exp(sum(w ln v) / sum(w))."""
    total = sum(weights[name] for name in values)
    return exp(sum(weights[name] * log(value) for name, value in values.items()) / total)
