"""Ranked retrieval: how far up a segment's neighbours are those of its own track.

Conventions
-----------
A segment a row: raw vector and label. Distances are Euclidean. R is the number of other segments
of the query's label, so it differs from query to query.

Metrics
-------
R-precision : share of the query's R nearest that have its label.
MAP@R : mean over i = 1..R of the precision among the i nearest, or of 0 where the i-th has another
label. Never above R-precision; equal where the rightly found come first.

Source
------
Musgrave, Belongie, Lim, "A metric learning reality check" (2020); the values are
those of pytorch-metric-learning's ``AccuracyCalculator``.

Choices
-------
The query's own segment is left out. A query whose label has no other segment has R = 0 and is left
out as query, but stays among the neighbours of others. Ties as in `csn.evaluation.neighbours`.
Means over queries weigh a track by its segments, as P1 does.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped

from csn.errors import ProtocolError
from csn.evaluation.neighbours import nearest


class Retrieval(NamedTuple):
    """Rows that were asked, and the two scores of each; the scores' means are the metrics."""

    rows: Int[np.ndarray, " queries"]
    r_precision: Float[np.ndarray, " queries"]
    average_precision_at_r: Float[np.ndarray, " queries"]


def retrieve(
    vectors: Float[np.ndarray, "segments dim"], labels: Shaped[np.ndarray, " segments"]
) -> Retrieval:
    """R-precision and average precision at R of each segment that has others of its label.

    Parameters
    ----------
    vectors
        Raw embeddings, or their part in one subspace, of the segments that take part.
    labels
        Track of each segment; any type that sorts.

    Examples
    --------
    >>> found = retrieve(np.array([[0.0], [1.0], [3.0], [7.0]]), np.array(list("abab")))
    >>> found.r_precision.tolist()
    [0.0, 0.0, 0.0, 0.0]

    Raises
    ------
    ProtocolError
        If there are fewer than two labels, none has two segments, or a vector is not finite.
    """
    ids, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if len(ids) < 2 or counts.max() < 2:
        raise ProtocolError(
            f"{len(ids)} track(s) with at most {counts.max(initial=0)} sounding segments found, "
            "at least 2 tracks needed, one with 2 segments (use more or longer tracks)"
        )
    num_relevant = counts[codes] - 1
    rows = np.flatnonzero(num_relevant)
    found = nearest(
        vectors[rows], vectors, int(num_relevant.max()), excluded=(rows, np.arange(len(codes)))
    )
    places = np.arange(1, found.shape[1] + 1)
    counted = num_relevant[rows]
    right = (codes[found] == codes[rows, None]) & (places <= counted[:, None])
    precision = right.cumsum(axis=1) / places
    return Retrieval(rows, right.sum(axis=1) / counted, (precision * right).sum(axis=1) / counted)
