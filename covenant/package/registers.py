"""SystemRDL of a machine's registers."""

from enum import IntFlag

from acg.graph import Graph
from acg.register_bits import ControlBit, StatusBit
from acg.regmap import Register, RegisterMap

__all__ = ["system_rdl"]

_BITS: dict[str, type[IntFlag]] = {"CONTROL": ControlBit, "STATUS": StatusBit}
#: Bits that act when written as one and read as zero.
_PULSES = ("START", "SOFT_RESET")


def _text(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')


def _field(register: Register, name: str, high: int, low: int, *, pulse: bool = False) -> str:
    software = {"ro": "sw = r; hw = w;", "rw": "sw = rw; hw = r;"}[register.access]
    reset = register.reset >> low & ((1 << (high - low + 1)) - 1)
    single = " singlepulse;" if pulse else ""
    return f"        field {{ {software}{single} }} {name}[{high}:{low}] = {high - low + 1}'h{reset:x};"


def system_rdl(graph: Graph, *, name: str, banner: str) -> str:
    """SystemRDL 2.0 of the register map, an ``addrmap`` called ``name``; ``banner``: comment lines that it begins with."""
    lines = [banner, f"addrmap {name} {{", f'    name = "{_text(graph.name)}";', f'    desc = "{_text(graph.summary)}";',
             "    default regwidth = 32;", "    default accesswidth = 32;", "    addressing = regalign;"]
    for register in RegisterMap(graph).registers:
        lines += ["    reg {", f'        desc = "{_text(register.doc)}";']
        if register.name in _BITS:
            lines += [_field(register, bit.name or "", bit.bit_length() - 1, bit.bit_length() - 1, pulse=bit.name in _PULSES) for bit in _BITS[register.name]]
        else:
            lines.append(_field(register, "value", 31, 0))
        lines.append(f"    }} {register.name} @ {register.offset_bytes:#x};")
    return "\n".join([*lines, "};", ""])
