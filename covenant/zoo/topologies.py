"""Topologies: MLPerf Tiny (Banbury et al., 2021), torchvision's ImageNet networks, a transformer encoder block."""

from collections.abc import Callable

import onnx

from covenant.bench.workload_transformer import encoder
from covenant.zoo.layers import Net

__all__ = ["TOPOLOGIES"]


def resnet8() -> onnx.ModelProto:
    """MLPerf Tiny image classification: ResNet-8 on 32x32x3."""
    net = Net("resnet8", (1, 3, 32, 32), seed=8)
    x = net.conv("input", 16, 3)
    for filters, stride in ((16, 1), (32, 2), (64, 2)):
        pads = [0, 0, 1, 1] if stride == 2 else None  # 'same' as Keras counts it
        y = net.conv(net.conv(x, filters, 3, stride=stride, pads=pads), filters, 3, act=None, gain=0.7)
        x = net.relu(net.add(y, x if stride == 1 else net.conv(x, filters, 1, stride=stride, act=None)))
    return net.model(net.dense(net.global_average(x), 10))


def dscnn() -> onnx.ModelProto:
    """MLPerf Tiny keyword spotting: DS-CNN on 49x10 features."""
    net = Net("dscnn_kws", (1, 1, 49, 10), seed=49)
    x = net.conv("input", 64, (10, 4), stride=2, pads=[4, 1, 5, 1])
    for _ in range(4):
        x = net.conv(net.depthwise(x), 64)
    return net.model(net.dense(net.global_average(x), 12))


def mobilenet_v1() -> onnx.ModelProto:
    """MLPerf Tiny visual wake words: MobileNetV1 0.25 on 96x96x3."""
    net = Net("mobilenet_v1_025_96", (1, 3, 96, 96), seed=1)
    x = net.conv("input", 8, 3, stride=2, pads=[0, 0, 1, 1])
    for filters, stride in ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), *((128, 1),) * 5, (256, 2), (256, 1)):
        x = net.conv(net.depthwise(x, stride=stride), filters)
    return net.model(net.dense(net.global_average(x), 2))


def autoencoder() -> onnx.ModelProto:
    """MLPerf Tiny anomaly detection: the fully connected AutoEncoder on 640 features."""
    net = Net("autoencoder", (1, 640), seed=640)
    x = "input"
    for units in (128, 128, 128, 128, 8, 128, 128, 128, 128):
        x = net.dense(x, units, flatten=False, act=True)
    return net.model(net.dense(x, 640, flatten=False))


def mobilenet_v2() -> onnx.ModelProto:
    """MobileNetV2 1.0 on 224x224x3 (Sandler et al., 2018)."""
    net = Net("mobilenet_v2", (1, 3, 224, 224), seed=2)
    x = net.conv("input", 32, 3, stride=2, act="Relu6")
    for expand, filters, repeats, first in ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)):
        for number in range(repeats):
            stride = first if number == 0 else 1
            y = x if expand == 1 else net.conv(x, net.channels[x] * expand, act="Relu6")
            y = net.conv(net.depthwise(y, stride=stride, act="Relu6"), filters, act=None, gain=0.7)
            x = net.add(x, y) if stride == 1 and net.channels[x] == filters else y
    return net.model(net.dense(net.global_average(net.conv(x, 1280, act="Relu6")), 1000))


def _resnet(name: str, seed: int, blocks: tuple[int, ...], *, bottleneck: bool) -> onnx.ModelProto:
    net = Net(name, (1, 3, 224, 224), seed=seed)
    x = net.max_pool(net.conv("input", 64, 7, stride=2), 3, 2, 1)
    for stage, repeats in enumerate(blocks):
        width = 64 << stage
        out = 4 * width if bottleneck else width
        for number in range(repeats):
            stride = 2 if stage and number == 0 else 1
            if bottleneck:
                y = net.conv(net.conv(net.conv(x, width), width, 3, stride=stride), out, act=None, gain=0.5)
            else:
                y = net.conv(net.conv(x, width, 3, stride=stride), out, 3, act=None, gain=0.5)
            shortcut = x if stride == 1 and net.channels[x] == out else net.conv(x, out, stride=stride, act=None)
            x = net.relu(net.add(y, shortcut))
    return net.model(net.dense(net.global_average(x), 1000))


def resnet18() -> onnx.ModelProto:
    """ResNet-18 on 224x224x3 (He et al., 2015)."""
    return _resnet("resnet18", 18, (2, 2, 2, 2), bottleneck=False)


def resnet50() -> onnx.ModelProto:
    """ResNet-50 v1.5 on 224x224x3, the stride in the 3x3 convolution."""
    return _resnet("resnet50", 50, (3, 4, 6, 3), bottleneck=True)


#: Name -> builder of the float network.
TOPOLOGIES: dict[str, Callable[..., onnx.ModelProto]] = {
    "resnet8": resnet8, "dscnn_kws": dscnn, "mobilenet_v1_025_96": mobilenet_v1, "autoencoder": autoencoder,
    "mobilenet_v2": mobilenet_v2, "resnet18": resnet18, "resnet50": resnet50, "encoder_block": encoder,
}
