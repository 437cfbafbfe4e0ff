"""Pass: IR nodes -> codelets.

    before   Node c0: Conv(x) -> y, attributes
    after    codelet c0: for n, oc, oy, ox: reduce ic, ky, kx: acc = MATMUL(x[..], w[..]); y = REQUANTIZE(acc)

A node may have several codelets that compute the same; which one runs depends on the machine and is decided by `assign_engines`.
"""

from __future__ import annotations

from compiler.codelets import Codelet, candidates
from compiler.ir.network import Network


def instantiate_codelets(network: Network) -> tuple[tuple[Codelet, ...], ...]:
    """For each node, in topological order, the codelets that compute it, the preferred one first."""
    return tuple(candidates(node, network) for node in network.nodes)
