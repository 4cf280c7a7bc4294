"""Exact nearest neighbours among embeddings, and their vote.

Conventions
-----------
A vector a row, raw: only `compared` and `unit_length` make it unit length. Distances are Euclidean
and are compared as squared distances in float64. Labels and groups are one a row.

Source
------
[H22] Section 4.2.1 (k nearest neighbours, majority vote, cosine distance: `unit_length` first);
[H24] Section 4.2 (the same with Euclidean distance).

Choices
-------
Neighbours at the same distance: the one with the lowest row in the reference set comes first.
Votes: a tie goes to the smallest label, wherever its voters stand. That is the rule of
scikit-learn's ``KNeighborsClassifier``, which the papers' silence makes the likeliest.
"""

from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from csn.errors import ProtocolError

Metric = Literal["cosine", "euclidean"]
"""How neighbours are ranked: as the network learnt to tell them apart."""

_NUMBERS_AT_ONCE = 2**18
"""Distances, or coordinates, worked on at a time: what a core's cache holds. Changes no result."""
_GROUP = 16
"""Columns of which `_bound` takes the minimum. Changes no result."""


def nearest(
    queries: Float[np.ndarray, "queries dim"],
    reference: Float[np.ndarray, "reference dim"],
    k: int,
    *,
    excluded: tuple[Int[np.ndarray, " queries"], Int[np.ndarray, " reference"]] | None = None,
) -> Int[np.ndarray, "queries k"]:
    """Rows of the k reference vectors nearest to each query, nearest first.

    Matrix products make a short list (all that could be among the k, given how far rounding may
    have moved them); direct differences then rank it. So the order is that of the plain formula,
    also for vectors that lie close together far from the origin, and equal vectors tie exactly.

    Parameters
    ----------
    queries, reference
        Raw vectors. Besides blocks of bounded size, one float64 copy of `reference` is held.
    k : int > 0
        Neighbours of each query.
    excluded
        Group of each query and group of each reference row: a query never meets its own group.

    Raises
    ------
    ProtocolError
        If a query may be compared with fewer than `k` vectors, or a vector is not finite.
    """
    _check_finite(queries)
    _check_finite(reference)
    if len(reference) < k:
        raise _too_few(len(reference), k)
    centre = reference.mean(axis=0, dtype=np.float64)
    centred = reference - centre
    squares = np.einsum("rd,rd->r", centred, centred)
    found = np.empty((len(queries), k), dtype=np.intp)
    size = max(1, _NUMBERS_AT_ONCE // len(reference))
    for start in range(0, len(queries), size):
        block = slice(start, start + size)
        banned = None
        if excluded is not None:
            banned = excluded[0][block, None] == excluded[1][None, :]
        rows, columns = _short_list(queries[block] - centre, centred, squares, k, banned)
        found[block] = _ranked(queries[block], reference, rows, columns)[:, :k]
    return found


def vote(labels: Shaped[np.ndarray, "queries k"]) -> Shaped[np.ndarray, " queries"]:
    """Most frequent label of each row; of equally frequent ones the smallest.

    Examples
    --------
    >>> vote(np.array([[2, 1, 2], [3, 2, 1]])).tolist()
    [2, 1]
    """
    ordered = np.sort(labels, axis=1)
    winner = ordered[:, 0].copy()
    run = np.ones(len(labels), dtype=np.intp)
    longest = run.copy()
    for place in range(1, labels.shape[1]):
        run = np.where(ordered[:, place] == ordered[:, place - 1], run + 1, 1)
        winner = np.where(run > longest, ordered[:, place], winner)
        longest = np.maximum(run, longest)
    return winner


def recovered(
    vectors: Float[np.ndarray, "segments dim"],
    labels: Shaped[np.ndarray, " segments"],
    groups: Int[np.ndarray, " segments"],
    k: int,
) -> Bool[np.ndarray, " segments"]:
    """Whether the k nearest of each vector, outside its own group, vote for its label.

    Raises
    ------
    ProtocolError
        If there are fewer than two labels, or fewer than `k` vectors outside a group.
    """
    ids, codes = np.unique(labels, return_inverse=True)
    if len(ids) < 2:
        raise ProtocolError(
            f"{len(ids)} track(s) with sounding segments found, at least 2 needed "
            "(use a split with more tracks in which the part sounds)"
        )
    found = nearest(vectors, vectors, k, excluded=(groups, groups))
    return vote(codes[found]) == codes


def compared(
    vectors: Float[np.ndarray, "rows dim"], metric: Metric
) -> Float[np.ndarray, "rows dim"]:
    """Vectors whose Euclidean neighbours are those of `vectors` by `metric`.

    Raises
    ------
    ProtocolError
        By cosine: if a vector is zero.
    """
    return unit_length(vectors) if metric == "cosine" else vectors


def unit_length(vectors: Float[np.ndarray, "rows dim"]) -> Float[np.ndarray, "rows dim"]:
    """Each vector over its norm: Euclidean neighbours of these are the cosine ones of [H22].

    Raises
    ------
    ProtocolError
        If a vector is zero: it has no direction, so no cosine.
    """
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    if not norms.all():
        raise ProtocolError(
            f"{np.count_nonzero(norms == 0)} of {len(vectors)} vectors are zero, without a cosine "
            "(leave silent segments out, or compare by Euclidean distance)"
        )
    return vectors / norms


def _short_list(
    queries: Float[np.ndarray, "queries dim"],
    reference: Float[np.ndarray, "reference dim"],
    squares: Float[np.ndarray, " reference"],
    k: int,
    banned: Bool[np.ndarray, "queries reference"] | None,
) -> tuple[Int[np.ndarray, " pairs"], Int[np.ndarray, " pairs"]]:
    """Pairs (query, reference row), by query, that hold every query's k nearest, ties and all."""
    # A squared distance, but for the query's own square, which is the same in its whole row.
    scores = (-2.0 * queries) @ reference.T + squares
    if banned is not None:
        scores[banned] = np.inf
    bound = _bound(scores, k)
    if not np.isfinite(bound).all():
        raise _too_few(int(np.isfinite(scores).sum(axis=1).min()), k)
    # A sum of d products is wrong by at most d * eps / 2 of the sum of their sizes, and that is at
    # most (|q| + |r|)^2; twice for the two that are compared, and as much again for `_ranked`.
    reach = np.linalg.norm(queries, axis=1) + np.sqrt(squares.max())
    slack = 2 * (queries.shape[1] + 16) * np.finfo(np.float64).eps * reach**2
    rows, columns = np.divmod(np.flatnonzero(scores <= (bound + slack)[:, None]), scores.shape[1])
    return rows, columns


def _bound(
    scores: Float[np.ndarray, "queries reference"], k: int
) -> Float[np.ndarray, " queries"]:
    """For each query a score that at least k of its row do not exceed, and few more than k.

    The k-th smallest of the minima of groups of columns is one, at a third of the cost of the k-th
    smallest itself; that is taken where the groups are too few.
    """
    num_groups = scores.shape[1] // _GROUP
    if num_groups >= 4 * k:
        minima = scores[:, :num_groups].copy()
        for start in range(num_groups, _GROUP * num_groups, num_groups):
            np.minimum(minima, scores[:, start : start + num_groups], out=minima)
        bound = np.partition(minima, k - 1, axis=1)[:, k - 1]
        if np.isfinite(bound).all():
            return bound
    return np.partition(scores, k - 1, axis=1)[:, k - 1]


def _ranked(
    queries: Float[np.ndarray, "queries dim"],
    reference: Float[np.ndarray, "reference dim"],
    rows: Int[np.ndarray, " pairs"],
    columns: Int[np.ndarray, " pairs"],
) -> Int[np.ndarray, "queries listed"]:
    """Order each query's pairs by distance, then row; cut all to the shortest list."""
    distances = np.empty(len(rows))
    size = max(1, _NUMBERS_AT_ONCE // queries.shape[1])
    for start in range(0, len(rows), size):
        pairs = slice(start, start + size)
        gaps = queries[rows[pairs]].astype(np.float64) - reference[columns[pairs]]
        distances[pairs] = np.square(gaps).sum(axis=1)
    ordered = columns[np.lexsort((distances, rows))]  # stable: in a tie, columns stay ascending
    counts = np.bincount(rows, minlength=len(queries))
    firsts = np.cumsum(counts) - counts
    return ordered[firsts[:, None] + np.arange(counts.min())]


def _check_finite(vectors: Float[np.ndarray, "rows dim"]) -> None:
    broken = np.count_nonzero(~np.isfinite(vectors).all(axis=1))
    if broken:
        raise ProtocolError(
            f"{broken} of {len(vectors)} vectors are not finite, all must be "
            "(did the training diverge? try a smaller optimizer.learning_rate)"
        )


def _too_few(found: int, k: int) -> ProtocolError:
    return ProtocolError(
        f"a segment has {found} others to be compared with, k={k} needed "
        "(use more or longer tracks)"
    )
