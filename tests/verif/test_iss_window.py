"""The window instruction's functional semantics against its definition in plain loops."""

import random

import numpy as np
import pytest

from acg.regmap import ErrorCode
from tests.support.windows import random_window, window_definition
from verif.iss.errors import MachineError
from verif.iss.window import execute_window


@pytest.mark.parametrize("seed", range(60))
def test_equals_the_definition(seed):
    rng = random.Random(seed)
    print(f"seed {seed}")
    generator = np.random.default_rng(seed)
    lanes = rng.choice([1, 2, 3])
    activation, weight = generator.integers(0, 256, (64, lanes), np.uint8), generator.integers(0, 256, (32, lanes), np.uint8)
    accumulator = generator.integers(-(2**31), 2**31, (256, lanes)).astype(np.int32)
    if rng.random() < 0.5:
        accumulator >>= 14  # of the size of products, so that either may be the larger
    fields = random_window(rng, taps=9, kernel_rows=3, row_words=12, steps=3, words=(64, 32, 256))
    expected = window_definition(fields, activation.tolist(), weight.tolist(), accumulator.tolist())
    execute_window(fields, activation=activation, weight=weight, accumulator=accumulator)
    assert accumulator.dtype == np.int32
    assert accumulator.tolist() == expected


@pytest.mark.parametrize(("port", "message"), [
    ("a", "window: activation address is 40 port words; expected less than 40"), ("w", "window: weight address is 20 port words; expected less than 20"),
    ("c", "window: accumulator address is 100 port words; expected less than 100"),
])
def test_an_access_beyond_a_memory_is_an_error_and_writes_nothing(port, message):
    fields = {f"n_{level}": 1 for level in range(7)} | {f"{prefix}_stride_{level}": 1 for prefix, levels in (("a", (0, 1, 2)), ("c", (0, 3, 4))) for level in levels}
    fields |= {"a_base": 38, "w_base": 18, "c_base": 98, "y_lead": 0, "x_lead": 0, "y_step": 1, "x_step": 1, "multiply": 1, "maximum": 0, "accumulate": 0}
    fields |= {"a_signed": 0, "a_zero": 0, "w_signed": 0, "w_zero": 0}
    memories = {"activation": np.ones((40, 2), np.uint8), "weight": np.ones((20, 2), np.uint8), "accumulator": np.zeros((100, 2), np.int32)}
    execute_window(fields, **memories)
    assert memories["accumulator"].sum() == 2
    memories["accumulator"][:] = 0
    with pytest.raises(MachineError) as caught:
        execute_window({**fields, "a": {"n_2": 3}, "w": {"n_6": 3}, "c": {"n_3": 3}} | {"a": {"n_2": 3}, "w": {"n_6": 3}, "c": {"n_3": 3}}[port], **memories)
    assert str(caught.value) == message and caught.value.code == ErrorCode.ADDRESS
    assert not memories["accumulator"].any()
