"""Levels of loops from specifications."""

from dataclasses import replace

from acg.kinds import kind_of
from acg.kinds.spec import Axis, Offer, Stream
from compiler.levels import CONTRACTION, levels_of

MATRIX = kind_of("matrix")
OFFER = MATRIX.offer("MATMUL")


def with_stream(stream):
    return replace(MATRIX, body=tuple(stream if isinstance(item, Stream) and item.prefix == stream.prefix else item for item in MATRIX.body))


def test_a_contraction_on_the_matrix_unit():
    assert dict(levels_of(MATRIX, OFFER, CONTRACTION)) == {"oc": 0, "ky": 1, "kx": 2, "ic": 3, "oy": 4, "ox": 5}


def test_what_the_weights_run_over_says_which_levels_move_them():
    swapped = with_stream(Stream("w", ("weight",), run=((1, 2, 3, 4), "rows"), number=True))
    found = levels_of(swapped, OFFER, CONTRACTION)
    assert dict(found) == {"ky": 1, "kx": 2, "ic": 3, "ox": 5}  # blocks of outputs come first in the weights and last in the run


def test_padding_says_which_levels_move_a_coordinate():
    one = with_stream(Stream("a", ("activation",), (0, 1, 2, 3, 4, 5), number=True, axes=(Axis("y", (3, 4)), Axis("x", (2, 5)))))
    found = levels_of(one, OFFER, CONTRACTION)
    assert dict(found) == {"oc": 0, "kx": 2, "ic": 3, "oy": 4, "ox": 5}  # ky would have to be behind kx, against the order of the weights


def test_a_reduction_needs_a_level_at_which_the_result_stays():
    kind = kind_of("vector")
    found = levels_of(kind, Offer("BROADCAST_MAC", (("l", "lanes"),), "y", ("a", "b")), CONTRACTION)
    assert dict(found) == {"oc": 0, "ky": 4, "kx": 5, "oy": 2, "ox": 3}
