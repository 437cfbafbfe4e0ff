"""A float network as the quantiser wants it: readable opset, fixed shapes, float32, constants and batch normalisation folded, plain products."""

from __future__ import annotations

import io
import logging
import re
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import onnx
import onnxruntime as ort
from onnxruntime.quantization.shape_inference import quant_pre_process

from acg.text import printable
from compiler.errors import ModelError
from compiler.front.reading.load import prepare_model
from compiler.front.reading.quantised import quantised_operator
from compiler.front.rewrite.subgraphs import reads
from covenant.errors import UserError
from covenant.quantise.float32 import as_float32
from covenant.quantise.normalisations import with_normalisations
from covenant.quantise.products import plain_products
from covenant.quantise.weights import one_axis_each
from verif.golden import open_session

__all__ = ["prepared", "refusal", "silent", "words"]


#: Characters of onnxruntime's own words in a message.
MOST_WORDS = 240
#: Severities of onnxruntime's log; the second is its default.
FATAL, WARNING = 4, 2


@contextmanager
def silent() -> Iterator[None]:
    """onnxruntime's quantiser reports through the root logger, warnings, print and onnxruntime's own log; what matters comes back as an error."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    ort.set_default_logger_severity(FATAL)
    try:
        with redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        ort.set_default_logger_severity(WARNING)
        logging.disable(before)


def words(error: Exception) -> str:
    """The first line of what onnxruntime says, without the places in its sources, cut where it goes on."""
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__).rstrip(".")
    line = re.sub(r"/onnxruntime_src/\S+ (\S+ )*?(?=[A-Z])", "", line)
    return line if len(line) <= MOST_WORDS else f"{line[:MOST_WORDS]}..."


def refusal(name: str, what: str, error: Exception) -> UserError:
    """What is said of a network on which onnxruntime fails."""
    return UserError(f"model {name}: onnxruntime cannot {what} ({words(error)}); expected a float network that it runs")


def _sums_as_additions(model: onnx.ModelProto) -> None:
    """Write each Sum as additions from left to right, in place: onnxruntime adds in that order, but quantises only Add."""
    nodes = []
    for node in model.graph.node:
        if node.op_type != "Sum" or node.domain not in ("", "ai.onnx"):
            nodes.append(node)
            continue
        if len(node.input) == 1:
            nodes.append(onnx.helper.make_node("Identity", [node.input[0]], [node.output[0]], name=node.name))
        partial = node.input[0]
        for number, other in enumerate(node.input[1:], 1):
            last = number == len(node.input) - 1
            total = node.output[0] if last else f"{node.output[0]}/sum_{number}"
            nodes.append(onnx.helper.make_node("Add", [partial, other], [total], name=node.name if last else f"{node.name}/sum_{number}"))
            partial = total
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _require_computed(model: onnx.ModelProto, name: str) -> None:
    """Refuse outputs that no input is on the way to: there is nothing to calibrate. Raises UserError."""
    fixed = {item.name for item in model.graph.initializer}
    for node in model.graph.node:
        if reads(node) <= fixed | {""} and not node.op_type.startswith("Random"):
            fixed.update(node.output)
    found = [value.name for value in model.graph.output if value.name in fixed]
    if found:
        raise UserError(f"model {name}: output {printable(found[0])} is a constant; expected outputs that depend on an input, remove it")


def prepared(model: onnx.ModelProto, *, name: str) -> onnx.ModelProto:
    """Return a float network as the quantiser wants it: see above.

    Raises ModelError, and UserError for a network that is quantised already or that onnxruntime cannot run.
    """
    try:
        fixed, _ = prepare_model(as_float32(model, name=name), name=name)
    except UnicodeDecodeError:  # names are decoded when they are first looked at
        raise ModelError(f"model {name}", found="names that are not UTF-8", expected="a file written by onnx.save", do="export it again") from None
    quantised = quantised_operator(fixed)
    if quantised:
        raise UserError(f"model {name}: quantised already, it has {quantised}; expected a float network")
    _require_computed(fixed, name)
    try:
        open_session(fixed)
    except Exception as error:  # onnxruntime's exceptions have no common base
        raise refusal(name, "run it", error) from None
    fixed = with_normalisations(fixed)
    _sums_as_additions(fixed)
    with tempfile.TemporaryDirectory() as scratch, silent():
        source, target = Path(scratch) / "float.onnx", Path(scratch) / "prepared.onnx"
        onnx.save(fixed, source)
        quant_pre_process(str(source), str(target), skip_symbolic_shape=True)  # shapes are fixed: onnx infers them all
        result = plain_products(onnx.load(target))
    one_axis_each(result)
    return result
