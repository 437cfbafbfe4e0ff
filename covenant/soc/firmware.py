"""The firmware: the C driver, a network's image and samples, built by a RISC-V compiler into words for the processor's memory."""

from __future__ import annotations

import re
import shutil
import subprocess
from importlib.resources import files
from math import prod
from pathlib import Path

import numpy as np

from acg.graph import Graph
from compiler.program import Program
from covenant.driver.image import image, image_header
from covenant.driver.registers import registers_header
from covenant.errors import UserError
from covenant.soc.system import RAM_WORDS

__all__ = ["COMPILERS", "build_firmware", "compiler"]

COMPILERS = ("riscv64-unknown-elf-gcc", "riscv32-unknown-elf-gcc")
_BYTES = {"f32": 4, "i8": 1, "u8": 1, "i32": 4, "i64": 8}


def compiler() -> str:
    """The compiler on PATH. Raises UserError."""
    found = next((place for name in COMPILERS if (place := shutil.which(name))), None)
    if found is None:
        raise UserError(f"soc: found no {' or '.join(COMPILERS)} on PATH; expected a RISC-V compiler, on Debian and Ubuntu: apt-get install "
                        "gcc-riscv64-unknown-elf")
    return found


def build_firmware(program: Program, graph: Graph, samples: list[np.ndarray], folder: Path, *, shared_bytes: int) -> str:
    """Text for ``$readmemh``: a word of 4 bytes a line. ``samples`` are arrays of the program's one input. Raises UserError where there is no compiler, the
    network has several inputs or outputs, or it does not fit the memory."""
    if len(program.inputs) != 1 or len(program.outputs) != 1:
        raise UserError(f"soc: {program.name} has {len(program.inputs)} inputs and {len(program.outputs)} outputs; expected one of each")
    (given,), (result,) = program.inputs, program.outputs
    driver, room = files("covenant.driver"), files("covenant.soc")
    for name in ("covenant.c", "covenant.h"):
        (folder / name).write_text((driver / name).read_text())
    for name in ("firmware.c", "start.S", "link.ld"):
        (folder / name).write_text((room / name).read_text())
    (folder / "covenant_registers.h").write_text(registers_header(graph))
    (folder / "network.h").write_text(image_header(program, graph, name="network"))
    (folder / "network.bin").write_bytes(image(program))
    data = b"".join(np.ascontiguousarray(sample).astype(np.dtype(sample.dtype).newbyteorder("<")).tobytes() for sample in samples)
    size, out = prod(given.shape) * _BYTES[given.dtype], prod(result.shape) * _BYTES[result.dtype]
    rows = [", ".join(f"{word:#010x}u" for word in np.frombuffer(data + bytes(-len(data) % 4), "<u4")[first:first + 8]) for first in
            range(0, -(-len(data) // 4), 8)]
    (folder / "samples.h").write_text("\n".join([
        f"#define SAMPLES {len(samples)}u", f"#define INPUT_BYTES {size}u", f"#define OUTPUT_BYTES {out}u", f"#define SHARED_BYTES {shared_bytes}u",
        f"static const uint32_t samples[{-(-len(data) // 4)}] = {{", *(f"    {row}," for row in rows), "};", ""]))
    tool = compiler()
    command = [tool, "-march=rv32im", "-mabi=ilp32", "-O2", "-std=c99", "-Wall", "-Wextra", "-Werror", "-ffreestanding", "-fno-builtin", "-nostdlib",
               "-T", "link.ld", "start.S", "firmware.c", "covenant.c", "-lgcc", "-o", "firmware.elf"]
    for step in (command, [re.sub("gcc$", "objcopy", tool), "-O", "binary", "firmware.elf", "firmware.bin"]):
        done = subprocess.run(step, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise UserError(f"soc: {' '.join(step)} ended with status {done.returncode}: {done.stderr.strip()}; expected a compiler of rv32im with libgcc")
    code = (folder / "firmware.bin").read_bytes()
    if len(code) > 4 * RAM_WORDS - (1 << 16):
        raise UserError(f"soc: firmware of {len(code)} bytes; expected at most {4 * RAM_WORDS - (1 << 16)}: a smaller network, or fewer samples")
    code += bytes(-len(code) % 4)
    return "\n".join(f"{word:08x}" for word in np.frombuffer(code, "<u4")) + "\n"
