"""settle_views: element-wise nodes see their tensors as the nodes around them do.

before:  Conv -> a (64, 128, 1, 1) -> Reshape (1, 64, 1, 128) -> Add with input x (1, 64, 1, 128) -> y -> Reshape (64, 128, 1, 1) -> Conv
after:   Conv -> a (64, 128, 1, 1) -> Add with input x (64, 128, 1, 1) -> y -> Conv

Element-wise nodes, movements and the network's edges do the same under any view of their tensors. Tensors that element-wise nodes join
are one group; where nothing else is at a group, it takes that view of those beyond the Reshapes around it that leaves fewest elements to
move, and `fold_reshapes` drops the Reshapes that change nothing any more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from compiler.ir.edit import rebuild
from compiler.ir.elementwise import Binary
from compiler.ir.floats import Quotient, Sum
from compiler.ir.network import Add, Attrs, Move, Network, Node, Reshape, Shape4, Unary
from compiler.ir.rules import verify


def _elementwise(network: Network, node: Node) -> bool:
    """Whether a node does the same under any view that all its tensors share."""
    shapes = {network.tensors[t].shape for t in (*node.inputs, *node.outputs)}
    if isinstance(node.attrs, Binary):
        constant = node.attrs.constant
        fits = constant is None or constant.size == 1 or constant.shape in shapes
        return len(shapes) == 1 and node.attrs.a_scale.size == 1 and fits
    if isinstance(node.attrs, Sum):
        return all(term.constant is None or term.constant.size == 1 for term in node.attrs.terms)
    return len(shapes) == 1 and isinstance(node.attrs, Add | Quotient | Unary)


def _groups(network: Network) -> Iterator[set[str]]:
    """Tensors joined by element-wise nodes."""
    group_of: dict[str, set[str]] = {}
    for node in network.nodes:
        if _elementwise(network, node):
            joined = set().union(*(group_of.get(t, {t}) for t in (*node.inputs, *node.outputs)))
            group_of.update(dict.fromkeys(joined, joined))
    seen: set[str] = set()
    for group in group_of.values():
        if not group & seen:
            seen |= group
            yield group


def _around(network: Network, group: set[str]) -> list[Shape4] | None:
    """Views beyond the Reshapes around a group; None where another kind of node holds it to the view it has."""
    views = []
    for node in network.nodes:
        for tensor in group & {*node.inputs, *node.outputs}:
            if isinstance(node.attrs, Reshape):
                other = node.outputs[0] if tensor == node.inputs[0] else node.inputs[0]
                views.append(network.tensors[other].shape)
            elif not isinstance(node.attrs, Move) and not _elementwise(network, node):
                return None
    return views


def _moved(view: Shape4, views: list[Shape4]) -> int:
    """Reshapes that move their elements if the group is seen as `view`: those that change channels, or pixels of several channels."""
    return sum(view[1] != other[1] or (view[1] > 1 and view[2] * view[3] != other[2] * other[3]) for other in views)


def _seen(attrs: Attrs, shape: Shape4) -> Attrs:
    if isinstance(attrs, Binary) and attrs.constant is not None and attrs.constant.size > 1:
        return replace(attrs, constant=attrs.constant.reshape(shape))
    return attrs


def settle_views(network: Network) -> Network:
    """Return `network` with its groups of element-wise nodes on the views around them."""
    tensors = dict(network.tensors)
    for group in _groups(network):
        own = network.tensors[next(iter(sorted(group)))].shape
        views = _around(network, group)
        if views is not None:
            best = min(dict.fromkeys([own, *views]), key=lambda view: _moved(view, views))
            tensors.update({name: replace(tensors[name], shape=best) for name in group})
    nodes = [
        replace(node, attrs=_seen(node.attrs, tensors[node.outputs[0]].shape)) if _elementwise(network, node) else node for node in network.nodes
    ]
    return verify(rebuild(network, nodes=nodes, tensors=tensors))
