"""The register map, from `acg.regmap`."""

from acg.graph import load_graph
from acg.manual.describe import register_manual
from acg.register_bits import ControlBit, StatusBit
from docs.generate.tables import MADE, table

__all__ = ["registers"]

_HEAD = f"""{MADE}
# Registers

Behind the AXI4-Lite slave of every machine; all are 32 bits wide. The map below is that of `edge16`, which has four engines: RETIRED, BUSY and STALL are there
once an engine, in the order of the description, and the fingerprint is each machine's own. `covenant arch show MACHINE` prints the map of any machine,
`covenant rtl MACHINE` writes it as a C header and as JSON.

To run a program: write it into external memory, its address into PROGRAM_ADDRESS, the number of instructions into PROGRAM_COUNT, the fingerprint that it was
made for into PROGRAM_FINGERPRINT; write START to CONTROL; wait for DONE or ERROR in STATUS, or for the interrupt where IRQ_ENABLE is set. After an error
SOFT_RESET clears it. What an error says and what to do: [errors of the machine](../howto/errors_machine.md).
"""


def _bits(kind) -> str:
    return table(("bit", "name"), [(bit.bit_length() - 1, bit.name) for bit in kind])


def registers() -> str:
    """The page."""
    manual = register_manual(load_graph("edge16"))
    return "\n\n".join([_HEAD + "\n" + manual, "## Bits of CONTROL\n\n" + _bits(ControlBit), "## Bits of STATUS\n\n" + _bits(StatusBit)]) + "\n"
