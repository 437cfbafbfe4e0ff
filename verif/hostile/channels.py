"""Signals of the AXI masters of a machine, and the record in which the trace module writes them.

Of one record all fields are little-endian 32-bit words: the cycle, then, master by master in order of their names, the signals of each
channel, each padded to whole words.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

__all__ = ["CHANNELS", "LITE_CHANNELS", "Host", "Master", "masters", "record_type"]

#: Signals of each channel beside valid and ready: what must stay while the channel waits.
CHANNELS = {
    "ar": ("addr", "len", "size", "burst"),
    "r": ("data", "resp", "last"),
    "aw": ("addr", "len", "size", "burst"),
    "w": ("data", "strb", "last"),
    "b": ("resp",),
}
#: The same of AXI4-Lite.
LITE_CHANNELS = {"ar": ("addr", "prot"), "r": ("data", "resp"), "aw": ("addr", "prot"), "w": ("data", "strb"), "b": ("resp",)}


@dataclass(frozen=True)
class Master:
    """An AXI master port: its name (``m_axi_<name>_*``), whether it writes, and its signals' widths in bits by ``<channel><signal>``."""

    name: str
    writes: bool
    widths: Mapping[str, int]

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of its channels."""
        return ("aw", "w", "b") if self.writes else ("ar", "r")

    @property
    def prefix(self) -> str:
        """What stands before the names of its signals."""
        return f"m_axi_{self.name}_"

    def payload(self, channel: str) -> tuple[str, ...]:
        """Signals of a channel beside valid and ready."""
        return CHANNELS[channel]

    @property
    def signals(self) -> list[str]:
        """All its signals in the order of the record, e.g. ``arvalid``."""
        return [channel + signal for channel in self.channels for signal in ("valid", "ready", *self.payload(channel))]

    @property
    def bus_bytes(self) -> int:
        """Bytes of a beat."""
        return self.widths["wdata" if self.writes else "rdata"] // 8


@dataclass(frozen=True)
class Host:
    """The AXI4-Lite master at the machine's control port (``s_axil_*``), with its signals' widths in bits. No engine can have its name."""

    widths: Mapping[str, int]
    name: str = "(AXI4-Lite host)"
    prefix: str = "s_axil_"
    channels: tuple[str, ...] = ("aw", "w", "b", "ar", "r")

    def payload(self, channel: str) -> tuple[str, ...]:
        """Signals of a channel beside valid and ready, those that the machine has."""
        return tuple(name for name in LITE_CHANNELS[channel] if channel + name in self.widths)

    @property
    def signals(self) -> list[str]:
        """All its signals in the order of the record, e.g. ``arvalid``."""
        return [channel + signal for channel in self.channels for signal in ("valid", "ready", *self.payload(channel))]


def masters(widths: Mapping[str, int]) -> tuple[Master, ...]:
    """Master ports among a module's ports (widths in bits by port name), in order of their names.

    Raises
    ------
    ValueError
        If a port has both directions, or lacks a signal.
    """
    found = []
    for name in sorted({port[6:-8] for port in widths if port.startswith("m_axi_") and port.endswith(("_arvalid", "_awvalid"))}):
        own = {port[len(f"m_axi_{name}_"):]: bits for port, bits in widths.items() if port.startswith(f"m_axi_{name}_")}
        master = Master(name, "awvalid" in own, own)
        missing = [signal for signal in master.signals if signal not in own]
        if missing or ("awvalid" in own and "arvalid" in own):
            raise ValueError(f"AXI master {name!r}: found {'both directions' if not missing else 'no ' + ', '.join(missing)}; "
                             "expected all signals of either the read or the write channels")
        found.append(master)
    return tuple(found)


def record_type(ports: tuple[Master | Host, ...]) -> np.dtype:
    """Type of a record: ``cycle``, and ``<master>_<signal>`` as one uint32 or, for wider signals, an array of them."""
    fields: list[tuple] = [("cycle", "<u4")]
    for port in ports:
        for signal in port.signals:
            words = -(-port.widths[signal] // 32)
            fields.append((f"{port.name}_{signal}", "<u4") if words == 1 else (f"{port.name}_{signal}", "<u4", (words,)))
    return np.dtype(fields)
