"""Faults of the vector unit and of its float32 arithmetic."""

from covenant.mutants.mutant import Mutant

__all__ = ["VECTOR"]

_UNIT, _FRONT, _INT, _FLOAT, _BACK, _PIPELINE, _FLOAT32 = (
    f"hwgen/{name}.py" for name in ("vector", "vector_front", "vector_int", "vector_float", "vector_back", "vector_pipeline", "float32"))

VECTOR = (
    # vector_front
    Mutant("vector_front.ready", _FRONT, "unit.ready.eq((~issuing | counter.last[0]) & ~halt)", "unit.ready.eq(~issuing & ~halt)", "late"),
    Mutant("vector_front.padding", _FRONT, '(coordinates["y"] < held["y_bound"])', '(coordinates["y"] <= held["y_bound"])', "bound"),
    Mutant("vector_front.restart", _FRONT, 'pipeline.carry("restart", plain | (counter.zero[4] & counter.zero[5]))',
           'pipeline.carry("restart", plain | counter.zero[5])', "operator"),
    Mutant("vector_front.emit", _FRONT, "emit=plain | counter.last[4])", "emit=plain | counter.last[5])", "bound"),
    Mutant("vector_front.result-stride", _FRONT, 'if prefix == "y" and name == "stride" and level >= 4:',
           'if prefix == "y" and name == "stride" and level >= 5:', "bound"),
    Mutant("vector_front.read-outside", _FRONT, '("a", unit.a_ports, step & inside)', '("a", unit.a_ports, step)', "check"),
    Mutant("vector_front.halt", _FRONT, "with m.Elif(counter.last[0] | halt):", "with m.Elif(counter.last[0]):", "reset"),
    Mutant("vector_front.beyond", _FRONT, "port.en.eq(enable & ~beyond)]", "port.en.eq(enable)]", "check"),
    # vector_int
    Mutant("vector_int.multiply", _INT, "Mux(multiply, product, a)", "Mux(multiply, product, b)", "operator"),
    Mutant("vector_int.ignored", _INT, "_INT32_MIN = Const(1 << 31, 32)", "_INT32_MIN = Const(0, 32)", "number"),
    Mutant("vector_int.maximum", _INT, "total.as_signed() > value.as_signed()", "total > value", "number"),
    Mutant("vector_int.bias", _INT, "bias = Mux(p_enable, words.word_select(lane, 32), 0)",
           "bias = Mux(p_enable, words.word_select(lanes + lane, 32), 0)", "select"),
    Mutant("vector_int.parameter-late", _INT, "reading = stage - unit.p_read_latency_cycles", "reading = stage - 1", "late", "dot"),
    # vector_float
    Mutant("vector_float.binary-order", _FLOAT, "Mux((minimum & ~lesser) | (maximum & lesser), g, f)",
           "Mux((minimum & lesser) | (maximum & ~lesser), g, f)", "operator"),
    Mutant("vector_float.stale-stage", _FLOAT, "multiplying = operation(BINARY_MULTIPLY, stage + 1)",
           "multiplying = operation(BINARY_MULTIPLY, stage)", "late"),
    Mutant("vector_float.sticky", _FLOAT, 'sticky=lane["sticky"]', "sticky=0", "number"),
    Mutant("vector_float.a-float", _FLOAT, 'converting = pipeline.of("numeric", stage) & ~pipeline.of("a_float", stage)',
           'converting = pipeline.of("numeric", stage)', "operator", "dot"),
    Mutant("vector_float.b-float", _FLOAT, 'b_pattern = pipeline.of("b_float", stage + 1)', 'b_pattern = pipeline.of("a_float", stage + 1)',
           "select", "dot"),
    Mutant("vector_float.b-float-stage", _FLOAT, 'b_pattern = pipeline.of("b_float", stage + 1)', 'b_pattern = pipeline.of("b_float", stage)',
           "late", "dot"),
    # vector_back
    Mutant("vector_back.estimate-code", _BACK, 'root = code == ESTIMATES["RSQRT_ESTIMATE"]', 'root = code[0]', "select", "dot"),
    Mutant("vector_back.estimate-of-integer", _BACK, "is_float & (code != 0)", "code != 0", "operator", "dot"),
    Mutant("vector_back.saturation-high", _BACK, "Mux(shifted > most, most, shifted)", "shifted", "number"),
    Mutant("vector_back.saturation-low", _BACK, "Mux(below_most < least, least, below_most)[:8]", "below_most[:8]", "number"),
    Mutant("vector_back.limit", _BACK, "Mux(value[31], -_LIMIT, _LIMIT - 1)", "Mux(value[31], _LIMIT - 1, -_LIMIT)", "number"),
    Mutant("vector_back.destination", _BACK, '(pipeline.of("y_select", stage) == number)', '(pipeline.of("y_select", stage - 1) == number)',
           "select", "dot"),
    Mutant("vector_back.table-bypass", _BACK, 'plain = Mux(pipeline.of("table_enable", stage + 1), table.data, plain)', "plain = table.data",
           "operator"),
    Mutant("vector_back.retire", _BACK, 'unit.retire.eq(pipeline.valid(stage) & pipeline.carried("last", stage) & ~halt)',
           'unit.retire.eq(pipeline.valid(stage - 1) & pipeline.carried("last", stage - 1) & ~halt)', "late"),
    # vector_pipeline
    Mutant("vector_pipeline.fields", _PIPELINE, "return self._at(self._fields[name], name, stage, self._fresh)",
           "return self._at(self._fields[name], name, stage, self._valid)", "late",
           equivalent="a stage's copy then follows every iteration instead of the first of its instruction: the field is constant over an "
                      "instruction, so it holds the same; only flip-flops move more often"),
    Mutant("vector_pipeline.emit", _PIPELINE, 'entering = entering & self.carried("emit", stage - 1)',
           'entering = entering & self.carried("emit", 0)', "late"),
    Mutant("vector_pipeline.busy", _PIPELINE, "for valid in self._valid[1:]:", "for valid in self._valid[1:-1]:", "wait"),
    # vector
    Mutant("vector.absent", _UNIT, "if number not in present]", "if number > max(present) + 1]", "bound"),
    Mutant("vector.absent-estimate", _UNIT, '("estimate", {0, *self.estimates}, Const(1))', '("estimate", {0, 1, 2}, Const(1))', "check"),
    # float32
    Mutant("float32.tie-int", _FLOAT32, "up = half & (magnitude[discarded] | (magnitude[:discarded - 1] != 0))", "up = half", "number"),
    Mutant("float32.tie-product", _FLOAT32, "up = shifted[23] & (shifted[24] | (shifted[:23] != 0) | sticky)", "up = shifted[23]", "number"),
    Mutant("float32.truncation", _FLOAT32, "up = shifted[23] & (shifted[24] | (shifted[:23] != 0) | sticky)", "up = Const(0, 1)", "number"),
    Mutant("float32.tie-integer", _FLOAT32, "up = spread[25] & (spread[26] | (spread[:25] != 0))", "up = spread[25]", "number"),
    Mutant("float32.tie-sum", _FLOAT32, "up = shifted[3] & (shifted[4] | (shifted[:3] != 0))", "up = shifted[3]", "number"),
    Mutant("float32.overflow", _FLOAT32, "huge = ~negative & (packed[23:32] >= 255)", "huge = ~negative & (packed[23:32] >= 256)", "number"),
    Mutant("float32.underflow", _FLOAT32, "tiny = negative | (packed[23:32] == 0)", "tiny = negative", "number"),
    Mutant("float32.align-clamp", _FLOAT32, "Mux(distance > 27, 27, distance)", "Mux(distance > 31, 31, distance)", "number",
           equivalent="at a distance of 28 to 31 the lowest bits of the smaller mantissa fall off, but its leading one, at bit 50 of 51, comes to "
                      "bit 19 or above and is sticky: the result is the same as at 27"),
    Mutant("float32.align-sticky", _FLOAT32, "aligned = Cat(spread[24] | (spread[:24] != 0), spread[25:51])",
           "aligned = Cat(spread[24], spread[25:51])", "number"),
    Mutant("float32.zero-sign", _FLOAT32, "sign=Mux(some, sign, zero_sign)", "sign=sign", "number"),
    Mutant("float32.minus-zero", _FLOAT32, "Mux(x[31] ^ y[31], x[31], _larger(m, x, y, name) == x[31])", "_larger(m, x, y, name) == x[31]",
           "number"),
    Mutant("float32.integer-limit", _FLOAT32, "Mux(distance < 0, 1024, spread[26:36] + up)", "spread[26:36] + up", "number"),
    Mutant("float32.estimate-root", _FLOAT32, "Mux(root, x >> 1, x)", "x", "operator", "dot"),
    Mutant("float32.low-product", _FLOAT32, '(high + low[28:])[:48]', '(high + low[29:])[:48]', "number"),
)
