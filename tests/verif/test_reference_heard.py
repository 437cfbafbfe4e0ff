"""The definition hears all that a node says, or refuses it: attributes, inputs, outputs, and what recognisers take together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import defs, helper

from tests.support.models import U8, dequantize, model_of, node, parameters, quantize
from tests.support.schema_walk import VARIANTS
from verif.reference import Reference, operators
from verif.reference.heard import RECOGNISED, UNHEARD, UNHEARD_INPUTS, Said, misspoken, unheard
from verif.reference.values import Plain

P = parameters(x=(0.1, 3), y=(0.25, 7))
X, Y = {"x": (U8, (1, 3, 4, 4))}, {"y": (U8, (1, 3, 4, 4))}
SAMPLE = {"x": np.arange(48, dtype=np.uint8).reshape(1, 3, 4, 4)}
END = "; expected a quantised network; compare with onnxruntime alone"


def between(*nodes, constants=None, opset=21, **domains):
    model = model_of([dequantize("x", "d", "x"), *nodes, quantize("r", "y", "y")], X, Y, {**P, **(constants or {})}, opset=opset)
    model.opset_import.extend(helper.make_opsetid(domain, 1) for domain in domains)
    return model


def refused(model):
    with pytest.raises(ValueError) as error:
        Reference(model).run(SAMPLE)
    return str(error.value)


def test_an_attribute_that_nobody_asks_for_is_refused(monkeypatch):
    monkeypatch.setitem(operators.OPERATORS, ("", "Elu"), lambda call: call.value(0))
    assert refused(between(node("Elu", "d", "r", alpha=0.5))) == f"node n_r (Elu): found an attribute alpha, which the definition passes over{END}"
    Reference(between(node("Elu", "d", "r", alpha=1.0))).run(SAMPLE)


def test_an_input_that_nobody_asks_for_is_refused(monkeypatch):
    monkeypatch.setitem(operators.OPERATORS, ("", "Clip"), lambda call: call.value(0) if call.number(1) is not None else None)
    model = between(node("Clip", "d lo hi", "r"), constants={"lo": np.float32(0), "hi": np.float32(1)})
    assert refused(model) == f"node n_r (Clip): found input 2, which the definition passes over{END}"


def test_a_call_made_from_another_hears_for_it(monkeypatch):
    """Operators that hand a changed call on share what is heard."""
    monkeypatch.setitem(operators.OPERATORS, ("", "Elu"), lambda call: Plain(replace(call, inputs=list(call.inputs)).value(0).real() * call.attributes["alpha"]))
    Reference(between(node("Elu", "d", "r", alpha=0.5))).run(SAMPLE)


def test_what_no_operator_has_is_refused():
    assert refused(between(node("Relu", "d", "r", unheard_of=1))) == f"node n_r (Relu): found an attribute unheard_of, which opset 21 has not{END}"
    assert refused(between(node("MaxPool", "d", "r", kernel_shape=[1, 1], auto_pad="SAME"))) == f"node n_r (MaxPool): found auto_pad SAME{END}"
    made = helper.make_node("QLinearSigmoid", ["x", "sx", "zx", "sy", "zy"], ["y"], name="n", domain="com.microsoft", alpha=0.5)
    assert refused(model_of([made], X, Y, P)) == f"node n (QLinearSigmoid): found an attribute alpha, which the definition passes over{END}"


def test_more_outputs_than_are_defined_are_refused():
    model = between(helper.make_node("MaxPool", ["d"], ["r", "indices"], name="n_r", kernel_shape=[1, 1]))
    assert refused(model) == f"node n_r (MaxPool): found 2 outputs, of which 1 are defined{END}"


def test_a_dropout_that_trains_is_refused():
    model = between(node("Dropout", "d ratio training", "r"), constants={"ratio": np.float32(0.5), "training": np.array(True)})
    assert refused(model) == f"node n_r (Dropout): found a training mode{END}"


def test_two_ways_to_pad_contradict_each_other():
    model = between(node("MaxPool", "d", "r", kernel_shape=[1, 1], auto_pad="VALID", pads=[1, 0, 0, 0]))
    assert refused(model) == "window: found pads [1, 0, 0, 0] and auto_pad VALID; expected one of them; leave the other out"


def normalised(form="inputs", **said):
    """A LayerNormalization in parts, the axes of its means inputs or attributes; `said` of the mean that is subtracted."""
    axes, given = (" axes", {}) if form == "inputs" else ("", {"axes": [-1]})
    nodes = [
        node("ReduceMean", f"d{axes}", "m", **given, **said), node("Sub", "d m", "c"), node("Mul", "c c", "s"), node("ReduceMean", f"s{axes}", "v", **given),
        node("Add", "v e", "u"), node("Sqrt", "u", "t"), node("Div", "c t", "r"),
    ]  # fmt: skip
    return between(*nodes, constants={"axes": np.array([-1]), "e": np.float32(1e-3)}, opset=18 if axes else 13)


def test_what_a_recogniser_takes_together_is_heard():
    assert {n.op_type for n in Reference(normalised()).model.graph.node} == {"DequantizeLinear", "LayerNormalization", "QuantizeLinear"}
    Reference(normalised(noop_with_empty_axes=1)).run(SAMPLE)
    model = normalised(unheard_of=1)
    assert refused(model) == f"node n_m (ReduceMean): found an attribute unheard_of, which opset 18 has not{END}"


def test_what_a_recogniser_passes_over_is_refused(monkeypatch):
    model = normalised(form="attributes")
    Reference(model).run(SAMPLE)
    monkeypatch.setitem(RECOGNISED, "ReduceMean", ("keepdims",))
    assert refused(model) == f"node n_m (ReduceMean): found an attribute axes, which its recogniser passes over{END}"


def test_every_rule_is_of_something_that_there_is():
    for op, name in UNHEARD:
        assert any(name in s.attributes for s in defs.get_all_schemas_with_history() if s.name == op and s.domain == ""), (op, name)
        assert name in VARIANTS[op], "the walk shows that it means nothing"
    for op, index in UNHEARD_INPUTS:
        assert len(defs.get_schema(op, 21).inputs) > index


def test_defaults_are_of_the_opset():
    """An attribute at a default that only another opset has is not at its default."""
    made = helper.make_node("Softmax", ["x"], ["y"], axis=-1)
    assert unheard(made, 13, Said(made), {0}) is None
    assert unheard(made, 11, Said(made), {0}) == "an attribute axis, which the definition passes over"
    assert misspoken(helper.make_node("Reshape", ["x", "s"], ["y"], allowzero=0), 13) == "an attribute allowzero, which opset 13 has not"
    assert isinstance(made, onnx.NodeProto)
