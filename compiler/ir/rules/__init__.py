"""The rules an IR network obeys between passes; `verify` applies them.

Network: tensor keys are their names; every tensor is fed once, by an input or an earlier node; nodes and tensors are uniquely
named; outputs exist and come from a node; no node is without effect. Node: arity, element types, shapes and quantisation
parameters of its operands agree with its attributes.
"""

from __future__ import annotations

import numpy as np

from compiler.ir.elementwise import Binary
from compiler.ir.expression import Expression
from compiler.ir.fine_softmax import FineSoftmax
from compiler.ir.floats import Quotient, Sum
from compiler.ir.interpolation import Interpolation
from compiler.ir.move import Move
from compiler.ir.network import FUNCTION_VALUES, Network, Node, Tensor
from compiler.ir.normalise import LRN, GroupNormalization, MeanSquare, RMSNormalization, RootQuotient
from compiler.ir.own import Own
from compiler.ir.rowwise import CentredQuotient, LayerNormalization, Softmax, Variance
from compiler.ir.rules import elementwise, expression, movement, products, rowwise, windows
from compiler.ir.rules.common import check_tensor, expect

#: Of each class of attributes: number of inputs, rule.
_RULES = {kind: rule for room in (products, windows, elementwise, expression, rowwise, movement) for kind, rule in room.RULES.items()}

#: Nodes whose results may be float32 tensors: those that are programs of float operations.
FLOATS = (
    CentredQuotient, Expression, FineSoftmax, GroupNormalization, LayerNormalization, LRN, MeanSquare, Quotient, RMSNormalization, RootQuotient, Softmax, Sum,
    Variance,
)


def _own(where: str, a: object, *operands: Tensor) -> None:
    expect(isinstance(a, Own), where, f"attributes of class {type(a).__name__}", "an operator of the IR, or one derived from compiler.ir.own.Own")
    fault = a.fault(*operands) if isinstance(a, Own) else ("", "")
    expect(fault is None, where, *(fault or ("", "")))


def _check_node(network: Network, node: Node) -> None:
    where = f"node {node.name} ({node.op})"
    arity, rule = _RULES[type(node.attrs)] if type(node.attrs) in _RULES else (getattr(node.attrs, "inputs", 0), _own)
    arity = max(1, len(node.inputs)) if isinstance(node.attrs, Move | Sum | Expression | FineSoftmax | Interpolation) else arity
    arity -= isinstance(node.attrs, Binary) and node.attrs.constant is not None
    counts = (len(node.inputs), len(node.outputs))
    expect(counts == (arity, 1), where, f"{counts[0]} inputs, {counts[1]} outputs", f"{arity}, 1")
    operands = [network.tensors[t] for t in (*node.inputs, *node.outputs)]
    if any(t.dtype == "f32" for t in operands) and node.op != "Reshape":
        expect(all(t.dtype != "f32" for t in operands[:-1]), where, "an f32 input", "float32 tensors that leave the network alone")
        floats = isinstance(node.attrs, FLOATS) and node.attrs.y_scale == 1
        expect(floats, where, f"an f32 result of {node.op}", "a scale of 1, of a program of float operations")
    if node.op not in ("ArgMax", "Conv", "MatMul", "Reshape"):
        expect(all(t.dtype != "i32" for t in operands), where, "an i32 operand", "8-bit tensors")
    elif node.op == "Conv":
        expect(operands[0].dtype != "i32", where, "an i32 input", "an 8-bit tensor")
    rule(where, node.attrs, *operands)


def verify(network: Network) -> Network:
    """Return `network`; raise IRError, naming the network, tensor or node, at the first rule that it breaks."""
    where = f"network {network.name}"
    for key, tensor in network.tensors.items():
        check_tensor(key, tensor)
    fed = set()
    for edge in network.inputs:
        listed = edge.tensor in network.tensors and edge.tensor not in fed
        expect(listed, f"input {edge.name}", f"tensor {edge.tensor}", "a listed tensor, fed once")
        tensor = network.tensors[edge.tensor]
        expect(int(np.prod(edge.shape)) == tensor.elements, f"input {edge.name}", f"shape {edge.shape}", f"{tensor.elements} elements")
        quantised = tensor.scale is not None if edge.dtype == "f32" else edge.dtype == tensor.dtype
        expect(quantised, f"input {edge.name}", f"{edge.dtype} feeding {tensor.dtype}", "the tensor's type, or f32 and a scale")
        fed.add(edge.tensor)
    names: set[str] = set()
    for node in network.nodes:
        expect(node.name not in names, f"node {node.name}", "a second node of this name", "unique names")
        names.add(node.name)
        for t in node.inputs:
            expect(t in fed, f"node {node.name}", f"input {t} that nothing before it feeds", "topological order")
        for t in node.outputs:
            expect(t in network.tensors and t not in fed, f"node {node.name}", f"output {t}", "a listed tensor, fed once")
            fed.add(t)
        _check_node(network, node)
    expect(fed == set(network.tensors), where, f"tensors {sorted(set(network.tensors) - fed)} that nothing feeds", "none")
    sources = {t for n in network.nodes for t in n.outputs}
    for out in network.outputs:
        expect(out.tensor in sources, f"output {out.name}", f"tensor {out.tensor}", "the output of a node")
        tensor = network.tensors[out.tensor]
        expect(int(np.prod(out.shape)) == tensor.elements, f"output {out.name}", f"shape {out.shape}", f"{tensor.elements} elements")
        as_integers = tensor.dtype != "f32" and out.dtype in (tensor.dtype, "i64" if tensor.scale is None else "", "bool" if tensor.dtype == "u8" else "")
        as_floats = tensor.dtype == "f32" or tensor.scale is not None or len(out.function) == FUNCTION_VALUES
        quantised = as_floats if out.dtype == "f32" else as_integers
        expect(quantised, f"output {out.name}", f"{out.dtype} taken from {tensor.dtype}", "the tensor's type, or f32 and a scale")
        eight_bits = out.dtype == "f32" and tensor.dtype in ("i8", "u8")
        expect(not out.function or (eight_bits and len(out.function) == FUNCTION_VALUES), f"output {out.name}", f"a function of {len(out.function)} values",
                f"{FUNCTION_VALUES} for an f32 output of an 8-bit tensor")
    read = {t for n in network.nodes for t in n.inputs} | {o.tensor for o in network.outputs}
    for node in network.nodes:
        expect(any(t in read for t in node.outputs), f"node {node.name}", "a result that nothing reads", "only nodes with an effect")
    return network
