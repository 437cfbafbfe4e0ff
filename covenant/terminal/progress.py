"""Progress on standard error: one line that is rewritten, only on a terminal unless it takes long."""

import sys
import time

from acg.text import printable

__all__ = ["Counted", "Progress"]


class Progress:
    """Shows ``what`` with simulated cycles, rate and remaining time."""

    def __init__(self, what: str, *, stream=None, quiet: bool = False):
        self.what = what
        self.stream = stream or sys.stderr
        self.quiet = quiet
        self.shown = False
        self._last = time.monotonic()

    def note(self, text: str) -> None:
        """A line of its own, for steps that take more than a second."""
        if not self.quiet:
            self.clear()
            print(printable(f"{self.what}: {text}"), file=self.stream, flush=True)

    def __call__(self, state) -> None:
        """Called about once a second with an object that has cycles, cycles_per_second, expected_cycles, remaining_seconds."""
        text = f"{self.what}: {state.cycles:,} cycles, {state.cycles_per_second:,.0f} a second"
        if state.expected_cycles:
            text += f", {100 * state.cycles / state.expected_cycles:.0f}%"
        if state.remaining_seconds is not None:
            text += f", {state.remaining_seconds:.0f} s to go"
        self._show(text)

    def building(self, state) -> None:
        """Called about once a second while a simulator is built, with an object that has step, seconds, remaining_seconds."""
        left = "" if state.remaining_seconds is None else f", {state.remaining_seconds:.0f} s to go"
        self._show(f"{self.what}: building its simulator, {state.step}, {state.seconds:.0f} s{left}")

    def searching(self, tries: int, before: int, now: int) -> None:
        """Called after each compilation of a search, with their number and the cycles with which it began and which it has now."""
        self._show(f"{self.what}: {tries:,} compilations, {now:,} cycles ({100 * (1 - now / before):.1f}% saved)")

    def _show(self, text: str) -> None:
        terminal = self.stream.isatty()
        now = time.monotonic()
        if self.quiet or (not terminal and now - self._last < 15):
            return
        self._last = now
        print(f"\r{text}\033[K" if terminal else text, end="" if terminal else "\n", file=self.stream, flush=True)
        self.shown = terminal

    def restart(self) -> None:
        """A new phase begins now: what comes before does not count as time without a line."""
        self._last = time.monotonic()

    def clear(self) -> None:
        """Remove the progress line."""
        if self.shown:
            print("\r\033[K", end="", file=self.stream, flush=True)
            self.shown = False


class Counted:
    """Progress of a known number of things: one line on standard error that is rewritten, on a terminal alone."""

    def __init__(self, what: str, *, stream=None, quiet: bool = False):
        self.what, self.stream = what, stream or sys.stderr
        self.quiet = quiet or not self.stream.isatty()
        self._begin = time.monotonic()

    def __call__(self, number: int, count: int, name: str) -> None:
        """``number`` of ``count`` things are done, the last one called ``name``."""
        if not self.quiet:
            left = (time.monotonic() - self._begin) / number * (count - number)
            print(printable(f"{self.what}: {number} of {count}, {left:.0f} s to go, {name}"), end="\033[K\r", file=self.stream, flush=True)

    def __enter__(self) -> "Counted":
        return self

    def __exit__(self, *_: object) -> None:
        if not self.quiet:
            print("\033[K", end="", file=self.stream, flush=True)
