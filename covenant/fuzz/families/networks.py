"""ONNX files: changes that keep them well formed, bytes, data outside the file; compiled and run, in segments, or quantised."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, helper, numpy_helper

from covenant.fuzz.case import Draw
from covenant.fuzz.damage import damaged_bytes
from covenant.fuzz.families.family import Command, Family
from covenant.fuzz.onnx_changes import CHANGES
from covenant.fuzz.operator_networks import NETWORKS as OPERATORS
from covenant.fuzz.operator_networks import operator_network
from verif.random.networks import random_network

__all__ = ["NETWORKS", "float_network"]

_DRAWN = 24
#: Where the data of a tensor may be said to stand.
_LOCATIONS = ("w.bin", "../w.bin", "/etc/passwd", "", ".", "sub/../w.bin", "link.bin", "w.bin\0", "missing.bin", "x" * 5000, "/dev/zero")
_NUMBERS = ("0", "1", "-1", "4", str(2**31), str(2**62), str(2**64), "x", "")


def _float_network() -> onnx.ModelProto:
    """Float operators as exporters write them."""
    rng = np.random.default_rng(0)
    constants = {"w": rng.standard_normal((4, 2, 3, 3)), "b": np.ones(4), "g": rng.standard_normal((4, 3)), "k": np.full(1, 0.5)}
    nodes = [("Conv", "x w b", "c"), ("Relu", "c", "r"), ("GlobalAveragePool", "r", "p"), ("Flatten", "p", "f"), ("MatMul", "f g", "m"), ("Mul", "m k", "y")]
    return helper.make_model(helper.make_graph(
        [helper.make_node(op, inputs.split(), [output], name=f"n_{output}") for op, inputs, output in nodes], "float",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 2, 5, 5))], [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 3))],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in constants.items()],
    ), opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@cache
def _bases() -> tuple[bytes, ...]:
    made = [*map(operator_network, OPERATORS), *(random_network(seed, size="tiny") for seed in range(_DRAWN))]
    return tuple(model.SerializeToString() for model in made)


@cache
def float_network() -> bytes:
    """A network of float operators, x of (1, 2, 5, 5), to be quantised."""
    return _float_network().SerializeToString()


def _outside(model: onnx.ModelProto, rng: random.Random, folder: Path) -> None:
    """Have a tensor's data stand in another file, or be said to."""
    tensors = list(model.graph.initializer)
    if not tensors:
        return
    tensor = rng.choice(tensors)
    (folder / "w.bin").write_bytes(numpy_helper.to_array(tensor).tobytes() if not tensor.external_data else b"")
    (folder / "link.bin").unlink(missing_ok=True)
    (folder / "link.bin").symlink_to("/etc/passwd")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", rng.choice(_LOCATIONS[:1] * 3 + _LOCATIONS)), ("offset", rng.choice(_NUMBERS)), ("length", rng.choice(_NUMBERS))):
        if key == "location" or rng.random() < 0.5:
            tensor.external_data.add(key=key, value=value)


def _edited(data: bytes, rng: random.Random, folder: Path) -> bytes:
    kind = rng.random()
    if kind < 0.2:
        return damaged_bytes(rng, data)
    try:
        model = onnx.ModelProto.FromString(data)
        if kind < 0.23:
            _outside(model, rng, folder)
        else:
            rng.choice(CHANGES)(model, rng)
        return model.SerializeToString()
    except (DecodeError, onnx.checker.ValidationError, ValueError, TypeError, OverflowError, IndexError, KeyError, AttributeError, RuntimeError):
        return damaged_bytes(rng, data)  # what earlier edits left cannot be changed so


def _make(draw: Draw, folder: Path) -> list[Command]:
    base = draw.base
    way = base.random()
    data = float_network() if way < 0.06 else base.choice(_bases())
    for rng in draw.edits:
        data = _edited(data, rng, folder)
    (folder / "n.onnx").write_bytes(data)
    if way < 0.06:
        with open(folder / "c.npz", "wb") as stream:
            np.savez(stream, x=np.random.default_rng(0).standard_normal((3, 2, 5, 5)).astype(np.float32))
        return [["quantize", "n.onnx", "--calibrate", "c.npz", "-o", "q.onnx", "--quiet"], ["run", "q.onnx", "--arch", "tiny", "--on", "iss", "--quiet"]]
    if way < 0.2:
        return [["run", "n.onnx", "--arch", "tiny", "--on", "iss", "--quiet", "--fallback", "host"]]
    return [["run", "n.onnx", "--arch", "tiny", "--on", "iss", "--quiet"]]


def _prepare() -> None:
    _bases()
    float_network()


NETWORKS = Family("network", "ONNX files, as messages, bytes and data outside the file", 10, _make, _prepare)
