"""Random programs with one damaged instruction: refused when decoded, and, forced into the RTL past that, stopped with the right error."""

import numpy as np

from acg.errors import InstructionError
from acg.fingerprint import fingerprint
from acg.graph import Graph
from acg.isa import ENGINE_BITS, instruction_set
from acg.predictor import predict
from acg.regmap import ErrorCode, RegisterMap
from covenant.verify.programs import RUNS, ProgramVerdict, failure_lines
from verif.bench import BenchError, BuiltModel, RunSpec, run
from verif.random.programs import random_program

__all__ = ["damaged_word", "verify_illegal"]

#: Clock cycles beyond four times the predicted ones after which a run counts as hanging.
_PATIENCE_CYCLES = 20_000


def damaged_word(graph: Graph, word: int, rng: np.random.Generator) -> tuple[int, ErrorCode, int]:
    """A damaged copy of an encoded instruction, the error that the RTL must report, and the engine number it must name.

    Either some bits are flipped, at most one in each of the 16 places of the check halfword, so that the check fails; or the engine is one that does not
    exist, with a check that holds.
    """
    isa = instruction_set(graph)
    if rng.random() < 0.5:
        engine = next(item for item in isa.header if item.name == "engine")
        number = int(rng.choice([0, *range(len(graph.engines) + 1, 1 << ENGINE_BITS)]))
        mask = ((1 << engine.width) - 1) << engine.lsb
        word = word & ~mask | number << engine.lsb
        return word ^ isa.halfword_xor(word) ^ fingerprint(graph) & 0xFFFF, ErrorCode.ILLEGAL, number
    for column in rng.choice(16, int(rng.integers(1, 5)), replace=False).tolist():
        word ^= 1 << 16 * int(rng.integers(isa.instruction_bits // 16)) + column
    return word, ErrorCode.CHECK, 0


def verify_illegal(graph: Graph, seed: int, model: BuiltModel | None) -> ProgramVerdict:
    """Damage one instruction of a seed's random program. ``divergence`` is empty when decoding refuses it and the RTL, run twice with a soft reset between,
    stops with the error, the engine and the instruction's number both times."""
    rng = np.random.default_rng([seed, 0x111E])
    program, isa = random_program(graph, seed), instruction_set(graph)
    instructions = program.instructions
    size, place = isa.instruction_bytes, int(rng.integers(len(instructions)))
    code = bytearray(isa.encode_program(instructions))
    word, error, engine = damaged_word(graph, int.from_bytes(code[place * size : (place + 1) * size], "little"), rng)
    code[place * size : (place + 1) * size] = word.to_bytes(size, "little")
    lines = []
    try:
        isa.decode_program(bytes(code))
        lines.append(f"instruction {place} with {error.name}: found accepted when decoded, expected refused")
    except InstructionError as refusal:
        if not str(refusal).startswith(f"program, instruction {place}: "):
            lines.append(f"instruction {place}: refused as {refusal}; expected its number in the message")
    if model is not None:
        lines += _forced(program.image, bytes(code), program.program_address, len(instructions), graph, model,
                         predict(graph, instructions).total_cycles, (error, engine, place))
    return ProgramVerdict(len(instructions), 0, None, tuple(lines))


def _forced(image, code: bytes, address: int, count: int, graph: Graph, model: BuiltModel, cycles: int, expected: tuple[ErrorCode, int, int]) -> list[str]:
    try:
        outcome = run(model, [*image, (address, code)], [RunSpec(inputs=[], outputs=[(0, 8)])] * RUNS, program=(address, count, fingerprint(graph)),
                      registers=RegisterMap(graph).offsets, timeout_cycles=4 * cycles + _PATIENCE_CYCLES, check=False)
    except BenchError as error:
        return [f"RTL: {line}" for line in failure_lines(error)]
    lines = []
    for number, result in enumerate(outcome.results):
        found = (result.error_code, result.error_engine, result.error_address)
        if found != expected:
            lines.append(f"RTL, run {number + 1} of {RUNS}: error {found[0]}, engine {found[1]}, instruction {found[2]}; "
                         f"expected error {expected[0].value}, engine {expected[1]}, instruction {expected[2]}")
    return lines
