"""P2, pseudo-mix-ID accuracy: whether a part is known again before another background.

Conventions
-----------
A segment a row, of a pseudo-mix A_B^(c): its raw vector, A's `track_id` (focus) and B's (backing).
All rows have one focused instrument c, and that part sounds in each.

Metrics
-------
`accuracy` : each segment asks its k = 5 nearest among the segments of all other mixes, which vote
on A. The share of right answers is the score. Chance is reported as ``1 / num_ids``, the expected
score of answers drawn evenly from the focused tracks ([H24]: 10 %).

Source
------
[H24] Section 4.2.2: every segment of the query's own A_B is removed from its reference set.

Choices
-------
Other versions A_C stay in the reference set at all times of the piece, the query's own included:
the very same sound behind another background is what should be near. The original A_A counts as
one version among the others.
"""

import numpy as np
from jaxtyping import Bool, Float, Shaped

from csn.evaluation.neighbours import recovered


def accuracy(
    vectors: Float[np.ndarray, "segments dim"],
    focus_ids: Shaped[np.ndarray, " segments"],
    backing_ids: Shaped[np.ndarray, " segments"],
    k: int = 5,
) -> Bool[np.ndarray, " segments"]:
    """Whether each segment's focused track is recovered; the mean is the pseudo-mix-ID accuracy.

    Parameters
    ----------
    vectors
        Raw embeddings in the focused subspace (in another: an entry of the leak matrix).
    focus_ids, backing_ids
        A and B of each segment's A_B; any type that sorts.
    k : int > 0
        Neighbours that vote.

    Raises
    ------
    ProtocolError
        If there are fewer than two focused tracks, or fewer than `k` segments outside some mix.
    """
    _, focus = np.unique(focus_ids, return_inverse=True)
    _, backing = np.unique(backing_ids, return_inverse=True)
    mixes = focus * (backing.max(initial=0) + 1) + backing
    return recovered(vectors, focus_ids, mixes, k)
