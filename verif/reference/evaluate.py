"""Evaluation of a whole ONNX graph, many samples at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
from onnx import inliner, numpy_helper

from verif.reference.call import Call
from verif.reference.heard import Said, misspoken, swallowed, unheard
from verif.reference.movement.movement import MOVING
from verif.reference.operators import OPERATORS, elementwise, evaluate
from verif.reference.recognise.around import recognised
from verif.reference.recognise.groups import groups
from verif.reference.recognise.l2 import l2
from verif.reference.recognise.layer import layer, layer_part
from verif.reference.recognise.raised import raised
from verif.reference.recognise.rms import rms, rms_part
from verif.reference.recognise.softmax import log_softmax, scaled, softmax
from verif.reference.rows.normalise import Normalised
from verif.reference.values import Plain, Value

#: What finds operators that were written as several, in order; normalisations behind what makes them one expression (`verif.reference.recognise.raised`).
WHOLE = (softmax, log_softmax)
NORMALISATIONS = (groups, layer, layer_part, rms, rms_part, l2, scaled)

#: Samples evaluated together: bounds the memory, large enough for BLAS.
CHUNK = 64
#: Operators of constants too: a dequantised constant stays one. Of any other whose inputs are all constant the result is a number like others.
KEEPING = frozenset({"DequantizeLinear", "Flatten", "Identity", "QuantizeLinear", "Reshape", "Shape", "Squeeze", "Transpose", "Unsqueeze", *MOVING})


@dataclass(frozen=True)
class Followed:
    """A quantised tensor or an output: what the definition makes of another witness's tensors before it, and what that witness makes."""

    name: str
    ours: np.ndarray
    theirs: np.ndarray
    output: bool


