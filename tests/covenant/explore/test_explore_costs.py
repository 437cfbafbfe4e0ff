"""Energy counted by hand; a technology's table refused with the line; areas fitted to what is known."""

import pytest

from acg.graph import load_graph
from acg.isa import Instruction
from acg.shared import shared_folder
from covenant.errors import UserError
from covenant.explore.area import fitted
from covenant.explore.energy import counts, picojoules, read_technology

TINY = load_graph("tiny")
TABLE = (shared_folder("examples") / "technology_45nm.yaml").read_text()


def instruction(engine, **fields):
    return Instruction(engine, fields)


def test_a_load_counts_its_bytes_on_both_sides():
    found = counts(TINY, [instruction("load", n_2=3, n_3=10)])
    assert found == {("read", "dram"): 30, ("write", "act"): 30}


def test_a_tile_of_the_matrix_unit():
    """2 blocks of outputs x 3 of inputs x 5 positions on 4x4: 30 steps of 16 products, a word of 4 bytes read and 16 of sums read and written each, and
    6 blocks of weights of 4 words."""
    found = counts(TINY, [instruction("matrix", n_0=2, n_3=3, n_5=5)])
    assert found == {("macs", "matrix"): 480, ("read", "act"): 120, ("read", "wgt"): 96, ("read", "acc"): 480, ("write", "acc"): 480}


def test_picojoules_are_counts_times_the_table(tmp_path):
    path = tmp_path / "t.yaml"
    path.write_text(TABLE)
    table = read_technology(path)
    load = [instruction("load", n_2=3, n_3=10)]
    code = 8 * 128 * table.external_bit  # an instruction of tiny has 128 bytes
    bank = TINY.memories["act"].size_bytes // TINY.memories["act"].banks
    expected = 8 * 30 * table.external_bit + 30 * table.memory_byte(bank) + 100 * table.static_cycle + code
    assert picojoules(TINY, load, 100, table) == pytest.approx(expected)
    assert all(word in line for line in table.sources for word in ("pJ", "nm"))


@pytest.mark.parametrize("old,new,told", [
    ("mac_int8:", "mac_int9:", "mac_int9: no line of a table; expected mac_int8, lane_operation, external_bit, static_cycle, memory_KIB_kib"),
    ("unit: pJ,", "unit: nJ,", "mac_int8: found the unit 'nJ'; expected 'pJ'"),
    ("value:", "valve:", "mac_int8.value: field required; expected value, unit, node, source and licence"),
])
def test_a_table_that_is_not_whole(tmp_path, old, new, told):
    path = tmp_path / "t.yaml"
    path.write_text(TABLE.replace(old, new, 1))
    with pytest.raises(UserError) as error:
        read_technology(path)
    assert str(error.value) == f"{path}: {told}"


def rows(cells):
    found = []
    for r in (4, 8, 16):
        for lanes in (4, 8):
            found.append(({"matrix.rows": float(r), "vector.lanes": float(lanes)}, {"matrix": {"lut": cells(r), "ff": 7, "dsp": 0, "ram": 0, "memory_bits": 0},
                          "vector": {"lut": 100 * lanes, "ff": 0, "dsp": 12 * lanes, "ram": 0, "memory_bits": 0}}))  # fmt: skip
    return found


def test_areas_that_are_straight_lines_are_found_again():
    model = fitted("generic", rows(lambda r: 50 + 30 * r))
    found, notes = model.of({"matrix.rows": 12, "vector.lanes": 6})
    assert found == {"lut": 50 + 30 * 12 + 600, "ff": 7, "dsp": 72, "ram": 0, "memory_bits": 0} and notes == ()
    assert all(error == pytest.approx(0, abs=1e-3) for kinds in model.errors().values() for error in kinds.values())


def test_what_the_model_does_not_hold_shows_as_its_error_and_beyond_the_samples_is_said():
    model = fitted("generic", rows(lambda r: 10 * r * r))
    assert model.errors()["matrix"]["lut"] > 0.2
    assert model.of({"matrix.rows": 32, "vector.lanes": 8})[1] == ("matrix.rows 32 is beyond the synthesised 4 to 16: extrapolated",)
