"""Where a run first went wrong: the first instruction whose cycle differs, the first tensor whose bytes differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from acg.graph import Graph
from acg.machine import machine_of
from compiler.front.reading.load import definition
from compiler.ir.network import EdgeOutput, Network
from compiler.layout import Layout
from compiler.passes import compile_network
from compiler.program import Program
from compiler.read_network import read_network
from covenant.run import Execution, execute_iss, execute_rtl
from verif.divergence import Region, Write, first_divergence
from verif.reference import Reference

if TYPE_CHECKING:
    from covenant.networks import CompiledNetwork

__all__ = ["expose", "locate"]


def expose(network: Network) -> Network:
    """The same network with every tensor as an output too, as raw integers: (N, C, H, W) under the tensor's name."""
    have = {item.name for item in network.outputs}
    produced = [name for node in network.nodes for name in node.outputs]
    added = tuple(EdgeOutput(name, network.tensors[name].dtype, network.tensors[name].shape, name) for name in produced if name not in have)
    return replace(network, outputs=(*network.outputs, *added))


def _timing(network: CompiledNetwork, execution: Execution) -> list[str]:
    for sample, report in enumerate(execution.timelines):
        for mismatch in report.mismatches[:1]:
            lines = [f"first wrong cycle, sample {sample}: {mismatch}"]
            if mismatch.instruction is not None:
                program = network.program
                lines.append(f"  {program.describe(mismatch.instruction)}")
                lines.append(f"  {machine_of(network.graph).instruction_set.disassemble(program.instructions[mismatch.instruction])}")
            return lines
    return [f"first wrong counter, sample {sample}: {faults[0]}" for sample, faults in enumerate(execution.counter_faults) if faults][:1]


def _instruction(graph: Graph, program: Program, name: str, got: np.ndarray, wanted: np.ndarray, execution: Execution) -> list[str]:
    """The store that wrote the first wrong byte of a tensor, with address and cycle, and the instruction that computed what it stored."""
    item = next(item for item in program.outputs if item.name == name)
    layout = Layout(item.stored_shape, item.tensor_dtype, item.lanes, item.planes)
    expected, actual = (layout.pack(array.reshape(item.stored_shape)) for array in (wanted, got))
    footprints, isa = machine_of(graph).footprints, machine_of(graph).instruction_set
    accesses = [footprints(instruction) for instruction in program.instructions]
    external = graph.external.name
    writes = [Write(number, external, access.lo_byte, access.hi_byte - access.lo_byte)
              for number, row in enumerate(accesses) for access in row if access.write and access.memory == external]
    found = first_divergence(
        [Region(name, external, item.address, expected, actual)], writes=writes,
        provenance=[program.describe(number) for number in range(len(program.instructions))],
        disassemble=lambda number: isa.disassemble(program.instructions[number]),
        retire_cycles=execution.predicted.retire if execution.retires is None else execution.retires,
    )
    if found is None or found.instruction is None:
        return []
    lines = [f"  {found}"]
    sources = [access for access in accesses[found.instruction] if not access.write and access.memory != external]
    for number in range(found.instruction - 1, -1, -1):
        if not graph.engines[program.instructions[number].engine].copies and any(
            access.write and access.memory == source.memory and access.lo_byte < source.hi_byte and source.lo_byte < access.hi_byte
            for access in accesses[number] for source in sources
        ):
            lines.append(f"  last computed by instruction {number}: {program.describe(number)}: {isa.disassemble(program.instructions[number])}")
            break
    return lines


def _bytes(network: CompiledNetwork, samples: Sequence[dict[str, np.ndarray]], on: str) -> list[str]:
    """Run the network again with every tensor stored, and compare in the order of the network."""
    assert network.model is not None
    probe = expose(read_network(network.model, name=network.name))
    program = compile_network(probe, network.graph)
    order = [name for node in probe.nodes for name in node.outputs]
    for number, sample in enumerate(samples):
        execution = execute_rtl(network.graph, program, [sample]) if on == "rtl" else execute_iss(network.graph, program, [sample])
        expected = Reference(definition(network.model)).run_all(sample)
        for name in order:
            if name not in expected or name not in execution.outputs[0]:
                continue
            got, wanted = execution.outputs[0][name], expected[name]
            if got.size != wanted.size or got.dtype != wanted.dtype:
                continue
            wrong = np.flatnonzero(got.reshape(-1) != wanted.reshape(-1))
            if wrong.size:
                place = tuple(int(index) for index in np.unravel_index(int(wrong[0]), got.shape))
                node = next(node for node in probe.nodes if name in node.outputs)
                return [
                    f"first wrong tensor, sample {number}: {name} of {' + '.join(node.origin) or node.name} ({node.op}), {wrong.size} of {got.size} "
                    f"elements; at {place} found {int(got[place])}, expected {int(wanted.reshape(got.shape)[place])}",
                    *_instruction(network.graph, program, name, got, wanted, execution),
                ]
    return ["every stored tensor is exact when all of them are stored: the fault depends on placement or order, see the hazards of covenant verify"]


def locate(network: CompiledNetwork, samples: Sequence[dict[str, np.ndarray]], execution: Execution, *, on: str, bytes_exact: bool) -> list[str]:
    """Lines that name the first divergence: of cycles from the timelines, of bytes by storing every tensor of the network."""
    lines = _timing(network, execution)
    if not bytes_exact and network.model is not None:
        lines += _bytes(network, samples, on)
    return lines
