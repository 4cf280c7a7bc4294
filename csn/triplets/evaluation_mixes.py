"""The mixes on which a network is scored: segments of whole tracks (P1) and pseudo-mixes (P2).

Conventions
-----------
Segments do not overlap and are numbered by their place on the grid of their duration. Silence is
judged part by part by the rule of `csn.audio.activity`.

Source
------
[H24] Section 4.2.1 (P1) and 4.2.2 (P2).

Choices
-------
P1's mixes are segments in which any part sounds. P2's focus tracks are drawn, seeded, from the
tracks in which the focused part sounds in at least `EvaluationConfig.min_sounding_share` of the
segments and whose tempo group offers enough backgrounds; a version's segments are those in which
the focused part sounds. The original track is one of the versions [LAB].
"""

import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from jaxtyping import Bool

from csn.conditions import INSTRUMENTS, MIX
from csn.config import AudioConfig, EvaluationConfig
from csn.records import EVALUATION_MIX_SCHEMA, Mix
from csn.triplets.planning import any_part, sounding_parts
from csn.triplets.tempo_groups import TempoGroup

Sounding = Mapping[str, Bool[np.ndarray, "parts starts"]]


def music_id_mixes(
    tracks: pa.Table,
    duration_s: float,
    *,
    audio: AudioConfig,
    config: EvaluationConfig,
    max_segments: int | None = None,
) -> pa.Table:
    """List every sounding segment of every track, as `EVALUATION_MIX_SCHEMA` rows.

    With `max_segments`, at most so many of each track, spread evenly over it. A track of which
    less than `config.min_sounding_share` sounds is left out ([H24] 4.1: 136 of 151 remain).
    """
    sounding = sounding_parts(tracks, duration_s, audio)
    rows = []
    for track_id in sorted(sounding):
        anything = any_part(sounding[track_id])
        starts = _grid(anything, duration_s, audio)
        num_segments = len(_grid(np.ones_like(anything), duration_s, audio))
        if len(starts) < config.min_sounding_share * num_segments:
            continue
        for index in _spread(starts, max_segments):
            mix = Mix.of_track(track_id, float(index * duration_s))
            rows.append(evaluation_row("mix", "", mix, int(index), duration_s, sounding, audio))
    return pa.Table.from_pylist(rows, schema=EVALUATION_MIX_SCHEMA)


def pseudo_mix_id_mixes(
    tracks: pa.Table,
    groups: Sequence[TempoGroup],
    duration_s: float,
    *,
    conditions: Sequence[str],
    seed: int,
    audio: AudioConfig,
    config: EvaluationConfig,
    allow_fewer: bool = False,
    max_segments: int | None = None,
) -> tuple[pa.Table, list[str]]:
    """Draw focus tracks and their versions for each condition, and list their segments.

    Returns
    -------
    pyarrow.Table, list of str
        Rows of `EVALUATION_MIX_SCHEMA`, and a message for each condition that has fewer than
        `config.num_focus_tracks` eligible tracks: it is left out, unless `allow_fewer` and it has
        at least two.
    """
    sounding = sounding_parts(tracks, duration_s, audio)
    rows, messages = [], []
    needed = 2 if allow_fewer else config.num_focus_tracks
    lower = "" if allow_fewer else " or lower --evaluation.num_focus_tracks"
    for focus in conditions:
        rng = np.random.default_rng(
            [seed, zlib.crc32(b"pseudo_mixes"), zlib.crc32(focus.encode())]
        )
        eligible = _eligible(sounding, groups, focus, duration_s, audio, config)
        if len(eligible) < needed:
            messages.append(
                f"pseudo_mix_id of {focus}: {len(eligible)} tracks have a sounding {focus} part "
                f"and {config.num_versions - 1} others of their tempo, {needed} are needed; "
                f"add tracks or raise --triplets.tempo_group_bpm{lower}"
            )
            continue
        count = min(config.num_focus_tracks, len(eligible))
        chosen = sorted(rng.choice(sorted(eligible), count, replace=False).tolist())
        for track_id in chosen:
            backings = rng.choice(eligible[track_id], config.num_versions - 1, replace=False)
            for backing_id in [track_id, *sorted(backings.tolist())]:
                starts = _version(sounding, focus, track_id, backing_id, duration_s, audio)
                for index in _spread(starts, max_segments):
                    start_s = float(index * duration_s)
                    mix = Mix.pseudo(focus, track_id, backing_id, start_s)
                    row = evaluation_row(
                        "pseudo_mix", focus, mix, int(index), duration_s, sounding, audio
                    )
                    rows.append(row | {"track_id": track_id, "backing_track_id": backing_id})
    return pa.Table.from_pylist(rows, schema=EVALUATION_MIX_SCHEMA), messages


def _eligible(
    sounding: Sounding,
    groups: Sequence[TempoGroup],
    focus: str,
    duration_s: float,
    audio: AudioConfig,
    config: EvaluationConfig,
) -> dict[str, list[str]]:
    """Tracks that can be focused on, each with the tracks that can stand behind it."""
    eligible = {}
    for group in groups:
        for track_id in group.track_ids:
            own = sounding[track_id]
            share = len(_grid(own[INSTRUMENTS.index(focus)], duration_s, audio)) / max(
                len(_grid(any_part(own), duration_s, audio)), 1
            )
            backings = [
                other
                for other in group.track_ids
                if other != track_id
                and len(_version(sounding, focus, track_id, other, duration_s, audio))
            ]
            if share >= config.min_sounding_share and len(backings) >= config.num_versions - 1:
                eligible[track_id] = backings
    return eligible


def _version(
    sounding: Sounding,
    focus: str,
    track_id: str,
    backing_id: str,
    duration_s: float,
    audio: AudioConfig,
) -> np.ndarray:
    """Grid indices of A_B's segments: A's focused part sounds, and both tracks are long enough."""
    own = sounding[track_id][INSTRUMENTS.index(focus)]
    length = min(len(own), sounding[backing_id].shape[1])
    return _grid(own[:length], duration_s, audio)


def _grid(sounding: np.ndarray, duration_s: float, audio: AudioConfig) -> np.ndarray:
    """Give the grid indices of the segments that sound; `sounding` is by start frame."""
    return np.flatnonzero(sounding[:: round(duration_s / audio.level_hop_s)])


def _spread(indices: np.ndarray, limit: int | None) -> np.ndarray:
    if limit is None or len(indices) <= limit:
        return indices
    return indices[np.linspace(0, len(indices) - 1, limit).round().astype(int)]


def evaluation_row(
    source: str,
    focus: str,
    mix: Mix,
    index: int,
    duration_s: float,
    sounding: Sounding,
    audio: AudioConfig,
) -> dict[str, object]:
    """Write a mix as a row of `EVALUATION_MIX_SCHEMA`, by the track of its first part."""
    row: dict[str, object] = {
        "source": source,
        "focus": focus,
        "track_id": mix.tracks[0],
        "backing_track_id": mix.tracks[0],
        "segment_index": index,
        "start_s": mix.starts_s[0],
        "duration_s": duration_s,
        "tracks": mix.tracks,
        "starts_s": mix.starts_s,
    }
    for i, part in enumerate(INSTRUMENTS):
        frame = round(mix.starts_s[i] / audio.level_hop_s)
        row[f"sounds_{part}"] = bool(sounding[mix.tracks[i]][i][frame])
    row[f"sounds_{MIX}"] = any(row[f"sounds_{part}"] for part in INSTRUMENTS)
    return row
