"""Where a run first went wrong: the first instruction whose cycle differs, the first tensor whose bytes differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from acg.isa import instruction_set
from compiler.ir import EdgeOutput, Graph
from compiler.onnx_import.pipeline import read_network
from compiler.pipeline import compile_graph
from covenant.run import Execution, execute_iss, execute_rtl
from verif.reference import Reference

if TYPE_CHECKING:
    from covenant.networks import Network

__all__ = ["expose", "locate"]


def expose(network: Graph) -> Graph:
    """The same network with every tensor as an output too, as raw integers: (N, C, H, W) under the tensor's name."""
    have = {item.name for item in network.outputs}
    produced = [name for node in network.nodes for name in node.outputs]
    added = tuple(EdgeOutput(name, network.tensors[name].dtype, network.tensors[name].shape, name) for name in produced if name not in have)
    return replace(network, outputs=(*network.outputs, *added))


def _timing(network: Network, execution: Execution) -> list[str]:
    for sample, report in enumerate(execution.timelines):
        for mismatch in report.mismatches[:1]:
            lines = [f"first wrong cycle, sample {sample}: {mismatch}"]
            if mismatch.instruction is not None:
                program = network.program
                lines.append(f"  {program.describe(mismatch.instruction)}")
                lines.append(f"  {instruction_set(network.graph).disassemble(program.instructions[mismatch.instruction])}")
            return lines
    return []


def _bytes(network: Network, samples: Sequence[dict[str, np.ndarray]], on: str) -> list[str]:
    """Run the network again with every tensor stored, and compare in the order of the network."""
    assert network.model is not None
    probe = expose(read_network(network.model, name=network.name))
    program = compile_graph(probe, network.graph)
    order = [name for node in probe.nodes for name in node.outputs]
    for number, sample in enumerate(samples):
        execution = execute_rtl(network.graph, program, [sample]) if on == "rtl" else execute_iss(network.graph, program, [sample])
        expected = Reference(network.model).run_all(sample)
        for name in order:
            if name not in expected or name not in execution.outputs[0]:
                continue
            got, wanted = execution.outputs[0][name], expected[name]
            if got.size != wanted.size or got.dtype != wanted.dtype:
                continue
            wrong = np.flatnonzero(got.reshape(-1) != wanted.reshape(-1))
            if wrong.size:
                place = np.unravel_index(int(wrong[0]), got.shape)
                node = next(node for node in probe.nodes if name in node.outputs)
                layer = next((index for index, item in enumerate(program.layers) if item.name == node.name), None)
                first = next((index for index, (owner, _) in enumerate(program.provenance) if owner == layer), None)
                lines = [f"first wrong tensor, sample {number}: {name} of {' + '.join(node.origin) or node.name} ({node.op}), "
                         f"{wrong.size} of {got.size} elements; at {tuple(int(index) for index in place)} "
                         f"found {int(got.reshape(-1)[wrong[0]])}, expected {int(wanted.reshape(-1)[wrong[0]])}"]
                if first is not None:
                    lines.append(f"  instruction {first}: {instruction_set(network.graph).disassemble(program.instructions[first])}")
                return lines
    return ["every stored tensor is exact when all of them are stored: the fault depends on placement or order, see the hazards of covenant verify"]


def locate(network: Network, samples: Sequence[dict[str, np.ndarray]], execution: Execution, *, on: str, bytes_exact: bool) -> list[str]:
    """Lines that name the first divergence: of cycles from the timelines, of bytes by storing every tensor of the network."""
    lines = _timing(network, execution)
    if not bytes_exact and network.model is not None:
        lines += _bytes(network, samples, on)
    return lines
