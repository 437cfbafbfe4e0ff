"""Timing constraints: one clock; everything is synchronous to it."""

from covenant.package.interface import Interface

__all__ = ["PERIOD_NS", "sdc", "xdc"]

#: What the constraints ask for unless they are edited, in nanoseconds.
PERIOD_NS = 10.0


def sdc(interface: Interface, *, banner: str) -> str:
    """For synthesis alone, of the wrapper: clock, and a third of the period for what is outside on either side."""
    third = round(PERIOD_NS / 3, 2)
    return "\n".join([
        banner, "# All registers run from one clock; there is no other clock, latch, or path through the machine from an input to an output but the handshakes",
        "# of AXI4-Lite writes.", f"set period {PERIOD_NS}", "create_clock -name aclk -period $period [get_ports aclk]",
        f"set_input_delay {third} -clock aclk [remove_from_collection [all_inputs] [get_ports aclk]]", f"set_output_delay {third} -clock aclk [all_outputs]",
        "# aresetn goes through one register of the wrapper: synchronise it outside if it comes from another clock.", ""])


def xdc(interface: Interface, *, banner: str) -> str:
    """For Vivado, out of context: in a block design the clock comes from its source."""
    return "\n".join([banner, f"create_clock -name aclk -period {PERIOD_NS} [get_ports aclk]", ""])
