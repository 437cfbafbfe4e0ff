"""Do the definition and onnxruntime say the same of a network? What differs more than the operators on the way may is a disagreement.

1. Outputs that differ by no more than the operators behind the nearest quantised tensors may (`verif.bounds`) agree.
2. Otherwise onnxruntime is asked for every quantised tensor, and each is computed by the definition from *onnxruntime's own* tensors before it: what
   differs then is this operator's, not what went before. Each is held to its own bound, and the first that exceeds it is named.
3. Where all are within their bounds, the outputs differ by what roundings on the way have come to. onnxruntime may then differ from itself, keeping
   these tensors or not, by `FUSED_STEPS`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from verif.bounds import BOUNDS, FUNCTION, FUSED_STEPS, allowed
from verif.golden import Golden
from verif.reference import Reference
from verif.reference.evaluate import Followed

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Agreement:
    """`agree`, `how` it was found ('outputs', 'operators'), the `lines` that say what differs, and by output the largest difference and bound in steps."""

    agree: bool
    how: str
    lines: tuple[str, ...]
    outputs: Mapping[str, tuple[float, float]]


def unlike(ours: Arrays, theirs: Arrays) -> list[str]:
    """Return a line for each output that one side lacks, or that has another type or shape there."""
    lines = [f"output {name}: the definition has it, onnxruntime has not" for name in ours if name not in theirs]
    lines += [f"output {name}: onnxruntime has it, the definition has not" for name in theirs if name not in ours]
    for name in ours:
        if name in theirs and (ours[name].dtype, ours[name].shape) != (theirs[name].dtype, theirs[name].shape):
            a, b = (f"{v.dtype} {v.shape}" for v in (ours[name], theirs[name]))
            lines.append(f"output {name}: {a} by definition, {b} by onnxruntime")
    return lines


def distance(ours: np.ndarray, theirs: np.ndarray, step: float | None, *, ignoring: np.ndarray | None = None) -> float:
    """Return the largest difference in steps; of float functions (step None) in units of FUNCTION of the largest number. A NaN differs from all but NaN."""
    a, b = ours.astype(np.float64), theirs.astype(np.float64)
    if step is None and ours.dtype.kind == "f":
        finite = np.abs(a[np.isfinite(a)])
        step = FUNCTION * max(float(finite.max(initial=0)), float(np.finfo(np.float32).tiny))
    with np.errstate(invalid="ignore"):
        gap = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, np.abs(a - b))
    gap = np.where(np.isnan(gap), np.inf, gap)
    return float(np.max(gap if ignoring is None else np.where(ignoring, 0.0, gap), initial=0) / (step or 1))


def _shown(steps: float) -> str:
    return f"{steps:.3g}" if steps != round(steps) else f"{steps:.0f}"


def _within(steps: float, most: float) -> bool:
    return round(steps, 3) <= most


class _Way:
    """Which operators a value is computed by from the quantised tensors before it."""

    def __init__(self, model: onnx.ModelProto, tensors: set[str]) -> None:
        self.maker = {name: node for node in model.graph.node for name in node.output if name}
        self.tensors = tensors

    def back(self, name: str) -> list[onnx.NodeProto]:
        """Nodes from the nearest quantised tensors to a value; to an output that only gives such a tensor back, from those before it."""
        nodes = self._back(name)
        if not allowed(node.op_type for node in nodes):
            for other in {i for node in nodes for i in node.input if i in self.tensors}:
                nodes += [node for node in self._back(other) if node not in nodes]
        return nodes

    def _back(self, name: str) -> list[onnx.NodeProto]:
        found: dict[str, onnx.NodeProto] = {}
        todo = [name]
        while todo:
            here = todo.pop()
            node = self.maker.get(here)
            if node is None or node.output[0] in found or (here in self.tensors and here != name):
                continue
            found[node.output[0]] = node
            todo += [i for i in node.input if i]
        return list(found.values())


def _undefined(model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto], name: str, sample: Arrays) -> np.ndarray | None:
    """Where onnxruntime quantises a NaN to the tensor `name`, as 0 / 0 is; None where no Div lies on the way."""
    maker = next((node for node in nodes if name in node.output and node.op_type == "QuantizeLinear"), None)
    if maker is None or not any(node.op_type in ("Div", "Reciprocal") for node in nodes):
        return None
    return np.isnan(Golden(model, extra=(maker.input[0],)).run(sample)[maker.input[0]])


def _operators(way: _Way, followed: Followed) -> tuple[str, float]:
    nodes = way.back(followed.name) if followed.output else way._back(followed.name)
    names = [node.op_type for node in nodes]
    most = float(allowed(names))
    differing = list(dict.fromkeys(f"{node.op_type} {node.name}".strip() for node in nodes if node.op_type in BOUNDS))
    return ", ".join(differing or dict.fromkeys(n for n in names if n not in ("QuantizeLinear", "DequantizeLinear"))), most


def _by_operators(model: onnx.ModelProto, reference: Reference, sample: Arrays, plain: Arrays, steps: Mapping[str, float | None]) -> list[str]:
    """Lines that say where onnxruntime, asked for every quantised tensor, differs from the definition by more than an operator's bound."""
    known = {name for node in model.graph.node for name in node.output}
    tensors = [name for name in reference.quantised(sample) if name in known]
    kept = Golden(model, extra=tensors).run(sample)
    way = _Way(reference.model, set(tensors))
    for followed in reference.follow(sample, kept):
        step = steps.get(followed.name) if followed.output else 1.0
        ours, theirs = followed.ours, followed.theirs
        if (ours.dtype, ours.shape) != (theirs.dtype, theirs.shape):
            return [f"tensor {followed.name}: {ours.dtype} {ours.shape} by definition, {theirs.dtype} {theirs.shape} by onnxruntime"]
        operators, most = _operators(way, followed)
        most = max(most, 1.0) if step is None and ours.dtype.kind == "f" else most
        found = distance(ours, theirs, step)
        if not _within(found, most):
            nodes = way._back(followed.name)
            found = distance(ours, theirs, step, ignoring=_undefined(model, nodes, followed.name, sample))
        if not _within(found, most):
            count = int(np.count_nonzero(ours != theirs))
            return [
                f"first such {'output' if followed.output else 'tensor'}: {followed.name} of {operators or 'no operator'}, {count:,} of {ours.size:,} elements "
                f"differ, by up to {_shown(found)} steps from the same operands, where {_shown(most)} {'are' if most != 1 else 'is'} known"
            ]
    apart = {name: distance(kept[name], plain[name], steps.get(name)) for name in plain}
    return [
        f"output {name}: onnxruntime differs from itself by {_shown(found)} steps where it is asked for the tensors in between, more than {FUSED_STEPS}"
        for name, found in apart.items() if not _within(found, FUSED_STEPS)
    ]


