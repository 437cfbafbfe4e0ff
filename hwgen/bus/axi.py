"""AXI4 and AXI4-Lite bus signatures, as seen by the manager (master); flip them for a subordinate (slave).

Member names are the standard channel signal names in lower case, so a top whose ports are named ``<prefix>_<member>`` is recognised
as a bus interface by vendor tools. One transaction ID is used throughout (accesses stay in order), so there are no ID signals.
"""

from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["AXI4Lite", "AXI4Read", "AXI4Write", "Burst", "Response", "size_code"]

#: Bytes between two boundaries that no AXI4 burst may cross.
BOUNDARY_BYTES = 4096
#: Longest INCR burst in beats.
MAX_BEATS = 256


class Burst(enum.Enum, shape=2):
    """``arburst`` / ``awburst``."""

    FIXED = 0
    INCR = 1
    WRAP = 2


class Response(enum.Enum, shape=2):
    """``rresp`` / ``bresp``."""

    OKAY = 0
    EXOKAY = 1
    SLVERR = 2
    DECERR = 3


def _check(where: str, addr_bits: object, data_bits: object) -> None:
    for name, value in (("addr_bits", addr_bits), ("data_bits", data_bits)):
        if not isinstance(value, int) or isinstance(value, bool):
            raise TypeError(f"{where}: {name} must be an integer, not {value!r}")
    if not 1 <= addr_bits <= 64:
        raise ValueError(f"{where}: addr_bits must be between 1 and 64, not {addr_bits}")
    if data_bits not in (8, 16, 32, 64, 128, 256, 512, 1024):
        raise ValueError(f"{where}: data_bits must be a power of two between 8 and 1024, not {data_bits}")


def size_code(data_bits: int) -> int:
    """Value of ``arsize`` / ``awsize`` for full-width beats of a bus of ``data_bits`` bits: log2 of its bytes."""
    return (data_bits // 8).bit_length() - 1


class AXI4Read(wiring.Signature):
    """Read channels AR and R of an AXI4 manager.

    Parameters
    ----------
    addr_bits : int
        Width of ``araddr``, a byte address; 1 to 64.
    data_bits : int
        Width of ``rdata``; a power of two, 8 to 1024.
    """

    def __init__(self, *, addr_bits: int, data_bits: int):
        _check("AXI4Read", addr_bits, data_bits)
        self.addr_bits = addr_bits
        self.data_bits = data_bits
        super().__init__({
            "arvalid": Out(1),
            "arready": In(1),
            "araddr": Out(addr_bits),
            "arlen": Out(8),
            "arsize": Out(3),
            "arburst": Out(2),
            "rvalid": In(1),
            "rready": Out(1),
            "rdata": In(data_bits),
            "rresp": In(2),
            "rlast": In(1),
        })


class AXI4Write(wiring.Signature):
    """Write channels AW, W and B of an AXI4 manager.

    Parameters
    ----------
    addr_bits : int
        Width of ``awaddr``, a byte address; 1 to 64.
    data_bits : int
        Width of ``wdata``; a power of two, 8 to 1024. ``wstrb`` has one bit a byte.
    """

    def __init__(self, *, addr_bits: int, data_bits: int):
        _check("AXI4Write", addr_bits, data_bits)
        self.addr_bits = addr_bits
        self.data_bits = data_bits
        super().__init__({
            "awvalid": Out(1),
            "awready": In(1),
            "awaddr": Out(addr_bits),
            "awlen": Out(8),
            "awsize": Out(3),
            "awburst": Out(2),
            "wvalid": Out(1),
            "wready": In(1),
            "wdata": Out(data_bits),
            "wstrb": Out(data_bits // 8),
            "wlast": Out(1),
            "bvalid": In(1),
            "bready": Out(1),
            "bresp": In(2),
        })


class AXI4Lite(wiring.Signature):
    """All five channels of an AXI4-Lite manager with 32-bit data.

    Parameters
    ----------
    addr_bits : int
        Width of ``awaddr`` and ``araddr``, byte addresses; 1 to 64.
    """

    data_bits = 32

    def __init__(self, *, addr_bits: int):
        _check("AXI4Lite", addr_bits, 32)
        self.addr_bits = addr_bits
        super().__init__({
            "awvalid": Out(1),
            "awready": In(1),
            "awaddr": Out(addr_bits),
            "awprot": Out(3),
            "wvalid": Out(1),
            "wready": In(1),
            "wdata": Out(32),
            "wstrb": Out(4),
            "bvalid": In(1),
            "bready": Out(1),
            "bresp": In(2),
            "arvalid": Out(1),
            "arready": In(1),
            "araddr": Out(addr_bits),
            "arprot": Out(3),
            "rvalid": In(1),
            "rready": Out(1),
            "rdata": In(32),
            "rresp": In(2),
        })
