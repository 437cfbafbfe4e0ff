"""Faults of the timing model: the predictor and the terms that it walks."""

from covenant.mutants.mutant import Mutant

__all__ = ["TIMING"]

_PREDICTOR, _DMA, _FETCH, _MATRIX, _VECTOR = ("acg/predictor.py", "acg/timing/dma.py", "acg/timing/fetch.py", "acg/timing/matrix.py", "acg/timing/vector.py")

TIMING = (
    Mutant("predictor.queue-depth", _PREDICTOR, "own[-depth] + 1 if len(own) >= depth else 0", "own[-depth] + 1 if len(own) > depth else 0",
           "model"),
    Mutant("predictor.slot", _PREDICTOR, "own[-depth] + 1 if", "own[-depth] if", "model"),
    Mutant("predictor.queue-cycle", _PREDICTOR, "            start = dispatch + 1\n", "            start = dispatch\n", "model"),
    Mutant("predictor.wait-cycle", _PREDICTOR, "start = history[position - 1] + 1", "start = history[position - 1]", "model"),
    Mutant("predictor.wait-place", _PREDICTOR,
           "if position > 0 and history[position - 1] >= start:\n                start = history[position - 1] + 1",
           "if position > 1 and history[position - 2] >= start:\n                start = history[position - 2] + 1", "model"),
    Mutant("predictor.range", _PREDICTOR, "if back & 0x8000:", "if back & 0x4000:", "model"),
    Mutant("predictor.wrap", _PREDICTOR, "back = (len(history) - awaited) & 0xFFFF", "back = (len(history) - awaited) & 0x1FFFF", "model"),
    Mutant("predictor.end", _PREDICTOR, "        if retire > end:\n            end = retire\n", "        end = retire\n", "model"),
    Mutant("fetch_timing.buffers", _FETCH, "freed = self._dispatches[slot]", "freed = self._dispatches[0]", "model"),
    Mutant("fetch_timing.beats", _FETCH, "cycle = first_beat + self._beats", "cycle = first_beat + self._beats - 1", "model"),
    Mutant("fetch_timing.bus", _FETCH, "first_beat = self._last_beat + 1", "first_beat = self._last_beat", "model"),
    Mutant("fetch_timing.room", _FETCH, "        if cycle < room_cycle:\n            cycle = room_cycle\n", "", "model"),
    Mutant("dma_timing.split", _DMA, "return min(4096, 256 * bus_bytes)", "return 4096", "model"),
    Mutant("dma_timing.limit", _DMA, "            if oldest >= push:\n                push = oldest + 1\n", "", "model"),
    Mutant("dma_timing.lead", _DMA, "lead=1 + read_latency_cycles, tail=0,", "lead=read_latency_cycles, tail=0,", "model"),
    Mutant("dma_timing.load-extra", _DMA, "extra = off + min(chunk - lo, size) > bus", "extra = off + min(chunk - lo, size) >= bus", "model"),
    Mutant("dma_timing.repeat", _DMA, "ahead = rows // block * shift", "ahead = (rows // block - 1) * shift", "model"),
    Mutant("dma_timing.bound", _DMA, "self._free += (total - limit) * steps", "self._free += total * steps", "model"),
    Mutant("dma_timing.bound-done", _DMA, "self._push = done[limit] + 1", "self._push = done[limit]", "model"),
    Mutant("matrix_timing.hazard", _MATRIX, "self.hazard_cycles = accumulator_latency_cycles + 2",
           "self.hazard_cycles = accumulator_latency_cycles + 1", "model"),
    Mutant("matrix_timing.lead", _MATRIX, "self.lead_cycles = rows\n", "self.lead_cycles = rows - 1\n", "model", "dot"),
    Mutant("matrix_timing.tree", _MATRIX, "((rows - 1).bit_length() + 1) // 2", "(rows - 1).bit_length() // 2", "model", "dot"),
    Mutant("matrix_timing.period", _MATRIX, "period = max(positions, self.hazard_cycles)", "period = positions", "model"),
    Mutant("matrix_timing.load-bound", _MATRIX, "cycle + more * load + self.lead_cycles, first + (more - 1) * load + self.lead_cycles)",
           "cycle + more * load + self.lead_cycles)", "model"),
    Mutant("matrix_timing.ready", _MATRIX, "return max(taken + load, stream), stream", "return taken + load, stream", "model"),
    Mutant("matrix_timing.latency", _MATRIX, "accumulator_latency_cycles - 1 - self.array_cycles)", "1)", "model", "dot"),
    Mutant("unit_timing.ready", "acg/timing/unit.py", "self._ready_cycle, retire = self.run(cycle, fields)", "_, retire = self.run(cycle, fields)", "model"),
    Mutant("vector_timing.occupancy", _VECTOR, "return cycle + iterations + detour, cycle", "return cycle + iterations + detour + 1, cycle", "model"),
    Mutant("vector_timing.latency", _VECTOR, ", cycle + iterations + detour + self._latency_cycles",
           ", cycle + iterations + self._latency_cycles - 1", "model"),
    Mutant("vector_timing.detour", _VECTOR, "return cycle + iterations + detour, cycle", "return cycle + iterations, cycle", "model", "dot"),
    Mutant("vector_timing.ports", "acg/kinds/vector.py", '_latency_cycles(engine.name, "a", "b", "parameter"),',
           '_latency_cycles(engine.name, "a", "parameter"),', "model"),
)
