"""A network as the partition wants it, and what it asks of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import numpy_helper

from compiler.front.reading.load import prepare_model
from compiler.front.state.folding import foldable
from compiler.front.validity.folding import FoldError, computed, require_small
from verif.golden import open_session

__all__ = ["Prepared", "prepare", "reads"]

_QUANTISERS = ("QuantizeLinear", "DequantizeLinear")


def reads(node: onnx.NodeProto) -> list[str]:
    """Names of the values a node reads, those that its subgraphs capture included."""
    names = [name for name in node.input if name]
    for attribute in node.attribute:
        for graph in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
            inner = {value.name for value in graph.input} | {item.name for item in graph.initializer}
            for child in graph.node:
                names += [name for name in reads(child) if name not in inner]
                inner |= set(child.output)
            names += [value.name for value in graph.output if value.name not in inner]
    return names


@dataclass(frozen=True)
class Prepared:
    """A checked model whose node names are unique.

    Attributes
    ----------
    types : dict
        ONNX value types by name, as far as inference knows them.
    constants : set of str
        Values that depend on no input: initializers, and results of nodes that read only such.
    """

    model: onnx.ModelProto
    types: dict[str, onnx.TypeProto]
    constants: set[str]

    def eight_bits(self, name: str) -> bool:
        """Whether a value is an 8-bit integer tensor of fixed shape: where a network may be cut."""
        tensor = self.types[name].tensor_type if name in self.types else onnx.TypeProto.Tensor()
        fixed = tensor.HasField("shape") and all(dim.dim_value > 0 for dim in tensor.shape.dim)
        return fixed and tensor.elem_type in (onnx.TensorProto.INT8, onnx.TensorProto.UINT8)


def _types(model: onnx.ModelProto) -> dict[str, onnx.TypeProto]:
    return {value.name: value.type for value in (*model.graph.value_info, *model.graph.output, *model.graph.input)}


def _unique_names(model: onnx.ModelProto) -> None:
    taken = Counter(node.name for node in model.graph.node)
    for index, node in enumerate(model.graph.node):
        if taken[node.name] > 1 or not node.name:
            node.name = f"{node.name}#{index}"


def _computed(node: onnx.NodeProto, opset: int, arrays: list[np.ndarray | None], types: dict[str, onnx.TypeProto]) -> dict[str, np.ndarray] | None:
    """What a node of constants gives; None where it is left to whoever runs it."""
    kinds = [types[name].tensor_type for name in node.output if name in types]
    shapes = [tuple(dim.dim_value for dim in kind.shape.dim) if kind.HasField("shape") else None for kind in kinds]
    try:
        require_small(node, shapes, sum(array.size for array in arrays if array is not None))
        return dict(zip(node.output, computed(node, opset, arrays), strict=True))
    except FoldError:
        return None


def _fold(model: onnx.ModelProto, opset: int) -> None:
    """Make initializers of Constant nodes, of shapes that are known, and of what depends on these alone, in place.

    Weights behind QuantizeLinear and DequantizeLinear stay as they are: those nodes are how the importer knows them. So does what nobody should
    compute in advance: what is drawn, and what would be as large as a memory.
    """
    types = _types(model)
    values = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
    outputs = {value.name for value in model.graph.output}
    kept, folded = [], {}
    for node in model.graph.node:
        shape = types[node.input[0]].tensor_type.shape if node.op_type == "Shape" and node.input[0] in types else None
        if shape is not None and all(dim.dim_value > 0 for dim in shape.dim) and not outputs & set(node.output):
            sizes = np.array([dim.dim_value for dim in shape.dim], np.int64)
            bounds = {item.name: item.i for item in node.attribute}
            folded[node.output[0]] = sizes[bounds.get("start", 0) : bounds.get("end")]
        elif (
            node.domain in ("", "ai.onnx") and (node.input or node.op_type == "Constant") and all(name in values for name in reads(node))
            and node.op_type not in _QUANTISERS and foldable(node) and not outputs & set(node.output) and len(node.input) == len(reads(node))
            and (made := _computed(node, opset, [values[name] for name in node.input], types)) is not None
        ):
            folded |= made
        else:
            kept.append(node)
        values |= folded
    del model.graph.node[:]
    model.graph.node.extend(kept)
    read = {name for node in kept for name in reads(node)} | outputs
    model.graph.initializer.extend(numpy_helper.from_array(np.asarray(array), name) for name, array in folded.items() if name in read)


def _constants(model: onnx.ModelProto) -> set[str]:
    """Constants; one that is a graph output counts as computed, as some segment has to give it."""
    outputs = {value.name for value in model.graph.output}
    found = {item.name for item in model.graph.initializer}
    for node in model.graph.node:
        random = node.op_type.startswith("Random")
        if not random and all(name in found for name in reads(node)) and not outputs & set(node.output):
            found |= set(node.output)
    return found


def _one_reader_each(model: onnx.ModelProto, constants: set[str], types: dict[str, onnx.TypeProto]) -> None:
    """Give every reader of a DequantizeLinear its own, in place, so that readers may end up in different segments."""
    outputs = {value.name for value in model.graph.output}
    users: dict[str, list[tuple[onnx.NodeProto, int]]] = {}
    captured = set()
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            users.setdefault(name, []).append((node, index))
        captured |= set(reads(node)) - set(node.input)
    result = []
    for node in model.graph.node:
        result.append(node)
        name = node.output[0] if node.output else ""
        if node.op_type != "DequantizeLinear" or name in constants or name in captured:
            continue
        for number, (user, index) in enumerate(users.get(name, [])):
            if number == 0 and name not in outputs:
                continue  # the first reader keeps the original
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            copy.name, copy.output[0] = f"{node.name}:{number}", f"{name}:{number}"
            user.input[index] = copy.output[0]
            if name in types:
                types[copy.output[0]] = types[name]
            result.append(copy)
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in result]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _measure(model: onnx.ModelProto, types: dict[str, onnx.TypeProto]) -> None:
    """Put the shapes that onnxruntime finds into ``types``, in place, where onnx's inference is not to be trusted.

    It counts windows of a ceil_mode pool that begin in the padding at the end, against the text of the standard.
    """
    if not any(attribute.name == "ceil_mode" and attribute.i for node in model.graph.node for attribute in node.attribute):
        return
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    names = list(dict.fromkeys(name for node in model.graph.node for name in node.output if name))
    del copy.graph.value_info[:], copy.graph.output[:]
    copy.graph.output.extend(onnx.helper.make_value_info(name, onnx.TypeProto()) for name in names)
    constants = {item.name for item in model.graph.initializer}
    tensors = {value.name: value.type.tensor_type for value in model.graph.input if value.name not in constants}
    zeros = {
        name: np.zeros([dim.dim_value for dim in tensor.shape.dim], onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type))
        for name, tensor in tensors.items()
    }
    try:
        arrays = open_session(copy).run(names, zeros)
    except Exception as error:  # onnxruntime's exceptions have no common base; what it cannot run keeps the inferred shapes
        if not type(error).__module__.startswith("onnxruntime"):
            raise
        return
    for name, array in zip(names, arrays, strict=True):
        if name in types and types[name].tensor_type.HasField("shape") and all(dim.dim_value > 0 for dim in types[name].tensor_type.shape.dim):
            types[name] = onnx.helper.make_tensor_type_proto(types[name].tensor_type.elem_type, array.shape)


def prepare(model: onnx.ModelProto, *, name: str) -> Prepared:
    """Return the network ready to be cut; its meaning is unchanged. Raises ModelError."""
    model, opset = prepare_model(model, name=name)
    _fold(model, opset)
    _unique_names(model)
    types, constants = _types(model), _constants(model)
    _measure(model, types)
    _one_reader_each(model, constants, types)
    return Prepared(model, types, constants)
