"""Buses as flat ports: ``<prefix>_<signal>``, the names by which vendor tools recognise an interface."""

from dataclasses import dataclass

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Flow, Out

__all__ = ["FlatBus"]

#: AXI attributes that never change: normal, non-cacheable, bufferable; unprivileged, secure, data.
_CACHE, _PROTECTION = 0b0011, 0b000


@dataclass(frozen=True)
class FlatBus:
    """A bus of a component whose ports carry plain names.

    ``signature`` is as seen from the component: an AXI manager's own signature, a subordinate's flipped. A manager's address channels
    get the constant attributes ``cache`` and ``prot`` beside the signature's signals if these have none.
    """

    prefix: str
    signature: wiring.Signature

    def members(self) -> dict:
        """Members for the component's own signature."""
        signals = self.signature.members
        members = {f"{self.prefix}_{name}": member for name, member in signals.items()}
        for channel in ("ar", "aw"):
            if f"{channel}len" in signals:
                members[f"{self.prefix}_{channel}cache"] = Out(4, init=_CACHE)
                members[f"{self.prefix}_{channel}prot"] = Out(3, init=_PROTECTION)
        return members

    def attach(self, m: Module, outer, inner) -> Signal:
        """Connect ``outer``, the component with the plain ports, to ``inner``, an interface of the bus inside it.

        Returns
        -------
        Signal
            Whether a handshake takes place on any channel.
        """
        signals = self.signature.members
        for name, member in signals.items():
            port = getattr(outer, f"{self.prefix}_{name}")
            m.d.comb += port.eq(getattr(inner, name)) if member.flow is Flow.Out else getattr(inner, name).eq(port)
        channels = [name for name in ("ar", "r", "aw", "w", "b") if f"{name}valid" in signals]
        moved = Signal(name=f"{self.prefix}_moved")
        m.d.comb += moved.eq(Cat(getattr(inner, f"{name}valid") & getattr(inner, f"{name}ready") for name in channels).any())
        return moved
