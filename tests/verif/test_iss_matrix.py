"""The matrix instruction's functional semantics against its definition in plain loops."""

import itertools
import random

import numpy as np
import pytest

from acg.regmap import ErrorCode
from verif.iss.errors import MachineError
from verif.iss.matrix import execute_matrix


def wrap9(value):
    return (value + 256) % 512 - 256


def byte(raw, is_signed):
    return raw - 256 if is_signed and raw >= 128 else raw


def definition(fields, rows, columns, activation, weight, accumulator):
    """Section 3 of the contract, word by word; returns the accumulator as lists of Python integers."""
    n = [fields[f"n_{level}"] for level in range(6)]
    a_size, w_size, c_size = (1 << (len(memory) - 1).bit_length() for memory in (activation, weight, accumulator))
    result = accumulator.astype(object)
    for number, (k0, k1, k2, k3) in enumerate(itertools.product(*map(range, n[:4]))):
        first = k1 == k2 == k3 == 0
        for p4, p5 in itertools.product(range(n[4]), range(n[5])):
            c = (fields["c_base"] + k0 * fields["c_stride_0"] + p4 * fields["c_stride_4"] + p5 * fields["c_stride_5"]) % c_size
            y = fields["y_origin"] + k1 * fields["y_step_1"] + p4 * fields["y_step_4"]
            x = fields["x_origin"] + k2 * fields["x_step_2"] + p5 * fields["x_step_5"]
            inside = 0 <= y < fields["y_bound"] and 0 <= x < fields["x_bound"]
            a = fields["a_base"] + sum(index * fields[f"a_stride_{level}"] for level, index in enumerate((k0, k1, k2, k3, p4, p5)))
            for column in range(columns):
                total = 0 if first and not fields["accumulate"] else int(result[c, column])
                for row in range(rows):
                    value = 0
                    if inside:
                        value = wrap9(byte(int(activation[a % a_size, row]), fields["a_signed"]) - fields["a_zero"])
                    w = int(weight[(fields["w_base"] + number * rows + row) % w_size, column])
                    total += value * wrap9(byte(w, fields["w_signed"]) - fields["w_zero"])
                result[c, column] = (total + 2**31) % 2**32 - 2**31
    return result


def random_case(rng, rows, columns):
    """Memories (activations and weights of a power of two of words: any address is legal) and an instruction."""
    generator = np.random.default_rng(rng.randrange(1 << 30))
    activation = generator.integers(0, 256, (64, rows), np.uint8)
    weight = generator.integers(0, 256, (128, columns), np.uint8)
    accumulator = generator.integers(-(2**31), 2**31, (256, columns)).astype(np.int32)
    counts = [rng.randint(1, 3) for _ in range(6)]
    fields = {f"n_{level}": count for level, count in enumerate(counts)}
    fields |= {f"a_stride_{level}": rng.choice([0, 1, rng.randint(-64, 63)]) for level in range(6)}
    fields |= {"a_base": rng.randrange(64), "w_base": rng.randrange(128), "c_base": rng.randrange(256)}
    fields |= {"c_stride_5": rng.choice([1, -1]), "c_stride_4": rng.choice([3, -7]), "c_stride_0": rng.choice([0, 5, 21, -30])}
    for operand in "aw":
        is_signed = rng.randint(0, 1)
        fields |= {f"{operand}_signed": is_signed, f"{operand}_zero": rng.choice([0, rng.randint(-256, 255)])}
    fields |= {"y_origin": rng.randint(-3, 1), "y_step_1": rng.randint(0, 2), "y_step_4": rng.randint(0, 2), "y_bound": rng.randint(0, 5)}
    fields |= {"x_origin": rng.randint(-3, 1), "x_step_2": rng.randint(0, 2), "x_step_5": rng.randint(0, 2), "x_bound": rng.randint(0, 5)}
    fields["accumulate"] = rng.randint(0, 1)
    return fields, activation, weight, accumulator


@pytest.mark.parametrize("seed", range(60))
def test_equals_the_definition(seed, monkeypatch):
    rng = random.Random(seed)
    print(f"seed {seed}")
    if seed % 2:
        monkeypatch.setattr("verif.iss.matrix.CHUNK_ELEMENTS", 40)
    rows, columns = rng.choice([(4, 4), (2, 8), (8, 2), (1, 3)])
    fields, activation, weight, accumulator = random_case(rng, rows, columns)
    expected = definition(fields, rows, columns, activation, weight, accumulator)
    execute_matrix(fields, rows=rows, columns=columns, activation=activation, weight=weight, accumulator=accumulator)
    assert accumulator.dtype == np.int32
    assert (accumulator == expected).all()


def plain(**changes):
    fields = {f"n_{level}": 1 for level in range(6)}
    fields |= {f"a_stride_{level}": 0 for level in range(6)}
    fields |= {"a_base": 0, "a_signed": 1, "a_zero": 0, "w_base": 0, "w_signed": 1, "w_zero": 0}
    fields |= {"y_origin": 0, "y_step_1": 0, "y_step_4": 0, "y_bound": 1, "x_origin": 0, "x_step_2": 0, "x_step_5": 0, "x_bound": 1}
    fields |= {"c_base": 0, "c_stride_0": 0, "c_stride_4": 0, "c_stride_5": 1, "accumulate": 0}
    return fields | changes


def run(**changes):
    accumulator = np.zeros((5, 2), np.int32)
    execute_matrix(plain(**changes), rows=2, columns=2, activation=np.full((3, 2), 1, np.uint8), weight=np.full((6, 2), 1, np.uint8),
                   accumulator=accumulator)
    return accumulator


@pytest.mark.parametrize(("changes", "address", "message"), [
    ({"a_base": 3}, 3, "matrix: activation address is 3 port words; expected less than 3"),
    ({"a_base": -1}, 3, "matrix: activation address is 3 port words; expected less than 3"),
    ({"w_base": 5}, 6, "matrix: weight address is 6 port words; expected less than 6"),
    ({"c_base": 4, "n_5": 2}, 5, "matrix: accumulator address is 5 port words; expected less than 5"),
])
def test_addresses_beyond_a_memory(changes, address, message):
    with pytest.raises(MachineError) as caught:
        run(**changes)
    assert str(caught.value) == message
    assert (caught.value.code, caught.value.address) == (ErrorCode.ADDRESS, address)


def test_padding_is_not_accessed():
    assert run(a_base=3, y_bound=0).tolist() == [[0, 0]] * 5


def test_positions_must_name_different_words():
    with pytest.raises(ValueError) as caught:
        run(n_5=4, c_stride_5=0)
    assert str(caught.value) == "matrix: 4 positions name 1 accumulator words; expected one each"
