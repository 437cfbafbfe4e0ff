"""Body layouts place fields where the tuples say and refuse impossible ones."""

import re

import pytest
from amaranth.hdl import Shape, signed, unsigned

from hwgen.layout import body_layout


def test_fields_stand_at_their_bits_with_their_sign():
    layout = body_layout([("stride", 4, 9, True), ("base", 8, 0, False)], size_bits=16)
    assert layout.size == 16
    assert layout["base"].offset == 0 and Shape.cast(layout["base"].shape) == unsigned(8)
    assert layout["stride"].offset == 9 and Shape.cast(layout["stride"].shape) == signed(4)


def test_size_defaults_to_the_end_of_the_highest_field():
    assert body_layout([("a", 3, 5, False)]).size == 8
    assert body_layout([]).size == 0


def test_negative_value_survives_the_layout():
    layout = body_layout([("gap", 1, 0, False), ("stride", 5, 2, True)])
    assert layout.const({"stride": -3, "gap": 1}).as_bits() == ((-3 & 31) << 2) | 1


@pytest.mark.parametrize("fields, size_bits, message", [
    ([("a", 0, 0, False)], None, "body_layout: field 'a' has width 0 at bit 0; "
     "the width must be at least 1 and the bit at least 0"),
    ([("a", 1, 0, False), ("a", 1, 1, False)], None, "body_layout: field 'a' is given twice; names must be unique"),
    ([("a", 4, 0, False), ("b", 4, 3, False)], None,
     "body_layout: field 'b' at bit 3 overlaps field 'a', which ends before bit 4"),
    ([("a", 4, 6, False)], 8, "body_layout: field 'a' ends before bit 10, beyond the layout's 8 bits"),
])
def test_impossible_layouts_are_refused(fields, size_bits, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        body_layout(fields, size_bits=size_bits)
