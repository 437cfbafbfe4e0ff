"""Every attribute and optional input of every schema is computed as onnxruntime computes it, or refused: by the compiler, and by the definition.

One network for each (operator, attribute or input, opset in which it differs) says it, another does not (tests/support/schema_walk.py). Where
onnxruntime's results differ between them, passing it over would show. Opsets that are converted are walked where they say other things.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
from onnx.reference import ReferenceEvaluator

from compiler.errors import CompilerError
from compiler.front.reading.load import definition
from compiler.front.state import immaterial
from compiler.front.state.schema import signature
from compiler.front.support import FIRST_OPSET, LAST_OPSET, OPERATORS
from compiler.read_network import read_network
from tests.compiler.ir_reference import evaluate
from tests.support.schema_walk import BASES, INPUTS, VARIANTS, Base, Variant, base_of, exists, inputs_of, model_of, said, versions
from verif.golden import Golden
from verif.reference import Reference
from verif.reference.operators import OPERATORS as DEFINED

#: The first opset with DequantizeLinear, and the last that onnxruntime knows.
OLDEST, NEWEST = 10, 24
#: What is refused by the compiler wherever it says something; all else must be computed.
REFUSED = {
    ("BatchNormalization", "training_mode"), ("BatchNormalization", "spatial"), ("Cast", "to"), ("Cast", "round_mode"), ("Conv", "kernel_shape"),
    ("ConvInteger", "kernel_shape"), ("ConvTranspose", "kernel_shape"), ("QLinearConv", "kernel_shape"),
    ("DequantizeLinear", "axis"), ("DequantizeLinear", "block_size"), ("DequantizeLinear", "output_dtype"), ("Dropout", 2), ("Dropout", "ratio"),
    ("GroupNormalization", "stash_type"), ("LayerNormalization", "stash_type"), ("LpNormalization", "p"),
    ("MatMulNBits", "weight_prepacked"), ("MatMulNBits", 4), ("MaxPool", "storage_order"), ("QLinearAveragePool", "channels_last"), ("QLinearGlobalAveragePool", "channels_last"), ("QGemm", 7), ("QGemm", 8), ("QuantizeLinear", "axis"),
    ("QuantizeLinear", "block_size"), ("QuantizeLinear", "precision"), ("RMSNormalization", "stash_type"), ("Reshape", "allowzero"),
    ("ScatterElements", "reduction"), ("ScatterND", "reduction"),
}  # fmt: skip
#: What no network can show: onnxruntime refuses it or computes the same, and where it is empty on purpose.
UNSEEN = {
    ("AveragePool", "dilations"), ("Cast", "saturate"), ("Conv", "kernel_shape"), ("ConvInteger", "kernel_shape"), ("ConvTranspose", "kernel_shape"),
    ("QLinearConv", "kernel_shape"), ("AveragePool", "kernel_shape"), ("MaxPool", "kernel_shape"), ("QLinearAveragePool", "kernel_shape"),
    ("BatchNormalization", "momentum"), ("Dropout", "seed"), ("Dropout", "ratio"), ("Dropout", 1), ("Dropout", 2), ("MaxPool", "storage_order"), ("MatMulNBits", "weight_prepacked"),
    ("GroupNormalization", "stash_type"), ("LayerNormalization", "stash_type"), ("RMSNormalization", "stash_type"), ("QuantizeLinear", "saturate"),
    ("QuantizeLinear", "output_dtype"), ("DequantizeLinear", "output_dtype"), ("DequantizeLinear", "axis"), ("QuantizeLinear", "precision"), ("Reshape", "allowzero"),
    ("Cast", "to"), ("Cast", "round_mode"), ("QGemm", 7), ("QGemm", 8), ("QLinearAdd", 2), ("QLinearAdd", 5), ("QLinearMul", 2), ("QLinearMul", 5),
    ("QLinearAveragePool", 2), ("QLinearAveragePool", 4), ("ReverseSequence", "batch_axis"),
}  # fmt: skip
#: An aborted process where onnxruntime meets it.
DEADLY = {("QLinearSoftmax", 2)}


@dataclass(frozen=True)
class Outcome:
    """What the three say of a network: outputs, or a refusal's text."""

    compiler: dict[str, np.ndarray] | str
    definition: dict[str, np.ndarray] | str
    runtime: dict[str, np.ndarray] | str


def outcome(op: str, base: Base, opset: int, variant: Variant | None = None) -> Outcome:
    """Run a network by all three; a traceback is a failure. Where onnxruntime refuses it, onnx.reference is the third."""
    model = model_of(op, base, opset, variant)
    inputs = inputs_of(base, model)

    def by_runtime():
        try:
            return Golden(model).run(inputs)
        except Exception as error:  # onnxruntime's exceptions have no common base
            return str(error)

    def by_definition():
        try:
            return Reference(definition(model)).run(inputs)
        except ValueError as error:
            return str(error)

    runtime, defined = by_runtime(), by_definition()
    shaped = defined if isinstance(runtime, str) else runtime
    for value in model.graph.output:  # what onnx cannot infer of other domains
        if not isinstance(shaped, str):
            value.type.tensor_type.shape.SetInParent()
            for size in shaped[value.name].shape:
                value.type.tensor_type.shape.dim.add().dim_value = size
    try:
        graph = read_network(model, name="walk")
        compiled = evaluate(graph, {item.name: inputs[item.name] for item in graph.inputs})
    except CompilerError as error:
        compiled = str(error)
    return Outcome(compiled, defined, runtime)


def apart(a, b):
    """The largest difference of outputs; infinite where shapes or types differ."""
    if any(a[n].shape != b[n].shape or a[n].dtype != b[n].dtype for n in b):
        return np.inf
    return max(float(np.abs(a[n].astype(np.float64) - b[n].astype(np.float64)).max(initial=0)) for n in b)


