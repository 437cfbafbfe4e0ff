"""The data of tensors is as long as their type and sizes say, within the file and in others: known before it is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import onnx
from onnx import TensorProto, helper, numpy_helper

__all__ = ["bounded_external_data"]

#: Bits of an element of the types that numpy has no size for.
_NARROW_BITS: dict[int, int] = {TensorProto.INT4: 4, TensorProto.UINT4: 4, TensorProto.FLOAT4E2M1: 4, TensorProto.INT2: 2, TensorProto.UINT2: 2}


def bounded_external_data(model: onnx.ModelProto) -> None:
    """Give every tensor with external data the length that its type and sizes have.

    Raises ValueError where the file says another, and for a tensor whose data within the file is not what its type and sizes ask for.
    """
    for tensor in _tensors(model):
        if tensor.data_location != TensorProto.EXTERNAL:
            _check_inner(tensor)
            continue
        needed = _bytes(tensor)
        given = [entry for entry in tensor.external_data if entry.key == "length"]
        for entry in given:
            if not (entry.value.isascii() and entry.value.isdigit()) or len(entry.value) > 20 or int(entry.value) != needed:
                raise ValueError(f"tensor {tensor.name} of {needed} bytes, of which {entry.value!r:.40} stand in another file")
        if not given:
            tensor.external_data.add(key="length", value=str(needed))


def _check_inner(tensor: onnx.TensorProto) -> None:
    if tensor.data_type == TensorProto.STRING:
        return
    needed = _bytes(tensor)
    if tensor.HasField("raw_data"):
        if len(tensor.raw_data) != needed:
            raise ValueError(f"tensor {tensor.name} of {needed} bytes, of which {len(tensor.raw_data)} are there")
        return
    try:
        numpy_helper.to_array(tensor)  # no more than is there: its sizes are looked at last
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise ValueError(f"tensor {tensor.name}: {str(error).splitlines()[0]}") from None


def _bytes(tensor: onnx.TensorProto) -> int:
    elements = 1
    for size in tensor.dims:
        if size < 0:
            raise ValueError(f"tensor {tensor.name} with the size {size}")
        elements *= size
    if tensor.data_type in _NARROW_BITS:
        return -(-elements * _NARROW_BITS[tensor.data_type] // 8)
    try:
        return elements * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"tensor {tensor.name} of the type {tensor.data_type}, whose elements have no size") from None


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    yield from _of_graph(model.graph)
    for function in model.functions:
        yield from _of_nodes(function.node)


def _of_graph(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _of_nodes(graph.node)


def _of_nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.TensorProto]:
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for graph in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from _of_graph(graph)
