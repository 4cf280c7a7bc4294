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
from jaxtyping import Bool, Float


def starts_s(length_s: float, duration_s: float, hop_s: float) -> Float[np.ndarray, " segments"]:
    """Give the starts of all whole segments in a track of `length_s` seconds.

    Examples
    --------
    >>> starts_s(10.0, duration_s=3.0, hop_s=3.0).tolist()
    [0.0, 3.0, 6.0]
    """
    count = (
        max(0, int((length_s - duration_s) / hop_s + 1e-9) + 1) if length_s >= duration_s else 0
    )
    return np.arange(count) * hop_s


def first_sounding(
    sounding: Bool[np.ndarray, " starts"], hop_frames: int, limit: int | None
) -> Bool[np.ndarray, " starts"]:
    """Keep of `sounding` only every `hop_frames`-th start, and of these the first `limit`."""
    kept = np.zeros_like(sounding)
    kept[::hop_frames] = sounding[::hop_frames]
    if limit is not None:
        kept[np.flatnonzero(kept)[limit:]] = False
    return kept
