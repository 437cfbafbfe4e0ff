"""Emission: places become numbers in the units of the port, addresses wrap, every field of the format is there."""

import pytest

from acg.graph import load_graph
from acg.isa import InstructionSet
from acg.machine import machine_of
from compiler.ordering.emit import emit
from compiler.tiles import Buffer, Ref, TileOp

TINY = load_graph("tiny")


def test_references_become_port_words():
    isa = InstructionSet(TINY)
    x = Buffer("x", TINY.memories["act"], 64, 4, address=4096)
    w = Buffer("w", TINY.memories["wgt"], 64, 4, address=32)
    op = TileOp("matrix", {"a_base": Ref(x, 64, 4), "w_base": Ref(w, 0, 4), "n_3": 4}, (x, w), (), 0, "")
    (instruction,) = emit([op], machine_of(TINY))
    assert set(instruction.fields) == {f.name for f in isa.formats["matrix"].fields}
    assert (instruction.fields["a_base"], instruction.fields["w_base"], instruction.fields["n_3"], instruction.fields["n_0"]) == (1040, 8, 4, 1)
    assert dict(isa.decode(isa.encode(instruction)).fields) == instruction.fields


def test_places_in_the_padding_wrap():
    x = Buffer("x", TINY.memories["act"], 64, 4, address=0)
    (instruction,) = emit([TileOp("matrix", {"a_base": Ref(x, -8, 4)}, (x,), (), 0, "")], machine_of(TINY))
    assert instruction.fields["a_base"] == TINY.memories["act"].size_bytes // 4 - 2


@pytest.mark.parametrize("address,offset,message", [(2, 0, "x: address 2 + 0 is not in units of 4"), (-1, 1, "x: address -1 + 1 is not in units of 4")])
def test_a_place_that_the_port_cannot_name_is_a_fault(address, offset, message):
    x = Buffer("x", TINY.memories["act"], 64, 4, address=address)
    with pytest.raises(AssertionError) as error:
        Ref(x, offset, 4).resolve()
    assert str(error.value) == message
