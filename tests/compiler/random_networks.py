"""Random quantised networks as IR graphs, reproducible from a seed."""

from __future__ import annotations

import numpy as np

from compiler.ir.network import NUMPY_TYPES, RANGES, Add, Attrs, Conv, EdgeInput, EdgeOutput, Network, Node, Reshape, Tensor, Unary, f32
from compiler.ir.pools import AveragePool, GlobalAveragePool, MaxPool


class Sketch:
    """A graph under construction; `seed` fixes every draw."""

    def __init__(self, seed: int, name: str = "net") -> None:
        self.rng = np.random.default_rng(seed)
        self.name = f"{name}-{seed}"
        self.tensors: dict[str, Tensor] = {}
        self.nodes: list[Node] = []
        self.inputs: list[EdgeInput] = []

    def pick(self, *values):
        """One of the values."""
        return values[int(self.rng.integers(len(values)))]

    def between(self, low: int, high: int) -> int:
        """An integer in [low, high]."""
        return int(self.rng.integers(low, high + 1))

    def tensor(self, shape: tuple[int, int, int, int], dtype: str | None = None) -> Tensor:
        """A new quantised tensor."""
        dtype = dtype or self.pick("i8", "u8")
        low, high = RANGES[dtype]
        tensor = Tensor(f"t{len(self.tensors)}", shape, dtype, f32(self.rng.uniform(0.01, 0.2)), self.between(max(low, -100), min(high, 200)))
        self.tensors[tensor.name] = tensor
        return tensor

    def input(self, shape: tuple[int, int, int, int], dtype: str | None = None) -> Tensor:
        """A network input, float or integer."""
        tensor = self.tensor(shape, dtype)
        self.inputs.append(EdgeInput(f"in{len(self.inputs)}", self.pick("f32", tensor.dtype), shape, tensor.name))
        return tensor

    def node(self, attrs: Attrs, inputs: list[Tensor], output: Tensor) -> Tensor:
        """Add a node; returns its output."""
        name = f"{type(attrs).__name__.lower()}{len(self.nodes)}"
        self.nodes.append(Node(name, attrs, tuple(t.name for t in inputs), (output.name,), (f"onnx_{name}",)))
        return output

    def clamp(self, y: Tensor) -> dict[str, int]:
        """Clamp of a node, sometimes that of a fused Relu."""
        low, high = RANGES[y.dtype]
        return {"y_low": y.zero_point if self.pick(True, False) else low, "y_high": high}

    def conv(self, x: Tensor, out_channels: int, kernel=(1, 1), *, strides=(1, 1), dilations=(1, 1), pads=(0, 0, 0, 0), group=1,
             raw: bool = False) -> Tensor:
        """A convolution with random weights; `raw` leaves the int32 sums."""
        n, c, h, w = x.shape
        size = [(s + pads[i] + pads[i + 2] - (kernel[i] - 1) * dilations[i] - 1) // strides[i] + 1 for i, s in enumerate((h, w))]
        dtype = self.pick(np.int8, np.uint8)
        info = np.iinfo(dtype)
        weight = self.rng.integers(info.min, info.max + 1, (out_channels, c // group, *kernel)).astype(dtype)
        w_zero = self.between(int(info.min), int(info.max)) if self.pick(True, False) else 0
        shape = (n, out_channels, *size)
        if raw:
            y = Tensor(f"t{len(self.tensors)}", shape, "i32")
            self.tensors[y.name] = y
            attrs = Conv(weight, None, None, x.zero_point, np.ones(1, np.float32), w_zero, None, strides=strides, dilations=dilations, pads=pads, group=group)
            return self.node(attrs, [x], y)
        y = self.tensor(shape)
        taps = weight[0].size
        wide = f32(y.scale / x.scale / (70 * np.sqrt(taps) * 60) * 40)
        scales = (wide * self.rng.uniform(0.5, 2, self.pick(1, out_channels))).astype(np.float32)
        bias = self.rng.integers(-2000, 2000, out_channels).astype(np.int32) if self.pick(True, True, False) else None
        attrs = Conv(weight, bias, x.scale, x.zero_point, scales, w_zero, y.scale, y.zero_point, strides, dilations, pads, group, **self.clamp(y))
        return self.node(attrs, [x], y)

    def any_conv(self, x: Tensor, *, most_channels: int = 40) -> Tensor:
        """A convolution of any shape that x allows."""
        _, c, h, w = x.shape
        kernel = tuple(self.between(1, min(4, s)) for s in (h, w))
        dilations = tuple(self.between(1, 2) if (k - 1) * 2 + 1 <= s else 1 for k, s in zip(kernel, (h, w), strict=True))
        pads = tuple(self.between(0, kernel[i % 2] - 1) for i in range(4))
        kind = self.pick("dense", "dense", "depthwise", "grouped", "pointwise")
        strides = (self.between(1, 3), self.between(1, 3))
        if kind == "pointwise":
            return self.conv(x, self.between(1, most_channels))
        if kind == "depthwise":
            return self.conv(x, c, kernel, strides=strides, dilations=dilations, pads=pads, group=c)
        divisors = [g for g in range(1, c + 1) if c % g == 0]
        group = self.pick(*divisors) if kind == "grouped" else 1
        out = group * self.between(1, max(1, most_channels // group))
        return self.conv(x, out, kernel, strides=strides, dilations=dilations, pads=pads, group=group)

    def pool(self, x: Tensor) -> Tensor:
        """A max, average or global average pool."""
        n, c, h, w = x.shape
        kind = self.pick("max", "average", "global")
        if kind == "global":
            y = self.tensor((n, c, 1, 1), x.dtype)
            return self.node(GlobalAveragePool(x.scale, x.zero_point, y.scale, y.zero_point, **self.clamp(y)), [x], y)
        kernel = tuple(self.between(1, min(3, s)) for s in (h, w))
        strides, pads = (self.between(1, 2), self.between(1, 2)), tuple(self.between(0, kernel[i % 2] - 1) for i in range(4))
        room = [s + pads[i] + pads[i + 2] - kernel[i] for i, s in enumerate((h, w))]
        size = [r // s + 1 for r, s in zip(room, strides, strict=True)]
        shape = (n, c, *size)
        if kind == "max":
            y = Tensor(f"t{len(self.tensors)}", shape, x.dtype, x.scale, x.zero_point)
            self.tensors[y.name] = y
            return self.node(MaxPool(kernel, strides, (1, 1), pads, *RANGES[x.dtype]), [x], y)
        y = self.tensor(shape, x.dtype)
        attrs = AveragePool(kernel, x.scale, x.zero_point, y.scale, y.zero_point, strides, (1, 1), pads, self.pick(True, False), **self.clamp(y))
        return self.node(attrs, [x], y)

    def add(self, a: Tensor, b: Tensor) -> Tensor:
        """The sum of two tensors of one shape."""
        y = self.tensor(a.shape)
        return self.node(Add(a.scale, a.zero_point, b.scale, b.zero_point, y.scale, y.zero_point, **self.clamp(y)), [a, b], y)

    def unary(self, x: Tensor) -> Tensor:
        """A random function of one tensor."""
        y = self.tensor(x.shape)
        return self.node(Unary(self.rng.integers(0, 256, 256).astype(np.uint8)), [x], y)

    def reshape(self, x: Tensor, shape: tuple[int, int, int, int]) -> Tensor:
        """Row-major reinterpretation."""
        y = Tensor(f"t{len(self.tensors)}", shape, x.dtype, x.scale, x.zero_point)
        self.tensors[y.name] = y
        return self.node(Reshape(), [x], y)

    def network(self, *outputs: Tensor) -> Network:
        """The graph, with these outputs."""
        leaving = tuple(
            EdgeOutput(f"out{i}", "i32" if t.dtype == "i32" else self.pick("f32", t.dtype), t.shape, t.name) for i, t in enumerate(outputs)
        )
        return Network(self.name, tuple(self.inputs), leaving, tuple(self.nodes), self.tensors)

    def arrays(self) -> dict[str, np.ndarray]:
        """Random inputs that use the whole range."""
        result = {}
        for item in self.inputs:
            tensor = self.tensors[item.tensor]
            low, high = RANGES[tensor.dtype]
            integers = self.rng.integers(low, high + 1, item.shape)
            if item.dtype == "f32":
                result[item.name] = ((integers - tensor.zero_point) * np.float32(tensor.scale)).astype(np.float32)
            else:
                result[item.name] = integers.astype(NUMPY_TYPES[tensor.dtype])
        return result


def random_network(seed: int, *, most_channels: int = 40, largest: int = 14) -> tuple[Network, dict[str, np.ndarray]]:
    """A network of one to five nodes with residual sums and reshapes, and inputs for it."""
    s = Sketch(seed, "random")
    n = s.pick(1, 1, 2, 3)
    x = s.input((n, s.between(1, most_channels), s.between(1, largest), s.between(1, largest)))
    first = x
    for _ in range(s.between(1, 5)):
        kind = s.pick("conv", "conv", "conv", "pool", "add", "unary", "reshape")
        if kind == "conv":
            x = s.any_conv(x, most_channels=most_channels)
        elif kind == "pool":
            x = s.pool(x)
        elif kind == "unary":
            x = s.unary(x)
        elif kind == "reshape":
            elements = x.elements // n
            channels = s.pick(*[d for d in range(1, min(elements, most_channels) + 1) if elements % d == 0])
            rest = elements // channels
            high = s.pick(*[d for d in range(1, rest + 1) if rest % d == 0])
            if max(high, rest // high) < 200:
                x = s.reshape(x, (n, channels, high, rest // high))
        else:
            other = s.pick(first, x)
            if other.shape != x.shape or other is x:
                c = x.shape[1]
                other = s.conv(x, c, (3, 3), pads=(1, 1, 1, 1)) if s.pick(True, True, False) else x
            x = s.add(x, other)
    if not s.nodes:
        x = s.any_conv(x, most_channels=most_channels)
    if s.pick(True, False, False, False):
        x = s.conv(x, s.between(1, most_channels), raw=True)
    return s.network(x), s.arrays()
