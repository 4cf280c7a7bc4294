"""The nearest of very many rows, over weighted subspaces, at the speed of a matrix product.

Conventions
-----------
A vector a row, one block of columns a subspace. The weighted squared distance of a query q and a
row x is ``sum_c w_c |q_c - x_c|^2``. Rows are float32, as they are stored; distances are float64.
Of rows at the same distance the lower comes first. Where fewer than k rows are left, the rest of
the answer is row -1 at an infinite distance.

Choices
-------
But for the query's own squares, which are the same for all rows, that sum is ``sum_c w_c |x_c|^2
- 2 w_c q_c.x_c``: one product of the rows, with each subspace's squared norm in one column more,
and of one vector a query. So the rows are stored once for all weights. Products in float32 make a
short list (all that could be among the k, given how far rounding may have moved them), direct
differences in float64 rank it: the answer is that of the plain formula, ties and all.

The product is taken in blocks of rows, so that nobody reads the scores twice from memory: a block
is looked at while it lies in the cache, and only where its least score is below a query's k-th
best so far.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from csn.errors import ProtocolError

NOBODY = -1
"""In place of a row where there are fewer than k."""
_SCORES_AT_ONCE = 2**17
"""Scores of a block, which a core's cache holds. Changes no result."""
_FEWEST_ROWS, _MOST_ROWS = 2**11, 2**16
"""Of a block: a product of fewer rows is slow, more need not be. Changes no result."""


@dataclass(frozen=True, slots=True)
class Found:
    """The k nearest rows of each query, nearest first."""

    squared: Float[np.ndarray, "queries k"]
    """Weighted squared distances."""
    rows: Int[np.ndarray, "queries k"]


@dataclass(frozen=True, slots=True)
class SubspaceRows:
    """Very many vectors, held for searches with any weights."""

    values: Float[np.ndarray, "rows columns"]
    """Subspaces side by side, then a column with the squared norm of each."""
    widths: tuple[int, ...]
    """Dimensions of each subspace."""
    longest: tuple[float, ...]
    """Norm of the longest vector in each subspace."""

    @classmethod
    def of(cls, subspaces: Sequence[Float[np.ndarray, "rows _"]]) -> "SubspaceRows":
        """Hold the vectors of each subspace; this copies them.

        Raises
        ------
        ProtocolError
            If a vector is not finite.
        """
        widths = tuple(vectors.shape[1] for vectors in subspaces)
        values = np.empty((len(subspaces[0]), sum(widths) + len(widths)), np.float32)
        longest = []
        for place, (vectors, dims) in enumerate(zip(subspaces, _slices(widths), strict=True)):
            values[:, dims] = vectors
            own = values[:, dims]
            norms = values[:, sum(widths) + place]
            np.einsum("rd,rd->r", own, own, out=norms)
            if broken := np.count_nonzero(~np.isfinite(norms)):
                raise ProtocolError(
                    f"{broken} of {len(norms)} vectors are not finite, all must be (did the "
                    "training of the network diverge? embed with another checkpoint)"
                )
            longest.append(math.sqrt(norms.max(initial=0)))
        return cls(values, widths, tuple(longest))

    def __len__(self) -> int:
        return len(self.values)

    def subspace(self, place: int) -> Float[np.ndarray, "rows dim"]:
        """Vectors of one subspace, by its place."""
        return self.values[:, _slices(self.widths)[place]]

    def nearest(
        self,
        queries: Float[np.ndarray, "queries dim"],
        weights: Sequence[float],
        k: int,
        excluded: Int[np.ndarray, " queries"] | None = None,
    ) -> Found:
        """Find the k rows nearest to each query.

        Parameters
        ----------
        queries
            Subspaces side by side, in the order of the rows'.
        weights : sequence of float >= 0
            Of each subspace; one at least is positive.
        excluded
            For each query a row that it is not compared with, or `NOBODY`.

        Raises
        ------
        ProtocolError
            If a query is not finite.
        """
        listed = _short_lists(self, _products(self, queries, weights), k, excluded)
        squared = np.full((len(queries), k), np.inf)
        rows = np.full((len(queries), k), NOBODY, dtype=np.intp)
        for place, columns in enumerate(listed):
            exact = weighted(self.squared_distances(queries[place], columns), weights)
            kept = np.lexsort((columns, exact))[:k]
            squared[place, : len(kept)] = exact[kept]
            rows[place, : len(kept)] = columns[kept]
        return Found(squared, rows)

    def squared_distances(
        self, query: Float[np.ndarray, " dim"], rows: Int[np.ndarray, " found"]
    ) -> Float[np.ndarray, "found subspaces"]:
        """Squared distance of one query and some rows in each subspace, by direct differences."""
        gaps = query.astype(np.float64) - self.values[rows, : sum(self.widths)]
        starts = np.cumsum((0, *self.widths[:-1]))
        return np.add.reduceat(np.square(gaps, out=gaps), starts, axis=1)


