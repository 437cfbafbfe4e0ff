"""``covenant_registers.h``: what every machine's registers have in common, from the register map."""

import re

from acg.graph import Graph
from acg.register_bits import ControlBit, StatusBit
from acg.regmap import ID_VALUE, VERSION_VALUE, ErrorCode, RegisterMap

__all__ = ["registers_header"]

#: Registers of the first engine, in order; those of the others follow.
_COUNTERS = ("RETIRED_0", "BUSY_0", "STALL_0")


def registers_header(graph: Graph) -> str:
    """Text of ``covenant_registers.h``: the same for every graph of this version of the register map, whatever its engines.

    Raises ValueError where the counters do not lie as the driver counts on.
    """
    registers = RegisterMap(graph).registers
    common = [register for register in registers if not re.search(r"_\d+$", register.name)]
    first = 4 * len(common)
    for index, register in enumerate(registers[len(common):]):
        stem = _COUNTERS[index % len(_COUNTERS)].removesuffix("0")
        if register.name != f"{stem}{index // len(_COUNTERS)}" or register.offset_bytes != first + 4 * index:
            raise ValueError(f"registers_header: found {register.name} at {register.offset_bytes}; expected {stem}{index // len(_COUNTERS)} "
                             f"at {first + 4 * index}, change covenant_count of the driver")
    define = [("ID", f"{ID_VALUE:#010x}u"), ("VERSION", f"{VERSION_VALUE}u")]
    define += [(f"REG_{register.name}", f"{register.offset_bytes:#04x}u") for register in common]
    define += [("REG_ENGINES", f"{first:#04x}u"), ("REG_ENGINE_BYTES", f"{4 * len(_COUNTERS)}u")]
    define += [(f"CONTROL_{bit.name}", f"{bit.value:#x}u") for bit in ControlBit] + [(f"STATUS_{bit.name}", f"{bit.value:#x}u") for bit in StatusBit]
    define += [(f"ERROR_{code.name}", str(code.value)) for code in ErrorCode]
    width = max(len(name) for name, _ in define)
    lines = [f"#define COVENANT_{name:<{width}} {value}" for name, value in define]
    texts = [f'    "{code.doc}",' for code in ErrorCode]
    lines += ["", "/* By error code. */", "#define COVENANT_ERROR_TEXTS { \\", *(f"{text} \\" for text in texts), "}"]
    return ("/* Generated from the register map of Covenant's machines: do not edit. */\n#ifndef COVENANT_REGISTERS_H\n#define COVENANT_REGISTERS_H\n\n"
            + "\n".join(lines) + "\n\n#endif\n")
