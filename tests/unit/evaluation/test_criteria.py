import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist, squareform
from scipy.stats import pearsonr, spearmanr

from csn.errors import ProtocolError
from csn.evaluation.criteria import (
    Distances,
    centroid_distances,
    mean_over_seeds,
    pearson,
    reciprocal_ranks,
    spearman,
)

seeds = st.integers(0, 2**32 - 1)
quickly = settings(max_examples=25, deadline=None)


def drawn(seed, num_tracks=7, *, with_ties=False):
    rng = np.random.default_rng(seed)
    vectors = rng.integers(-3, 4, (num_tracks, 2)) if with_ties else rng.random((num_tracks, 4))
    ids = np.array([f"t{i}" for i in range(num_tracks)])
    return centroid_distances(vectors.astype(np.float32), ids, metric="euclidean")


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_centroid_distances_are_scipys(metric):
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat(np.arange(6), [1, 2, 3, 4, 5, 6]))
    vectors = rng.standard_normal((21, 5)).astype(np.float32)
    found = centroid_distances(vectors, labels, metric=metric)
    centroids = np.stack([vectors[labels == i].mean(axis=0, dtype=np.float64) for i in range(6)])
    assert found.matrix == pytest.approx(squareform(pdist(centroids, metric)))
    assert np.array_equal(found.matrix, found.matrix.T)
    assert not found.matrix.diagonal().any()


def test_cosine_distance_does_not_see_length_and_euclidean_does():
    vectors, labels = np.random.default_rng(1).random((9, 3)), np.repeat([1, 2, 3], 3)
    longer = vectors * np.repeat([1.0, 10.0, 0.1], 3)[:, None]
    one, other = (centroid_distances(v, labels).matrix for v in (vectors, longer))
    assert one == pytest.approx(other)
    one, other = (centroid_distances(v, labels, "euclidean").matrix for v in (vectors, longer))
    assert one != pytest.approx(other)


@given(seed=seeds)
@quickly
def test_pearson_is_scipys(seed):
    a, b = drawn(seed), drawn(seed + 1)
    pairs = np.triu_indices(7, k=1)
    assert pearson(a, b) == pytest.approx(pearsonr(a.matrix[pairs], b.matrix[pairs]).statistic)


@given(seed=seeds, with_ties=st.booleans())
@quickly
def test_spearman_is_scipys_with_ties_too(seed, with_ties):
    a, b = drawn(seed, with_ties=with_ties), drawn(seed + 1, with_ties=with_ties)
    others = [np.delete(np.arange(7), i) for i in range(7)]
    rows = [(a.matrix[i, o], b.matrix[i, o]) for i, o in enumerate(others)]
    if any(np.ptp(x) == 0 or np.ptp(y) == 0 for x, y in rows):
        return
    assert spearman(a, b) == pytest.approx(np.mean([spearmanr(x, y).statistic for x, y in rows]))


@given(seed=seeds)
@quickly
def test_a_criterion_agrees_with_itself(seed):
    a = drawn(seed)
    assert pearson(a, a) == pytest.approx(1)
    assert spearman(a, a) == pytest.approx(1)
    assert reciprocal_ranks(a, a, top=6) == pytest.approx(1 / np.arange(1, 7))


@given(seed=seeds)
@quickly
def test_order_and_scale_change_rankings_nowhere(seed):
    a, b = drawn(seed), drawn(seed + 1)
    stretched = Distances(b.ids, b.matrix**3 * 5)
    assert spearman(a, stretched) == pytest.approx(spearman(a, b))
    assert np.array_equal(reciprocal_ranks(a, stretched), reciprocal_ranks(a, b))


def test_equal_neighbours_come_in_the_order_of_their_ids():
    same = Distances(np.arange(4), 1.0 - np.eye(4))
    # Of each track the others in order: 1 2 3, 0 2 3, 0 1 3, 0 1 2; ranks 1, 2, 3 in both.
    assert reciprocal_ranks(same, same) == pytest.approx([1, 1 / 2, 1 / 3])


def test_a_track_in_the_place_of_another_is_not_its_own_neighbour():
    twins = centroid_distances(np.array([[1.0], [1.0], [2.0]]), np.arange(3), "euclidean")
    assert reciprocal_ranks(twins, twins, top=2) == pytest.approx([1, 1 / 2])


def test_mean_over_seeds_of_one_run_is_that_run():
    a = drawn(3)
    assert np.array_equal(mean_over_seeds([a]).matrix, a.matrix)


def test_runs_of_other_tracks_are_refused():
    a = drawn(0)
    renamed = Distances(np.array([*a.ids[:-1], "u9"]), a.matrix)
    with pytest.raises(ProtocolError, match=r"7 and 7 tracks found, 2 only in one \(t6"):
        mean_over_seeds([a, renamed])
    with pytest.raises(ProtocolError, match="7 and 6 tracks found, 1 only in one"):
        pearson(a, drawn(0, num_tracks=6))
    with pytest.raises(ProtocolError, match="in another order"):
        spearman(a, Distances(a.ids[::-1].copy(), a.matrix))
    with pytest.raises(ProtocolError, match="0 runs found"):
        mean_over_seeds([])


def test_fewer_than_three_tracks_are_refused():
    with pytest.raises(ProtocolError, match=r"2 track\(s\) found, at least 3"):
        centroid_distances(np.eye(2), np.array(["a", "b"]))
    pair = Distances(np.arange(2), 1 - np.eye(2))
    for compare in (pearson, spearman, reciprocal_ranks):
        with pytest.raises(ProtocolError, match=r"2 track\(s\) found, at least 3"):
            compare(pair, pair)


def test_equal_distances_have_no_correlation():
    same = Distances(np.arange(3), 1.0 - np.eye(3))
    with pytest.raises(ProtocolError, match="all 3 distances of all pairs of tracks are equal"):
        pearson(drawn(0, num_tracks=3)._replace(ids=same.ids), same)
    with pytest.raises(ProtocolError, match="all 2 distances of 0 are equal"):
        spearman(same, drawn(0, num_tracks=3)._replace(ids=same.ids))


def test_more_neighbours_than_tracks_are_refused():
    a = drawn(0, num_tracks=3)
    with pytest.raises(ProtocolError, match="has 2 others, 3 neighbours asked about"):
        reciprocal_ranks(a, a)


def test_vectors_without_distances_are_refused():
    vectors = np.array([[1.0, 0], [np.nan, 1], [1, 1]])
    with pytest.raises(ProtocolError, match=r"1 of 3 tracks \(b"):
        centroid_distances(vectors, np.array(list("abc")))
    with pytest.raises(ProtocolError, match="1 of 3 vectors are zero, without a cosine"):
        centroid_distances(np.array([[1.0], [0.0], [2.0]]), np.array(list("abc")))
