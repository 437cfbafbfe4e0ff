"""Waveforms: their file, its cycles and signals, and what shows them in GTKWave and Surfer."""

import re
from pathlib import Path

import numpy as np
import pytest
import pywellen

from acg.graph import load_graph
from acg.predictor import predict
from covenant import hardware
from covenant.analysis.waves import companions
from covenant.cli import main
from covenant.hardware import rtl_text
from covenant.networks import compile_file
from hwgen.names import top_name

NETWORK = "examples/digits_cnn.onnx"
IDLE = 0xFFFFFFFF
#: Part of a run that begins and ends while engines work.
FIRST, LAST = 700, 2600


@pytest.fixture(scope="module")
def machine():
    return load_graph("tiny")


@pytest.fixture(scope="module")
def program(machine):
    return compile_file(NETWORK, machine)[1]


@pytest.mark.parametrize(("arguments", "message"), [
    (["--from", "5"], "run: --from 5 without --waves, whose cycles it chooses; expected both, add --waves FILE.fst"),
    (["--to", "5"], "run: --to 5 without --waves, whose cycles it chooses; expected both, add --waves FILE.fst"),
    (["--waves", "w.fst", "--on", "iss"], "run: --waves with --on iss, which has no signals; expected the simulated RTL, leave --on iss out"),
    ([NETWORK, "--waves", "w.fst"], "run: --waves w.fst with 2 networks; expected one program, run them one by one"),
    (["--waves", "w.fst", "--fallback", "host"], "run: --waves w.fst with host segments between programs; expected one program, run them one by one"),
    (["--waves", "w.vcd"], "run: --waves w.vcd; expected a name that ends in .fst: FILE.gtkw and others are written beside it"),
    (["--waves", "w.fst", "--from", "9", "--to", "8"], "run: --from 9 --to 8; expected a last cycle that is not before the first"),
    (["--waves", "w.fst", "--from", "29909"], f"run: --from 29909, but {NETWORK} takes 29909 cycles; expected a cycle of 0 to 29908"),
    (["--waves", "/proc/w.fst"], "/proc/w.fst: cannot be written (No such file or directory); expected a file in a folder that can be written to"),
])
def test_what_cannot_be_recorded_is_refused_before_anything_is_built(arguments, message, capsys):
    assert main(["run", NETWORK, *arguments, "--arch", "tiny"]) == 2
    assert capsys.readouterr().err == f"covenant: {message}\n"
    assert not Path("w.fst").exists()


def test_texts_of_instructions_say_number_layer_and_tile(machine, program):
    files = companions(Path("a/w.fst"), machine, program, rtl_text(machine), top=top_name(machine.name))
    assert sorted(map(str, files)) == sorted(["a/w.gtkw", "a/w.sucl", "a/w.engines.txt", *(f"a/w.{name}.instructions.txt" for name in machine.engines)])
    seen = []
    for name in machine.engines:
        lines = files[Path(f"a/w.{name}.instructions.txt")].splitlines()
        assert lines[:3] == [f"Name = digits_cnn.onnx {name}", "Bits = 32", f"{IDLE} -"]
        numbers = [line.split(" ", 2) for line in lines[3:]]
        assert [int(place) for place, *_ in numbers] == list(range(len(numbers)))
        for _, number, text in numbers:
            layer, tile = program.layer_of(int(number)).name, program.provenance[int(number)][1]
            assert text.startswith(f"{layer} {tile}: {name}")
            seen.append(int(number))
    assert sorted(seen) == list(range(len(program.instructions)))
    groups = [line[1:] for line in files[Path("a/w.gtkw")].splitlines() if line.startswith("-")][::2]
    assert groups == ["machine", "engines: instruction", "dispatch, start, retire", *(f"queue {name}" for name in machine.engines), "AXI fetch", "AXI load",
                      "AXI store", "AXI4-Lite registers", *(f"engine {name}" for name in machine.engines)]
    assert files[Path("a/w.engines.txt")] == "Name = tiny engines\nBits = 8\n0 load\n1 matrix\n2 vector\n3 store\n"


def _changes(waves, path):
    """(cycle, value) of a signal."""
    found = {variable.full_name: variable for variable in waves.all_vars()}[path]
    return [(time / 10, int(str(value), 0) if not isinstance(value, int) else value) for time, value in found.signal]


@pytest.mark.rtl
def test_waveforms_have_the_cycles_and_signals_of_the_run(machine, program, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(hardware, "WAVES_OPTIMISATION", "O0")  # built in half the time
    path = tmp_path / "w.fst"
    arguments = ["run", NETWORK, "--arch", "tiny", "--waves", str(path), "--from", str(FIRST), "--to", str(LAST), "--quiet"]
    assert main(arguments) == 0
    assert capsys.readouterr().out.endswith(f"a nanosecond a cycle; next: gtkwave {path.with_suffix('.gtkw')}\n")
    waves = pywellen.Waveform(str(path))
    assert str(waves.timescale) == "100ps"
    clock = _changes(waves, "tb.clk")
    assert clock == [(FIRST + half / 2, 1 - half % 2) for half in range(2 * (LAST - FIRST + 1))]

    timeline = predict(machine, program.instructions)
    for name, engine in machine.engines.items():
        mine = np.flatnonzero(timeline.engine == engine.index)
        cycles = np.full(LAST + 2, IDLE)
        for place, number in enumerate(mine):  # each from its start to its retire, unless the next has started
            cycles[timeline.start[number]:timeline.retire[number] + 1] = place
        values = dict(_changes(waves, f"tb.instruction_{name}"))
        steps = [cycle for cycle in range(FIRST, LAST + 1) if cycle == FIRST or cycles[cycle] != cycles[cycle - 1]]
        assert values == {cycle: cycles[cycle] for cycle in steps}, name

    names = {variable.full_name for variable in waves.all_vars()}
    saved = path.with_suffix(".gtkw").read_text()
    shown = {re.sub(r"\[\d+:0\]$", "", line) for line in saved.splitlines() if line.startswith("tb.")}
    assert shown <= names
    assert {line.split()[1] for line in path.with_suffix(".sucl").read_text().splitlines() if line.startswith("variable_add ")} == shown
    for group in ("queue matrix", "engine vector", "AXI load", "AXI store", "AXI fetch", "AXI4-Lite registers"):
        assert saved.count(f"-{group}\n") == 2
    assert all(Path(line.split(" ", 1)[1]).exists() for line in saved.splitlines() if line.startswith("^"))
    first = path.read_bytes()
    assert main(arguments) == 0
    assert path.read_bytes() == first
    assert set(tmp_path.iterdir()) == {path, *companions(path, machine, program, rtl_text(machine), top=top_name(machine.name))}  # nothing half-written
