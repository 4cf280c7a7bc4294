import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score

from csn.errors import ProtocolError
from csn.evaluation.presence import fit_threshold, presence_accuracy


@st.composite
def segments(draw):
    """Norms with many ties, and flags of both kinds."""
    norms = draw(st.lists(st.integers(0, 5), min_size=2, max_size=12))
    sounds = draw(st.lists(st.booleans(), min_size=len(norms) - 2, max_size=len(norms) - 2))
    return np.array(norms, dtype=float), np.array([True, False, *sounds])


@given(segments())
def test_no_other_threshold_is_better_and_no_lower_one_as_good(drawn):
    norms, sounds = drawn
    found = fit_threshold(norms, sounds)
    scores = {t: presence_accuracy(norms, sounds, float(t)) for t in np.unique(norms)}
    assert scores[found] == pytest.approx(max(scores.values()))
    assert all(score < scores[found] - 1e-9 for t, score in scores.items() if t < found)


@given(segments(), st.floats(-1, 6))
def test_accuracy_is_scikit_learns(drawn, threshold):
    norms, sounds = drawn
    expected = balanced_accuracy_score(sounds, norms >= threshold)
    assert presence_accuracy(norms, sounds, threshold) == pytest.approx(expected)


def test_norms_that_tell_it_all():
    norms, sounds = np.array([5.0, 0.1, 7.0, 0.2]), np.array([True, False, True, False])
    assert fit_threshold(norms, sounds) == 5.0
    assert presence_accuracy(norms, sounds, 5.0) == 1.0
    assert presence_accuracy(norms, ~sounds, 5.0) == 0.0


def test_equal_norms_tell_nothing():
    norms, sounds = np.ones(4), np.array([True, True, True, False])
    assert fit_threshold(norms, sounds) == 1.0
    assert presence_accuracy(norms, sounds, 1.0) == 0.5


@pytest.mark.parametrize("sounds", [np.ones(3, dtype=bool), np.zeros(3, dtype=bool)])
def test_one_kind_of_segment_alone_is_refused(sounds):
    for score in (fit_threshold, lambda n, s: presence_accuracy(n, s, 1.0)):
        with pytest.raises(ProtocolError, match="at least one of each needed"):
            score(np.arange(3.0), sounds)


def test_norms_that_are_not_finite_are_refused():
    with pytest.raises(ProtocolError, match="1 of 2 norms are not finite"):
        fit_threshold(np.array([1.0, np.inf]), np.array([True, False]))
