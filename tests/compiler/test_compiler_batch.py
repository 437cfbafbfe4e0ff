"""Batches: never more cycles an image than an image alone; what goes image by image, and what is done for all at once."""

from pathlib import Path

import pytest

from acg.graph import load_graph
from acg.predictor import predict
from compiler.errors import CompilerError
from compiler.passes import Options, compile_network
from compiler.read_network import read_network
from compiler.ways.batch import MOST_IMAGES, split
from covenant.open_model import open_model
from tests.compiler.ir_reference import check_program
from tests.compiler.random_networks import Sketch

EXAMPLES = Path(__file__).parents[2] / "examples"
MACHINES = {name: load_graph(name) for name in ("tiny", "edge16")}


def network(images, seed=1, channels=16, size=12):
    """A depthwise layer, a sum, and a fully connected end."""
    s = Sketch(seed, "batch")
    x = s.conv(s.input((images, 8, size, size), "i8"), channels, (3, 3), pads=(1, 1, 1, 1))
    y = s.conv(x, channels, (3, 3), pads=(1, 1, 1, 1), group=channels)
    x = s.conv(s.add(x, y), 2 * channels, (size, size))
    return s, s.network(s.conv(x, 10))


@pytest.mark.parametrize("arch", MACHINES)
@pytest.mark.parametrize("way", [0, 1, 2, 3])
def test_every_way_computes_the_same(arch, way):
    s, graph = network(3)
    program = compile_network(graph, MACHINES[arch], options=Options(choices={"batch": way}))
    check_program(graph, program, MACHINES[arch], s.arrays())


def test_the_way_of_fewer_cycles_is_taken():
    _, graph = network(3)
    ways = [predict(MACHINES["edge16"], compile_network(graph, MACHINES["edge16"], options=Options(choices={"batch": way})).instructions).total_cycles
            for way in (0, 1, 2, 3)]  # fmt: skip
    assert ways[0] == min(ways[1:])


@pytest.mark.parametrize("example,arch", [("fashion_dscnn", "edge16"), ("digits_cnn", "edge16"), ("digits_cnn", "tiny")])
def test_no_batch_costs_more_an_image_than_an_image_alone(example, arch):
    path, machine = str(EXAMPLES / f"{example}.onnx"), MACHINES[arch]
    value = open_model(path).graph.input[0]
    shape = [dim.dim_value or 1 for dim in value.type.tensor_type.shape.dim]
    alone, three = (
        predict(machine, compile_network(read_network(open_model(path, {value.name: (n, *shape[1:])})), machine).instructions).total_cycles for n in (1, 3)
    )
    assert three <= 3 * alone


def test_what_goes_image_by_image():
    _, graph = network(3)
    head, tail = split(graph)
    assert [node.op for node in head.nodes] == ["Conv", "Conv", "Add"]
    assert {tensor.shape[0] for tensor in head.tensors.values()} == {1}
    assert [node.op for node in tail.nodes] == ["Conv", "Conv"] and {tensor.shape[0] for tensor in tail.tensors.values()} == {3}
    assert [item.tensor for item in head.outputs] == [item.tensor for item in tail.inputs]


def test_weights_of_fully_connected_layers_come_once():
    _, graph = network(4)
    machine = MACHINES["edge16"]
    program = compile_network(graph, machine, options=Options(choices={"batch": 2}))
    last = len(program.layers) - 1

    def loads(name):
        return sum(machine.engines[i.engine].copies and program.provenance[n][0] == name for n, i in enumerate(program.instructions))

    alone = compile_network(network(1)[1], machine)
    assert loads(last) == sum(machine.engines[i.engine].copies and alone.provenance[n][0] == last for n, i in enumerate(alone.instructions))
    assert program.layers[0].macs == 4 * alone.layers[0].macs and program.layers[last].macs == 4 * alone.layers[last].macs
    assert {tile.split()[1] for layer, tile in program.provenance if layer == 0} == {"0", "1", "2", "3"}


