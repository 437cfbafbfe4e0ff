"""Rules of operators on images: (N, C, D1, D2, ...)."""

from __future__ import annotations

from collections.abc import Callable

from compiler.front.validity.facts import Facts, Shape, sizes

_PER_AXIS = (("kernel_shape", 1), ("strides", 1), ("dilations", 1), ("output_padding", 1), ("output_shape", 1), ("pads", 2))


def images(facts: Facts) -> None:
    """Images have at least one axis behind the channels."""
    shape = facts.shape(0)
    facts.require(shape is None or len(shape) >= 3, f"an input of shape {sizes(shape)}", "(N, C, ...), with an axis behind the channels")


def _window(facts: Facts, shape: Shape | None) -> None:
    """Numbers for each axis of the window, as many as there are."""
    if shape is None:
        return
    images(facts)
    for name, each in _PER_AXIS:
        spatial = len(shape) - 2
        wanted = each * spatial
        if name == "output_shape" and len(facts.attributes.get(name, ())) == len(shape):
            continue
        facts.length(name, facts.attributes.get(name), wanted, f"{'two' if each == 2 else 'one'} for each axis of {sizes(shape)} behind the channels")


def pool(facts: Facts) -> None:
    """AveragePool, LpPool, MaxPool."""
    if not facts.attributes.get("channels_last"):
        _window(facts, facts.shape(0))


def _weights(facts: Facts, shape: Shape | None, weights: Shape | None) -> bool:
    """Whether shapes of images and kernels are known, and are what kernels for them are."""
    _window(facts, shape)
    if shape is None or weights is None:
        return False
    facts.require(len(weights) == len(shape), f"weights of shape {sizes(weights)}", f"{len(shape)} dimensions, as the input {sizes(shape)} has")
    kernel = facts.attributes.get("kernel_shape")
    facts.require(kernel is None or tuple(kernel) == weights[2:], facts.attribute("kernel_shape"), f"{list(weights[2:])}, as the weights {sizes(weights)} have")
    return True


def _bias(facts: Facts, index: int, channels: int) -> None:
    bias = facts.shape(index)
    facts.require(bias is None or bias == (channels,), f"a bias of shape {sizes(bias)}", f"({channels},), one for each output channel")


def convolution(weights_at: int, bias_at: int) -> Callable[[Facts], None]:
    """Return the rule of a convolution whose weights and bias are these inputs."""

    def rule(facts: Facts) -> None:
        shape, weights, group = facts.shape(0), facts.shape(weights_at), facts.attributes.get("group", 1)
        if not _weights(facts, shape, weights):
            return
        assert shape is not None
        assert weights is not None
        facts.require(weights[1] * group == shape[1], f"group = {group}, weights {sizes(weights)} and an input of shape {sizes(shape)}",
                      "as many input channels as groups times channels of the weights")
        facts.require(weights[0] % group == 0, f"group = {group} and {weights[0]} output channels", "groups of equal size")
        if facts.node.op_type != "ConvInteger":
            _bias(facts, bias_at, weights[0])

    return rule


def transposed_convolution(facts: Facts) -> None:
    """ConvTranspose."""
    shape, weights, group = facts.shape(0), facts.shape(1), facts.attributes.get("group", 1)
    if not _weights(facts, shape, weights):
        return
    assert shape is not None
    assert weights is not None
    facts.require(weights[0] == shape[1], f"weights {sizes(weights)} for an input of shape {sizes(shape)}",
                  "as many channels in front of the weights as in the input")
    facts.require(weights[0] % group == 0, f"group = {group} and {weights[0]} input channels", "groups of equal size")
    _bias(facts, 2, weights[1] * group)


def _parameters(facts: Facts, indices: tuple[int, ...], channels: int, why: str) -> None:
    for index in indices:
        found = facts.shape(index)
        facts.require(found is None or found == (channels,), f"input {index} of shape {sizes(found)}", f"({channels},), one for each {why}")


def a_channel(*indices: int) -> Callable[[Facts], None]:
    """Return the rule of parameters with one number for each channel."""

    def rule(facts: Facts) -> None:
        shape = facts.shape(0)
        if shape is not None:
            facts.require(len(shape) >= 2, f"an input of shape {sizes(shape)}", "(N, C, ...)")
            _parameters(facts, indices, shape[1], "channel")

    return rule


def groups(facts: Facts) -> None:
    """GroupNormalization: parameters are one a group before opset 21, one a channel since."""
    shape, number = facts.shape(0), facts.attributes.get("num_groups", 1)
    if shape is None:
        return
    images(facts)
    facts.require(shape[1] % number == 0, f"num_groups = {number} and {shape[1]} channels", "groups of equal size")
    if facts.opset < 21:
        _parameters(facts, (1, 2), number, "group")
    else:
        _parameters(facts, (1, 2), shape[1], "channel")


def blocks(facts: Facts) -> None:
    """DepthToSpace and SpaceToDepth."""
    shape, size = facts.shape(0), facts.attributes.get("blocksize", 1)
    if shape is None:
        return
    facts.require(len(shape) == 4, f"an input of shape {sizes(shape)}", "(N, C, H, W)")
    found = f"blocksize = {size} for an input of shape {sizes(shape)}"
    if facts.node.op_type == "DepthToSpace":
        facts.require(shape[1] % (size * size) == 0, found, "channels that are a multiple of its square")
    else:
        facts.require(shape[2] % size == shape[3] % size == 0, found, "rows and columns that are multiples of it")


__all__ = ["a_channel", "blocks", "convolution", "groups", "images", "pool", "transposed_convolution"]
