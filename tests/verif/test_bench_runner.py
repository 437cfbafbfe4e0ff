"""Runs on the hand-written machine: outputs, cycles, timeline, many inferences, errors, and the cost of cocotb."""

import random
import re

import pytest

from tests.verif import bench_machine as machine
from verif.bench import Description, MachineError, Progress, RunSpec, RunTimeout, SimulationError, build, run, run_bare
from verif.bench.job import STATUS_DONE, STATUS_ERROR

pytestmark = pytest.mark.rtl
SOURCE = 0x200


@pytest.fixture(scope="module")
def model():
    return build([machine.DUT], machine.MACHINE, machine.CACHE, opt="O1")


def execute(model, words, runs, function=run, address=SOURCE, fingerprint=machine.FINGERPRINT, timeout_cycles=20_000, **options):
    return function(model, options.pop("segments", []), runs, program=(address, words, fingerprint), registers=machine.REGISTERS,
                    timeout_cycles=timeout_cycles, **options)


def inference(rng, words):
    content = rng.randbytes(words * machine.WORD_BYTES)
    return content, RunSpec([(SOURCE, content)], [(SOURCE + machine.OFFSET_BYTES, len(content))])


def assert_timeline(events, words):
    """Every event of the run, and no other."""
    expected = machine.predicted(words)
    for kind, engine, cycles in ((0, 0, expected.dispatch), *((kind, engine, values[expected.engine == engine]) for engine in (0, 1)
                                                             for kind, values in ((1, expected.start), (2, expected.retire)))):
        found = events["cycle"][(events["kind"] == kind) & (events["engine"] == engine)]
        assert found.tolist() == cycles.tolist(), (kind, engine)
    assert events.size == expected.dispatch.size + expected.start.size + expected.retire.size


def test_inferences_back_to_back(model):
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    contents, runs = zip(*(inference(rng, 20) for _ in range(5)), strict=True)
    outcome = execute(model, 20, runs)
    assert len(outcome.results) == 5
    for content, result in zip(contents, outcome.results, strict=True):
        assert result.outputs == [machine.expected_output(content)]
        assert result.cycles == machine.predicted(20).cycles
        assert (result.status & STATUS_DONE, result.status & STATUS_ERROR, result.error_code) == (STATUS_DONE, 0, 0)
        assert result.counters == {"RETIRED_0": 3, "RETIRED_1": 3}
        assert_timeline(result.timeline, 20)
    assert outcome.simulated_cycles == sum(result.simulated_cycles for result in outcome.results)


def test_segments_stay_between_runs_at_any_alignment(model):
    outcome = execute(model, 2, [RunSpec([], [(SOURCE - 3, 7), (SOURCE + machine.OFFSET_BYTES + 1, 5)]), RunSpec([(SOURCE + 3, b"\x55")])],
                      segments=[(SOURCE - 1, b"abcdef")], timeline=False)
    first, second = outcome.results
    assert first.outputs == [b"\0\0abcde", machine.expected_output(b"cdef\0")]
    assert first.timeline.size == 0
    assert second.outputs == []


def test_work_folder_keeps_the_files(model, tmp_path):
    folder = tmp_path / "work"
    execute(model, 1, [RunSpec()], work_dir=folder)
    assert {path.name for path in folder.iterdir()} >= {"job.json", "data.bin", "outputs.bin", "result.json", "timeline.bin", "simulator.log"}


def test_progress_reports_rate_and_remaining_time(model):
    seen = []
    execute(model, 50, [inference(random.Random(1), 50)[1]], progress=seen.append, expected_cycles=10_000_000)
    assert seen and all(isinstance(state, Progress) for state in seen)
    assert seen[-1].cycles > machine.predicted(50).cycles
    assert seen[-1].remaining_seconds == pytest.approx((10_000_000 - seen[-1].cycles) / seen[-1].cycles_per_second)


def test_bare_program_gives_the_same_bytes_and_cycles(model):
    contents, runs = zip(*(inference(random.Random(2), 9) for _ in range(2)), strict=True)
    outcome = execute(model, 9, runs, function=run_bare)
    assert outcome.outputs == [[machine.expected_output(content)] for content in contents]
    assert outcome.cycles == [machine.predicted(9).cycles] * 2


def test_machine_error_names_code_engine_and_address(model):
    past = machine.MEMORY_BYTES - 0x800
    with pytest.raises(MachineError) as caught:
        execute(model, 16, [RunSpec([(past, bytes(range(128)))])], address=past)
    assert str(caught.value) == (
        "run 0 of 1: found error 7 (EXTERNAL), engine 1, address 0x10800, after 24 cycles; expected error 0 (NONE); "
        "disassemble the program at that engine and address")
    assert caught.value.result.error_code == 7
    with pytest.raises(MachineError, match=r"found error 7 \(EXTERNAL\), engine 0, address 0x10000,"):
        execute(model, 8, [RunSpec()], address=machine.MEMORY_BYTES)


