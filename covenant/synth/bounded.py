"""A tool run within bounds: of memory, measured while it runs, and of time."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Bounds", "Outcome", "run_bounded"]

#: How often the memory of a running tool is looked at, in seconds.
_LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class Bounds:
    """Of a run: resident bytes and wall seconds."""

    memory_bytes: int
    seconds: float

    @property
    def text(self) -> str:
        """For people."""
        return f"{self.memory_bytes / 1e9:.1f} GB, {self.seconds / 60:.0f} minutes"


@dataclass(frozen=True)
class Outcome:
    """``failed``: why there is no result, None if there is one. ``peak_bytes``: most resident memory seen."""

    failed: str | None
    seconds: float
    peak_bytes: int


def _resident(pid: int) -> int:
    """Resident bytes of a process, 0 where the system does not say."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def run_bounded(command: Sequence[str], folder: Path, bounds: Bounds, *, log: str) -> Outcome:
    """Run a command in a folder, its output in the file ``log`` there; stop it where it leaves its bounds. It never outlives this call."""
    started, peak, failed = time.monotonic(), 0, None
    with open(folder / log, "wb") as stream:
        process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            while process.poll() is None:
                peak = max(peak, _resident(process.pid))
                if peak > bounds.memory_bytes:
                    failed = f"stopped beyond {bounds.memory_bytes / 1e9:.1f} GB"
                elif time.monotonic() - started > bounds.seconds:
                    failed = f"stopped after {bounds.seconds / 60:.0f} minutes"
                if failed:
                    break
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_LOOK_SECONDS)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    if failed is None and process.returncode:
        lines = [line for line in (folder / log).read_text(errors="replace").splitlines() if line.strip()]
        failed = f"exit status {process.returncode}: " + next((line for line in reversed(lines) if "ERROR" in line), lines[-1] if lines else "no word")[:300]
    return Outcome(failed, time.monotonic() - started, peak)
