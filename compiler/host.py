"""What the host does at the edges of a program: quantise and pack inputs, unpack and dequantise outputs, as ONNX defines it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from compiler.errors import CompilerError
from compiler.graph_passes.unfold_inputs import unfolded
from compiler.ir.network import EdgeInput, EdgeOutput, Tensor
from compiler.layout import Layout
from compiler.program import EdgeTensor, Program


def _tensor(item: EdgeTensor) -> Tensor:
    return Tensor(item.name, item.tensor_shape, item.tensor_dtype, item.scale, item.zero_point)


def _layout(item: EdgeTensor) -> Layout:
    return Layout(item.stored_shape, item.tensor_dtype, item.lanes, item.planes)


def pack_inputs(program: Program, arrays: Mapping[str, np.ndarray]) -> list[tuple[int, bytes]]:
    """Bytes to write into external memory before the start: (byte address, bytes) an input tensor.

    Raises CompilerError when an input is missing or unknown, IRError when one has another type or shape than the network declares.
    """
    names = {item.name for item in program.inputs}
    if set(arrays) != names:
        raise CompilerError(
            f"inputs of {program.name}", found=", ".join(sorted(arrays)) or "none", expected=", ".join(sorted(names)), do="give these arrays"
        )
    segments = []
    for item in program.inputs:
        integers = EdgeInput(item.name, item.dtype, item.shape, item.name).to_device(np.asarray(arrays[item.name]), _tensor(item))
        if item.unfold:
            integers = unfolded(integers, item.unfold, item.stored_shape[2:], item.zero_point)
        segments.append((item.address, _layout(item).pack(integers.reshape(item.stored_shape))))
    return segments


def unpack_outputs(program: Program, read: Callable[[int, int], bytes]) -> dict[str, np.ndarray]:
    """Network outputs by ONNX name; `read(byte address, size in bytes)` gives bytes of external memory after the run."""
    outputs = {}
    for item in program.outputs:
        integers = _layout(item).unpack(read(item.address, item.size_bytes)).reshape(item.tensor_shape)
        outputs[item.name] = EdgeOutput(item.name, item.dtype, item.shape, item.name, item.function).from_device(integers, _tensor(item))
    return outputs
