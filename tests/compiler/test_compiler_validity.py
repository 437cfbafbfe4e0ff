"""What ONNX's text forbids is refused by arithmetic on sizes, with the node, what was found and what was expected, before anything is allocated.

Every operator's smallest network is changed; whatever the change, a network compiles or is refused with a CompilerError. A failure shows the
test's parameter, which is the seed: it is replayed by selecting that test.
"""

import random
import resource
import time

import numpy as np
import onnx
import pytest
from onnx import defs, helper, numpy_helper

from acg.graph import load_graph
from compiler.errors import CompilerError, ModelError
from compiler.front.validity.file import SWITCHES
from compiler.passes import compile_network
from compiler.read_network import read_network
from covenant.fuzz.onnx_changes import attribute, parameter
from covenant.fuzz.operator_networks import NETWORKS, operator_network

TINY = load_graph("tiny")


def changed(name, change):
    model = operator_network(name)
    item = next(node for node in model.graph.node if node.op_type == name.split()[-1].rsplit(".", maxsplit=1)[-1])
    change(model, item)
    return model


def setting(key, value):
    """Set an attribute."""

    def change(_, item):
        kept = [a for a in item.attribute if a.name != key]
        del item.attribute[:]
        item.attribute.extend([*kept, helper.make_attribute(key, value)])

    return change


def constant(index, value, dtype=np.int64):
    """Set a constant input."""

    def change(model, item):
        tensor = next(t for t in model.graph.initializer if t.name == item.input[index])
        tensor.CopyFrom(numpy_helper.from_array(np.array(value, dtype), tensor.name))

    return change


def sized(*sizes):
    """Set the shape of the first graph input."""

    def change(model, _):
        dims = model.graph.input[0].type.tensor_type.shape.dim
        del dims[:]
        for size in sizes:
            dims.add().dim_value = size

    return change


