"""An input of the fuzzer by its name: family, seed and number say all of it, so that it can be made again."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from covenant.errors import UserError

__all__ = ["Case", "Draw", "draw"]

#: How many edits an input has, the frequent numbers several times.
_EDITS = (1, 1, 1, 1, 1, 1, 2, 2, 3, 5)


@dataclass(frozen=True)
class Case:
    """Input ``number`` of ``seed``; ``kept``: of its edits only these, in this order (None: all)."""

    family: str
    seed: int
    number: int
    kept: tuple[int, ...] | None = None

    def __str__(self) -> str:
        """As ``--replay`` takes it: family:seed:number, and behind a fourth colon the edits that are kept."""
        return f"{self.family}:{self.seed}:{self.number}" + ("" if self.kept is None else ":" + ",".join(map(str, self.kept)))

    @classmethod
    def parse(cls, text: str, families: tuple[str, ...]) -> Case:
        """Read what `str` writes. Raises UserError."""
        family, *numbers = text.split(":")
        try:
            seed, number = map(int, numbers[:2])
            kept = tuple(int(part) for part in numbers[2].split(",") if part) if numbers[2:] else None
        except ValueError:
            raise UserError(f"--replay {text}: not FAMILY:SEED:NUMBER; expected a name as the fuzzer prints it") from None
        if family not in families or len(numbers) > 3:
            raise UserError(f"--replay {text}: no family {family!r}; expected one of {', '.join(families)}")
        return cls(family, seed, number, kept)

    def keeping(self, kept: tuple[int, ...]) -> Case:
        """The same with some of its edits."""
        return replace(self, kept=kept)


@dataclass(frozen=True)
class Draw:
    """Random numbers of a case: ``base`` chooses what is damaged and which command reads it, each of ``edits`` does one damage."""

    base: random.Random
    edits: tuple[random.Random, ...]
    count: int


def draw(case: Case) -> Draw:
    """The random numbers of a case. Those of one edit do not depend on which others are kept."""
    name = f"{case.family}:{case.seed}:{case.number}"
    base = random.Random(name)
    count = base.choice(_EDITS)
    kept = range(count) if case.kept is None else [number for number in case.kept if number < count]
    return Draw(base, tuple(random.Random(f"{name}:{number}") for number in kept), count)
