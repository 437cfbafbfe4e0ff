"""Nodes of constants that are not folded: what onnx's reference evaluator computes of them is not what ONNX says, or is another number each time.

They go to their handlers like any other node, and are refused there. tests/compiler/test_compiler_folding.py holds all others against onnxruntime.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx
from onnx import helper

Said = dict[str, Any]


def _drawn(_: Said) -> bool:
    return True


#: Operator -> whether, with these attributes, onnx.reference (1.23) is wrong or draws numbers.
UNFOLDED: dict[str, Callable[[Said], bool]] = {
    **dict.fromkeys(("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"), _drawn),
    "AveragePool": lambda said: bool(said.get("ceil_mode")),  # counts windows that begin behind the image
    "BatchNormalization": lambda said: True,  # of opset 13 it takes the variance for another operand
    "ConvTranspose": lambda said: said.get("group", 1) != 1 or "output_shape" in said,  # raises
    "Dropout": lambda said: True,  # draws where it trains
    "LRN": lambda said: True,  # takes a window of other channels
    "LayerNormalization": lambda said: said.get("stash_type", 1) != 1,  # raises
    "LpNormalization": lambda said: said.get("p", 2) != 2,  # of p = 1 without magnitudes
    "LpPool": lambda said: bool(said.get("ceil_mode")),
    "MaxPool": lambda said: bool(said.get("storage_order")) or any(said.get("pads", ())),  # column-major indices are not; raises
    "Resize": lambda said: said.get("coordinate_transformation_mode") == b"tf_crop_and_resize",
    "Unique": lambda said: not said.get("sorted", 1),  # always sorts
}


def foldable(node: onnx.NodeProto) -> bool:
    """Return whether a node of constants may be computed by onnx.reference."""
    wrong = UNFOLDED.get(node.op_type)
    return wrong is None or not wrong({a.name: helper.get_attribute_value(a) for a in node.attribute})


__all__ = ["UNFOLDED", "foldable"]
