"""The IR graph under construction: names, tensors, nodes, and the views that operators need of their operands."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from compiler.front.state.values import Quant, Real, Shape, Value
from compiler.ir.network import Attrs, EdgeInput, EdgeOutput, Network, Node, Reshape, Shape4, Tensor, Unary


def default_view(shape: Shape) -> Shape4:
    """Return the (N, C, H, W) that an ONNX shape is given when nothing asks for another.

    >>> [default_view(s) for s in ((), (5,), (2, 5), (2, 3, 7), (1, 2, 3, 4), (1, 2, 3, 4, 5))]
    [(1, 1, 1, 1), (1, 5, 1, 1), (2, 5, 1, 1), (2, 3, 1, 7), (1, 2, 3, 4), (1, 2, 3, 20)]
    """
    match shape:
        case ():
            return (1, 1, 1, 1)
        case (c,):
            return (1, c, 1, 1)
        case (n, c):
            return (n, c, 1, 1)
        case (n, c, w):
            return (n, c, 1, w)
        case (n, c, h, *rest):
            return (n, c, h, int(np.prod(rest)))
    raise AssertionError


class Builder:
    """Collects the IR of one ONNX graph."""

    def __init__(self, name: str) -> None:
        self.name = name
        #: ONNX shape of each graph input.
        self.input_shapes: dict[str, Shape] = {}
        #: Tensors named after a float ONNX value: QuantizeLinear may name them better.
        self.provisional: set[str] = set()
        self.tensors: dict[str, Tensor] = {}
        self.nodes: list[Node] = []
        self.inputs: list[EdgeInput] = []
        self.outputs: list[EdgeOutput] = []
        #: Tensor of a value quantised with given parameters, and the value: movements that share an operand share it.
        self.quantised: dict[tuple, tuple[str, object]] = {}
        #: A result that is some channels of a product of its own, the result of which it is a part, and the elements that it is: by the part's id.
        self.parts: dict[int, tuple[Value, Value, np.ndarray]] = {}
        #: Sentences on what is computed otherwise than one would expect, each led by the node's name.
        self.notes: list[str] = []
        self._renames: dict[str, str] = {}
        self._views: dict[tuple[str, Shape4], str] = {}
        self._reinterpreted: dict[tuple[str, float, int], str] = {}

    def _unique(self, name: str, taken: set[str]) -> str:
        candidate, count = name, 1
        while candidate in taken:
            count += 1
            candidate = f"{name}~{count}"
        return candidate

    def tensor(self, name: str, shape: Shape4, dtype: str, scale: float | None = None, zero: int = 0) -> str:
        """Add a tensor, named `name` or, where taken, `name~2` and so on; return the name. float32 numbers have no scale."""
        name = self._unique(name, self.tensors.keys() | set(self._renames.values()))
        self.tensors[name] = Tensor(name, tuple(int(d) for d in shape), dtype, None if dtype == "f32" else scale, int(zero))  # type: ignore[arg-type]
        return name

    def node(self, name: str, attrs: Attrs, inputs: tuple[str, ...], output: str, origin: tuple[str, ...]) -> str:
        """Add a node, its name made unique; return `output`."""
        name = self._unique(name, {n.name for n in self.nodes})
        self.nodes.append(Node(name, attrs, inputs, (output,), origin))
        return output

    def producer(self, tensor: str) -> Node | None:
        """Return the node that writes `tensor`; None for a graph input."""
        return next((n for n in reversed(self.nodes) if tensor in n.outputs), None)

    def is_input(self, tensor: str) -> bool:
        """Return whether the host writes `tensor`."""
        return any(e.tensor == tensor for e in self.inputs)

    def view(self, tensor: str, shape: Shape4) -> str:
        """Return `tensor` as `shape`, through a Reshape node where its own shape differs."""
        t = self.tensors[tensor]
        if t.shape == shape:
            return tensor
        key = (tensor, shape)
        if key not in self._views:
            out = self.tensor(f"{tensor}/{'x'.join(map(str, shape))}", shape, t.dtype, t.scale, t.zero_point)
            producer = next((n for n in self.nodes if tensor in n.outputs), None)
            self._views[key] = self.node(f"reshape {out}", Reshape(), (tensor,), out, producer.origin if producer else ())
        return self._views[key]

    def copy(self, tensor: str, name: str, origin: tuple[str, ...]) -> str:
        """Return a copy of the 8-bit `tensor`, made by a node."""
        t = self.tensors[tensor]
        out = self.tensor(name, t.shape, t.dtype, t.scale, t.zero_point)
        return self.node(f"copy {out}", Unary(np.arange(256, dtype=np.uint8)), (tensor,), out, origin)

    def dequantise(self, value: Quant, scale: float, zero: int, origin: str) -> Real:
        """Return integers as real numbers. A tensor quantised with other parameters is copied, as its IR tensor has one pair."""
        t = self.tensors[value.tensor]
        name = value.tensor
        if t.scale is None:
            self.tensors[name] = replace(t, scale=scale, zero_point=zero)
        elif (t.scale, t.zero_point) != (scale, zero):
            key = (name, scale, zero)
            if key not in self._reinterpreted:
                out = self.copy(name, f"{name}/dequantised", (origin,))
                self.tensors[out] = replace(self.tensors[out], scale=scale, zero_point=zero)
                self._reinterpreted[key] = out
            name = self._reinterpreted[key]
        return Real(name, value.shape, value.dtype, scale, zero)

    def rename(self, tensor: str, name: str) -> None:
        """Give a provisionally named tensor the name `name`, when the graph is finished."""
        taken = self.tensors.keys() | set(self._renames.values())
        if tensor in self.provisional and tensor not in self._renames and name not in taken:
            self._renames[tensor] = name

    def network(self) -> Network:
        """Return the graph without nodes, tensors and inputs that no output needs."""
        needed = {o.tensor for o in self.outputs}
        nodes: list[Node] = []
        for node in reversed(self.nodes):
            if needed & set(node.outputs):
                needed |= set(node.inputs)
                nodes.append(node)
        nodes.reverse()
        live = {t for n in nodes for t in (*n.inputs, *n.outputs)}
        final = {t: self._renames.get(t, t) for t in live}
        return Network(
            self.name,
            tuple(replace(e, tensor=final[e.tensor]) for e in self.inputs if e.tensor in live),
            tuple(replace(e, tensor=final[e.tensor]) for e in self.outputs),
            tuple(replace(n, inputs=tuple(final[t] for t in n.inputs), outputs=tuple(final[t] for t in n.outputs)) for n in nodes),
            {final[t]: replace(self.tensors[t], name=final[t]) for t in self.tensors if t in live},
            tuple(dict.fromkeys(self.notes)),
        )
