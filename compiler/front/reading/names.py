r"""Names in a file made printable, once and for all: of nodes, values, dimensions, operators, domains and attributes, in every graph of a model.

before:  node "conv\x1b[2J" (x, w) -> "y\n", 100,000 letters of z
after:   node "conv\\x1b[2J" (x, w) -> "y\\n", 1,000 letters of z

What is unusual in a name is escaped and what is too long is cut (`acg.text.printable`), the same name the same way everywhere, different
ones differently. Messages, tables, programs and what onnxruntime says then hold nothing that a terminal would act upon.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import onnx

from acg.text import printable
from compiler.front.rewrite.subgraphs import subgraphs

#: Most characters of a name: real ones, of what an exporter has fused, have some hundred. Messages show less.
MOST_NAME = 1000


class _Names:
    """New names by old ones, of one kind."""

    def __init__(self, names: Iterable[str]) -> None:
        names = dict.fromkeys(names)
        if any(isinstance(name, bytes) for name in names):  # what protobuf gives for text that is none
            raise UnicodeError("names that are not UTF-8")
        self.changed: dict[str, str] = {}
        hostile = [name for name in names if not name.isprintable() or len(name) > MOST_NAME]
        taken = set(names) if hostile else set()
        for name in hostile:
            base = printable(name, most=MOST_NAME, most_word=MOST_NAME)
            candidate, count = base, 1
            while candidate in taken:
                count += 1
                candidate = f"{base[: MOST_NAME - 12]}~{count}"
            self.changed[name] = candidate
            taken.add(candidate)

    def __call__(self, name: str) -> str:
        return self.changed.get(name, name)


def _rename(items: Iterable[Any], field: str, names: _Names) -> None:
    for item in items if names.changed else ():
        old = getattr(item, field)
        if old in names.changed:
            setattr(item, field, names(old))


def _type_shapes(kind: onnx.TypeProto) -> Iterable[onnx.TensorShapeProto]:
    """Shapes in a type, that of a sequence's or optional value's elements included."""
    while (which := kind.WhichOneof("value")) in ("sequence_type", "optional_type"):
        kind = getattr(kind, which).elem_type
    if which == "tensor_type":
        yield kind.tensor_type.shape


def settle_names(model: onnx.ModelProto) -> None:
    """Make all names of a model printable, in place. Raises UnicodeError for one that is not UTF-8."""
    graphs = list(subgraphs(model.graph))
    bodies = [node for function in model.functions for node in function.node]
    graphs += [inner for node in bodies for attribute in node.attribute for graph in (*attribute.graphs, attribute.g) for inner in subgraphs(graph)]
    nodes = [*bodies, *(node for graph in graphs for node in graph.node)]
    infos = [value for graph in graphs for value in (*graph.input, *graph.output, *graph.value_info)]
    tensors = [tensor for graph in graphs for tensor in (*graph.initializer, *(item.values for item in graph.sparse_initializer))]
    attributes = [attribute for node in nodes for attribute in node.attribute]
    dims = [dim for value in infos for shape in _type_shapes(value.type) for dim in shape.dim if dim.WhichOneof("value") == "dim_param"]
    functions = model.functions
    imports = [*model.opset_import, *(entry for function in functions for entry in function.opset_import)]

    listed = [*(node.input for node in nodes), *(node.output for node in nodes), *(f.input for f in functions), *(f.output for f in functions)]
    value = _Names([*(name for names in listed for name in names), *(item.name for item in (*infos, *tensors))])
    operator = _Names([*(node.op_type for node in nodes), *(f.name for f in functions)])
    domain = _Names([*(node.domain for node in nodes), *(f.domain for f in functions), *(entry.domain for entry in imports)])
    attribute_name = _Names([*(a.name for a in attributes), *(a.ref_attr_name for a in attributes), *(name for f in functions for name in f.attribute)])
    dimension = _Names(dim.dim_param for dim in dims)
    label = _Names([*(node.name for node in nodes), *(graph.name for graph in graphs)])

    if value.changed:
        for names in listed:
            names[:] = [value(name) for name in names]
        annotations = [annotation for graph in graphs for annotation in graph.quantization_annotation]
        _rename((*infos, *tensors), "name", value)
        _rename(annotations, "tensor_name", value)
    _rename(nodes, "op_type", operator)
    _rename(functions, "name", operator)
    _rename((*nodes, *functions, *imports), "domain", domain)
    _rename((*nodes, *graphs), "name", label)
    _rename(attributes, "name", attribute_name)
    _rename(attributes, "ref_attr_name", attribute_name)
    _rename(dims, "dim_param", dimension)
    for function in functions if attribute_name.changed else ():
        function.attribute[:] = [attribute_name(name) for name in function.attribute]


__all__ = ["settle_names"]
