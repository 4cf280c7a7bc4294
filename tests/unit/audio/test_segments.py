import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csn.audio.segments import first_sounding


def test_first_sounding_keeps_the_grid_and_the_first_so_many():
    sounding = np.array([1, 1, 0, 1, 1, 1, 1, 1, 0, 1], bool)
    assert np.flatnonzero(first_sounding(sounding, 2, None)).tolist() == [0, 4, 6]
    assert np.flatnonzero(first_sounding(sounding, 2, 2)).tolist() == [0, 4]
    assert np.flatnonzero(first_sounding(sounding, 1, 3)).tolist() == [0, 1, 3]


@settings(max_examples=100, deadline=None)
@given(
    sounding=st.lists(st.booleans(), max_size=60),
    hop_frames=st.integers(1, 8),
    limit=st.none() | st.integers(0, 70),
)
def test_first_sounding_adds_nothing_and_keeps_the_earliest(sounding, hop_frames, limit):
    given_starts = np.array(sounding, bool)
    kept = first_sounding(given_starts, hop_frames, limit)
    on_grid = [i for i in range(0, len(sounding), hop_frames) if sounding[i]]
    assert np.flatnonzero(kept).tolist() == on_grid[:limit]
    assert given_starts.tolist() == sounding


@pytest.mark.parametrize("limit", [None, 5])
def test_silence_has_no_segments(limit):
    assert not first_sounding(np.zeros(10, bool), 2, limit).any()
