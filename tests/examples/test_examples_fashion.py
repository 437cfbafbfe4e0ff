"""The 1,000 Fashion-MNIST images and the figures of docs/accuracy.md; 'make accuracy' runs all of them on both simulators."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import numpy as np
import onnx
import pytest

from covenant.samples import model_inputs, take
from verif.golden import Golden

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def fashion():
    spec = importlib.util.spec_from_file_location("fashion_accuracy", ROOT / "examples" / "fashion_accuracy.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def table():
    rows = [line.strip("| ").split(" | ") for line in (ROOT / "docs" / "accuracy.md").read_text().splitlines() if line.startswith(("| functional", "| RTL"))]
    return {row[0]: row[1:] for row in rows}


def test_images(fashion):
    inputs, labels = fashion.samples()
    assert len(inputs) == len(labels) == 1000 and set(labels) == set(range(10))
    with np.load(fashion.DATA) as arrays:
        assert {name: (arrays[name].dtype.name, arrays[name].shape) for name in arrays.files} == {
            "images": ("uint8", (1000, 28, 28)), "labels": ("uint8", (1000,)),
        }
        pixels = arrays["images"].astype(np.float64)
    np.testing.assert_allclose(np.concatenate([sample["input"] for sample in inputs])[:, 0], (pixels / 255 - 0.2860) / 0.3530, atol=1e-6)


def test_images_of_the_other_file_are_normalised_alike(fashion):
    """Images that both draws hold are the same numbers."""
    with np.load(ROOT / "examples" / "fashion_test.npz") as other:
        known = {image.tobytes() for image in other["input"]}
    assert sum(sample["input"][0].tobytes() in known for sample in fashion.samples()[0]) > 10


def test_the_table_says_what_onnxruntime_says(fashion, table):
    inputs, labels = fashion.samples()
    golden = Golden(fashion.MODEL)
    hits = np.array([golden.run(sample)["logits"].argmax() for sample in inputs]) == labels
    for where, count in (("functional simulator", 1000), ("RTL", 64)):
        expected = f"{100 * hits[:count].mean():.2f}%"
        images, logits, differ, ours, theirs, _, _, exact = table[where]
        assert (images, logits, differ, ours, theirs, exact) == (f"{count:,}", f"{10 * count:,}", "0", expected, expected, "yes")
    assert table["RTL"][5] == table["RTL"][6] == table["functional simulator"][5] and re.fullmatch(r"[\d,]+", table["RTL"][5])


def test_some_of_them_on_the_functional_simulator(fashion):
    row = fashion.measure("edge16", on="iss", count=16)
    assert (row["differ"], row["logits"], row["exact"]) == (0, 160, True)
    accuracy = row["accuracy"]
    assert accuracy["functional simulator"] == accuracy["reference"] == accuracy["onnxruntime"]
    assert f"{row['cycles']['predicted']:,}" in (ROOT / "docs" / "accuracy.md").read_text()


def test_samples_fit_the_network(fashion):
    inputs, _ = fashion.samples()
    model = onnx.load(fashion.MODEL)
    joined = {"input": np.concatenate([sample["input"] for sample in inputs])}
    assert len(take(joined, model_inputs(model), limit=None, where="x")) == 1000
