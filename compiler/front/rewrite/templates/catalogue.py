"""The templates, in the order in which a node is held against them."""

from __future__ import annotations

from compiler.front.rewrite.templates import group_normalization, l2_normalization, layer_normalization, log_softmax, rms_normalization, scaled_softmax, softmax

#: Operators that stand in any model, before anything else looks at it.
OPERATORS = (softmax.WHOLE, log_softmax.WHOLE)

#: Normalisations, whole and in parts: the importer's own, of any opset and of domains that nobody else knows.
NORMALISATIONS = (
    group_normalization.WHOLE, layer_normalization.WHOLE, *layer_normalization.PARTS, rms_normalization.WHOLE, *rms_normalization.PARTS,
    l2_normalization.WHOLE, *scaled_softmax.SCALED,
)  # fmt: skip

__all__ = ["NORMALISATIONS", "OPERATORS"]
