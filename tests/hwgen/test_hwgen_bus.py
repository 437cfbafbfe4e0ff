"""Buses as flat ports: names, and the attributes that AXI asks for besides the signature's own signals."""

from amaranth.lib.wiring import Flow

from hwgen.bus.axi import AXI4Lite, AXI4Read, AXI4Write
from hwgen.bus.wires import FlatBus


def _attributes(members, prefix):
    return {name.removeprefix(f"{prefix}_"): (member.flow, member.shape, member.init) for name, member in members.items() if name.endswith(("cache", "prot"))}


def test_masters_say_normal_non_cacheable_bufferable_memory_and_unprivileged_secure_data():
    """AxCACHE 0b0011 and AxPROT 0b000 of the AXI specification, A4.4 and A4.7."""
    expected = {"arcache": (Flow.Out, 4, 0b0011), "arprot": (Flow.Out, 3, 0b000)}
    assert _attributes(FlatBus("m", AXI4Read(addr_bits=32, data_bits=64)).members(), "m") == expected
    expected = {"awcache": (Flow.Out, 4, 0b0011), "awprot": (Flow.Out, 3, 0b000)}
    assert _attributes(FlatBus("m", AXI4Write(addr_bits=32, data_bits=64)).members(), "m") == expected


def test_a_slave_gets_no_attributes_of_its_own_and_keeps_its_directions():
    members = FlatBus("s", AXI4Lite(addr_bits=8).flip()).members()
    assert set(members) == {f"s_{name}" for name in AXI4Lite(addr_bits=8).members}
    assert members["s_awvalid"].flow is Flow.In and members["s_bvalid"].flow is Flow.Out and members["s_awprot"].flow is Flow.In
