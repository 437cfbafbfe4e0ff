"""The lookup table: masked writes of U bytes, one lookup a lane and cycle, result held."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from hwgen.memory.lookup import LookupTable

SEED = 5


@pytest.mark.sim
@pytest.mark.parametrize(("lanes", "banks", "write_bytes"), [(2, 1, 1), (3, 2, 4), (2, 3, 16), (1, 2, 64), (1, 1, 256)])
def test_random_writes_and_lookups(lanes, banks, write_bytes):
    print("seed", SEED)
    rng = np.random.default_rng(SEED)
    dut = LookupTable(lanes=lanes, banks=banks, write_bytes=write_bytes)
    content = np.zeros(256 * banks, dtype=np.uint8)
    lookups = 0

    async def bench(ctx):
        nonlocal lookups
        held = None
        for cycle in range(1500):
            write = bool(rng.integers(0, 2)) or cycle < 600
            word, mask = int(rng.integers(0, content.size // write_bytes)), int.from_bytes(rng.bytes(32), "little") & ((1 << write_bytes) - 1)
            data = rng.integers(0, 256, write_bytes, dtype=np.uint8)
            look = bool(rng.integers(0, 2))
            bank, index = int(rng.integers(0, banks)), rng.integers(0, 256, lanes, dtype=np.uint8)
            ctx.set(dut.write.en, write)
            ctx.set(dut.write.addr, word)
            ctx.set(dut.write.mask, mask)
            ctx.set(dut.write.data, int.from_bytes(data.tobytes(), "little"))
            ctx.set(dut.en, look)
            ctx.set(dut.bank, bank)
            ctx.set(dut.index, int.from_bytes(index.tobytes(), "little"))
            if look:
                held = content[256 * bank:][index].tobytes()
                lookups += 1
            if write:
                for byte in range(write_bytes):
                    if mask >> byte & 1:
                        content[word * write_bytes + byte] = data[byte]
            await ctx.tick()
            if held is not None:
                assert ctx.get(dut.data).to_bytes(lanes, "little") == held, f"cycle {cycle}"

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert lookups > 600


@pytest.mark.parametrize(("parameters", "error", "message"), [
    ({"lanes": 0, "banks": 1, "write_bytes": 1}, ValueError, "LookupTable: lanes must be at least 1, not 0"),
    ({"lanes": 1, "banks": 1, "write_bytes": 512}, ValueError, "LookupTable: write_bytes must be in 1..256, not 512"),
    ({"lanes": 1, "banks": 1, "write_bytes": 6}, ValueError, "LookupTable: write_bytes must be a power of two, not 6"),
    ({"lanes": "4", "banks": 1, "write_bytes": 6}, TypeError, "LookupTable: lanes must be an integer, not '4'"),
])
def test_refused_parameters(parameters, error, message):
    with pytest.raises(error) as caught:
        LookupTable(**parameters)
    assert str(caught.value) == message
