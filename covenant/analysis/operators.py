"""Which ONNX operators one machine runs: each is compiled for it, alone, in the least network that has it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto

from acg.graph import Graph
from compiler.errors import CompilerError, UnsupportedError
from compiler.front.support import DECISIONS
from compiler.front.support_table import SupportRow
from compiler.passes import compile_network
from compiler.read_network import read_network
from covenant.fuzz.operator_networks import NETWORKS, OperatorNetwork, operator_network

__all__ = ["OnMachine", "network_of", "on_machine"]


@dataclass(frozen=True)
class OnMachine:
    """An operator on a machine: the engines that run its network, or what the machine lacks. Neither: it is done before anything runs."""

    row: SupportRow
    engines: tuple[str, ...]
    lacks: str | None

    @property
    def told(self) -> str:
        """In a line of a table."""
        return self.lacks or ", ".join(self.engines)


def _decision(name: str) -> onnx.ModelProto:
    """A Where that decides by a comparison, or by one of two comparisons."""
    n = OperatorNetwork()
    x, condition = n.x(1, 4, 3, 3), None
    if name in ("And", "Or", "Xor"):
        condition = n(name, n("Greater", x, n.c(0.5)), n("Less", x, n.c(0.9)))
    elif name in ("Not", "Where"):
        condition = n("Greater", x, n.c(0.5))
        condition = n(name, condition) if name == "Not" else condition
    else:
        condition = n(name, x, n.c(0.5))
    return n.model(n.quantised(n("Where", condition, x, n.c(0.25))), TensorProto.UINT8)


def _of_packed_weights() -> onnx.ModelProto:
    """MatMulNBits: 4 rows of 32 numbers by 32 x 8 weights of 4 bits, in blocks of 32."""
    n = OperatorNetwork()
    packed, scales = n.c(n.rng.integers(0, 256, (8, 1, 16)), np.uint8), n.c(np.full(8, 0.02))
    product = n("MatMulNBits", n.x(1, 4, 32), packed, scales, domain="com.microsoft", K=32, N=8, bits=4, block_size=32)
    return n.model(n.quantised(product), TensorProto.UINT8)


def network_of(row: SupportRow) -> onnx.ModelProto:
    """The least network with an operator of the support table."""
    if row.operator in (*DECISIONS, "Where"):
        return _decision(row.operator)
    if row.operator == "com.microsoft.MatMulNBits":
        return _of_packed_weights()
    # What a network is dequantised by is not alone in any.
    name = row.operator.replace("DequantizeLinear", "QuantizeLinear")
    assert name in NETWORKS, f"{name} has no network"
    return operator_network(name)


def on_machine(rows: list[SupportRow], graph: Graph) -> list[OnMachine]:
    """For each row of the support table whether ``graph`` runs it; some 20 ms each."""
    found = []
    for row in rows:
        try:
            program = compile_network(read_network(network_of(row)), graph)
        except UnsupportedError as error:
            found.append(OnMachine(row, (), error.entries[0].reason))
        except CompilerError as error:
            found.append(OnMachine(row, (), error.found))
        else:
            used = {instruction.engine for instruction in program.instructions}
            found.append(OnMachine(row, tuple(name for name in graph.engines if name in used), None))
    return found
