"""Runs mutants: a snapshot of the sources, a copy for each mutant, the witnesses in a process of their own, results kept by content."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from covenant.files import write_text
from covenant.mutants.mutant import Mutant, MutantError, check_catalogue, is_quick, unit_tests

__all__ = ["RUNS", "Outcome", "Runner", "project_root"]

#: Runs of a workload, one after the other without a reset.
RUNS = 2
#: What a copy holds. The rest of the project is linked, not copied: no mutant touches it.
_COPIED = ("acg", "hwgen", "compiler", "verif", "covenant", "tests")
_LINKED = ("archs", "examples")
#: What a verdict depends on, besides the mutant, its unit tests and the workloads.
_JUDGING = ("acg", "hwgen", "verif/bench", "verif/hostile", "verif/timeline.py", "covenant/mutants/machines",
            *(f"covenant/mutants/{name}.py" for name in ("witnesses", "forced", "hostility", "judge")))
_SUFFIXES = {".py", ".yaml", ".v", ".cpp", ".h"}
#: Sources of the timing model from which no RTL is made: on their mutants the unmutated sources' Verilog serves.
_NOT_IN_RTL = ("acg/predictor.py", "acg/timing/dma.py", "acg/timing/fetch.py")
#: A traceback of pytest that a mutant causes which is no valid program any more.
_NO_PROGRAM = re.compile(r"^E +(SyntaxError|IndentationError|NameError|UnboundLocalError|AttributeError|ImportError|TypeError)\b", re.M)
#: Seconds of wall time after which a process counts as broken: an error of the run, never a kill. Hangs of the RTL end by simulated cycles.
_PATIENCE_SECONDS = 1800


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant.

    Attributes
    ----------
    mutant : Mutant
    witness : str or None
        Who noticed: programs, errors, hostile, or the unit tests' file; None for a survivor.
    found : str
        Its words.
    seconds : float
        Wall time of the judgement, when it was made.
    cached : bool
        Judged by an earlier run, on the same sources.
    """

    mutant: Mutant
    witness: str | None
    found: str = ""
    seconds: float = 0.0
    cached: bool = field(default=False, compare=False)

    @property
    def state(self) -> str:
        """killed, survived, or equivalent: the catalogue says why nothing could notice it."""
        if self.witness is not None:
            return "killed"
        return "equivalent" if self.mutant.equivalent else "survived"


def project_root() -> Path:
    """The checkout that this code stands in. Raises MutantError where it is installed without its sources' tests."""
    root = Path(__file__).resolve().parents[2]
    if not (root / "pyproject.toml").is_file() or not (root / "tests").is_dir():
        raise MutantError(f"mutants: found no tests beside {root / 'covenant'}; expected a checkout of the project, run it there")
    return root


def _files(folder: Path) -> list[Path]:
    if folder.is_file():
        return [folder]
    return sorted(path for path in folder.rglob("*") if path.suffix in _SUFFIXES and "__pycache__" not in path.parts)


