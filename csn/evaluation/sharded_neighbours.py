"""Neighbours found shard by shard: what of each shard matters, and the vote of all.

Conventions
-----------
A segment is known by its track and its index. Of neighbours at the same distance the one whose
track sorts first comes first, then the one of the lower index: so what is found does not depend on
how segments are dealt to shards, and is what `csn.evaluation.music_id` finds of all together.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from csn.errors import ProtocolError
from csn.evaluation.neighbours import vote
from csn.evaluation.top_k import NOBODY, SubspaceRows


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Nearest segments of each query, nearest first; nobody is at an infinite distance."""

    squared: Float[np.ndarray, "queries k"]
    tracks: Shaped[np.ndarray, "queries k"]
    """Text; empty where there is nobody."""
    indices: Int[np.ndarray, "queries k"]


def in_shard(
    queries: Float[np.ndarray, "queries dim"],
    held: SubspaceRows,
    track_ids: Sequence[str],
    indices: Int[np.ndarray, " rows"],
    k: int,
    excluded: Int[np.ndarray, " queries"],
) -> Neighbours:
    """Find the k nearest segments of one shard.

    Parameters
    ----------
    track_ids, indices
        Of the shard's rows, sorted by them.
    excluded
        The row that a query itself is, or `NOBODY`.
    """
    found = held.nearest(queries, [1.0], k, excluded)
    is_nobody = found.rows == NOBODY
    # One more, at the end: the place at which nobody is looked up.
    names = np.array([*track_ids, ""], dtype=object)
    numbers = np.append(indices, NOBODY)
    return Neighbours(
        found.squared,
        np.where(is_nobody, "", names[found.rows]),
        np.where(is_nobody, NOBODY, numbers[found.rows]),
    )


def nearer(first: Neighbours, second: Neighbours) -> Neighbours:
    """Keep the nearest of two finds of the same queries."""
    k = first.squared.shape[1]
    squared = np.concatenate([first.squared, second.squared], axis=1)
    tracks = np.concatenate([first.tracks, second.tracks], axis=1)
    indices = np.concatenate([first.indices, second.indices], axis=1)
    _, codes = np.unique(tracks, return_inverse=True)
    order = np.lexsort((indices, codes.reshape(tracks.shape), squared), axis=1)[:, :k]
    return Neighbours(*(np.take_along_axis(a, order, axis=1) for a in (squared, tracks, indices)))


def recovered_by(
    found: Neighbours, own_tracks: Shaped[np.ndarray, " queries"]
) -> Bool[np.ndarray, " queries"]:
    """Whether the neighbours of each query vote for its own track.

    Raises
    ------
    ProtocolError
        If a query has fewer than k neighbours.
    """
    k = found.squared.shape[1]
    if lacking := np.isinf(found.squared).any(axis=1).sum():
        raise ProtocolError(
            f"{lacking} of {len(own_tracks)} segments have fewer than k={k} others to be compared "
            "with; use a larger catalogue, or a lower k"
        )
    names, codes = np.unique([*found.tracks.ravel(), *own_tracks], return_inverse=True)
    if len(names) < 2:
        raise ProtocolError(f"all segments are of one track ({names[0]}), at least 2 needed")
    neighbours, own = codes[: found.tracks.size], codes[found.tracks.size :]
    return vote(neighbours.reshape(found.tracks.shape)) == own
