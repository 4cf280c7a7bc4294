import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csn.conditions import SubspaceLayout
from csn.errors import ProtocolError
from csn.evaluation.triplet_prediction import (
    JudgedTriplet,
    TrackVectors,
    subset_scores,
    track_vectors,
    triplet_score,
)

NAMES = ("genre", "mood", "instrument", "era", "tempo", "key")
LAYOUT = SubspaceLayout(NAMES, 2)


def drawn(seed, num_tracks=12, num_triplets=30):
    rng = np.random.default_rng(seed)
    ids = np.array([f"t{place}" for place in range(num_tracks)])
    tracks = TrackVectors(ids, rng.normal(size=(num_tracks, LAYOUT.embedding_dim)))
    chosen = [rng.choice(ids, 3, replace=False).tolist() for _ in range(num_triplets)]
    return tracks, [JudgedTriplet(*names) for names in chosen]


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_each_subset_scores_as_an_embedding_of_its_subspaces_alone(seed):
    tracks, triplets = drawn(seed)
    scores = subset_scores(tracks, LAYOUT, triplets)
    assert len({one.conditions for one in scores}) == 63
    for conditions, score in scores:
        alone = np.concatenate([tracks.vectors[:, LAYOUT.dims(name)] for name in conditions], 1)
        assert score == triplet_score(TrackVectors(tracks.ids, alone), triplets)


def test_equal_vectors_tie_in_every_subset():
    tracks, _ = drawn(0)
    tracks.vectors[2] = tracks.vectors[1]
    triplets = [JudgedTriplet(f"t{place}", "t1", "t2") for place in range(3, 12)]
    assert {one.score.num_correct for one in subset_scores(tracks, LAYOUT, triplets)} == {0}


def test_swapped_answers_swap_the_share():
    tracks, triplets = drawn(1)
    swapped = [JudgedTriplet(one.anchor, one.farther, one.nearer) for one in triplets]
    rates = [triplet_score(tracks, asked).interval.rate for asked in (triplets, swapped)]
    assert sum(rates) == pytest.approx(1)


def test_a_triplet_of_two_tracks_is_refused():
    with pytest.raises(ProtocolError, match="three different tracks"):
        JudgedTriplet("a", "b", "a")


def test_overlapping_segments_are_refused():
    vectors, ids = np.ones((3, 2)), np.array(["a", "b", "a"])
    with pytest.raises(ProtocolError, match=r"a: segments of 3 s at 0 s and 1\.5 s"):
        track_vectors(vectors, ids, np.array([0.0, 0.0, 1.5]), 3.0)


def test_too_few_tracks_with_audio_are_refused():
    tracks, _ = drawn(0)
    triplets = [JudgedTriplet("t1", "t2", "t3"), JudgedTriplet("t1", "t2", "x")]
    with pytest.raises(ProtocolError, match=r"1 of 2 triplets .* x \.\.\. have none"):
        triplet_score(tracks, triplets)


def test_vectors_of_another_size_are_refused():
    tracks, triplets = drawn(0)
    with pytest.raises(ProtocolError, match="12 dimensions found, 18 expected"):
        subset_scores(tracks, SubspaceLayout(NAMES, 3), triplets)


def test_only_vectors_that_are_asked_about_must_be_finite():
    tracks, _ = drawn(0)
    triplets = [JudgedTriplet("t1", "t2", "t3"), JudgedTriplet("t3", "t2", "t1")]
    tracks.vectors[9] = np.nan
    assert triplet_score(tracks, triplets).num_triplets == 2
    tracks.vectors[2] = np.nan
    with pytest.raises(ProtocolError, match=r"1 of 3 tracks \(t2 \.\.\.\)"):
        triplet_score(tracks, triplets)


def test_two_vectors_of_one_track_are_refused():
    tracks = TrackVectors(np.array(["a", "b", "a"]), np.ones((3, 2)))
    with pytest.raises(ProtocolError, match="3 vectors of 2 tracks"):
        triplet_score(tracks, [JudgedTriplet("a", "b", "c")])
