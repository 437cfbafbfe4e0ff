"""onnx's own node tests on the backend: what passes, what fails, what is not supported and why."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import onnx

from compiler.errors import CompilerError, UnsupportedError
from covenant.backend.backend import MOVEMENT, CovenantBackend

__all__ = ["Verdict", "cases", "judge_case", "markdown", "passed_in", "run_suite"]

PASS, FAIL, UNSUPPORTED = "pass", "fail", "unsupported"
#: Operators of quantised networks, and with them every test that has an 8-bit tensor at its edge.
QUANTISED = frozenset({"ConvInteger", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "QLinearConv", "QLinearMatMul", "QuantizeLinear"})
_EIGHT_BITS = (onnx.TensorProto.INT8, onnx.TensorProto.UINT8)
PASSED = "## Passed"
BANNER = "<!-- Made by `covenant backend-test --markdown docs/onnx_backend.md` (make backend): do not edit. -->"


@dataclass(frozen=True)
class Verdict:
    """A test's outcome: ``state`` pass, fail or unsupported; ``relevant``: quantised operators, 8-bit tensors or data movement."""

    name: str
    operator: str
    relevant: bool
    state: str
    detail: str = ""


@cache
def cases() -> tuple[Any, ...]:
    """All node tests of the installed onnx, in its order; their data is drawn by onnx, the same every time."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # overflows that some tests are about
        from onnx.backend.test.case.node import collect_testcases

        return tuple(case for case in collect_testcases(None) if case.model is not None)


def _operator(model: onnx.ModelProto) -> str:
    """The tested operator; of a function written out, what its nodes are."""
    names = list(dict.fromkeys(node.op_type for node in model.graph.node if node.op_type != "Constant"))
    return names[0] if len(names) == 1 else "several"


def _relevant(model: onnx.ModelProto) -> bool:
    names = {node.op_type for node in model.graph.node} - {"Constant"}
    edges = {value.type.tensor_type.elem_type for value in (*model.graph.input[:1], *model.graph.output[:1])}
    return bool(names) and (names <= MOVEMENT or bool(names & QUANTISED) or bool(edges & set(_EIGHT_BITS)))


def _difference(got: Sequence[np.ndarray], expected: Sequence[Any]) -> str:
    """What differs, '' where every byte is as expected."""
    if len(got) != len(expected):
        return f"{len(got)} outputs, expected {len(expected)}"
    for number, (ours, theirs) in enumerate(zip(got, map(np.asarray, expected), strict=True)):
        if (ours.dtype, ours.shape) != (theirs.dtype, theirs.shape):
            return f"output {number} is {ours.dtype}{ours.shape}, expected {theirs.dtype}{theirs.shape}"
        if ours.tobytes() != theirs.tobytes():
            return f"{int(np.count_nonzero(ours != theirs))} of {ours.size} elements of output {number} differ"
    return ""


def judge_case(case: Any) -> Verdict:
    """Run a test; equality is to the byte, not within the test's tolerance."""
    facts = (case.name, _operator(case.model), _relevant(case.model))
    try:
        for inputs, expected in case.data_sets:
            difference = _difference(CovenantBackend.prepare(case.model).run(inputs), expected)
            if difference:
                return Verdict(*facts, FAIL, difference)
    except UnsupportedError as error:
        return Verdict(*facts, UNSUPPORTED, f"{error.entries[0].operator}: {error.entries[0].reason}")
    except CompilerError as error:
        return Verdict(*facts, UNSUPPORTED, f"{error.found}; expected {error.expected}")
    return Verdict(*facts, PASS)


def run_suite(names: Iterable[str] | None = None) -> Iterator[Verdict]:
    """Verdicts of all node tests, or of the named ones."""
    wanted = None if names is None else set(names)
    for case in cases():
        if wanted is None or case.name in wanted:
            yield judge_case(case)


def _grouped(verdicts: Iterable[Verdict], key: str) -> list[tuple[str, list[str]]]:
    groups: dict[str, list[str]] = {}
    for verdict in verdicts:
        groups.setdefault(getattr(verdict, key), []).append(verdict.name.removeprefix("test_"))
    return sorted(groups.items())


def markdown(verdicts: Sequence[Verdict]) -> str:
    """The document: counts, what passed by operator, what failed, what is not supported by reason."""
    relevant = [verdict for verdict in verdicts if verdict.relevant or verdict.state != UNSUPPORTED]
    others = [verdict for verdict in verdicts if verdict not in relevant]
    states = {state: [verdict for verdict in relevant if verdict.state == state] for state in (PASS, FAIL, UNSUPPORTED)}
    lines = [
        BANNER, "# onnx's backend tests", "",
        f"The node tests of onnx {onnx.__version__}, on the functional simulator of `{CovenantBackend.arch}` through "
        "`covenant.backend.CovenantBackend`. A test passes if every output byte is the expected one.",
        "Operands that a program holds as constants (weights, scales, shapes, indices) are taken from the test's inputs when it runs. "
        "Data movement is run on tensors of any width, once for each byte of an element.", "",
        "| tests | number |", "|---|---:|",
        f"| quantised operators, 8-bit tensors, data movement: passed | {len(states[PASS])} |",
        f"| failed | {len(states[FAIL])} |", f"| not supported | {len(states[UNSUPPORTED])} |",
        f"| all others (float, boolean, wide integers, strings, sequences): not supported | {len(others)} |", "",
        PASSED, "", "| operator | tests |", "|---|---|",
        *(f"| {operator} | {', '.join(names)} |" for operator, names in _grouped(states[PASS], "operator")), "",
        "## Failed", "",
    ]
    if states[FAIL]:
        lines += ["| test | what differs |", "|---|---|", *(f"| {verdict.name} | {verdict.detail} |" for verdict in states[FAIL]), ""]
    else:
        lines += ["None, so no test of these has wrong expected data either.", ""]
    lines += ["## Not supported: quantised operators, 8-bit tensors, data movement", "", "| reason | tests |", "|---|---|"]
    lines += [f"| {_cell(reason)} | {', '.join(names)} |" for reason, names in _grouped(states[UNSUPPORTED], "detail")]
    lines += ["", "## Not supported: all others", "", "| reason | tests |", "|---|---:|"]
    counts = sorted(((len(names), reason) for reason, names in _grouped(others, "detail")), key=lambda pair: (-pair[0], pair[1]))
    lines += [f"| {_cell(reason)} | {count} |" for count, reason in counts]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def passed_in(text: str) -> list[str]:
    """Names of the tests that a document lists as passed."""
    rows = text.split(PASSED + "\n")[1].split("\n## ")[0].splitlines()
    return [f"test_{name}" for row in rows[3:] if row.startswith("| ") for name in row.split("|")[2].strip().split(", ")]
