"""The float networks inside the onnx package, quantised with defaults and run: which are exact, and what is said of the others."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from acg.graph import Graph
from compiler.errors import CompilerError
from covenant.errors import UserError
from covenant.networks import CompiledNetwork
from covenant.quantise.convert import quantise
from covenant.quantise.data import draw_calibration
from covenant.quantise.outcome import outcome_of
from covenant.quantise.prepare import prepared
from covenant.report import judge_network
from covenant.samples import draw, model_inputs

__all__ = ["EXACT", "NAMED", "REFUSED", "TRACEBACK", "WRONG", "OnnxNetwork", "Verdict", "exact_in", "judge", "markdown", "networks"]

#: Folders of networks in the package; the first two were exported from PyTorch.
SETS = ("pytorch-converted", "pytorch-operator", "simple")
#: What may come out: every byte as ONNX defines it; nodes named that no engine does, or a machine too small; a message; and what must not be.
EXACT, NAMED, REFUSED, WRONG, TRACEBACK = "exact", "named", "refused", "wrong", "traceback"
STATES = (EXACT, NAMED, REFUSED, WRONG, TRACEBACK)
BANNER = "<!-- Made by `covenant quantize-test --markdown docs/onnx_networks.md` (make networks): do not edit. -->"
EXACT_HEADING = "## Quantised with defaults, and exact"


@dataclass(frozen=True)
class OnnxNetwork:
    """A file of the onnx package: ``kind`` its set, ``name`` its folder without 'test_'."""

    kind: str
    name: str
    path: Path

    @property
    def elements(self) -> int:
        """Elements of its inputs: what a run costs, roughly."""
        graph = onnx.load(self.path).graph
        return sum(int(np.prod([dim.dim_value for dim in value.type.tensor_type.shape.dim])) for value in graph.input)


@dataclass(frozen=True)
class Verdict:
    """What became of a network: ``state`` of STATES, ``detail`` the reasons; ``differences``: elements that onnxruntime has otherwise, of ``elements``."""

    network: OnnxNetwork
    state: str
    detail: str = ""
    differences: int = 0
    elements: int = 0


def networks() -> list[OnnxNetwork]:
    """All of them, in the order of their names."""
    root = Path(onnx.__file__).parent / "backend" / "test" / "data"
    return [OnnxNetwork(kind, path.parent.name.removeprefix("test_"), path) for kind in SETS for path in sorted((root / kind).glob("*/model.onnx"))]


def _judge(network: OnnxNetwork, graph: Graph) -> Verdict:
    original = prepared(onnx.load(network.path), name=network.name)
    made = quantise(original, draw_calibration(model_inputs(original), seed=0).samples, name=network.name)
    result = outcome_of(made, graph, name=network.name)
    if not result.runs:
        reasons = dict.fromkeys(f"{entry.operator}: {entry.reason}" for entry in result.unsupported)
        return Verdict(network, NAMED, result.refusal or " ".join(reasons))
    model = made.model
    report, _ = judge_network(CompiledNetwork(network.name, graph, result.programs[0], model), draw(model_inputs(model), seed=1, count=1), on="iss")
    outputs = report["outputs"].values()
    differences = sum(entry["onnxruntime"]["mismatches"] for entry in outputs if "onnxruntime" in entry)
    elements = sum(entry["elements"] for entry in outputs)
    if report["exact"] is True:
        return Verdict(network, EXACT, report["golden"].get("onnxruntime_error", ""), differences, elements)
    return Verdict(network, WRONG, "; ".join(report.get("divergence", ["nothing was compared"])), differences, elements)


def judge(network: OnnxNetwork, graph: Graph) -> Verdict:
    """Quantise a network with defaults and drawn samples, compile it for an architecture and run one sample on the functional simulator."""
    try:
        return _judge(network, graph)
    except (CompilerError, UserError) as error:
        return Verdict(network, REFUSED, str(error).removeprefix(f"model {network.name}: "))
    except Exception:
        return Verdict(network, TRACEBACK, traceback.format_exc().strip().splitlines()[-1])


def _grouped(verdicts: Iterable[Verdict]) -> Iterator[tuple[str, list[str]]]:
    groups: dict[str, list[str]] = {}
    for verdict in verdicts:
        groups.setdefault(verdict.detail, []).append(verdict.network.name)
    yield from sorted(groups.items())


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def markdown(verdicts: Sequence[Verdict], arch: str) -> str:
    """The document: counts, what is exact, what is named or refused and why."""
    lines = [
        BANNER, "# Networks of the onnx package", "",
        f"The float networks inside onnx {onnx.__version__}, most of them exported from PyTorch (opset 6, IR version 3), quantised by `covenant quantize`",
        f"with its defaults (drawn samples), compiled for `{arch}` and run on the functional simulator. Exact: every byte is what ONNX defines.",
        "Named: the network is written, and each node that no engine does is named with the reason, status 1. Refused: a message, status 2.", "",
        f"| networks | {' | '.join(STATES)} |", f"|---|{'---:|' * len(STATES)}",
    ]
    for kind in SETS:
        found = [verdict for verdict in verdicts if verdict.network.kind == kind]
        lines.append(f"| `{kind}` ({len(found)}) | {' | '.join(str(sum(verdict.state == state for verdict in found)) for state in STATES)} |")
    lines += ["", EXACT_HEADING, "", "| set | networks |", "|---|---|"]
    exact = [verdict for verdict in verdicts if verdict.state == EXACT]
    lines += [f"| `{kind}` | {', '.join(v.network.name for v in exact if v.network.kind == kind)} |" for kind in SETS]
    differ = [verdict for verdict in exact if verdict.differences]
    if differ:
        some = ", ".join(f"{verdict.network.name} {verdict.differences:,} of {verdict.elements:,}" for verdict in differ)
        why = "a step, or the last places of a float function that nothing quantises"
        lines += ["", f"Elements that onnxruntime's own kernels give otherwise ({why}): {some}."]
    for state, heading in ((NAMED, "Named"), (REFUSED, "Refused"), (WRONG, "Wrong"), (TRACEBACK, "Tracebacks")):
        found = [verdict for verdict in verdicts if verdict.state == state]
        if found:
            lines += ["", f"## {heading}", "", "| reason | networks |", "|---|---|"]
            lines += [f"| {_cell(reason)} | {', '.join(names)} |" for reason, names in _grouped(found)]
    return "\n".join(lines) + "\n"


def exact_in(text: str) -> list[str]:
    """Names of the networks that a document lists as exact."""
    rows = text.split(EXACT_HEADING + "\n")[1].strip().split("\n\n")[0].splitlines()
    return [name for row in rows[2:] for name in row.split("|")[2].strip().split(", ") if name]
