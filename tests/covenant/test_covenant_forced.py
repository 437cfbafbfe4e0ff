"""Bad programs forced into the RTL past every loader: error code set, engines halted, no hang; a soft reset brings the machine back."""

from dataclasses import replace

import pytest

from acg.fingerprint import fingerprint
from acg.graph import load_graph
from acg.isa import Instruction, InstructionSet
from acg.predictor import predict
from acg.regmap import ErrorCode, RegisterMap
from acg.rules import codes
from compiler.check_program import ProgramError, check_instructions
from covenant.hardware import simulator
from covenant.mutants.forced import illegal_instructions
from verif.bench import RunSpec, run
from verif.bench.job import STATUS_BUSY, STATUS_ERROR
from verif.iss.errors import MachineError
from verif.iss.simulator import Simulator
from verif.timeline import compare

pytestmark = pytest.mark.rtl
GRAPH = load_graph("tiny")
ISA = InstructionSet(GRAPH)
PROGRAM_ADDRESS = 0x10000

GOOD = [
    Instruction("load", {"select": 0, "n_2": 3, "n_3": 40, "ext_address": 64, "ext_stride_2": 50, "local_address": 3, "local_stride_2": 64}),
    Instruction("vector", {"a_select": 1, "n_3": 30, "a_stride_3": 1, "y_stride_3": 1, "y_base": 2000, "y_bound": 1, "x_bound": 1, "y_low": -128, "y_high": 127},
                {"load": 1}),
    Instruction("store", {"select": 0, "n_3": 77, "local_address": 8000, "ext_address": 5001}, {"vector": 1}),
]


def _words(instructions):
    return [bytearray(ISA.encode(instruction)) for instruction in instructions]


def _run(words, *, count=None, made_for=None, watchdog_cycles=None, runs=2):
    """Run encoded instructions as they are, `runs` times with a soft reset after an error; return the results."""
    image = [(0, bytes(range(256)) * 32), (PROGRAM_ADDRESS, b"".join(map(bytes, words)))]
    program = (PROGRAM_ADDRESS, len(words) if count is None else count, fingerprint(GRAPH) if made_for is None else made_for)
    outcome = run(simulator(GRAPH), image, [RunSpec(inputs=[], outputs=[(5001, 77)])] * runs, program=program, registers=RegisterMap(GRAPH).offsets,
                  timeout_cycles=50_000, check=False, watchdog_cycles=watchdog_cycles)
    return outcome.results


def _fails(results, code):
    for result in results:
        assert result.error_code == code, f"found {ErrorCode(result.error_code).name}, expected {code.name}"
        assert result.status & STATUS_ERROR and not result.status & STATUS_BUSY
    assert len({(result.error_engine, result.error_address, result.cycles) for result in results}) == 1, "a soft reset did not restore the machine"
    return results[0]


def test_the_good_program_is_exact_and_repeats():
    results = _run(_words(GOOD), runs=3)
    line = predict(GRAPH, GOOD)
    for result in results:
        assert result.error_code == ErrorCode.NONE and result.cycles == line.total_cycles
        assert compare(line, result.timeline).exact
    data = bytes(range(256)) * 32
    local = bytearray(16384)
    for row in range(3):
        local[3 + 64 * row : 43 + 64 * row] = data[64 + 50 * row : 104 + 50 * row]
    assert results[0].outputs[0] == bytes(local[: 120]) [: 77]


def test_wrong_fingerprint():
    results = _run(_words(GOOD), made_for=fingerprint(GRAPH) ^ 1 << 40)
    _fails(results, ErrorCode.FINGERPRINT)
    assert all(result.timeline.size == 0 for result in results)


def test_truncated_program():
    result = _fails(_run(_words(GOOD), count=4), ErrorCode.CHECK)
    assert result.error_address == 3, "the number of the instruction that is not there"


