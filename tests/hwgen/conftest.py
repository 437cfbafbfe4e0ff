"""Settings of the RTL generator's tests."""

import pytest

# Benches compare in plain modules: without this a failure would not show the values.
pytest.register_assert_rewrite("tests.hwgen.dma_bench", "tests.hwgen.vector_bench")


def pytest_configure(config):
    # A test that only reads parameters, or sees them refused, never elaborates what it constructs.
    config.addinivalue_line("filterwarnings", "ignore::amaranth.hdl.UnusedElaboratable")
