"""Clean-up of an ONNX graph on onnx's own tools, before the importer looks at an operator.

    settle              what a checker refuses and onnxruntime loads is put right (compiler.front.reading.formalities)
    convert_opset       an opset outside what is read becomes the nearest that is (compiler.front.reading.newer, older, upsample, onnx.version_converter)
    name_nodes          a node without a name is called by its position, so that messages name the same node whatever is removed after
    drop_training       Dropout that does not train becomes Identity
    drop_unread         nodes that no output depends on go

Constants fold in the importer itself, shapes are inferred in `load.prepare_model`.
"""

from __future__ import annotations

import re

import numpy as np
import onnx
from onnx import numpy_helper, shape_inference, version_converter

from compiler.errors import ModelError
from compiler.front.reading.formalities import settle
from compiler.front.reading.newer import spell_out
from compiler.front.reading.older import carry_over
from compiler.front.reading.upsample import spell_resizes
from compiler.front.rewrite.subgraphs import reads
from compiler.front.state.schema import misuse
from compiler.front.support import FIRST_OPSET, LAST_OPSET
from compiler.front.validity.file import judge_file

#: Operators that a message names before it says that there are more.
MOST_NAMED = 5


def opset_of(model: onnx.ModelProto, where: str) -> int:
    """Return the version of the ONNX operators that a model uses. Raises ModelError where it does not say exactly one."""
    versions = [o.version for o in model.opset_import if o.domain in ("", "ai.onnx")]
    if len(versions) != 1:
        found = f"opset {', '.join(map(str, versions)) or 'none'}"
        raise ModelError(where, found=found, expected=f"one opset from {FIRST_OPSET} to {LAST_OPSET}", do="export it again")
    return versions[0]


def require_standard(model: onnx.ModelProto, where: str) -> None:
    """Refuse a model all of whose operators are another standard's, as those of ai.onnx.ml. Raises ModelError."""
    known = {"", "ai.onnx", "com.microsoft"} | {function.domain for function in model.functions}
    if not model.graph.node or any(node.domain in known for node in model.graph.node):
        return
    foreign = sorted({f"{node.domain}.{node.op_type}" for node in model.graph.node})
    listed = ", ".join(foreign[:MOST_NAMED]) + (", ..." if len(foreign) > MOST_NAMED else "")
    found = f"no node of the standard domain, but {listed}"
    raise ModelError(where, found=found, expected="a network of ONNX's own operators", do="run it on onnxruntime, or export the network in it by itself")


def convert_opset(model: onnx.ModelProto, where: str) -> onnx.ModelProto:
    """Return the model, which may be changed, in an opset from FIRST_OPSET to LAST_OPSET: itself, or converted by onnx.

    Raises ModelError, with onnx's own words, where onnx cannot convert it.
    """
    opset = opset_of(model, where)
    wanted = min(max(opset, FIRST_OPSET), LAST_OPSET)
    if wanted == opset:
        return model
    if opset > LAST_OPSET:
        spell_out(model, opset)
    carry_over(model, opset)
    try:
        return version_converter.convert_version(spell_resizes(model, opset), wanted)
    except (version_converter.ConvertError, shape_inference.InferenceError, RuntimeError, ValueError) as error:
        reason = re.sub(r"^.*Assertion `.*?` failed: ", "", str(error).strip().splitlines()[0]).rstrip(".")
        raise ModelError(
            where, found=f"opset {opset}, which onnx cannot convert to {wanted} ({reason})",
            expected=f"an opset from {FIRST_OPSET} to {LAST_OPSET}", do="export it again with such an opset",
        ) from None


def name_nodes(model: onnx.ModelProto) -> None:
    """Call each node that has no name by its position, in place."""
    for index, node in enumerate(model.graph.node):
        if not node.name:
            node.name = f"#{index}"


def _constants(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    """Small constants by name: initializers and outputs of Constant nodes of one element."""
    tensors = {i.name: i for i in model.graph.initializer if int(np.prod(i.dims)) == 1}
    for node in model.graph.node:
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.name == "value" and int(np.prod(attribute.t.dims)) == 1:
                tensors[node.output[0]] = attribute.t
    return {name: numpy_helper.to_array(tensor) for name, tensor in tensors.items()}


def drop_training(model: onnx.ModelProto) -> None:
    """Make each Dropout whose mask nobody reads, and which does not train, an Identity, in place."""
    if not any(node.op_type == "Dropout" for node in model.graph.node):
        return
    read = {name for node in model.graph.node for name in node.input} | {output.name for output in model.graph.output}
    constants = _constants(model)
    for node in model.graph.node:
        if node.op_type != "Dropout" or node.domain not in ("", "ai.onnx") or any(name in read for name in node.output[1:]):
            continue
        training = node.input[2] if len(node.input) > 2 else ""
        if misuse(node, opset_of(model, "model")):  # said by whoever checks nodes, of the Dropout that it is
            continue
        if training and (training not in constants or bool(constants[training].any())):
            continue
        node.op_type = "Identity"
        del node.input[1:], node.output[1:], node.attribute[:]


def drop_unread(model: onnx.ModelProto) -> None:
    """Remove the nodes that no graph output depends on, in place."""
    wanted = {output.name for output in model.graph.output}
    kept = []
    for node in reversed(model.graph.node):
        if wanted & set(node.output):
            kept.append(onnx.NodeProto.FromString(node.SerializeToString()))
            wanted |= reads(node)
    if len(kept) < len(model.graph.node):
        del model.graph.node[:]
        model.graph.node.extend(reversed(kept))


def clean(model: onnx.ModelProto, *, name: str = "model") -> onnx.ModelProto:
    """Return the same network in a readable opset, nodes named, without what only training needs. Raises ModelError."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    name_nodes(copy)
    judge_file(copy, f"model {name}")
    settle(copy)
    require_standard(copy, f"model {name}")
    copy = convert_opset(copy, f"model {name}")
    name_nodes(copy)
    drop_training(copy)
    drop_unread(copy)
    return copy
