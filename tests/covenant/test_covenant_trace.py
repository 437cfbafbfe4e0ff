"""`covenant trace`: read back with Perfetto's own schema, against the timeline."""

import json
from collections import defaultdict

import pytest
from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace, TrackEvent

from acg.predictor import predict
from covenant.analysis.trace import perfetto_trace
from covenant.cli import main
from covenant.networks import open_network

MODEL = "examples/digits_cnn.onnx"


@pytest.fixture(scope="module")
def network():
    return open_network(MODEL, "edge16")


@pytest.fixture(scope="module")
def timeline(network):
    return predict(network.graph, network.program.instructions)


@pytest.fixture(scope="module")
def data(network, timeline):
    return perfetto_trace(network.graph, network.program, timeline)


def read(data):
    """Names of tracks by uuid, slices [track name, first, end, event], counters by track name: [(cycle, value)]."""
    trace = Trace()
    trace.ParseFromString(data)
    names = {p.track_descriptor.uuid: p.track_descriptor.name for p in trace.packet if p.HasField("track_descriptor")}
    slices, counters, open_slices = [], defaultdict(list), {}
    for packet in trace.packet:
        if not packet.HasField("track_event"):
            continue
        event, track = packet.track_event, packet.track_event.track_uuid
        if event.type == TrackEvent.TYPE_SLICE_BEGIN:
            assert track not in open_slices, "slices of one track overlap"
            open_slices[track] = (packet.timestamp, event)
        elif event.type == TrackEvent.TYPE_SLICE_END:
            first, begun = open_slices.pop(track)
            slices.append((names[track], first, packet.timestamp, begun))
        else:
            counters[names[track]].append((packet.timestamp, event.counter_value))
    assert not open_slices
    return slices, counters


def test_a_slice_an_instruction(network, timeline, data):
    slices, _ = read(data)
    found = {int(note.string_value): (name, first, end, event) for name, first, end, event in slices
             for note in event.debug_annotations if note.name == "instruction"}
    assert sorted(found) == list(range(len(network.program.instructions)))
    for number, instruction in enumerate(network.program.instructions):
        name, first, end, event = found[number]
        assert (name, first, end) == (instruction.engine, timeline.start[number], timeline.retire[number] + 1)
        assert event.name == network.program.layer_of(number).name
        assert {note.name for note in event.debug_annotations} == {"instruction", "operator", "nodes", "tile", "started by", "dispatch", "text"}


def test_arrows_lead_from_a_retire_to_the_start_behind_it(network, timeline, data):
    events = {note.string_value: event for _, _, _, event in read(data)[0] for note in event.debug_annotations if note.name == "instruction"}
    arrows = 0
    for number, event in events.items():
        for flow in event.terminating_flow_ids:
            assert flow in events[str(flow - 1)].flow_ids
            assert timeline.retire[flow - 1] + 1 == timeline.start[int(number)]
            arrows += 1
    assert arrows > 5


def test_counters_end_where_they_must(network, data):
    _, counters = read(data)
    assert {name for name in counters if name.endswith("queued instructions")} == {f"{name}: queued instructions" for name in network.graph.engines}
    for name, values in counters.items():
        cycles = [cycle for cycle, _ in values]
        assert cycles == sorted(cycles)
        if name.endswith("queued instructions"):
            assert values[-1][1] == 0 and min(v for _, v in values) >= 0 and max(v for _, v in values) <= network.graph.control.queue_depth
    assert counters["store: bytes copied"][-1][1] > 0


def test_a_bank_has_two_ports(network, data):
    names = {name for name, *_ in read(data)[0]}
    assert "act bank 0 read" in names and "acc bank 0 write" in names


def test_the_same_program_gives_the_same_bytes(network, timeline, data):
    assert perfetto_trace(network.graph, network.program, timeline) == data


def test_the_command(tmp_path, capsys):
    path = tmp_path / "deep" / "t.pftrace"
    assert main(["trace", MODEL, "--arch", "edge16", "-o", str(path), "--json", "-"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["bytes"] == path.stat().st_size and report["instructions"] > 0
    assert main(["trace", MODEL, "--arch", "edge16", "-o", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"covenant: {tmp_path}: cannot be written (Is a directory); expected a file in a folder that can be written to\n"
