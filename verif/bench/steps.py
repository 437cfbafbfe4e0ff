"""Tools of a build as processes, and how far the build is."""

import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import BuildError
from .toolchain import Toolchain

__all__ = ["BuildProgress", "Clock", "Watcher", "run_tool"]

#: Between two calls of what watches a tool.
WATCH_SECONDS = 1.0


@dataclass(frozen=True)
class BuildProgress:
    """State of a build, about once a second: what is done, seconds since it began, and seconds that are left; None where nothing tells."""

    step: str
    seconds: float
    remaining_seconds: float | None


#: Told of a build as it goes on.
Watcher = Callable[[BuildProgress], None]


class Clock:
    """Tells a watcher of the steps of a build; of the C++ compiler's by how much of the text has become objects."""

    def __init__(self, watcher: Watcher | None) -> None:
        self._watcher, self._begin = watcher, time.monotonic()

    def step(self, name: str, generated: Path | None = None) -> Callable[[], None] | None:
        """What `run_tool` is to call during a step; with the folder of the C++ text the time left is estimated."""
        if self._watcher is None:
            return None
        watcher, begun = self._watcher, time.monotonic()
        sizes = {} if generated is None else {path.stem: path.stat().st_size for path in generated.glob("*.cpp")}

        def watch() -> None:
            done = 0 if generated is None else sum(sizes.get(path.stem, 0) for path in generated.glob("*.o"))
            now = time.monotonic()
            left = (now - begun) * (sum(sizes.values()) - done) / done if done else None
            watcher(BuildProgress(name, now - self._begin, left))

        return watch


def run_tool(command: Sequence[str], *, folder: Path, toolchain: Toolchain, step: str, watch: Callable[[], None] | None = None) -> None:
    """Run a tool; ``watch`` is called every second until it ends. Raises BuildError with the tool's own words."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, cwd=folder, env=toolchain.environment(), stdout=said, stderr=subprocess.STDOUT)
        try:
            while watch is not None:
                try:
                    process.wait(WATCH_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    watch()
            status = process.wait()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        said.seek(0)
        output = said.read().decode(errors="replace")
    if status != 0:
        text = "\n".join(output.strip().splitlines()[:40])
        raise BuildError(step, found=f"exit status {status}:\n{text}\n", expected="a build without errors",
                         action="correct the Verilog or the tool named above")
