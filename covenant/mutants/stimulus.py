"""What runs on a mutant: programs, their memory images and the bytes they must leave, computed once from the unmutated sources.

Programs are random ones below the compiler and a compiled convolution; the expected bytes are the functional simulator's. The timeline is
not kept: it is predicted by the (perhaps mutated) model when the program runs.
"""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from acg.graph import Graph, parse_graph
from acg.isa import Instruction, instruction_set
from acg.predictor import predict

__all__ = ["MACHINES_FOLDER", "SEEDS", "Workload", "machine_graph", "make_workloads", "read_workloads", "write_workloads"]

MACHINES_FOLDER = Path(__file__).parent / "machines"
#: Seeds of the random programs.
SEEDS = (0, 1, 2, 3, 4)
#: Instructions of a random program between its fills and its final stores.
INSTRUCTIONS = 40

Pieces = list[tuple[int, bytes]]


@dataclass(frozen=True)
class Workload:
    """A program and what it runs on.

    Attributes
    ----------
    name : str
    instructions : tuple of Instruction
    address : int
        Byte address of the program in external memory; the image holds it.
    image : list of (byte address, bytes)
    outputs : tuple of (byte address, size)
        Regions compared after each run.
    expected : list of list of bytes
        For each of the runs, one after another without a reset, the content of each region.
    reads : tuple of (first, end)
        External bytes that load engines may read.
    writes : tuple of (first, end)
        External bytes that store engines may write.
    cycles : int
        Predicted cycles of the unmutated model.
    repeats : bool
        A run leaves the same bytes whatever stood on chip before.
    """

    name: str
    instructions: tuple[Instruction, ...]
    address: int
    image: Pieces
    outputs: tuple[tuple[int, int], ...]
    expected: list[list[bytes]]
    reads: tuple[tuple[int, int], ...]
    writes: tuple[tuple[int, int], ...]
    cycles: int
    repeats: bool


def machine_graph(name: str) -> Graph:
    """Architecture of that name in ``covenant/mutants/machines``."""
    return parse_graph((MACHINES_FOLDER / f"{name}.yaml").read_text(), name=name)


def _expected(graph: Graph, image: Pieces, instructions: Sequence[Instruction], outputs, *, runs: int, external_bytes: int) -> list[list[bytes]]:
    from verif.iss.simulator import Simulator

    machine = Simulator(graph, external_bytes=external_bytes)
    machine.load_segments(image)
    found = []
    for _ in range(runs):
        machine.run(instructions)
        found.append([machine.read(address, size) for address, size in outputs])
    return found


def _random(graph: Graph, seed: int, runs: int) -> Workload:
    from verif.random.programs import random_program

    program = random_program(graph, seed, instructions=INSTRUCTIONS)
    code = instruction_set(graph).encode_program(program.instructions)
    image = [*program.image, (program.program_address, code)]
    outputs = ((0, program.observed_bytes),)
    window = ((0, program.observed_bytes),)
    expected = _expected(graph, image, program.instructions, outputs, runs=runs, external_bytes=graph.external.size_bytes)
    return Workload(f"random program {seed}", program.instructions, program.program_address, image, outputs, expected, window, window,
                    predict(graph, program.instructions).total_cycles, False)


def _convolution(graph: Graph, runs: int) -> Workload:
    from compiler.host import pack_inputs
    from compiler.passes import compile_network
    from compiler.read_network import read_network
    from covenant.bench.workloads import convolution
    from covenant.samples import draw, model_inputs

    model = convolution(channels=5, filters=6, size=7)
    program = compile_network(read_network(model, name="convolution"), graph)
    (sample,) = draw(model_inputs(model), seed=1, count=1)
    inputs = pack_inputs(program, sample)
    image = [*program.image, *inputs]
    external = [(item.address, item.address + item.size_bytes) for item in program.memory_map if item.memory == graph.external.name]
    places = [(address, address + len(data)) for address, data in (*program.segments, *inputs)]
    outputs = tuple((item.address, item.size_bytes) for item in program.outputs)
    expected = _expected(graph, image, program.instructions, outputs, runs=runs, external_bytes=program.external_bytes)
    return Workload("convolution", tuple(program.instructions), program.program_address, image, outputs, expected, tuple(places + external), tuple(external),
                    predict(graph, program.instructions).total_cycles, True)


def make_workloads(graph: Graph, *, runs: int) -> list[Workload]:
    """The compiled convolution, then the random programs of `SEEDS`."""
    return [_convolution(graph, runs), *(_random(graph, seed, runs) for seed in SEEDS)]


def _text(data: bytes) -> str:
    return base64.b85encode(data).decode()


def write_workloads(path: Path, workloads: list[Workload]) -> None:
    """Write as JSON."""
    rows = [{
        "name": work.name, "address": work.address, "cycles": work.cycles, "repeats": work.repeats,
        "instructions": [[item.engine, {name: int(value) for name, value in item.fields.items()}, dict(item.waits)] for item in work.instructions],
        "image": [[address, _text(data)] for address, data in work.image], "outputs": work.outputs,
        "expected": [[_text(data) for data in run] for run in work.expected], "reads": work.reads, "writes": work.writes,
    } for work in workloads]
    path.write_text(json.dumps(rows, default=_plain))


def _plain(value):
    if isinstance(value, np.integer):
        return int(value)
    raise TypeError(f"write_workloads: {value!r} is no plain value")


def read_workloads(path: Path) -> list[Workload]:
    """Read what `write_workloads` wrote."""
    def pairs(items) -> tuple[tuple[int, int], ...]:
        return tuple((first, second) for first, second in items)

    return [Workload(
        row["name"], tuple(Instruction(*item) for item in row["instructions"]), row["address"],
        [(address, base64.b85decode(data)) for address, data in row["image"]], pairs(row["outputs"]),
        [[base64.b85decode(data) for data in run] for run in row["expected"]], pairs(row["reads"]), pairs(row["writes"]), row["cycles"], row["repeats"],
    ) for row in json.loads(path.read_text())]