def faults(found: Outcome, where: str) -> list[str]:
    """What the three disagree on; a refusal is no disagreement."""
    result = []
    pairs = (("compiler", "definition", 0), ("compiler", "runtime", 1), ("definition", "runtime", 1))
    for one, two, most in pairs:
        a, b = getattr(found, one), getattr(found, two)
        if not isinstance(a, str) and not isinstance(b, str) and apart(a, b) > most:
            result.append(f"{where}: {one} and {two} are {apart(a, b)} apart")
    return result


@cache
def plan(domain: str, op: str) -> tuple[int, ...]:
    """Opsets to walk."""
    if domain:
        return (17,)
    read = versions(op, FIRST_OPSET, LAST_OPSET)
    if not read:
        return tuple(versions(op, LAST_OPSET, NEWEST))
    older = [v for v in versions(op, OLDEST, FIRST_OPSET) if v < FIRST_OPSET and read[0] == FIRST_OPSET and said(op, v) != said(op, FIRST_OPSET)]
    newer = [v for v in versions(op, LAST_OPSET, NEWEST) if v > LAST_OPSET]
    return (*older, *read, *newer)


@pytest.mark.parametrize(("domain", "op"), sorted(BASES), ids=lambda value: value or "onnx")
def test_every_attribute_and_input_is_computed_or_refused(domain, op):
    wrong, shown, refused = [], set(), set()
    for opset in plan(domain, op):
        found = signature(domain, op, opset)
        base = base_of(domain, op, opset)
        plain = outcome(op, base, opset)
        where = f"{op} of opset {opset}"
        wrong += faults(plain, where)
        wrong += [f"{where}: refused by the {who}: {text}" for who in ("compiler", "definition") if isinstance(text := getattr(plain, who), str)]
        optional = [(i, v) for i, name in enumerate(found.inputs) if name.endswith("?") for v in INPUTS.get((op, i), []) if (op, i) not in DEADLY]
        old = base is not BASES[domain, op]
        for key, variant in [*((a, v) for a in found.attributes for v in VARIANTS[op][a]), *([] if old else optional)]:
            if old and variant.operands is not None:
                continue
            said_so = outcome(op, base, opset, variant)
            wrong += faults(said_so, f"{where}, {key}: {dict(variant.attributes)}")
            if isinstance(said_so.compiler, str):
                refused.add((op, key))
            elif isinstance(said_so.definition, str):
                wrong.append(f"{where}, {key}: the compiler computes what the definition refuses: {said_so.definition}")
            if not isinstance(said_so.runtime, str) and (isinstance(plain.runtime, str) or apart(said_so.runtime, plain.runtime)):
                shown.add((op, key))
    assert wrong == []
    assert refused <= REFUSED, "refused, and not in the list of what may be"
    keys = {(op, a) for v in plan(domain, op) for a in signature(domain, op, v).attributes}
    keys |= {(op, i) for v in plan(domain, op) for i, name in enumerate(signature(domain, op, v).inputs) if name.endswith("?")}
    assert keys - shown - UNSEEN - DEADLY == set(), "no network shows that these say anything"


#: Known to the definition alone: what kinds of engines from outside compute, whose codelets come with them.
DEFINED_ALONE = {("", "ReduceL1")}


def test_the_walk_leaves_nothing_out():
    """Every operator that the compiler or the definition knows, every attribute and optional input of every schema of theirs."""
    internal = {key for key in DEFINED if key[0] not in ("", "com.microsoft")} | DEFINED_ALONE
    assert set(BASES) == set(OPERATORS) | (set(DEFINED) - internal)
    missing = []
    for domain, op in BASES:
        for opset in range(OLDEST, NEWEST + 1):
            if not domain and not exists(op, opset):
                continue
            found = signature(domain, op, opset)
            missing += [(op, opset, name) for name in found.attributes if not VARIANTS.get(op, {}).get(name)]
            missing += [(op, opset, i) for i, name in enumerate(found.inputs) if name.endswith("?") and (op, i) not in INPUTS and (op, i) not in DEADLY]
    assert missing == []
    stale = {key for key in immaterial.ATTRIBUTES if key[0] in VARIANTS and key[1] not in VARIANTS[key[0]]}
    assert stale == set()


def test_a_witness_that_passes_something_over_is_noticed():
    """The walk can fail: outputs that an attribute did not reach differ from onnxruntime's."""
    base, variant = BASES["", "Elu"], VARIANTS["Elu"]["alpha"][0]
    plain, said_so = outcome("Elu", base, 13), outcome("Elu", base, 13, variant)
    assert faults(said_so, "Elu") == []
    (first, second, third) = faults(Outcome(plain.compiler, said_so.definition, said_so.runtime), "Elu") + faults(
        Outcome(said_so.compiler, plain.definition, said_so.runtime), "Elu")[1:]
    assert first.startswith("Elu: compiler and definition are ") and second.startswith("Elu: compiler and runtime are ")
    assert third.startswith("Elu: definition and runtime are ")


def test_what_onnxruntime_does_not_run_is_what_onnx_says():
    """Dilated averages: onnx.reference is the third witness."""
    base, (variant,) = BASES["", "AveragePool"], VARIANTS["AveragePool"]["dilations"]
    model = model_of("AveragePool", base, 19, variant)
    inputs = inputs_of(base, model)
    (expected,) = ReferenceEvaluator(model).run(None, inputs)
    found = outcome("AveragePool", base, 19, variant)
    assert np.abs(found.compiler["y0"].astype(int) - expected).max() <= 1
    np.testing.assert_array_equal(found.compiler["y0"], found.definition["y0"])
