"""Cycles of an inference alone and in a batch, of the networks of the zoo, predicted."""

from collections.abc import Iterator, Sequence

from acg.graph import Graph, load_graph
from acg.predictor import predict
from compiler.passes import compile_network
from compiler.read_network import read_network
from covenant.hardware import cache_folder
from covenant.open_model import open_model
from covenant.zoo.quantised import model_file
from covenant.zoo.topologies import TOPOLOGIES

__all__ = ["batch_figures", "cycles"]

#: Networks in whose Reshapes the size of the batch is written: they are built for another one.
_BUILT = ("encoder_block",)


def cycles(name: str, graph: Graph, batch: int) -> int:
    """Cycles of all inferences of a batch of a network of the zoo."""
    folder = cache_folder().parent / "models"
    if name in _BUILT:
        model = open_model(str(model_file(name, folder, batch=batch) if batch > 1 else model_file(name, folder)))
    else:
        path = str(model_file(name, folder))
        value = open_model(path).graph.input[0]
        model = open_model(path, {value.name: (batch, *(dim.dim_value for dim in value.type.tensor_type.shape.dim[1:]))})
    return predict(graph, compile_network(read_network(model, name=name), graph).instructions).total_cycles


def batch_figures(arch: str, batch: int, names: Sequence[str] = tuple(TOPOLOGIES)) -> Iterator[tuple[str, int, float]]:
    """For each network its name, cycles of an inference alone, and of one in a batch."""
    graph = load_graph(arch)
    for name in names:
        yield name, cycles(name, graph, 1), cycles(name, graph, batch) / batch
