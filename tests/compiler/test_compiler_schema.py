"""What a node says is read or refused: the record of what handlers read, unknown attributes, words, inputs and outputs of every kind."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import defs, helper
from onnxruntime.capi import onnxruntime_pybind11_state as runtime

from compiler.errors import ModelError, UnsupportedError
from compiler.front import import_onnx as importer
from compiler.front.import_onnx import import_onnx
from compiler.front.operators.movement import movement
from compiler.front.state.immaterial import ATTRIBUTES, INPUTS
from compiler.front.state.schema import EACH, MICROSOFT, WORDS, signature
from compiler.front.support import FIRST_OPSET, LAST_OPSET, OPERATORS
from tests.support.models import I8, U8, dequantize, model_of, node, parameters, quantize

P = parameters(x=(0.1, 3), y=(0.25, 7), w=(0.02, np.int8(0)), p=(0.1, np.int8(0)))
X, Y = {"x": (U8, (1, 3, 4, 4))}, {"y": (U8, (1, 3, 4, 4))}
RULE = "What is not computed must be left out, an attribute may be at its default. Found "
SCHEMA = "A node must have the attributes, inputs and outputs that its operator has in this opset. Found "


def refused(model):
    """The reason for which the only node of a model is refused."""
    with pytest.raises(UnsupportedError) as error:
        import_onnx(model)
    (entry,) = error.value.entries
    return entry.reason


def between(op, inputs="d", constants=None, opset=21, shape=(1, 3, 4, 4), **attributes):
    nodes = [dequantize("x", "d", "x"), node(op, inputs, "r", **attributes), quantize("r", "y", "y")]
    return model_of(nodes, X, {"y": (U8, shape)}, {**P, **(constants or {})}, opset=opset)


def microsoft(op, inputs, constants=None, kind=U8, outputs="y", shape=(1, 3, 4, 4), **attributes):
    made = node(op, inputs, outputs, domain="com.microsoft", **attributes)
    return model_of([made], {"x": (kind, (1, 3, 4, 4))}, {"y": (kind, shape)}, {**P, **(constants or {})}, opset=17)


def test_an_attribute_that_no_handler_reads_is_refused(monkeypatch):
    """A handler that passes over an attribute cannot be added: the driver notices."""
    model = between("DepthToSpace", blocksize=1, mode="CRD")
    monkeypatch.setitem(importer.HANDLERS, ("", "DepthToSpace"), lambda step: [movement.moved(step, [step.value(0)], movement.numbered([step.value(0)])[0])])
    assert refused(model) == f"{RULE}the attribute blocksize = 1."
    monkeypatch.setitem(importer.HANDLERS, ("", "DepthToSpace"), lambda step: step.attribute("blocksize", 0) and [step.value(0)])
    assert refused(model) == f"{RULE}the attribute mode = CRD, which is DCR by default."
    import_onnx(between("DepthToSpace", shape=(1, 3, 4, 4), blocksize=1, mode="DCR"))


def test_an_input_that_no_handler_reads_is_refused(monkeypatch):
    monkeypatch.setitem(importer.HANDLERS, ("", "Clip"), lambda step: [step.value(0)] if step.constant(1) is not None else [])
    model = between("Clip", "d lo hi", {"lo": np.float32(0), "hi": np.float32(1)})
    assert refused(model) == f"{RULE}input 2 (max), which is hi."


def test_what_a_message_names_is_not_read(monkeypatch):
    """Messages describe inputs before they are needed: that is no reading."""
    monkeypatch.setitem(importer.HANDLERS, ("", "Clip"), lambda step: [step.describe(1) and step.value(0)])
    assert refused(between("Clip", "d lo", {"lo": np.float32(0)})) == f"{RULE}input 1 (min), which is lo."


def test_every_path_of_a_handler_counts():
    """LayerNormalization's precision, and dilations that a pool of the older opset has not."""
    gamma = {"g": np.ones(4, np.float32)}
    assert refused(between("LayerNormalization", "d g", gamma, stash_type=10)) == f"{RULE}the attribute stash_type = 10, which is 1 by default."
    import_onnx(between("LayerNormalization", "d g", gamma, stash_type=1))


