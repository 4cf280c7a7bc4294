"""Tables of prepared tracks without audio, from where their parts sound; what planning reads."""

from collections.abc import Mapping, Sequence

import pyarrow as pa

from csn.conditions import INSTRUMENTS
from csn.records import TRACK_SCHEMA

LOUD_DB = -20.0
SILENT_DB = -100.0
HOP_S = 0.25
SAMPLE_RATE_HZ = 8_000


def track(
    track_id: str,
    sounding: Mapping[str, Sequence[bool]],
    *,
    tempo_bpm: float = 120.0,
    tempo_stability: float = 1.0,
) -> dict[str, object]:
    """Make a row of `TRACK_SCHEMA`.

    Parameters
    ----------
    sounding : mapping of part to a bool for each frame of `HOP_S`
        Parts that it does not name are absent.
    """
    num_frames = {len(frames) for frames in sounding.values()} or {0}
    assert len(num_frames) == 1, "parts of one track have one length"
    levels = {
        f"level_db_{part}": [LOUD_DB if sounds else SILENT_DB for sounds in sounding[part]]
        if part in sounding
        else None
        for part in INSTRUMENTS
    }
    return {
        "track_id": track_id,
        "corpus": "made-up",
        "split": "train",
        "sample_rate_hz": SAMPLE_RATE_HZ,
        "num_samples": round(num_frames.pop() * HOP_S * SAMPLE_RATE_HZ),
        "tempo_bpm": tempo_bpm,
        "tempo_stability": tempo_stability,
        "onset_s": 0.0,
        "pcm_scale": 1 / 32_768,
        "warnings": [],
        **levels,
    }


def whole(
    track_id: str, length_s: float, parts: Sequence[str] = INSTRUMENTS, *, tempo_bpm: float = 120.0
) -> dict[str, object]:
    """Make a track in which `parts` sound from beginning to end."""
    frames = [True] * round(length_s / HOP_S)
    return track(track_id, dict.fromkeys(parts, frames), tempo_bpm=tempo_bpm)


def table(*rows: Mapping[str, object]) -> pa.Table:
    """Join rows to a table."""
    return pa.Table.from_pylist([dict(row) for row in rows], schema=TRACK_SCHEMA)
