"""fold_moves: movements one after the other become one, and those that move nothing disappear.

before:  x -> Reshape -> Move -> Reshape -> y          channel shuffle
after:   x -> Move -> y

Movements that only split up what another has put together read its inputs instead. A network input or output that one movement alone
touches is given the view of its ONNX shape in which most elements keep their neighbours: channels last at the edge become channels
first on the machine without a copy.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations_with_replacement

import numpy as np

from compiler.ir.edit import rebuild
from compiler.ir.move import Source, compose, neighbours, origins
from compiler.ir.network import Move, Network, Node, Reshape, Shape4, Tensor
from compiler.ir.rules import verify

#: A movement is put into each of those that read it where together they read no element more often than this.
MOST_USES = 1.25


def _as_move(node: Node, network: Network) -> Move:
    return node.attrs if isinstance(node.attrs, Move) else Move(np.arange(network.tensors[node.outputs[0]].elements))


def _uses(network: Network, tensor: str) -> float:
    """How often the movements that read a tensor read each of its elements; infinite where something else reads it."""
    readers = network.consumers(tensor)
    if network.is_output(tensor) or not all(isinstance(n.attrs, Move | Reshape) for n in readers):
        return np.inf
    if len(readers) == 1:
        return 1.0
    count = 0
    for node in readers:
        starts = np.cumsum([0, *(network.tensors[t].elements for t in node.inputs)])
        index = _as_move(node, network).index
        count += sum(int(((index >= starts[i]) & (index < starts[i + 1])).sum()) for i, t in enumerate(node.inputs) if t == tensor)
    return count / network.tensors[tensor].elements


def _composed(network: Network) -> Network:
    made: dict[str, Node] = {}
    nodes = []
    for node in network.nodes:
        if isinstance(node.attrs, Move | Reshape):
            inner = {
                t: made[t] for t in node.inputs
                if t in made and (isinstance(made[t].attrs, Reshape) or _uses(network, t) <= MOST_USES)
            }
            if any(isinstance(n.attrs, Move) for n in (node, *inner.values())):
                node = _merged(node, inner, network)
            made[node.outputs[0]] = node
        nodes.append(node)
    return rebuild(network, nodes=nodes)


def _merged(node: Node, inner: dict[str, Node], network: Network) -> Node:
    """Return the node that reads what the movements `inner` read, each tensor once."""
    sources: list[Source] = []
    for t in node.inputs:
        before = inner.get(t)
        elements = network.tensors[t].elements
        if before is None:
            sources.append((elements, None, (elements,)))
        else:
            sources.append((elements, _as_move(before, network), tuple(network.tensors[i].elements for i in before.inputs)))
    move, kept = compose(_as_move(node, network), sources)
    names = [inner[node.inputs[n]].inputs[part] if node.inputs[n] in inner else node.inputs[n] for n, part in kept]
    if not names:  # constants only: an input there must be, so that the network stays connected
        names = [node.inputs[0]]
    unique = list(dict.fromkeys(names))
    if len(unique) < len(names):
        starts = np.cumsum([0, *(network.tensors[t].elements for t in unique)])
        table = np.concatenate([starts[unique.index(t)] + np.arange(network.tensors[t].elements) for t in names])
        move = replace(move, index=np.where(move.index < 0, move.index, table[np.maximum(move.index, 0)]))
    origin = tuple(dict.fromkeys([o for t in node.inputs if t in inner for o in inner[t].origin] + list(node.origin)))
    return replace(node, attrs=move, inputs=tuple(unique), origin=origin)


def _views(shape: tuple[int, ...]) -> Iterator[Shape4]:
    """Every (N, C, H, W) that keeps the dimensions of an ONNX shape in order, each once."""
    seen = set()
    for i, j, k in combinations_with_replacement(range(len(shape) + 1), 3):
        parts = (shape[:i], shape[i:j], shape[j:k], shape[k:])
        n, c, h, w = (int(np.prod(p)) if p else 1 for p in parts)
        if (n, c, h, w) not in seen:
            seen.add((n, c, h, w))
            yield n, c, h, w


def _edges(network: Network) -> Network:
    """Choose the views of inputs and outputs that movements alone touch."""
    tensors = dict(network.tensors)

    def shapes(node: Node) -> list[Shape4]:
        return [tensors[t].shape for t in node.inputs]

    for edge in network.inputs:
        readers = network.consumers(edge.tensor)
        if len(readers) == 1 and isinstance(readers[0].attrs, Move) and not network.is_output(edge.tensor):
            node, move, at = readers[0], readers[0].attrs, readers[0].inputs.index(edge.tensor)
            given = shapes(node)

            def score(view: Shape4, node=node, move=move, at=at, given=given) -> int:
                return neighbours(origins(move, [*given[:at], view, *given[at + 1 :]]), tensors[node.outputs[0]].shape)

            tensors[edge.tensor] = replace(tensors[edge.tensor], shape=max([tensors[edge.tensor].shape, *_views(edge.shape)], key=score))
    for out in network.outputs:
        producer = network.producer(out.tensor)
        alone = not network.consumers(out.tensor) and sum(o.tensor == out.tensor for o in network.outputs) == 1
        if producer is not None and isinstance(producer.attrs, Move) and alone:
            found = origins(producer.attrs, shapes(producer))

            def result(view: Shape4, found=found) -> int:
                return neighbours(found, view)

            tensors[out.tensor] = replace(tensors[out.tensor], shape=max([tensors[out.tensor].shape, *_views(out.shape)], key=result))
    return rebuild(network, tensors=tensors)


def _same_numbers(x: Tensor, y: Tensor) -> bool:
    return (x.dtype, x.scale, x.zero_point) == (y.dtype, y.scale, y.zero_point)


def _plain(network: Network) -> Network:
    """Let Moves that keep row-major order be Reshapes, or nothing."""
    fed = {e.tensor for e in network.inputs}
    tensors = dict(network.tensors)
    instead: dict[str, str] = {}
    nodes = []
    for node in network.nodes:
        if isinstance(node.attrs, Move) and len(node.inputs) == 1:
            x, y = tensors[node.inputs[0]], tensors[node.outputs[0]]
            between_edges = network.is_output(y.name) and x.name in fed  # a node must make an output
            if node.attrs.is_identity and x.elements == y.elements and not between_edges:
                if x.scale is None:
                    x = tensors[x.name] = replace(x, scale=y.scale, zero_point=y.zero_point)
                if _same_numbers(x, y):
                    node = replace(node, attrs=Reshape())
                    if x.shape == y.shape:
                        instead[y.name] = x.name
        nodes.append(node)
    return rebuild(network, nodes=nodes, tensors=tensors, instead=instead)


def fold_moves(network: Network) -> Network:
    """Return `network` with movements composed."""
    if not any(isinstance(n.attrs, Move) for n in network.nodes):
        return network
    return verify(_plain(_edges(_composed(network))))
