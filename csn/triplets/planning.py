"""Which mixes make which triplet: all the chance of training, in pure seeded functions.

Conventions
-----------
Row ``i`` of plan ``p`` is drawn from a generator of its own, seeded by (seed, p, i): any number of
workers, in any order, plans the same rows. Starts are in seconds after the track's first onset.

Source
------
[H24] Sections 3.1.1 and 3.1.2, Figs. 1 and 2.

Choices
-------
A row takes four different tracks of one tempo group [LAB]: A and N give the backgrounds, A2 and N2
the conditioned part. Anchor = A2's part over A; positive = A2's part over N, at another time;
negative = N2's part over A, at another time. All parts of a mix come from one window, so that they
stay in time. The conditioned part sounds in all three mixes, and so does the interchanged one,
under which anchor and negative are alike (both A's). Windows of the same part that count as alike
are `TripletConfig.min_gap_s` apart.
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
from jaxtyping import Bool

from csn.audio.activity import sounding_starts
from csn.audio.segments import first_sounding
from csn.conditions import INSTRUMENTS
from csn.config import AudioConfig, TripletConfig
from csn.errors import CorpusError
from csn.records import ABSENT, ROLES, TRIPLET_SCHEMA, Mix, Triplet
from csn.triplets.tempo_groups import TempoGroup, tempo_groups

MAX_DRAWS = 500


@dataclass(frozen=True, slots=True)
class Candidates:
    """What a split offers to planning: groups, and where each part of each track sounds."""

    groups: tuple[TempoGroup, ...]
    left_out: tuple[str, ...]
    """Tracks in no tempo group."""
    sounding: dict[str, Bool[np.ndarray, "parts starts"]]
    """For each track and part, whether a segment may start at each frame of the level grid."""

    def tracks_with(self, group: TempoGroup, part: str) -> list[str]:
        """Tracks of `group` in which `part` sounds somewhere."""
        row = INSTRUMENTS.index(part)
        return [track for track in group.track_ids if self.sounding[track][row].any()]

    def sounds_in(self, mix: Mix, hop_s: float) -> list[bool]:
        """For each part, whether it sounds in `mix`, whose windows start on a grid of `hop_s`."""
        return [
            track != ABSENT and bool(self.sounding[track][place][round(start_s / hop_s)])
            for place, (track, start_s) in enumerate(zip(mix.tracks, mix.starts_s, strict=True))
        ]


def candidates(
    tracks: pa.Table, audio: AudioConfig, config: TripletConfig, *, need_groups: bool = True
) -> Candidates:
    """Work out from prepared tracks (`TRACK_SCHEMA`, one split) what triplets can be drawn from.

    Without `need_groups`, tracks that meet no other are enough.

    Raises
    ------
    CorpusError
        The split is empty, or no tempo group has enough tracks.
    """
    if not len(tracks):
        raise CorpusError(
            "no prepared track to draw triplets from; expected at least "
            f"{config.min_group_tracks} of one tempo; look at the corpus' splits and at rejects"
        )
    rows = tracks.select(["track_id", "tempo_bpm", "tempo_stability"]).to_pylist()
    steady = {
        row["track_id"]: row["tempo_bpm"]
        if row["tempo_stability"] >= config.min_tempo_stability
        else float("nan")
        for row in rows
    }
    groups, left_out = tempo_groups(steady, config)
    if need_groups and not groups:
        raise CorpusError(
            f"none of {len(rows)} tracks is in a tempo group of {config.min_group_tracks} or more "
            f"(bins of {config.tempo_group_bpm} bpm); expected at least one; raise "
            "--triplets.tempo_group_bpm or --triplets.max_merge_bpm, or add tracks"
        )
    sounding = sounding_parts(tracks, audio.segment_s, audio)
    hop_frames = round(config.hop_s / audio.level_hop_s)
    limited = {
        track: parts & first_sounding(any_part(parts), hop_frames, config.max_segments_per_track)
        for track, parts in sounding.items()
    }
    return Candidates(tuple(groups), tuple(left_out), limited)


def sounding_parts(
    tracks: pa.Table, duration_s: float, audio: AudioConfig
) -> dict[str, Bool[np.ndarray, "parts starts"]]:
    """Tell for each track, part and frame whether the part sounds in the segment from there."""
    result = {}
    for row in tracks.select(["track_id", *(f"level_db_{p}" for p in INSTRUMENTS)]).to_pylist():
        levels = [row[f"level_db_{part}"] for part in INSTRUMENTS]
        present = [
            sounding_starts(np.asarray(x, np.float32), duration_s, audio) for x in levels if x
        ]
        num_starts = len(present[0]) if present else 0
        masks = iter(present)
        result[row["track_id"]] = np.stack(
            [next(masks) if x else np.zeros(num_starts, bool) for x in levels]
        )
    return result


def any_part(
    sounding: Bool[np.ndarray, "parts starts"],
) -> Bool[np.ndarray, " starts"]:
    """Tell for each start whether any of the parts sounds."""
    return np.logical_or.reduce(sounding, axis=0)


def check_conditions(found: Candidates, conditions: Sequence[str], *, split: str) -> None:
    """Refuse conditions for which no triplet can be drawn, naming each and what it lacks."""
    for condition in conditions:
        most = max(len(found.tracks_with(group, condition)) for group in found.groups)
        if most < 2:
            others = " ".join(c for c in conditions if c != condition)
            advice = f", or leave it out with --network.conditions {others}" if others else ""
            raise CorpusError(
                f"condition {condition}: sounds in {most} tracks of a tempo group of split "
                f"{split} at most, a triplet needs 2; add tracks{advice}"
            )


def plan(
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

    Conditions take turns by row id, so that each has its share.
    """
    stream = zlib.crc32(b"triplets")
    triplets = []
    for row_id in row_ids:
        rng = np.random.default_rng([seed, stream, plan_index, row_id])
        condition = conditions[row_id % len(conditions)]
        others = [c for c in conditions if c != condition] if config.interchanged else []
        triplets.append(draw_triplet(rng, row_id, condition, others, found, audio, config))
    return to_table(triplets, plan_index, partial(found.sounds_in, hop_s=audio.level_hop_s))


