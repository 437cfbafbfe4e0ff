"""The vector unit's time formulas, pinned by hand."""

import pytest

from acg.timing.vector import PIPELINE_CYCLES, STAGES, VectorTiming, depth_cycles, stages


def counts(*values):
    return {f"n_{level}": value for level, value in enumerate(values)}


def test_pipeline():
    assert PIPELINE_CYCLES == 18
    assert len({name for name, _ in STAGES}) == len(STAGES)
    assert (depth_cycles("operand"), depth_cycles("bias"), depth_cycles("write")) == (1, 4, PIPELINE_CYCLES)


def test_back_to_back():
    timing = VectorTiming(read_latency_cycles=1)
    assert timing.ready_cycle == 0
    assert timing.start(5, counts(1, 1, 1, 1, 1, 1)) == 5 + 1 + 1 + 18
    assert timing.ready_cycle == 6
    assert timing.start(6, counts(2, 1, 3, 4, 5, 1)) == 6 + 120 + 1 + 18
    assert timing.ready_cycle == 126


def test_latency_of_memories():
    assert VectorTiming(read_latency_cycles=4).start(0, counts(1, 1, 1, 1, 1, 7)) == 7 + 4 + 18


def test_stages_that_no_operation_needs():
    """By hand: a unit of maxima and tables has operand, reduce, integer, saturate, table and write."""
    few = stages(["MAXIMUM", "TABLE"])
    assert few == (("operand", 1), ("reduce", 1), ("integer", 1), ("saturate", 1), ("table", 1), ("write", 1))
    assert VectorTiming(read_latency_cycles=2, stages=few).start(0, counts(1, 1, 1, 1, 1, 9)) == 9 + 2 + 6
    assert (depth_cycles("reduce", few), depth_cycles("bias", few), depth_cycles("rescale", few), depth_cycles("write", few)) == (2, 2, 2, 6)
    assert stages(["SUM", "MAC", "MUL", "REQUANTIZE", "TABLE"]) == STAGES
    assert [name for name, _ in stages(["REQUANTIZE"])] == ["operand", "bias", "convert", "scale", "rescale", "integer", "saturate", "write"]
    assert [name for name, _ in stages(["RSQRT_ESTIMATE", "MAC"])] == [
        "operand", "multiply", "reduce", "bias", "convert", "scale", "integer", "saturate", "write"]


def test_registers_beyond_the_usual():
    """By hand: one in front of the addresses, two more of the sum, none of a stage that is not there."""
    few = stages(["ADD"], {"binary": 5, "rescale": 5})
    assert few == (("operand", 1), ("bias", 1), ("convert", 2), ("scale", 2), ("binary", 5), ("integer", 1), ("saturate", 1), ("write", 1))
    timing = VectorTiming(read_latency_cycles=1, stages=few, address_cycles=1)
    assert timing.start(0, counts(1, 1, 1, 1, 1, 9)) == 9 + 1 + 1 + 14
    assert timing.ready_cycle == 9


def test_the_detour_of_a_fake_quantisation():
    """By hand: 4 registers more, and the next instruction 4 cycles later, whatever it is; without float32 there is nothing to round."""
    timing = VectorTiming(read_latency_cycles=1)
    assert timing.start(0, counts(1, 1, 1, 1, 1, 10) | {"numeric": 1, "quantize": 1}) == 10 + 4 + 1 + 18
    assert timing.ready_cycle == 14
    assert timing.start(14, counts(1, 1, 1, 1, 1, 3) | {"numeric": 1, "quantize": 0}) == 17 + 1 + 18
    assert timing.ready_cycle == 17
    assert timing.start(17, counts(1, 1, 1, 1, 1, 1) | {"numeric": 0, "quantize": 1}) == 18 + 1 + 18


def test_refusals():
    timing = VectorTiming(read_latency_cycles=2)
    timing.start(10, counts(1, 1, 1, 1, 1, 3))
    with pytest.raises(ValueError) as error:
        timing.start(12, counts(1, 1, 1, 1, 1, 1))
    assert str(error.value) == "VectorTiming: start at cycle 12, but the unit is not ready before cycle 13"
    with pytest.raises(ValueError) as error:
        VectorTiming(read_latency_cycles=0)
    assert str(error.value) == "VectorTiming: read_latency_cycles must be at least 1, not 0"
    with pytest.raises(TypeError) as error:
        VectorTiming(read_latency_cycles=True)
    assert str(error.value) == "VectorTiming: read_latency_cycles must be an integer, not True"
    with pytest.raises(ValueError) as error:
        depth_cycles("decode")
    assert str(error.value) == ("depth_cycles: no stage 'decode'; expected one of operand, multiply, reduce, bias, convert, "
                                "scale, binary, rescale, integer, saturate, table, write")
