"""Pass: a table goes into the chain of the codelet before it, behind its saturation.

    before   codelet c0: .. y = REQUANTIZE(acc)          y read by c1 alone
             codelet c1: z = TABLE(y)
    after    codelet c0: .. y = REQUANTIZE(acc); z = TABLE(y)

The table is applied to the very byte that would have been stored, so nothing but time changes: the tensor in between is never written. Whether one engine
can do both, and whether two would be sooner, is not known here: what was merged stays beside it (`Codelet.parts`) until engines are assigned.
"""

from __future__ import annotations

from dataclasses import replace

from compiler.codelets import Codelet, Operation
from compiler.ir.network import Network, Node, Unary
from compiler.outside import OWN

#: Families whose results leave through the whole chain of a vector unit.
_FAMILIES = ("blockwise", "contraction", "depthwise", "elementwise", OWN, "product", "sliding", "window")


def _mergeable(codelet: Codelet) -> bool:
    chain = codelet.family != OWN or len(codelet.operations) > 1
    return chain and codelet.family in _FAMILIES and codelet.finish.kind in ("float", "int") and codelet.finish.table is None


def _merged(codelet: Codelet, table: Codelet, node: Node, network: Network) -> Codelet:
    assert isinstance(node.attrs, Unary)
    z = network.tensors[node.outputs[0]]
    y = replace(codelet.operands["y"], tensor=z.name, dtype=z.dtype)
    return replace(
        codelet, operands={**codelet.operands, "y": y}, operations=(*codelet.operations, Operation("TABLE", "z", ("y",))),
        finish=replace(codelet.finish, table=node.attrs.table), origin=(*codelet.origin, *node.origin), parts=(codelet, table),
    )


def merge_tables(choices: tuple[tuple[Codelet, ...], ...], network: Network) -> tuple[tuple[Codelet, ...], ...]:
    """The codelets of each node of `network`, without those of tables that went into the codelets of the nodes before them."""
    result: dict[str, tuple[Codelet, ...]] = {}
    for node, codelets in zip(network.nodes, choices, strict=True):
        source = node.inputs[0] if node.inputs else ""
        before = result.get(source, ())
        alone = len(network.consumers(source)) == 1 and not network.is_output(source)
        if isinstance(node.attrs, Unary) and before and alone and all(map(_mergeable, before)):
            del result[source]
            result[node.outputs[0]] = tuple(_merged(codelet, codelets[0], node, network) for codelet in before)
        else:
            result[node.outputs[0]] = codelets
    return tuple(result.values())