def agreement(
    model: onnx.ModelProto, reference: Reference, samples: Sequence[Arrays], expected: Sequence[Arrays], golden: Sequence[Arrays],
    steps: Mapping[str, float | None],
) -> Agreement:
    """Judge the outputs `golden` of onnxruntime and `expected` of the definition of a network, a mapping a sample.

    `steps`: size of a step of each output, None of integers (1) and float functions. Raises onnxruntime's errors.
    """
    for number, (ours, theirs) in enumerate(zip(expected, golden, strict=True)):
        lines = unlike(ours, theirs)
        if lines:
            return Agreement(False, "outputs", tuple(f"sample {number}, {line}" for line in lines), {})
    way = _Way(reference.model, set(reference.quantised(samples[0])))
    outputs: dict[str, tuple[float, float]] = {}
    worst, excess = 0, 0.0
    for name, step in steps.items():
        function = step is None and expected[0][name].dtype.kind == "f"
        most = max(float(allowed(node.op_type for node in way.back(name))), float(function))
        apart = [distance(ours[name], theirs[name], step) for ours, theirs in zip(expected, golden, strict=True)]
        outputs[name] = (max(apart), most)
        if not _within(max(apart), most) and max(apart) - most >= excess:
            worst, excess = int(np.argmax(apart)), max(apart) - most
    beyond = [
        f"output {name}: {_shown(found)} steps from the definition, {_shown(most)} {'are' if most != 1 else 'is'} known of the operators before it"
        for name, (found, most) in outputs.items() if not _within(found, most)
    ]
    if not beyond:
        return Agreement(True, "outputs", (), outputs)
    lines = _by_operators(model, reference, samples[worst], golden[worst], steps)
    if lines:
        return Agreement(False, "operators", (*beyond, f"sample {worst}, {lines[0]}", *lines[1:]), outputs)
    return Agreement(True, "operators", tuple(f"{line}; every operator by itself within its bound" for line in beyond), outputs)


__all__ = ["Agreement", "agreement", "distance", "unlike"]
