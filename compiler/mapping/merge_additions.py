"""Pass: a function of two tensors goes into the chain of the contraction that makes one of them, behind its rounding.

    before   codelet c0: .. y = REQUANTIZE(acc)                                      y read by c1 alone
             codelet c1: z = REQUANTIZE(ADD(y, b))
    after    codelet c0: .. r = FAKE_QUANTIZE(acc); z = REQUANTIZE(ADD(r, b))

r is what the byte y is worth: rounded, limited and scaled again as c1 reads it, so nothing but time changes. The tensor in between is never written,
nor read. Of two contractions the one that is computed last takes the other's result. What was merged stays beside it (`Codelet.parts`): engines that
cannot do both, or that would do it later, take the one after the other.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from compiler.codelets import Codelet, Operation
from compiler.codelets.base import Rounded, pixel
from compiler.codelets.binary import OPERATIONS
from compiler.ir.network import Network
from compiler.target import Target

#: What follows the rounding of the merged chain.
_FUNCTIONS = frozenset(OPERATIONS.values())


def _makes(codelet: Codelet) -> bool:
    """Whether a codelet's result is one that a function may go behind: bytes of int32 sums that are scaled once."""
    finish = codelet.finish
    plain = finish.kind == "float" and finish.table is None and finish.divisor == 1.0 and finish.divisors is None
    return codelet.family == "contraction" and plain and codelet.per_channel and codelet.addend is None and not codelet.sums and not codelet.heads


def _function(codelets: tuple[Codelet, ...]) -> bool:
    """Whether a node is a function of two tensors of one shape, and there is one way to compute it."""
    if len(codelets) != 1 or codelets[0].family != "elementwise" or codelets[0].operations[0].name not in _FUNCTIONS:
        return False
    x, b, y = (codelets[0].operands[role] for role in "xby")
    plain = codelets[0].finish.divisors is None and not codelets[0].per_channel
    return plain and bool(x.tensor and b.tensor) and x.tensor != b.tensor and x.shape == b.shape == y.shape


def _merged(codelet: Codelet, function: Codelet, role: str) -> Codelet:
    """The chain of a contraction whose result is the operand `role` of a function."""
    first, second = function.operands[role], function.operands["b" if role == "x" else "x"]
    made, made_by, finish = codelet.operands["y"], codelet.finish, function.finish
    scales = (finish.scale_a, finish.scale_b) if role == "x" else (finish.scale_b, finish.scale_a)
    operands = {
        **codelet.operands,
        "b": replace(second, shape=made.shape, index=pixel("oc")),
        "y": replace(made, tensor=function.operands["y"].tensor, dtype=function.operands["y"].dtype),
    }
    chain = (Operation("FAKE_QUANTIZE", "r", ("acc",)), replace(function.operations[0], operands=("r", "b")), *function.operations[1:])
    return replace(
        codelet, operands=operands, operations=(codelet.operations[0], *chain), parts=(codelet, function), origin=(*codelet.origin, *function.origin),
        finish=replace(finish, bias=made_by.bias, scale=made_by.scale, scale_b=scales[1]),
        rounded=Rounded(made_by.low - first.zero, made_by.high - first.zero, scales[0]),
    )


def merge_additions(
    choices: tuple[tuple[Codelet, ...], ...], network: Network, target: Target, *, resident: Collection[str] = ()
) -> tuple[tuple[Codelet, ...], ...]:
    """The codelets of each step, without those of contractions that took in the functions that alone read them; as they are where no engine can round so.

    Tensors in between that are `resident` stay: merging them saves a pass of the vector unit, and may cost waits for a bank. What merging the others saves is
    their way out and back again.
    """
    if not any(vector.engine.can("FAKE_QUANTIZE") for vector in target.vector):
        return choices
    result: dict[str, tuple[Codelet, ...]] = {}
    for codelets in choices:
        y = codelets[0].operands["y"].tensor
        made = {codelets[0].operands[role].tensor: role for role in "xb" if _takes(codelets, role, result, network)}
        last = next((tensor for tensor in reversed(result) if tensor in made and tensor not in resident), None)
        if last is None:
            result[y] = codelets
            continue
        role, before = made[last], result.pop(last)
        result[y] = tuple(_merged(codelet, codelets[0], role) for codelet in before)
    return tuple(result.values())


def _takes(codelets: tuple[Codelet, ...], role: str, made: dict[str, tuple[Codelet, ...]], network: Network) -> bool:
    """Whether an operand of a function is made by a contraction whose result nobody else reads, at the zero point that it is read with."""
    if not _function(codelets):
        return False
    operand = codelets[0].operands[role]
    before = made.get(operand.tensor, ())
    alone = len(network.consumers(operand.tensor)) == 1 and not network.is_output(operand.tensor)
    if not before or not alone or not all(map(_makes, before)):
        return False
    limits = [limit - operand.zero for codelet in before for limit in (codelet.finish.low, codelet.finish.high)]
    return all(codelet.finish.zero == operand.zero for codelet in before) and all(-256 <= limit <= 255 for limit in limits)
