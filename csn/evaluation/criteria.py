"""How alike two criteria of similarity are: the mix's and an instrument's, or any other two.

Conventions
-----------
A criterion is given by its distances between tracks: `Distances`, whose ids are sorted and whose
matrix is symmetric with a zero diagonal. Cosine distance is ``1 - cos``. Ranks begin at 1.

Metrics
-------
`pearson` : correlation of the distances of all pairs of tracks.
`spearman` : correlation of the rankings of each track's neighbours, averaged over the tracks.
`reciprocal_ranks` : for the k-th neighbour by an instrument, the mean of one over its rank by the
mix (the paper's MRR; one number for each k).

Source
------
[H22] Section 4.2, Tables 2 and 3: centroids of 20 test tracks, cosine distance,
matrices averaged over 5 runs, upper triangles without the diagonal, top 3 neighbours.

Choices
-------
A centroid is the mean of raw vectors; cosine distance normalises the centroids, not the segments.
A track is never its own neighbour. Equal distances share their mean rank in `spearman` (scipy's
rule); in `reciprocal_ranks` the one whose id sorts first comes first, as in
`csn.evaluation.neighbours`. Where all distances are equal a correlation is undefined: refused.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped

from csn.errors import ProtocolError
from csn.evaluation.neighbours import Metric, unit_length


class Distances(NamedTuple):
    """Tracks in the order of their ids, and the distances between them."""

    ids: Shaped[np.ndarray, " tracks"]
    matrix: Float[np.ndarray, "tracks tracks"]


def centroids(
    vectors: Float[np.ndarray, "segments dim"], labels: Shaped[np.ndarray, " segments"]
) -> tuple[Shaped[np.ndarray, " tracks"], Float[np.ndarray, "tracks dim"]]:
    """Tracks in the order of their ids, and the mean of each one's segments, in float64.

    Raises
    ------
    ProtocolError
        If a mean is not finite; names the first such track.
    """
    ids, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    means = np.zeros((len(ids), vectors.shape[1]))
    np.add.at(means, codes, vectors)
    means /= counts[:, None]
    broken = ids[~np.isfinite(means).all(axis=1)]
    if len(broken):
        raise ProtocolError(
            f"{len(broken)} of {len(ids)} tracks ({broken[0]} ...) have vectors that are not "
            "finite, all must be (did the training diverge? try a smaller "
            "optimizer.learning_rate)"
        )
    return ids, means


def centroid_distances(
    vectors: Float[np.ndarray, "segments dim"],
    labels: Shaped[np.ndarray, " segments"],
    metric: Metric = "cosine",
) -> Distances:
    """Distances between the tracks' centroids, the means over their segments ([H22] 4.2).

    Parameters
    ----------
    vectors
        Raw embeddings, or their part in one subspace.
    labels
        Track of each segment; any type that sorts.
    metric
        Cosine distance as in [H22], or Euclidean as in [H24].

    Raises
    ------
    ProtocolError
        If there are fewer than three tracks, a vector is not finite, or a centroid has no cosine.
    """
    ids, means = centroids(vectors, labels)
    _check_enough(len(ids))
    if metric == "cosine":
        means = unit_length(means)
    matrix = np.stack([np.linalg.norm(means - mean, axis=1) for mean in means])
    # Of unit vectors, |u - v|^2 = 2 (1 - cos): exactly symmetric and zero with itself.
    return Distances(ids, matrix**2 / 2 if metric == "cosine" else matrix)


def mean_over_seeds(runs: Sequence[Distances]) -> Distances:
    """Mean of the distances of several runs, which must be of the same tracks ([H22] 4.2).

    Raises
    ------
    ProtocolError
        If there is no run, or two are of different tracks.
    """
    if not runs:
        raise ProtocolError("0 runs found, at least 1 needed (evaluate a trained run first)")
    for run in runs[1:]:
        _check_same(runs[0], run)
    return Distances(runs[0].ids, np.mean([run.matrix for run in runs], axis=0))


def pearson(a: Distances, b: Distances) -> float:
    """Pearson correlation of the upper triangles without the diagonal ([H22] Table 2a).

    Examples
    --------
    >>> near = Distances(np.arange(3), np.array([[0.0, 1, 2], [1, 0, 3], [2, 3, 0]]))
    >>> round(pearson(near, Distances(near.ids, 10 - near.matrix)), 6)
    -1.0

    Raises
    ------
    ProtocolError
        If there are fewer than three tracks, the tracks differ, or all distances of one are equal.
    """
    _check_same(a, b)
    pairs = np.triu_indices(len(a.ids), k=1)
    return _correlation(a.matrix[pairs], b.matrix[pairs], "all pairs of tracks")


def spearman(a: Distances, b: Distances) -> float:
    """Spearman correlation of each track's neighbour rankings, mean over tracks ([H22] Table 2b).

    Raises
    ------
    ProtocolError
        If there are fewer than three tracks, the tracks differ, or a track is equally far from all
        others.
    """
    _check_same(a, b)
    pairs = zip(a.ids, _without_own(a.matrix), _without_own(b.matrix), strict=True)
    return float(np.mean([_correlation(_ranks(x), _ranks(y), str(name)) for name, x, y in pairs]))


def reciprocal_ranks(
    instrument: Distances, mix: Distances, top: int = 3
) -> Float[np.ndarray, " top"]:
    """Mean reciprocal rank by the mix of the 1st, 2nd ... neighbour by the instrument.

    Source: [H22] Table 3 (columns 1st, 2nd, 3rd).

    Parameters
    ----------
    top : int > 0
        Neighbours asked about.

    Raises
    ------
    ProtocolError
        If there are fewer than three tracks, no more than `top`, or the tracks differ.
    """
    _check_same(instrument, mix)
    num_others = len(mix.ids) - 1
    if num_others < top:
        raise ProtocolError(
            f"a track has {num_others} others, {top} neighbours asked about "
            "(use more tracks, or a smaller top)"
        )
    asked = _order(instrument.matrix)[:, :top]
    ranks = np.argsort(_order(mix.matrix), axis=1) + 1  # rank of each track for each track
    return (1.0 / np.take_along_axis(ranks, asked, axis=1)).mean(axis=0)


def _order(matrix: Float[np.ndarray, "tracks tracks"]) -> Int[np.ndarray, "tracks tracks"]:
    """Tracks from near to far of each track; it comes last itself, whatever its equals."""
    far = matrix.copy()
    np.fill_diagonal(far, np.inf)
    return np.argsort(far, axis=1, kind="stable")


def _without_own(matrix: Float[np.ndarray, "tracks tracks"]) -> Float[np.ndarray, "tracks others"]:
    others = ~np.eye(len(matrix), dtype=bool)
    return matrix[others].reshape(len(matrix), len(matrix) - 1)


def _ranks(values: Float[np.ndarray, " others"]) -> Float[np.ndarray, " others"]:
    """Rank of each value; equal values share the mean of their ranks."""
    below = (values[None, :] < values[:, None]).sum(axis=1)
    equal = (values[None, :] == values[:, None]).sum(axis=1)
    return below + (equal + 1) / 2


def _correlation(
    x: Float[np.ndarray, " pairs"], y: Float[np.ndarray, " pairs"], what: str
) -> float:
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        raise ProtocolError(
            f"all {len(x)} distances of {what} are equal, distances that differ needed for a "
            "correlation (did the embedding collapse to one point?)"
        )
    return float(np.corrcoef(x, y)[0, 1])


def _check_same(a: Distances, b: Distances) -> None:
    """Raise ProtocolError unless both are of the same tracks, at least three."""
    if not np.array_equal(a.ids, b.ids):
        odd = np.setxor1d(a.ids, b.ids)
        which = f", {len(odd)} only in one ({odd[0]} ...)" if len(odd) else " in another order"
        raise ProtocolError(
            f"{len(a.ids)} and {len(b.ids)} tracks found{which}, the same in the same "
            "order needed (compare criteria on the tracks in which both instruments sound)"
        )
    _check_enough(len(a.ids))


def _check_enough(num_tracks: int) -> None:
    if num_tracks < 3:
        raise ProtocolError(
            f"{num_tracks} track(s) found, at least 3 needed to compare distances "
            "(use a split with more tracks in which the part sounds)"
        )
