"""Refusing programs that a machine would not run, or not always with the same result; whoever wrote them, the compiler included."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from acg.fields import COUNTER_BITS
from acg.footprint import Access
from acg.graph import Graph
from acg.isa import Instruction
from acg.machine import machine_of
from acg.rules import absent, exceeded, order_fault, work
from compiler.check_code import CodeMemories
from compiler.errors import CompilerError
from compiler.manifest import edge_fault
from compiler.program import Program

AGAIN = "compile the network again"
#: A wait compares modulo the counter: no count may lie further back than half its range.
HALF_RANGE = 1 << (COUNTER_BITS - 1)
#: Most instructions of a program: some 2 KB each once they are decoded.
MOST_INSTRUCTIONS = 1 << 20


class ProgramError(CompilerError):
    """A program file or program that is not to be run."""


def check_program(program: Program, graph: Graph, *, where: str = "program", accesses: Sequence[Sequence[Access]] | None = None) -> None:
    """Check what a file's checksums cannot: tensors, addresses, codes, work, bank conflicts within an instruction, waits.

    `accesses`: the footprint of each instruction, where it is known. Raises ProgramError.
    """
    size = program.external_bytes
    if size > graph.external.size_bytes:
        raise ProgramError(
            where, found=f"{size} bytes of external memory", expected=f"at most {graph.external.size_bytes}, what {graph.name} has", do=AGAIN
        )
    unit = machine_of(graph).instruction_set.instruction_bytes
    if program.program_address % unit:
        raise ProgramError(where, found=f"instructions at {program.program_address:#x}", expected=f"a multiple of {unit}", do=AGAIN)
    for address, data in program.image:
        if address < 0 or address + len(data) > size:
            raise ProgramError(where, found=f"{len(data)} bytes at {address:#x}", expected=f"addresses below {size:#x}", do=AGAIN)
    if not program.outputs:
        raise ProgramError(where, found="no outputs", expected="at least one", do=AGAIN)
    for item in (*program.inputs, *program.outputs):
        if item in program.inputs and (item.tensor_dtype == "f32" or item.dtype not in ("f32", item.tensor_dtype)):
            fault: str | None = f"type {item.dtype} kept as {item.tensor_dtype}"
        else:
            fault = edge_fault(item, most_elements=graph.external.size_bytes)
        if fault is not None:
            raise ProgramError(f"{where}, tensor {item.name}", found=fault, expected="types, shapes and sizes that fit each other", do=AGAIN)
        if item.address < 0 or item.address + item.size_bytes > size:
            raise ProgramError(f"{where}, tensor {item.name}", found=f"address {item.address:#x}", expected=f"below {size:#x}", do=AGAIN)
    _check_names(program, where)
    _check_apart(program, where)
    if len(program.provenance) != len(program.instructions):
        raise ProgramError(where, found=f"provenance of {len(program.provenance)} instructions", expected=f"{len(program.instructions)}", do=AGAIN)
    unknown = next((layer for layer, _ in program.provenance if not 0 <= layer < len(program.layers)), None)
    if unknown is not None:
        raise ProgramError(where, found=f"provenance in layer {unknown}", expected=f"below {len(program.layers)}", do=AGAIN)
    code = (program.program_address, program.program_address + len(program.code))
    check_instructions(program.instructions, graph, where=where, external_bytes=size, code=code, known=accesses, image=program.segments)


def _check_names(program: Program, where: str) -> None:
    """Outputs have names of their own; an input that is stored more than once is one array."""
    outputs = [item.name for item in program.outputs]
    twice = next((name for name in outputs if outputs.count(name) > 1), None)
    if twice is not None:
        raise ProgramError(where, found=f"output {twice} twice", expected="each output once", do=AGAIN)
    declared: dict[str, tuple[str, tuple[int, ...]]] = {}
    for item in program.inputs:
        own = (item.dtype, item.shape)
        if declared.setdefault(item.name, own) != own:
            raise ProgramError(f"{where}, tensor {item.name}", found=f"{own[0]} {own[1]} beside {declared[item.name][0]} {declared[item.name][1]}",
                               expected="one type and shape of an input", do=AGAIN)


def _check_apart(program: Program, where: str) -> None:
    """What is written before the start is written to places of its own."""
    spans = [(address, address + len(data), "constants") for address, data in program.segments if data]
    spans += [(program.program_address, program.program_address + len(program.code), "instructions")]
    spans += [(item.address, item.address + item.size_bytes, f"input {item.name}") for item in program.inputs]
    spans.sort()
    for (_, end, one), (start, _, two) in pairwise(spans):
        if start < end:
            raise ProgramError(where, found=f"{one} and {two} both at {start:#x}", expected="places of their own", do=AGAIN)


def check_instructions(
    instructions: Sequence[Instruction], graph: Graph, *, where: str = "program", external_bytes: int | None = None, code: tuple[int, int] = (0, 0),
    known: Sequence[Sequence[Access]] | None = None, image: Sequence[tuple[int, bytes]] = (),
) -> None:
    """Check every instruction by itself (codes, work, footprint, order within it), the kernels it runs, and its waits. Raises ProgramError naming the first
    at fault.

    `external_bytes` bounds the addresses of external memory, all of it unless given; nothing may be written to the bytes `code`.
    `known`: the footprint of each instruction, where it is known; `image`: constants in external memory, kernels among them.
    """
    if len(instructions) > MOST_INSTRUCTIONS:
        raise ProgramError(where, found=f"{len(instructions)} instructions", expected=f"at most {MOST_INSTRUCTIONS}", do="divide the network")
    machine = machine_of(graph)
    sizes = {name: memory.size_bytes for name, memory in graph.memories.items()}
    if external_bytes is not None:
        sizes[graph.external.name] = external_bytes
    most, kernels = machine.most_work, CodeMemories(graph, image)
    retired = dict.fromkeys(graph.engines, 0)
    for number, instruction in enumerate(instructions):
        here = f"{where}, instruction {number} ({instruction.engine})"
        missing = absent(graph, instruction)
        if missing is not None:
            chosen, value = missing
            raise ProgramError(here, found=f"{chosen.field} {value}", expected=f"one of {chosen.what}: {', '.join(map(str, chosen.meanings))}", do=AGAIN)
        excess = exceeded(graph, instruction)
        if excess is not None:
            raise ProgramError(here, found=excess.found, expected=excess.expected, do=AGAIN)
        asked = work(graph, instruction.engine, instruction.fields)
        if asked > most:
            raise ProgramError(here, found=f"counts that make {asked} elements", expected=f"at most {most} an instruction", do=AGAIN)
        accesses = machine.footprints(instruction) if known is None else known[number]
        _check_places(accesses, sizes, graph, code, here)
        fields = machine.every_field(instruction.engine, instruction.fields)
        fault = order_fault(graph, instruction.engine, fields, accesses) or kernels.fault(instruction, fields, accesses)
        if fault is not None:
            raise ProgramError(here, found=fault[0], expected=fault[1], do=AGAIN)
        kernels.follow(instruction, accesses)
        for name, count in instruction.waits.items():
            ahead = (retired[name] - count) & ((1 << COUNTER_BITS) - 1)
            if ahead >= HALF_RANGE:
                raise ProgramError(
                    here, found=f"a wait for {count} retired instructions of {name}", expected=f"at most the {retired[name]} that precede it", do=AGAIN
                )
        retired[instruction.engine] += 1


def _check_places(accesses: Iterable[Access], sizes: dict[str, int], graph: Graph, code: tuple[int, int], here: str) -> None:
    accesses = list(accesses)
    for access in accesses:
        size = sizes[access.memory]
        if access.lo_byte < 0 or access.hi_byte > size:
            raise ProgramError(
                here, found=f"port {access.port} at bytes {access.lo_byte:#x} to {access.hi_byte:#x} of {access.memory}",
                expected=f"addresses below {size:#x}", do=AGAIN,
            )
        if access.write and access.memory == graph.external.name and access.lo_byte < code[1] and code[0] < access.hi_byte:
            raise ProgramError(
                here, found=f"port {access.port} at bytes {access.lo_byte:#x} to {access.hi_byte:#x} of {access.memory}, where instructions are",
                expected="another place", do=AGAIN,
            )
    for index, one in enumerate(accesses):
        for two in accesses[index + 1 :]:
            if (one.memory, one.write) != (two.memory, two.write) or graph.memories[one.memory].kind == "external" or one.port == two.port:
                continue  # streams that share a port use it one at a time
            first, last = max(one.first_bank, two.first_bank), min(one.last_bank, two.last_bank)
            if first <= last:
                raise ProgramError(
                    here, found=f"ports {one.port} and {two.port} in bank {first} of {one.memory}",
                    expected="operands that are used at the same time in different banks", do=AGAIN,
                )
