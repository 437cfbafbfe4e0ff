"""Streams of a core: where each access begins, and which of its granules are within bounds."""

from collections.abc import Mapping, Sequence

import numpy as np

from acg.regmap import ErrorCode
from verif.iss.errors import MachineError

__all__ = ["Stream"]

_LEVELS = 6
#: Accesses whose addresses are worked out at once.
_CHUNK = 2048


class Stream:
    """One address generator of an instruction, from its first access on.

    Parameters
    ----------
    prefix : str
        Of its fields: ``in0``, ``out0``...
    memories : sequence of numpy.ndarray
        Behind the port in select order, each uint8 [words, granule bytes].
    granules : int
        Granules of a vector.
    padding : int
        Byte of what a load does not access.
    """

    def __init__(self, fields: Mapping[str, int], prefix: str, memories: Sequence[np.ndarray], granules: int, padding: int):
        self.enabled = bool(fields.get(f"{prefix}_enable", 0))
        self.moved = fields.get(f"{prefix}_granules", 1)
        self._fields, self._prefix, self._granules, self._padding = fields, prefix, granules, padding
        select = fields.get(f"{prefix}_select", 0)
        self._memory = memories[select] if select < len(memories) else memories[0]
        self._width = self._memory.shape[1]
        self._flat = self._memory.reshape(-1)
        self._modulus = 1 << max(1, (max(map(len, memories)) - 1).bit_length())
        self._bounded = bool(fields.get(f"{prefix}_bounded", 0))
        self._next = 0
        self._starts: list[int] = []
        self._inside: np.ndarray | None = None

    def _work_out(self) -> None:
        """Start and bounds of the next accesses: level 5 moves every time, an outer one when all inner ones have come around."""
        fields, prefix = self._fields, self._prefix
        left = np.arange(self._next, self._next + _CHUNK)
        start = np.full(_CHUNK, fields[f"{prefix}_base"], np.int64)
        place = {axis: np.full(_CHUNK, fields[f"{prefix}_{axis}_origin"], np.int64) for axis in ("y", "x")} if self._bounded else {}
        for level in reversed(range(_LEVELS)):
            left, index = np.divmod(left, fields[f"{prefix}_n_{level}"])
            start += index * fields[f"{prefix}_stride_{level}"]
            for axis, value in place.items():
                value += index * fields[f"{prefix}_{axis}_step_{level}"]
        self._starts = (start % self._modulus).tolist()
        if self._bounded:
            x = place["x"][:, None] + np.arange(self.moved) * fields[f"{prefix}_x_step_word"]
            y = place["y"][:, None]
            self._inside = (x >= 0) & (x < fields[f"{prefix}_x_bound"]) & (y >= 0) & (y < fields[f"{prefix}_y_bound"])

    def _access(self) -> tuple[int, np.ndarray | None]:
        """Word at which the next access begins, and which of its granules are within bounds; None for all of them."""
        position = self._next % _CHUNK
        if position == 0:
            self._work_out()
        self._next += 1
        inside = None if self._inside is None else self._inside[position]
        return self._starts[position], None if inside is None or inside.all() else inside

    def _words(self, start: int, inside: np.ndarray | None) -> np.ndarray:
        """Words of the granules. Raises MachineError for one beyond the memory."""
        words = (start + np.arange(self.moved)) % self._modulus
        beyond = words >= len(self._memory)
        if inside is not None:
            beyond &= inside
        if beyond.any():
            raise MachineError(ErrorCode.ADDRESS, start, f"core: stream {self._prefix} at granule {start}; the memory has {len(self._memory)} granules")
        return words

    def read(self) -> np.ndarray:
        """The next access: uint8 [V]; the padding byte where it does not reach."""
        start, inside = self._access()
        if inside is None and start + self.moved <= len(self._memory):
            taken = self._flat[start * self._width : (start + self.moved) * self._width]
            if self.moved == self._granules:
                return taken.copy()
            vector = np.full(self._granules * self._width, self._padding, np.uint8)
            vector[: taken.size] = taken
            return vector
        words = self._words(start, inside)
        vector = np.full((self._granules, self._width), self._padding, np.uint8)
        reached = np.ones(self.moved, bool) if inside is None else inside
        vector[: self.moved][reached] = self._memory[words[reached]]
        return vector.reshape(-1)

    def write(self, granules: np.ndarray) -> None:
        """Store granules, uint8 [moved, bytes], as the next access."""
        start, inside = self._access()
        words = self._words(start, inside)
        reached = np.ones(self.moved, bool) if inside is None else inside
        self._memory[words[reached]] = granules[reached]
