"""A space is read whole or refused whole, with every problem's line; its points and names follow from it."""

import pytest

from acg.errors import ArchitectureError
from covenant.errors import UserError
from covenant.explore.space import point_name, read_space

GOOD = """\
base: tiny
networks: {dscnn_kws: 2, autoencoder: 1}
numbers:
  "matrix.rows, matrix.columns": [4, 8]
  act.banks: {from: 2, to: 8, times: 2}
  control.queue_depth: {from: 2, to: 6, step: 2}
engines: {vector: [1, 2]}
constraints: {on_chip_bytes: {most: 100000}}
search: {method: exhaustive, points: 5, seed: 3}
"""


def written(folder, text):
    path = folder / "s.yaml"
    path.write_text(text)
    return path


def problems(folder, text):
    with pytest.raises(ArchitectureError) as error:
        read_space(written(folder, text))
    return [line.replace(f"{folder}/", "") for line in error.value.problems]


def test_a_space(tmp_path):
    space = read_space(written(tmp_path, GOOD))
    assert [(d.name, d.values) for d in space.dimensions] == [
        ("matrix.rows, matrix.columns", (4, 8)), ("act.banks", (2, 4, 8)), ("control.queue_depth", (2, 4, 6)), ("engines.vector", (1, 2))]
    assert space.size == 36 and space.networks == (("dscnn_kws", 2), ("autoencoder", 1)) and space.objectives == ("cycles", "on_chip_bytes")
    assert space.base_point() == (0, 1, 1, 0)
    assert space.settings((1, 2, 0, 1)) == (
        {("matrix", "rows"): 8, ("matrix", "columns"): 8, ("act", "banks"): 8, ("control", "queue_depth"): 2}, {"vector": 2})
    assert point_name("tiny", space.choices((1, 2, 0, 1))) != point_name("tiny", space.choices((1, 2, 0, 0)))


@pytest.mark.parametrize("old,new,told", [
    ("base: tiny\n", "", "s.yaml:1: base: missing; expected a value, add the key"),
    ("seed: 3", "seed: 3, sed: 4", "s.yaml:9: search.sed: unknown key; expected only the keys of docs/exploration.md, remove it or mend its spelling"),
    ("act.banks: {from: 2, to: 8, times: 2}", "act.banks: {from: 8, to: 2, times: 2}",
     "s.yaml:5: numbers.act.banks: found {'from': 8, 'to': 2, 'times': 2}; value error, expected numbers above 0: from, to not below it, and one of times "
     "and step"),
    ("act.banks:", "act.bank:", "s.yaml:5: numbers.act.bank: tiny has no 'act.bank'; expected engine.size, memory.key, control.queue_depth or "
     "control.outstanding_bursts of its description"),
    ("act.banks:", "matrix.rows:", "s.yaml:5: numbers.matrix.rows: matrix.rows varies twice; expected each place once"),
    ("[4, 8]", "[4, 4]", "s.yaml:4: numbers.matrix.rows, matrix.columns: found 2 values, 1 of them different; expected each once, at most 256"),
    ("engines: {vector", "engines: {vektor", "s.yaml:7: engines.vektor: tiny has no such engine; expected one of load, matrix, vector, store"),
    ("[1, 2]", "[1, 1]", "s.yaml:7: engines.vector: a count stands twice; expected each once"),
    ("on_chip_bytes: {most", "bytes: {most", "s.yaml:8: constraints.bytes: found 'bytes'; expected one of on_chip_bytes, macs_per_cycle, instruction_bytes, "
     "bus_bytes, lut, ff, dsp, ram, memory_bits, cycles, energy_pj, the last 2 also of one network, as in cycles:NAME"),
    ("on_chip_bytes: {most", '"cycles:resnet8": {most', "s.yaml:8: constraints.cycles:resnet8: found the network 'resnet8'; expected one of dscnn_kws, "
     "autoencoder"),
    ("on_chip_bytes: {most", "energy_pj: {most", "s.yaml:8: constraints.energy_pj: energy without a technology; expected the key energy: with a file of units "
     "and sources, as examples/technology_45nm.yaml"),
    ("dscnn_kws: 2", "nothing.onnx: 2", "s.yaml:2: networks.nothing.onnx: neither a network of the zoo nor a file; expected one of resnet8, dscnn_kws, "
     "mobilenet_v1_025_96, autoencoder, mobilenet_v2, resnet18, resnet50, encoder_block, or an ONNX file"),
])
def test_what_is_wrong_is_said(tmp_path, old, new, told):
    assert old in GOOD
    assert problems(tmp_path, GOOD.replace(old, new, 1)) == [told]


def test_no_file_and_nothing_that_varies(tmp_path):
    with pytest.raises(UserError) as error:
        read_space(tmp_path / "none.yaml")
    assert str(error.value) == f"{tmp_path / 'none.yaml'}: cannot be read (No such file or directory); expected a space of machines in YAML"
    assert problems(tmp_path, "base: tiny\nnetworks: {autoencoder: 1}\n") == ["s.yaml:1: (top level): nothing varies; expected numbers or engines with values"]
    assert problems(tmp_path, "") == ["s.yaml:1: the file is empty; expected a space of machines"]
