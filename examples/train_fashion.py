"""Train fashion_dscnn.onnx: a depthwise-separable network with a residual addition on Fashion-MNIST.

Reads the four gzipped IDX files of Fashion-MNIST. Writes fashion_dscnn.onnx, fashion_test.npz and the entry
"fashion_dscnn" of accuracy.json. Not part of the test suite.
"""

from __future__ import annotations

import argparse
import gzip
import json
import time
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
from onnxruntime.quantization import QuantType
from quantise import publish, seed_everything
from torch import nn
from torch.nn import functional

#: Mean and standard deviation of the training pixels, scaled to 0..1.
MEAN, DEVIATION = 0.2860, 0.3530
COMMITTED_SAMPLES = 400
SHIFT_PIXELS = 2


def convolution(
    inputs: int, outputs: int, kernel: int, *, stride: int = 1, group: int = 1
) -> list[tuple[str, nn.Module]]:
    """Return a "same"-padded convolution and its batch normalisation."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=group, bias=False)
    return [("conv", conv), ("norm", nn.BatchNorm2d(outputs))]


class Separable(nn.Module):
    """Depthwise 3x3 with relu, then pointwise 1x1; `residual` adds the input before the last relu."""

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1, residual: bool = False) -> None:
        super().__init__()
        if residual and (inputs != outputs or stride != 1):
            raise ValueError(f"a residual block keeps its shape, not {inputs} -> {outputs} channels at stride {stride}")
        depthwise = convolution(inputs, inputs, 3, stride=stride, group=inputs)
        self.depthwise = nn.Sequential(OrderedDict([*depthwise, ("relu", nn.ReLU())]))
        self.pointwise = nn.Sequential(OrderedDict(convolution(inputs, outputs, 1)))
        self.relu = nn.ReLU()
        self.residual = residual

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.pointwise(self.depthwise(x))
        return self.relu(y + x if self.residual else y)


def build() -> nn.Module:
    """Return the network: (N, 1, 28, 28) -> logits (N, 10)."""
    return nn.Sequential(
        OrderedDict(
            stem=nn.Sequential(OrderedDict([*convolution(1, 32, 3), ("relu", nn.ReLU())])),
            block1=Separable(32, 64, stride=2),  # 28x28 -> 14x14
            block2=Separable(64, 64, residual=True),
            block3=Separable(64, 128, stride=2),  # 14x14 -> 7x7
            block4=Separable(128, 128),
            pool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            classifier=nn.Linear(128, 10),
        )
    )


def load(directory: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the normalised samples (S, 1, 28, 28) and labels (S,) of `part`, "train" or "t10k"."""
    images = gzip.decompress((directory / f"{part}-images-idx3-ubyte.gz").read_bytes())
    labels = gzip.decompress((directory / f"{part}-labels-idx1-ubyte.gz").read_bytes())
    # IDX headers: 16 bytes before three-dimensional data, 8 before one-dimensional.
    pixels = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 1, 28, 28)
    samples = (pixels.astype(np.float32) / 255 - MEAN) / DEVIATION
    return samples.astype(np.float32), np.frombuffer(labels, np.uint8, offset=8).astype(np.int64)


def augment(x: torch.Tensor) -> torch.Tensor:
    """Flip half of the batch left to right and shift the whole batch by up to SHIFT_PIXELS either way."""
    flipped = torch.rand(len(x), 1, 1, 1) < 0.5
    x = torch.where(flipped, x.flip(3), x)
    padded = functional.pad(x, [SHIFT_PIXELS] * 4, value=-MEAN / DEVIATION)
    top, left = torch.randint(0, 2 * SHIFT_PIXELS + 1, (2,)).tolist()
    return padded[:, :, top : top + x.shape[2], left : left + x.shape[3]].contiguous()


def train(model: nn.Module, samples: np.ndarray, labels: np.ndarray, *, epochs: int, batch: int, rate: float) -> None:
    """Fit `model` with AdamW under a one-cycle learning rate whose peak is `rate`."""
    x, y = torch.from_numpy(samples), torch.from_numpy(labels)
    steps = len(x) // batch
    optimiser = torch.optim.AdamW(model.parameters(), weight_decay=2e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=rate, epochs=epochs, steps_per_epoch=steps)
    loss_of = nn.CrossEntropyLoss(label_smoothing=0.05)
    model.train()
    start = time.monotonic()
    for epoch in range(epochs):
        total = 0.0
        for chosen in torch.randperm(len(x))[: steps * batch].split(batch):
            optimiser.zero_grad()
            loss = loss_of(model(augment(x[chosen])), y[chosen])
            loss.backward()
            optimiser.step()
            schedule.step()
            total += loss.item()
        print(f"epoch {epoch + 1}/{epochs}  loss {total / steps:.4f}  {time.monotonic() - start:.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="directory of the *-ubyte.gz files")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="directory of the files written")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rate", type=float, default=6e-3, help="peak learning rate")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1, help="torch threads; part of what makes a run repeatable")
    args = parser.parse_args()

    seed_everything(args.seed, threads=args.threads)
    x_train, y_train = load(args.data, "train")
    x_test, y_test = load(args.data, "t10k")
    model = build().to(memory_format=torch.channels_last)
    train(model, x_train, y_train, epochs=args.epochs, batch=args.batch, rate=args.rate)
    generator = np.random.default_rng(args.seed)
    entry = publish(
        "fashion_dscnn",
        model,
        out=args.out,
        calibration=x_train[generator.permutation(len(x_train))[:500]],
        test=(x_test, y_test),
        subset=np.sort(generator.permutation(len(x_test))[:COMMITTED_SAMPLES]),
        activations=QuantType.QUInt8,
        reduce_range=True,
        training={"epochs": args.epochs, "batch": args.batch, "rate": args.rate, "seed": args.seed},
    )
    print(json.dumps(entry, indent=2))


if __name__ == "__main__":
    main()
