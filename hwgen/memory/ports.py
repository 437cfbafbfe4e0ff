"""Signatures of on-chip memory ports, as seen by an engine."""

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["UNORDERED", "ReadPort", "UnalignedPort", "WritePort"]

#: Attributes of a memory of which no word is read and written in one cycle: synthesis need not build what a read sees then.
UNORDERED = {"no_rw_check": 1}


def _positive(where: str, name: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{where}: {name} must be an integer, not {value!r}")
    if value < 1:
        raise ValueError(f"{where}: {name} must be at least 1, not {value}")
    return value


class ReadPort(wiring.Signature):
    """A read port in port words: ``en`` at cycle t brings ``data`` at cycle t + the memory's read latency.

    Parameters
    ----------
    addr_bits : int
        Width of ``addr``, which counts port words.
    data_bits : int
        Width of one port word in bits.
    """

    def __init__(self, *, addr_bits: int, data_bits: int):
        self.addr_bits = _positive("ReadPort", "addr_bits", addr_bits)
        self.data_bits = _positive("ReadPort", "data_bits", data_bits)
        super().__init__({
            "en": Out(1),
            "addr": Out(addr_bits),
            "data": In(data_bits),
        })


class WritePort(wiring.Signature):
    """A write port in port words: ``en`` at cycle t is seen by reads with ``en`` at cycle t + 1 and later.

    Parameters
    ----------
    addr_bits : int
        Width of ``addr``, which counts port words.
    data_bits : int
        Width of one port word in bits; a multiple of 8. ``mask`` has one bit a byte.
    """

    def __init__(self, *, addr_bits: int, data_bits: int):
        self.addr_bits = _positive("WritePort", "addr_bits", addr_bits)
        self.data_bits = _positive("WritePort", "data_bits", data_bits)
        if data_bits % 8:
            raise ValueError(f"WritePort: data_bits must be a multiple of 8, not {data_bits}")
        super().__init__({
            "en": Out(1),
            "addr": Out(addr_bits),
            "data": Out(data_bits),
            "mask": Out(data_bits // 8),
        })


class UnalignedPort(wiring.Signature):
    """A port that begins at any word of its memory. Reading, ``en`` at cycle t brings the words whose ``mask`` bit was set, from ``addr`` on, at cycle t + the
    memory's read latency, other words of ``data`` are something; writing, the words whose bit is set are seen by reads with ``en`` at cycle t + 1 and later.

    Parameters
    ----------
    addr_bits : int
        Width of ``addr``, which counts words; words behind the last that it can name are the first ones again.
    data_bits : int
        Width of an access in bits.
    words : int
        Words of an access.
    reads : bool
    """

    def __init__(self, *, addr_bits: int, data_bits: int, words: int, reads: bool):
        self.addr_bits = _positive("UnalignedPort", "addr_bits", addr_bits)
        self.data_bits = _positive("UnalignedPort", "data_bits", data_bits)
        self.words = _positive("UnalignedPort", "words", words)
        self.reads = reads
        super().__init__({
            "en": Out(1),
            "addr": Out(addr_bits),
            "mask": Out(words),
            "data": In(data_bits) if reads else Out(data_bits),
        })
