"""Build and run the system; judge outputs against the functional simulator, and cycles against the prediction where memory is as promised."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np

from acg.graph import Graph
from acg.predictor import predict
from compiler.program import Program
from covenant.errors import UserError
from covenant.hardware import cache_folder, rtl_text
from covenant.run import execute_iss
from covenant.soc.firmware import build_firmware
from covenant.soc.system import system
from hwgen.names import top_name
from verif.bench.verilate import build_sources

__all__ = ["Answer", "run_system"]

_LINE = re.compile(r"SAMPLE (\d+) class (\d+) cycles (\d+) pack (\d+) run (\d+) unpack (\d+) output ([0-9a-f]*)")


@dataclass(frozen=True)
class Answer:
    """Of one sample: the class, the accelerator's cycles, the processor's to quantise, to wait and to dequantise, whether the output's bytes are those of the
    functional simulator."""

    label: int
    cycles: int
    pack_cycles: int
    run_cycles: int
    unpack_cycles: int
    exact: bool


def run_system(graph: Graph, program: Program, samples: list[np.ndarray], *, shared: bool, most_cycles: int = 2_000_000_000) -> list[Answer]:
    """Run samples of the program's one input, one after the other.

    Raises UserError where a tool is missing or the system does not end with an answer for each; BenchError where the simulator cannot be built.
    """
    word = graph.external.bus_bytes
    words = -(-program.external_bytes // word) + 64
    sources = system(graph, top=top_name(graph.name), shared=shared, memory_words=words)
    model = build_sources({**sources, "design.v": rtl_text(graph)}, cache_folder(), opt="O1",
                          mains={"simulate": Path(str(files("covenant.soc") / "main.cpp"))})
    with tempfile.TemporaryDirectory(prefix="covenant-soc-") as name:
        folder = Path(name)
        (folder / "firmware.hex").write_text(build_firmware(program, graph, samples, folder, shared_bytes=words * word))
        done = subprocess.run([str(model.path / "simulate")], cwd=folder, capture_output=True, text=True, check=False,
                              env=os.environ | {"COVENANT_SOC_CYCLES": str(most_cycles)})
    found = [tuple(match.groups()) for match in _LINE.finditer(done.stdout)]
    if "END 0" not in done.stdout or len(found) != len(samples):
        said = " / ".join([*done.stdout.strip().splitlines()[-8:], *done.stderr.strip().splitlines()[-8:]])
        raise UserError(f"soc: the firmware on {graph.name} gave {len(found)} of {len(samples)} answers and ended with: {said}; expected all, and END 0")
    (given,), (result,) = program.inputs, program.outputs
    expected = execute_iss(graph, program, [{given.name: sample} for sample in samples]).outputs
    answers = []
    for (_, label, cycles, pack, run, unpack, output), outputs in zip(found, expected, strict=True):
        array = outputs[result.name]
        exact = bytes.fromhex(output) == np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes()
        answers.append(Answer(int(label), int(cycles), int(pack), int(run), int(unpack), exact and int(label) == int(array.reshape(-1).argmax())))
    return answers


def predicted_cycles(graph: Graph, program: Program) -> int:
    """Of a run where memory is as promised."""
    return predict(graph, program.instructions).total_cycles