class Reference:
    """The definition of a quantised network. Build once, `run` often.

    Raises ValueError for operators that the definition of quantised networks (see the package) does not cover.
    """

    def __init__(self, model: onnx.ModelProto | str | Path, *, dimensions: Mapping[str, int] | None = None) -> None:
        model = model if isinstance(model, onnx.ModelProto) else onnx.load(model)
        whole = inliner.inline_local_functions(model) if model.functions else model
        self.model = recognised(raised(recognised(whole, WHOLE)), NORMALISATIONS)
        self.opset = next(o.version for o in self.model.opset_import if o.domain in ("", "ai.onnx"))
        lost = swallowed(whole, self.model, self.opset)
        if lost is not None:
            raise ValueError(f"{lost}; expected a quantised network; compare with onnxruntime alone")
        graph = self.model.graph
        self._constants = {i.name: Plain(numpy_helper.to_array(i), True) for i in graph.initializer}
        #: ONNX shape and numpy type of each input.
        self.inputs: dict[str, tuple[tuple[int, ...], np.dtype]] = {}
        for value in graph.input:
            if value.name not in self._constants:
                tensor = value.type.tensor_type
                shape = tuple((dimensions or {}).get(d.dim_param, d.dim_value) for d in tensor.shape.dim)
                self.inputs[value.name] = shape, np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type))
        self.outputs = tuple(o.name for o in graph.output)

    def samples(self, inputs: Mapping[str, np.ndarray]) -> int:
        """Return how many samples the arrays hold: leading dimension over the model's. Raises ValueError for wrong arrays."""
        found = set()
        for name, (shape, dtype) in self.inputs.items():
            if name not in inputs:
                raise ValueError(f"input {name}: found no array; expected {dtype} {shape}; give one under this name")
            array = inputs[name]
            front = array.shape[0] if array.ndim else 1
            count = front // shape[0] if shape else front
            if array.dtype != dtype or array.shape[1:] != shape[1:] or (shape and count * shape[0] != front) or count < 1:
                raise ValueError(
                    f"input {name}: found {array.dtype} {array.shape}; expected {dtype} {shape} or a multiple of its first dimension;"
                    " reshape the data"
                )
            found.add(count)
        if len(found) != 1:
            raise ValueError(f"inputs: found {sorted(found)} samples; expected as many in each; cut the arrays")
        return found.pop()

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the outputs by name, in ONNX type; the leading dimension is that of the model times the samples, of a scalar the samples alone."""
        return self._joined(inputs, self.outputs)

    def run_each(self, samples: Sequence[Mapping[str, np.ndarray]]) -> list[dict[str, np.ndarray]]:
        """Return the outputs of each sample by name, in ONNX type and shape; they are evaluated together."""
        count = len(samples)
        joined = {n: np.stack([sample[n] for sample in samples]).reshape(count * shape[0] if shape else count, *shape[1:])
                  for n, (shape, _) in self.inputs.items()}  # fmt: skip
        stacked = self._stacked(joined, self.outputs)
        return [{n: array[index, ...] for n, array in stacked.items()} for index in range(count)]

    def run_all(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return every quantised tensor and every output by its ONNX name (8-bit integers, int32 sums of Integer operators)."""
        return self._joined(inputs, None)

    def quantised(self, inputs: Mapping[str, np.ndarray]) -> list[str]:
        """Return the names of the quantised tensors, in the order of the graph, that `follow` can be given."""
        values: dict[str, Value] = dict(self._constants)
        values.update({n: Plain(inputs[n].reshape(1, *shape)) for n, (shape, _) in self.inputs.items()})
        names = []
        for node in self.model.graph.node:
            made = dict(zip(node.output, evaluate_node(node, self.opset, values), strict=False))
            values.update(made)
            names += [n for n, v in made.items() if n and not v.constant and v.array.dtype.kind in "iu" and isinstance(v, Plain)]
        return names

    def follow(self, inputs: Mapping[str, np.ndarray], given: Mapping[str, np.ndarray]) -> Iterator[Followed]:
        """Yield each quantised tensor in `given`, in the order of the graph, and then each output there, of one sample.

        Tensors are computed from those of `given` before them, so that what differs has no other cause than the operators in between.
        """
        values: dict[str, Value] = dict(self._constants)
        values.update({n: Plain(inputs[n].reshape(1, *shape)) for n, (shape, _) in self.inputs.items()})
        for node in self.model.graph.node:
            for name, value in zip(node.output, evaluate_node(node, self.opset, values), strict=False):
                values[name] = value
                if name not in given or value.constant or value.array.dtype.kind not in "iu" or not isinstance(value, Plain):
                    continue
                ours, theirs = value.array[0], given[name]
                yield Followed(name, ours, theirs, False)
                if (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape) and not np.array_equal(ours, theirs):
                    values[name] = replace(value, array=theirs[None])
        for name in self.outputs:
            if name in given:
                yield Followed(name, self._output(values[name])[0, ...], given[name], True)

    def _joined(self, inputs: Mapping[str, np.ndarray], names: tuple[str, ...] | None) -> dict[str, np.ndarray]:
        stacked = self._stacked(inputs, names)
        return {n: a.reshape(a.shape[0] * a.shape[1], *a.shape[2:]) if a.ndim > 1 else a.reshape(() if a.size == 1 else a.shape) for n, a in stacked.items()}

    def _stacked(self, inputs: Mapping[str, np.ndarray], names: tuple[str, ...] | None) -> dict[str, np.ndarray]:
        """Arrays by name with an axis of samples in front of the ONNX shape."""
        count = self.samples(inputs)
        parts: list[dict[str, np.ndarray]] = []
        for start in range(0, count, CHUNK):
            stop = min(start + CHUNK, count)
            split = {n: inputs[n].reshape(count, *shape)[start:stop] for n, (shape, _) in self.inputs.items()}
            parts.append(self._evaluate(split, names))
        return {n: np.concatenate([p[n] for p in parts]) for n in parts[0]}

    def _evaluate(self, inputs: Mapping[str, np.ndarray], names: tuple[str, ...] | None) -> dict[str, np.ndarray]:
        values: dict[str, Value] = dict(self._constants)
        values.update({n: Plain(a) for n, a in inputs.items()})
        chosen = {}
        for node in self.model.graph.node:
            for name, value in zip(node.output, evaluate_node(node, self.opset, values), strict=False):
                values[name] = value
                if names is None and not value.constant and value.array.dtype.kind in "iu" and _is_tensor(node, value):
                    chosen[name] = value.array
        chosen.update({n: self._output(values[n]) for n in names or self.outputs})
        return chosen

    @staticmethod
    def _output(value: Value) -> np.ndarray:
        if value.constant:
            raise ValueError("graph output: found a constant; expected a value that depends on an input; remove the output")
        return value.floats() if isinstance(value, Normalised) else value.real()


def _is_tensor(node: onnx.NodeProto, value: Value) -> bool:
    """Return whether a node makes integers: not a view of those that it reads, nor sums that are not rounded yet."""
    return isinstance(value, Plain) or node.op_type == "MaxPool"


def evaluate_node(node: onnx.NodeProto, opset: int, values: Mapping[str, Value]) -> list[Value]:
    """Return the values of a node's outputs, given those of its inputs by name."""
    inputs = [values[i] if i else None for i in node.input]
    said = Said(node)
    call = Call(node, opset, inputs, said)
    wrong = misspoken(node, opset)
    if wrong is not None:
        raise call.refuse(wrong)
    domain = "" if node.domain == "ai.onnx" else node.domain
    if not domain and node.op_type not in KEEPING and all(v is None or v.constant for v in inputs):
        return [Plain(a, True) for a in evaluate(node, opset, [None if v is None else v.real() for v in inputs])]
    operator = OPERATORS.get((domain, node.op_type))
    if operator is None and domain:
        raise call.refuse(f"domain {domain}")
    found = (operator or elementwise)(call)
    results = found if isinstance(found, list) else [found]
    empty = {index for index, value in enumerate(inputs) if value is not None and value.constant and not value.array.size}
    passed = unheard(node, opset, said, call.asked | empty)
    if passed is None and any(node.output[len(results) :]):
        passed = f"{len(node.output)} outputs, of which {len(results)} are defined"
    if passed is not None:
        raise call.refuse(passed)
    return results
