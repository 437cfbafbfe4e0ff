"""Judges one mutant inside its copy of the sources: ``python -m covenant.mutants.judge JOB.json`` writes a verdict.

The job names the machine, the mutant (null for the unmutated sources), the workloads, the cache of simulators and the witnesses; the verdict
is the first witness that found something wrong, with its words.
"""

import json
import shutil
import sys
import time
from pathlib import Path

import acg
from covenant.errors import EXACT
from covenant.files import write_text
from covenant.mutants.mutant import Mutant
from covenant.mutants.stimulus import read_workloads
from covenant.mutants.witnesses import WITNESSES, Mutated

__all__ = ["INVALID", "main"]

#: What a mutant that is no program any more raises; everything else that is raised is a check that noticed.
INVALID = (SyntaxError, NameError, AttributeError, ImportError, TypeError)


def _one(machine: Mutated, name: str) -> tuple[str | None, bool]:
    """What a witness found wrong, or None; and whether the mutant is no valid program."""
    from verif.bench import BuildError, ToolMissing

    try:
        return WITNESSES[name](machine), False
    except (ToolMissing, BuildError, *INVALID) as error:
        return f"{type(error).__name__}: {error}", True
    except Exception as error:  # whatever else is raised, somebody noticed
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        told = next((line for line in lines if "%Fatal" in line or "%Error" in line), lines[0] if lines else "")
        return f"{type(error).__name__}: {told}"[:300], False


def main(arguments: list[str]) -> int:
    """Judge; the verdict is a JSON object on the last line of standard output."""
    job = json.loads(Path(arguments[0]).read_text())
    home = Path(str(acg.__file__)).resolve().parents[1]
    if home != Path(job["root"]).resolve():
        raise RuntimeError(f"judge: found the sources of {home}, expected those of {job['root']}")
    mutant = None if job["mutant"] is None else Mutant(**job["mutant"])
    machine = Mutated(job["machine"], mutant, read_workloads(Path(job["workloads"])), Path(job["cache"]), None if job["rtl"] is None else Path(job["rtl"]))
    verdict: dict[str, object] = {"witness": None, "found": None, "invalid": False, "seconds": {}}
    try:
        for name in job["witnesses"]:
            begin = time.monotonic()
            found, invalid = _one(machine, name)
            verdict["seconds"][name] = round(time.monotonic() - begin, 2)  # type: ignore[index]
            if found is not None:
                verdict.update(witness=name, found=found, invalid=invalid)
                break
    finally:
        if not job["keep"]:
            for model in machine.built:
                shutil.rmtree(model.path, ignore_errors=True)
    if job["keep_rtl"] is not None:
        write_text(job["keep_rtl"], machine.verilog)
    print(json.dumps(verdict))
    return EXACT


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
