"""Graphs whose tensors all have one quantisation, so that movement is all that changes bytes; and what they are held to."""

import numpy as np

from acg.graph import load_graph
from compiler.ir.network import NUMPY_TYPES, RANGES, Conv, EdgeInput, EdgeOutput, Move, Network, Node, Tensor
from compiler.ir.rules import verify
from compiler.passes import Options, compile_network
from tests.compiler.ir_reference import check_program, evaluate

SCALE, ZERO = 0.5, 3


class Drawing:
    """A graph under construction; every tensor has the scale SCALE and the zero point ZERO."""

    def __init__(self, dtype: str = "u8") -> None:
        self.dtype = dtype
        self.tensors: dict[str, Tensor] = {}
        self.nodes: list[Node] = []
        self.inputs: list[EdgeInput] = []

    def tensor(self, shape):
        name = f"t{len(self.tensors)}"
        self.tensors[name] = Tensor(name, tuple(int(d) for d in shape), self.dtype, SCALE, ZERO)
        return name

    def input(self, *shape):
        name = self.tensor(shape)
        self.inputs.append(EdgeInput(f"in_{name}", self.dtype, shape, name))
        return name

    def add(self, attrs, inputs, shape):
        name = self.tensor(shape)
        self.nodes.append(Node(f"n{len(self.nodes)}", attrs, tuple(inputs), (name,), (f"onnx{len(self.nodes)}",)))
        return name

    def numbers(self, *names):
        """Element numbers of each tensor, through all of them."""
        found, base = [], 0
        for name in names:
            t = self.tensors[name]
            found.append(base + np.arange(t.elements).reshape(t.shape))
            base += t.elements
        return found

    def move(self, names, index, constants=()):
        return self.add(Move(index, np.array(constants, np.int16)), names, index.shape)

    def conv(self, x, channels, kernel=(1, 1), seed=0, **attributes):
        _, c, h, w = self.tensors[x].shape
        rng = np.random.default_rng(seed + 100 * channels + c)
        weight = rng.integers(-128, 128, (channels, c // attributes.get("group", 1), *kernel)).astype(np.int8)
        pads = attributes.get("pads", (0, 0, 0, 0))
        low, high = RANGES[self.dtype]
        attrs = Conv(weight, rng.integers(-9, 9, channels).astype(np.int32), SCALE, ZERO, np.float32([0.01]), 0, SCALE, ZERO,
                     y_low=low, y_high=high, **attributes)  # fmt: skip
        size = [d + pads[i] + pads[i + 2] - k + 1 for i, (d, k) in enumerate(zip((h, w), kernel, strict=True))]
        return self.add(attrs, [x], (self.tensors[x].shape[0], channels, *size))

    def graph(self, *outputs):
        read = {t for n in self.nodes for t in (*n.inputs, *n.outputs)}
        edges = tuple(EdgeOutput(f"out_{o}", self.dtype, self.tensors[o].shape, o) for o in outputs)
        return verify(Network("drawing", tuple(i for i in self.inputs if i.tensor in read), edges, tuple(self.nodes), self.tensors))


def arrays(graph, seed=0):
    rng = np.random.default_rng(seed)
    return {i.name: rng.integers(*RANGES[i.dtype], i.shape, endpoint=True).astype(NUMPY_TYPES[i.dtype]) for i in graph.inputs}


def same_function(before, after):
    feed = arrays(before)
    expected, found = evaluate(before, feed), evaluate(after, feed)
    assert set(expected) == set(found)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)


def ops(graph):
    return [n.op for n in graph.nodes]


def exact(graph, arch, **options):
    """Compile and compare on the functional simulator; returns the program and the cycles."""
    architecture = load_graph(arch)
    program = compile_network(graph, architecture, options=Options(**options))
    return program, check_program(graph, program, architecture, arrays(graph))
