"""What the hostile bench is asked for: it reaches the simulator unchanged, wrong requests are refused, pauses are as long as asked."""

import re
from itertools import groupby, islice

import pytest
from cocotbext.axi import AxiResp

from verif.bench import BuildError, Description
from verif.hostile import BusViolation, Fault, Stalls, Step, Violation
from verif.hostile.memory import Behaviour
from verif.hostile.scenario import Scenario
from verif.hostile.wrapper import generate


def test_a_scenario_survives_its_file(tmp_path):
    steps = [Step(inputs=[(3, b"\x00\xff")], outputs=[[4, 5]], stalls=Stalls(0.5, 2, 7), faults=[Fault("load", 8, 16, "DECERR")], seed=9, reset_after_cycles=0),
             Step()]
    scenario = Scenario({"load": False}, 64, 9, 5, {"STATUS": 20}, [[0, 1]], [(7, b"abc")], steps, 100)
    scenario.write(tmp_path)
    again = Scenario.read(tmp_path)
    assert again.segments == scenario.segments and again.registers == scenario.registers
    assert again.steps[0] == steps[0]
    assert (again.steps[1].stalls, again.steps[1].reset_after_cycles, list(again.steps[1].faults)) == (Stalls(), None, [])


@pytest.mark.parametrize(("make", "message"), [
    (lambda: Stalls(0.6, 1), "Stalls: fraction must be between 0 and 1/2 for pauses of 1 cycles, not 0.6"),
    (lambda: Stalls(-0.1), "Stalls: fraction must be between 0 and 3/4 for pauses of 3 cycles, not -0.1"),
    (lambda: Stalls(0, 0), "Stalls: mean_cycles must be at least 1 and extra_latency_cycles at least 0, not 0 and 0"),
    (lambda: Stalls(0, 1, -1), "Stalls: mean_cycles must be at least 1 and extra_latency_cycles at least 0, not 1 and -1"),
    (lambda: Fault("load", 0, 8, "OKAY"), "Fault: response must be SLVERR or DECERR, not 'OKAY'"),
])
def test_wrong_requests(make, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        make()


@pytest.mark.parametrize("stalls", [Stalls(0.25, 1), Stalls(0.5, 10), Stalls(0.9, 9), Stalls(0.05, 30)])
def test_pauses_have_the_fraction_and_the_length_asked_for(stalls):
    behaviour = Behaviour("load")
    behaviour.set(stalls, (), seed=1)
    cycles = list(islice(behaviour.pauses("r"), 200_000))
    lengths = [len(list(group)) for paused, group in groupby(cycles) if paused]
    assert abs(sum(cycles) / len(cycles) - stalls.fraction) < 0.02
    assert abs(sum(lengths) / len(lengths) - stalls.mean_cycles) < 0.1 * stalls.mean_cycles


def test_sequences_follow_the_seed_the_port_and_the_channel():
    def sequence(name, channel, seed):
        behaviour = Behaviour(name)
        behaviour.set(Stalls(0.5, 3), (), seed)
        return tuple(islice(behaviour.pauses(channel), 200))

    assert sequence("load", "r", 1) == sequence("load", "r", 1)
    assert len({sequence(*which) for which in (("load", "r", 1), ("load", "r", 2), ("load", "ar", 1), ("fetch", "r", 1))}) == 4


def test_without_stalls_nothing_pauses_and_nothing_is_late():
    behaviour = Behaviour("load")
    assert not any(islice(behaviour.pauses("r"), 100)) and behaviour.extra_cycles() == 0
    behaviour.set(Stalls(0, 1, 6), (), 0)
    assert {behaviour.extra_cycles() for _ in range(200)} == set(range(7))


def test_faults_hit_their_port_and_their_bytes_only():
    behaviour = Behaviour("load")
    behaviour.set(Stalls(), [Fault("store", 0, 64), Fault("load", 8, 10), Fault("load", 16, 24, "DECERR")], 0)
    found = [behaviour.response(address, 8) for address in (0, 1, 2, 9, 10, 16, 23, 24)]
    ok, slave, decode = AxiResp.OKAY, AxiResp.SLVERR, AxiResp.DECERR
    assert found == [ok, slave, slave, slave, decode, decode, decode, ok]


def test_the_message_of_broken_rules():
    items = [Violation("load", "ar", 7, "stable", "found a, expected b"), Violation("load", "r", 9, "last", "found c, expected d")]
    assert str(BusViolation(items)) == ("AXI trace: found 2 broken rules, first: AXI master load, channel ar, cycle 7: stable: found a, expected b; "
                                        "expected none; look at the port's signals at that cycle")


def test_a_design_without_the_top_is_refused():
    with pytest.raises(BuildError, match=r"^Verilog module 'top': found no such module in the text; "):
        generate("module other (input clk); endmodule", Description(64, 9, 5, ("load",)))
