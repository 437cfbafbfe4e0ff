"""lower_moves: movements of channels, the same for every pixel, become products where that is cheaper than moving single bytes.

before:  a, b (N, 58, H, W) -> Move, every other channel from b -> y (N, 116, H, W)          channel shuffle
after:   a, b -> Move, channels padded to whole words -> ab (N, 128, H, W) -> Conv 1x1, a weight of 1 a channel -> y

Zeros and ones and a scale of 1 change no bit. Where only convolutions read y they read ab instead, their weights in the order of ab:
no product is added, and they multiply by zero what they did not read. What is cheaper is estimated from the machine's numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from compiler.ir.edit import rebuild
from compiler.ir.network import RANGES, Conv, Move, Network, Node, Tensor
from compiler.ir.rules import verify
from compiler.target import FINISH, Target
from compiler.tiles import ceil_div


@dataclass(frozen=True, eq=False)
class ChannelMap:
    """Channel c of the result is channel `channel[c]` of input `source[c]`, at every pixel; of source -1 it is `constants[channel[c]]`."""

    source: np.ndarray
    channel: np.ndarray


def channel_map(move: Move, inputs: list[Tensor], y: Tensor) -> ChannelMap | None:
    """Return the channels a Move takes; None where it does anything else."""
    n, c, h, w = y.shape
    if any((t.shape[0], t.shape[2:]) != (n, (h, w)) for t in inputs) or move.index.min() < -move.constants.size:
        return None
    pixels = h * w
    index = move.index.reshape(n, c, pixels)
    starts = np.cumsum([0, *(t.elements for t in inputs)])
    first = index[0, :, 0]
    source = np.where(first < 0, -1, np.searchsorted(starts, first, side="right") - 1)
    offset = first - starts[np.maximum(source, 0)]
    channels = np.array([t.shape[1] for t in inputs])[np.maximum(source, 0)]
    image, inside = np.arange(n)[:, None, None], np.arange(pixels)
    expected = np.where(source[:, None] < 0, first[:, None], first[:, None] + image * (channels * pixels)[:, None] + inside)
    if (offset[source >= 0] % pixels).any() or not np.array_equal(index, expected):
        return None
    return ChannelMap(source, np.where(source < 0, -1 - first, offset // pixels))


class _Lowering:
    """Decides and rewrites one network for one machine."""

    def __init__(self, network: Network, target: Target) -> None:
        self.network, self.target = network, target
        self.unit = target.matrix[0]
        self.vector = next(v for v in target.vector if v.engine.can(FINISH))
        self.lanes = max([v.lanes for v in target.vector] + [self.unit.activation.lanes])
        self.tensors = dict(network.tensors)
        self.together: dict[tuple[str, ...], str] = {}
        self.nodes: list[Node] = []
        self.folded: dict[str, tuple[str, np.ndarray]] = {}

    def run(self) -> Network:
        """Return the rewritten network."""
        for node in self.network.nodes:
            if isinstance(node.attrs, Move):
                node = self._move(node)
            elif isinstance(node.attrs, Conv) and node.inputs[0] in self.folded:
                node = self._reader(node)
            self.nodes.append(node)
        return verify(rebuild(self.network, nodes=self.nodes, tensors=self.tensors))

    def _move(self, node: Node) -> Node:
        inputs, y = [self.tensors[t] for t in node.inputs], self.tensors[node.outputs[0]]
        assert isinstance(node.attrs, Move), f"{node.name} is no movement"
        found = channel_map(node.attrs, inputs, y)
        if found is None or any(t.dtype == "i32" or (t.scale, t.zero_point) != (y.scale, y.zero_point) for t in inputs):
            return node
        width = self._offsets(inputs)[-1]
        pixels = y.elements // y.shape[1]
        gather = 0 if len(inputs) == 1 else pixels * sum(ceil_div(t.shape[1], self.vector.lanes) for t in inputs)
        blocks = ceil_div(width, self.unit.rows)
        product = gather + pixels * blocks * ceil_div(y.shape[1], self.unit.columns)
        fold = gather + self._fold_price(node, found, blocks)
        copies = self._copy_price(found, y)
        if min(product, fold) >= copies:
            return node
        together, where = self._gathered(node, inputs, found)
        if fold <= product:
            self.folded[y.name] = (together, where)
            return node  # nothing reads it any more
        return self._product(node, found, together, where)

    def _copy_price(self, found: ChannelMap, y: Tensor) -> float:
        """Cycles of copying: words with the vector unit where lanes stay, else each run of channels of a pixel with a burst, and back."""
        pixels = y.elements // y.shape[1]
        lane = np.arange(y.shape[1]) % self.vector.lanes
        stays = (found.channel % self.vector.lanes == lane) | (found.source < 0)
        if stays.all():
            return 0.0
        breaks = (np.diff(found.source) != 0) | (np.diff(found.channel) != 1)
        runs = 1 + int((breaks & ~(stays[1:] & stays[:-1])).sum())
        store = self.target.store_path(self.unit.activation).engine
        external = self.target.external
        burst = max(1.0, (external.write_latency_cycles + self.unit.activation.read_latency_cycles + 5) / store.number("outstanding_bursts"))
        bytes_ = pixels * ceil_div(y.shape[1], self.lanes) * self.lanes
        return pixels * runs * burst + 2 * bytes_ / external.bus_bytes

    def _fold_price(self, node: Node, found: ChannelMap, blocks: int) -> float:
        """Cycles that the readers take longer if they read all channels; infinite where they cannot."""
        y = self.tensors[node.outputs[0]]
        readers = self.network.consumers(y.name)
        able = all(isinstance(r.attrs, Conv) and r.attrs.group == 1 for r in readers) and bool((found.source >= 0).all())
        unique = len(set(zip(found.source.tolist(), found.channel.tolist(), strict=True))) == y.shape[1]
        if not readers or not able or not unique or self.network.is_output(y.name):
            return float("inf")
        cycles = 0.0
        for reader in readers:
            assert isinstance(reader.attrs, Conv), "only convolutions were found"
            out = self.network.tensors[reader.outputs[0]]
            taps = int(np.prod(reader.attrs.weight.shape[2:]))
            more = blocks - ceil_div(y.shape[1], self.unit.rows)
            cycles += more * taps * ceil_div(out.shape[1], self.unit.columns) * out.elements / out.shape[1]
        return cycles

    def _offsets(self, inputs: list[Tensor]) -> list[int]:
        """First channel of each input where they stand together, each but the last padded to whole words, and the number of channels."""
        offsets = [0]
        for t in inputs[:-1]:
            offsets.append(offsets[-1] + ceil_div(t.shape[1], self.lanes) * self.lanes)
        return [*offsets, offsets[-1] + inputs[-1].shape[1]]

    def _gathered(self, node: Node, inputs: list[Tensor], found: ChannelMap) -> tuple[str, np.ndarray]:
        """The tensor in which all inputs stand together, and the channel of it that each channel of the result is (-1: a constant)."""
        offsets = self._offsets(inputs)
        where = np.where(found.source < 0, -1, np.array(offsets[:-1])[np.maximum(found.source, 0)] + found.channel)
        if len(inputs) == 1:
            return inputs[0].name, where
        if node.inputs not in self.together:
            n, _, h, w = inputs[0].shape
            name = f"{node.outputs[0]}.together"
            index = np.full((n, offsets[-1], h, w), -1)
            base = 0
            for t, at in zip(inputs, offsets, strict=False):
                index[:, at : at + t.shape[1]] = base + np.arange(t.elements).reshape(t.shape)
                base += t.elements
            first = inputs[0]
            self.tensors[name] = Tensor(name, (n, offsets[-1], h, w), first.dtype, first.scale, first.zero_point)
            self.nodes.append(Node(f"{node.name}.together", Move(index), node.inputs, (name,), node.origin))
            self.together[node.inputs] = name
        return self.together[node.inputs], where

    def _product(self, node: Node, found: ChannelMap, together: str, where: np.ndarray) -> Node:
        x, y = self.tensors[together], self.tensors[node.outputs[0]]
        assert isinstance(node.attrs, Move), f"{node.name} is no movement"
        weight = np.zeros((y.shape[1], x.shape[1], 1, 1), np.int8)
        taken = np.flatnonzero(where >= 0)
        weight[taken, where[taken]] = 1
        bias = np.zeros(y.shape[1], np.int32)
        fixed = np.flatnonzero(where < 0)
        bias[fixed] = node.attrs.constants[found.channel[fixed]].astype(np.int32) - y.zero_point
        scale = 1.0 if y.scale is None else y.scale
        low, high = RANGES[y.dtype]
        attrs = Conv(weight, bias, scale, y.zero_point, np.ones(1, np.float32), 0, scale, y.zero_point, y_low=low, y_high=high)
        return replace(node, attrs=attrs, inputs=(together,))

    def _reader(self, node: Node) -> Node:
        together, where = self.folded[node.inputs[0]]
        assert isinstance(node.attrs, Conv), f"{node.name} is no convolution"
        given = node.attrs.weight
        weight = np.full((given.shape[0], self.tensors[together].shape[1], *given.shape[2:]), node.attrs.w_zero, given.dtype)
        weight[:, where] = given
        return replace(node, attrs=replace(node.attrs, weight=weight), inputs=(together,))


def lower_moves(network: Network, target: Target) -> Network:
    """Return `network` with movements of channels as products where the machine is faster so."""
    if not target.matrix or not any(v.engine.can(FINISH) for v in target.vector) or not any(isinstance(n.attrs, Move) for n in network.nodes):
        return network
    return _Lowering(network, target).run()
