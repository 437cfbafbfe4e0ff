"""Train digits_cnn.onnx: a small convolutional network on scikit-learn's 8x8 digits.

Writes digits_cnn.onnx, digits_test.npz and the entry "digits_cnn" of accuracy.json. Not part of the test suite.
"""

from __future__ import annotations

import argparse
import json
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
from onnxruntime.quantization import QuantType
from quantise import publish, seed_everything
from sklearn.datasets import load_digits
from torch import nn

TEST_SAMPLES = 400


def build() -> nn.Module:
    """Return the network: (N, 1, 8, 8) -> logits (N, 10)."""
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, 16, 3, padding=1, bias=False),
            norm1=nn.BatchNorm2d(16),
            relu1=nn.ReLU(),
            conv2=nn.Conv2d(16, 32, 3, padding=1, bias=False),
            norm2=nn.BatchNorm2d(32),
            relu2=nn.ReLU(),
            pool2=nn.MaxPool2d(2),
            conv3=nn.Conv2d(32, 32, 3, padding=1, bias=False),
            norm3=nn.BatchNorm2d(32),
            relu3=nn.ReLU(),
            pool3=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            classifier=nn.Linear(128, 10),
        )
    )


def load(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return training samples and labels, then test samples and labels; pixels 0..16 scaled to 0..1."""
    digits = load_digits()
    order = np.random.default_rng(seed).permutation(len(digits.target))
    samples = (digits.images[order, None] / 16).astype(np.float32)
    labels = digits.target[order].astype(np.int64)
    return samples[TEST_SAMPLES:], labels[TEST_SAMPLES:], samples[:TEST_SAMPLES], labels[:TEST_SAMPLES]


def train(model: nn.Module, samples: np.ndarray, labels: np.ndarray, *, epochs: int, batch: int, rate: float) -> None:
    """Fit `model` with AdamW under a one-cycle learning rate whose peak is `rate`."""
    x, y = torch.from_numpy(samples), torch.from_numpy(labels)
    steps = len(x) // batch
    optimiser = torch.optim.AdamW(model.parameters(), weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=rate, epochs=epochs, steps_per_epoch=steps)
    loss_of = nn.CrossEntropyLoss()
    model.train()
    for _ in range(epochs):
        for chosen in torch.randperm(len(x))[: steps * batch].split(batch):
            optimiser.zero_grad()
            loss_of(model(x[chosen]), y[chosen]).backward()
            optimiser.step()
            schedule.step()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="directory of the files written")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=5e-3, help="peak learning rate")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()

    seed_everything(args.seed, threads=1)
    x_train, y_train, x_test, y_test = load(args.seed)
    model = build()
    train(model, x_train, y_train, epochs=args.epochs, batch=args.batch, rate=args.rate)
    entry = publish(
        "digits_cnn",
        model,
        out=args.out,
        calibration=x_train[:500],
        test=(x_test, y_test),
        subset=np.arange(len(y_test)),
        activations=QuantType.QInt8,
        reduce_range=True,
        training={"epochs": args.epochs, "batch": args.batch, "rate": args.rate, "seed": args.seed},
    )
    print(json.dumps(entry, indent=2))


if __name__ == "__main__":
    main()
