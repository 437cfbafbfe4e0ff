"""Capabilities: typed signatures in the paper's notation, e.g. ``(i32,16)=MATMUL((i9,16),(i9,16,16))``."""

import re
from dataclasses import dataclass

from acg.errors import ArchitectureError

__all__ = ["Capability", "Operand", "parse_capability"]

_OPERAND = re.compile(r"\(([a-z]+)([0-9]+)((?:,[0-9]+)*)\)")
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


def _operand(text: str, where: str) -> Operand:
    match = _OPERAND.fullmatch(text)
    if match is None or match[1] not in ("i", "f"):
        raise ArchitectureError([f"{where}: operand {text!r} is not understood; expected a type and a shape such as (i8,16)"])
    return Operand(match[1], int(match[2]), tuple(int(n) for n in match[3].split(",")[1:]))


def parse_capability(text: str, *, where: str = "capability") -> Capability:
    """Parse the paper's notation; spaces are ignored.

    Raises ArchitectureError naming ``where``.

    >>> str(parse_capability("(i32,16) = MATMUL((i9,16), (i9,16,16))"))
    '(i32,16)=MATMUL((i9,16),(i9,16,16))'
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
        _operand(match["result"], where),
        tuple(_operand(f"({kind}{bits}{shape})", where) for kind, bits, shape in operands),
    )
