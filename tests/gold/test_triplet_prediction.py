"""[R22] Section 4: human triplets ordered by an embedding, by hand and as printed."""

import numpy as np
import pytest

from csn.conditions import SubspaceLayout
from csn.evaluation.triplet_prediction import (
    JudgedTriplet,
    TrackVectors,
    TripletScore,
    best_subsets,
    ordered,
    subset_scores,
    track_vectors,
    triplet_score,
)

# Two conditions of two dimensions each.
LAYOUT = SubspaceLayout(("genre", "tempo"), 2)
TRACKS = TrackVectors(
    np.array(list("abcd")),
    np.array(
        [
            [0.0, 0.0, 0.0, 0.0],
            [1.0, 0.0, 0.0, 3.0],
            [0.0, 2.0, 1.0, 0.0],
            [2.0, 0.0, 0.0, 1.0],
        ]
    ),
)
TRIPLETS = [
    # Genre: 1 < 4. Tempo: 9 > 1. Together: 10 > 5.
    JudgedTriplet("a", "b", "c"),
    # Genre: 4 = 4, a tie. Tempo: 1 = 1, a tie. Together: 5 = 5.
    JudgedTriplet("a", "c", "d"),
    # Genre: 1 = 1, a tie. Tempo: 4 < 9. Together: 5 < 10.
    JudgedTriplet("b", "d", "a"),
    # No audio for e and f.
    JudgedTriplet("a", "b", "e"),
    JudgedTriplet("f", "e", "a"),
]


def test_segments_become_the_mean_of_their_track():
    tracks = track_vectors(
        np.array([[1.0, 3.0], [5.0, 5.0], [3.0, 1.0]]),
        np.array(["b", "a", "b"]),
        np.array([0.0, 0.0, 3.0]),
        duration_s=3.0,
    )
    assert tracks.ids.tolist() == ["a", "b"]
    assert tracks.vectors.tolist() == [[5.0, 5.0], [2.0, 2.0]]


def test_ties_are_wrong_and_tracks_without_audio_are_counted():
    assert triplet_score(TRACKS, TRIPLETS) == TripletScore(1, 3, 4, 2, 2)


def test_each_triplet_has_its_answer_and_its_anchor():
    found = ordered(TRACKS, TRIPLETS)
    assert found.anchors.tolist() == ["a", "a", "b"]
    assert found.right.tolist() == [False, False, True]


def test_interval_is_that_of_a_rate_of_answers():
    # 1 of 3: 1.96 sqrt(1/3 * 2/3 / 2) = 1.96 / 3.
    interval = triplet_score(TRACKS, TRIPLETS).interval
    assert interval.rate == pytest.approx(1 / 3)
    assert interval.half_width == pytest.approx(1.96 / 3)


def test_subsets_by_hand():
    found = {
        one.conditions: one.score.num_correct for one in subset_scores(TRACKS, LAYOUT, TRIPLETS)
    }
    assert found == {("genre",): 1, ("tempo",): 1, ("genre", "tempo"): 1}
    assert {one.score.num_missing for one in subset_scores(TRACKS, LAYOUT, TRIPLETS)} == {2}


NAMES = ("genre", "mood", "instrument", "era", "tempo", "key")
# [R22] Table 2: all six; without tempo; ...; as counts of its 426 triplets.
PRINTED_BEST = [
    (NAMES, 0.8380, 357),
    (("genre", "mood", "instrument", "era", "key"), 0.8286, 353),
    (("genre", "instrument", "era", "tempo"), 0.8286, 353),
    (("genre", "mood", "instrument", "era", "tempo"), 0.8263, 352),
    (("genre", "mood", "era", "tempo", "key"), 0.8263, 352),
    (("genre", "mood", "instrument", "era"), 0.8263, 352),
]
PRINTED_SINGLES = [(("era",), 0.7559, 322), (("genre",), 0.7535, 321), (("mood",), 0.7535, 321)]


@pytest.mark.parametrize(("conditions", "rate", "num_correct"), PRINTED_BEST + PRINTED_SINGLES)
def test_printed_rates_are_counts_of_426(conditions, rate, num_correct):
    assert round(TripletScore(num_correct, 426, 0, 0, 0).interval.rate, 4) == rate


def test_ties_come_in_the_order_of_table_2():
    counts = {names: count for names, _, count in PRINTED_BEST + PRINTED_SINGLES}
    rng = np.random.default_rng(0)
    tracks = TrackVectors(np.array(list("abc")), rng.normal(size=(3, 6)))
    triplets = [JudgedTriplet("a", "b", "c"), JudgedTriplet("b", "a", "c")]
    rates = {
        one.conditions: counts.get(one.conditions, 0) / 426
        for one in subset_scores(tracks, SubspaceLayout(NAMES, 1), triplets)
    }
    assert len(rates) == 63
    assert best_subsets(rates) == [row[0] for row in PRINTED_BEST]


def test_means_over_seeds_of_the_same_counts_tie():
    # 0.1 + 0.2 + 0.3 is not 0.3 + 0.2 + 0.1 in floating point.
    rates = {("genre",): (0.3 + 0.2 + 0.1) / 3, ("genre", "tempo"): (0.1 + 0.2 + 0.3) / 3}
    assert best_subsets(rates) == [("genre", "tempo"), ("genre",)]
    assert best_subsets(dict(reversed(rates.items()))) == [("genre", "tempo"), ("genre",)]
