"""The compiler's intermediate representation: an immutable network of quantised operators.

Every tensor is four-dimensional, (N, C, H, W), whatever its rank in ONNX: a row-major reinterpretation of the ONNX shape.

    ONNX shape        IR shape          used by
    (N, C, H, W)      (N, C, H, W)      images
    (N, C, L)         (N, C, 1, L)      one-dimensional convolutions and pools
    (N, K)            (N, K, 1, 1)      Gemm
    (.., M, K)        (..*M, K, 1, 1)   MatMul: the reduced dimension is C, all the leading ones are N

Where a producer and a consumer see one ONNX tensor differently a `Reshape` stands between them. Kinds of node:

    Conv                 convolution, Gemm and MatMul by a constant, with requantisation or an int32 result
    BlockwiseConv        of weights with scales along the reduction (compiler.ir.blockwise)
    MaxPool AveragePool GlobalAveragePool
    MatMul               product of two tensors, matrix by matrix (compiler.ir.matmul)
    Add                  sum of two tensors of one shape
    Unary                any function of one 8-bit tensor, as a table of 256 bytes
    Binary Reduction     see `compiler.ir.elementwise`
    Sum Quotient         of three and more tensors, and of two: float32 numbers in between (compiler.ir.floats)
    Expression           float32 operations on tensors, functions of them and sums of products (compiler.ir.expression)
    Move                 every element of the result is an element of an input or a constant (compiler.ir.move)
    Softmax LayerNormalization Variance CentredQuotient ArgMax    over the channels of each pixel (compiler.ir.rowwise)
    FineSoftmax          a Softmax of numbers of two or three bytes (compiler.ir.fine_softmax)
    RMSNormalization MeanSquare RootQuotient    over the channels of each pixel (compiler.ir.normalise)
    Interpolation        weighted sums of the channels of each pixel, one axis of a Resize (compiler.ir.interpolation)
    LRN GroupNormalization    over windows of the channels of each pixel, over groups of the channels of each image (compiler.ir.normalise)
    Reshape              row-major reinterpretation of (N, C, H, W): moves data where C, H, W change places in memory

A network of one 1x1 convolution, float in, float out:

    >>> import numpy as np
    >>> x, y = Tensor("x", (1, 2, 4, 4), "u8", 0.5, 10), Tensor("y", (1, 3, 4, 4), "i8", 0.25, -3)
    >>> conv = Conv(weight=np.ones((3, 2, 1, 1), np.int8), bias=None, x_scale=0.5, x_zero=10, w_scale=np.float32([0.1]),
    ...             w_zero=0, y_scale=0.25, y_zero=-3)
    >>> node = Node("c", conv, ("x",), ("y",), ("conv_0",))
    >>> g = Network("g", (EdgeInput("in", "f32", (1, 2, 4, 4), "x"),), (EdgeOutput("out", "f32", (1, 3, 4, 4), "y"),),
    ...           (node,), {"x": x, "y": y})
    >>> g.producer("y").op, conv.scale[0].item()
    ('Conv', 0.20000000298023224)

Arrays are never changed after construction (they are made read-only).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np

from compiler.errors import IRError
from compiler.ir.blockwise import BlockwiseConv
from compiler.ir.conv import Conv, Pads, Pair
from compiler.ir.elementwise import Binary, Reduction
from compiler.ir.expression import Expression
from compiler.ir.fine_softmax import FineSoftmax
from compiler.ir.floats import Quotient, Sum
from compiler.ir.interpolation import Interpolation
from compiler.ir.matmul import MatMul
from compiler.ir.move import Move
from compiler.ir.normalise import LRN, GroupNormalization, MeanSquare, RMSNormalization, RootQuotient
from compiler.ir.pools import AveragePool, GlobalAveragePool, MaxPool
from compiler.ir.rowwise import ArgMax, CentredQuotient, LayerNormalization, Softmax, Variance
from compiler.ir.scales import OfTwo

#: Lowest and highest value of each integer element type.
RANGES = {"i8": (-128, 127), "u8": (0, 255), "i32": (-(2**31), 2**31 - 1)}
NUMPY_TYPES = {"i8": np.int8, "u8": np.uint8, "i32": np.int32, "f32": np.float32}

#: Largest weight beside its zero point, in magnitude.
MOST_WEIGHT = 255

Shape4 = tuple[int, int, int, int]


def f32(value: float | np.floating) -> float:
    """Round `value` to float32 and return it as a Python float (exactly representable in both)."""
    return float(np.float32(value))


@dataclass(frozen=True)
class Tensor:
    """A tensor between nodes: `shape` (N, C, H, W); `dtype` 'i8', 'u8' or 'i32', and 'f32' of one that leaves the network.

    8-bit tensors that stand for real numbers have real = (q - zero_point) * scale; `scale` is None for raw integers.
    """

    name: str
    shape: Shape4
    dtype: str
    scale: float | None = None
    zero_point: int = 0

    @property
    def elements(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape))


@dataclass(frozen=True)
class Add(OfTwo):
    """y = clip(round_half_even(float32(float32(a') + float32(b')) / y_scale) + y_zero), a' = float32((a - a_zero) * a_scale), b' likewise.

    The division is a correctly rounded float32 division by the constant y_scale.
    """


@dataclass(frozen=True, eq=False)
class Unary:
    """y = table[x]: uint8 (256,), index and value are the raw bytes (the low 8 bits) of x and y."""

    table: np.ndarray

    def __post_init__(self) -> None:
        self.table.setflags(write=False)


@dataclass(frozen=True)
class Reshape:
    """Row-major reinterpretation of (N, C, H, W) as the output's (N, C, H, W), of the same type; int32 too."""


