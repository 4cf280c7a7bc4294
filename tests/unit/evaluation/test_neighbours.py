import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from csn.errors import ProtocolError
from csn.evaluation import neighbours
from csn.evaluation.neighbours import nearest, recovered, unit_length, vote

seeds = st.integers(0, 2**32 - 1)


def by_the_plain_formula(queries, reference, k, excluded):
    """Sort all allowed rows by (squared distance, row), one query at a time."""
    groups, reference_groups = excluded
    return [
        [
            row
            for _, row in sorted(
                (float(np.square(query - other).sum()), row)
                for row, other in enumerate(reference)
                if reference_groups[row] != group
            )[:k]
        ]
        for query, group in zip(queries, groups, strict=True)
    ]


@st.composite
def grids_with_ties(draw):
    """Few whole coordinates, so that many distances are equal; groups, so that some are banned."""
    num_queries, num_reference = draw(st.integers(1, 6)), draw(st.integers(6, 12))
    whole = st.integers(-2, 2).map(float)
    queries = draw(arrays(np.float64, (num_queries, 2), elements=whole))
    reference = draw(arrays(np.float64, (num_reference, 2), elements=whole))
    groups = draw(arrays(np.int64, num_queries, elements=st.integers(0, 1)))
    reference_groups = draw(arrays(np.int64, num_reference, elements=st.integers(0, 2)))
    reference_groups[:3] = 2  # three that everyone may meet
    return queries, reference, (groups, reference_groups)


@given(grids_with_ties())
@settings(max_examples=60, deadline=None)
def test_nearest_is_the_plain_formula_with_ties_to_the_lowest_row(case):
    queries, reference, excluded = case
    found = nearest(queries, reference, 3, excluded=excluded)
    assert found.tolist() == by_the_plain_formula(queries, reference, 3, excluded)


@given(seed=seeds, num_groups=st.sampled_from([2, 7, 400]))
@settings(max_examples=15, deadline=None)
def test_nearest_is_the_plain_formula_in_a_large_set_with_ties(seed, num_groups):
    rng = np.random.default_rng(seed)
    points = rng.integers(-4, 5, size=(400, 2)).astype(float)
    groups = rng.integers(0, num_groups, 400)
    found = nearest(points[:10], points, 5, excluded=(groups[:10], groups))
    assert found.tolist() == by_the_plain_formula(points[:10], points, 5, (groups[:10], groups))


@pytest.mark.parametrize("allowed", [slice(0, 400, 80), slice(395, None), slice(7, 400, 25)])
def test_nearest_finds_the_few_that_are_not_excluded(allowed):
    points = np.random.default_rng(4).standard_normal((400, 3))
    groups = np.zeros(400, dtype=int)
    groups[allowed] = 1
    found = nearest(points[:1], points, 5, excluded=(groups[:1] * 0, groups))
    assert found.tolist() == by_the_plain_formula(points[:1], points, 5, ([0], groups))


@pytest.mark.parametrize("dim", [1, 16, 640])
def test_nearest_agrees_with_scikit_learn(dim):
    rng = np.random.default_rng(dim)
    reference = rng.standard_normal((300, dim)) * rng.lognormal(size=(300, 1))
    queries = rng.standard_normal((70, dim))
    theirs = NearestNeighbors(n_neighbors=7).fit(reference).kneighbors(queries)[1]
    assert np.array_equal(nearest(queries, reference, 7), theirs)


def test_nearest_agrees_with_scikit_learn_far_from_the_origin():
    # Where |x|^2 is 10^12 times a distance, matrix products alone would give another order.
    rng = np.random.default_rng(0)
    points = (1e4 + 0.1 * rng.standard_normal((400, 8))).astype(np.float32)
    exact = NearestNeighbors(n_neighbors=5, algorithm="kd_tree").fit(points.astype(np.float64))
    theirs = exact.kneighbors(points.astype(np.float64))[1]
    ours = nearest(points, points, 5)
    told_apart = np.diff(exact.kneighbors(points.astype(np.float64), 6)[0], axis=1).min(1) > 0
    assert told_apart.mean() > 0.9
    assert np.array_equal(ours[told_apart], theirs[told_apart])


