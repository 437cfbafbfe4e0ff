"""settle_views: element-wise nodes see their operands as the nodes before them made them.

before:  Conv -> a (64, 128, 1, 1) -> Reshape (1, 64, 1, 128) -> Add with input x (1, 64, 1, 128) -> y (1, 64, 1, 128)
after:   Conv -> a (64, 128, 1, 1) -> Add with Reshape of x -> (64, 128, 1, 1) -> Reshape -> y (1, 64, 1, 128)

The host lays an input out as any view for nothing, and Reshapes behind the node meet those of its readers: `fold_reshapes` drops both.
"""

from __future__ import annotations

from dataclasses import replace

from compiler.ir import Add, Graph, Node, Reshape, Shape4, Unary, verify
from compiler.ir_edit import rebuild
from compiler.ir_elementwise import Binary

_ELEMENTWISE = (Add, Binary, Unary)


def _settled(graph: Graph, node: Node, sources: dict[str, str]) -> Shape4 | None:
    """The view under which every operand is what a node makes, or an input; None where there is none but the node's own."""
    y = graph.tensors[node.outputs[0]].shape
    fed = {e.tensor for e in graph.inputs}
    plain = not isinstance(node.attrs, Binary) or (node.attrs.constant is None and node.attrs.a_scale.size == 1)
    if not isinstance(node.attrs, _ELEMENTWISE) or not plain or any(graph.tensors[t].shape != y for t in node.inputs):
        return None
    made = {graph.tensors[sources[t]].shape for t in node.inputs if t in sources and sources[t] not in fed}
    others = [t for t in node.inputs if t not in sources and t not in fed]
    return made.pop() if len(made) == 1 and not others else None


def settle_views(graph: Graph) -> Graph:
    """Return `graph` with element-wise nodes on the views of their operands' producers."""
    sources: dict[str, str] = {}
    tensors = dict(graph.tensors)
    nodes: list[Node] = []

    def reshaped(tensor: str, shape: Shape4, origin: tuple[str, ...]) -> str:
        name = f"{tensor}/{'x'.join(map(str, shape))}"
        while name in tensors:
            name += "~"
        tensors[name] = replace(graph.tensors[tensor], name=name, shape=shape)
        nodes.append(Node(f"reshape {name}", Reshape(), (tensor,), (name,), origin))
        return name

    for node in graph.nodes:
        shape = _settled(graph, node, sources)
        if isinstance(node.attrs, Reshape):
            sources[node.outputs[0]] = node.inputs[0]
        if shape is None:
            nodes.append(node)
            continue
        operands = []
        for tensor in node.inputs:
            source = sources.get(tensor, tensor)
            operands.append(source if graph.tensors[source].shape == shape else reshaped(source, shape, node.origin))
        y = node.outputs[0]
        name = f"{y}/settled"
        tensors[name] = replace(graph.tensors[y], name=name, shape=shape)
        nodes += [replace(node, inputs=tuple(operands), outputs=(name,)), Node(f"reshape {name}", Reshape(), (name,), (y,), node.origin)]
        sources[y] = name
    result = rebuild(graph, nodes=nodes, tensors=tensors)
    return verify(result)
