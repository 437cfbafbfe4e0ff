"""Layers beside the one in front of them: the same results, each layer in its order, and never more cycles than without."""

import pytest

from acg.graph import load_graph
from acg.machine import machine_of
from acg.predictor import predict
from compiler import passes
from compiler.ordering.follow import follow
from compiler.ordering.schedule import ordered
from compiler.passes import Options, compile_network
from compiler.tiles import Buffer, Ref, TileOp
from compiler.tiling.tile import Memo
from compiler.ways.fit import ORDERS
from tests.compiler.ir_reference import check_program
from tests.compiler.random_networks import Sketch

MACHINES = {name: load_graph(name) for name in ("tiny", "edge16", "mobile16")}
EDGE16 = machine_of(MACHINES["edge16"])


def network(seed):
    """A stem, a pool, a depthwise layer and a sum: each may be beside the layer in front of it."""
    s = Sketch(seed, "beside")
    x = s.pool(s.conv(s.input((1, 3, 24, 24), "i8"), 16, (3, 3), pads=(1, 1, 1, 1)))
    y = s.conv(s.conv(x, 16), 16, (3, 3), pads=(1, 1, 1, 1), group=16)
    return s, s.network(s.conv(s.add(x, y), 8))


@pytest.mark.parametrize("arch", MACHINES)
@pytest.mark.parametrize("order", range(1, 1 + len(ORDERS)))
@pytest.mark.parametrize("seed", [1, 2])
def test_every_order_computes_the_same(arch, order, seed):
    s, graph = network(seed)
    program = compile_network(graph, MACHINES[arch], options=Options(choices={"order": order}))
    check_program(graph, program, MACHINES[arch], s.arrays())


@pytest.mark.parametrize("arch", MACHINES)
def test_the_order_of_fewest_cycles_is_taken(arch):
    _, graph = network(3)
    own, *each = (
        predict(MACHINES[arch], compile_network(graph, MACHINES[arch], options=Options(choices={"order": order})).instructions).total_cycles
        for order in range(1 + len(ORDERS))
    )
    assert own == min(each)


def vector(layer, source, target, *, rows, first=0, width=8):
    """An operation of the vector unit that copies some rows of 16 bytes a pixel from the place where they stand in one buffer to that in another."""
    graph, size = MACHINES["edge16"], width * 16
    select = {f"{port}_select": [link.memory for link in graph.links_of("vector", port)].index("act") for port in "ay"}
    fields = {**select, "y_bound": 1, "x_bound": 1, "n_2": rows, "n_3": width, "a_base": Ref(source, first * size, 16), "a_stride_2": width, "a_stride_3": 1,
              "y_base": Ref(target, first * size, 16), "y_stride_2": width, "y_stride_3": 1}  # fmt: skip
    return TileOp("vector", fields, (source,), (target,), layer, f"y{first}")


def test_an_operation_goes_behind_the_last_one_that_makes_what_it_reads():
    memory = MACHINES["edge16"].memories["act"]
    x, y, z = (Buffer(name, memory, 8 * 128, 16, lasting=True) for name in "xyz")
    made = [vector(0, x, y, rows=2, first=row) for row in (0, 2, 4, 6)]
    read = [vector(1, y, z, rows=3, first=0), vector(1, y, z, rows=3, first=3)]
    assert follow([*made, *read], EDGE16, {1}) == [made[0], made[1], read[0], made[2], read[1], made[3]]
    assert follow([*made, *read], EDGE16, {0}) == [*made, *read]
    assert {buffer.address for buffer in (x, y, z)} == {-1}


def test_what_is_written_over_is_read_first():
    memory = MACHINES["edge16"].memories["act"]
    x, y = (Buffer(name, memory, 8 * 128, 16, lasting=True) for name in "xy")
    first = [vector(0, x, y, rows=4, first=row) for row in (0, 4)]
    back = [vector(1, y, x, rows=4, first=row) for row in (0, 4)]
    assert follow([*first, *back], EDGE16, {1}) == [*first, *back]


@pytest.mark.parametrize("seed", [1, 3, 4])
def test_ways_that_share_their_tiles_come_to_what_each_comes_to_alone(seed, monkeypatch):
    _, graph = network(seed)
    shared = compile_network(graph, MACHINES["edge16"])
    monkeypatch.setattr(Memo, "fork", lambda self: Memo())
    alone = compile_network(graph, MACHINES["edge16"])
    assert (shared.code, shared.segments, shared.memory_map, shared.provenance) == (alone.code, alone.segments, alone.memory_map, alone.provenance)


@pytest.mark.parametrize("arch", MACHINES)
def test_list_scheduling_ends_when_the_program_is_predicted_to(arch, monkeypatch):
    """All that it does not know is the fetching of instructions: ways that are told apart by it are told apart rightly."""
    found = []
    monkeypatch.setattr(passes, "ordered", lambda *args, **options: found.append(ordered(*args, **options)) or found[-1])
    _, graph = network(6)
    compile_network(graph, MACHINES[arch])
    machine = machine_of(MACHINES[arch])
    ends = [(way.end, predict(machine.graph, way.scheduled(machine).instructions).total_cycles) for way in found]
    assert len(ends) > 1 and all(end < cycles <= end + 200 for end, cycles in ends), ends
