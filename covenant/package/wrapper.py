"""The module that goes into a block design: clock and reset as AXI names them, constants that managers owe, and a base for the external memory."""

from covenant.package.interface import FIXED, UNWRAPPED, Bus, Interface, Port

__all__ = ["window_bytes", "wrapper", "wrapper_name"]


def wrapper_name(top: str) -> str:
    """Name of the wrapper's module."""
    return f"{top}_axi"


def window_bytes(external_bytes: int) -> int:
    """Bytes that the external memory takes of the address space: its size, rounded up to a power of two, by which its base is aligned."""
    return 1 << (external_bytes - 1).bit_length()


def _attributes(port: Port, bus: Bus | None, interface: Interface) -> str:
    """Vivado's attributes of a port, on a line of their own."""
    parameter = ""
    if port.name == "aclk":
        info = "xilinx.com:signal:clock:1.0 aclk CLK"
        parameter = f"ASSOCIATED_BUSIF {':'.join(bus.name for bus in interface.buses)}, ASSOCIATED_RESET aresetn"
    elif port.name == "aresetn":
        info, parameter = "xilinx.com:signal:reset:1.0 aresetn RST", "POLARITY ACTIVE_LOW"
    elif port.name == "irq":
        info, parameter = "xilinx.com:signal:interrupt:1.0 irq INTERRUPT", "SENSITIVITY LEVEL_HIGH"
    elif bus is not None:
        info = f"xilinx.com:interface:aximm:1.0 {bus.name} {port.name.removeprefix(bus.name + '_').upper()}"
        if port.name == bus.address:
            protocol = f"PROTOCOL AXI4, DATA_WIDTH {interface.data_bits}, ADDR_WIDTH {interface.address_bits}, MAX_BURST_LENGTH 256, " \
                       f"SUPPORTS_NARROW_BURST 0, READ_WRITE_MODE {'WRITE' if bus.writes else 'READ'}_ONLY, ID_WIDTH 0"
            parameter = protocol if bus.manager else ""
        elif not bus.manager and port.name.endswith("_awaddr"):
            parameter = f"PROTOCOL AXI4LITE, DATA_WIDTH 32, ADDR_WIDTH {port.width}"
    else:
        return ""
    text = f'    (* X_INTERFACE_INFO = "{info}" *)\n'
    return text + (f'    (* X_INTERFACE_PARAMETER = "{parameter}" *)\n' if parameter else "")


def wrapper(interface: Interface, *, banner: str, external_bytes: int) -> str:
    """Verilog-2005 of the wrapper. ``banner``: comment lines that it begins with; ``external_bytes``: the external memory's size.

    Reset is taken through a register, so that it may come from anywhere; the machine is in reset one cycle longer than ``aresetn`` is low.
    """
    owner = {port.name: bus for bus in interface.buses for port in (*bus.ports.values(), *bus.fixed)}
    bits, window = interface.address_bits, window_bytes(external_bytes)
    ports = ",\n".join(_attributes(port, owner.get(port.name), interface) + f"    {port.declaration}" for port in interface.wrapped)
    lines = [banner, f"module {wrapper_name(interface.top)} #(",
             f"    // Where byte 0 of the machine's external memory stands on the managers' buses: a multiple of {window:#x}.",
             f"    parameter [{bits - 1}:0] MEMORY_BASE = {bits}'d0", ") (", ports, ");"]
    lines += ["    reg reset = 1'b1;", "    always @(posedge aclk) reset <= ~aresetn;", ""]
    connected = [("clk", "aclk"), ("rst", "reset")]
    for bus in interface.buses:
        for port in bus.ports.values():
            net = port.name
            if bus.manager and port.name == bus.address:
                net = f"{port.name}_core"
                lines += [f"    wire [{bits - 1}:0] {net};", f"    assign {port.name} = MEMORY_BASE | {net};"]
            connected.append((port.name, net))
        for port, (_, width, value) in zip(bus.fixed, FIXED if bus.fixed else (), strict=True):
            lines.append(f"    assign {port.name} = {width}'d{value};")
    # Traces: named, so that a simulator shows them, and read by nothing.
    lines += [f"    wire {f'[{port.width - 1}:0] ' if port.width > 1 else ''}{port.name};" for port in interface.others if port.name in UNWRAPPED]
    connected += [(port.name, port.name) for port in interface.others]
    lines += ["", f"    {interface.top} core (", ",\n".join(f"        .{port}({net})" for port, net in connected), "    );"]
    lines += ["endmodule", ""]
    return "\n".join(lines)
