"""Architecture `tiny` on the hostile bench: programs from the compiler and from the random generator, judged by the functional simulator."""

from dataclasses import dataclass, field
from functools import cache

import numpy as np

from acg.fingerprint import fingerprint
from acg.graph import load_graph
from acg.isa import Instruction, instruction_set
from acg.predictor import Timeline, predict
from acg.regmap import RegisterMap
from compiler.host import pack_inputs
from compiler.passes import compile_network
from compiler.read_network import read_network
from covenant.hardware import cache_folder, rtl_text
from covenant.samples import draw, model_inputs
from hwgen.names import top_name
from verif.bench import Description
from verif.bench.job import STATUS_DONE
from verif.hostile import HostileOutcome, Step, build_hostile, run_hostile
from verif.iss.simulator import Simulator
from verif.random.networks import random_network
from verif.random.programs import WINDOW_BYTES, random_program
from verif.timeline import compare

GRAPH = load_graph("tiny")
ISA = instruction_set(GRAPH)
#: Engine number in error registers by master port; the fetch unit is no engine.
ENGINE = {"fetch": 0, "load": 1 + GRAPH.engines["load"].index, "store": 1 + GRAPH.engines["store"].index}


@cache
def model():
    """The built bench."""
    return build_hostile([rtl_text(GRAPH)], Description.from_graph(GRAPH, top=top_name(GRAPH.name)), cache_folder(), opt="O1")


@dataclass
class Workload:
    """A program and what to run it on; `inputs` one list of (address, bytes) a run."""

    name: str
    instructions: tuple[Instruction, ...]
    address: int
    image: list[tuple[int, bytes]]
    inputs: list[list[tuple[int, bytes]]]
    outputs: list[tuple[int, int]]
    regions: dict[str, list[tuple[int, int]]]
    predicted: Timeline = field(init=False)

    def __post_init__(self):
        self.predicted = predict(GRAPH, self.instructions)

    def expected(self, numbers):
        """Outputs of the functional simulator for these inputs, one run after another."""
        machine = Simulator(GRAPH)
        machine.load_segments(self.image)
        result = []
        for number in numbers:
            machine.load_segments(self.inputs[number])
            machine.run(self.instructions)
            result.append([machine.read(address, size) for address, size in self.outputs])
        return result

    def step(self, number, **options):
        """Step on input `number`."""
        return Step(inputs=self.inputs[number], outputs=self.outputs, **options)

    def run(self, steps, *, regions=None, timeout_cycles=None) -> HostileOutcome:
        """Simulate."""
        return run_hostile(
            model(), self.image, steps, program=(self.address, len(self.instructions), fingerprint(GRAPH)),
            registers=RegisterMap(GRAPH).offsets, regions=regions or self.regions, timeout_cycles=timeout_cycles or 60 * self.predicted.total_cycles + 20_000)

    def check_good(self, result, expected, note):
        """A run that ended well with the right bytes, not before its time."""
        assert (result.status & 0xF) | 8 == STATUS_DONE | 8 and result.error_code == 0 and result.interrupt == 1, f"{note}: {result}"
        assert result.outputs == expected, f"{note}: outputs differ from the functional simulator's"
        assert result.cycles >= self.predicted.total_cycles, f"{note}: faster than predicted"

    def check_exact(self, result, timeline, note):
        """A run on an undisturbed bus: every event in its predicted cycle."""
        assert result.cycles == self.predicted.total_cycles, note
        assert compare(self.predicted, timeline).exact, f"{note}: {compare(self.predicted, timeline)}"


def of_program(program, samples, *, name):
    """Workload of a compiled program."""
    external = [(item.address, item.address + item.size_bytes) for item in program.memory_map if item.memory == GRAPH.external.name]
    inputs = [(item.address, item.address + item.size_bytes) for item in program.inputs]
    constants = [(address, address + len(data)) for address, data in program.segments]
    regions = {"fetch": [(program.program_address, program.program_address + len(program.code))],
               "load": constants + inputs + external, "store": [piece for piece in external if piece not in inputs]}
    return Workload(name, program.instructions, program.program_address, list(program.image), [pack_inputs(program, sample) for sample in samples],
                    [(item.address, item.size_bytes) for item in program.outputs], regions)


def network(seed, *, samples, size="tiny"):
    """Workload of a random network with so many inputs."""
    onnx = random_network(seed, size=size)
    return of_program(compile_network(read_network(onnx, name=f"network {seed}"), GRAPH), draw(model_inputs(onnx), seed=seed, count=samples), name=f"network {seed}")


def programs(seed, *, samples, instructions=25):
    """Workload of a random program; its inputs are the whole window, which it writes too."""
    program = random_program(GRAPH, seed, instructions=instructions)
    code = ISA.encode_program(program.instructions)
    address = program.program_address
    window = [(0, program.observed_bytes)]
    rng = np.random.default_rng(seed)
    inputs = [[(0, rng.integers(0, 256, WINDOW_BYTES // 2, np.uint8).tobytes()), program.image[1]] for _ in range(samples)]
    return Workload(f"program {seed}", program.instructions, address, [*program.image, (address, code)], inputs, [(0, program.observed_bytes)],
                    {"fetch": [(address, address + len(code))], "load": window, "store": window})
