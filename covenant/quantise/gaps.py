"""Float values that onnxruntime has not quantised and the compiler needs quantised: QuantizeLinear and DequantizeLinear for these too.

before:  x -> Div 255 -> QuantizeLinear -> DequantizeLinear -> Conv
after:   x -> QuantizeLinear -> DequantizeLinear -> Div 255 -> QuantizeLinear -> DequantizeLinear -> Conv

The compiler itself says what it needs, whatever the operators are: the float operands of a node that it refuses are quantised, and what it then no longer
refuses is done. A node that it refuses for other reasons stays as it was; what it computes is quantised for what follows, which can run on the accelerator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import onnx
from onnx import helper, numpy_helper

from compiler.errors import UnsupportedEntry, UnsupportedError
from compiler.front.import_onnx import import_onnx
from covenant.quantise.ranges import parameters

__all__ = ["fill_gaps", "float_name"]

#: What onnxruntime appends to the name of a graph output that it quantises.
RENAMED = "_QuantizeLinear_Input"
Ranges = Callable[[list[str]], dict[str, tuple[float, float]]]


def float_name(name: str) -> str:
    """The name that a value of the quantised network has in the float one."""
    return name.removesuffix(RENAMED)


def refused(model: onnx.ModelProto, name: str) -> tuple[UnsupportedEntry, ...]:
    """What the compiler refuses of a network. Raises its other errors."""
    try:
        import_onnx(model, name=name)
    except UnsupportedError as error:
        return error.entries
    return ()


class _Gaps:
    """A network on its way, and which of its values are floats that can be quantised."""

    def __init__(self, model: onnx.ModelProto, floats: set[str], dtype: np.dtype) -> None:
        self.model, self.floats, self.dtype = model, floats, dtype
        self.stuck: set[str] = set()
        #: Value -> names of the two nodes that quantise it.
        self.filled: dict[str, tuple[str, str]] = {}
        #: Values of which no range can be quantised, and what their numbers are.
        self.hopeless: dict[str, str] = {}
        graph = model.graph
        self.names = {item.name for item in (*graph.initializer, *graph.input, *graph.output, *graph.node)} | {o for node in graph.node for o in node.output}

    def producer(self, value: str) -> onnx.NodeProto | None:
        """The node that computes a value."""
        return next((node for node in self.model.graph.node if value in node.output), None)

    def readers(self, value: str) -> list[onnx.NodeProto]:
        """The nodes that read a value."""
        return [node for node in self.model.graph.node if value in node.input]

    def new(self, name: str) -> str:
        """A name that nothing in the network has, ``name`` where that is free."""
        while name in self.names:
            name += "_"
        self.names.add(name)
        return name

    def open(self, values: Iterable[str]) -> list[str]:
        """Those of the values that are floats and do not come from DequantizeLinear."""
        found = []
        for value in values:
            if float_name(value) in self.floats and float_name(value) not in self.hopeless:
                producer = self.producer(value)
                if producer is None or producer.op_type != "DequantizeLinear":
                    found.append(value)
        return found

    def node_of(self, label: str) -> onnx.NodeProto | None:
        """The node that an entry names: itself, or the one that it was made of by a rewriting, which appends to its name."""
        nodes = {node.name: node for node in self.model.graph.node}
        while label not in nodes and "/" in label:
            label = label.rpartition("/")[0]
        return nodes.get(label)

    def wanted(self, entry: UnsupportedEntry) -> list[str]:
        """Values to quantise so that the compiler may take what it refuses."""
        if entry.operator == "graph input":
            return []
        if entry.operator == "graph output":
            return self.open([entry.node])
        node = self.node_of(entry.node)
        seen: set[str] = set()
        while node is not None and node.op_type == "QuantizeLinear" and node.name not in seen:
            seen.add(node.name)
            node = self.producer(node.input[0])
        if node is None:
            return []
        operands = self.open(node.input)
        if operands:
            return operands
        self.stuck.add(node.name)
        return self.open(value for value in node.output if any(reader.op_type != "QuantizeLinear" for reader in self.readers(value)))

    def quantise(self, value: str, scale: np.ndarray, zero: np.ndarray) -> None:
        """Let all that reads a value read it quantised."""
        graph, base = self.model.graph, float_name(value)
        outputs = [output.name for output in graph.output]
        pair = next((node for node in self.readers(value) if node.op_type == "QuantizeLinear"), None)
        real = next((node for node in self.readers(pair.output[0]) if node.op_type == "DequantizeLinear"), None) if pair is not None else None
        if pair is None or real is None:
            scale_name, zero_name = self.new(f"{base}_scale"), self.new(f"{base}_zero_point")
            graph.initializer.extend([numpy_helper.from_array(scale, scale_name), numpy_helper.from_array(zero, zero_name)])
            pair, real = (
                helper.make_node(kind, [source, scale_name, zero_name], [self.new(f"{base}_{kind}_Output")], name=self.new(f"{base}_{kind}"))
                for kind, source in (("QuantizeLinear", value), ("DequantizeLinear", ""))
            )
            real.input[0] = pair.output[0]
            at = next((index + 1 for index, node in enumerate(graph.node) if value in node.output), 0)
            for made in (real, pair):
                graph.node.insert(at, made)
            pair, real = graph.node[at], graph.node[at + 1]
            self.filled[value] = (pair.name, real.name)
        for node in graph.node:
            if node.op_type != "QuantizeLinear":
                self._rename(node.input, value, real.output[0])
        if value in outputs and all(value != item.name for item in graph.input):
            result, inner = real.output[0], f"{base}{RENAMED}"
            for node in graph.node:
                self._rename(node.input, value, inner)
                self._rename(node.output, value, inner)
                self._rename(node.input, result, value)
                self._rename(node.output, result, value)
            if value in self.filled:
                self.filled[inner] = self.filled.pop(value)

    @staticmethod
    def _rename(names, old: str, new: str) -> None:
        for index, name in enumerate(names):
            if name == old:
                names[index] = new

    def explained(self, entry: UnsupportedEntry) -> UnsupportedEntry:
        """The entry, with the cause where it is for want of a quantisation that cannot be."""
        node = self.node_of(entry.node)
        values = [entry.node] if entry.operator == "graph output" else [] if node is None else node.input
        cause = next((self.hopeless[float_name(value)] for value in values if float_name(value) in self.hopeless), None)
        return entry if cause is None else UnsupportedEntry(entry.node, entry.operator, cause)

    def undo(self, entries: Iterable[UnsupportedEntry]) -> None:
        """Take back what only nodes read that stay refused, of a graph input or a value of such a node."""
        self.stuck &= {node.name for node in map(self.node_of, (entry.node for entry in entries)) if node is not None}
        for value, (first, second) in list(self.filled.items()):
            producer = self.producer(value)
            nodes = {node.name: node for node in self.model.graph.node}
            result = nodes[second].output[0]
            helps = any(reader.name not in self.stuck for reader in self.readers(result)) or any(o.name == result for o in self.model.graph.output)
            if helps or (producer is not None and producer.name not in self.stuck):
                continue
            for node in self.model.graph.node:
                self._rename(node.input, result, value)
            for name in (first, second):
                self.model.graph.node.remove(nodes[name])
            del self.filled[value]


def fill_gaps(model: onnx.ModelProto, floats: set[str], ranges: Ranges, *, name: str, dtype: np.dtype) -> tuple[onnx.ModelProto, tuple[UnsupportedEntry, ...]]:
    """Return a network of onnxruntime's quantiser in which the compiler finds all quantised that it needs, and what it still refuses.

    ``floats``: names of the float activations of the float network, graph inputs included; ``ranges`` gives the range of some of them; ``dtype`` is the
    type of activations. Every node must have a name of its own. Raises the compiler's errors but UnsupportedError.
    """
    gaps = _Gaps(onnx.ModelProto.FromString(model.SerializeToString()), floats, dtype)
    while True:
        entries = refused(gaps.model, name)
        values = list(dict.fromkeys(value for entry in entries for value in gaps.wanted(entry)))
        found = ranges([float_name(value) for value in values])
        chosen = {value: parameters(*found[float_name(value)], dtype) for value in values}
        for value, pair in chosen.items():
            if pair is None:
                low, high = found[float_name(value)]
                gaps.hopeless[float_name(value)] = f"{float_name(value)} is from {low:g} to {high:g} over the samples, and no scale holds that."
            else:
                gaps.quantise(value, *pair)
        if not values:
            break
    entries = tuple(gaps.explained(entry) for entry in entries)
    gaps.undo(entries)  # the reasons stay: without the quantisation the compiler would only say that it is missing
    return gaps.model, entries
