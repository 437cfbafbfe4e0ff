"""An error that nobody foresaw: one sentence in place of a traceback, with what to report."""

import os
import shlex
import traceback
from collections.abc import Sequence
from pathlib import Path

import acg

__all__ = ["VARIABLE", "last_resort"]

#: Where this is set in the environment the traceback is shown too.
VARIABLE = "COVENANT_TRACEBACK"


def last_resort(error: BaseException, arguments: Sequence[str]) -> str:
    """What the command line says of an error that is no refusal: its kind, where in the sources it arose, and how to report it."""
    ours = Path(str(acg.__file__)).resolve().parent.parent
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).resolve().is_relative_to(ours) and "site-packages" not in Path(frame.filename).parts] or frames
    place = f"{own[-1].filename.removeprefix(f'{ours}{os.sep}')}, line {own[-1].lineno}" if own else "no known place"
    what = (str(error).strip().splitlines() or [""])[0]
    said = f"{type(error).__name__}{': ' if what else ''}{what!r:.200}" if what else type(error).__name__
    command = shlex.join(["covenant", *arguments])
    lines = [f"a fault of covenant, not of its input: {said} ({place}); please report it with this command and the files that it names: {command}"]
    if os.environ.get(VARIABLE):
        lines = ["".join(traceback.format_exception(error)).rstrip(), *lines]
    else:
        lines.append(f"({VARIABLE}=1 shows the traceback)")
    return "\n".join(lines)