def test_unchecked_error_is_followed_by_a_soft_reset(model):
    outcome = execute(model, 8, [RunSpec(), RunSpec()], address=machine.MEMORY_BYTES, check=False)
    assert [result.error_code for result in outcome.results] == [7, 7]
    assert all(result.timeline.size == 3 for result in outcome.results)


def test_refused_program_has_no_timeline(model):
    outcome = execute(model, 8, [RunSpec(), RunSpec()], fingerprint=1, check=False)
    assert [(result.error_code, result.timeline.size, result.cycles) for result in outcome.results] == [(1, 0, 0), (1, 0, 0)]


def test_timeout_reports_the_counters(model):
    message = ("run 0 of 2: found no interrupt after 500 cycles (STATUS 1, CYCLES ..., RETIRED_0 0, RETIRED_1 0); expected the machine to "
               "finish; raise timeout_cycles, or look for an instruction whose wait is never met")
    with pytest.raises(RunTimeout, match="^" + re.escape(message).replace(r"\.\.\.", r"5\d\d") + "$"):
        execute(model, 0, [RunSpec(), RunSpec()], timeout_cycles=500)
    with pytest.raises(RunTimeout, match=r"^bare run 0 of 1: found no interrupt after 500 cycles; expected the machine to finish; "
                                         r"raise timeout_cycles$"):
        execute(model, 0, [RunSpec()], function=run_bare, timeout_cycles=500)


def test_simulator_failure_quotes_the_log(model, tmp_path):
    with pytest.raises(SimulationError) as caught:
        execute(model, 1, [RunSpec([(machine.MEMORY_BYTES - 1, b"ab")])], work_dir=tmp_path)
    assert "memory image: found bytes 65535 to 65537, expected addresses in [0, 65536)" in str(caught.value)
    # A burst over 4 KiB: the memory model stops the simulation.
    with pytest.raises(SimulationError, match="axi memory: read port 0: burst of 8 beats from 0xff8 crosses 4 KiB"):
        execute(model, 8, [RunSpec()], address=0xFF8)
    broken = type(model)(path=tmp_path / "none", cached=True, seconds=0.0, key="")
    with pytest.raises(SimulationError, match=r"no simulator in"):
        execute(broken, 1, [RunSpec()])


@pytest.mark.parametrize(("options", "message"), [
    ({"runs": []}, "run: runs is empty; expected at least one RunSpec"),
    ({"timeout_cycles": 0}, "run: timeout_cycles must be at least 1, not 0"),
    ({"registers": {**machine.REGISTERS, "STATUS": None}}, None),
])
def test_bad_arguments_are_refused(model, options, message):
    if message is None:
        options = {"registers": {name: offset for name, offset in machine.REGISTERS.items() if name != "STATUS"}}
        message = "run: registers has no STATUS; expected the offsets of the machine's register map"
    arguments = {"runs": [RunSpec()], "program": (0, 1, 1), "registers": machine.REGISTERS, "timeout_cycles": 10, **options}
    with pytest.raises(ValueError, match=f"^{message}$"):
        run(model, [], arguments.pop("runs"), **arguments)


def test_cost_of_cocotb_is_reported(model):
    """The figures are printed, not judged: seconds are the machine's. The cycles must agree."""
    # The copy runs over the whole lower memory, again and again; no timeline.
    words = (machine.MEMORY_BYTES - machine.OFFSET_BYTES) // machine.WORD_BYTES
    runs = [RunSpec()] * 20
    with_cocotb = execute(model, words, runs, address=0, timeout_cycles=10**6, timeline=False)
    bare = execute(model, words, runs, function=run_bare, address=0, timeout_cycles=10**6)
    assert [result.cycles for result in with_cocotb.results] == bare.cycles == [machine.predicted(words).cycles] * 20
    print(f"cocotb {with_cocotb.cycles_per_cpu_second:.0f}, bare {bare.cycles_per_cpu_second:.0f} cycles a CPU second, "
          f"ratio {with_cocotb.cycles_per_cpu_second / bare.cycles_per_cpu_second:.2f}")
    assert with_cocotb.cycles_per_second > 0 and bare.cycles_per_second > 0


def test_description_may_be_a_mapping():
    mapping = machine.MACHINE.as_dict()
    assert build([machine.DUT.read_text()], mapping, machine.CACHE, opt="O1").cached
    assert isinstance(Description.from_dict(mapping), Description)
