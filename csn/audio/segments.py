"""Windows over a track.

Conventions
-----------
A segment is named by its start and its duration in seconds; only whole segments count, so no
window is padded.

Source
------
[H22] Section 4.1: segments of 3 s with 50 % overlap; in training the first 40 that are not silent.
"""

import numpy as np
from jaxtyping import Bool


def first_sounding(
    sounding: Bool[np.ndarray, " starts"], hop_frames: int, limit: int | None
) -> Bool[np.ndarray, " starts"]:
    """Keep of `sounding` only every `hop_frames`-th start, and of these the first `limit`."""
    kept = np.zeros_like(sounding)
    kept[::hop_frames] = sounding[::hop_frames]
    if limit is not None:
        kept[np.flatnonzero(kept)[limit:]] = False
    return kept
