"""Every AXI rule can fail: a legal trace passes, and each wrong, missing or extra event in it is found and named."""

import pytest

from tests.verif.hostile_traces import trace_of
from verif.hostile import check_port
from verif.hostile.channels import Master, masters, record_type

READ_WIDTHS = {"araddr": 32, "arlen": 8, "arsize": 3, "arburst": 2, "rdata": 64, "rresp": 2, "rlast": 1}
WRITE_WIDTHS = {"awaddr": 32, "awlen": 8, "awsize": 3, "awburst": 2, "wdata": 64, "wstrb": 8, "wlast": 1, "bresp": 2}


def _port(writes):
    widths = WRITE_WIDTHS if writes else READ_WIDTHS
    channels = ("aw", "w", "b") if writes else ("ar", "r")
    return Master("p", writes, widths | {channel + signal: 1 for channel in channels for signal in ("valid", "ready")})


READ, WRITE = _port(False), _port(True)
REGIONS = [(0x100, 0x200), (0x200, 0x240), (0xFF0, 0x1000)]


def _address(cycle, channel, address, beats, ready=1, **other):
    return (cycle, channel, ready, {"addr": address, "len": beats - 1, "size": 3, "burst": 1} | other)


def _r(cycle, last=0, ready=1, data=7):
    return (cycle, "r", ready, {"data": data, "last": last})


def _w(cycle, last=0, ready=1, strb=0xFF, data=5):
    return (cycle, "w", ready, {"data": data, "strb": strb, "last": last})


#: Two bursts, one waiting for its address and one for a beat; the second address while the first is answered.
READS = [_address(10, "ar", 0x1F8, 2, ready=0), _address(11, "ar", 0x1F8, 2), _r(14), _address(15, "ar", 0xFF8, 1), _r(15, last=1, ready=0), _r(16, last=1),
         _r(20, last=1)]
#: Data ahead of the address's handshake but not of its offer; edges of the tensor by strobes; a response in the cycle of an address.
WRITES = [_address(10, "aw", 0x1F8, 2, ready=0), _w(10), _address(11, "aw", 0x1F8, 2), _w(11, last=1, strb=0x0F), (15, "b", 1, {}),
          _address(15, "aw", 0xFF0, 1), _w(17, last=1, strb=0x3C, ready=0), _w(18, last=1, strb=0x3C), (22, "b", 0, {}), (23, "b", 1, {})]


def _found(port, events, regions=REGIONS):
    violations, _ = check_port(port, trace_of(port, *events), regions)
    return [(item.channel, item.cycle, item.rule, item.text) for item in violations]


def _with(events, *changes):
    """Events with some replaced: (index, event or None to drop it)."""
    result = dict(enumerate(events)) | dict(changes)
    return [event for event in result.values() if event is not None]


def test_legal_reads_pass_and_are_counted():
    violations, traffic = check_port(READ, trace_of(READ, *READS), REGIONS)
    assert violations == []
    assert traffic.bursts == ((11, 0x1F8, 2), (15, 0xFF8, 1)) and traffic.beats == 3 and traffic.written_bytes == 0


def test_legal_writes_pass_and_are_counted():
    violations, traffic = check_port(WRITE, trace_of(WRITE, *WRITES), REGIONS)
    assert violations == []
    assert traffic.bursts == ((11, 0x1F8, 2), (15, 0xFF0, 1)) and traffic.beats == 3 and traffic.written_bytes == 8 + 4 + 4


def test_an_empty_trace_is_legal_and_shows_nothing():
    violations, traffic = check_port(WRITE, trace_of(WRITE), REGIONS)
    assert (violations, traffic.bursts, traffic.beats) == ([], (), 0)


LOWERED = "found valid lowered in the next cycle, expected it to stay until ready"
STAY = "expected it to stay until ready"
READ_BREACHES = {
    "valid falls": ([(0, None), (1, None), (len(READS), _address(9, "ar", 0x1F8, 2, ready=0)), (len(READS) + 1, _address(11, "ar", 0x1F8, 2))],
                    ("ar", 9, "stable", LOWERED)),
    "valid falls, another channel goes on": ([(4, None), (len(READS), _r(13, ready=0)), (2, None), (len(READS) + 1, _r(15))], ("r", 13, "stable", LOWERED)),
    "address changes": ([(0, _address(10, "ar", 0x1F0, 2, ready=0))], ("ar", 10, "stable", f"found araddr changed in the next cycle, {STAY}")),
    "length changes": ([(0, _address(10, "ar", 0x1F8, 1, ready=0))], ("ar", 10, "stable", f"found arlen changed in the next cycle, {STAY}")),
    "high data word changes": ([(4, _r(15, last=1, ready=0, data=(7, 8))), (5, _r(16, last=1, data=(7, 9)))],
                               ("r", 15, "stable", f"found rdata changed in the next cycle, {STAY}")),
    "never accepted": ([(len(READS), _address(30, "ar", 0x100, 1, ready=0))], ("ar", 30, "stable", LOWERED)),
    "narrow beats": ([(3, _address(15, "ar", 0xFF8, 1, size=2))], ("ar", 15, "burst", "found beats of 4 bytes, expected 8")),
    "wrapping burst": ([(3, _address(15, "ar", 0xFF8, 1, burst=2))], ("ar", 15, "burst", "found burst type 2, expected INCR (1)")),
    "unaligned": ([(3, _address(15, "ar", 0xFF1, 1))], ("ar", 15, "burst", "found address 0xff1, expected a multiple of 8")),
    "last too late": ([(2, _r(14, last=1))], ("r", 14, "last", "found last 1 with 2 beats of the burst to come, expected 0")),
    "last missing": ([(6, _r(20, last=0))], ("r", 20, "last", "found last 0 with 1 beats of the burst to come, expected 1")),
    "extra beat": ([(len(READS), _r(21, last=1))], ("r", 21, "order", "found a beat that no address asked for, expected none")),
    "missing beat": ([(6, None)], ("r", 16, "complete", "found 1 beats missing at the end, expected none")),
    "outside the regions": ([(3, _address(15, "ar", 0xFE8, 1))], ("ar", 15, "region", "found a read of 1 beats from 0xfe8, expected reads within the given regions")),
}


