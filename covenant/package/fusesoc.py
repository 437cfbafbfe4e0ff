"""A FuseSoC core file (CAPI2) of the package: synthesis files, lint with Verilator, the bench on Icarus Verilog."""

import yaml

from covenant.package.interface import Interface
from covenant.package.ipxact import LIBRARY, VENDOR, VERSION

__all__ = ["core_file"]


def core_file(interface: Interface, *, banner: str, summary: str, rtl: list[str], waivers: str, bench: list[str], data: list[str],
              constraints: list[str]) -> str:
    """Text of the ``.core`` file; paths are relative to it. ``data``: files that the bench reads where it runs."""
    core = {
        "name": f"{VENDOR}:{LIBRARY}:{interface.top}:{VERSION}",
        "description": summary,
        "filesets": {
            "rtl": {"files": rtl, "file_type": "verilogSource-2005"},
            "lint": {"files": [waivers], "file_type": "vlt"},
            "bench": {"files": [*bench, *({name: {"file_type": "user", "copyto": name.rpartition("/")[2]}} for name in data)],
                      "file_type": "systemVerilogSource"},
            "constraints": {"files": [{name: {"file_type": name.rpartition(".")[2].upper()}} for name in constraints]},
        },
        "targets": {
            "default": {"filesets": ["rtl"], "toplevel": f"{interface.top}_axi"},
            "lint": {"filesets": ["lint", "rtl"], "toplevel": f"{interface.top}_axi", "default_tool": "verilator",
                     "tools": {"verilator": {"mode": "lint-only", "verilator_options": ["-Wall"]}}},
            "sim": {"filesets": ["rtl", "bench"], "toplevel": f"{interface.top}_bench", "default_tool": "icarus",
                    "tools": {"icarus": {"iverilog_options": ["-g2012"]}}},
            "synth": {"filesets": ["rtl", "constraints"], "toplevel": f"{interface.top}_axi", "default_tool": "vivado",
                      "tools": {"vivado": {"part": "xczu3eg-sbva484-1-e"}}},
        },
    }
    return f"CAPI=2:\n{banner}\n{yaml.safe_dump(core, sort_keys=False, width=150)}"
