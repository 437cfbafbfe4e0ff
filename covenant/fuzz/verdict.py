"""What became of an input."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from covenant.fuzz.case import Case

__all__ = ["CPU_SECONDS", "MEGABYTES", "WALL_SECONDS", "Outcome", "Verdict"]

#: Processor seconds, and seconds after which a process that waits for something hangs: then an input takes too long; megabytes, beyond those of a
#: process that has only started, from which it takes too much.
CPU_SECONDS, WALL_SECONDS, MEGABYTES = 20, 120, 2048


class Outcome(StrEnum):
    """Columns of the table; only the first two are as they should be."""

    REFUSED = "refused"
    EXACT = "accepted and exact"
    BROKEN = "not exact"
    TRACEBACK = "tracebacks"
    SLOW = f"over {CPU_SECONDS} s"
    LARGE = "over 2 GB"

    @property
    def sound(self) -> bool:
        """Whether this is how an input may end."""
        return self in (Outcome.REFUSED, Outcome.EXACT)


@dataclass(frozen=True)
class Verdict:
    """``command``: the last one that ran; ``message``: what it wrote to standard error, or what was seen from outside; ``seconds`` of processor time."""

    case: Case
    outcome: Outcome
    seconds: float = 0.0
    megabytes: int = 0
    command: str = ""
    message: str = ""

    @property
    def signature(self) -> str:
        """What verdicts of one cause have in common: the outcome and the last lines of the message, numbers left out."""
        last = " ".join(self.message.strip().splitlines()[-2:])
        return f"{self.outcome}: " + re.sub(r"\d+", "#", last)[:400]
