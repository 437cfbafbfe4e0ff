"""The locator names the earliest instruction whose bytes differ."""

import pytest

from verif.divergence import Region, Write, first_divergence

# Two memories; instruction 3 overwrites a part of what instruction 1 wrote.
WRITES = [Write(0, "act", 0, 16), Write(1, "act", 16, 16), Write(2, "dram", 0x100, 8), Write(3, "act", 24, 16)]
PROVENANCE = ["conv1 tile 0", "conv1 tile 1", "store conv1", "relu tile 0"]
CYCLES = [10, 20, 35, 50]


def region(*wrong, name="activations", memory="act", address=0, size=40, after=None):
    expected = bytearray(range(size))
    actual = bytearray(expected)
    for offset in wrong:
        actual[offset] ^= 0x80
    return Region(name, memory, address, bytes(expected), bytes(actual), after)


def locate(*regions):
    return first_divergence(regions, writes=WRITES, provenance=PROVENANCE, disassemble=lambda number: f"op {number}", retire_cycles=CYCLES)


def test_equal_regions_have_no_divergence():
    assert locate(region(), region(memory="dram", address=0x100)) is None


def test_earliest_writer_wins_over_lowest_address_and_region_order():
    found = locate(region(0, 1, name="later", memory="dram", address=0x100, size=8), region(30, 18, 17))
    assert (found.region, found.address, found.instruction, found.layer, found.cycle) == ("activations", 17, 1, "conv1 tile 1", 20)
    assert (found.expected, found.actual, found.differing_bytes, found.text) == (17, 17 ^ 0x80, 3, "op 1")
    assert str(found) == ("first divergence: act address 0x11 (activations, 3 bytes differ): found 0x91, expected 0x11; "
                          "written by instruction 1 [op 1] of conv1 tile 1, retired in cycle 20")


def test_last_writer_is_blamed_at_the_end_of_the_program():
    assert locate(region(30)).instruction == 3


def test_snapshot_is_judged_by_the_writes_before_it():
    assert locate(region(30, after=1)).instruction == 1


def test_unwritten_bytes_come_first_of_all():
    found = first_divergence([region(0), region(2, name="input", memory="dram", address=0x200, size=8)], writes=WRITES)
    assert (found.region, found.address, found.instruction, found.cycle, found.layer, found.text) == ("input", 0x202, None, None, "", "")
    assert str(found) == ("first divergence: dram address 0x202 (input, 1 bytes differ): found 0x82, expected 0x02; "
                          "not written by the program")


def test_region_that_begins_inside_a_write():
    assert locate(region(0, address=20, size=4)).instruction == 1


def test_nothing_to_compare_and_unequal_lengths_are_refused():
    with pytest.raises(ValueError, match=r"^divergence: found no regions, expected at least one to compare$"):
        first_divergence([])
    with pytest.raises(ValueError, match=r"^divergence: region 'y': found 1 bytes, expected 2$"):
        first_divergence([Region("y", "act", 0, b"ab", b"a")])
