"""Bad programs forced into the RTL past every loader: error code set, engines halted, no hang; a soft reset brings the machine back."""

import pytest

from acg.fingerprint import fingerprint
from acg.graph import load_graph
from acg.isa import Instruction, InstructionSet
from acg.predictor import predict
from acg.regmap import ErrorCode, RegisterMap
from covenant.hardware import simulator
from verif.bench import RunSpec, run
from verif.bench.job import STATUS_BUSY, STATUS_ERROR
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
