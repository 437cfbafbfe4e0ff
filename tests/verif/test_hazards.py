"""The hazard finder finds races and port conflicts, and is silent about ordered pairs."""

import numpy as np

from acg.graph import load_graph, parse_graph
from acg.isa import Instruction
from acg.predictor import Timeline, predict
from tests.support.architectures import joined, text_of
from verif.hazards import Hazard, find_hazards

GRAPH = load_graph("tiny")
BANK = GRAPH.memories["act"].bank_bytes


def _timeline(*spans):
    start, retire = (np.array(column) for column in zip(*spans, strict=True))
    return Timeline(np.zeros(len(spans), int), start - 1, start, retire, int(retire.max()) + 1)


def _load(address, size=64):
    return Instruction("load", {"select": 0, "local_address": address, "n_3": size})


def _reads(word):
    return Instruction("matrix", {"a_base": word, "y_bound": 1, "x_bound": 1})


def test_a_read_that_overtakes_a_write_is_a_race():
    program = [_load(0), _reads(0)]
    assert find_hazards(GRAPH, program, _timeline((0, 10), (10, 20))) == [Hazard("race", 0, 1, "act")]
    assert find_hazards(GRAPH, program, _timeline((0, 10), (11, 20))) == []
    assert find_hazards(GRAPH, [_load(64), _reads(0)], _timeline((0, 10), (5, 20))) == []
    assert str(Hazard("race", 0, 1, "act")) == "instructions 0 and 1 touch common bytes of act without an order; expected a wait between them"