def weighted(
    squared: Float[np.ndarray, "rows subspaces"], weights: Sequence[float]
) -> Float[np.ndarray, " rows"]:
    """Weighted sum of squared distances; equal rows give equal numbers, as a BLAS may not."""
    return (squared * np.asarray(weights)).sum(axis=1)


def merged(parts: Iterable[Found], k: int) -> Found:
    """Find the k nearest of what was found in several parts, whose rows are numbered through."""
    parts = list(parts)
    squared = np.concatenate([part.squared for part in parts], axis=1)
    rows = np.concatenate([part.rows for part in parts], axis=1)
    order = np.lexsort((rows, squared), axis=1)[:, :k]
    return Found(
        np.take_along_axis(squared, order, axis=1), np.take_along_axis(rows, order, axis=1)
    )


def _slices(widths: Sequence[int]) -> list[slice]:
    ends = np.cumsum(widths).tolist()
    return [slice(end - width, end) for end, width in zip(ends, widths, strict=True)]


@dataclass(frozen=True, slots=True)
class _Products:
    """What the rows are multiplied by, and how far rounding may move a score."""

    factors: Float[np.ndarray, "queries columns"]
    slack: Float[np.ndarray, " queries"]


def _products(
    held: SubspaceRows, queries: Float[np.ndarray, "queries dim"], weights: Sequence[float]
) -> _Products:
    width = sum(held.widths)
    factors = np.empty((len(queries), held.values.shape[1]), np.float32)
    factors[:, :width] = -2.0 * queries.astype(np.float64) * np.repeat(weights, held.widths)
    factors[:, width:] = weights
    if not np.isfinite(factors).all():
        raise ProtocolError(
            "a query's vector is not finite, all must be (did the network's training diverge?)"
        )
    # A sum of d products is wrong by at most d * eps / 2 of the sum of their sizes, which is at
    # most the sum of w_c (|q_c| + |x_c|)^2; twice for the two scores that are compared, and as
    # much again for the rounding of the factors and norms.
    lengths = np.stack([np.linalg.norm(queries[:, own], axis=1) for own in _slices(held.widths)])
    sizes = np.asarray(weights) @ (lengths + np.array(held.longest)[:, None]) ** 2
    return _Products(factors, 2 * (factors.shape[1] + 16) * np.finfo(np.float32).eps * sizes)


def _short_lists(
    held: SubspaceRows,
    products: _Products,
    k: int,
    excluded: Int[np.ndarray, " queries"] | None,
) -> list[Int[np.ndarray, " listed"]]:
    """For each query the rows, ascending, that hold its k nearest, ties and all."""
    factors, num = products.factors, len(products.factors)
    size = min(_MOST_ROWS, max(_FEWEST_ROWS, _SCORES_AT_ONCE // max(num, 1)))
    memory = np.empty((num, size), np.float32)
    lists = [_ShortList(k, slack) for slack in products.slack.tolist()]
    limits = np.full(num, np.inf)
    for start in range(0, len(held), size):
        block = held.values[start : start + size]
        scores = np.matmul(factors, block.T, out=memory[:, : len(block)])
        if excluded is not None:
            here = np.flatnonzero((excluded >= start) & (excluded < start + len(block)))
            scores[here, excluded[here] - start] = np.inf
        for place in np.flatnonzero(scores.min(axis=1) <= limits):
            limits[place] = lists[place].add(scores[place], start)
    return [one.rows() for one in lists]


class _ShortList:
    """What of the blocks so far could be among one query's k nearest."""

    def __init__(self, k: int, slack: float) -> None:
        self._k, self._slack = k, slack
        self._best = np.empty(0, np.float32)
        self._limit = np.inf
        self._pieces: list[tuple[np.ndarray, np.ndarray]] = []

    def add(self, scores: Float[np.ndarray, " rows"], start: int) -> float:
        """Look at a block's scores; gives the score above which no row matters from now on."""
        best = np.concatenate([self._best, scores[scores <= self._limit]])
        self._best = np.partition(best, self._k - 1)[: self._k] if len(best) > self._k else best
        if len(self._best) == self._k:
            self._limit = float(self._best.max()) + self._slack
        rows = np.flatnonzero((scores <= self._limit) & (scores < np.inf))
        self._pieces.append((rows + start, scores[rows]))
        return self._limit

    def rows(self) -> Int[np.ndarray, " listed"]:
        """All that could still be among the k, ascending."""
        kept = [rows[scores <= self._limit] for rows, scores in self._pieces]
        return np.concatenate(kept) if kept else np.empty(0, np.intp)
