"""The proofs that take a second each, and the machinery around all of them; ``make formal`` runs the whole list."""

import re

import pytest

import hwgen.control.queue
from tests.formal import queue_order
from tests.formal.__main__ import main
from tests.formal.bench import Bench, broken
from tests.formal.engine import FormalError, check
from tests.formal.properties import Property, properties

QUICK = ("queue of 3", "issue, 4 engines", "float32 to integer", "float32 sum, exponents 12 apart", "scratchpad, 3 banks of 5 words",
         "AXI address channel of load and store")


def _named(name) -> Property:
    (found,) = (item for item in properties() if item.name == name)
    return found


@pytest.mark.parametrize("name", QUICK)
def test_quick_proof_and_its_first_fault(name, tmp_path):
    item = _named(name)
    verdict = check(item.build(), tmp_path, method=item.method, depth=item.depth)
    assert verdict.holds is True, verdict
    fault = item.faults[0]
    verdict = check(fault.build(), tmp_path, method="bounded", depth=fault.depth)
    assert verdict.holds is False and verdict.message and verdict.trace.read_text().startswith("$"), f"{fault.name}: {verdict}"


def test_every_block_has_a_fault_and_names_are_unique():
    items = properties()
    assert len({item.name for item in items}) == len(items)
    blocks = {item.name.split(" ")[0] for item in items}
    assert {item.name.split(" ")[0] for item in items if item.faults} == blocks


def test_every_fault_still_applies():
    for item in properties():
        for fault in item.faults:
            assert fault.build().rtlil()


def test_a_fault_that_no_longer_applies_is_an_error():
    with pytest.raises(ValueError, match=re.escape("broken variant of hwgen.control.queue: found 0 times 'no such text'; expected once, choose the fault anew")), \
            broken(hwgen.control.queue, "no such text", ""):
        pass


def test_a_proof_without_what_holds_inside_is_unknown_not_wrong(tmp_path):
    verdict = check(queue_order.bench(depth_entries=3, claims_only=True), tmp_path, method="induction", depth=2)
    assert verdict.holds is None and verdict.message.startswith("no induction at depth 2: ")


def test_a_look_at_what_is_not_there_is_an_error(tmp_path):
    bench = Bench()
    bench.always(bench.look("dut.gone", 1), "never")
    with pytest.raises(FormalError, match=r"selection contains 0 elements instead of the asserted 1: w:dut\.gone"):
        check(bench, tmp_path, method="bounded", depth=1)


def test_contradicting_assumptions_prove_nothing_silently(tmp_path):
    bench = Bench()
    value = bench.free(4, "value")
    bench.assume(value == 3)
    bench.assume(value == 4)
    bench.always(value == 5, "anything")
    verdict = check(bench, tmp_path, method="bounded", depth=2)
    assert verdict.holds is None and verdict.message == "the assumptions contradict each other"


def test_the_command_fails_on_what_is_not_as_it_should_be(monkeypatch, tmp_path, capsys):
    item = _named("queue of 3")
    wrong = Property("queue of 3, broken", "-", "bounded", 10, item.faults[0].build)
    monkeypatch.setattr("tests.formal.__main__.properties", lambda: [wrong])
    monkeypatch.chdir(tmp_path)
    assert main([]) == 1
    out = capsys.readouterr().out
    assert "refuted" in out and "  WRONG: " in out and "trace: build/formal/queue_of_3__broken.vcd" in out
    assert (tmp_path / "build/formal/queue_of_3__broken.vcd").exists()
    assert main(["--only", "elephant"]) == 2