MOST = 2**31 - 1
CASES = {
    "group of nothing": ("Conv", setting("group", 0), f"group = 0; expected a number from 1 to {MOST}"),
    "negative group": ("Conv", setting("group", -2), f"group = -2; expected a number from 1 to {MOST}"),
    "group that does not fit": ("Conv", setting("group", 3), "group = 3, weights (6, 2, 3, 2) and an input of shape (1, 4, 6, 6); "
                                "expected as many input channels as groups times channels of the weights"),
    "no stride": ("Conv", setting("strides", [0, 1]), f"strides = [0, 1]; expected numbers from 1 to {MOST}"),
    "one stride": ("Conv", setting("strides", [1]), "strides = [1]; expected 2 numbers, one for each axis of (1, 4, 6, 6) behind the channels"),
    "huge pads": ("MaxPool", setting("pads", [2**40, 0, 0, 0]), f"pads = [1099511627776, 0, 0, 0]; expected numbers from -{MOST} to {MOST}"),
    "other kernel": ("Conv", setting("kernel_shape", [3, 3]), "kernel_shape = [3, 3]; expected [3, 2], as the weights (6, 2, 3, 2) have"),
    "parts": ("Split", setting("num_outputs", 2**40), f"num_outputs = 1099511627776; expected a number from 1 to {MOST}"),
    "parts that no output has": ("Split", setting("num_outputs", 2), "num_outputs = 2; expected 3, as it has outputs"),
    "batches": ("GatherND", setting("batch_dims", -7), f"batch_dims = -7; expected a number from 0 to {MOST}"),
    "axis": ("GatherElements", setting("axis", 7), "axis = 7; expected from -3 to 2 for an input of shape (1, 3, 4)"),
    "axis of onnxruntime's": ("com.microsoft.QLinearConcat", setting("axis", 4), "axis = 4; expected from -3 to 2 for an operand of shape (1, 4, 3)"),
    "order": ("Transpose", setting("perm", [0, 1, 1, 3]), "perm = [0, 1, 1, 3]; expected each of the 4 axes of (1, 4, 3, 3) once"),
    "axes twice": ("ReduceMean", constant(1, [2, -2]), "axes = [2, -2]; expected different axes of 4"),
    "an infinite factor": ("LeakyRelu", setting("alpha", float("-inf")), "alpha = -inf; expected a number that is finite"),
    "no number": ("Elu", setting("alpha", float("nan")), "alpha = nan; expected a number that is finite"),
    "a table of starts": ("Slice", constant(1, [[0, 1]]), "input 1 of shape (1, 2); expected a list, of one axis"),
    "one repetition": ("Tile", constant(1, 2), "input 1 of shape (); expected a list, of one axis"),
    "pads": ("Pad", constant(1, [0] * 5), "pads = [0, 0, 0, 0, 0]; expected 6 numbers, two for each of 3 axes"),
    "repeats": ("Tile", constant(1, [2**40, 1, 1]), "a result t9 of sizes (1099511627776, 4, 3); expected sizes from 0 to "
                f"{MOST} and at most 16777216 elements"),
    "expanded": ("Expand", constant(1, [2**31, 1, 3]), f"a result t9 of sizes (2147483648, 4, 3); expected sizes from 0 to {MOST} and at most 16777216 elements"),
    "a folded shape": ("constant ConstantOfShape", constant(0, [2**20, 2**20]), "a result t2 of sizes (1048576, 1048576); expected sizes from 0 to "
                       f"{MOST} and at most 268435456 elements"),
    "a folded range": ("constant Range", constant(1, 2**40), f"a result t4 of sizes (1099511627776,); expected sizes from 0 to {MOST} and at most 262144 elements"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_refused(case):
    name, change, message = CASES[case]
    model = changed(name, change)
    before, begin = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(ModelError) as error:
        read_network(model, name="m")
    assert str(error.value).startswith("model m: node n_") and str(error.value).endswith(f": found {message}; correct the file")
    assert time.process_time() - begin < 1 and resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 << 10


@pytest.mark.parametrize("sizes", [(1, 4, 3, 2**63 - 1), (2**31, 4, 3, 3), (2**20, 2**20, 1, 1)])
def test_inputs_that_nobody_has(sizes):
    with pytest.raises(ModelError, match=r"^model m: found input x1 of sizes .*; expected sizes up to 2147483647 and at most 268435456 elements; correct the file$"):
        read_network(changed("Relu", sized(*sizes)), name="m")


def test_a_tensor_larger_than_the_memory():
    with pytest.raises(CompilerError, match=r"^memory dram: found tensor .* of \d+ bytes; expected at most \d+; use an architecture with a larger external memory$"):
        compile_network(read_network(changed("Relu", sized(2**6, 2**6, 2**8, 2**8)), name="m"), TINY)


@pytest.mark.parametrize("seed", range(6))
def test_changed_attributes_and_parameters(seed):
    """Twenty changes a seed: compiled, or refused as it should be."""
    rng = random.Random(seed)
    refused = 0
    for _ in range(20):
        model = operator_network(rng.choice(NETWORKS))
        rng.choice((attribute, parameter))(model, rng)
        try:
            compile_network(read_network(model, name="m"), TINY)
        except CompilerError:
            refused += 1
    assert refused


def test_a_resize_to_sizes_that_nobody_has():
    """onnx infers no shape of them, and what the file declares of the result would count."""
    model = operator_network("Resize linear")
    item = next(node for node in model.graph.node if node.op_type == "Resize")
    del item.input[2:]
    item.input.extend(["", "sizes"])
    model.graph.initializer.append(numpy_helper.from_array(np.int64([1, 2**31, 6, 8]), "sizes"))
    with pytest.raises(ModelError, match=rf"\(Resize\): found a result of {2**31 * 48} elements; expected at most {2**24}; correct the file$"):
        read_network(model, name="m")


def test_an_input_of_no_type():
    model = operator_network("Relu")
    model.graph.input[0].type.tensor_type.elem_type = 0
    with pytest.raises(ModelError, match=r"^model m: found input x1 of element type 0; expected a type that ONNX has; correct the file$"):
        read_network(model, name="m")


#: Integers whose default is 0 or 1 and that are no switches.
COUNTED = {"axis", "batch_axis", "batch_dims", "block_size", "broadcast", "dtype", "group", "is_case_sensitive", "is_test", "k", "offset_group", "output_datatype",
           "output_dtype", "output_height", "output_sequence", "output_width", "precision", "qk_matmul_output_mode", "rotary_embedding_dim", "sample_size",
           "sampling_ratio", "spatial", "start", "stash_type", "time_axis", "align_corners"}  # fmt: skip


def test_every_integer_that_is_0_or_1_by_default_is_known_for_what_it_is():
    found = {name for schema in defs.get_all_schemas_with_history() if not schema.domain for name, stated in schema.attributes.items()
             if int(stated.type) == onnx.AttributeProto.INT and stated.default_value.name and stated.default_value.i in (0, 1)}  # fmt: skip
    assert found - set(SWITCHES) == COUNTED and set(SWITCHES) - found == {"channels_last"}


@pytest.mark.parametrize("name", ["allowzero", "keepdims"])
@pytest.mark.parametrize("number", [-1, 2, 2**32])
def test_a_switch_is_0_or_1(name, number):
    operator = {"allowzero": "Reshape", "keepdims": "ReduceMax"}[name]
    with pytest.raises(ModelError, match=f"{name} = {number}; expected a number from 0 to 1"):
        read_network(changed(operator, setting(name, number)), name="m")
