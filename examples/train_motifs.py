"""Train motifs_encoder.onnx: a transformer encoder that says which of two motifs comes first in a sequence of letters.

A sequence has 16 letters of an alphabet of 8 and holds the motifs "abc" and "acb" once each; the other letters are random. The network
sees one-hot letters (1, 16, 8) and gives a logit for each order. Trained in numpy (`autodiff.py`), exported in the form that exporters
write, quantised by onnxruntime. Writes motifs_encoder.onnx, motifs_test.npz and the entry "motifs_encoder" of accuracy.json. Not part of
the test suite.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from autodiff import Adam, Value, backward, cross_entropy, gelu, layer_norm, matmul, softmax

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run as a script from anywhere
from covenant.bench.workload_transformer import FloatGraph, encoder_layer, quantised, random_parameters

TOKENS, LETTERS, CLASSES = 16, 8, 2
WIDTH, HEADS, HIDDEN, BLOCKS = 32, 2, 64, 2
MOTIFS = (np.array([0, 1, 2]), np.array([0, 2, 1]))
TEST_SAMPLES = 400


def _holds(row: np.ndarray, motif: np.ndarray) -> int:
    return sum(bool((row[i : i + 3] == motif).all()) for i in range(TOKENS - 2))


def sequences(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Letters int64 (count, 16) and labels int64 (count,): 0 where "abc" comes first."""
    rows, labels = [], []
    while len(rows) < count:
        row, label = rng.integers(0, LETTERS, TOKENS), int(rng.integers(2))
        first = int(rng.integers(0, TOKENS - 5))
        second = int(rng.integers(first + 3, TOKENS - 2))
        row[first : first + 3], row[second : second + 3] = MOTIFS[label], MOTIFS[1 - label]
        if _holds(row, MOTIFS[0]) == _holds(row, MOTIFS[1]) == 1:
            rows.append(row)
            labels.append(label)
    return np.array(rows), np.array(labels, np.int64)


def one_hot(letters: np.ndarray) -> np.ndarray:
    """float32 (S, 16, 8)."""
    return np.eye(LETTERS, dtype=np.float32)[letters]


def initial(rng: np.random.Generator) -> dict[str, Value]:
    """Parameters by name, `0/query.weight` and so on."""
    arrays = {"embedding": rng.normal(0, 0.5, (LETTERS, WIDTH)), "position": rng.normal(0, 0.5, (TOKENS, WIDTH))}
    for number in range(BLOCKS):
        arrays |= {f"{number}/{name}": array for name, array in random_parameters(rng, WIDTH, HIDDEN).items()}
    arrays |= {"head.weight": rng.normal(0, 0.1, (WIDTH, CLASSES)), "head.bias": np.zeros(CLASSES)}
    return {name: Value(array) for name, array in arrays.items()}


def forward(p: dict[str, Value], samples: np.ndarray) -> Value:
    """Logits (S, 2) of one-hot samples (S, 16, 8)."""
    count, depth = len(samples), WIDTH // HEADS
    x = matmul(Value(samples), p["embedding"]) + p["position"]
    for number in range(BLOCKS):

        def linear(x: Value, part: str, number: int = number) -> Value:
            return matmul(x, p[f"{number}/{part}.weight"]) + p[f"{number}/{part}.bias"]

        query, key, value = (linear(x, part).reshape(count, TOKENS, HEADS, depth).transpose(0, 2, 1, 3) for part in ("query", "key", "value"))
        weights = softmax(matmul(query, key.transpose(0, 1, 3, 2)).scaled(1 / np.sqrt(depth)))
        context = matmul(weights, value).transpose(0, 2, 1, 3).reshape(count, TOKENS, WIDTH)
        x = layer_norm(linear(context, "out") + x, p[f"{number}/norm1.scale"], p[f"{number}/norm1.bias"])
        x = layer_norm(linear(gelu(linear(x, "up")), "down") + x, p[f"{number}/norm2.scale"], p[f"{number}/norm2.bias"])
    return matmul(x.mean(1), p["head.weight"]) + p["head.bias"]


