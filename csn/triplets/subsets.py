"""Mixes for pre-training: a segment of a track, with all of its parts or with some of them.

Conventions
-----------
As in `csn.triplets.planning`: row ``i`` of plan ``p`` has a generator of its own, starts are in
seconds after the track's first onset. A part that is not absent sounds.

Source
------
[H24] 3.2 learns the teachers' targets from mixes and single parts; [LAB] from a random subset of
the five parts (32 cases, the empty one among them).

Choices
-------
``mix_and_parts``: of a segment's mix and its sounding parts each is as likely. ``random_subsets``:
each sounding part is kept with probability 1/2; the empty case is drawn again, since the target of
silence has no direction ([H24] Eq. 5). Parts that do not sound are left out in both, so that what
is heard is what the target says.
"""

import zlib
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from csn.config import AudioConfig, MixingConfig
from csn.errors import CorpusError
from csn.records import ABSENT, MIX_SCHEMA
from csn.triplets.planning import Candidates, any_part


def plan_subsets(
    found: Candidates,
    row_ids: Sequence[int],
    *,
    plan_index: int,
    seed: int,
    hop_s: float,
    audio: AudioConfig,
    config: MixingConfig,
) -> pa.Table:
    """Draw the rows `row_ids` of one plan, as a `MIX_SCHEMA` table.

    Parameters
    ----------
    hop_s : float
        Grid of the windows' starts, from the track's onset.

    Raises
    ------
    CorpusError
        No track has a segment in which any part sounds.
    """
    step = round(hop_s / audio.level_hop_s)
    starts = {track: _starts(parts, step) for track, parts in sorted(found.sounding.items())}
    tracks = [track for track, frames in starts.items() if len(frames)]
    if not tracks:
        raise CorpusError(
            f"no part sounds for {audio.segment_s:g} s in any of {len(starts)} tracks; expected "
            "some to pre-train on; lower --audio.silence_db, or look at rejects"
        )
    rows = []
    for row_id in row_ids:
        rng = np.random.default_rng([seed, zlib.crc32(b"subsets"), plan_index, row_id])
        track = tracks[rng.integers(len(tracks))]
        frame = int(rng.choice(starts[track]))
        kept = _draw_parts(rng, found.sounding[track][:, frame], config)
        rows.append(
            {
                "mix_id": row_id,
                "plan_index": plan_index,
                "tempo_group": "any",
                "tracks": [track if keep else ABSENT for keep in kept],
                "starts_s": [frame * audio.level_hop_s] * len(kept),
            }
        )
    return pa.Table.from_pylist(rows, schema=MIX_SCHEMA)


def _starts(parts: np.ndarray, step: int) -> np.ndarray:
    frames = np.flatnonzero(any_part(parts))
    return frames[frames % step == 0]


def _draw_parts(
    rng: np.random.Generator, sounding: np.ndarray, config: MixingConfig
) -> list[bool]:
    """Which parts a mix keeps of those that sound: at least one."""
    places = np.flatnonzero(sounding)
    kept = np.zeros(len(sounding), bool)
    if config.subsets == "mix_and_parts":
        case = rng.integers(len(places) + 1)
        kept[places if case == len(places) else places[case]] = True
    else:
        while not kept.any():
            kept[places] = rng.random(len(places)) < 0.5
    return kept.tolist()
