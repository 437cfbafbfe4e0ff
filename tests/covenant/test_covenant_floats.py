"""float32 values that stay on chip, through the RTL of tiny: written by the vector unit, read back as operands a and b, estimated, refined."""

import numpy as np
import pytest

from acg.fingerprint import fingerprint
from acg.graph import load_graph
from acg.isa import Instruction, instruction_set
from acg.kinds.vector import ESTIMATES
from acg.predictor import predict
from acg.regmap import ErrorCode, RegisterMap
from covenant.hardware import simulator
from verif.bench import RunSpec, run
from verif.iss.simulator import Simulator
from verif.iss.vector import BINARY_ADD, BINARY_MULTIPLY
from verif.random.programs import Draft, ordered
from verif.timeline import compare

pytestmark = pytest.mark.rtl
GRAPH = load_graph("tiny")
PROGRAM_ADDRESS, RESULT_ADDRESS = 0x10000, 0x8000
#: Words of 4 elements in each vector instruction; addresses of float32 words in acc, whose second bank begins at word 128.
WORDS = 16
X, PRODUCT, REST, SQUARE, GUESS = 0, 32, 64, 96, 128
#: Places of links: port a has acc and act, b has act, wgt and acc, y has act and acc.
A, B = {"acc": 0, "act": 1}, {"act": 0, "acc": 2}


def pattern(value):
    return int(np.float32(value).view(np.uint32))


def vector(y_base, a_base, *, a="acc", b=None, b_base=0, b_stride=1, scale_a=1.0, scale_b=1.0, **fields):
    """One instruction over all words whose operands and result are float32, operands from act excepted."""
    fields |= {"n_3": WORDS, "a_select": A[a], "a_base": a_base, "a_stride_3": 1, "a_signed": 1, "a_float": int(a == "acc"), "y_select": 1,
               "y_base": y_base, "y_stride_3": 1, "y_bound": 1, "x_bound": 1, "numeric": 1, "scale_a": pattern(scale_a), "scale_b": pattern(scale_b),
               "scale_y": pattern(1.0)}
    if b is not None:
        fields |= {"b_enable": 1, "b_select": B[b], "b_base": b_base, "b_stride_3": b_stride, "b_float": int(b == "acc")}
    return Instruction("vector", fields)


def load_x(scale):
    """4 * 16 bytes into act, a word of ones behind them, and the bytes times ``scale`` as float32 at X."""
    return [Instruction("load", {"select": 0, "n_3": 4 * WORDS + 4}), vector(X, 0, a="act", scale_a=scale)]


def reciprocal(steps):
    """r = r (2 - x r), ``steps`` times."""
    step = [
        vector(PRODUCT, X, b="acc", b_base=GUESS, binary=BINARY_MULTIPLY, scale_a=-1.0),
        vector(REST, PRODUCT, b="act", b_base=WORDS, b_stride=0, binary=BINARY_ADD, scale_b=2.0),
        vector(GUESS, REST, b="acc", b_base=GUESS, binary=BINARY_MULTIPLY),
    ]
    return [vector(GUESS, X, estimate=ESTIMATES["RECIPROCAL_ESTIMATE"]), *step * steps]


def reciprocal_root(steps):
    """r = r (3/2 - x r^2 / 2), ``steps`` times."""
    step = [
        vector(SQUARE, X, b="acc", b_base=GUESS, binary=BINARY_MULTIPLY, scale_a=-0.5),
        vector(PRODUCT, SQUARE, b="acc", b_base=GUESS, binary=BINARY_MULTIPLY),
        vector(REST, PRODUCT, b="act", b_base=WORDS, b_stride=0, binary=BINARY_ADD, scale_b=1.5),
        vector(GUESS, REST, b="acc", b_base=GUESS, binary=BINARY_MULTIPLY),
    ]
    return [vector(GUESS, X, estimate=ESTIMATES["RSQRT_ESTIMATE"]), *step * steps]


def execute(instructions, image, *, exact=True):
    """Run on the RTL; with ``exact`` hold timeline and result to the prediction and the functional simulator. Returns the run and float32 [64]."""
    isa = instruction_set(GRAPH)
    size = 16 * WORDS
    outcome = run(simulator(GRAPH), [(0, image), (PROGRAM_ADDRESS, isa.encode_program(instructions))], [RunSpec(inputs=[], outputs=[(RESULT_ADDRESS, size)])],
                  program=(PROGRAM_ADDRESS, len(instructions), fingerprint(GRAPH)), registers=RegisterMap(GRAPH).offsets, timeout_cycles=50_000, check=False)
    (result,) = outcome.results
    if exact:
        assert result.error_code == ErrorCode.NONE
        assert compare(predict(GRAPH, instructions), result.timeline).exact
        machine = Simulator(GRAPH, external_bytes=1 << 17)
        machine.write(0, image)
        machine.run(instructions)
        assert result.outputs[0] == machine.read(RESULT_ADDRESS, size)
    return result, np.frombuffer(result.outputs[0], np.float32)


STORE = Instruction("store", {"select": 1, "n_3": 16 * WORDS, "local_address": 16 * GUESS, "ext_address": RESULT_ADDRESS})


@pytest.mark.parametrize(("make", "exact", "steps"), [
    (reciprocal, lambda x: 1 / x, 3), (reciprocal_root, lambda x: x**-0.5, 3), (reciprocal, lambda x: 1 / x, 0)])
def test_newton_on_chip(make, exact, steps):
    """Estimates and Newton's iteration, as a division or a normalisation needs them: within 3 units in the last place after three steps."""
    values = np.arange(1, 4 * WORDS + 1, dtype=np.int8) * 2 - 1
    program = ordered(GRAPH, [Draft(item) for item in (*load_x(0.37), *make(steps), STORE)])
    _, found = execute(program, values.tobytes() + bytes([1] * 4))
    wanted = exact(np.float64(values.astype(np.float32) * np.float32(0.37)))
    assert np.abs(found / wanted - 1).max() < (3 * 2.0**-23 if steps else 0.0506)


def test_float_operands_in_one_bank_conflict():
    """Operands a and b of one instruction on one read port."""
    program = [*load_x(1.0), vector(GUESS, X, b="acc", b_base=PRODUCT, binary=BINARY_ADD)]
    result, _ = execute(program, bytes(128), exact=False)
    assert result.error_code == ErrorCode.CONFLICT


def test_matrix_and_vector_on_one_write_port_conflict():
    matrix = Instruction("matrix", {"n_4": 30, "n_5": 4, "a_stride_5": 1, "c_stride_4": 4, "c_stride_5": 1, "y_bound": 1, "x_bound": 1})
    apart = vector(GUESS, 2000, a="act")
    result, _ = execute([matrix, apart, STORE], bytes(128))
    assert result.error_code == ErrorCode.NONE
    result, _ = execute([matrix, vector(X, 2000, a="act"), vector(X, 2000, a="act"), vector(X, 2000, a="act")], bytes(128), exact=False)
    assert result.error_code == ErrorCode.CONFLICT


def test_an_estimate_that_does_not_exist():
    result, _ = execute([vector(X, 0, a="act", estimate=3)], bytes(128), exact=False)
    assert (result.error_code, result.error_engine, result.error_address) == (ErrorCode.ILLEGAL, GRAPH.engines["vector"].index + 1, 3)