@pytest.mark.parametrize("images", [1, MOST_IMAGES + 1])
def test_one_image_and_very_many_are_not_split(images):
    assert split(network(images, channels=4, size=4)[1]) is None


def test_nothing_to_split_off():
    s = Sketch(2, "rows")
    x = s.input((4, 16, 1, 1), "i8")
    assert split(s.network(s.conv(x, 16))) is None  # fully connected from the beginning


def of_views(kind):
    """Networks of three images whose first part ends at, or in front of, another view of a tensor."""
    s = Sketch(5, kind)
    x = s.conv(s.input((3, 8, 6, 4), "i8"), 12, (3, 3), pads=(1, 1, 1, 1))
    if kind == "rows of all images":  # what a host would pack in this form
        return s, s.network(s.conv(s.reshape(x, (3 * 24, 12, 1, 1)), 8))
    if kind == "other pixels":  # the same bytes under another name
        return s, s.network(s.conv(s.reshape(x, (3, 12, 24, 1)), 8, (24, 1)))
    if kind == "both views":  # one image by image, one for all
        y = s.reshape(x, (3, 12, 24, 1))
        return s, s.network(s.unary(y), s.conv(y, 8, (24, 1)), s.conv(x, 8, (6, 4)))
    return s, s.network(x, s.reshape(x, (3, 12, 24, 1)), s.reshape(x, (3, 1, 12, 24)))


@pytest.mark.parametrize("arch", MACHINES)
@pytest.mark.parametrize("kind", ["rows of all images", "other pixels", "both views", "all leave"])
def test_views_where_the_parts_meet(arch, kind):
    """The rest read a view of a tensor that nobody had packed, the first part wrote one of two views of the same bytes."""
    s, graph = of_views(kind)
    for way in (0, 1, 2, 3):
        program = compile_network(graph, MACHINES[arch], options=Options(choices={"batch": way}))
        check_program(graph, program, MACHINES[arch], s.arrays())


def test_a_view_goes_image_by_image_where_all_that_reads_it_does():
    head, tail = split(of_views("other pixels")[1])
    assert [[node.op for node in part.nodes] for part in (head, tail)] == [["Conv"], ["Reshape", "Conv"]]
    s = Sketch(6, "within")
    x = s.conv(s.input((3, 8, 6, 4), "i8"), 12)
    head, tail = split(s.network(s.conv(s.reshape(x, (3, 12, 24, 1)), 8)))
    assert [node.op for node in head.nodes] == ["Conv", "Reshape", "Conv"] and tail is None


@pytest.mark.parametrize("arch", MACHINES)
def test_the_way_taken_is_the_way_alone(arch):
    """Ways have buffers in common: trying the next leaves no place of its own in the program of the one that is taken."""
    for images in (2, 3):
        _, graph = network(images)
        ways = [compile_network(graph, MACHINES[arch], options=Options(choices={"batch": way})) for way in (0, 1, 2, 3)]
        cycles = [predict(MACHINES[arch], program.instructions).total_cycles for program in ways]
        taken = ways[1 + cycles[1:].index(cycles[0])]
        assert (ways[0].memory_map, ways[0].segments, ways[0].code) == (taken.memory_map, taken.segments, taken.code)


def test_parts_of_other_lanes_are_compiled_as_a_whole():
    machine = load_graph("wide")  # its vector unit alone would have fewer channels beside each other than with the matrix unit
    s = Sketch(7, "lanes")
    x = s.conv(s.input((3, 8, 6, 4), "i8"), 12)
    graph = s.network(s.reshape(x, (72, 12, 1, 1)), s.reshape(x, (3, 12, 4, 6)))
    check_program(graph, compile_network(graph, machine), machine, s.arrays())
    with pytest.raises(CompilerError) as error:
        compile_network(graph, machine, options=Options(choices={"batch": 2}))
    assert str(error.value) == (
        "network lanes-7, tensor t1: found 32 lanes where images go apart, 16 behind that; expected the same lanes in both; compile the batch as a whole"
    )
