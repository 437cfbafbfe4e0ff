"""Waveforms of a run: which cycles, into which file."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from verif.leftovers import beside, unfinished

__all__ = ["Waves"]

#: Bytes of the date in an FST file's header block: behind its type, its length, eight numbers of 8 bytes, the scale and the writer's name.
_DATE = (202, 321)


@dataclass(frozen=True)
class Waves:
    """An FST file of cycles ``first`` to ``last`` (None: to the end), counted from the first cycle of the first run, as the timeline counts them."""

    path: Path
    first: int = 0
    last: int | None = None

    @contextlib.contextmanager
    def recorded(self) -> Iterator[list[str]]:
        """Arguments of a simulator built with waveforms. What it has written when it ends, even by an error, becomes the file; nothing half-written does."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with unfinished(beside(self.path.resolve())) as part:
            try:
                yield [f"+waves={part}", f"+from={self.first}", *([] if self.last is None else [f"+to={self.last + 1}"])]
            finally:
                if part.exists():
                    _without_date(part)
                    os.replace(part, self.path)


def _without_date(path: Path) -> None:
    """The same run gives the same bytes: the date goes, whose place in the header of an FST file is fixed."""
    with open(path, "r+b") as file:
        file.seek(_DATE[0])
        file.write(bytes(_DATE[1] - _DATE[0]))
