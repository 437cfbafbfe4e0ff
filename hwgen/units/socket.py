"""What a unit is plugged into: the numbers of an engine's place in a machine, made by `hwgen.top`, and what the unit offers in return.

Every folder of a kind has a function that takes a `Socket` and returns a `Plug`; `hwgen.units.builders` lists them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Plug", "PortSocket", "Socket", "engine_members", "one_link_each"]


@dataclass(frozen=True)
class PortSocket:
    """One link of a port.

    Attributes
    ----------
    element_bits, address_bits : int
        Width of an element that the link carries, and of an address, which counts port words.
    read_latency_cycles : int
    banks : int
    write_bytes : int
        Of a port that is built into the unit: bytes a cycle in which its memory is written from outside; else 0.
    words : int
        Port words of an access, from any of them on; 1 for ports that take one (`hwgen.memory.ports`).
    """

    element_bits: int
    address_bits: int
    read_latency_cycles: int
    banks: int
    write_bytes: int = 0
    words: int = 1


@dataclass(frozen=True)
class Socket:
    """Attributes
    ----------
    sizes : Mapping[str, int | str]
        Of the engine, by the names of its kind.
    tables : Mapping[str, Mapping[str, int | Sequence[str]]]
        Nested ones of its description, by the names of its kind.
    operations : frozenset[str]
        What the engine offers: what it does not offer need not be built.
    body : amaranth.lib.data.FlexibleLayout
        Of its instructions.
    ports : Mapping[str, tuple[PortSocket, ...]]
        Links of each port, in select order.
    bus_bits, bus_address_bits, external_bytes, chunk_bytes : int
        External memory, and what a copy moves a cycle on chip.
    codes : Mapping[str, int]
        Error codes by name.
    registers : Mapping[str, int]
        Of each part of its pipeline, by the names of its kind.
    limits : tuple[tuple[tuple[str, ...], int, tuple[str, ...]], ...]
        Of its instructions: the product of the fields is at most the number times the product of the other fields; `hwgen.units.limits` looks.
    """

    sizes: Mapping[str, int | str]
    operations: frozenset[str]
    body: data.FlexibleLayout
    ports: Mapping[str, tuple[PortSocket, ...]]
    bus_bits: int
    bus_address_bits: int
    external_bytes: int
    chunk_bytes: int
    codes: Mapping[str, int]
    limits: tuple[tuple[tuple[str, ...], int, tuple[str, ...]], ...] = ()
    tables: Mapping[str, Mapping[str, int | Sequence[str]]] = field(default_factory=lambda: MappingProxyType({}))
    registers: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True)
class Plug:
    """A unit: its component, the interfaces of each port on chip (one a link; of a port that is built in, the one that writes it), and its bus."""

    component: wiring.Component
    ports: Mapping[str, tuple[wiring.PureInterface, ...]]
    axi: wiring.PureInterface | None = None


def engine_members(body: data.Layout) -> dict[str, wiring.Member]:
    """What every unit has beside its ports: start of an instruction, its end, and an error with its code and what was found."""
    return {"start": In(1), "instr": In(body), "ready": Out(1), "retire": Out(1), "idle": Out(1), "halt": In(1),
            "error": Out(1), "error_code": Out(8), "error_address": Out(32)}


def one_link_each(make: Callable[..., wiring.Component]) -> Callable[[Socket], Plug]:
    """A builder for units whose ports have one link each and are members of their names: ``make`` is given the sizes by name, ``layout`` of the body,
    ``address_bits`` and ``latency_cycles`` by port and, of a kind with limits, these and the error code that is ``illegal``; of one whose pipeline may be
    deeper, its ``registers``."""

    def build(socket: Socket) -> Plug:
        links = {port: link for port, (link,) in socket.ports.items()}
        more = {"limits": socket.limits, "illegal": socket.codes["ILLEGAL"]} if socket.limits else {}
        more |= {"registers": socket.registers} if socket.registers else {}
        unit = make(**socket.sizes, layout=socket.body, address_bits={port: link.address_bits for port, link in links.items()},
                    latency_cycles={port: link.read_latency_cycles for port, link in links.items()}, **more)
        return Plug(unit, {port: (getattr(unit, port),) for port in links})

    return build
