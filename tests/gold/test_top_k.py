"""The weighted distance over subspaces, by hand and against the plain formula."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csn.errors import ProtocolError
from csn.evaluation import top_k
from csn.evaluation.top_k import NOBODY, Found, SubspaceRows, merged

DRUMS = np.array([[0, 0], [3, 4], [0, 1], [6, 8]], np.float32)
BASS = np.array([[1], [1], [3], [1]], np.float32)
QUERY = np.array([[0, 0, 1]], np.float32)


def test_distance_is_the_weighted_sum_of_squares_in_each_subspace():
    held = SubspaceRows.of([DRUMS, BASS])
    # Squared distances: drums 0, 25, 1, 100; bass 0, 0, 4, 0.
    by_subspace = held.squared_distances(QUERY[0], np.arange(4))
    np.testing.assert_array_equal(by_subspace, [[0, 0], [25, 0], [1, 4], [100, 0]])
    found = held.nearest(QUERY, [1, 0.5], k=4)
    np.testing.assert_array_equal(found.rows, [[0, 2, 1, 3]])
    np.testing.assert_array_equal(found.squared, [[0, 3, 25, 100]])


def test_weights_decide_who_is_near():
    held = SubspaceRows.of([DRUMS, BASS])
    assert held.nearest(QUERY, [1, 0], k=2).rows.tolist() == [[0, 2]]
    assert held.nearest(QUERY, [0, 1], k=3).rows.tolist() == [[0, 1, 3]]
    assert held.nearest(QUERY, [1, 7], k=2).rows.tolist() == [[0, 1]]


def test_excluded_row_is_not_found_and_missing_ones_are_nobody():
    held = SubspaceRows.of([DRUMS, BASS])
    found = held.nearest(QUERY, [1, 1], k=4, excluded=np.array([0]))
    assert found.rows.tolist() == [[2, 1, 3, NOBODY]]
    assert found.squared[0, -1] == np.inf


def plain(values, widths, query, weights, k):
    """The formula as it stands, in float64."""
    gaps = (values[:, : sum(widths)].astype(np.float64) - query.astype(np.float64)) ** 2
    each = np.stack([part.sum(axis=1) for part in np.split(gaps, np.cumsum(widths)[:-1], axis=1)])
    exact = (each.T * np.asarray(weights)).sum(axis=1)
    order = np.lexsort((np.arange(len(exact)), exact))[:k]
    return order, exact[order]


@settings(deadline=None)
@given(
    seed=st.integers(0, 2**31),
    num_rows=st.integers(1, 300),
    k=st.integers(1, 12),
    weights=st.lists(st.sampled_from([0.0, 0.1, 1.0, 3.0]), min_size=3, max_size=3).filter(any),
    offset=st.sampled_from([0.0, 1.0, 100.0]),
    rounded=st.booleans(),
)
def test_short_list_gives_what_the_plain_formula_gives(
    seed, num_rows, k, weights, offset, rounded
):
    rng = np.random.default_rng(seed)
    widths = (4, 3, 1)
    vectors = rng.normal(size=(num_rows, sum(widths))) + offset
    vectors = np.round(vectors) if rounded else vectors  # many rows at one distance
    vectors = vectors.astype(np.float32)
    held = SubspaceRows.of(np.split(vectors, np.cumsum(widths)[:-1], axis=1))
    query = vectors[rng.integers(num_rows)]
    found = held.nearest(query[None], weights, k)
    order, exact = plain(held.values, widths, query, weights, k)
    assert found.rows[0, : len(order)].tolist() == order.tolist()
    np.testing.assert_allclose(found.squared[0, : len(order)], exact, rtol=1e-12)
    assert (found.rows[0, len(order) :] == NOBODY).all()


@pytest.mark.parametrize("num_queries", [1, 5])
def test_blocks_and_parts_change_nothing(monkeypatch, num_queries):
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(500, 6)).astype(np.float32)
    queries = rng.normal(size=(num_queries, 6)).astype(np.float32)
    whole = SubspaceRows.of([vectors[:, :4], vectors[:, 4:]]).nearest(queries, [1, 2], k=7)
    monkeypatch.setattr(top_k, "_MOST_ROWS", 16)
    monkeypatch.setattr(top_k, "_FEWEST_ROWS", 16)
    parts = []
    for start in range(0, 500, 120):
        part = vectors[start : start + 120]
        found = SubspaceRows.of([part[:, :4], part[:, 4:]]).nearest(queries, [1, 2], k=7)
        parts.append(Found(found.squared, found.rows + start))
    joined = merged(parts, 7)
    np.testing.assert_array_equal(joined.rows, whole.rows)
    np.testing.assert_array_equal(joined.squared, whole.squared)


def test_vectors_that_are_no_numbers_are_refused():
    with pytest.raises(ProtocolError, match="1 of 2 vectors are not finite"):
        SubspaceRows.of([np.array([[1.0], [np.nan]], np.float32)])
    held = SubspaceRows.of([DRUMS, BASS])
    with pytest.raises(ProtocolError, match="query's vector is not finite"):
        held.nearest(np.full((1, 3), np.inf, np.float32), [1, 1], k=1)
