"""Operators in place of what exporters write them as: each node of a graph is held against templates, from the last to the first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from compiler.front.rewrite.formulas import Pattern, heads
from compiler.front.rewrite.matcher import Match, matches
from compiler.front.rewrite.net import Net, Shape, kind
from compiler.front.rewrite.subgraphs import reads


@dataclass
class Found:
    """A value that a template's formula stands for, and what becomes of it."""

    net: Net
    output: str
    match: Match
    constants: list[onnx.TensorProto] = field(default_factory=list)
    nodes: list[onnx.NodeProto] = field(default_factory=list)

    def __getitem__(self, name: str) -> Any:
        return self.match[name]

    def __contains__(self, name: str) -> bool:
        return name in self.match

    def get(self, name: str) -> Any:
        """Return what a name stands for; None where it stands for nothing."""
        return self.match.get(name)

    def shape(self, name: str) -> Shape:
        """Return the shape of the value that a name stands for; () where it is not known."""
        return self.net.shapes.get(self.match[name], ())

    def along_last(self, count: int, *names: str) -> bool:
        """Return whether the axes are the last ones, so many, and constants of these names, where there are any, have all their elements along them."""
        arrays = [self.net.array(self.match[name]) for name in names if name in self.match]
        sizes = {1, prod(self.shape("x")[-count:])}
        fit = all(a is not None and a.size == prod(a.shape[-count:]) and (count == 1 or a.size in sizes) for a in arrays)
        return fit and self.match["axes"] == tuple(range(-count, 0))

    def elements(self, name: str, axis: int, default: float) -> np.ndarray | None:
        """Return the elements of a constant along one axis of x, float64, `default` where there is none; None where it has others."""
        array, shape = self.net.array(self.match[name]) if name in self.match else np.asarray(default), self.shape("x")
        if array is None or array.ndim > len(shape) or array.size != (array.shape[axis] if array.ndim >= -axis else 1):
            return None
        return np.broadcast_to(array.reshape(-1), (shape[axis],)).astype(np.float64) if array.size in (1, shape[axis]) else None

    def along(self, axis: int, **defaults: float) -> list[str] | None:
        """Return new constants, one element a place along one axis of x, for those of these names; None where one has other elements."""
        arrays = {name: self.elements(name, axis, default) for name, default in defaults.items()}
        found = {name: array for name, array in arrays.items() if array is not None}
        return [self.constant(name, array) for name, array in found.items()] if len(found) == len(defaults) else None

    def constant(self, role: str, array: Any) -> str:
        """Add a float32 constant; return its name."""
        name = f"{self.output}/{role}"
        self.constants.append(numpy_helper.from_array(np.asarray(array, np.float32), name))
        return name

    def before(self, role: str, operator: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Add a node in front of the one that makes the value; return the name of its result."""
        result, name = f"{self.output}/{role}", self.node(operator, inputs).name
        self.nodes.append(helper.make_node(operator, inputs, [result], name=f"{name}/{role}", **attributes))
        return result

    def node(self, operator: str, inputs: Sequence[str], *, domain: str = "", **attributes: Any) -> onnx.NodeProto:
        """Return a node that makes the value, named after the node of the part called 'core', or the last one."""
        core = self.net.node(self.match.get("core", self.output))
        assert core is not None
        return helper.make_node(operator, inputs, [self.output], name=core.name or core.output[0], domain=domain, **attributes)


@dataclass(frozen=True)
class Template:
    """A formula and what makes an operator of it, or returns None where the formula alone does not say that it is one.

    The result has the shape of the value that `like` names, if it names one, and that is no constant.
    """

    formula: Pattern
    make: Callable[[Found], onnx.NodeProto | None]
    like: str = "x"


def _made(net: Net, templates: Sequence[tuple[set[str], Template]], node: onnx.NodeProto) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]] | None:
    """The operator that ends in a node, what stands in front of it, and its constants."""
    output = node.output[0] if len(node.output) == 1 else ""
    head = kind(net.node(output))
    if net.origin(output) != output or output in net.constants:
        return None
    for operators, template in templates:
        for match in matches(net, template.formula, output) if head in operators else ():
            found, shape = Found(net, output, match), net.shapes.get(output)
            like = match[template.like] if template.like else output
            fits = like not in net.constants and shape in (None, net.shapes.get(like, shape))
            made = template.make(found) if fits else None
            if made is not None:
                return [*found.nodes, made], found.constants
    return None


def restored(model: onnx.ModelProto, templates: Sequence[Template]) -> onnx.ModelProto:
    """Return `model`, shapes inferred, with operators in place of what the templates stand for; the model itself where there is none of them.

    The first template that fits counts. Nodes between that nothing else reads fall away.
    """
    headed = [(heads(template.formula), template) for template in templates]
    wanted = set().union(*(operators for operators, _ in headed))
    if not any(kind(node) in wanted for node in model.graph.node):
        return model
    net = Net(model)
    live = {value.name for value in model.graph.output}
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []
    changed = False
    for node in reversed(model.graph.node):
        if not live & set(node.output):
            continue
        found = _made(net, headed, node)
        made, extra = found or ([node], [])
        constants += extra
        changed = changed or found is not None
        live |= {name for each in made for name in reads(each)}
        nodes += reversed(made)
    if not changed:
        return model
    result = onnx.ModelProto()
    result.CopyFrom(model)
    del result.graph.node[:]
    result.graph.node.extend(reversed(nodes))
    result.graph.initializer.extend(reversed(constants))
    return result


__all__ = ["Found", "Template", "restored"]
