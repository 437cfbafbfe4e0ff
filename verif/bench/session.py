"""A simulator that stays: runs one after the other in one process, each as it is asked for."""

import contextlib
import json
import os
import subprocess
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from .errors import SimulationError
from .job import ANSWERS, REQUESTS, Program, RunSpec, make_job
from .process import environment, require
from .records import EVENT, split_runs
from .results import RunResult, require_ended, result_of
from .verilate import BuiltModel

__all__ = ["Session"]

#: A simulator gets as long to end when its session closes.
_GRACE_SECONDS = 5.0


class Session:
    """A simulator process with a program and its constants in memory.

    Memory and registers keep their content from run to run, as between the runs of `run`. A run without an end ends the session too; one that the machine
    ends with an error does not: a soft reset precedes the next. The process ends with the session, with this process, and when nobody holds the session.

    Parameters
    ----------
    model, memory_segments, program, registers, timeout_cycles
        As of `run`.
    """

    def __init__(self, model: BuiltModel, memory_segments: Sequence[tuple[int, bytes]], *, program: Program | tuple[int, int, int],
                 registers: Mapping[str, int], timeout_cycles: int) -> None:
        self._timeout_cycles, self._count, self._read = timeout_cycles, 0, 0
        job, data = make_job(memory_segments, [RunSpec()], program, registers, timeout_cycles=timeout_cycles)
        holder = tempfile.TemporaryDirectory(prefix="covenant-session-")
        self._folder = Path(holder.name)
        (self._folder / "data.bin").write_bytes(data)
        job.write(self._folder)
        (self._folder / "timeline.bin").touch()
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        variables = environment(self._folder, -1, f"{__package__}.cocotb_session") | {REQUESTS: str(theirs_in), ANSWERS: str(theirs_out)}
        try:
            with open(self._folder / "simulator.log", "wb") as log:
                process = subprocess.Popen([require(model.simulate), f"+timeline={self._folder / 'timeline.bin'}"], cwd=self._folder, env=variables,
                                           pass_fds=(theirs_in, theirs_out), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        except BaseException:
            os.close(ours_out)
            os.close(ours_in)
            holder.cleanup()
            raise
        finally:
            os.close(theirs_in)
            os.close(theirs_out)
        self._requests, self._answers = os.fdopen(ours_out, "w"), os.fdopen(ours_in, "r")
        self._end = weakref.finalize(self, _end, process, self._requests, self._answers, holder)

    @property
    def open(self) -> bool:
        """Whether it takes runs."""
        return self._end.alive

    def run(self, spec: RunSpec) -> RunResult:
        """Run once. Raises RunTimeout, MachineError, and SimulationError where the process has ended."""
        where = f"run {self._count} of the session"
        data, inputs = bytearray(), []
        for address, content in spec.inputs:
            inputs.append([int(address), len(data), len(content)])
            data += content
        if self.open:
            (self._folder / "request.bin").write_bytes(data)
        line = ""
        try:
            self._requests.write(json.dumps({"inputs": inputs, "outputs": [[int(value) for value in region] for region in spec.outputs]}) + "\n")
            self._requests.flush()
            line = self._answers.readline()
        except (BrokenPipeError, ValueError):  # ended, or closed
            pass
        except BaseException:  # an answer that nobody waits for any more would be taken for the next one's
            self.close()
            raise
        if not line:
            log = (self._folder / "simulator.log").read_text(errors="replace") if self.open else "the session is closed"
            self.close()
            raise SimulationError(where, found="no answer and the log:\n" + "\n".join(log.strip().splitlines()[-30:]) + "\n",
                                  expected="a simulator that runs", action="correct what the log names, or open another session")
        entry = json.loads(line)
        self._count += 1
        dumped, regions, offset = (self._folder / "answer.bin").read_bytes(), [], 0
        for _, size in spec.outputs:
            regions.append(dumped[offset:offset + size])
            offset += size
        result = result_of(entry, regions, self._events() if entry["logged"] else np.empty(0, EVENT))
        if entry["timed_out"]:
            self.close()
        require_ended(entry, result, where, timeout_cycles=self._timeout_cycles, check=True)
        return result

    def _events(self) -> np.ndarray:
        """What the monitor has recorded since the last run."""
        with open(self._folder / "timeline.bin", "rb") as file:
            file.seek(self._read)
            records = file.read()
        self._read += len(records)
        return split_runs(records)[-1]

    def close(self) -> None:
        """End the process."""
        self._end()

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _end(process: subprocess.Popen, requests, answers, holder: tempfile.TemporaryDirectory) -> None:
    """The simulator ends when its requests do."""
    for stream in (requests, answers):
        with contextlib.suppress(BrokenPipeError):
            stream.close()
    try:
        process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    holder.cleanup()
