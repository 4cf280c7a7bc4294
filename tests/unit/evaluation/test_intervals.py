import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from csn.errors import ProtocolError
from csn.evaluation.intervals import bootstrap_over_ids, correct_rate


@given(num_answers=st.integers(2, 500), data=st.data())
def test_correct_rate_lies_in_its_interval_and_mirrors(num_answers, data):
    num_correct = data.draw(st.integers(0, num_answers))
    interval = correct_rate(num_correct, num_answers)
    mirrored = correct_rate(num_answers - num_correct, num_answers)
    assert 0 <= interval.low <= interval.rate <= interval.high <= 1
    assert interval.low == pytest.approx(1 - mirrored.high)
    assert interval.half_width == pytest.approx(mirrored.half_width)


@pytest.mark.parametrize(("num_correct", "num_answers"), [(1, 1), (0, 0)])
def test_correct_rate_refuses_fewer_than_two_answers(num_correct, num_answers):
    with pytest.raises(ProtocolError, match="needs at least 2"):
        correct_rate(num_correct, num_answers)


@pytest.mark.parametrize("num_correct", [-1, 11])
def test_correct_rate_refuses_more_right_answers_than_answers(num_correct):
    with pytest.raises(ProtocolError, match="are the two counts swapped"):
        correct_rate(num_correct, 10)


def simulated(rng, num_ids=30, num_segments=20):
    """Tracks differ: each has a share of right answers of its own, 0.7 in the mean."""
    shares = rng.beta(1.4, 0.6, num_ids)
    correct = rng.random((num_ids, num_segments)) < shares[:, None]
    return correct.ravel(), np.repeat(np.arange(num_ids), num_segments)


def test_bootstrap_covers_the_truth_where_answers_of_a_track_hang_together():
    rng = np.random.default_rng(0)
    over_ids, over_segments = 0, 0
    for trial in range(200):
        correct, ids = simulated(rng)
        interval = bootstrap_over_ids(correct, ids, num_resamples=300, seed=trial)
        over_ids += interval.low <= 0.7 <= interval.high
        naive = correct_rate(int(correct.sum()), len(correct))
        over_segments += naive.low <= 0.7 <= naive.high
    assert 0.88 <= over_ids / 200 <= 0.99
    assert over_segments / 200 < 0.7


def test_bootstrap_is_deterministic_by_seed():
    correct, ids = simulated(np.random.default_rng(1))
    draw = [bootstrap_over_ids(correct, ids, num_resamples=50, seed=s) for s in (3, 3, [3, 1])]
    assert draw[0] == draw[1] != draw[2]


def test_bootstrap_does_not_see_names_or_order():
    correct, ids = simulated(np.random.default_rng(2))
    order = np.random.default_rng(3).permutation(len(ids))
    names = np.array([f"t{i:03d}" for i in range(30)])
    plain = bootstrap_over_ids(correct, ids, num_resamples=50, seed=0)
    assert bootstrap_over_ids(correct[order], names[ids[order]], num_resamples=50, seed=0) == plain


def test_bootstrap_weighs_an_id_by_its_queries():
    # a: 1 of 1; b: 0 of 3. Resamples are aa, ab, ba, bb: 1, 1/4, 1/4, 0, never 1/2.
    correct, ids = np.array([True, False, False, False]), np.array(list("abbb"))
    interval = bootstrap_over_ids(correct, ids, num_resamples=2000, seed=0)
    assert (interval.rate, interval.low, interval.high) == (0.25, 0.0, 1.0)
    assert interval.half_width == 0.5


def test_bootstrap_of_equal_tracks_has_no_width():
    correct, ids = np.tile([True, False], 10), np.repeat(np.arange(10), 2)
    interval = bootstrap_over_ids(correct, ids, num_resamples=100, seed=0)
    assert interval.low == interval.high == interval.rate == 0.5


def test_bootstrap_refuses_a_single_id():
    with pytest.raises(ProtocolError, match=r"1 track\(s\) found, .* at least 2"):
        bootstrap_over_ids(np.ones(5, dtype=bool), np.zeros(5), num_resamples=10, seed=0)
