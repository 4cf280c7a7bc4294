"""Numbers worked by hand, or printed in the papers."""

import numpy as np
import pytest

from csn.evaluation import music_id, pseudo_mix_id
from csn.evaluation.intervals import correct_rate
from csn.evaluation.neighbours import nearest, vote

# [H24] Table 3, in percent. The counts follow from the rates: 120 answers a set, 240 in all.
TABLE_3_SET_1 = {
    "drums": (85, 70.8, 8.2),
    "bass": (64, 53.3, 9.0),
    "piano": (53, 44.2, 8.9),
    "guitar": (101, 84.2, 6.6),
}
TABLE_3_TOTAL = {
    "drums": (184, 76.7, 5.4),
    "bass": (182, 75.8, 5.4),
    "piano": (142, 59.2, 6.2),
    "guitar": (198, 82.5, 4.8),
}


@pytest.mark.parametrize(
    ("num_correct", "rate", "half_width"), TABLE_3_SET_1.values(), ids=TABLE_3_SET_1
)
def test_h24_table_3_set_1(num_correct, rate, half_width):
    interval = correct_rate(num_correct, 120)
    assert round(100 * interval.rate, 1) == rate
    assert round(100 * interval.half_width, 1) == half_width


@pytest.mark.parametrize(
    ("num_correct", "rate", "half_width"), TABLE_3_TOTAL.values(), ids=TABLE_3_TOTAL
)
def test_h24_table_3_total(num_correct, rate, half_width):
    interval = correct_rate(num_correct, 240)
    assert round(100 * interval.rate, 1) == rate
    assert round(100 * interval.half_width, 1) == half_width


def test_interval_has_the_sample_variance():
    # p = 1/2, n = 2: 1.96 * sqrt(1/4 / 1) = 0.98; over n it would be 0.693. Ends stay in [0, 1].
    interval = correct_rate(1, 2)
    assert interval.half_width == pytest.approx(0.98)
    assert (interval.low, interval.high) == (0.0, 1.0)


def test_three_vectors_that_are_not_unit_length():
    # From (1, 0): (2, 0) at 1, (0, 1) at sqrt 2, (9, 0) at 8. By cosine, or with norms in place of
    # squared norms, (9, 0) would come before (0, 1).
    reference = np.array([[9.0, 0.0], [0.0, 1.0], [2.0, 0.0]])
    assert nearest(np.array([[1.0, 0.0]]), reference, 3).tolist() == [[2, 1, 0]]


def test_equal_distances_go_to_the_lowest_row():
    reference = np.array([[1.0], [-1.0], [5.0], [1.0]])
    assert nearest(np.array([[0.0]]), reference, 3).tolist() == [[0, 1, 3]]


def test_vote_ties_go_to_the_smallest_label():
    assert vote(np.array([[7, 3, 7, 3, 1], [7, 3, 3, 7, 7], [9, 8, 7, 6, 5]])).tolist() == [
        3,
        7,
        5,
    ]


def test_h22_music_id_of_eight_points_on_a_line():
    # a at 0 1 2, b at 10 11 12 13 14. Of the five nearest of each a, two are a and three are b:
    # wrong. Of each b, four are b and one is a: right. With itself among the five, an a is right.
    vectors = np.array([[0.0], [1.0], [2.0], [10.0], [11.0], [12.0], [13.0], [14.0]])
    correct = music_id.accuracy(vectors, np.array(list("aaabbbbb")))
    assert correct.tolist() == [False] * 3 + [True] * 5


def test_h24_pseudo_mix_id_where_only_the_excluded_are_right():
    # Four segments a mix. a_a lies beside b_a, b_b beside a_b: in front of the same background.
    # Without its own mix, a segment's four nearest are of the other track; its fifth cannot help.
    starts = {"aa": 0.0, "ba": 1.0, "bb": 100.0, "ab": 101.0}
    vectors = np.array([[start + 0.01 * i] for start in starts.values() for i in range(4)])
    focus_ids = np.repeat([mix[0] for mix in starts], 4)
    backing_ids = np.repeat([mix[1] for mix in starts], 4)
    assert pseudo_mix_id.accuracy(vectors, focus_ids, backing_ids).mean() == 0.0
    # With only the query left out, its own mix gives three votes and the other two: all right.
    assert music_id.accuracy(vectors, focus_ids).mean() == 1.0


def test_h24_pseudo_mix_id_worked_by_hand():
    # k = 3, two segments a mix. a_a 0 1, a_b 2 4, b_a 3 9, b_b 10 11.
    # 0 and 1 (a_a): 2 3 4 -> a b a -> right. 2 (a_b): 1 3 0 -> a b a -> right.
    # 4 (a_b): 3 1 0 -> b a a -> right. 3 (b_a): 2 4 1 -> a a a -> wrong.
    # 9 (b_a): 10 11 4 -> b b a -> right. 10 (b_b): 9 4 3 -> b a b -> right. 11 (b_b): the same.
    vectors = np.array([[0.0], [1.0], [2.0], [4.0], [3.0], [9.0], [10.0], [11.0]])
    correct = pseudo_mix_id.accuracy(
        vectors, np.array(list("aaaabbbb")), np.array(list("aabbaabb")), k=3
    )
    assert correct.tolist() == [True, True, True, True, False, True, True, True]