Attrs = (
    Conv | BlockwiseConv | MaxPool | AveragePool | GlobalAveragePool | Add | Unary | Reshape | Move | MatMul | Binary | Reduction | Softmax
    | LayerNormalization | Variance | CentredQuotient | ArgMax | LRN | GroupNormalization | Sum | Quotient | Expression
    | RMSNormalization | MeanSquare | RootQuotient | Interpolation | FineSoftmax
)


def averaging_scales(x_scale: float, y_scale: float, divisor: int) -> tuple[float, float]:
    """Return (scale_a, y_divisor) of an average over `divisor` elements, both float32 values.

    With s the int32 sum of (x - x_zero): y = clip(round_half_even(float32(float32(float32(s) * scale_a) / y_divisor)) + y_zero).
    scale_a = float32(x_scale / float32(y_scale * divisor)) and y_divisor = 1: one float32 scale, the formula of onnxruntime's
    QLinearGlobalAveragePool, where it never differed; see verif.reference for what was measured.
    """
    return f32(np.float32(x_scale) / (np.float32(y_scale) * np.float32(divisor))), 1.0


@dataclass(frozen=True)
class Node:
    """One operator: `inputs`, `outputs` tensor names, `origin` the ONNX nodes it was made of (provenance)."""

    name: str
    attrs: Attrs
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    origin: tuple[str, ...] = ()

    @property
    def op(self) -> str:
        """Name of the operator: that of the class of its attributes."""
        return type(self.attrs).__name__


#: Values of an output that is a float function of an 8-bit tensor: one for each raw byte.
FUNCTION_VALUES = 256


