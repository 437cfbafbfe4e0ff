"""The golden witness: onnxruntime, run deterministically and with its integer kernels.

`session.qdqisint8allowed` = 1 keeps int8 activations on the integer kernels on x86, where the default session computes float
convolutions instead; `session.x64quantprecision` = 1 keeps the products of unsigned activations and signed weights from saturating in 16 bits
on processors without VNNI; one thread keeps the order of float sums.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidGraph
from onnxruntime.capi.onnxruntime_pybind11_state import NotImplemented as NoKernel

#: What `run --json` reports beside the mismatches against this library.
VERSION = ort.__version__


def open_session(model: onnx.ModelProto) -> ort.InferenceSession:
    """Return a session with the settings above. Raises onnxruntime's own errors.

    The second setting makes signed weights unsigned, for which onnxruntime has no kernel where activations are signed: such a network runs
    without it. And it fails where two products share weights or a zero point: they get copies of their own. Where onnxruntime puts operators
    into a network that do not take its types (weights of two bits) it runs as it is.
    """
    for apart in (False, True):
        data = (unshared(model) if apart else model).SerializeToString()
        try:
            return ort.InferenceSession(data, _options(precise=True), providers=["CPUExecutionProvider"])
        except NoKernel:
            break
        except InvalidGraph:
            return ort.InferenceSession(model.SerializeToString(), _options(precise=False, optimised=False), providers=["CPUExecutionProvider"])
        except Fail as error:
            if "Attempt to replace the existing tensor" not in str(error):
                raise
    return ort.InferenceSession(model.SerializeToString(), _options(precise=False), providers=["CPUExecutionProvider"])


def unshared(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with a copy of each dequantised constant, and of each initializer, for every node that reads it."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    constants = {item.name: item for item in graph.initializer}
    makers = {n.output[0]: n for n in model.graph.node if n.op_type == "DequantizeLinear" and all(i in constants for i in n.input if i)}
    seen = {name for node in graph.node for name in node.output}
    nodes: list[onnx.NodeProto] = []

    def own(name: str) -> str:
        """The value under a name that nothing else reads."""
        new = f"{name}/own{len(seen)}" if name in seen else name
        seen.add(new)
        if new != name and name in constants:
            tensor = graph.initializer.add()
            tensor.CopyFrom(constants[name])
            tensor.name = new
        return new

    for node in graph.node:
        for position, name in enumerate(node.input):
            if name in makers:
                maker = onnx.NodeProto()
                maker.CopyFrom(makers[name])
                maker.input[:] = [own(i) if i else i for i in maker.input]
                maker.output[0] = node.input[position] = own(name)
                maker.name = f"{maker.name}/{maker.output[0]}"
                nodes.append(maker)
            elif name in constants:
                node.input[position] = own(name)
        nodes.append(node)
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(kept)
    return copy


def _options(*, precise: bool, optimised: bool = True) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.add_session_config_entry("session.qdqisint8allowed", "1")
    options.add_session_config_entry("session.x64quantprecision", str(int(precise)))
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    if not optimised:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4  # what goes wrong comes as an error; the log would say it a second time, as the file's names are
    return options


class Golden:
    """An onnxruntime session of a model; `extra` names intermediate values to return as well (they must be 8-bit or float32).

    Asking for intermediates can change the fusions of onnxruntime, as a value that is asked for cannot be fused away.
    """

    def __init__(self, model: onnx.ModelProto | str | Path, *, extra: Sequence[str] = ()) -> None:
        model = model if isinstance(model, onnx.ModelProto) else onnx.load(model)
        names = [o.name for o in model.graph.output]
        if extra:
            copy = onnx.ModelProto()
            copy.CopyFrom(model)
            added = [onnx.helper.make_value_info(n, onnx.TypeProto()) for n in extra if n not in names]
            copy.graph.output.extend(added)
            model = copy
            names += [v.name for v in added]
        self.outputs = tuple(names)
        self._session = open_session(model)
        self._shapes = {i.name: tuple(i.shape) for i in self._session.get_inputs()}

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the outputs by name. A leading dimension that is a multiple of the model's is several samples, run one by one.

        Scalars of several samples are one array of them.
        """
        counts = {a.shape[0] // self._shapes[n][0] if self._shapes.get(n) else 1 for n, a in inputs.items() if n in self._shapes}
        if len(counts) != 1:
            raise ValueError(f"inputs: found {sorted(counts)} samples; expected as many in each; cut the arrays")
        count = counts.pop()
        split = {n: np.split(inputs[n], count) if self._shapes[n] else [inputs[n]] for n in self._shapes}
        runs = [self._session.run(list(self.outputs), {n: parts[i] for n, parts in split.items()}) for i in range(count)]
        if count == 1:
            return dict(zip(self.outputs, runs[0], strict=True))
        return {n: np.concatenate([np.atleast_1d(r[i]) for r in runs]) for i, n in enumerate(self.outputs)}
