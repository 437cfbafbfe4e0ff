"""The register map behind the AXI4-Lite slave, derived from the graph's engines."""

from dataclasses import dataclass
from enum import IntEnum, IntFlag

from acg.graph import Graph
from acg.register_bits import ControlBit, StatusBit

__all__ = ["ID_VALUE", "VERSION_VALUE", "ErrorCode", "Register", "RegisterMap"]

#: Value of the ID register: ASCII "CVNT", most significant byte first.
ID_VALUE = int.from_bytes(b"CVNT", "big")
#: Value of the VERSION register: the version of this register map.
VERSION_VALUE = 1


class ErrorCode(IntEnum):
    """Values of the ERROR_CODE register."""

    NONE = 0
    FINGERPRINT = 1
    CHECK = 2
    ILLEGAL = 3
    ADDRESS = 4
    CONFLICT = 5
    BUS = 6
    EXTERNAL = 7
    WATCHDOG = 8

    @property
    def doc(self) -> str:
        """What the code says, in one sentence."""
        return _ERROR_DOCS[self.name]


_ERROR_DOCS = {
    "NONE": "no error",
    "FINGERPRINT": "started with a program made for another graph",
    "CHECK": "an instruction's check word is wrong",
    "ILLEGAL": "an instruction names an engine that does not exist (ERROR_ADDRESS: its number in the program), or one of its codes a memory, table or "
               "operation that does not exist (ERROR_ADDRESS: the code)",
    "ADDRESS": "an access outside a memory",
    "CONFLICT": "two accesses to one port of one bank in the same cycle",
    "BUS": "the external memory answered with an error",
    "EXTERNAL": "an external address outside the memory",
    "WATCHDOG": "nothing moved for WATCHDOG_CYCLES cycles",
}


@dataclass(frozen=True)
class Register:
    """A 32-bit register: byte offset, access ('ro', 'rw', or 'w1' for write-one-to-act), value after reset."""

    name: str
    offset_bytes: int
    access: str
    doc: str
    reset: int = 0


def _bits(kind: type[IntFlag]) -> str:
    return ", ".join(f"bit {bit.bit_length() - 1} {bit.name.lower().replace('_', ' ')}" for bit in kind)  # type: ignore[union-attr]


class RegisterMap:
    """Registers of the machine of a graph, in order of their offsets.

    Attributes
    ----------
    registers : tuple[Register, ...]
    offsets : dict[str, int]
        Byte offset by name. Per-engine registers are RETIRED_<index>, BUSY_<index>, STALL_<index>.
    size_bytes : int
        Size of the window, a power of two.
    """

    def __init__(self, graph: Graph):
        from acg.fingerprint import fingerprint

        value = fingerprint(graph)
        rows = [
            ("ID", "ro", "identification, ASCII 'CVNT'", ID_VALUE),
            ("VERSION", "ro", "version of the register map", VERSION_VALUE),
            ("FINGERPRINT_LO", "ro", "fingerprint of the graph, low word", value & 0xFFFFFFFF),
            ("FINGERPRINT_HI", "ro", "fingerprint of the graph, high word", value >> 32),
            ("CONTROL", "rw", f"{_bits(ControlBit)}; start and soft reset act when written as 1", 0),
            ("STATUS", "ro", _bits(StatusBit), StatusBit.IDLE.value),
            ("ERROR_CODE", "ro", "first error since reset, see error codes", 0),
            ("ERROR_ENGINE", "ro", "instruction's engine field of the first error (1 + index), 0 when none is to blame", 0),
            ("ERROR_ADDRESS", "ro", "address or instruction number of the first error", 0),
            ("PROGRAM_ADDRESS_LO", "rw", "byte address of the first instruction, low word", 0),
            ("PROGRAM_ADDRESS_HI", "rw", "byte address of the first instruction, high word", 0),
            ("PROGRAM_COUNT", "rw", "instructions in the program", 0),
            ("PROGRAM_FINGERPRINT_LO", "rw", "fingerprint the program was made for, low word", 0),
            ("PROGRAM_FINGERPRINT_HI", "rw", "fingerprint the program was made for, high word", 0),
            ("WATCHDOG_CYCLES", "rw", "cycles without any movement that end a run with an error; 0 turns it off", 1 << 20),
            ("CYCLES_LO", "ro", "cycles of the run, low word", 0),
            ("CYCLES_HI", "ro", "cycles of the run, high word", 0),
        ]
        for engine in graph.engines.values():
            rows += [
                (f"RETIRED_{engine.index}", "ro", f"instructions retired by engine {engine.index}", 0),
                (f"BUSY_{engine.index}", "ro", f"cycles in which engine {engine.index} had an instruction under way", 0),
                (f"STALL_{engine.index}", "ro", f"cycles in which engine {engine.index} was ready and its next instruction waited", 0),
            ]
        self.registers = tuple(Register(name, 4 * index, access, doc, reset) for index, (name, access, doc, reset) in enumerate(rows))
        self.offsets = {register.name: register.offset_bytes for register in self.registers}
        self.size_bytes = 1 << (4 * len(rows) - 1).bit_length()
