"""Settings of the RTL generator's tests."""


def pytest_configure(config):
    # A test that only reads parameters, or sees them refused, never elaborates what it constructs.
    config.addinivalue_line("filterwarnings", "ignore::amaranth.hdl.UnusedElaboratable")
