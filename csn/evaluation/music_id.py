"""P1, music-ID accuracy: whether a segment's neighbours come from its own track.

Conventions
-----------
A segment a row: raw vector, `track_id`, and whether the asked part sounds in it.

Metrics
-------
`accuracy` : each segment asks its k = 5 nearest among all other segments, which vote on the track.
The share of right answers is the score. Chance is reported as ``1 / num_ids``: the expected score
of answers drawn evenly from the tracks that take part, whatever their lengths.

Source
------
[H22] Section 4.2.1; [H24] Section 4.2.1. A track that keeps under 10 % of its segments once the
silent ones are removed is left out ([H24]: 136 of 151 remain).

Choices
-------
Only the query itself is left out of its reference set; its neighbours in time stay, so segments
must not overlap. Segments of another length are another set. A track of one single sounding
segment takes part, and can only be answered wrongly. "Under" is strict: exactly 10 % stays.
"""

import numpy as np
from jaxtyping import Bool, Float, Shaped

from csn.evaluation.neighbours import recovered


def accuracy(
    vectors: Float[np.ndarray, "segments dim"],
    track_ids: Shaped[np.ndarray, " segments"],
    k: int = 5,
) -> Bool[np.ndarray, " segments"]:
    """Whether each segment's track is recovered; the mean is the music-ID accuracy.

    Parameters
    ----------
    vectors
        Raw embeddings, or their part in one subspace, of the segments that take part.
    track_ids
        Track of each segment; any type that sorts.
    k : int > 0
        Neighbours that vote.

    Raises
    ------
    ProtocolError
        If there are fewer than two tracks, or no more than `k` segments.
    """
    return recovered(vectors, track_ids, np.arange(len(vectors)), k)


def taking_part(
    track_ids: Shaped[np.ndarray, " segments"],
    sounds: Bool[np.ndarray, " segments"],
    min_sounding_share: float,
) -> Bool[np.ndarray, " segments"]:
    """Which segments take part: those that sound, of tracks in which enough of them do.

    Parameters
    ----------
    track_ids, sounds
        Of all segments at hand, also where this part is silent: the share is a share of these.
    min_sounding_share : float in [0, 1]
        Tracks below this share of sounding segments are left out.
    """
    _, codes, counts = np.unique(track_ids, return_inverse=True, return_counts=True)
    shares = np.bincount(codes, weights=sounds, minlength=len(counts)) / counts
    return sounds & (shares >= min_sounding_share)[codes]
