"""Whether an embedding orders triplets of tracks as people do, by which of its conditions.

Conventions
-----------
A triplet is an anchor and two other tracks, of which one is held to be the nearer: by people, or
by a rule. Vectors are raw, one a track. Rates are shares in [0, 1]; chance is 1/2.

Metrics
-------
`ordered` : of each triplet, whether its `nearer` track is nearer by Euclidean distance too.
`triplet_score` : share of the triplets of which it is.
`subset_scores` : the same for every subset of the conditions, as if the embedding had their
subspaces alone.

Source
------
[R22] Section 4 (a track's vector is the mean of its non-overlapping 3 s segments' vectors;
Euclidean distance), Tables 1 and 2; intervals as in [H24] Table 3.

Choices
-------
Two tracks equally far from the anchor: wrong, as in `csn.evaluation.listening`; an embedding that
makes all tracks alike scores 0, not 1/2. Squared distances are compared, in float64, by direct
differences: equal vectors tie exactly. A triplet one of whose tracks has no vector is left out and
counted. Triplets weigh the same, whoever answered them, and a score's interval takes them for
independent, though some share tracks. Equally good subsets: the one of more conditions comes
first, then the order of the conditions; so are the ties of [R22] Table 2 printed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from csn.conditions import SubspaceLayout
from csn.errors import ProtocolError
from csn.evaluation.criteria import centroids
from csn.evaluation.intervals import Interval, correct_rate

_ROUNDING_S = 1e-3
"""Segments whose times overlap by less than this do not overlap."""


@dataclass(frozen=True, slots=True)
class JudgedTriplet:
    """Three tracks by their ids: `nearer` is held to be more like the anchor than `farther`."""

    anchor: str
    nearer: str
    farther: str

    def __post_init__(self) -> None:
        if len({self.anchor, self.nearer, self.farther}) < 3:
            raise ProtocolError(
                f"triplet of {self.anchor}, {self.nearer} and {self.farther} found, three "
                "different tracks expected (are two columns of the judgements the same?)"
            )


class TrackVectors(NamedTuple):
    """Tracks in the order of their ids, and a vector for each."""

    ids: Shaped[np.ndarray, " tracks"]
    vectors: Float[np.ndarray, "tracks dim"]


@dataclass(frozen=True, slots=True)
class TripletScore:
    """How many triplets were ordered rightly, of how many that could be asked about."""

    num_correct: int
    num_triplets: int
    num_tracks: int
    """Tracks in those that could be asked about."""
    num_missing: int
    """Triplets left out because one of their tracks has no vector."""
    num_missing_tracks: int
    """Tracks of the triplets that have none."""

    @property
    def interval(self) -> Interval:
        """Share of right answers, with its 95 % interval."""
        return correct_rate(self.num_correct, self.num_triplets)


Subset = tuple[str, ...]
"""Conditions in the order of the layout."""


class SubsetScore(NamedTuple):
    """Score of the embedding that has the subspaces of `conditions` alone."""

    conditions: Subset
    score: TripletScore


class Ordered(NamedTuple):
    """Triplets that could be asked about, in their order, and what could not."""

    anchors: Shaped[np.ndarray, " triplets"]
    right: Bool[np.ndarray, " triplets"]
    """Whether the nearer track is the nearer by its vector, too."""
    num_tracks: int
    num_missing: int
    num_missing_tracks: int


def track_vectors(
    vectors: Float[np.ndarray, "segments dim"],
    track_ids: Shaped[np.ndarray, " segments"],
    starts_s: Float[np.ndarray, " segments"],
    duration_s: float,
) -> TrackVectors:
    """Mean of each track's segments, which must not overlap ([R22] 4).

    Parameters
    ----------
    vectors, track_ids, starts_s
        Raw embedding of each segment, its track, and where it starts in it, in seconds.
    duration_s : float > 0
        Length of every segment.

    Raises
    ------
    ProtocolError
        If two segments of a track overlap, or a vector is not finite.
    """
    order = np.lexsort((starts_s, track_ids))
    ids, starts = track_ids[order], starts_s[order]
    overlap = (ids[1:] == ids[:-1]) & (np.diff(starts) < duration_s - _ROUNDING_S)
    if overlap.any():
        place = int(overlap.argmax())
        raise ProtocolError(
            f"{ids[place]}: segments of {duration_s:g} s at {starts[place]:g} s and "
            f"{starts[place + 1]:g} s found, such as do not overlap expected (are several "
            "durations or sources in one table?)"
        )
    return TrackVectors(*centroids(vectors, track_ids))


def ordered(tracks: TrackVectors, triplets: Sequence[JudgedTriplet]) -> Ordered:
    """Tell of each triplet whether the whole vectors order it rightly.

    Parameters
    ----------
    tracks
        Vectors of at least the tracks of two triplets; ids in any order.
    triplets
        What ought to be. Those with a track that has no vector are left out and counted.

    Raises
    ------
    ProtocolError
        If fewer than two triplets are left, a track has two vectors, or one is not finite.
    """
    asked = _asked(tracks, triplets)
    near, far = _squared_distances(tracks.vectors, asked)
    score = _score(near < far, asked, triplets)
    anchors = tracks.ids[asked.rows[:, 0]]
    return Ordered(
        anchors, near < far, score.num_tracks, score.num_missing, score.num_missing_tracks
    )


def triplet_score(tracks: TrackVectors, triplets: Sequence[JudgedTriplet]) -> TripletScore:
    """Share of `triplets` that the whole vectors order rightly; all as in `ordered`."""
    found = ordered(tracks, triplets)
    return TripletScore(int(found.right.sum()), len(found.right), *found[2:])


def subset_scores(
    tracks: TrackVectors, layout: SubspaceLayout, triplets: Sequence[JudgedTriplet]
) -> list[SubsetScore]:
    """Score of every subset of the conditions but the empty one ([R22] Table 2).

    The squared distance in some subspaces together is the sum of those in each: these are taken
    once, and summed for each subset.

    Parameters
    ----------
    tracks, triplets
        As in `ordered`; the vectors are whole embeddings.
    layout
        Which of their dimensions belong to which condition.

    Returns
    -------
    list of SubsetScore
        The single conditions in their order, then the pairs, and so on; all together last.

    Raises
    ------
    ProtocolError
        As in `ordered`, and if the vectors are not of the layout's size.
    """
    found = tracks.vectors.shape[1]
    if found != layout.embedding_dim:
        raise ProtocolError(
            f"vectors of {found} dimensions found, {layout.embedding_dim} expected for "
            f"{', '.join(layout.conditions)} (are they of another checkpoint, or one subspace?)"
        )
    asked = _asked(tracks, triplets)
    blocks = layout.split(tracks.vectors).values()
    by_condition = np.stack([_squared_distances(block, asked) for block in blocks])
    names = layout.conditions
    subsets = [subset for size in range(1, len(names) + 1) for subset in combinations(names, size)]
    chosen = np.array([[name in subset for name in names] for subset in subsets])
    right = _right_by_subset(by_condition, chosen)
    return [
        SubsetScore(subset, _score(row, asked, triplets))
        for subset, row in zip(subsets, right, strict=True)
    ]


def best_subsets(rates: Mapping[Subset, float], num: int = 6) -> list[Subset]:
    """Take the `num` best subsets, best first, as in the upper half of [R22] Table 2.

    Rates are of the same triplets, in the order of `subset_scores`; they may be means over seeds.
    """
    # Sorting is stable: among as good and as large subsets the order of coming stays. Rounding
    # keeps means of the same counts equal.
    return sorted(rates, key=lambda subset: (-round(rates[subset], 9), -len(subset)))[:num]


class _Asked(NamedTuple):
    """Rows of the tracks of each triplet that can be asked about, and what is missing."""

    rows: Int[np.ndarray, "triplets 3"]
    """Anchor, nearer, farther."""
    num_missing_tracks: int


def _asked(tracks: TrackVectors, triplets: Sequence[JudgedTriplet]) -> _Asked:
    """Find the triplets whose tracks all have a vector."""
    row_of = {str(name): row for row, name in enumerate(tracks.ids)}
    if len(row_of) < len(tracks.ids):
        raise ProtocolError(
            f"{len(tracks.ids)} vectors of {len(row_of)} tracks found, one of each track expected "
            "(take the means of their segments by track_vectors)"
        )
    named = [(one.anchor, one.nearer, one.farther) for one in triplets]
    kept = [[row_of[name] for name in names] for names in named if all(n in row_of for n in names)]
    missing = {name for names in named for name in names} - row_of.keys()
    if len(kept) < 2:
        example = f", {min(missing)} ... have none" if missing else ""
        raise ProtocolError(
            f"{len(kept)} of {len(triplets)} triplets have a vector of each of their tracks"
            f"{example}; at least 2 needed (are the ids those of the corpus, and its audio there?)"
        )
    rows = np.array(kept)
    used = np.unique(rows)
    broken = used[~np.isfinite(tracks.vectors[used]).all(axis=1)]
    if len(broken):
        raise ProtocolError(
            f"{len(broken)} of {len(used)} tracks ({tracks.ids[broken[0]]} ...) have vectors that "
            "are not finite, all must be (did the training diverge?)"
        )
    return _Asked(rows, len(missing))


def _squared_distances(
    vectors: Float[np.ndarray, "tracks dim"], asked: _Asked
) -> Float[np.ndarray, "2 triplets"]:
    """Of each anchor to its nearer track, and to its farther one."""
    anchor, nearer, farther = (vectors[column].astype(np.float64) for column in asked.rows.T)
    return np.stack([np.square(anchor - other).sum(axis=1) for other in (nearer, farther)])


def _right_by_subset(
    by_condition: Float[np.ndarray, "conditions 2 triplets"],
    chosen: Bool[np.ndarray, "subsets conditions"],
) -> Bool[np.ndarray, "subsets triplets"]:
    """Whether each subset's summed distances are in the right order."""
    # Added one condition after the other, not by a matrix product, whose order of summing may
    # differ between columns: equal distances stay equal.
    total = np.zeros((len(chosen), *by_condition.shape[1:]))
    for squared, is_in in zip(by_condition, chosen.T, strict=True):
        total += np.where(is_in[:, None, None], squared, 0.0)
    return total[:, 0] < total[:, 1]


def _score(
    right: Bool[np.ndarray, " triplets"], asked: _Asked, triplets: Sequence[JudgedTriplet]
) -> TripletScore:
    num = len(asked.rows)
    num_tracks = len(np.unique(asked.rows))
    num_missing = len(triplets) - num
    return TripletScore(int(right.sum()), num, num_tracks, num_missing, asked.num_missing_tracks)