def test_nearest_is_the_same_in_any_blocks(monkeypatch):
    rng = np.random.default_rng(1)
    points = rng.standard_normal((60, 5)).astype(np.float32)
    groups = np.arange(60) // 4
    whole = nearest(points, points, 5, excluded=(groups, groups))
    monkeypatch.setattr(neighbours, "_NUMBERS_AT_ONCE", 150)  # two queries, thirty pairs
    assert np.array_equal(nearest(points, points, 5, excluded=(groups, groups)), whole)


def test_equal_vectors_tie_exactly_in_a_large_set():
    rng = np.random.default_rng(2)
    point = rng.standard_normal(640).astype(np.float32)
    assert nearest(point[None] + 1, np.tile(point, (301, 1)), 5).tolist() == [[0, 1, 2, 3, 4]]


@given(seed=seeds)
@settings(max_examples=30, deadline=None)
def test_excluded_groups_are_never_found(seed):
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((20, 3))
    groups = rng.integers(0, 4, 20)
    groups[:5] = np.arange(5)  # so that k others are left to all but the largest group
    k = 20 - np.bincount(groups).max()
    found = nearest(points, points, int(k), excluded=(groups, groups))
    assert not (groups[found] == groups[:, None]).any()


def test_nearest_refuses_fewer_others_than_neighbours():
    points = np.zeros((6, 2))
    with pytest.raises(ProtocolError, match="has 5 others to be compared with, k=6 needed"):
        nearest(points, points, 6, excluded=(np.arange(6), np.arange(6)))
    with pytest.raises(ProtocolError, match="has 6 others to be compared with, k=7 needed"):
        nearest(points, points, 7)


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_nearest_refuses_vectors_that_are_not_finite(broken):
    points = np.zeros((6, 2))
    points[3, 1] = broken
    with pytest.raises(ProtocolError, match="1 of 6 vectors are not finite"):
        nearest(np.zeros((1, 2)), points, 2)
    with pytest.raises(ProtocolError, match="1 of 6 vectors are not finite"):
        nearest(points, np.zeros((6, 2)), 2)


@given(
    arrays(np.int64, st.tuples(st.integers(1, 8), st.integers(1, 6)), elements=st.integers(0, 3))
)
@settings(max_examples=60, deadline=None)
def test_vote_is_scikit_learns_ties_too(labels):
    # Each row's voters stand on a stretch of the line of their own, behind its query.
    num_rows, num_neighbours = labels.shape
    queries = 100.0 * np.arange(num_rows)[:, None]
    voters = (queries + 1 + np.arange(num_neighbours)).reshape(-1, 1)
    theirs = KNeighborsClassifier(num_neighbours).fit(voters, labels.ravel()).predict(queries)
    assert np.array_equal(vote(labels), theirs)


@pytest.mark.parametrize(
    ("row", "winner"),
    [("bbaac", "a"), ("cbbcc", "c"), ("edcba", "a"), ("zzzaa", "z"), ("b", "b")],
)
def test_vote_of_names(row, winner):
    assert vote(np.array([list(row)])).tolist() == [winner]


def test_recovered_refuses_a_single_label():
    with pytest.raises(ProtocolError, match=r"1 track\(s\) with sounding segments found"):
        recovered(np.zeros((9, 2)), np.full(9, "a"), np.arange(9), 5)


def test_unit_length_gives_the_order_of_cosine():
    rng = np.random.default_rng(3)
    points = rng.standard_normal((50, 4)) * rng.lognormal(sigma=2, size=(50, 1))
    ours = nearest(unit_length(points[:10]), unit_length(points), 6)
    search = NearestNeighbors(n_neighbors=6, metric="cosine", algorithm="brute").fit(points)
    # Each point is its own nearest; scikit-learn's rounding may put it elsewhere only among ties.
    assert np.array_equal(ours, search.kneighbors(points[:10])[1])
    assert not np.array_equal(ours, nearest(points[:10], points, 6))


def test_unit_length_refuses_zero_vectors():
    with pytest.raises(ProtocolError, match="2 of 3 vectors are zero, without a cosine"):
        unit_length(np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 0.0]]))