@pytest.mark.parametrize("name", READ_BREACHES)
def test_breaches_of_reads(name):
    changes, expected = READ_BREACHES[name]
    assert _found(READ, _with(READS, *changes)) == [expected]


WRITE_BREACHES = {
    "address changes": ([(0, _address(10, "aw", 0x1F0, 2, ready=0))], ("aw", 10, "stable", f"found awaddr changed in the next cycle, {STAY}")),
    "data changes": ([(6, _w(17, last=1, strb=0x3C, ready=0, data=6))], ("w", 17, "stable", f"found wdata changed in the next cycle, {STAY}")),
    "strobes change": ([(6, _w(17, last=1, strb=0x3D, ready=0))], ("w", 17, "stable", f"found wstrb changed in the next cycle, {STAY}")),
    "response falls": ([(9, (24, "b", 1, {}))], ("b", 22, "stable", LOWERED)),
    "data before the address's offer": ([(0, None)], ("w", 10, "order", "found a beat before its address, expected the address to be offered first")),
    "last on the first beat": ([(1, _w(10, last=1))], ("w", 10, "last", "found last 1 with 2 beats of the burst to come, expected 0")),
    "last missing": ([(7, _w(18, strb=0x3C)), (6, _w(17, strb=0x3C, ready=0))], ("w", 18, "last", "found last 0 with 1 beats of the burst to come, expected 1")),
    "extra response": ([(len(WRITES), (25, "b", 1, {}))], ("b", 25, "order", "found a response to no accepted burst, expected none")),
    "response in the cycle of the last beat": ([(9, None), (8, None), (len(WRITES), (18, "b", 1, {}))],
                                               ("b", 18, "order", "found a response to no accepted burst, expected none")),
    "missing response": ([(8, None), (9, None)], ("b", 18, "complete", "found a response missing at the end, expected none")),
    "byte before the tensor": ([(5, _address(15, "aw", 0xFE8, 1)), (6, _w(17, last=1, strb=0x80, ready=0)), (7, _w(18, last=1, strb=0x80))],
                               ("w", 18, "region", "found byte 0xfef written, expected writes within the given regions")),
    "byte behind the tensor": ([(5, _address(15, "aw", 0x240, 1)), (6, _w(17, last=1, strb=0x01, ready=0)), (7, _w(18, last=1, strb=0x01))],
                               ("w", 18, "region", "found byte 0x240 written, expected writes within the given regions")),
    "burst across 4 KiB": ([(5, _address(15, "aw", 0xFF8, 2)), (6, _w(17)), (7, _w(18, last=1, strb=0))],
                           ("aw", 15, "burst", "found 2 beats from 0xff8, expected none across 4096 bytes")),
}


@pytest.mark.parametrize("name", WRITE_BREACHES)
def test_breaches_of_writes(name):
    changes, expected = WRITE_BREACHES[name]
    found = _found(WRITE, _with(WRITES, *changes))
    assert expected in found
    if name not in ("data before the address's offer", "response in the cycle of the last beat"):     # these leave other events without a partner
        assert found == [expected]


def test_a_burst_of_the_greatest_length_and_one_that_ends_on_4_kib():
    events = [_address(1, "ar", 0x800, 256), *(_r(2 + beat, last=beat == 255) for beat in range(256))]
    assert _found(READ, events, [(0x800, 0x1000)]) == []
    events[0] = _address(1, "ar", 0x808, 256)
    assert _found(READ, events, [(0, 0x2000)]) == [("ar", 1, "burst", "found 256 beats from 0x808, expected none across 4096 bytes")]


def test_reads_may_cover_the_whole_beats_of_a_region_and_no_more():
    events = [_address(1, "ar", 0x100, 2), _r(2), _r(3, last=1)]
    assert _found(READ, events, [(0x107, 0x109)]) == []
    assert [item[2] for item in _found(READ, events, [(0x107, 0x108)])] == ["region"]


def test_masters_are_read_from_the_ports():
    widths = {f"m_axi_p_{name}": bits for name, bits in READ.widths.items()} | {f"m_axi_q_{name}": bits for name, bits in WRITE.widths.items()}
    first, second = masters(widths | {"clk": 1})
    assert (first.name, first.writes, first.bus_bytes, second.name, second.writes) == ("p", False, 8, "q", True)
    assert record_type((first,)).itemsize == 4 * (1 + 6 + 2 + 2 + 2)
    with pytest.raises(ValueError, match=r"^AXI master 'p': found no rlast; expected all signals of either the read or the write channels$"):
        masters({name: bits for name, bits in widths.items() if name != "m_axi_p_rlast"})
