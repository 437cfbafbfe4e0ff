"""Fashion-MNIST, 1,000 test images, sample by sample: the functional simulator and the RTL against onnxruntime.

    python examples/fashion_accuracy.py                  1,000 images on the functional simulator, the first 64 on the RTL, of edge16
    python examples/fashion_accuracy.py --draw FOLDER    writes fashion_1000.npz anew from the four *-ubyte.gz files

Exit status 1 where any logit of any image differs from onnxruntime's, or any cycle from the prediction.
"""

from __future__ import annotations

import argparse
import gzip
import sys
from pathlib import Path

import numpy as np

from covenant.arrays import read_arrays
from covenant.files import write_arrays, write_text
from covenant.networks import open_network
from covenant.report import judge_network
from covenant.terminal.show import table

HERE = Path(__file__).resolve().parent
MODEL, DATA = HERE / "fashion_dscnn.onnx", HERE / "fashion_1000.npz"
#: Mean and deviation that the network was trained with (train_fashion.py).
MEAN, DEVIATION = 0.2860, 0.3530
IMAGES, SEED = 1000, 2


def draw(folder: Path) -> dict[str, np.ndarray]:
    """Return ``images`` uint8 (1000, 28, 28) and ``labels`` uint8 (1000,): a seeded draw from the 10,000 test images."""
    # IDX headers: 16 bytes before three-dimensional data, 8 before one-dimensional.
    images = np.frombuffer(gzip.decompress((folder / "t10k-images-idx3-ubyte.gz").read_bytes()), np.uint8, offset=16).reshape(-1, 28, 28)
    labels = np.frombuffer(gzip.decompress((folder / "t10k-labels-idx1-ubyte.gz").read_bytes()), np.uint8, offset=8)
    chosen = np.sort(np.random.default_rng(SEED).permutation(len(labels))[:IMAGES])
    return {"images": images[chosen], "labels": labels[chosen]}


def samples() -> tuple[list[dict[str, np.ndarray]], np.ndarray]:
    """Return the committed images as the network wants them, one dict a sample, and the labels int64 (1000,)."""
    arrays = read_arrays(DATA)
    inputs = ((arrays["images"].astype(np.float32) / 255 - MEAN) / DEVIATION).astype(np.float32)
    return [{"input": image[None, None]} for image in inputs], arrays["labels"].astype(np.int64)


def measure(arch: str, *, on: str, count: int) -> dict[str, object]:
    """Run the first ``count`` images and compare: logits that differ, classes that differ, accuracies, cycles."""
    inputs, labels = samples()
    network = open_network(str(MODEL), arch)
    report, _ = judge_network(network, inputs[:count], labels=labels[:count], on=on)
    golden = report["outputs"]["logits"]["onnxruntime"]
    return {"on": on, "images": count, "differ": golden["mismatches"], "logits": report["outputs"]["logits"]["elements"],
            "accuracy": report["accuracy"], "cycles": report["cycles"], "exact": report["exact"]}


def text(arch: str, rows: list[dict]) -> str:
    """The table as Markdown."""
    lines = [
        "<!-- Made by `python examples/fashion_accuracy.py --markdown docs/accuracy.md` (make accuracy): do not edit. -->",
        f"# Fashion-MNIST on {arch}", "",
        f"`examples/fashion_dscnn.onnx` on {IMAGES:,} test images (a seeded draw from the 10,000), sample by sample against onnxruntime. Where no logit "
        "differs, no class does.", "",
        "| on | images | logits | differ from onnxruntime | accuracy | onnxruntime | cycles an image, predicted | measured | exact |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---|",
    ]
    for row in rows:
        ours, golden = next(iter(row["accuracy"].values())), row["accuracy"]["onnxruntime"]
        measured = "-" if row["cycles"]["measured"] is None else f"{row['cycles']['measured']:,}"
        lines.append(f"| {'RTL' if row['on'] == 'rtl' else 'functional simulator'} | {row['images']:,} | {row['logits']:,} | {row['differ']:,} | "
                     f"{100 * ours:.2f}% | {100 * golden:.2f}% | {row['cycles']['predicted']:,} | {measured} | {'yes' if row['exact'] else 'NO'} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--arch", default="edge16")
    parser.add_argument("--iss", type=int, default=IMAGES, help="images on the functional simulator")
    parser.add_argument("--rtl", type=int, default=64, help="images on the RTL")
    parser.add_argument("--markdown", help="write the table as Markdown")
    parser.add_argument("--draw", type=Path, help="folder of the *-ubyte.gz files: write fashion_1000.npz and stop")
    args = parser.parse_args()
    if args.draw:
        write_arrays(DATA, draw(args.draw))
        return 0
    rows = [measure(args.arch, on=on, count=count) for on, count in (("iss", args.iss), ("rtl", args.rtl)) if count]
    if args.markdown:
        write_text(args.markdown, text(args.arch, rows))
    print(table(("on", "images", "logits that differ", "accuracies", "exact"),
                [(row["on"], row["images"], row["differ"], row["accuracy"], "yes" if row["exact"] else "NO") for row in rows]))
    return 0 if all(row["exact"] and not row["differ"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
