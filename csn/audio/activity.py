"""Where a part sounds: levels on a fixed grid, and one rule for silence.

Conventions
-----------
A level is the mean power of one frame of `AudioConfig.level_hop_s`, in dB of full scale (a square
wave of full scale has 0 dB). A segment covers whole frames; frame k starts at ``k * level_hop_s``.

Choices
-------
[H24] says only that silent segments are left out. Ours: a segment is silent when its mean power is
under `AudioConfig.silence_db` (1e-4, from the paper's first author), or when one of its quarters
lies under `AudioConfig.flat_db` [LAB].
"""

import numpy as np
from jaxtyping import Bool, Float

from csn.config import AudioConfig

FLOOR_DB = -120.0


def levels_db(
    samples: Float[np.ndarray, " samples"], sample_rate_hz: int, hop_s: float
) -> Float[np.ndarray, " frames"]:
    """Mean power of every whole frame, in dB of full scale, no lower than `FLOOR_DB`."""
    num_frames = int(len(samples) / sample_rate_hz / hop_s + 1e-9)
    # Frame edges are rounded each on its own, so that no rate makes the grid drift.
    edges = np.round(np.arange(num_frames + 1) * hop_s * sample_rate_hz).astype(np.int64)
    if num_frames == 0:
        return np.zeros(0, np.float32)
    power = np.add.reduceat(np.square(samples[: edges[-1]]), edges[:-1], dtype=np.float64)
    power = power / np.diff(edges)
    return (10 * np.log10(np.maximum(power, 10 ** (FLOOR_DB / 10)))).astype(np.float32)


def sounding_starts(
    levels: Float[np.ndarray, " frames"], duration_s: float, audio: AudioConfig
) -> Bool[np.ndarray, " starts"]:
    """Tell for each frame whether the segment of `duration_s` that starts there sounds."""
    num_frames = round(duration_s / audio.level_hop_s)
    num_starts = len(levels) - num_frames + 1
    if num_starts <= 0:
        return np.zeros(0, bool)
    power = np.concatenate([[0.0], np.cumsum(10 ** (levels.astype(np.float64) / 10))])
    edges = np.round(np.linspace(0, num_frames, 5)).astype(int)
    starts = np.arange(num_starts)
    # Sums over each quarter of each segment, from one running sum; (starts, 4).
    quarters = np.diff(power[starts[:, None] + edges], axis=1)
    loud = quarters.sum(axis=1) / num_frames >= 10 ** (audio.silence_db / 10)
    lively = (quarters / np.diff(edges) >= 10 ** (audio.flat_db / 10)).all(axis=1)
    return loud & lively