def test_what_is_done_before_its_turn_is_a_race():
    """Found by the fuzzer: a store that the wait for its data was taken from was done before the data were written."""
    for program in ([_load(0), _reads(0)], [_reads(0), _load(0)]):
        assert find_hazards(GRAPH, program, _timeline((20, 30), (0, 10))) == [Hazard("race", 0, 1, "act")]
    assert find_hazards(GRAPH, [_load(64), _reads(0)], _timeline((20, 30), (0, 10))) == []
    between = [_load(0), _load(128), _reads(0), _reads(32)]
    assert find_hazards(GRAPH, between, _timeline((20, 30), (31, 40), (0, 10), (11, 19))) == [Hazard("race", 0, 2, "act"), Hazard("race", 1, 3, "act")]
    vector = Instruction("vector", {"a_select": 1, "a_base": 7, "y_bound": 1, "x_bound": 1, "y_base": BANK // 4})
    assert find_hazards(GRAPH, [_reads(0), vector], _timeline((20, 30), (0, 10))) == []  # one port, at different times


def test_two_engines_on_one_read_port():
    vector = Instruction("vector", {"a_select": 1, "a_base": 7, "y_bound": 1, "x_bound": 1, "y_base": BANK // 4})
    other_bank = Instruction("vector", {"a_select": 1, "a_base": BANK // 4, "y_bound": 1, "x_bound": 1, "y_base": BANK // 4})
    assert find_hazards(GRAPH, [_reads(0), vector], _timeline((0, 10), (3, 20))) == [Hazard("port", 0, 1, "act")]
    assert find_hazards(GRAPH, [_reads(0), other_bank], _timeline((0, 10), (3, 20))) == []


def test_ports_of_one_engine_on_one_bank():
    """Weights are read ahead of the positions of the instruction before: in another bank, or behind its retire. Operands a and b keep step."""
    graph = parse_graph(joined(text_of("tiny"), "act", "wgt", "acc", "par"))
    plain = {"y_bound": 1, "x_bound": 1}
    bank = graph.memories["act"].bank_bytes
    matrix = [Instruction("matrix", {**plain, "w_base": start // 4, "a_base": bank // 4, "c_base": 5 * bank // 16})
              for start in (2 * bank, bank + 64, 5 * bank + 64)]
    for second, expected in (matrix[0], []), (matrix[1], [Hazard("port", 0, 1, "act")]), (matrix[2], [Hazard("port", 0, 1, "act")]):
        assert find_hazards(graph, [matrix[0], second], _timeline((0, 30), (5, 40))) == expected
        assert find_hazards(graph, [matrix[0], second], _timeline((0, 30), (31, 40))) == []
    vector = [Instruction("vector", {**plain, "a_select": 1, "a_base": a * bank // 4, "b_enable": 1, "b_base": b * bank // 4, "p_enable": 1,
                                     "p_base": p * bank // 32, "y_base": 6 * bank // 4}) for a, b, p in ((0, 1, 2), (1, 0, 2), (2, 0, 3), (0, 1, 1))]
    for second, expected in (vector[1], []), (vector[2], [Hazard("port", 0, 1, "act")]), (vector[3], [Hazard("port", 0, 1, "act")]):
        assert find_hazards(graph, [vector[0], second], _timeline((0, 30), (5, 40))) == expected


def test_an_engine_orders_its_own_writes_but_not_reads_of_them():
    twice = [_load(0), _load(0)]
    assert find_hazards(GRAPH, twice, _timeline((0, 10), (3, 20))) == []
    produce = Instruction("vector", {"a_select": 0, "y_bound": 1, "x_bound": 1, "y_base": 5})
    consume = Instruction("vector", {"a_select": 1, "a_base": 5, "y_bound": 1, "x_bound": 1, "y_base": 900})
    assert find_hazards(GRAPH, [produce, consume], _timeline((0, 30), (3, 40))) == [Hazard("race", 0, 1, "act")]


def test_a_matrix_engine_orders_sums_over_the_same_words_and_new_ones():
    plain = {"y_bound": 1, "x_bound": 1, "n_5": 4, "c_stride_5": 1}
    at_once = _timeline((0, 30), (5, 40))
    first = Instruction("matrix", plain)
    for second, expected in (({**plain, "accumulate": 1}, []), ({**plain, "c_base": 2}, []), ({**plain, "c_base": 9, "accumulate": 1}, []),
                             ({**plain, "c_base": 3, "c_stride_5": 7, "n_5": 2, "accumulate": 1}, [Hazard("race", 0, 1, "acc")]),
                             ({**plain, "c_base": 10, "c_stride_5": -6, "n_5": 2, "accumulate": 1}, []),
                             ({**plain, "c_base": 2, "accumulate": 1}, [Hazard("race", 0, 1, "acc")]),
                             ({**plain, "c_base": 3, "c_stride_5": -1, "accumulate": 1}, [Hazard("race", 0, 1, "acc")])):
        assert find_hazards(GRAPH, [first, Instruction("matrix", second)], at_once) == expected


def test_predicted_timelines_show_a_dropped_wait():
    waits = [_load(0), Instruction("matrix", {"a_base": 0, "y_bound": 1, "x_bound": 1}, {"load": 1})]
    assert find_hazards(GRAPH, waits, predict(GRAPH, waits)) == []
    dropped = [waits[0], Instruction("matrix", waits[1].fields)]
    assert find_hazards(GRAPH, dropped, predict(GRAPH, dropped)) == [Hazard("race", 0, 1, "act")]


def test_floats_written_to_the_accumulators():
    """Matrix and vector unit both write acc, and both of a vector instruction's operands may come from there."""
    half = GRAPH.memories["acc"].depth_words
    sums = Instruction("matrix", {"y_bound": 1, "x_bound": 1, "c_base": 5})

    def floats(y, a, b):
        return Instruction("vector", {"a_select": 0, "a_base": a, "b_enable": 1, "b_select": 2, "b_base": b, "y_select": 1, "y_base": y, "y_bound": 1, "x_bound": 1})

    at_once = _timeline((0, 10), (3, 20))
    assert find_hazards(GRAPH, [sums, floats(9, half + 1, half + 2)], at_once) == [Hazard("port", 0, 1, "acc")], "bank 0 is written by both"
    assert find_hazards(GRAPH, [sums, floats(half, half + 1, 2)], at_once) == [Hazard("port", 0, 1, "acc")], "bank 0 is read by both"
    assert find_hazards(GRAPH, [sums, floats(half, half + 1, half + 2)], at_once) == []
    assert find_hazards(GRAPH, [sums, floats(half, 5, half + 2)], at_once) == [Hazard("port", 0, 1, "acc"), Hazard("race", 0, 1, "acc")]
    twice = [floats(half, 0, half + 2), floats(1, half, 3)]
    assert find_hazards(GRAPH, twice, at_once) == [Hazard("race", 0, 1, "acc")], "the second reads what the first has not written yet"
