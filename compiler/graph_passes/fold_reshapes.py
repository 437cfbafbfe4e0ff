"""fold_reshapes: Reshape nodes that need not move data disappear.

before:  EdgeInput x -> Reshape -> Conv -> Reshape -> Reshape -> EdgeOutput y
after:   EdgeInput x -> Conv -> EdgeOutput y

The host reshapes at the edges for nothing; a chain of Reshapes is one; a Reshape to the same shape is none.
"""

from __future__ import annotations

from dataclasses import replace

from compiler.ir.edit import rebuild
from compiler.ir.network import Network, Reshape
from compiler.ir.rules import verify


def _chains(network: Network) -> Network:
    """Let each Reshape read what the Reshape before it reads, and drop those that change nothing."""
    source: dict[str, str] = {}
    instead: dict[str, str] = {}
    nodes = []
    for node in network.nodes:
        if isinstance(node.attrs, Reshape):
            start = source.get(node.inputs[0], node.inputs[0])
            source[node.outputs[0]] = start
            node = replace(node, inputs=(start,))
            if network.tensors[start].shape == network.tensors[node.outputs[0]].shape:
                instead[node.outputs[0]] = start
        nodes.append(node)
    return rebuild(network, nodes=nodes, instead=instead)


def _outputs(network: Network) -> Network:
    """Take each network output before the Reshape that makes it."""
    fed = {e.tensor for e in network.inputs}
    source = {n.outputs[0]: n.inputs[0] for n in network.nodes if isinstance(n.attrs, Reshape) and n.inputs[0] not in fed}
    return rebuild(network, outputs=[replace(o, tensor=source.get(o.tensor, o.tensor)) for o in network.outputs])


def _inputs(network: Network) -> Network:
    """Give a network input that only Reshapes to one shape read that shape."""
    instead: dict[str, str] = {}
    tensors = {}
    for edge in network.inputs:
        readers = network.consumers(edge.tensor)
        shapes = {network.tensors[n.outputs[0]].shape for n in readers}
        if len(shapes) == 1 and all(isinstance(n.attrs, Reshape) and not network.is_output(n.outputs[0]) for n in readers):
            tensors[edge.tensor] = replace(network.tensors[edge.tensor], shape=shapes.pop())
            instead.update({n.outputs[0]: edge.tensor for n in readers})
    return rebuild(network, tensors=tensors, instead=instead)


def fold_reshapes(network: Network) -> Network:
    """Return `network` without needless Reshapes."""
    return verify(_inputs(_outputs(_chains(network))))
