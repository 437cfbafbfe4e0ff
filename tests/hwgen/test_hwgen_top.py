"""The whole machine on the simulated RTL, programs made by hand: copies, order, every error code, recovery."""

import random

import pytest

from acg.fingerprint import fingerprint
from acg.graph import load_graph, parse_graph
from acg.isa import Instruction, InstructionSet
from acg.predictor import predict
from acg.regmap import ErrorCode, RegisterMap
from covenant.hardware import simulator
from hwgen.emit import verilog
from hwgen.top import Accelerator, top_members
from tests.support.architectures import text_of
from verif.bench import Program, RunSpec, run
from verif.timeline import compare

PROGRAM, SOURCE, TARGET = 0x10000, 0x20000, 0x30000
STATUS_DONE, STATUS_ERROR, STATUS_IDLE = 2, 4, 8


@pytest.fixture(scope="module")
def tiny():
    return load_graph("tiny")


@pytest.fixture(scope="module")
def isa(tiny):
    return InstructionSet(tiny)


@pytest.fixture(scope="module")
def model(tiny):
    return simulator(tiny)


def load(size=100, local=3, external=SOURCE, select=0, waits=None):
    fields = {"select": select, "n_3": size, "ext_address": external, "local_address": local}
    return Instruction(engine="load", fields=fields, waits=waits or {})


def store(size=100, local=3, external=TARGET, waits=None):
    return Instruction(engine="store", fields={"n_3": size, "ext_address": external, "local_address": local}, waits=waits or {})


def copy_program():
    """100 bytes through the activation memory."""
    return [load(), store(waits={"load": 1})]


def encode(isa, instructions):
    return b"".join(isa.encode(instruction) for instruction in instructions)


def with_engine_field(isa, data, number):
    """The instruction with another engine field and a check that fits it again."""
    word = int.from_bytes(data, "little")
    header = {field.name: field for field in isa.header}
    engine, check = header["engine"], header["check"]
    word &= ~(((1 << engine.width) - 1) << engine.lsb | 0xFFFF << check.lsb)
    word |= number << engine.lsb
    word |= (isa.halfword_xor(word) ^ (isa.fingerprint & 0xFFFF)) << check.lsb
    assert isa.check_holds(word)
    return word.to_bytes(len(data), "little")


def execute(graph, model, programs, *, source=b"", count=None, address=PROGRAM, program_fingerprint=None, watchdog_cycles=None):
    """Run encoded programs one after another, all of the length of the first unless ``count`` says otherwise."""
    size = InstructionSet(graph).instruction_bytes
    count = len(programs[0]) // size if count is None else count
    runs = [RunSpec(inputs=[(PROGRAM, program), (TARGET, bytes(128))], outputs=[(TARGET, 100)]) for program in programs]
    return run(model, [(SOURCE, source)], runs, check=False, watchdog_cycles=watchdog_cycles,
               program=Program(address, count, fingerprint(graph) if program_fingerprint is None else program_fingerprint),
               registers=RegisterMap(graph).offsets, timeout_cycles=20_000).results


def pattern(size, seed):
    print("seed", seed)
    return random.Random(seed).randbytes(size)


@pytest.mark.rtl
def test_a_copy_is_exact_to_the_byte_and_to_the_cycle_every_time(tiny, isa, model):
    program, source = copy_program(), pattern(100, 1)
    predicted = predict(tiny, program)
    for result in execute(tiny, model, [encode(isa, program)] * 3, source=source):
        assert result.outputs == [source]
        assert (result.status, result.error_code) == (STATUS_DONE | STATUS_IDLE, ErrorCode.NONE)
        assert result.cycles == predicted.total_cycles
        assert compare(predicted, result.timeline).mismatch_count == 0
        assert (result.counters["RETIRED_0"], result.counters["RETIRED_1"], result.counters["RETIRED_3"]) == (1, 0, 1)
        # An instruction is under way in the cycles after its start, up to its retire.
        assert result.counters["BUSY_0"] == predicted.retire[0] - predicted.start[0]
        assert result.counters["BUSY_3"] == predicted.retire[1] - predicted.start[1]
        # The store waits at the head of its queue from the cycle after its dispatch until it starts.
        assert result.counters["STALL_3"] == predicted.start[1] - predicted.dispatch[1] - 1
        assert result.counters["STALL_0"] == 0


