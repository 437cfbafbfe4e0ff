"""What the package's own bench runs: a small compiled network, and of a machine that cannot run it a drawn program."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from acg.fingerprint import fingerprint
from acg.graph import Graph
from acg.isa import instruction_set
from acg.predictor import predict
from compiler.errors import CompilerError
from compiler.host import pack_inputs
from compiler.layout import ELEMENT_BYTES
from compiler.program import EdgeTensor, Program
from covenant.bench.workloads import demonstration
from covenant.networks import compile_file
from verif.iss.simulator import Simulator
from verif.random.programs import random_program

__all__ = ["Stimulus", "stimulus"]

#: Instructions of a drawn program, those that bring its results out not counted.
_DRAWN = 12


@dataclass(frozen=True)
class Stimulus:
    """A program ready to run, and what it must give.

    Attributes
    ----------
    what : str
        In a sentence's middle.
    segments : tuple of (address, bytes)
        Of external memory before the run: constants, instructions, inputs.
    expected : tuple of (address, bytes, mask)
        After it; bytes whose mask is 0 hold anything.
    program_address, count, fingerprint, cycles, memory_bytes : int
        ``cycles`` as predicted; ``memory_bytes`` from address 0 hold everything.
    """

    what: str
    segments: tuple[tuple[int, bytes], ...]
    expected: tuple[tuple[int, bytes, bytes], ...]
    program_address: int
    count: int
    fingerprint: int
    cycles: int
    memory_bytes: int


def _mask(item: EdgeTensor) -> bytes:
    """Which bytes of a tensor in memory are elements, not padding of its channels."""
    n, c, h, w = item.stored_shape
    channels = -(-c // item.lanes) * item.lanes
    mask = np.zeros((n, h, w, channels, ELEMENT_BYTES[item.tensor_dtype]), np.uint8)
    mask[..., :c, :] = 1
    return mask.tobytes()


def _of_network(graph: Graph, program: Program) -> Stimulus:
    generator = np.random.default_rng(1)
    arrays = {item.name: generator.standard_normal(item.shape).astype(np.float32) for item in program.inputs}
    inputs = tuple(pack_inputs(program, arrays))
    machine = Simulator(graph, external_bytes=program.external_bytes)
    machine.load_segments((*program.image, *inputs))
    machine.run(program.instructions)
    expected = tuple((item.address, machine.read(item.address, item.size_bytes), _mask(item)) for item in program.outputs)
    return Stimulus("a quantised 3x3 convolution of 3 to 5 channels on 5x5 pixels, compiled from ONNX", (*program.image, *inputs), expected,
                    program.program_address, len(program.instructions), program.fingerprint, predict(graph, program.instructions).total_cycles,
                    program.external_bytes)


def _of_drawn(graph: Graph, reason: str) -> Stimulus:
    program = random_program(graph, 2, instructions=_DRAWN)
    instructions, size = program.instructions, program.observed_bytes
    code = instruction_set(graph).encode_program(instructions)
    machine = Simulator(graph, external_bytes=size)
    machine.load_segments(program.image)
    machine.run(instructions)
    address, data = program.program_address, machine.read(0, size)
    return Stimulus(f"a drawn program ({reason})", ((0, bytes(size)), *program.image, (address, code)), ((0, data, bytes([1]) * size),), address,
                    len(instructions), fingerprint(graph), predict(graph, instructions).total_cycles, address + len(code))


def stimulus(graph: Graph) -> Stimulus:
    """The demonstration network compiled for a graph; where it does not compile, what random programs are made of, so that every machine has a bench."""
    with tempfile.TemporaryDirectory(prefix="covenant-package-") as folder:
        path = Path(folder) / "demonstration.onnx"
        path.write_bytes(demonstration().SerializeToString())
        try:
            _, program = compile_file(str(path), graph, shapes={})
        except CompilerError:
            return _of_drawn(graph, "the machine has no engine for a convolution")
    return _of_network(graph, program)