def _digest(root: Path, names: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for name in names:
        for path in _files(root / name):
            digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _copy(source: Path, target: Path) -> None:
    for name in _COPIED:
        shutil.copytree(source / name, target / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    for name in _LINKED:
        os.symlink((source / name).resolve(), target / name)
    shutil.copy(source / "pyproject.toml", target / "pyproject.toml")


class Runner:
    """Judges mutants of the sources below ``root`` as they are when it is made.

    Parameters
    ----------
    root : Path
        The project.
    folder : Path
        Where results and simulators are kept, ``build/mutants``.
    note : callable
        Takes a line of progress.

    Use as a context manager: the snapshot is removed at the end.
    """

    def __init__(self, root: Path, folder: Path, *, note: Callable[[str], None] = lambda text: None):
        self.folder = folder
        self.note = note
        self._temporary = tempfile.TemporaryDirectory(prefix="covenant-mutants-")
        self.snapshot = Path(self._temporary.name) / "snapshot"
        _copy(root, self.snapshot)
        self._judging = _digest(self.snapshot, _JUDGING)
        self._workloads: dict[str, Path] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> "Runner":
        return self

    def __exit__(self, *_) -> None:
        self._temporary.cleanup()

    def _environment(self, root: Path) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1", "COVENANT_CACHE": str((self.folder / "cache").resolve())}

    def _process(self, root: Path, command: Sequence[str], where: str) -> subprocess.CompletedProcess:
        try:
            return subprocess.run([sys.executable, *command], cwd=root, env=self._environment(root), capture_output=True, text=True,
                                  errors="replace", timeout=_PATIENCE_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise MutantError(f"{where}: found no verdict after {_PATIENCE_SECONDS} seconds; expected every witness to end by itself, "
                              "give it a bound in cycles") from None

    def workloads(self, machine: str) -> Path:
        """File of the programs for a machine, made from the unmutated sources."""
        if machine not in self._workloads:
            path = self.snapshot / f"workloads-{machine}.json"
            code = ("import sys; from pathlib import Path; from covenant.mutants.stimulus import machine_graph, make_workloads, write_workloads; "
                    "write_workloads(Path(sys.argv[2]), make_workloads(machine_graph(sys.argv[1]), runs=int(sys.argv[3])))")
            done = self._process(self.snapshot, ["-c", code, machine, str(path), str(RUNS)], f"workloads of {machine}")
            if done.returncode != 0:
                raise MutantError(f"workloads of {machine}: found exit status {done.returncode} and {_tail(done.stderr)}; expected programs, "
                                  "correct the unmutated sources first")
            self._workloads[machine] = path
        return self._workloads[machine]

    def _key(self, machine: str, mutant: Mutant | None, tests: Sequence[str]) -> str:
        parts = [self._judging, None if mutant is None else asdict(mutant), self.workloads(machine).read_text(), _digest(self.snapshot, tests)]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]

    def _kept(self, key: str) -> dict[str, Any] | None:
        path = self.folder / "results" / f"{key}.json"
        return json.loads(path.read_text()) if path.exists() else None

    def _keep(self, key: str, verdict: dict[str, Any]) -> None:
        write_text(self.folder / "results" / f"{key}.json", json.dumps(verdict) + "\n")

    def _judge(self, root: Path, machine: str, mutant: Mutant | None, witnesses: Sequence[str]) -> dict[str, Any]:
        where = f"mutant {mutant.name}" if mutant is not None else f"unmutated sources on {machine}"
        rtl = self.folder / "rtl" / f"{machine}-{self._judging[:32]}.v"
        reused = mutant is not None and (mutant.file in _NOT_IN_RTL or mutant.module is not None) and rtl.exists()
        job = {
            "root": str(root), "machine": machine, "mutant": None if mutant is None else asdict(mutant), "witnesses": list(witnesses),
            "workloads": str(self.workloads(machine)), "cache": str((self.folder / "cache").resolve()), "keep": mutant is None,
            "rtl": str(rtl.resolve()) if reused else None, "keep_rtl": str(rtl.resolve()) if mutant is None else None,
        }
        path = root / "job.json"
        path.write_text(json.dumps(job))
        done = self._process(root, ["-m", "covenant.mutants.judge", str(path)], where)
        lines = done.stdout.strip().splitlines()
        if done.returncode == 0 and lines:
            return json.loads(lines[-1])
        # The judge imports the mutated sources: a mutant may break it before the first witness is asked.
        words = _tail(done.stderr)
        return {"witness": "programs", "found": words, "invalid": words.startswith(("SyntaxError", "NameError", "ImportError", "AttributeError", "TypeError"))}

    def _unit(self, root: Path, tests: Sequence[str], where: str) -> dict[str, Any]:
        done = self._process(root, ["-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests], where)
        if done.returncode not in (0, 1, 2):
            raise MutantError(f"{where}: found exit status {done.returncode} of pytest and {_tail(done.stdout)}; expected 0 or 1")
        if done.returncode == 0:
            return {"witness": None, "found": None, "invalid": False}
        failed = [line.removeprefix("FAILED ").removeprefix("ERROR ") for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
        words = failed[0] if failed else _tail(done.stdout)
        return {"witness": tests[0], "found": words[:300], "invalid": _NO_PROGRAM.search(done.stdout) is not None}

    def _verdict(self, root: Path, machine: str, mutant: Mutant | None, tests: Sequence[str]) -> dict[str, Any]:
        """The first witness that noticed, cheapest first: quick unit tests, programs and errors on the RTL, other unit tests, the hostile bench."""
        where = f"mutant {mutant.name}" if mutant is not None else "unmutated sources"
        quick = [path for path in tests if is_quick(path)]
        asked: list[tuple[str, ...]] = [*((path,) for path in quick), ("programs", "errors"), *((path,) for path in tests if path not in quick), ("hostile",)]
        for names in asked:
            verdict = self._unit(root, names, where) if names[0] in tests else self._judge(root, machine, mutant, names)
            if verdict["witness"] is not None:
                break
        return verdict

    def baseline(self, machines: Sequence[str], tests: Sequence[str]) -> None:
        """Every witness must be content with the unmutated sources. Raises MutantError."""
        for name in (*machines, *tests):
            files = () if name in machines else (name,)
            # Unit tests look at nothing but the sources.
            key = _digest(self.snapshot, ("acg", "hwgen", *files))[:32] if files else self._key(name, None, ())
            verdict = self._kept(key)
            if verdict is None:
                self.note(f"unmutated sources: {name}")
                verdict = self._unit(self.snapshot, files, "unmutated sources") if files else \
                    self._judge(self.snapshot, name, None, ["programs", "errors", "hostile"])
                if verdict["witness"] is None:
                    self._keep(key, verdict)
            if verdict["witness"] is not None:
                raise MutantError(f"unmutated sources, {name}: found by {verdict['witness']}: {verdict['found']}; expected nothing, "
                                  "correct the sources first: no mutant can be judged by a witness that is not content without it")

    def judge(self, mutant: Mutant) -> Outcome:
        """Judge one mutant, or find the verdict of an earlier run. Raises MutantError for one that is no valid program."""
        tests = unit_tests(mutant, self.snapshot)
        key = self._key(mutant.machine, mutant, tests)
        on_rtl = self._key(mutant.machine, mutant, ())  # of a verdict that the unit tests have no part in
        verdict = self._kept(key) or self._kept(on_rtl)
        if verdict is not None:
            return Outcome(mutant, verdict["witness"], verdict["found"] or "", verdict["seconds"], cached=True)
        begin = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="copy-", dir=self._temporary.name) as name:
            root = Path(name)
            _copy(self.snapshot, root)
            if mutant.module is None:
                path = root / mutant.file
                path.write_text(mutant.apply(path.read_text()))
            verdict = self._verdict(root, mutant.machine, mutant, tests)
        if verdict["invalid"]:
            raise MutantError(f"mutant {mutant.name}: found no valid program, {verdict['found']}; expected a fault that can be built and run")
        seconds = round(time.monotonic() - begin, 1)
        self._keep(on_rtl if verdict["witness"] in ("programs", "errors") else key, {**verdict, "seconds": seconds})
        return Outcome(mutant, verdict["witness"], verdict["found"] or "", seconds)

    def run(self, mutants: Sequence[Mutant], *, jobs: int = 1) -> Iterator[Outcome]:
        """Outcomes as they come, after the baseline. Raises MutantError."""
        check_catalogue(tuple(mutants), self.snapshot)
        machines = sorted({mutant.machine for mutant in mutants})
        self.baseline(machines, sorted({path for mutant in mutants for path in unit_tests(mutant, self.snapshot)}))
        with ThreadPoolExecutor(max_workers=jobs) as pool:
            pending = [pool.submit(self.judge, mutant) for mutant in mutants]
            broken: list[str] = []
            try:
                for future in as_completed(pending):
                    try:
                        yield future.result()
                    except MutantError as error:  # told at the end: the others are judged first
                        broken.append(str(error))
            finally:
                for future in pending:
                    future.cancel()
            if broken:
                raise MutantError("\n".join(sorted(broken)))


def _tail(text: str) -> str:
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    return lines[-1][:300] if lines else "no message"