@dataclass(frozen=True)
class EdgeInput:
    """ONNX graph input `name` of type `dtype` ('f32', 'i8', 'u8') and ONNX `shape`, feeding IR tensor `tensor`.

    An 'f32' input is quantised on the host with the tensor's scale and zero point. One ONNX input may feed several tensors. `left`: no host packs it, it is
    what an earlier part of the network left in external memory (`compiler.ways.batch`).
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    tensor: str
    left: bool = False

    def to_device(self, array: np.ndarray, tensor: Tensor) -> np.ndarray:
        """Turn an array of the ONNX type and shape into integers of the tensor's type and (N, C, H, W) shape.

        Raises IRError for another type or shape and for NaN, which has no quantised value.
        """
        where = f"input {self.name}"
        if array.dtype != NUMPY_TYPES[self.dtype] or array.shape != self.shape:
            raise IRError(where, found=f"{array.dtype} {array.shape}", expected=f"{np.dtype(NUMPY_TYPES[self.dtype])} {self.shape}")
        if self.dtype == "f32":
            if np.isnan(array).any():
                raise IRError(where, found="a NaN", expected="numbers")
            low, high = RANGES[tensor.dtype]
            with np.errstate(over="ignore"):
                steps = np.rint(array / np.float32(tensor.scale or 1.0)).astype(np.float64)
            array = np.clip(steps + tensor.zero_point, low, high).astype(NUMPY_TYPES[tensor.dtype])
        return array.reshape(tensor.shape)


@dataclass(frozen=True)
class EdgeOutput:
    """ONNX graph output `name` of type `dtype` ('f32', 'i8', 'u8', 'i32', 'i64', 'bool') and ONNX `shape`, taken from IR tensor `tensor`.

    An 'f32' output of an 8-bit tensor is dequantised on the host: float32((q - zero_point) * scale); an 'i64' one is widened there, a 'bool' one is whether
    the bytes of a 'u8' tensor are not 0. `function`,
    of an 'f32' output of an 8-bit tensor: what it is instead for each raw byte 0..255, as 256 float32 bit patterns.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    tensor: str
    function: tuple[int, ...] = ()

    def from_device(self, array: np.ndarray, tensor: Tensor) -> np.ndarray:
        """Turn integers of the tensor's type and (N, C, H, W) shape into an array of the ONNX type and shape."""
        if self.function:
            array = np.array(self.function, np.uint32).view(np.float32)[array.view(np.uint8)]
        elif self.dtype == "f32" and tensor.dtype != "f32":
            array = (array.astype(np.int32) - tensor.zero_point).astype(np.float32) * np.float32(tensor.scale or 1.0)
        if self.dtype in ("i64", "bool"):
            array = array.astype({"i64": np.int64, "bool": np.bool_}[self.dtype])
        return array.reshape(self.shape)


@dataclass(frozen=True)
class Network:
    """Inputs, outputs, nodes in topological order, tensors by name; `notes`: sentences on what is computed otherwise than one would expect."""

    name: str
    inputs: tuple[EdgeInput, ...]
    outputs: tuple[EdgeOutput, ...]
    nodes: tuple[Node, ...]
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "tensors", MappingProxyType(dict(self.tensors)))

    def producer(self, tensor: str) -> Node | None:
        """Return the node that writes `tensor`; None for a network input."""
        return next((n for n in self.nodes if tensor in n.outputs), None)

    def consumers(self, tensor: str) -> tuple[Node, ...]:
        """Return the nodes that read `tensor`, in order, each once."""
        return tuple(n for n in self.nodes if tensor in n.inputs)

    def is_output(self, tensor: str) -> bool:
        """Return whether `tensor` leaves the network."""
        return any(o.tensor == tensor for o in self.outputs)

    def macs(self, node: Node) -> int:
        """Return the multiplications of a convolution, of a MatMul and of the products of an Expression; zero for any other."""
        if isinstance(node.attrs, Expression):
            return sum(self.macs(replace(node, attrs=term.product, inputs=tuple(node.inputs[i] for i in term.sources))) for term in node.attrs.sums)
        if isinstance(node.attrs, MatMul):
            return self.tensors[node.outputs[0]].elements * self.tensors[node.inputs[0]].shape[1]
        if not isinstance(node.attrs, Conv | BlockwiseConv):
            return 0
        return self.tensors[node.outputs[0]].elements * int(np.prod(node.attrs.weight.shape[1:]))


__all__ = [
    "MOST_WEIGHT",
    "NUMPY_TYPES",
    "RANGES",
    "Add",
    "Attrs",
    "Conv",
    "EdgeInput",
    "EdgeOutput",
    "Interpolation",
    "LayerNormalization",
    "MatMul",
    "Move",
    "Network",
    "Node",
    "Pads",
    "Pair",
    "Reshape",
    "Softmax",
    "Tensor",
    "Unary",
    "averaging_scales",
    "f32",
]
