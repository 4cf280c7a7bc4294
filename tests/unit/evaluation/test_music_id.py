import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csn.errors import ProtocolError
from csn.evaluation import music_id

seeds = st.integers(0, 2**32 - 1)


def clustered(seed, num_tracks=6, num_segments=8, spread=1.0):
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((num_tracks, 3))
    track_ids = np.repeat([f"t{i}" for i in range(num_tracks)], num_segments)
    noise = spread * rng.standard_normal((len(track_ids), 3))
    return np.repeat(centres, num_segments, axis=0) + noise, track_ids


@given(seed=seeds)
@settings(max_examples=30, deadline=None)
def test_order_of_rows_does_not_matter(seed):
    vectors, track_ids = clustered(seed)
    order = np.random.default_rng(seed).permutation(len(vectors))
    correct = music_id.accuracy(vectors, track_ids)
    assert np.array_equal(music_id.accuracy(vectors[order], track_ids[order]), correct[order])


@given(seed=seeds, exponent=st.integers(-20, 20))
@settings(max_examples=30, deadline=None)
def test_scale_does_not_matter(seed, exponent):
    vectors, track_ids = clustered(seed)
    scaled = music_id.accuracy(vectors * 2.0**exponent, track_ids)
    assert np.array_equal(scaled, music_id.accuracy(vectors, track_ids))


def test_length_of_the_vectors_matters():
    # Two tracks in the same direction, at two distances: told apart raw, and not by cosine.
    lengths = np.concatenate([np.linspace(1, 1.1, 6), np.linspace(5, 5.1, 6)])
    vectors = lengths[:, None] * np.array([[3.0, 4.0]])
    assert music_id.accuracy(vectors, np.repeat(["a", "b"], 6)).all()


def test_a_query_does_not_vote_for_itself():
    # k = 1: with itself in the reference set every segment would be right.
    vectors = np.array([[0.0], [1.0], [10.0], [11.0]])
    assert not music_id.accuracy(vectors, np.array(["a", "b", "a", "b"]), k=1).any()


def test_random_vectors_score_chance():
    rng = np.random.default_rng(0)
    track_ids = np.repeat(np.arange(10), 100)
    correct = music_id.accuracy(rng.standard_normal((1000, 8)).astype(np.float32), track_ids)
    assert correct.mean() == pytest.approx(1 / 10, abs=0.04)


def test_taking_part_drops_silent_segments_and_silent_tracks():
    track_ids = np.repeat(["often", "rarely", "never"], [10, 11, 3])
    sounds = np.zeros(24, dtype=bool)
    sounds[[4, 10]] = True  # one of ten is not under 10 %, one of eleven is
    assert np.flatnonzero(music_id.taking_part(track_ids, sounds, 0.1)).tolist() == [4]
    assert np.flatnonzero(music_id.taking_part(track_ids, sounds, 0.0)).tolist() == [4, 10]


def test_no_more_segments_than_neighbours_is_refused():
    with pytest.raises(ProtocolError, match="has 4 others to be compared with, k=5 needed"):
        music_id.accuracy(np.zeros((5, 2)), np.array(list("aabbb")))


def test_nothing_that_sounds_is_refused():
    with pytest.raises(ProtocolError, match=r"0 track\(s\) with sounding segments found"):
        music_id.accuracy(np.zeros((0, 2)), np.array([], dtype=str))
