"""What a process that is ended would leave behind: the programs below it, and files and folders that are not finished.

Whoever makes a file beside the one it is to become says so here first (`unfinished`); everything else that is temporary stands in one
folder a process (`scratch`). `sweep` ends and removes all of it, at any moment and from a signal handler.
"""

import contextlib
import ctypes
import multiprocessing
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

__all__ = ["adopt", "beside", "scratch", "sweep", "unfinished"]

#: Of this process: a child that was forked has none.
_paths: dict[Path, int] = {}
#: Programs get as long to end by themselves before they are killed.
GRACE_SECONDS = 2.0
_PR_SET_CHILD_SUBREAPER = 36


def beside(target: Path) -> Path:
    """A name for a file that is to become `target`, hidden in the same folder, as no other process chooses it."""
    return target.parent / f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}"


@contextlib.contextmanager
def unfinished(path: Path) -> Iterator[Path]:
    """A file or folder that is about to be made; removed at the end unless it has been renamed."""
    _paths[path] = os.getpid()
    try:
        yield path
    finally:
        _remove(path)
        _paths.pop(path, None)


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A folder in which this process, and the programs it starts, make their temporary files; gone at the end."""
    before, variable = tempfile.tempdir, os.environ.get("TMPDIR")
    folder = Path(tempfile.gettempdir()) / f"covenant-{os.getpid()}-{secrets.token_hex(4)}"
    with unfinished(folder):
        folder.mkdir(mode=0o700)
        tempfile.tempdir = os.environ["TMPDIR"] = str(folder)
        try:
            yield folder
        finally:
            tempfile.tempdir = before
            os.environ.pop("TMPDIR")
            if variable is not None:
                os.environ["TMPDIR"] = variable


def adopt() -> None:
    """Linux: from now on a process below this one whose parent has died becomes this one's child, so that a sweep sees it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def sweep() -> None:
    """End every program below this process and remove what it has not finished."""
    _end_programs()
    for path, owner in list(_paths.items()):
        if owner == os.getpid():
            _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def _end_programs() -> None:
    """SIGTERM, so that those of our own can sweep too, then SIGKILL. One that dies hands its own children to the nearest ancestor that asked
    for them (`adopt`), so none is lost while the list is read again."""
    end = time.monotonic() + GRACE_SECONDS
    asked: set[int] = set()
    while True:
        alive = _below(os.getpid())
        if not alive:
            break
        late = time.monotonic() >= end
        for pid in alive if late else alive - asked:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
        asked |= alive
        time.sleep(0.02)
    multiprocessing.active_children()  # reaps them


def _below(root: int) -> set[int]:
    """Processes that descend from `root` and have not ended."""
    children: dict[int, list[int]] = {}
    for pid, parent in _processes():
        children.setdefault(parent, []).append(pid)
    found, reached = set(), [root]
    while reached:
        for pid in children.get(reached.pop(), ()):
            found.add(pid)
            reached.append(pid)
    return found


def _processes() -> Iterator[tuple[int, int]]:
    """(process, parent) of all that have not ended: of ``/proc`` where there is one, else as ``ps`` tells."""
    if Path("/proc/self/stat").exists():
        for entry in os.scandir("/proc"):
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    state, parent = Path(entry.path, "stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
                    if state not in "ZX":
                        yield int(entry.name), int(parent)
        return
    lister = subprocess.Popen(["ps", "-axo", "pid=,ppid=,stat="], stdout=subprocess.PIPE, text=True)
    for line in lister.communicate()[0].splitlines():
        pid, parent, state = line.split()[:3]
        if not state.startswith("Z") and int(pid) != lister.pid:
            yield int(pid), int(parent)
