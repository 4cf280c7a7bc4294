"""Which tracks meet in freely mixed batches: each part of each mix is drawn by itself.

Conventions
-----------
A batch's rows lie together, and batch ``b`` of plan ``p`` is drawn from a generator of its own,
seeded by (seed, p, b): any number of workers, in any order, plans the same rows. Starts are in
seconds after the track's first onset.

Source
------
Ours. [H24] 3.1.1 changes one part of a mix at a time; here all of them change at once, so that a
mix teaches every subspace, and each other mix of its batch is a negative or a positive.

Choices
-------
A batch draws on as many tracks of one tempo group as leave every track's part at least two mixes.
All parts of a mix come from one window, so that they stay in time; where not all of its tracks
sound together, from a window in which the most do, and the others are left out. Where the mixes of
a batch share windows, a part is heard before many backgrounds at the very same time: its subspace
learns to leave these out, which is what P2 asks; mixes with windows of their own teach that it is
the same part at another time, which is what P1 asks.
"""

import zlib
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from csn.conditions import INSTRUMENTS
from csn.config import AudioConfig, MixingConfig
from csn.errors import CorpusError
from csn.records import ABSENT, MIX_SCHEMA, Mix
from csn.triplets.planning import Candidates

MIN_SOUNDING = 2
"""Parts of a mix that sound at least: alone, one teaches nothing about telling parts apart."""
MAX_DRAWS = 100


def plan_mixes(
    found: Candidates,
    batch_ids: Sequence[int],
    *,
    plan_index: int,
    batch_size: int,
    seed: int,
    audio: AudioConfig,
    config: MixingConfig,
) -> pa.Table:
    """Draw the batches `batch_ids` of one plan, as a `MIX_SCHEMA` table.

    Raises
    ------
    CorpusError
        No parts of different tracks sound at the same time.
    """
    rows = []
    for batch_id in batch_ids:
        rng = np.random.default_rng([seed, zlib.crc32(b"mixes"), plan_index, batch_id])
        num_windows = config.batch_windows[batch_id % len(config.batch_windows)]
        at_once = batch_size // max(num_windows, 1)
        group, track_ids = _draw_tracks(rng, found, at_once, config)
        if num_windows:
            sizes = [len(of) for of in np.array_split(np.arange(batch_size), num_windows)]
            mixes = _in_windows(rng, found, track_ids, sizes, audio.level_hop_s)
        else:
            mixes = _each_in_its_own(rng, found, track_ids, batch_size, audio.level_hop_s)
        if mixes is None:
            raise CorpusError(
                f"tempo group {group}: in {MAX_DRAWS} draws no {MIN_SOUNDING} parts of its "
                f"{len(track_ids)} tracks sound together; expected tracks that overlap in "
                "time; raise --triplets.max_segments_per_track, or add tracks"
            )
        rows += [
            {
                "mix_id": batch_id * batch_size + place,
                "plan_index": plan_index,
                "tempo_group": group,
                "tracks": mix.tracks,
                "starts_s": mix.starts_s,
            }
            for place, mix in enumerate(mixes)
        ]
    return pa.Table.from_pylist(rows, schema=MIX_SCHEMA)


