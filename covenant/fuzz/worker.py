"""A process that tries inputs one after the other, and whoever watches it: what hangs, grows or dies costs a process, not the campaign."""

from __future__ import annotations

import contextlib
import faulthandler
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

from covenant.fuzz.case import Case
from covenant.fuzz.families import Family
from covenant.fuzz.run_case import run_case
from covenant.fuzz.verdict import CPU_SECONDS, MEGABYTES, WALL_SECONDS, Outcome, Verdict
from covenant.terminal.last_resort import VARIABLE

__all__ = ["Worker"]

#: A worker is replaced after so many inputs: caches of what no input needs again.
_INPUTS = 1000
#: Most characters of the stack of a worker that is lost, its innermost calls.
_MOST_STACK = 3000
#: Address space that an input may take beyond what the worker has when it starts: the limit of memory, and room for threads and files mapped.
_SPACE_BYTES = (MEGABYTES + 1024) << 20


def _limit() -> None:
    """Bound the address space: an allocation without bounds ends in MemoryError, not in the machine's."""
    with contextlib.suppress(OSError, ValueError), open("/proc/self/statm") as stream:
        pages = int(stream.read().split()[0])
        limit = pages * resource.getpagesize() + _SPACE_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _serve(pipe: Connection, families: dict[str, Family], place: Path) -> None:
    """The worker's own loop; ``place`` is its folder."""
    os.setsid()
    log, folder = place / "log", place / "files"
    folder.mkdir(exist_ok=True)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    descriptor = os.open(log, os.O_CREAT | os.O_TRUNC | os.O_RDWR, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)  # what libraries write past Python
    stacks = os.fdopen(descriptor, "w")
    faulthandler.register(signal.SIGUSR1, file=stacks)
    faulthandler.enable(file=stacks)
    os.environ[VARIABLE] = "1"
    _limit()
    while True:
        case = pipe.recv()
        if case is None:
            return
        os.truncate(log, 0)
        _empty(folder)
        pipe.send(run_case(families[case.family], case, folder))


class Worker:
    """A forked process and the input that it is at.

    Parameters
    ----------
    families : dict
        By name; the process is forked, so they need not be importable.
    cpu_seconds, wall_seconds : float
        After which an input is given up.
    """

    def __init__(self, families: dict[str, Family], *, cpu_seconds: float = CPU_SECONDS, wall_seconds: float = WALL_SECONDS):
        self.families = families
        self.cpu_seconds, self.wall_seconds = cpu_seconds, wall_seconds
        self.case: Case | None = None
        self._folder = Path(tempfile.mkdtemp(prefix="covenant-fuzz-"))
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("fork")
        ours, theirs = context.Pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        self._process = context.Process(target=_serve, args=(theirs, self.families, self._folder), daemon=True)
        self._process.start()
        theirs.close()
        self.pipe: Connection = ours
        self._tried = 0

    def give(self, case: Case) -> None:
        """Hand over an input; only to a worker without one."""
        if self._tried >= _INPUTS:
            self._end()
            self._start()
        self.case, self._tried = case, self._tried + 1
        self._begin, self._begin_cpu = time.monotonic(), self._cpu()
        self.pipe.send(case)

    def _cpu(self) -> float:
        """Processor seconds of the process so far."""
        try:
            fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        except (OSError, IndexError, ValueError):
            return 0.0

    def _waits(self) -> bool:
        """Whether the process itself does not want to run: what is only short of processor time does not hang."""
        try:
            return Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "R"
        except (OSError, IndexError):
            return True

    def _megabytes(self) -> int:
        try:
            return int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]) * resource.getpagesize() >> 20
        except (OSError, IndexError, ValueError):
            return 0

    def look(self) -> Verdict | None:
        """The verdict on the input, if there is one by now: the worker's own, or that it has died, hangs or grows."""
        assert self.case is not None
        spent = self._cpu() - self._begin_cpu
        if self.pipe.poll():
            try:
                verdict = self.pipe.recv()
            except (EOFError, OSError):
                self._process.join()
                return self._lost(Outcome.TRACEBACK, spent, f"the process died with status {self._process.exitcode}")
            self.case = None
            return verdict
        if spent > self.cpu_seconds or (time.monotonic() - self._begin > self.wall_seconds and self._waits()):
            with contextlib.suppress(ProcessLookupError, TypeError):
                os.kill(self._process.pid or 0, signal.SIGUSR1)
            time.sleep(0.3)
            return self._lost(Outcome.SLOW, spent, f"not done after {spent:.0f} s of processor time")
        megabytes = self._megabytes()
        if megabytes > MEGABYTES + 1024:
            return self._lost(Outcome.LARGE, spent, f"{megabytes} MB held", megabytes)
        return None

    def _lost(self, outcome: Outcome, spent: float, message: str, megabytes: int = 0) -> Verdict:
        assert self.case is not None
        stack = (self._folder / "log").read_text(errors="replace")[:_MOST_STACK].rpartition("\n")[0].strip()
        calls = [line.strip() for line in stack.splitlines() if line.strip().startswith("File")]
        inner = next((line for line in calls if "covenant" in line and "site-packages" not in line), "")
        verdict = Verdict(self.case, outcome, spent, megabytes, "", "\n".join(part for part in (stack, inner, message) if part))
        self.case = None
        self._end()
        self._start()
        return verdict

    def _end(self) -> None:
        with contextlib.suppress(OSError, TypeError):
            os.killpg(self._process.pid or 0, signal.SIGKILL)
        self._process.kill()
        self._process.join()
        self.pipe.close()

    def close(self) -> None:
        """End the process."""
        self._end()
        shutil.rmtree(self._folder, ignore_errors=True)
