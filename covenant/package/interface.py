"""The buses of a machine by name, as tools that put blocks together want to know them."""

from dataclasses import dataclass

from acg.graph import Graph
from hwgen.emit import sidecar

__all__ = ["Bus", "Interface", "Port", "interface"]

#: Signals of an AXI4 manager that the core leaves out because they never change: name, width, value. No lock, no quality of service.
FIXED = (("lock", 1, 0), ("qos", 4, 0))
#: Ports for simulators and logic analysers, which the wrapper leaves open.
UNWRAPPED = ("running", "trace_start", "trace_retire", "trace_dispatch", "trace_dispatch_engine")


@dataclass(frozen=True)
class Port:
    """A port of a Verilog module; ``width`` in bits."""

    name: str
    direction: str
    width: int

    @property
    def declaration(self) -> str:
        """As in a module's list of ports."""
        return f"{self.direction} wire {f'[{self.width - 1}:0] ' if self.width > 1 else ''}{self.name}"


@dataclass(frozen=True)
class Bus:
    """A bus: its name, the ports of the core that are its, by signal; ``writes``: of a manager, whether it writes, else it reads."""

    name: str
    ports: dict[str, Port]
    writes: bool = False

    @property
    def manager(self) -> bool:
        """Whether the machine is the manager (master) on it."""
        return self.name.startswith("m_axi_")

    @property
    def fixed(self) -> tuple[Port, ...]:
        """Outputs of constants that the wrapper adds."""
        if not self.manager:
            return ()
        channel = "aw" if self.writes else "ar"
        return tuple(Port(f"{self.name}_{channel}{name}", "output", width) for name, width, _ in FIXED)

    @property
    def address(self) -> str:
        """The port whose value is a byte address."""
        return f"{self.name}_{'aw' if self.writes else 'ar'}addr"


@dataclass(frozen=True)
class Interface:
    """The top module of a machine: the bus of its registers, those of its external memory, everything else but clock and reset."""

    top: str
    control: Bus
    managers: tuple[Bus, ...]
    others: tuple[Port, ...]
    data_bits: int
    address_bits: int

    @property
    def buses(self) -> tuple[Bus, ...]:
        """All of them."""
        return (self.control, *self.managers)

    @property
    def wrapped(self) -> tuple[Port, ...]:
        """Ports of the wrapper, in order."""
        ports = [Port("aclk", "input", 1), Port("aresetn", "input", 1)]
        for bus in self.buses:
            ports += [*bus.ports.values(), *bus.fixed]
        return (*ports, *(port for port in self.others if port.name not in UNWRAPPED))


def interface(graph: Graph) -> Interface:
    """The top module of a graph's machine, from what is generated beside its Verilog."""
    described = sidecar(graph)
    ports = [Port(port["name"], port["direction"], port["width"]) for port in described["ports"]]
    names = sorted({port.name.rpartition("_")[0] for port in ports if port.name.startswith(("s_axil_", "m_axi_"))})
    buses = []
    for name in names:
        mine = {port.name.removeprefix(f"{name}_"): port for port in ports if port.name.rpartition("_")[0] == name}
        buses.append(Bus(name, mine, writes="awvalid" in mine and name != "s_axil"))
    control = next(bus for bus in buses if bus.name == "s_axil")
    managers = tuple(bus for bus in buses if bus.manager)
    taken = {port.name for bus in buses for port in bus.ports.values()} | {"clk", "rst"}
    return Interface(described["top"], control, managers, tuple(port for port in ports if port.name not in taken), graph.external.bus_bits,
                     graph.external.address_bits)