def test_what_says_nothing_may_be_given():
    """Dropout's seed and ratio at inference, the fill of a Pad that reflects, padding at its default beside auto_pad."""
    import_onnx(between("Dropout", "d ratio", {"ratio": np.float32(0.3)}, seed=7))
    fill = {"pads": np.zeros(8, np.int64), "fill": np.float32(2)}
    import_onnx(between("Pad", "d pads fill", fill, mode="reflect"))
    import_onnx(between("MaxPool", kernel_shape=[1, 1], auto_pad="SAME_UPPER", pads=[0, 0, 0, 0]))
    found = refused(between("MaxPool", kernel_shape=[1, 1], auto_pad="SAME_UPPER", pads=[1, 0, 0, 0], ceil_mode=1))
    assert found == f"{RULE}the attribute pads = [1, 0, 0, 0]."


def test_a_kernel_shape_is_that_of_the_weights():
    nodes = [dequantize("x", "d", "x"), dequantize("k", "v", "w"), node("Conv", "d v", "r", kernel_shape=[3, 2], pads=[1, 1, 1, 1]), quantize("r", "y", "y")]
    model = model_of(nodes, X, Y, {**P, "k": np.ones((3, 3, 3, 3), np.int8)})
    with pytest.raises((ModelError, UnsupportedError)) as error:
        import_onnx(model)
    assert "kernel_shape" in str(error.value) or "refuses" in str(error.value)
    nodes[2].op_type = "ConvTranspose"
    with pytest.raises((ModelError, UnsupportedError)) as error:
        import_onnx(model_of(nodes, X, {"y": (U8, (1, 3, 4, 5))}, {**P, "k": np.ones((3, 3, 3, 3), np.int8)}))
    assert "kernel_shape" in str(error.value) or "refuses" in str(error.value)


def test_the_type_of_a_result_is_said_once():
    nodes = [dequantize("x", "d", "x"), node("QuantizeLinear", "d s z", "y", output_dtype=int(I8))]
    model = model_of(nodes, X, Y, {**P, "s": np.float32(0.1), "z": np.uint8(3)}, opset=21)
    with pytest.raises((ModelError, UnsupportedError)) as error:
        import_onnx(model)
    assert "output_dtype must be the type of the zero point" in str(error.value) or "refuses" in str(error.value)


def without(model, index):
    """The model with an input of its node left out."""
    model.graph.node[0].input[index] = ""
    return model


@pytest.mark.parametrize(("model", "reason"), [
    (microsoft("QLinearSigmoid", "x sx zx sy zy", alpha=0.5), "an attribute alpha = 0.5, which it has not."),
    (microsoft("QLinearSigmoid", "x sx zx sy zy sy"), "6 inputs, 5 at most."),
    (microsoft("QLinearSigmoid", "x sx zx"), "input 3 (Y_scale) left out."),
    (without(microsoft("QLinearConcat", "sx zx x sx zx", axis=1), 3), "input 3 (inputs) left out."),
    (microsoft("QLinearSigmoid", "x sx zx sy zy", outputs="y z"), "2 outputs, 1 at most."),
    (microsoft("QLinearLeakyRelu", "x sx zx sy zy", alpha=1), "an attribute alpha of kind int, which is float."),
    (microsoft("QLinearSoftmax", "x sx zx sy zy", axis=1), "no attribute opset."),
    (between("MaxPool", kernel_shape=[1, 1], auto_pad="SAME"), "auto_pad = SAME, which is none of NOTSET, SAME_UPPER, SAME_LOWER, VALID."),
    (between("DepthToSpace", blocksize=1, mode="RCD"), "mode = RCD, which is none of DCR, CRD."),
    (between("Cast", to=99), "to = 99, which is no element type."),
], ids=lambda value: value[:30] if isinstance(value, str) else "")  # fmt: skip
def test_what_no_schema_has_is_refused(model, reason):
    with pytest.raises((ModelError, UnsupportedError)) as error:
        import_onnx(model)
    if isinstance(error.value, UnsupportedError):
        assert error.value.entries[0].reason == SCHEMA + reason
    else:  # onnx's own checker came first
        assert "onnx refuses" in str(error.value)


