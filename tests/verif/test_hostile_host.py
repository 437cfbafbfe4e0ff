"""Every AXI4-Lite rule can fail: a legal trace of the control port passes, and each wrong event in it is found and named."""

import pytest

from tests.verif.hostile_traces import trace_of
from verif.hostile import Host, check_host

HOST = Host({"awaddr": 8, "awprot": 3, "wdata": 32, "wstrb": 4, "bresp": 2, "araddr": 8, "arprot": 3, "rdata": 32, "rresp": 2}
            | {channel + signal: 1 for channel in ("aw", "w", "b", "ar", "r") for signal in ("valid", "ready")})


def _found(*events):
    return [(item.channel, item.cycle, item.rule, item.text) for item in check_host(HOST, trace_of(HOST, *events))]


WRITE = [(1, "aw", 0, {"addr": 8}), (2, "aw", 1, {"addr": 8}), (2, "w", 1, {"data": 5, "strb": 15}), (3, "b", 0, {}), (4, "b", 1, {})]
READ = [(6, "ar", 1, {"addr": 4}), (7, "r", 0, {"data": 9}), (8, "r", 1, {"data": 9})]


def test_legal_accesses_pass():
    assert _found(*WRITE, *READ) == [] == _found()


@pytest.mark.parametrize(("events", "expected"), [
    ([*WRITE[:3], (3, "b", 0, {}), (4, "b", 1, {"resp": 2}), *READ], ("b", 3, "stable", "found bresp changed in the next cycle, expected it to stay until ready")),
    ([*WRITE, *READ[:2], (8, "r", 1, {"data": 10})], ("r", 7, "stable", "found rdata changed in the next cycle, expected it to stay until ready")),
    ([*WRITE, *READ[:2], (9, "r", 1, {"data": 9})], ("r", 7, "stable", "found valid lowered in the next cycle, expected it to stay until ready")),
    ([WRITE[0], (2, "aw", 1, {"addr": 12}), *WRITE[2:]], ("aw", 1, "stable", "found awaddr changed in the next cycle, expected it to stay until ready")),
    ([*WRITE, (5, "b", 1, {}), *READ], ("b", 5, "order", "found an answer to no accepted access, expected none")),
    ([WRITE[0], WRITE[1], *WRITE[3:], (5, "w", 1, {})], ("b", 4, "order", "found an answer to no accepted access, expected none")),
    ([(6, "ar", 1, {}), (6, "r", 1, {})], ("r", 6, "order", "found an answer to no accepted access, expected none")),
    ([*WRITE[:3], *READ], ("b", 8, "complete", "found an answer missing at the end, expected none")),
    ([*WRITE, READ[0]], ("r", 6, "complete", "found an answer missing at the end, expected none")),
])
def test_breaches(events, expected):
    assert _found(*events) == [expected]
    assert str(check_host(HOST, trace_of(HOST, *events))[0]).startswith(f"AXI master (AXI4-Lite host), channel {expected[0]}, cycle {expected[1]}: ")
