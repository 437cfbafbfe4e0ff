"""Signals that end a command: no process of it goes on, no unfinished file and no temporary folder of it stays."""

import contextlib
import os
import signal
from collections.abc import Iterator

from verif.leftovers import adopt, scratch, sweep

__all__ = ["guarded"]

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def guarded() -> Iterator[None]:
    """The command that runs in it, the process's only one, ends with status 128 + N at signal N. Signals that are ignored stay so (nohup)."""
    adopt()
    process = os.getpid()

    def end(number: int, frame: object) -> None:
        for other in SIGNALS:
            signal.signal(other, signal.SIG_IGN)
        sweep()
        if os.getpid() == process:  # not in a worker that was forked from it
            os.write(2, f"covenant: interrupted ({signal.Signals(number).name})\n".encode())
        os._exit(128 + number)

    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, end)
    with scratch():
        yield