@pytest.mark.rtl
def test_full_queues_and_waits_over_the_wrap_of_the_counters_stay_exact(tiny, isa, model):
    rng = random.Random(9)
    print("seed", 9)
    program = []
    for number in range(60):
        size = rng.randrange(1, 40)
        program.append(load(size, local=64 * number, external=SOURCE + rng.randrange(64), waits={"load": max(0, number - 2)}))
        if number % 3 == 2:
            program.append(store(8, local=64 * number, external=TARGET + number, waits={"load": number + 1, "store": number // 3}))
    predicted = predict(tiny, program)
    (result,) = execute(tiny, model, [encode(isa, program)], source=pattern(256, 2))
    assert result.error_code == ErrorCode.NONE
    assert compare(predicted, result.timeline).mismatch_count == 0
    assert result.cycles == predicted.total_cycles
    # A count half the counter's range ahead is one that was reached long ago.
    (result,) = execute(tiny, model, [encode(isa, [load(waits={"store": 0x8001}), store(waits={"load": 1})])], source=pattern(100, 3))
    assert result.status == STATUS_DONE | STATUS_IDLE


@pytest.mark.rtl
def test_an_error_stops_engines_that_have_nothing_to_do_with_it(tiny, isa, model):
    """A store of two thousand cycles is under way when a damaged instruction is dispatched: most of its target stays as it was, also after the
    soft reset that waits until everything is idle."""
    size = 8000
    damaged = bytearray(encode(isa, [load()]))
    damaged[40] ^= 1
    words = encode(isa, [store(size=size, local=0)]) + bytes(damaged)
    runs = [RunSpec(inputs=[(TARGET, b"\xaa" * size)], outputs=[(TARGET, size)]), RunSpec(outputs=[(TARGET, size)])]
    results = run(model, [(PROGRAM, words)], runs, check=False, program=Program(PROGRAM, 2, fingerprint(tiny)), registers=RegisterMap(tiny).offsets,
                  timeout_cycles=20_000).results
    for result in results:
        written = result.outputs[0].count(0)
        assert (result.error_code, result.error_address) == (ErrorCode.CHECK, 1)
        assert 0 < written < size // 4 and result.outputs[0] == bytes(written) + b"\xaa" * (size - written)


@pytest.mark.rtl
def test_an_empty_program_ends_at_once(tiny, isa, model):
    (result,) = execute(tiny, model, [encode(isa, copy_program())], count=0)
    assert (result.status, result.cycles) == (STATUS_DONE | STATUS_IDLE, predict(tiny, []).total_cycles)


def matrix_reading_bank_0():
    return Instruction(engine="matrix", fields={"n_4": 16, "n_5": 16, "a_stride_5": 1, "y_bound": 1, "x_bound": 1, "c_stride_5": 1})


def broken_programs(isa):
    """Name, encoded program of two instructions, expected (code, engine, address or None where it depends on the cycle)."""
    good = [isa.encode(instruction) for instruction in copy_program()]
    flipped = bytes([*good[1][:-1], good[1][-1] ^ 0x40])
    weights_end = 4 * 512 * 4
    return {
        "check": (good[0] + flipped, (ErrorCode.CHECK, 0, 1)),
        "no engine 0": (good[0] + with_engine_field(isa, good[1], 0), (ErrorCode.ILLEGAL, 0, 1)),
        "no engine 5": (with_engine_field(isa, good[0], 5) + good[1], (ErrorCode.ILLEGAL, 5, 0)),
        "address": (encode(isa, [load(select=1, local=weights_end - 40), store(waits={"load": 1})]), (ErrorCode.ADDRESS, 1, weights_end)),
        "external": (encode(isa, [load(external=(1 << 24) - 50), store(waits={"load": 1})]), (ErrorCode.EXTERNAL, 1, (1 << 24) - 50)),
        "external store": (encode(isa, [load(), store(external=1 << 24, waits={"load": 1})]), (ErrorCode.EXTERNAL, 4, 1 << 24)),
        "conflict": (encode(isa, [store(4000, local=0), matrix_reading_bank_0()]), (ErrorCode.CONFLICT, None, None)),
        "never": (encode(isa, [load(waits={"store": 1}), store(waits={"load": 1})]), (ErrorCode.WATCHDOG, 0, 0)),
    }


NAMES = ["check", "no engine 0", "no engine 5", "address", "external", "external store", "conflict", "never"]


@pytest.mark.rtl
@pytest.mark.parametrize("name", NAMES)
def test_a_broken_program_is_stopped_named_and_recovered_from(tiny, isa, model, name):
    programs = broken_programs(isa)
    assert list(programs) == NAMES
    broken, (code, engine, address) = programs[name]
    source = pattern(100, 4)
    good = encode(isa, copy_program())
    bad, again = execute(tiny, model, [broken, good], source=source, watchdog_cycles=600)
    assert bad.status & (STATUS_ERROR | STATUS_DONE) == STATUS_ERROR
    assert bad.error_code == code
    assert engine is None or bad.error_engine == engine
    assert address is None or bad.error_address == address
    assert bad.cycles < 10_000
    assert again.status == STATUS_DONE | STATUS_IDLE
    assert again.outputs == [source]
    assert again.cycles == predict(tiny, copy_program()).total_cycles


@pytest.mark.rtl
@pytest.mark.parametrize("change, code, address", [
    ({"program_fingerprint": 0}, ErrorCode.FINGERPRINT, 0),
    ({"address": PROGRAM + 8}, ErrorCode.EXTERNAL, PROGRAM + 8),
    ({"address": (1 << 24) - 128}, ErrorCode.EXTERNAL, (1 << 24) - 128),
])
def test_a_program_that_cannot_be_right_never_begins(tiny, isa, model, change, code, address):
    (result,) = execute(tiny, model, [encode(isa, copy_program())], **change)
    assert (result.status, result.error_code, result.error_address) == (STATUS_ERROR | STATUS_IDLE, code, address)
    assert (result.cycles, len(result.timeline)) == (0, 0)


def test_ports_of_a_second_load_engine_and_of_renamed_engines():
    names = set(top_members(load_graph("wide")))
    assert {"m_axi_load_araddr", "m_axi_load_weights_araddr", "m_axi_store_awaddr", "m_axi_fetch_rdata"} <= names
    assert not any(name.startswith(("m_axi_matrix", "m_axi_vector")) for name in names)


def test_parity_is_that_of_every_instruction(tiny, isa):
    expected = Accelerator(tiny).parity
    for instruction in copy_program():
        word, total = int.from_bytes(isa.encode(instruction), "little"), 0
        while word:
            total, word = total ^ word & 0xFFFF, word >> 16
        assert total == expected


def test_a_table_has_one_writer():
    text = text_of("wide") + "  - {from: load_weights, to: lut, port: destination}\n"
    message = (r"^architecture:14: memories\.lut: 'load', 'load_weights' write it; expected one load engine, "
               r"a table has one write port, remove the other links or give each its own table memory$")
    with pytest.raises(ValueError, match=message):
        verilog(parse_graph(text))
