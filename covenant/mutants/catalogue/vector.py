"""Faults of the vector unit and of its float32 arithmetic."""

from covenant.mutants.mutant import Mutant

__all__ = ["VECTOR"]

_UNIT, _FRONT, _INT, _FLOAT, _BACK, _FLOW, _PIPELINE, _FLOAT32 = (
    f"hwgen/{name}.py" for name in (
        *(f"units/vector/{part}" for part in ("unit", "front", "int_stages", "float_stages", "back", "flow", "pipeline")), "datapath/float32"))

VECTOR = (
    Mutant("vector_build.latency", "hwgen/units/vector/build.py",
           '"p_read_latency_cycles": parameter.read_latency_cycles', '"p_read_latency_cycles": 1', "late", "dot"),
    # vector_front
    Mutant("vector_front.ready", _FRONT, "ready = ~issuing | counter.last[0]", "ready = ~issuing", "late"),
    Mutant("vector_front.pause", _FRONT, "ready = ready & ~ending & (pause == 0)", "ready = ready & ~ending", "late", "dot"),
    Mutant("vector_front.restart", _FRONT, 'pipeline.carry("restart", plain | (walk.zero[4] & walk.zero[5]))',
           'pipeline.carry("restart", plain | walk.zero[5])', "operator"),
    Mutant("vector_front.broadcast-word", _FRONT, 'Mux(field("broadcast"), address[bits:], address[:len(address) - bits])', "address[bits:]", "select", "dot"),
    Mutant("vector_front.broadcast-lane", _FRONT, "Mux(bit, odd, even)", "Mux(bit, even, odd)", "select", "dot"),
    Mutant("vector_front.broadcast-late", _FRONT, 'Mux(pipeline.of("broadcast", stage), element',
           'Mux(pipeline.of("broadcast", stage - 1), element', "late", "dot"),
    # vector_int
    Mutant("vector_int.maximum", _INT, "total.as_signed() > value.as_signed()", "total > value", "number"),
    Mutant("vector_int.parameter-late", _INT, "reading = stage - unit.p_read_latency_cycles", "reading = stage - 1", "late", "dot"),
    # vector_float
    Mutant("vector_float.sticky", _FLOAT, 'lane["value"][:48], lane["sticky"],', 'lane["value"][:48], 0,', "number"),
    Mutant("vector_float.a-float", _FLOAT, 'pipeline.of("numeric", at) & ~pipeline.of("a_float", at)',
           'pipeline.of("numeric", at)', "operator", "dot"),
    Mutant("vector_float.b-float", _FLOAT, 'return ~pipeline.of("b_float", at)', 'return ~pipeline.of("a_float", at)',
           "select", "dot"),
    Mutant("vector_float.detour-limit", _FLOAT, "Mux(below_most < least, least, below_most)[:9]", "below_most[:9]", "number", "dot"),
    Mutant("vector_float.detour-operand", _FLOAT, 'steps = pipeline.step(2, [{"q": limited(n, lane["q"]), **kept(lane)}',
           'steps = pipeline.step(2, [{"q": limited(n, lane["q"]), **waiting[n]}', "late", "dot"),
    # vector_back
    Mutant("vector_back.estimate-code", _BACK, 'root = code == ESTIMATES["RSQRT_ESTIMATE"]', 'root = code[0]', "select", "dot"),
    Mutant("vector_back.saturation-high", _FLOAT32, "Mux(shifted > most, most, shifted)", "shifted", "number"),
    Mutant("vector_back.destination", _BACK, '(pipeline.of("y_select", stage) == number)', '(pipeline.of("y_select", stage - 1) == number)',
           "select", "dot"),
    # vector_flow
    Mutant("vector_flow.through", _FLOW, "Mux(choice, lane[host], lane[through])", "lane[host]", "select"),
    Mutant("vector_flow.held", _FLOW, "when=self._when(self.at) if", "when=self._when(self.at + 1) if", "late", "dot"),
    # vector_pipeline
    Mutant("vector_pipeline.emit", _PIPELINE, 'entering = entering & self.carried("emit", stage - 1)',
           'entering = entering & self.carried("emit", 0)', "late"),
    Mutant("vector_pipeline.detour-address", _PIPELINE, "self._left(name, register) if number == self._detour_stage and move is self._valid else register",
           "register", "late", "dot"),
    # vector
    Mutant("vector.absent", _UNIT, "if number not in present]", "if number > max(present) + 1]", "bound"),
    # float32
    Mutant("float32.tie-int", _FLOAT32, "up = half & (magnitude[discarded] | (magnitude[:discarded - 1] != 0))", "up = half", "number"),
    Mutant("float32.truncation", _FLOAT32, "up = shifted[23] & (shifted[24] | (shifted[:23] != 0) | sticky)", "up = Const(0, 1)", "number"),
    Mutant("float32.align-sticky", _FLOAT32, "aligned = Cat(spread[24] | (spread[:24] != 0), spread[25:51])",
           "aligned = Cat(spread[24], spread[25:51])", "number"),
    Mutant("float32.estimate-root", _FLOAT32, "Mux(root, x >> 1, x)", "x", "operator", "dot"),
)