def train(rng: np.random.Generator, *, steps: int, batch: int, rate: float) -> dict[str, Value]:
    """Parameters after `steps` batches, each of fresh sequences."""
    parameters = initial(rng)
    optimiser = Adam(parameters, rate=rate, steps=steps)
    for step in range(steps):
        letters, labels = sequences(rng, batch)
        loss = cross_entropy(forward(parameters, one_hot(letters)), labels)
        backward(loss)
        optimiser.update()
        if step % 500 == 499:
            print(f"step {step + 1}: loss {float(loss.data):.4f}", flush=True)
    return parameters


def export(p: dict[str, np.ndarray]) -> onnx.ModelProto:
    """The float network, input (1, 16, 8), output logits (1, 2)."""
    g = FloatGraph()
    x = g.node("MatMul", ["input", g.constant("embedding", p["embedding"])], "embed/MatMul")
    x = g.node("Add", [x, g.constant("position", p["position"])], "embed/Add")
    for number in range(BLOCKS):
        mine = {name.split("/")[1]: array for name, array in p.items() if name.startswith(f"{number}/")}
        x = encoder_layer(g, x, mine, tokens=TOKENS, heads=HEADS, name=f"block{number}")
    x = g.node("ReduceMean", [x], "pool", axes=[1], keepdims=0)
    g.node("Gemm", [x, g.constant("head.weight", p["head.weight"]), g.constant("head.bias", p["head.bias"])], "head")
    g.nodes[-1].output[0] = "logits"
    return g.model("motifs_encoder", {"input": (1, TOKENS, LETTERS)}, {"logits": (1, CLASSES)})


def score(model: onnx.ModelProto, samples: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Samples that onnxruntime's integer kernels classify correctly."""
    options = ort.SessionOptions()
    options.add_session_config_entry("session.qdqisint8allowed", "1")
    options.add_session_config_entry("session.x64quantprecision", "1")
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    predicted = np.array([session.run(None, {"input": sample[None]})[0].argmax() for sample in samples])
    correct = int((predicted == labels).sum())
    return {"correct": correct, "accuracy": correct / len(labels)}


def macs() -> int:
    """Multiplications of one inference."""
    block = 4 * TOKENS * WIDTH * WIDTH + 2 * TOKENS * TOKENS * WIDTH + 2 * TOKENS * WIDTH * HIDDEN
    return TOKENS * LETTERS * WIDTH + BLOCKS * block + WIDTH * CLASSES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="directory of the files written")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rate", type=float, default=2e-3, help="peak learning rate")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()

    rng = np.random.default_rng(args.seed)
    parameters = train(rng, steps=args.steps, batch=args.batch, rate=args.rate)
    letters, labels = sequences(rng, TEST_SAMPLES)
    samples = one_hot(letters)
    real = export({name: value.data for name, value in parameters.items()})
    model = quantised(real, {"input": one_hot(sequences(rng, 200)[0])}, reduce_range=True)
    onnx.save(model, args.out / "motifs_encoder.onnx")
    np.savez_compressed(args.out / "motifs_test.npz", input=samples, y=labels)
    measured = {"samples": TEST_SAMPLES, "float": score(real, samples, labels), "int8": score(model, samples, labels)}
    entry = {
        "data": "motifs_test.npz", "macs": macs(), "activations": "QInt8", "full_test": measured, "committed": measured,
        "training": {"steps": args.steps, "batch": args.batch, "rate": args.rate, "seed": args.seed, "numpy": np.__version__, "onnxruntime": ort.__version__},
    }
    record = args.out / "accuracy.json"
    entries = json.loads(record.read_text()) if record.exists() else {}
    entries["motifs_encoder"] = entry
    record.write_text(json.dumps(entries, indent=2, sort_keys=True) + "\n")
    print(json.dumps(entry, indent=2))


if __name__ == "__main__":
    main()
