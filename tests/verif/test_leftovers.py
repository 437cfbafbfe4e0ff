"""What an ended process leaves: nothing, whatever it was in the middle of."""

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import pytest

from verif import leftovers


def test_a_file_that_was_renamed_stays_and_any_other_goes(tmp_path):
    target = tmp_path / "a"
    with leftovers.unfinished(leftovers.beside(target)) as part:
        part.write_text("whole")
        part.replace(target)
    with pytest.raises(KeyError), leftovers.unfinished(leftovers.beside(target)) as part:
        part.mkdir()
        (part / "inside").touch()
        raise KeyError
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a", "whole")]


def test_names_beside_a_target_are_hidden_and_never_the_same(tmp_path):
    names = {leftovers.beside(tmp_path / "x.json").name for _ in range(100)}
    assert len(names) == 100 and all(name.startswith(".x.json.") for name in names)


def test_temporary_files_stand_in_the_scratch_folder_while_there_is_one():
    before = tempfile.gettempdir(), os.environ.get("TMPDIR")
    with leftovers.scratch() as folder:
        assert Path(tempfile.mkdtemp()).parent == folder == Path(os.environ["TMPDIR"])
    assert not folder.exists()
    assert (tempfile.gettempdir(), os.environ.get("TMPDIR")) == before


PROGRAM = textwrap.dedent("""
    import os, signal, subprocess, sys, time
    from pathlib import Path
    from verif import leftovers

    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    child = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {stubborn!r}]); time.sleep(60)"
    leftovers.GRACE_SECONDS = 0.3
    leftovers.adopt()
    with leftovers.unfinished(Path(sys.argv[1]) / "half"), leftovers.scratch() as folder:
        (Path(sys.argv[1]) / "half").mkdir()
        (folder / "temporary").touch()
        if os.fork() == 0:  # what it has not made it does not remove
            leftovers._end_programs = lambda: None
            leftovers.sweep()
            os._exit(0)
        os.wait()
        assert (Path(sys.argv[1]) / "half").exists() and (folder / "temporary").exists()
        process = subprocess.Popen([sys.executable, "-c", child], stdout=subprocess.PIPE, start_new_session=True)
        process.stdout.readline()
        mine = leftovers._below(os.getpid())
        assert len(mine) == 2
        leftovers.sweep()
        print(folder, *mine, flush=True)
        os._exit(0)
""")


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_sweep_ends_grandchildren_that_do_not_listen_and_removes_what_is_unfinished(tmp_path):
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(tmp_path)], capture_output=True, text=True, cwd=Path(__file__).parents[2], check=True)
    folder, *pids = done.stdout.split()
    assert len(pids) == 2 and not any(map(alive, pids))
    assert not Path(folder).exists() and list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="compares with /proc")
def test_processes_without_proc_are_those_of_ps(monkeypatch, tmp_path):
    tool = tmp_path / "ps"
    tool.write_text("#!/bin/sh\necho '  7   1 Ss'\necho ' 19   7 Z'\necho \" $$ 7 R+\"\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(Path, "exists", lambda path: False)
    assert list(leftovers._processes()) == [(7, 1)]


def test_the_check_of_these_tests_can_fail():
    with subprocess.Popen(["sleep", "60"]) as process:
        assert alive(process.pid)
        process.send_signal(signal.SIGKILL)
        process.wait()
        time.sleep(0.01)
        assert not alive(process.pid)
