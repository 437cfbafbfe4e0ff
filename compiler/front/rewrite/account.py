"""What rewriting may take away: nodes of which it has read all that they say.

A node that an output depended on before and that is gone after must have no attributes but those that rewriting reads of such nodes, others at their
defaults or without meaning there (`compiler.front.state.immaterial`). Nodes of constants are computed as they are, whoever looks at them.
"""

from __future__ import annotations

import onnx
from onnx import numpy_helper

from compiler.errors import UnsupportedEntry, UnsupportedError
from compiler.front.constraints import by_schema, explain, honoured
from compiler.front.rewrite.subgraphs import reads
from compiler.front.state.immaterial import departures
from compiler.front.state.schema import misuse, shown

_REDUCED = ("axes", "keepdims", "noop_with_empty_axes")
#: Operator -> attributes that whoever rewrites such a node reads.
READ: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("ReduceL1", "ReduceL2", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum", "ReduceSumSquare"), _REDUCED),
    **dict.fromkeys(("DequantizeLinear", "Flatten", "LogSoftmax", "QuantizeLinear", "Softmax"), ("axis",)),
    "Cast": ("to",),
    "Einsum": ("equation",),
    "Gemm": ("alpha", "beta", "transA", "transB"),
    "InstanceNormalization": ("epsilon",),
    "Reshape": ("allowzero",),
    "Transpose": ("perm",),
}


def _needed(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """Nodes that an output depends on, the last first."""
    wanted, found = {value.name for value in model.graph.output}, []
    for node in reversed(model.graph.node):
        if wanted & set(node.output):
            found.append(node)
            wanted |= reads(node)
    return found


def require_read(before: onnx.ModelProto, after: onnx.ModelProto, opset: int, name: str) -> None:
    """Raise UnsupportedError where rewriting, from `before` to `after`, has taken away what it has not read. `name`: the model's, for the message."""
    if before is after:
        return
    left = {tuple(node.output): node for node in _needed(after)}
    tensors = {item.name: item for item in before.graph.initializer}
    fixed, entries = set(tensors), []
    for node in reversed(_needed(before)):
        if node.op_type == "Constant" or (node.input and all(other in fixed for other in node.input if other)):
            fixed.update(node.output)
            continue
        kept = left.get(tuple(node.output))
        if kept is not None and (kept.domain, kept.op_type, kept.attribute) == (node.domain, node.op_type, node.attribute):
            continue
        wrong = misuse(node, opset)
        known = {other: numpy_helper.to_array(tensors[other]) for other in node.input if other in tensors}
        passed = [(key, value) for key, value in departures(node, opset, known).items() if key not in READ.get(node.op_type, ())]
        if wrong or passed:
            found = f"{explain(by_schema)} Found {wrong}" if wrong else f"{explain(honoured)} Found the attribute {passed[0][0]} = {shown(passed[0][1])}."
            entries.append(UnsupportedEntry(node.name or node.output[0], node.op_type, found))
    if entries:
        raise UnsupportedError(name, entries)


__all__ = ["READ", "require_read"]