@pytest.mark.parametrize("op", sorted(name for domain, name in OPERATORS if not domain))
def test_unknown_attributes_of_every_operator_are_refused(op):
    """Whatever the operator, whoever notices: the importer, onnx's checker, or its converter of opsets."""
    first = min(s.since_version for s in defs.get_all_schemas_with_history() if s.domain == "" and s.name == op and not s.deprecated)
    for opset in (max(FIRST_OPSET, first), max(LAST_OPSET, first)):
        found = signature("", op, opset)
        inputs = " ".join("d" if i == 0 else f"c{i}" for i in range(len(found.inputs)))
        model = between(op, inputs, {f"c{i}": np.ones(1, np.float32) for i in range(1, len(found.inputs))}, opset=opset, unheard_of=1)
        with pytest.raises((ModelError, UnsupportedError)) as error:
            import_onnx(model)
        assert "unheard_of" in str(error.value), str(error.value)


def test_unknown_attributes_go_through_no_rewriting():
    """A Dropout that does not train is dropped before the importer sees it, an RMSNormalization is written with older operators."""
    with pytest.raises(ModelError) as error:
        import_onnx(between("Dropout", unheard_of=1))
    assert "Unrecognized attribute: unheard_of for operator Dropout" in str(error.value)
    with pytest.raises(ModelError) as error:
        import_onnx(between("RMSNormalization", "d g", {"g": np.ones(4, np.float32)}, opset=23, stash_type=10))
    assert str(error.value) == (
        "node n_r (RMSNormalization): found stash_type = 10; expected no attributes but axis and epsilon, or others at their defaults; "
        "leave it out, or export with an older opset"
    )
    import_onnx(between("RMSNormalization", "d g", {"g": np.ones(4, np.float32)}, opset=23, stash_type=1, axis=3))


def test_the_table_of_other_domains_is_that_of_onnxruntime():
    theirs = {s.name: s for s in runtime.get_all_operator_schema() if s.domain == "com.microsoft"}
    assert set(MICROSOFT) == {name for domain, name in OPERATORS if domain == "com.microsoft"}
    marks = {"Optional": "?", "Variadic": "*", "Single": ""}
    for name, ours in MICROSOFT.items():
        schema = theirs[name]
        assert ours.inputs == tuple(i.name + marks[str(i.option).rpartition(".")[2]] for i in schema.inputs), name
        assert ours.outputs == schema.max_output
        assert set(ours.attributes) == set(schema.attributes), name
        for key, attribute in schema.attributes.items():
            stated = onnx.AttributeProto.FromString(attribute._default_value)
            default = helper.get_attribute_value(stated) if stated.name else None
            kind = onnx.AttributeProto.AttributeType.Value(str(attribute.type).rpartition(".")[2])
            assert (ours.attributes[key].kind, ours.attributes[key].default, ours.attributes[key].required) == (kind, default, attribute.required), (name, key)


def test_rules_and_words_are_of_attributes_that_exist():
    """A rule for what no supported opset has is a mistake; a default that a schema states is not stated again."""
    known = {}
    for op in defs.get_all_schemas_with_history():
        if op.domain == "" and op.since_version <= LAST_OPSET:
            known.setdefault(op.name, set()).update(op.attributes)
    assert {key for key in ATTRIBUTES if key[1] not in known[key[0]]} == set()
    assert {(op, name) for op, name in WORDS if op and name not in known[op]} == set()
    assert {(op, i) for op, i in INPUTS if i >= len(signature("", op, LAST_OPSET).inputs)} == set()
    assert set(EACH) == {name for op, names in known.items() for name in names if name in EACH}
