"""Capabilities in the paper's notation, operands of one element among them."""

import pytest

from acg.description.capability import Operand, parse_capability
from acg.errors import ArchitectureError


@pytest.mark.parametrize("text", ["(i32,16)=MATMUL((i9,16),(i9,16,16))", "(i32,4)=BROADCAST_MAC((i9),(i9,4))", "(i8)=COPY((i8))"])
def test_a_capability_is_shown_as_it_is_written(text):
    assert str(parse_capability(text)) == text
    assert str(parse_capability(text.replace(",", " , "))) == text


def test_an_operand_without_dimensions_is_one_element():
    capability = parse_capability("(i32,4)=BROADCAST_MAC((i9),(i9,4))")
    assert capability.operands == (Operand("i", 9, ()), Operand("i", 9, (4,)))


@pytest.mark.parametrize(("text", "message"), [
    ("(i32,4)=MAC((i9,),(i9,4))", "capability: operands '(i9,),(i9,4)' are not understood; expected a list such as (i9,16),(i9,16,16)"),
    ("(i32,4)=MAC(i9,(i9,4))", "capability: operands 'i9,(i9,4)' are not understood; expected a list such as (i9,16),(i9,16,16)"),
    ("(q32)=MAC((i9),(i9,4))", "capability: operand '(q32)' is not understood; expected a type and a shape such as (i8,16)"),
    ("()=MAC((i9),(i9,4))", "capability: operand '()' is not understood; expected a type and a shape such as (i8,16)"),
])
def test_what_is_no_capability_is_refused(text, message):
    with pytest.raises(ArchitectureError) as error:
        parse_capability(text)
    assert list(error.value.problems) == [message]
