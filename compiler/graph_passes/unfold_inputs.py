"""Pass: lay network inputs of few channels out as windows.

    before   Conv(x), kernel 3x3, x a network input of 1 channel: 9 passes of 1 lane each
    after    Conv(x.windows), kernel 1x1, x.windows a network input of 9 channels: 1 pass of 9 lanes

A pass of a matrix unit reduces `rows` input channels at once; with fewer channels the other rows idle. The host, which packs the input
anyway, writes for each pixel the taps of its window side by side: those of a kernel row, or of the whole kernel. Which of the layouts is
taken, if any, is priced: passes times positions, against the bytes to load.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from compiler.ir.network import Conv, EdgeInput, Network, Node, Tensor
from compiler.target import Target
from compiler.tiles import ceil_div


@dataclass(frozen=True)
class Unfold:
    """Windows of a tensor: channel (ky*KW + kx)*C + c of pixel (y, x) is x[c, y*sy + ky*dy - top, x*sx + kx*dx - left].

    All pairs are (y, x). Places outside the tensor hold its zero point.
    """

    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    pads: tuple[int, int]

    def numbers(self) -> tuple[int, ...]:
        """The eight numbers, in the order of the fields."""
        return (*self.kernel, *self.strides, *self.dilations, *self.pads)


def unfolded(array: np.ndarray, numbers: tuple[int, ...], size: tuple[int, int], zero: int) -> np.ndarray:
    """Array (N, KH*KW*C, OH, OW) of the windows of an array (N, C, H, W), see `Unfold`; `size` is (OH, OW)."""
    kh, kw, sy, sx, dy, dx, top, left = numbers
    n, c, h, w = array.shape
    reach = [(size[0] - 1) * sy + (kh - 1) * dy + 1, (size[1] - 1) * sx + (kw - 1) * dx + 1]
    padded = np.full((n, c, max(reach[0], top + h), max(reach[1], left + w)), zero, array.dtype)
    padded[:, :, top : top + h, left : left + w] = array
    taps = [
        padded[:, :, ky * dy : ky * dy + (size[0] - 1) * sy + 1 : sy, kx * dx : kx * dx + (size[1] - 1) * sx + 1 : sx]
        for ky in range(kh) for kx in range(kw)
    ]
    return np.concatenate(taps, axis=1)


def _options(conv: Conv, x: Tensor, y: Tensor) -> list[tuple[Unfold, Conv, tuple[int, int, int, int]]]:
    """Layouts, each with the convolution that reads it and the shape of the windows."""
    oc, c, kh, kw = conv.weight.shape
    (sy, sx), (dy, dx), (top, left, bottom, _) = conv.strides, conv.dilations, conv.pads
    n, _, oh, ow = y.shape
    flat = conv.weight.transpose(0, 2, 3, 1)  # oc, ky, kx, c
    rows = replace(
        conv, weight=np.ascontiguousarray(flat.reshape(oc, kh, kw * c).transpose(0, 2, 1)[..., None]), strides=(sy, 1), dilations=(dy, 1),
        pads=(top, 0, bottom, 0),
    )
    whole = replace(
        conv, weight=np.ascontiguousarray(flat.reshape(oc, kh * kw * c, 1, 1)), strides=(1, 1), dilations=(1, 1), pads=(0, 0, 0, 0)
    )
    return [
        (Unfold((1, kw), (1, sx), (1, dx), (0, left)), rows, (n, kw * c, x.shape[2], ow)),
        (Unfold((kh, kw), (sy, sx), (dy, dx), (top, left)), whole, (n, kh * kw * c, oh, ow)),
    ]


def _price(conv: Conv, x_shape: tuple[int, int, int, int], y: Tensor, target: Target) -> float:
    _, c, kh, kw = conv.weight.shape
    if not target.matrix:
        core, products = target.cores[0].core, target.cores[0].products
        words = kh * kw * ceil_div(c, 4) * ceil_div(2 * y.shape[1], core.lanes) / 2
        load = x_shape[0] * x_shape[2] * x_shape[3] * ceil_div(c, core.granule_bytes) * core.granule_bytes / target.external.bus_bytes
        return max(words * y.shape[0] * y.shape[2] * y.shape[3] / products, load) + load / 4
    unit = target.matrix[0]
    passes = kh * kw * ceil_div(c, unit.rows) * ceil_div(y.shape[1], unit.columns)
    lanes = unit.activation.lanes
    load = x_shape[0] * x_shape[2] * x_shape[3] * ceil_div(c, lanes) * lanes / target.external.bus_bytes
    return max(passes * y.shape[0] * y.shape[2] * y.shape[3], load) + load / 4


def unfold_inputs(network: Network, target: Target) -> tuple[Network, dict[str, tuple[str, Unfold]]]:
    """Rewrite convolutions of network inputs; returns the network and, for each new input tensor, the tensor it shows windows of and how."""
    tensors = dict(network.tensors)
    inputs = {item.tensor: item for item in network.inputs}
    nodes: list[Node] = []
    made: dict[str, tuple[str, Unfold]] = {}
    able = target.matrix or any(unit.products for unit in target.cores[:1])
    for node in network.nodes:
        conv, source = node.attrs, node.inputs[0]
        # The host fills frames with the tensor's zero point, which raw integers of a ConvInteger do not know.
        framed = isinstance(conv, Conv) and any(conv.pads) and conv.x_zero != network.tensors[source].zero_point
        if not isinstance(conv, Conv) or source not in inputs or conv.group != 1 or not able or framed:
            nodes.append(node)
            continue
        x, y = network.tensors[source], network.tensors[node.outputs[0]]
        plain = _price(conv, x.shape, y, target)
        price, chosen = min(
            ((_price(option[1], option[2], y, target), option) for option in _options(conv, x, y)), key=lambda pair: pair[0]
        )
        if price >= plain:
            nodes.append(node)
            continue
        unfold, rewritten, shape = chosen
        name = f"{source}.windows.{node.name}"
        tensors[name] = replace(x, name=name, shape=shape)
        made[name] = (source, unfold)
        nodes.append(replace(node, attrs=rewritten, inputs=(name,)))
    read = {name for node in nodes for name in node.inputs}
    kept = [item for item in network.inputs if item.tensor in read or all(source != item.tensor for source, _ in made.values())]
    new = [EdgeInput(inputs[source].name, inputs[source].dtype, inputs[source].shape, name) for name, (source, _) in made.items()]
    return Network(network.name, (*kept, *new), network.outputs, tuple(nodes), tensors, network.notes), made