def _draw_tracks(
    rng: np.random.Generator, found: Candidates, batch_size: int, config: MixingConfig
) -> tuple[str, list[str]]:
    """Draw a tempo group, the larger the likelier, and tracks of it; or tracks of any tempo."""
    if config.tempo == "any":
        name = "any"
        offered = sorted(found.sounding)
    else:
        sizes = np.array([len(group.track_ids) for group in found.groups], float)
        group = found.groups[rng.choice(len(sizes), p=sizes / sizes.sum())]
        name, offered = group.name, list(group.track_ids)
    count = min(len(offered), max(2, batch_size // 2))
    return name, [offered[i] for i in rng.choice(len(offered), count, replace=False)]


def _in_windows(
    rng: np.random.Generator,
    found: Candidates,
    track_ids: Sequence[str],
    sizes: Sequence[int],
    hop_s: float,
) -> list[Mix] | None:
    """Mix parts in as many windows as there are `sizes`; none: too few ever sound together.

    A window's mixes take each part from all tracks in which it sounds then, all about as often.
    """
    longest = max(found.sounding[track].shape[1] for track in track_ids)
    heard = np.zeros((len(track_ids), len(INSTRUMENTS), longest), bool)
    for place, track in enumerate(track_ids):
        parts = found.sounding[track]
        heard[place, :, : parts.shape[1]] = parts
    # Where at least half of the time fewer sound, few tracks would be told apart.
    num_heard = heard.sum(axis=(0, 1))
    many = heard.any(axis=0).sum(axis=0) >= MIN_SOUNDING
    frames = np.flatnonzero(many & (num_heard >= np.median(num_heard[many]))) if many.any() else []
    if not len(frames):
        return None
    mixes = []
    for size in sizes:
        frame = int(rng.choice(frames))
        having = [
            [t for t, h in zip(track_ids, of, strict=True) if h] for of in heard[..., frame].T
        ]
        dealt = [_dealt(rng, tracks, size) for tracks in having]
        mixes += [Mix(t, (frame * hop_s,) * len(t)) for t in zip(*dealt, strict=True)]
    return mixes


def _each_in_its_own(
    rng: np.random.Generator,
    found: Candidates,
    track_ids: Sequence[str],
    batch_size: int,
    hop_s: float,
) -> list[Mix] | None:
    """Mix parts in a window for each mix; none: too few of the tracks' ever sound together."""
    parts = _deal_parts(rng, found, track_ids, batch_size)
    mixes = []
    for tracks in zip(*parts, strict=True):
        mix = _draw_mix(rng, found, tracks, hop_s)
        for _ in range(MAX_DRAWS):
            if mix is not None:
                break
            other = [part[rng.integers(batch_size)] for part in parts]
            mix = _draw_mix(rng, found, other, hop_s)
        if mix is None:
            return None
        mixes.append(mix)
    return mixes


def _deal_parts(
    rng: np.random.Generator, found: Candidates, track_ids: Sequence[str], batch_size: int
) -> list[list[str]]:
    """For each part, the track that each mix of the batch takes it from: all about as often."""
    dealt = []
    for place in range(len(INSTRUMENTS)):
        having = [track for track in track_ids if found.sounding[track][place].any()]
        dealt.append(_dealt(rng, having, batch_size))
    return dealt


def _dealt(rng: np.random.Generator, tracks: list[str], num: int) -> list[str]:
    """`num` of `tracks`, all about as often, in any order; silence where there is none."""
    if not tracks:
        return [ABSENT] * num
    rounds = -(-num // len(tracks))
    order = np.concatenate([rng.permutation(len(tracks)) for _ in range(rounds)])
    return [tracks[i] for i in order[:num]]


def _draw_mix(
    rng: np.random.Generator, found: Candidates, tracks: Sequence[str], hop_s: float
) -> Mix | None:
    """Draw a window in which as many of the tracks' parts sound as can; none: too few ever do."""
    sounding = [
        found.sounding[track][place] for place, track in enumerate(tracks) if track != ABSENT
    ]
    if len(sounding) < MIN_SOUNDING:
        return None
    # A window has to lie within all its tracks.
    length = min(map(len, sounding))
    together = np.sum([mask[:length] for mask in sounding], axis=0)
    if not length or together.max() < MIN_SOUNDING:
        return None
    start = int(rng.choice(np.flatnonzero(together == together.max())))
    kept = tuple(
        track if track != ABSENT and found.sounding[track][place][start] else ABSENT
        for place, track in enumerate(tracks)
    )
    return Mix(kept, (start * hop_s,) * len(kept))
