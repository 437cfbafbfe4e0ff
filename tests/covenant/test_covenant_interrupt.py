"""A signal ends a command wherever it is: no process, no unfinished file, no temporary folder is left."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from acg.graph import load_graph
from covenant.hardware import cache_folder, rtl_text, simulator

PROJECT = Path(__file__).resolve().parents[2]
DIGITS = str(PROJECT / "examples" / "digits_cnn.onnx")
COMMAND = [sys.executable, "-m", "covenant"]
#: What to wait for at most before a process is up, and after a signal until it is gone, seconds. Nothing is judged by it.
PATIENCE = 120

pytestmark = [pytest.mark.rtl, pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")]


def processes():
    """Command line by process, of all that run."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
    return found


def _listening():
    """Tests that run in the background, or under nohup, hand on that signals are ignored, and what is ignored stays so."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


class Started:
    """A command in its own temporary folder; each of its processes is known by an environment variable."""

    def __init__(self, folder, arguments, cache, **variables):
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        self.mark = f"covenant-test-{os.getpid()}-{time.monotonic_ns()}"
        environment = {**os.environ, "PYTHONPATH": str(PROJECT), "TMPDIR": str(self.temporary), "COVENANT_CACHE": str(cache), "COVENANT_MARK": self.mark, **variables}
        self.process = subprocess.Popen([*COMMAND, *arguments], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                        preexec_fn=_listening)

    def mine(self):
        """Command lines of its processes."""
        found = []
        for pid, line in processes().items():
            try:
                if self.mark.encode() in Path(f"/proc/{pid}/environ").read_bytes() and line:
                    found.append(line)
            except OSError:
                continue
        return found

    def wait_for(self, text, count=1):
        end = time.monotonic() + PATIENCE
        while sum(text in line for line in self.mine()) < count:
            assert self.process.poll() is None, f"ended before {text!r} ran: {self.process.communicate()}"
            assert time.monotonic() < end, f"{text!r} never ran"
            time.sleep(0.05)

    def end(self, number):
        """Send the signal; status and messages."""
        self.process.send_signal(number)
        _, messages = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, messages


def check_nothing_left(started, number, *folders):
    status, messages = started.end(number)
    assert status == 128 + number
    assert messages.endswith(f"covenant: interrupted ({signal.Signals(number).name})\n") and "Traceback" not in messages
    assert started.mine() == []
    assert list(started.temporary.iterdir()) == []
    for folder in folders:
        assert [str(path) for path in folder.rglob("*") if path.name.startswith(".")] == []


@pytest.fixture
def slow_compiler(tmp_path):
    """A folder with a g++ that compiles nothing and takes a minute, in a process of its own below make."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "g++"
    script.write_text("#!/bin/sh\ncase \"$*\" in *-dump*) echo 12;; *) sleep 61.75; exit 1;; esac\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return folder


@pytest.fixture
def cache(tmp_path):
    """A cache with the Verilog of tiny and no simulator."""
    rtl_text(load_graph("tiny"))
    shutil.copytree(cache_folder() / "rtl", tmp_path / "cache" / "rtl")
    return tmp_path / "cache"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_while_a_simulator_is_built(tmp_path, slow_compiler, cache, number):
    started = Started(tmp_path, ["run", DIGITS, "--arch", "tiny", "--on", "rtl", "-o", "y.npz"], cache, PATH=f"{slow_compiler}:{os.environ['PATH']}")
    started.wait_for("sleep 61.75")
    check_nothing_left(started, number, cache)
    assert not (tmp_path / "y.npz").exists() and not (cache / "models").exists()


def test_while_it_simulates(tmp_path):
    simulator(load_graph("tiny"))
    started = Started(tmp_path, ["run", DIGITS, "--arch", "tiny", "--on", "rtl", "--limit", "2000", "-o", "y.npz"], cache_folder())
    started.wait_for("/simulate")
    check_nothing_left(started, signal.SIGTERM)
    assert not (tmp_path / "y.npz").exists()


def test_a_campaign_of_two_workers(tmp_path, slow_compiler, cache):
    arguments = ["verify", "--arch", "tiny", "--arch", "tiny", "--no-examples", "--networks", "1", "--jobs", "2", "--quiet"]
    started = Started(tmp_path, arguments, cache, PATH=f"{slow_compiler}:{os.environ['PATH']}")
    started.wait_for("sleep 61.75", count=2)
    check_nothing_left(started, signal.SIGTERM, cache)