def draw_triplet(
    rng: np.random.Generator,
    triplet_id: int,
    condition: str,
    interchangeable: Sequence[str],
    found: Candidates,
    audio: AudioConfig,
    config: TripletConfig,
) -> Triplet:
    """Draw one row for `condition`, to be interchanged under one of `interchangeable` (if any)."""
    groups = [g for g in found.groups if len(found.tracks_with(g, condition)) >= 2]
    weights = np.array([len(group.track_ids) for group in groups], float)
    gap = round((audio.segment_s + config.min_gap_s) / audio.level_hop_s)
    for _ in range(MAX_DRAWS):
        group = groups[rng.choice(len(groups), p=weights / weights.sum())]
        other = str(rng.choice(interchangeable)) if interchangeable else None
        tracks = _draw_tracks(rng, found, group, condition, other)
        starts = tracks and _draw_starts(rng, found, tracks, condition, other, gap)
        if tracks and starts:
            backing, focus, backing_n, focus_n = tracks
            anchor, positive, negative = (float(s * audio.level_hop_s) for s in starts)
            return Triplet(
                triplet_id,
                "basic",
                group.name,
                condition,
                other,
                anchor=Mix.pseudo(condition, focus, backing, anchor),
                positive=Mix.pseudo(condition, focus, backing_n, positive),
                negative=Mix.pseudo(condition, focus_n, backing, negative),
            )
    raise CorpusError(
        f"condition {condition}: no triplet found in {MAX_DRAWS} draws from {len(groups)} tempo "
        f"groups; expected windows {config.min_gap_s} s apart in which it sounds; lower "
        "--triplets.min_gap_s or raise --triplets.max_segments_per_track"
    )


def _draw_tracks(
    rng: np.random.Generator,
    found: Candidates,
    group: TempoGroup,
    condition: str,
    other: str | None,
) -> tuple[str, str, str, str] | None:
    """Draw A, A2, N, N2, all different; the condition sounds in A2 and N2, `other` in A and N."""
    focused = found.tracks_with(group, condition)
    focus, focus_n = (focused[i] for i in rng.choice(len(focused), 2, replace=False))
    backings = found.tracks_with(group, other) if other else list(group.track_ids)
    backings = [track for track in backings if track not in (focus, focus_n)]
    if len(backings) < 2:
        return None
    backing, backing_n = (backings[i] for i in rng.choice(len(backings), 2, replace=False))
    return backing, focus, backing_n, focus_n


def _draw_starts(
    rng: np.random.Generator,
    found: Candidates,
    tracks: tuple[str, str, str, str],
    condition: str,
    other: str | None,
    gap_frames: int,
) -> tuple[int, int, int] | None:
    """Draw the frames of anchor, positive and negative, in which all that must sound does."""
    backing, focus, backing_n, focus_n = tracks

    def frames(focus_track: str, backing_track: str) -> np.ndarray:
        focus_sounds = found.sounding[focus_track][INSTRUMENTS.index(condition)]
        backing_parts = found.sounding[backing_track]
        backing_sounds = (
            backing_parts[INSTRUMENTS.index(other)] if other else any_part(backing_parts)
        )
        length = min(len(focus_sounds), len(backing_sounds))
        return np.flatnonzero(focus_sounds[:length] & backing_sounds[:length])

    anchors = frames(focus, backing)
    if not len(anchors):
        return None
    anchor = int(rng.choice(anchors))
    positives, negatives = frames(focus, backing_n), frames(focus_n, backing)
    positives = positives[np.abs(positives - anchor) >= gap_frames]
    negatives = negatives[np.abs(negatives - anchor) >= gap_frames]
    if not len(positives) or not len(negatives):
        return None
    return anchor, int(rng.choice(positives)), int(rng.choice(negatives))


def to_table(
    triplets: Sequence[Triplet], plan_index: int, sounds_in: Callable[[Mix], list[bool]]
) -> pa.Table:
    """Write triplets as the rows of a plan; `sounds_in` tells of each part whether it sounds."""
    rows = []
    for triplet in triplets:
        row: dict[str, object] = {
            name: getattr(triplet, name)
            for name in (
                "triplet_id",
                "kind",
                "tempo_group",
                "condition",
                "interchanged_condition",
            )
        }
        for role in ROLES:
            mix: Mix = getattr(triplet, role)
            row |= {f"{role}_tracks": mix.tracks, f"{role}_starts_s": mix.starts_s}
            row[f"{role}_sounds"] = sounds_in(mix)
        rows.append(row | {"plan_index": plan_index})
    return pa.Table.from_pylist(rows, schema=TRIPLET_SCHEMA)
