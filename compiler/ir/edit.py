"""Rewriting an immutable IR network: what every pass needs after it has decided what to change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from compiler.ir.network import EdgeInput, EdgeOutput, Network, Node, Tensor


def rebuild(
    network: Network,
    *,
    nodes: Sequence[Node] | None = None,
    tensors: Mapping[str, Tensor] | None = None,
    inputs: Sequence[EdgeInput] | None = None,
    outputs: Sequence[EdgeOutput] | None = None,
    instead: Mapping[str, str] | None = None,
) -> Network:
    """Return `network` with the given parts replaced, every use of a key of `instead` redirected, and what nothing needs removed."""
    instead = instead or {}

    def final(tensor: str) -> str:
        while tensor in instead:
            tensor = instead[tensor]
        return tensor

    edges = [replace(o, tensor=final(o.tensor)) for o in (network.outputs if outputs is None else outputs)]
    needed = {o.tensor for o in edges}
    kept: list[Node] = []
    for node in reversed(network.nodes if nodes is None else nodes):
        if needed & set(node.outputs):
            redirected = replace(node, inputs=tuple(final(t) for t in node.inputs))
            needed |= set(redirected.inputs)
            kept.append(redirected)
    kept.reverse()
    table = {**network.tensors, **(tensors or {})}
    live = {t for n in kept for t in (*n.inputs, *n.outputs)}
    sources = network.inputs if inputs is None else inputs
    return Network(
        network.name,
        tuple(e for e in sources if e.tensor in live),
        tuple(edges),
        tuple(kept),
        {name: t for name, t in table.items() if name in live},
        network.notes,
    )
