"""Shapes that the user gives to a network's inputs: ``--shape input=1,3,224,224``."""

from collections.abc import Mapping

import onnx

from covenant.errors import UserError

__all__ = ["with_shapes"]


def _open(value: onnx.ValueInfoProto) -> None:
    """Forget the sizes of a value, not how many there are: shape inference finds them anew."""
    for dim in value.type.tensor_type.shape.dim:
        dim.Clear()


def _rename(value: onnx.ValueInfoProto, sizes: Mapping[str, int]) -> None:
    for dim in value.type.tensor_type.shape.dim:
        if dim.dim_param in sizes:
            dim.dim_value = sizes[dim.dim_param]


def with_shapes(model: onnx.ModelProto, shapes: Mapping[str, tuple[int, ...]], *, where: str) -> onnx.ModelProto:
    """Return the model with its inputs in these shapes, whatever it declares; the sizes of all other values follow by inference.

    A named dimension of a given input takes its size in the other inputs too. ``shapes`` maps input names to sizes of at least 1.
    Raises UserError for a name that is no input, another number of dimensions, or one name with two sizes.
    """
    if not shapes:
        return model
    model, given = onnx.ModelProto.FromString(model.SerializeToString()), model
    constants = {item.name for item in given.graph.initializer}
    inputs = {value.name: value for value in model.graph.input if value.name not in constants}
    named: dict[str, int] = {}
    for name, sizes in shapes.items():
        if name not in inputs:
            raise UserError(f"{where}: --shape names {name!r}; expected an input of the network: {', '.join(inputs) or 'it has none'}")
        tensor = inputs[name].type.tensor_type
        if tensor.HasField("shape") and len(tensor.shape.dim) != len(sizes):
            text = f"{name}={','.join(map(str, sizes))}"
            raise UserError(f"{where}: --shape {text} has {len(sizes)} sizes; expected {len(tensor.shape.dim)}, as the network declares")
        for dim, size in zip(tensor.shape.dim, sizes, strict=False):
            if dim.dim_param and named.setdefault(dim.dim_param, size) != size:
                raise UserError(f"{where}: --shape gives dimension {dim.dim_param} the sizes {named[dim.dim_param]} and {size}; expected one size")
        del tensor.shape.dim[:]
        for size in sizes:
            tensor.shape.dim.add().dim_value = size
    for value in inputs.values():
        _rename(value, named)
    del model.graph.value_info[:]
    for value in model.graph.output:
        _open(value)
    return model
