"""Depthwise convolutions and largest elements of windows, for engines that slide kernels over boxes and leave int32 results.

    for n, c, oy, ox:  reduce ky, kx:  acc = WINDOW_MAC(x[n, c, sy*oy + dy*ky - top, ..], w[c, 0, ky, kx]);  y = REQUANTIZE(acc)
    for n, c, oy, ox:  reduce ky, kx:  acc = WINDOW_MAX(x[n, c, sy*oy + dy*ky - top, ..]);  y = REQUANTIZE(acc)
"""

from __future__ import annotations

from dataclasses import replace

from compiler.codelets.base import Codelet, Operation
from compiler.codelets.depthwise import depthwise
from compiler.codelets.pooling import largest
from compiler.ir.network import Network, Node

FAMILY = "sliding"
#: What an engine must offer for the reduction of each.
REDUCTIONS = ("WINDOW_MAC", "WINDOW_MAX")


def sliding_convolution(node: Node, network: Network) -> Codelet | None:
    """Codelet of a Conv node whose groups are single channels; None for any other."""
    codelet = depthwise(node, network)
    return codelet and replace(codelet, family=FAMILY, operations=(Operation("WINDOW_MAC", "acc", ("x", "w")), Operation("REQUANTIZE", "y", ("acc",))))


def sliding_largest(node: Node, network: Network) -> Codelet:
    """Codelet of a MaxPool node."""
    operations = (Operation("WINDOW_MAX", "acc", ("x",)), Operation("REQUANTIZE", "y", ("acc",)))
    return replace(largest(node, network), family=FAMILY, operations=operations)