@pytest.mark.parametrize("bit", [0, 15, 17, 100, 700, 1023])
def test_flipped_bit(bit):
    words = _words(GOOD)
    words[1][bit // 8] ^= 1 << bit % 8
    result = _fails(_run(words), ErrorCode.CHECK)
    assert result.error_address == 1


@pytest.mark.parametrize("number", [0, 5, 9, 255])
def test_instruction_for_a_missing_engine(number):
    words = _words(GOOD)
    old = words[0][2]
    words[0][2] = number
    words[0][0] ^= old ^ number  # the check halfword follows, so that only the engine is wrong
    result = _fails(_run(words), ErrorCode.ILLEGAL)
    assert result.error_engine == number


@pytest.mark.parametrize(("instruction", "code"), [pytest.param(*pair, id=f"{pair[0].engine}-{pair[1].field}-{pair[0].fields[pair[1].field]}")
                                                   for pair in illegal_instructions(GRAPH)])
def test_loader_functional_simulator_and_rtl_agree_on_a_code_that_does_not_exist(instruction, code):
    number = instruction.fields[code.field]
    result = _fails(_run([bytearray(ISA.encode(instruction))]), ErrorCode.ILLEGAL)
    assert (result.error_engine, result.error_address) == (GRAPH.engines[instruction.engine].index + 1, number)
    machine = Simulator(GRAPH, external_bytes=4096)
    before = {name: memory.copy() for name, memory in machine.memories.items()}
    with pytest.raises(MachineError) as caught:
        machine.run([instruction])
    assert (caught.value.code, caught.value.address) == (ErrorCode.ILLEGAL, number)
    assert str(caught.value) == (f"instruction 0 ({instruction.engine}): {code.field} is {number}; "
                                 f"expected one of {code.what}, {', '.join(map(str, code.meanings))}")
    assert all((machine.memories[name] == memory).all() for name, memory in before.items())
    with pytest.raises(ProgramError) as refused:
        check_instructions([instruction], GRAPH)
    assert str(refused.value) == (f"program, instruction 0 ({instruction.engine}): found {code.field} {number}; "
                                  f"expected one of {code.what}: {', '.join(map(str, code.meanings))}; compile the network again")


def test_every_other_value_and_every_choice_that_is_not_made_is_legal_everywhere():
    """One run each of what `codes` says exists, and of what nobody looks at because its flag is 0."""
    legal = []
    for instruction, code in illegal_instructions(GRAPH):
        fields = {name: value for name, value in instruction.fields.items() if name != code.needs}
        legal += [Instruction(instruction.engine, fields)] if code.needs else []
    for engine, rows in codes(GRAPH).items():
        sound = {"y_bound": 1, "x_bound": 1, "b_base": 1024} if GRAPH.engines[engine].kind == "vector" else {"n_3": 16}
        legal += [Instruction(engine, {**sound, **({code.needs: 1} if code.needs else {}), code.field: value}) for code in rows for value in code.meanings]
    legal = [replace(item, fields=item.fields | {"b_base": 128}) if item.fields.get("b_select") == 2 else item for item in legal]  # a bank beside a's
    check_instructions(legal, GRAPH)
    Simulator(GRAPH, external_bytes=4096).run(legal)
    program = [Instruction(item.engine, item.fields, {name: sum(other.engine == name for other in legal[:number]) for name in GRAPH.engines})
               for number, item in enumerate(legal)]  # one after the other: none is in another's bank
    assert all(result.error_code == ErrorCode.NONE for result in _run(_words(program)))


def test_on_chip_address_out_of_range():
    bad = Instruction("load", {"select": 1, "n_3": 16, "ext_address": 64, "local_address": GRAPH.memories["wgt"].size_bytes})
    _fails(_run(_words([bad, *GOOD[1:]])), ErrorCode.ADDRESS)


@pytest.mark.parametrize("engine", ["load", "store"])
def test_external_address_out_of_range(engine):
    bad = Instruction(engine, {"n_3": 32, "ext_address": GRAPH.external.size_bytes - 16})
    result = _fails(_run(_words([bad])), ErrorCode.EXTERNAL)
    assert result.error_engine == GRAPH.engines[engine].index + 1


def test_bank_conflict():
    matrix = Instruction("matrix", {"n_5": 500, "n_4": 8, "a_stride_5": 1, "y_bound": 1, "x_bound": 1, "c_stride_5": 0})
    vector = Instruction("vector", {"a_select": 1, "n_3": 500, "a_base": 100, "y_base": 2000, "y_bound": 1, "x_bound": 1})
    _fails(_run(_words([matrix, vector])), ErrorCode.CONFLICT)


def test_a_wait_that_never_comes_ends_in_the_watchdog():
    words = _words([GOOD[0], Instruction("vector", GOOD[1].fields, {"matrix": 1})])
    _fails(_run(words, watchdog_cycles=2000), ErrorCode.WATCHDOG)
