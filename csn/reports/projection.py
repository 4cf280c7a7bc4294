"""Embeddings as points on a plane, for the eye: a choice of tracks, and t-SNE.

Conventions
-----------
All subspaces show the same tracks, chosen by seed. Distances between far groups mean nothing in
t-SNE; that segments of one track lie together does.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

MAX_TRACKS = 12
MAX_POINTS = 600


@dataclass(frozen=True, slots=True)
class Points:
    """Segments of one subspace on the plane; `track_places` index the tracks of the legend."""

    positions: Float[np.ndarray, "points 2"]
    track_places: np.ndarray
    rows: np.ndarray
    """Which of the vectors given they are."""


def choose_tracks(
    track_ids: Mapping[str, np.ndarray | Sequence[str]], seed: int, max_tracks: int = MAX_TRACKS
) -> tuple[str, ...]:
    """Draw up to `max_tracks` tracks, those first that sound in the most subspaces."""
    num_subspaces = Counter(track for ids in track_ids.values() for track in set(map(str, ids)))
    drawn = np.random.default_rng([seed, 0]).permutation(sorted(num_subspaces)).tolist()
    return tuple(sorted(sorted(drawn, key=lambda track: -num_subspaces[track])[:max_tracks]))


def project(
    vectors: np.ndarray,
    track_ids: np.ndarray | Sequence[str],
    tracks: Sequence[str],
    seed: int,
    max_points: int = MAX_POINTS,
) -> Points:
    """Place segments of `tracks` on the plane by t-SNE, equally many of each track at most.

    Fewer than four points, or points that are all the same, have no arrangement to show: the
    result is empty.
    """
    places = {track: place for place, track in enumerate(tracks)}
    place_of_row = np.array([places.get(str(track), -1) for track in track_ids], dtype=int)
    usable = np.isfinite(vectors).all(axis=1) if len(vectors) else np.zeros(0, dtype=bool)
    place_of_row[~usable] = -1
    rng = np.random.default_rng([seed, 1])
    share = max(1, max_points // max(1, len(tracks)))
    rows = [
        rng.permutation(np.flatnonzero(place_of_row == place))[:share]
        for place in range(len(tracks))
    ]
    chosen = np.concatenate([*rows, np.zeros(0, dtype=int)])
    if len(chosen) < 4 or not np.ptp(vectors[chosen], axis=0).any():
        return Points(np.zeros((0, 2)), np.zeros(0, dtype=int), np.zeros(0, dtype=int))
    tsne = TSNE(
        perplexity=min(30.0, (len(chosen) - 1) / 3),
        init="pca" if vectors.shape[1] > 1 else "random",
        max_iter=500,
        random_state=seed,
    )
    # One thread: several add up in any order, and wait for each other ten times longer than they
    # work where the cores are shared.
    with threadpool_limits(1):
        positions = tsne.fit_transform(np.asarray(vectors[chosen], dtype=np.float64))
    return Points(np.asarray(positions), place_of_row[chosen], chosen)
