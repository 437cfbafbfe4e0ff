"""Capabilities: typed signatures in the paper's notation, e.g. ``(i32,16)=MATMUL((i9,16),(i9,16,16))``, or by names of the engine's sizes:
``(i32,columns)=MATMUL((i9,rows),(i9,rows,columns))``."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from acg.errors import ArchitectureError

__all__ = ["Capability", "Operand", "operation_of", "parse_capability"]

_SIZE = r"(?:[0-9]+|[a-z][a-z0-9_]*)"
_OPERAND = re.compile(rf"\(([a-z]+)([0-9]+)((?:,{_SIZE})*)\)")
_SIGNATURE = re.compile(r"^(?P<result>\([^()]*\))=(?P<operation>[A-Z_]+)\((?P<operands>.*)\)$")


@dataclass(frozen=True)
class Operand:
    """A typed operand: ``kind`` 'i' or 'f', ``bits`` an element, ``shape`` in elements, empty for one element."""

    kind: str
    bits: int
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"({','.join([f'{self.kind}{self.bits}', *map(str, self.shape)])})"


@dataclass(frozen=True)
class Capability:
    """One operation an engine can execute, with the types of its result and operands."""

    operation: str
    result: Operand
    operands: tuple[Operand, ...]

    def __str__(self) -> str:
        return f"{self.result}={self.operation}({','.join(map(str, self.operands))})"


def _operand(text: str, where: str, sizes: Mapping[str, int]) -> Operand:
    match = _OPERAND.fullmatch(text)
    if match is None or match[1] not in ("i", "f"):
        raise ArchitectureError([f"{where}: operand {text!r} is not understood; expected a type and a shape such as (i8,16)"])
    shape = []
    for size in match[3].split(",")[1:]:
        if not size.isdigit() and size not in sizes:
            known = f"a number, or one of the engine's sizes {', '.join(sizes)}" if sizes else "a number, the engine has no sizes that are numbers"
            raise ArchitectureError([f"{where}: operand {text!r} has the size {size!r}; expected {known}"])
        shape.append(int(size) if size.isdigit() else sizes[size])
    return Operand(match[1], int(match[2]), tuple(shape))


def operation_of(text: str) -> str | None:
    """Name of a capability's operation; None for what is none."""
    match = _SIGNATURE.fullmatch(re.sub(r"\s+", "", text))
    return None if match is None else match["operation"]


def parse_capability(text: str, *, where: str = "capability", sizes: Mapping[str, int] = MappingProxyType({})) -> Capability:
    """Parse the paper's notation; spaces are ignored, ``sizes`` are the numbers that names stand for.

    Raises ArchitectureError naming ``where``.

    >>> str(parse_capability("(i32,16) = MATMUL((i9,16), (i9,16,16))"))
    '(i32,16)=MATMUL((i9,16),(i9,16,16))'
    >>> str(parse_capability("(i32,columns)=MATMUL((i9,rows),(i9,rows,columns))", sizes={"rows": 4, "columns": 8}))
    '(i32,8)=MATMUL((i9,4),(i9,4,8))'
    >>> parse_capability("(i32,16)=BROADCAST_MAC((i9),(i9,16))").operands[0].shape
    ()
    """
    compact = re.sub(r"\s+", "", text)
    match = _SIGNATURE.fullmatch(compact)
    if match is None:
        raise ArchitectureError([f"{where}: {text!r} is not a capability; expected result=OPERATION(operands), e.g. (i32,16)=MATMUL((i9,16),(i9,16,16))"])
    inner = match["operands"]
    operands = _OPERAND.findall(inner)
    rebuilt = ",".join(f"({kind}{bits}{shape})" for kind, bits, shape in operands)
    if not operands or rebuilt != inner:
        raise ArchitectureError([f"{where}: operands {inner!r} are not understood; expected a list such as (i9,16),(i9,16,16)"])
    return Capability(
        match["operation"],
        _operand(match["result"], where, sizes),
        tuple(_operand(f"({kind}{bits}{shape})", where, sizes) for kind, bits, shape in operands),
    )
