"""Random programs with one damaged instruction: refused by the loader, and, forced into the RTL past that, stopped with the right error."""

from dataclasses import dataclass, replace

import numpy as np

from acg.errors import InstructionError
from acg.fingerprint import fingerprint
from acg.graph import Graph
from acg.isa import ENGINE_BITS, instruction_set
from acg.predictor import predict
from acg.regmap import ErrorCode, RegisterMap
from acg.rules import absent, codes, exceeded, limits
from compiler.check_program import ProgramError, check_instructions
from covenant.verify.programs import RUNS, ProgramVerdict, failure_lines
from verif.bench import BenchError, BuiltModel, RunSpec, run
from verif.random.programs import random_program

__all__ = ["Expected", "damaged_word", "verify_illegal"]

#: Clock cycles beyond four times the predicted ones after which a run counts as hanging.
_PATIENCE_CYCLES = 20_000


@dataclass(frozen=True)
class Expected:
    """What the RTL must report: error code, engine number, and address; None there stands for the instruction's number in its program."""

    error: ErrorCode
    engine: int
    address: int | None = None


def damaged_word(graph: Graph, word: int, rng: np.random.Generator) -> tuple[int, Expected]:
    """A damaged copy of an encoded instruction, and what the RTL must report.

    Either some bits are flipped, at most one in each of the 16 places of the check halfword, so that the check fails; or, with a check that holds, the
    engine is one that does not exist, one of its codes chooses what does not, or its fields are beyond a limit.
    """
    isa = instruction_set(graph)
    kind = rng.random()
    instruction = isa.decode(word.to_bytes(isa.instruction_bytes, "little"))
    missing = [(code, value) for code in codes(graph)[instruction.engine] for value in code.missing]
    if kind < 0.3 and missing:
        code, value = missing[int(rng.integers(len(missing)))]
        fields = {**instruction.fields, code.field: value} | ({code.needs: 1} if code.needs else {})
        changed = replace(instruction, fields=fields)
        first = absent(graph, changed)
        assert first is not None
        return int.from_bytes(isa.encode(changed), "little"), Expected(ErrorCode.ILLEGAL, graph.engines[instruction.engine].index + 1, first[1])
    wide = {item.name: item.high for item in isa.formats[instruction.engine].fields}
    beyond = [name for bound in limits(graph)[instruction.engine] for name in bound.fields]
    if kind < 0.3 and beyond:
        name = beyond[int(rng.integers(len(beyond)))]
        changed = replace(instruction, fields={**instruction.fields, name: wide[name]})
        excess = exceeded(graph, changed)
        assert excess is not None, f"{name} {wide[name]} of {instruction.engine} is beyond no limit"
        return int.from_bytes(isa.encode(changed), "little"), Expected(ErrorCode.ILLEGAL, graph.engines[instruction.engine].index + 1, excess.value)
    if kind < 0.6:
        engine = next(item for item in isa.header if item.name == "engine")
        number = int(rng.choice([0, *range(len(graph.engines) + 1, 1 << ENGINE_BITS)]))
        mask = ((1 << engine.width) - 1) << engine.lsb
        word = word & ~mask | number << engine.lsb
        return word ^ isa.halfword_xor(word) ^ fingerprint(graph) & 0xFFFF, Expected(ErrorCode.ILLEGAL, number)
    for column in rng.choice(16, int(rng.integers(1, 5)), replace=False).tolist():
        word ^= 1 << 16 * int(rng.integers(isa.instruction_bits // 16)) + column
    return word, Expected(ErrorCode.CHECK, 0)


def verify_illegal(graph: Graph, seed: int, model: BuiltModel | None) -> ProgramVerdict:
    """Damage one instruction of a seed's random program. ``divergence`` is empty when the loader refuses it and the RTL, run twice with a soft reset between,
    stops with the error, the engine and the instruction's number (or the code) both times."""
    rng = np.random.default_rng([seed, 0x111E])
    program, isa = random_program(graph, seed), instruction_set(graph)
    instructions = program.instructions
    size, place = isa.instruction_bytes, int(rng.integers(len(instructions)))
    code = bytearray(isa.encode_program(instructions))
    word, expected = damaged_word(graph, int.from_bytes(code[place * size : (place + 1) * size], "little"), rng)
    code[place * size : (place + 1) * size] = word.to_bytes(size, "little")
    lines = []
    try:
        check_instructions(isa.decode_program(bytes(code)), graph, image=program.image)
        lines.append(f"instruction {place} with {expected.error.name}: found accepted, expected refused")
    except (InstructionError, ProgramError) as refusal:
        if not str(refusal).startswith(f"program, instruction {place}"):
            lines.append(f"instruction {place}: refused as {refusal}; expected its number in the message")
    if model is not None:
        lines += _forced(program.image, bytes(code), program.program_address, len(instructions), graph, model,
                         predict(graph, instructions).total_cycles,
                         (expected.error, expected.engine, place if expected.address is None else expected.address))
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
            lines.append(f"RTL, run {number + 1} of {RUNS}: error {found[0]}, engine {found[1]}, instruction or code {found[2]}; "
                         f"expected error {expected[0].value}, engine {expected[1]}, instruction or code {expected[2]}")
    return lines
