"""One input, in this process: its files are made, the commands that read them are run, and what became of it is judged."""

from __future__ import annotations

import contextlib
import io
import os
import resource
import shlex
import sys
import time
import traceback
from pathlib import Path

from covenant.errors import BROKEN, EXACT, REFUSED
from covenant.fuzz.case import Case, draw
from covenant.fuzz.families import Family
from covenant.fuzz.families.family import Command
from covenant.fuzz.verdict import MEGABYTES, Outcome, Verdict

__all__ = ["make_case", "peak_megabytes", "run_case"]

#: Most characters of a message that a verdict keeps, the last ones.
_MOST_MESSAGE = 6000


def make_case(family: Family, case: Case, folder: Path) -> list[Command]:
    """Write the files of a case into an empty folder; returns the commands that read them."""
    return family.make(draw(case), folder)


def _reset_peak() -> None:
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as stream:
        stream.write("5")


def peak_megabytes() -> int:
    """Most memory that this process has held since the last reset, where the system lets it be reset, else since its start."""
    with contextlib.suppress(OSError, ValueError, IndexError), open("/proc/self/status") as stream:
        return next(int(line.split()[1]) for line in stream if line.startswith("VmHWM")) // 1024
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes // (1024 if sys.platform != "darwin" else 1 << 20)


def _call(command: Command) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of a command that runs in this process."""
    from covenant.cli import main

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main(command)
        except SystemExit as end:  # argparse
            status = end.code if isinstance(end.code, int) else BROKEN
    return status, out.getvalue(), err.getvalue()


#: What commands say that end with status 1 although nothing was wrong: what cannot run was named.
_NAMED = ("NOT compiled for ", "exact: not judged; no node runs on the accelerator")


def _outcome(status: int, err: str, megabytes: int) -> Outcome:
    if "MemoryError" in err or "bad_alloc" in err or "bad allocation" in err or megabytes > MEGABYTES:
        return Outcome.LARGE
    if "Traceback (most recent call last)" in err:
        return Outcome.TRACEBACK
    said = any(line.startswith(("covenant: ", "usage: ")) for line in err.splitlines())
    if (status == REFUSED and said) or (status == BROKEN and any(text in err for text in _NAMED)):
        return Outcome.REFUSED
    return {EXACT: Outcome.EXACT, BROKEN: Outcome.BROKEN}.get(status, Outcome.TRACEBACK)


def run_case(family: Family, case: Case, folder: Path) -> Verdict:
    """Make a case in an empty folder and run its commands there. An exception from making it is a fault too, of the fuzzer."""
    here = os.getcwd()
    os.chdir(folder)
    _reset_peak()
    before, begin, command = peak_megabytes(), time.process_time(), ""
    try:
        status, err = EXACT, ""
        for arguments in make_case(family, case, folder):
            command = shlex.join(["covenant", *arguments])
            status, out, err = _call(arguments)
            if status == BROKEN:
                err += out  # the report names what is not exact
            if status != EXACT:
                break
        megabytes = peak_megabytes() - before
        return Verdict(case, _outcome(status, err, megabytes), time.process_time() - begin, megabytes, command, err[-_MOST_MESSAGE:])
    except Exception:
        return Verdict(case, Outcome.TRACEBACK, time.process_time() - begin, 0, command or "making the input", traceback.format_exc()[-_MOST_MESSAGE:])
    finally:
        os.chdir(here)
