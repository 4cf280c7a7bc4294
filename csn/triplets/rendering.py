"""From a plan's mixes to waveforms: sums of slices, and no chance at all.

Conventions
-----------
Waveforms are float32; a mix is the plain sum of its parts, not levelled and not clipped, so it may
go beyond 1. Windows always lie inside their tracks: nothing is padded.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int16

from csn.audio.parts import Parts
from csn.conditions import INSTRUMENTS
from csn.errors import CorpusError
from csn.records import ABSENT, Mix


def render_mix(
    mix: Mix, bank: Mapping[str, Parts], num_samples: int, out: Float[np.ndarray, " samples"]
) -> None:
    """Write the `num_samples` samples of one mix to `out`.

    Parameters
    ----------
    bank : mapping of track id to Parts
        At least the tracks of `mix`, all of one sample rate.
    """
    out[:] = 0
    steps = np.empty_like(out)
    scale = None
    for part, track_id, start_s in zip(INSTRUMENTS, mix.tracks, mix.starts_s, strict=True):
        if track_id == ABSENT:
            continue
        parts = bank[track_id]
        pcm = parts.pcm.get(part)
        if pcm is None:
            continue
        piece = _window(track_id, pcm, start_s, parts.sample_rate_hz, num_samples)
        # Whole steps are added and scaled once at the end, in half the time of scaling each part;
        # their sums are exact in float32. Scales differ only where a part goes beyond full scale.
        scale = scale or parts.pcm_scale
        if parts.pcm_scale == scale:
            steps[:] = piece
        else:
            np.multiply(piece, np.float32(parts.pcm_scale / scale), out=steps)
        out += steps
    if scale is not None:
        out *= np.float32(scale)


def _window(
    track_id: str,
    pcm: Int16[np.ndarray, " track_samples"],
    start_s: float,
    sample_rate_hz: int,
    num_samples: int,
) -> Int16[np.ndarray, " samples"]:
    # Down, never up: a window that ends where its track does must not end a sample later.
    start = math.floor(start_s * sample_rate_hz + 1e-6)
    piece = pcm[start : start + num_samples]
    if start < 0 or len(piece) < num_samples:
        raise CorpusError(
            f"{track_id}: a window of {num_samples} samples from {start_s} s does not fit "
            f"into its {len(pcm)} samples; was the plan made from other prepared data?"
        )
    return piece


def render(
    mixes: Sequence[Mix], bank: Mapping[str, Parts], num_samples: int
) -> Float[np.ndarray, "mixes samples"]:
    """Render `mixes`, each of `num_samples` samples.

    Raises
    ------
    CorpusError
        A window reaches beyond its track.
    """
    out = np.empty((len(mixes), num_samples), np.float32)
    for row, mix in zip(out, mixes, strict=True):
        render_mix(mix, bank, num_samples, row)
    return out
