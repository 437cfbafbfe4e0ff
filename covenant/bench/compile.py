"""Compile time and peak memory of the larger networks, each in a process of its own: ``python -m covenant.bench.compile MODEL ARCH``."""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from acg.graph import load_graph
from compiler.kept import keep_kernels
from compiler.passes import compile_network
from compiler.read_network import read_network
from covenant.caching import kernel_folder

__all__ = ["LARGE", "ON_CORE", "compile_figures", "measure", "with_kernels"]

#: Networks of the zoo whose compilation is worth watching.
LARGE = ("mobilenet_v2", "resnet18", "resnet50")
#: Networks whose kernels for a core are worth keeping.
ON_CORE = ("resnet8", "mobilenet_v1_025_96", "resnet18")


def _peak_bytes() -> int:
    """Largest resident set of this process so far; the kernel counts KiB on Linux and bytes on macOS."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def compile_figures(path: str, arch: str) -> dict[str, float]:
    """Compile an ONNX file and return ``import_seconds``, ``compile_seconds``, ``instructions``, ``file_bytes``, ``peak_bytes`` of this process."""
    graph = load_graph(arch)
    keep_kernels(kernel_folder)
    begin = time.perf_counter()
    ir = read_network(path)
    middle = time.perf_counter()
    program = compile_network(ir, graph)
    end = time.perf_counter()
    return {"import_seconds": middle - begin, "compile_seconds": end - middle, "instructions": len(program.instructions),
            "file_bytes": Path(path).stat().st_size, "peak_bytes": _peak_bytes()}


def measure(path: str | Path, arch: str, **environment: str) -> dict[str, float]:
    """`compile_figures` of a fresh process, so that nothing compiled before counts, but kernels of cores."""
    command = [sys.executable, "-m", "covenant.bench.compile", str(path), arch]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ | environment).stdout)


def with_kernels(path: str | Path, arch: str) -> tuple[dict[str, float], dict[str, float], int]:
    """`measure` with no kernel kept, again with those of the first time, and how many those are."""
    with tempfile.TemporaryDirectory() as folder:
        cold, warm = (measure(path, arch, COVENANT_CACHE=folder) for _ in range(2))
        return cold, warm, len(list((Path(folder) / "kernels").glob("*.json")))


if __name__ == "__main__":
    print(json.dumps(compile_figures(sys.argv[1], sys.argv[2])))
