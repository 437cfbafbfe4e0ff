"""The front of the compiler as a list: from an ONNX model to the IR that the back end starts from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import onnx

from compiler.front.import_onnx import import_onnx
from compiler.front.reading.load import load_model
from compiler.graph_passes.fold_channels import fold_channels
from compiler.graph_passes.fold_moves import fold_moves
from compiler.graph_passes.fold_pads import fold_pads
from compiler.graph_passes.fold_reshapes import fold_reshapes
from compiler.graph_passes.fuse_clamps import fuse_clamps
from compiler.graph_passes.fuse_flatten import fuse_flatten
from compiler.graph_passes.fuse_tables import fuse_tables
from compiler.graph_passes.hoist_moves import hoist_moves
from compiler.graph_passes.settle_views import settle_views
from compiler.graph_passes.tables_first import tables_first
from compiler.ir.network import Network

#: In order; each takes and returns a verified network.
FRONT_PASSES: tuple[Callable[[Network], Network], ...] = (
    fold_reshapes,  # views that the host or nobody has to make
    settle_views,  # element-wise nodes on the views of the nodes around them
    fold_reshapes,  # which no Reshape is needed for any more
    fold_moves,  # movements one after the other
    tables_first,  # functions before movements
    fold_moves,  # which have met others
    fuse_tables,  # functions of functions
    fuse_clamps,  # Relu and Clip into the node before
    fuse_flatten,  # Flatten and Gemm into one convolution
    fold_pads,  # frames into the windows behind them
    fold_channels,  # the order of channels into the weights behind them
    fold_moves,  # what the fusions have brought together
    fold_reshapes,
    hoist_moves,  # transpositions beside what the matrix unit does next
)


def read_network(source: str | Path | onnx.ModelProto, *, name: str | None = None, dimensions: Mapping[str, int] | None = None) -> Network:
    """Return the IR of an ONNX file or model, ready for the back end.

    `name` stands in messages and defaults to the file's; `dimensions` gives sizes to named dimensions.
    Raises ModelError or UnsupportedError (both ValueError), see `compiler.errors`.
    """
    if isinstance(source, onnx.ModelProto):
        model, default = source, source.graph.name or "model"
    else:
        model, default = load_model(source), Path(source).name
    network = import_onnx(model, name=name or default, dimensions=dimensions)
    for run in FRONT_PASSES:
        network = run(network)
    return network
