"""Reading an ONNX file: what is wrong with a file or a model as a whole is said here, before any operator is looked at."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import inliner, shape_inference
from onnx.external_data_helper import load_external_data_for_model

from compiler.errors import CompilerError, ModelError
from compiler.front.reading.clean import clean, drop_unread, opset_of
from compiler.front.reading.external import bounded_external_data
from compiler.front.reading.names import settle_names
from compiler.front.rewrite.account import require_read
from compiler.front.rewrite.branches import settle_branches
from compiler.front.rewrite.computed_bias import split_computed_bias
from compiler.front.rewrite.einsum import write_einsums
from compiler.front.rewrite.hoist_transposes import hoist_transposes
from compiler.front.rewrite.restore import restored
from compiler.front.rewrite.templates.catalogue import OPERATORS
from compiler.front.validity.infer import Inference

#: Most bytes of a protobuf message.
MOST_BYTES = (1 << 31) - 1


def load_model(path: str | Path) -> onnx.ModelProto:
    """Read an ONNX file, external data included, its names made printable. Raises ModelError when there is none or it is not one."""
    path = Path(path)
    where = f"model {path}"
    if not path.is_file():
        found = "a directory" if path.is_dir() else "no such file"
        raise ModelError(where, found=found, expected="an ONNX file", do="check the path")
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise ModelError(where, found=f"{size} bytes", expected=f"at most {MOST_BYTES}, as many as a message may have", do="save it with external data")
    try:
        model = onnx.load(path, load_external_data=False)
        bounded_external_data(model)
        load_external_data_for_model(model, str(path.parent))
    except DecodeError:
        found = "bytes that are not an ONNX model"
        raise ModelError(where, found=found, expected="a file written by onnx.save", do="export it again") from None
    except (OSError, RuntimeError, ValueError, onnx.checker.ValidationError) as error:
        found = f"an unreadable model ({_line(error)})"
        raise ModelError(where, found=found, expected="a complete ONNX model", do="export it again") from None
    if not model.graph.node and not model.graph.output:
        raise ModelError(where, found="an empty graph", expected="nodes and outputs", do="export it again")
    try:
        settle_names(model)
    except UnicodeError:
        raise ModelError(where, found="names that are not UTF-8", expected="a file written by onnx.save", do="export it again") from None
    return model


def _line(error: Exception) -> str:
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return text.rstrip(".")


def _fix_dimensions(model: onnx.ModelProto, dimensions: Mapping[str, int], where: str) -> None:
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param in dimensions:
                dim.dim_value = dimensions[dim.dim_param]
    constants = {i.name for i in model.graph.initializer}
    left: dict[str, list[int | str]] = {}
    for value in model.graph.input:
        if value.name in constants:
            continue
        if not value.type.tensor_type.HasField("shape"):
            found = f"input {value.name} without a shape"
            raise ModelError(where, found=found, expected="a fixed shape", do=f"give --shape {value.name}=SIZE,SIZE,...")
        sizes = [d.dim_value if d.HasField("dim_value") else d.dim_param or "?" for d in value.type.tensor_type.shape.dim]
        if 0 in sizes:
            found = f"input {value.name} ({', '.join(map(str, sizes))}) without elements"
            raise ModelError(where, found=found, expected="at least one element", do=f"give --shape {value.name}=SIZE,SIZE,...")
        if any(not isinstance(s, int) or s < 1 for s in sizes):
            left[value.name] = sizes
    if left:
        texts = {name: ", ".join(map(str, sizes)) for name, sizes in left.items()}
        options = " ".join(f"--shape {name}={text.replace(' ', '')}" for name, text in texts.items())
        raise ModelError(
            where,
            found=f"dimensions left open: {'; '.join(f'{name} ({text})' for name, text in texts.items())}",
            expected="positive numbers",
            do=f"give {options}, with numbers for what is open",
        )


def _inferred(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with shapes inferred. What the file declares of values and outputs that inference contradicts does not count.

    onnx counts windows of a ceil_mode pool that begin in the padding at the end, against the text of the standard, and then finds
    correct declared shapes wrong: with such pools a conflict of shapes is no error. The importer computes its own shapes.
    """
    strict = not any(a.name == "ceil_mode" and a.i for node in model.graph.node for a in node.attribute)
    try:
        return shape_inference.infer_shapes(model, check_type=True, strict_mode=strict, data_prop=True)
    except shape_inference.InferenceError as error:
        bare = onnx.ModelProto.FromString(model.SerializeToString())
        for value in (*bare.graph.value_info, *bare.graph.output):
            if value.type.HasField("tensor_type"):
                value.type.tensor_type.ClearField("shape")
        try:
            return shape_inference.infer_shapes(bare, check_type=True, strict_mode=strict, data_prop=True)
        except shape_inference.InferenceError:
            raise error from None


def _rewritten(model: onnx.ModelProto, opset: int, name: str) -> onnx.ModelProto:
    """Return the model in operators that the importer knows in its place. Raises UnsupportedError where these would say less."""
    written = hoist_transposes(restored(write_einsums(split_computed_bias(model), _inferred), OPERATORS))
    if written is model:
        return model
    drop_unread(written)
    require_read(model, written, opset, name)
    return _inferred(written)


def prepare_model(
    model: onnx.ModelProto, *, name: str = "model", dimensions: Mapping[str, int] | None = None
) -> tuple[onnx.ModelProto, int]:
    """Return (checked copy, cleaned, with local functions inlined, dimensions fixed and shapes inferred; opset).

    `dimensions` gives sizes to named dimensions. Raises ModelError for a model that onnx refuses, another opset or open dimensions, and
    UnsupportedError where operators that the importer knows would say less than those that they stand for.
    """
    where = f"model {name}"
    fixed = clean(model, name=name)
    opset = opset_of(fixed, where)
    _fix_dimensions(fixed, dimensions or {}, where)
    if fixed.graph.sparse_initializer:
        raise ModelError(where, found="sparse initializers", expected="dense ones", do="export it with dense initializers")
    try:
        onnx.checker.check_model(fixed)
        if fixed.functions:
            fixed = inliner.inline_local_functions(fixed)
        Inference(where).judge(fixed)
        fixed = _rewritten(settle_branches(_inferred(fixed), opset, _inferred), opset, name)
    except (UnicodeDecodeError, CompilerError):  # the caller's, whichever name it is; said already
        raise
    except (onnx.checker.ValidationError, shape_inference.InferenceError, RuntimeError, ValueError) as error:
        found = f"a model that onnx refuses ({_line(error)})"
        raise ModelError(where, found=found, expected="a valid model", do="correct it, see onnx.checker") from None
    return fixed, opset


def definition(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the network as a reference evaluates it node by node: cleaned, and without branches that shapes decide. Raises ModelError."""
    cleaned = clean(model)
    return prepare_model(model)[0] if any(node.op_type == "If" for node in cleaned.graph.node) else cleaned
