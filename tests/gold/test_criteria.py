"""[H22] Section 4.2: criteria compared on four tracks, worked by hand; presence and retrieval."""

import numpy as np
import pyarrow as pa
import pytest

from csn.config import EvaluationConfig
from csn.evaluation.criteria import (
    Distances,
    centroid_distances,
    mean_over_seeds,
    pearson,
    reciprocal_ranks,
    spearman,
)
from csn.evaluation.intervals import bootstrap_balanced
from csn.evaluation.neighbours import recovered
from csn.evaluation.presence import fit_threshold, presence_accuracy
from csn.evaluation.presence_scores import gated_recovered, gated_scores, presence_scores
from csn.evaluation.retrieval import retrieve
from csn.evaluation.scores import music_id_scores
from csn.records import embedding_schema

approx = pytest.approx


def distances(ab, ac, ad, bc, bd, cd):
    matrix = np.array([[0, ab, ac, ad], [ab, 0, bc, bd], [ac, bc, 0, cd], [ad, bd, cd, 0]])
    return Distances(np.array(list("abcd")), matrix.astype(float))


INSTRUMENT = distances(1, 2, 3, 4, 5, 6)
MIX = distances(2, 1, 3, 4, 6, 5)


def test_h22_centroid_is_the_mean_of_raw_segments():
    # a: (1, 0) and (3, 0) -> (2, 0). b: (0, 1). c: (2, 1) and (4, 7) -> (3, 4), cosine with a 3/5,
    # with b 4/5. The mean of c's unit vectors would point elsewhere.
    vectors = np.array([[2.0, 1], [1, 0], [0, 1], [3, 0], [4, 7]])
    found = centroid_distances(vectors, np.array(list("cabac")))
    assert found.ids.tolist() == ["a", "b", "c"]
    assert found.matrix == approx(np.array([[0, 1, 0.4], [1, 0, 0.2], [0.4, 0.2, 0]]))
    euclid = centroid_distances(vectors, np.array(list("cabac")), metric="euclidean").matrix
    assert euclid[0] == approx([0, 5**0.5, 17**0.5])
    assert euclid[1, 2] == approx(18**0.5)


def test_h22_mean_over_runs():
    mean = mean_over_seeds([INSTRUMENT, MIX])
    assert mean.matrix[0].tolist() == [0, 1.5, 1.5, 3]


def test_h22_pearson_of_upper_triangles():
    # x = 1 2 3 4 5 6, y = 2 1 3 4 6 5, both of mean 3.5 and sum of squares 17.5.
    # sum (x - y)^2 = 4, so r = 1 - 4 / (2 * 17.5) = 31/35. With the diagonal's zeros it is higher.
    assert pearson(INSTRUMENT, MIX) == approx(31 / 35)


def test_h22_spearman_of_each_tracks_neighbours():
    # a: b c d at 1 2 3, and 2 1 3 -> ranks differ by 1 1 0: 1 - 6 * 2 / 24 = 1/2.
    # b: a c d at 1 4 5, and 2 4 6 -> the same ranks: 1.
    # c: a b d at 2 4 6, and 1 4 5 -> 1.   d: a b c at 3 5 6, and 3 6 5 -> 1/2.
    assert spearman(INSTRUMENT, MIX) == approx((0.5 + 1 + 1 + 0.5) / 4)


def test_h22_spearman_shares_ranks_of_equal_distances():
    # Ranks of a's neighbours 1 2 3 against 1.5 1.5 3: covariance 1.5, sums of squares 2 and 1.5.
    # b: 1 2 3 against 1 2 3. c and d: the same as in the mix of four distances that do not tie.
    tied = distances(1, 1, 3, 4, 5, 6)
    assert spearman(INSTRUMENT, tied) == approx((1.5 / (2 * 1.5) ** 0.5 + 3) / 4)


def test_h22_reciprocal_ranks_of_the_first_three():
    # By the instrument: a -> b c d, b -> a c d, c -> a b d, d -> a b c.
    # By the mix: a -> c b d, b -> a c d, c -> a b d, d -> a c b.
    # Ranks of the 1st: 2 1 1 1; of the 2nd: 1 2 2 3; of the 3rd: 3 3 3 2.
    found = reciprocal_ranks(INSTRUMENT, MIX)
    assert found == approx([3.5 / 4, (1 + 0.5 + 0.5 + 1 / 3) / 4, (1 + 0.5) / 4])


def test_presence_threshold_and_accuracy():
    # Silent 1 2 6, sounding 3 4 5 7 8. At 3: 5/5 and 2/3. At 7: 2/5 and 3/3. Lower ones hear more
    # silent segments, 4 to 6 fewer sounding ones.
    norms = np.array([1.0, 2, 6, 3, 4, 5, 7, 8])
    sounds = np.arange(8) > 2
    assert fit_threshold(norms, sounds) == 3.0
    assert presence_accuracy(norms, sounds, 3.0) == approx((1 + 2 / 3) / 2)
    assert presence_accuracy(norms, sounds, 7.0) == approx((2 / 5 + 1) / 2)


def test_presence_threshold_ties_go_to_the_lowest():
    # Sounding 1 3, silent 2: at 1, 2/2 and 0/1; at 3, 1/2 and 1/1. At 2: 1/2 and 0/1.
    # Means 1/2, 3/4, 1/4. With sounding 1 3 and silent 0 2, 1 gives 1 and 1/2, 3 gives 1/2 and 1.
    assert fit_threshold(np.array([1.0, 2, 3]), np.array([True, False, True])) == 3.0
    assert fit_threshold(np.array([0.0, 1, 2, 3]), np.array([False, True, False, True])) == 1.0


