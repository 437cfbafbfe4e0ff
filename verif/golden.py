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
from onnx import numpy_helper
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidGraph
from onnxruntime.capi.onnxruntime_pybind11_state import NotImplemented as NoKernel

from verif.suited import suited

#: The opset whose matrix products `session.x64quantprecision` does not know.
FIRST_FORGOTTEN = 21
#: What `run --json` reports beside the mismatches against this library.
VERSION = ort.__version__


def open_session(model: onnx.ModelProto) -> ort.InferenceSession:
    """Return a session with the settings above. Raises onnxruntime's own errors.

    The second setting makes signed weights unsigned, for which onnxruntime has no kernel where activations are signed: such a network runs
    without it, its weights behind unsigned activations made unsigned here. And it fails where two products share weights or a zero point: they
    get copies of their own. Where onnxruntime puts operators into a network that do not take its types (weights of two bits) it runs as it is. What else it
    would take wrongly has `verif.suited`.
    """
    model = unsigned(suited(model))
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
    try:  # what the setting would have done, where activations are unsigned
        return ort.InferenceSession(unsigned(model, everywhere=True).SerializeToString(), _options(precise=False), providers=["CPUExecutionProvider"])
    except NoKernel:
        return ort.InferenceSession(model.SerializeToString(), _options(precise=False), providers=["CPUExecutionProvider"])


def unsigned(model: onnx.ModelProto, *, everywhere: bool = False) -> onnx.ModelProto:
    """Return the model with constant int8 weights behind uint8 activations as uint8, 128 added to them and to their zero points: the same numbers.

    `session.x64quantprecision` does that for all products but the matrix products of opset 21 and newer, whose kernel then saturates in 16 bits;
    `everywhere`: for convolutions and matrix products of any opset, where the setting cannot be had.
    """
    if not everywhere and max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=0) < FIRST_FORGOTTEN:
        return model
    products = ("Conv", "Gemm", "MatMul") if everywhere else ("MatMul",)
    constants = {item.name: item for item in model.graph.initializer}
    maker = {name: node for node in model.graph.node for name in node.output}
    copy = onnx.ModelProto()
    copy.CopyFrom(model)

    def shifted(names: list[str], label: str, size: int) -> list[str] | None:
        """New constants for integers and their zero points; None where they are no int8 constants."""
        if names[0] not in constants or constants[names[0]].data_type != onnx.TensorProto.INT8 or (names[1] and names[1] not in constants):
            return None
        zero = numpy_helper.to_array(constants[names[1]]) if names[1] else np.zeros(size, np.int8).reshape(() if size == 1 else (size,))
        arrays = (numpy_helper.to_array(constants[names[0]]), zero)
        tensors = [numpy_helper.from_array((a.astype(np.int16) + 128).astype(np.uint8), f"{label}/unsigned{i}") for i, a in enumerate(arrays)]
        copy.graph.initializer.extend(tensors)
        return [t.name for t in tensors]

    def is_unsigned(zero: str) -> bool:
        return not zero or (zero in constants and constants[zero].data_type == onnx.TensorProto.UINT8)

    nodes: list[onnx.NodeProto] = []
    for index, node in enumerate(copy.graph.node):
        made = maker.get(node.input[1]) if node.op_type in products and node.domain in ("", "ai.onnx") else None
        front = maker.get(node.input[0]) if made is not None else None
        label = f"{node.output[0]}/{index}" if node.output else ""
        if made is not None and front is not None and made.op_type == front.op_type == "DequantizeLinear" and is_unsigned("".join(front.input[2:3])):
            scale = constants.get(made.input[1])
            new = shifted([made.input[0], "".join(made.input[2:3])], label, int(np.prod(scale.dims)) if scale is not None else 1)
            if new is not None:
                weights = onnx.NodeProto.FromString(made.SerializeToString())
                weights.input[:], weights.output[0], weights.name = [new[0], made.input[1], new[1]], f"{label}/weights", f"{label}/weights"
                nodes.append(weights)
                node.input[1] = weights.output[0]
        elif node.op_type == "QLinearMatMul" and is_unsigned(node.input[2]):
            new = shifted([node.input[3], node.input[5]], label, 1)
            if new is not None:
                node.input[3], node.input[5] = new
        nodes.append(node)
    if len(copy.graph.initializer) == len(constants):
        return model
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del copy.graph.node[:]
    copy.graph.node.extend(kept)
    return copy


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
