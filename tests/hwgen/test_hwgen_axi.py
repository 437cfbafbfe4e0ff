"""Bus signatures: names and widths are an interface to vendor tools, so they are stated here literally."""

import pytest
from amaranth.lib.wiring import Flow

from hwgen.bus.axi import AXI4Lite, AXI4Read, AXI4Write, Burst, Response, size_code


def outline(signature):
    return {name: ("out" if member.flow is Flow.Out else "in", member.shape) for name, member in signature.members.items()}


def test_read_channels():
    assert outline(AXI4Read(addr_bits=32, data_bits=128)) == {
        "arvalid": ("out", 1), "arready": ("in", 1), "araddr": ("out", 32),
        "arlen": ("out", 8), "arsize": ("out", 3), "arburst": ("out", 2),
        "rvalid": ("in", 1), "rready": ("out", 1), "rdata": ("in", 128), "rresp": ("in", 2), "rlast": ("in", 1),
    }


def test_write_channels():
    assert outline(AXI4Write(addr_bits=40, data_bits=64)) == {
        "awvalid": ("out", 1), "awready": ("in", 1), "awaddr": ("out", 40),
        "awlen": ("out", 8), "awsize": ("out", 3), "awburst": ("out", 2),
        "wvalid": ("out", 1), "wready": ("in", 1), "wdata": ("out", 64), "wstrb": ("out", 8), "wlast": ("out", 1),
        "bvalid": ("in", 1), "bready": ("out", 1), "bresp": ("in", 2),
    }


def test_lite_channels():
    assert outline(AXI4Lite(addr_bits=8)) == {
        "awvalid": ("out", 1), "awready": ("in", 1), "awaddr": ("out", 8), "awprot": ("out", 3),
        "wvalid": ("out", 1), "wready": ("in", 1), "wdata": ("out", 32), "wstrb": ("out", 4),
        "bvalid": ("in", 1), "bready": ("out", 1), "bresp": ("in", 2),
        "arvalid": ("out", 1), "arready": ("in", 1), "araddr": ("out", 8), "arprot": ("out", 3),
        "rvalid": ("in", 1), "rready": ("out", 1), "rdata": ("in", 32), "rresp": ("in", 2),
    }


def test_codes():
    assert [size_code(bits) for bits in (8, 16, 32, 64, 128, 256, 512, 1024)] == list(range(8))
    assert (Burst.INCR.value, Response.OKAY.value, Response.SLVERR.value, Response.DECERR.value) == (1, 0, 2, 3)


@pytest.mark.parametrize(("make", "error", "message"), [
    (lambda: AXI4Read(addr_bits=32, data_bits=48), ValueError,
     "AXI4Read: data_bits must be a power of two between 8 and 1024, not 48"),
    (lambda: AXI4Write(addr_bits=0, data_bits=32), ValueError, "AXI4Write: addr_bits must be between 1 and 64, not 0"),
    (lambda: AXI4Lite(addr_bits="8"), TypeError, "AXI4Lite: addr_bits must be an integer, not '8'"),
    (lambda: AXI4Read(addr_bits=True, data_bits=32), TypeError, "AXI4Read: addr_bits must be an integer, not True"),
])
def test_refusals(make, error, message):
    with pytest.raises(error) as caught:
        make()
    assert str(caught.value) == message