def test_r_precision_and_map_at_r_on_a_line():
    # a at 0 2 5, b at 1 6. c at 20 alone: no query.
    # a0: 1b 2a       -> R 2: 1/2 right; (0 + 1/2) / 2 = 1/4.
    # a2: 1b 0a       -> the same.
    # a5: 6b 2a       -> the same.
    # b1: R 1: 0a or 2a, both at 1 -> 0.   b6: 5a -> 0.
    vectors = np.array([[0.0], [2], [5], [1], [6], [20]])
    found = retrieve(vectors, np.array(list("aaabbc")))
    assert found.rows.tolist() == [0, 1, 2, 3, 4]
    assert found.r_precision.tolist() == [0.5, 0.5, 0.5, 0, 0]
    assert found.average_precision_at_r.tolist() == [0.25, 0.25, 0.25, 0, 0]


def test_map_at_r_prefers_the_right_ones_first():
    # R = 2 for the a at 0: neighbours a b count 1/1 + 0, b a count 0 + 1/2.
    first = retrieve(np.array([[0.0], [1], [9], [2], [8]]), np.array(list("aaabb")))
    last = retrieve(np.array([[0.0], [2], [9], [1], [8]]), np.array(list("aaabb")))
    assert (first.r_precision[0], last.r_precision[0]) == (0.5, 0.5)
    assert (first.average_precision_at_r[0], last.average_precision_at_r[0]) == (0.5, 0.25)


def test_r_precision_and_map_at_r_are_of_the_segments_that_p1_counts():
    # The line of the test above; a's silent segment at 0.5 and c, silent too, take no part. Of the
    # five that sound a0 a2 a5 have 1/2 and 1/4, b1 and b6 nothing.
    line = [("a", 0), ("a", 2), ("a", 5), ("b", 1), ("b", 6), ("a", 0.5), ("c", 20)]
    rows = [segment(track, index, place, index < 5) for index, (track, place) in enumerate(line)]
    tables = {"bass": pa.Table.from_pylist(rows, schema=embedding_schema(1))}
    config = EvaluationConfig(k=1, durations_s=(3.0,), num_resamples=20)
    found = music_id_scores(tables, system="csn", config=config, seed=0).rows[0]
    assert found["r_precision"] == approx(1.5 / 5)
    assert found["map_at_r"] == approx(0.75 / 5)


def segment(track, index, place, sounds):
    return {
        "track_id": track,
        "segment_index": index,
        "duration_s": 3.0,
        "source": "mix",
        "focus": "",
        "focus_track_id": track,
        "backing_track_id": track,
        "sounds": sounds,
        "vector": [float(place)],
    }


def test_presence_gate_leaves_out_what_is_not_heard():
    # On a line: a 5, b 6 (not heard), a 8, b 12, b 13. k = 1, each its own group.
    # Ungated a5 -> b6, wrong. Gated a5 -> a8, a8 -> a5, b12 -> b13, b13 -> b12; b6 asks nobody.
    vectors = np.array([[5.0], [6], [8], [12], [13]])
    heard = np.array([True, False, True, True, True])
    labels, groups = np.array(list("ababb")), np.arange(5)
    found = gated_recovered(vectors, labels, groups, heard, k=1)
    assert found.tolist() == [True, False, True, True, True]
    assert not recovered(vectors, labels, groups, 1)[0]


def test_presence_gate_lets_in_what_is_heard_by_mistake():
    # The silent b at 5.1 is heard: it is a5's nearest, and the answer is wrong. The queries are
    # those that sound: a5 wrong, a6 -> a5.1b wrong, b20 -> b21, b21 -> b20: 2 of 4.
    places = [("a", 5.0, True), ("a", 6.0, True), ("b", 5.1, False), ("b", 20, True)]
    places.append(("b", 21, True))
    rows = [segment(a, index, place, sounds) for index, (a, place, sounds) in enumerate(places)]
    tables = {"bass": pa.Table.from_pylist(rows, schema=embedding_schema(1))}
    config = EvaluationConfig(k=1, durations_s=(3.0,), num_resamples=20)
    asked = {"system": "csn", "config": config, "seed": 0}
    (gated,) = gated_scores("music_id", tables, {"bass": 1.0}, **asked).rows
    assert (gated["num_correct"], gated["num_queries"], gated["chance"]) == (2, 4, 0.5)
    # Sounding 4 of 4 heard, silent 0 of 1 not: (1 + 0) / 2.
    (presence,) = presence_scores(tables, {"bass": 1.0}, **asked).rows
    assert (presence["accuracy"], presence["num_correct"]) == (0.5, 4)


def test_bounds_of_a_balanced_accuracy_of_two_tracks():
    # x: sounding 1 of 1 right, silent 1 of 1. y: 0 of 1 and 0 of 1. Draws xx 1, xy 1/2, yy 0.
    correct = np.array([True, True, False, False])
    sounds = np.array([True, False, True, False])
    bounds = bootstrap_balanced(correct, sounds, np.array(list("xxyy")), num_resamples=400, seed=0)
    assert bounds == (0.0, 1.0)
    # Alone x has no silent segment: only draws with y count, and all of those are 1.
    bounds = bootstrap_balanced(
        np.ones(3, bool), sounds[:3], np.array(list("xyx")), num_resamples=50, seed=0
    )
    assert bounds == (1.0, 1.0)
