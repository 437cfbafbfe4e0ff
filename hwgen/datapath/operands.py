"""Bytes as what multipliers take."""

from amaranth.hdl import Cat, Value

__all__ = ["OPERAND_BITS", "centred"]

#: Of a byte less its zero point.
OPERAND_BITS = 9


def centred(word: Value, is_signed: Value, zero: Value) -> Value:
    """Each byte of ``word`` less the zero point, wrapped to 9 bits."""
    return Cat((Cat(word[at:at + 8], word[at + 7] & is_signed).as_signed() - zero.as_signed())[:OPERAND_BITS] for at in range(0, len(word), 8))
