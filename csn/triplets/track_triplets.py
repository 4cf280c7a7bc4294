"""Triplets of single parts: two windows of one track, and one of another.

Conventions
-----------
As in `csn.triplets.planning`: row ``i`` of plan ``p`` has a generator of its own, starts are in
seconds after the track's first onset. A mix holds the condition's part alone; for the condition
``mix``, all parts.

Source
------
[H22] Section 3: anchor and positive are segments of one track, the negative is of another.

Choices
-------
Tracks of any tempo meet: nothing is mixed. Conditions take turns by row id. The part sounds in all
three windows, and those of anchor and positive are `TripletConfig.min_gap_s` apart.
"""

import zlib
from collections.abc import Sequence
from functools import partial

import numpy as np
import pyarrow as pa
from jaxtyping import Bool

from csn.conditions import INSTRUMENTS, MIX
from csn.config import AudioConfig, TripletConfig
from csn.errors import CorpusError
from csn.records import Mix, Triplet
from csn.triplets.planning import Candidates, any_part, to_table


def plan_track_triplets(
    found: Candidates,
    row_ids: Sequence[int],
    *,
    plan_index: int,
    seed: int,
    conditions: Sequence[str],
    audio: AudioConfig,
    config: TripletConfig,
) -> pa.Table:
    """Draw the rows `row_ids` of one plan, as a `TRIPLET_SCHEMA` table.

    Raises
    ------
    CorpusError
        A condition sounds in fewer than two tracks, or in none for long enough.
    """
    gap = round((audio.segment_s + config.min_gap_s) / audio.level_hop_s)
    frames = {condition: _frames(found, condition) for condition in conditions}
    anchors = {
        condition: [track for track, starts in of.items() if starts[-1] - starts[0] >= gap]
        for condition, of in frames.items()
    }
    _check(frames, anchors, config)
    triplets = []
    for row_id in row_ids:
        rng = np.random.default_rng([seed, zlib.crc32(b"track triplets"), plan_index, row_id])
        condition = conditions[row_id % len(conditions)]
        starts = frames[condition]
        track = anchors[condition][rng.integers(len(anchors[condition]))]
        others = [name for name in starts if name != track]
        other = others[rng.integers(len(others))]
        anchor, positive = _draw_pair(rng, starts[track], gap)
        frame_of = {"anchor": anchor, "positive": positive, "negative": rng.choice(starts[other])}
        mixes = {
            role: Mix.of_track(
                other if role == "negative" else track, float(frame * audio.level_hop_s)
            ).only(condition)
            for role, frame in frame_of.items()
        }
        triplets.append(Triplet(row_id, "track", "any", condition, None, **mixes))
    return to_table(triplets, plan_index, partial(found.sounds_in, hop_s=audio.level_hop_s))


def _frames(found: Candidates, condition: str) -> dict[str, np.ndarray]:
    """Frames of the level grid at which the condition's part sounds, of each track that has it."""

    def mask(parts: Bool[np.ndarray, "parts starts"]) -> Bool[np.ndarray, " starts"]:
        return any_part(parts) if condition == MIX else parts[INSTRUMENTS.index(condition)]

    frames = {track: np.flatnonzero(mask(parts)) for track, parts in found.sounding.items()}
    return {track: starts for track, starts in sorted(frames.items()) if len(starts)}


def _check(
    frames: dict[str, dict[str, np.ndarray]], anchors: dict[str, list[str]], config: TripletConfig
) -> None:
    for condition, of in frames.items():
        if len(of) < 2 or not anchors[condition]:
            raise CorpusError(
                f"condition {condition}: sounds in {len(of)} tracks, in {len(anchors[condition])} "
                f"of them at two times {config.min_gap_s} s apart; a triplet needs 2 and 1; add "
                "tracks, lower --triplets.min_gap_s, or leave it out of --network.conditions"
            )


def _draw_pair(rng: np.random.Generator, starts: np.ndarray, gap: int) -> tuple[int, int]:
    """Draw two of `starts` at least `gap` apart; there are such."""
    reaching = starts[(starts - starts[0] >= gap) | (starts[-1] - starts >= gap)]
    anchor = int(rng.choice(reaching))
    return anchor, int(rng.choice(starts[np.abs(starts - anchor) >= gap]))
