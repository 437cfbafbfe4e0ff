"""Compile time and memory as ``make bench`` prints them: of a process of their own."""

from pathlib import Path

from acg.graph import load_graph
from covenant.bench.compile import LARGE, measure
from covenant.networks import compile_file
from covenant.zoo.topologies import TOPOLOGIES

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits_cnn.onnx"


def test_figures_of_a_fresh_process():
    figures = measure(DIGITS, "tiny")
    assert figures["instructions"] == len(compile_file(str(DIGITS), load_graph("tiny"))[1].instructions)
    assert figures["file_bytes"] == DIGITS.stat().st_size
    assert 0 < figures["import_seconds"] < 60 and 0 < figures["compile_seconds"] < 60
    assert 2**24 < figures["peak_bytes"] < 2**31  # an interpreter with numpy and onnx takes more than 16 MiB


def test_the_large_networks_are_of_the_zoo():
    assert set(LARGE) <= set(TOPOLOGIES)
