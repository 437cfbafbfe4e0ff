"""Amaranth layouts of instruction bodies and headers, from plain field tuples."""

from collections.abc import Iterable

from amaranth.hdl import signed, unsigned
from amaranth.lib import data

__all__ = ["FieldTuple", "body_layout"]

#: (name, width in bits, offset in bits from the layout's bit 0, signed)
FieldTuple = tuple[str, int, int, bool]


def body_layout(fields: Iterable[FieldTuple], *, size_bits: int | None = None) -> data.FlexibleLayout:
    """The layout of a body whose fields are ``(name, width, offset, signed)``, widths and offsets in bits.

    Fields hold what is encoded: a count that means n is stored as n - 1.

    Parameters
    ----------
    fields
        Fields in any order; they may leave gaps but must not overlap.
    size_bits
        Width of the whole layout; without it, the end of the highest field.

    Raises
    ------
    ValueError
        A field that is empty, negative, named twice, overlapping another or beyond ``size_bits``.

    >>> body_layout([("base", 8, 0, False), ("stride", 4, 8, True)]).size
    12
    """
    fields = sorted(fields, key=lambda field: field[2])
    members: dict[str, data.Field] = {}
    end, last = 0, ""
    for name, width, offset, is_signed in fields:
        if width < 1 or offset < 0:
            raise ValueError(f"body_layout: field {name!r} has width {width} at bit {offset}; "
                             f"the width must be at least 1 and the bit at least 0")
        if name in members:
            raise ValueError(f"body_layout: field {name!r} is given twice; names must be unique")
        if offset < end:
            raise ValueError(f"body_layout: field {name!r} at bit {offset} overlaps field {last!r}, "
                             f"which ends before bit {end}")
        members[name] = data.Field(signed(width) if is_signed else unsigned(width), offset)
        end, last = offset + width, name
    if size_bits is None:
        size_bits = end
    if end > size_bits:
        raise ValueError(f"body_layout: field {last!r} ends before bit {end}, beyond the layout's {size_bits} bits")
    return data.FlexibleLayout(size_bits, members)
