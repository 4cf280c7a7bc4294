"""Triplets of recordings that are alike, and different, under a concept.

Conventions
-----------
As in `csn.triplets.planning`: row ``i`` of plan ``p`` has a generator of its own, starts are in
seconds. A recording is a track whose parts are not known; a mix of it is all that there is.

Source
------
[R22] Section 3: anchor and positive have the same tag, or like tempo or key, the negative has not.
Lee et al. (2020) for triplets of one track and another, which hold under all conditions together.

Choices
-------
Concepts take turns by row id, whatever share of the tracks carries each. The anchor is drawn from
the tracks of which the concept is known and that have somebody alike and somebody different, then
these two among all such. Segments are drawn from wherever the track sounds. Between segments of
one track lies `TripletConfig.min_gap_s`.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Int

from csn.conditions import ALL
from csn.config import AudioConfig, SimilarityConfig, TripletConfig
from csn.errors import CorpusError
from csn.records import Mix, Triplet
from csn.triplets.planning import any_part, sounding_parts, to_table
from csn.triplets.rules import Facts, facts_of, related

MAX_DRAWS = 200
_GROUP = "any"


class Three(NamedTuple):
    """Places of an anchor, of one alike and of one different, in `Recordings`."""

    anchor: int
    positive: int
    negative: int


@dataclass(frozen=True, slots=True)
class Recordings:
    """What a split offers: its tracks that sound, what is known of them, where they sound."""

    track_ids: tuple[str, ...]
    facts: Facts
    starts: tuple[Int[np.ndarray, " _starts"], ...]
    """Of each track, the frames of the level grid at which a segment may start."""


def recordings(tracks: pa.Table, audio: AudioConfig, config: SimilarityConfig) -> Recordings:
    """Work out from prepared tracks (`TRACK_SCHEMA`, one split) what triplets can be drawn from.

    Raises
    ------
    CorpusError
        Fewer than three tracks sound for as long as a segment.
    """
    sounding = sounding_parts(tracks, audio.segment_s, audio)
    names = tracks["track_id"].to_pylist()
    starts = [np.flatnonzero(any_part(sounding[name])) for name in names]
    kept = np.flatnonzero([len(frames) > 0 for frames in starts])
    if len(kept) < 3:
        raise CorpusError(
            f"{len(kept)} of {len(names)} prepared tracks sound for {audio.segment_s:g} s; a "
            "triplet needs 3; look at the corpus' splits and at rejects"
        )
    facts = facts_of(tracks.take(pa.array(kept)), config)
    return Recordings(tuple(names[i] for i in kept), facts, tuple(starts[i] for i in kept))


def check_concepts(found: Recordings, concepts: Sequence[str], *, split: str) -> None:
    """Refuse concepts of which fewer than two tracks of a split are known, naming each.

    Raises
    ------
    CorpusError
        Says how many tracks carry each such concept, and what to try.
    """
    lacking = {name: num for name in concepts if (num := len(_known(found, name))) < 2}
    if lacking:
        told = ", ".join(f"{name} is known of {num}" for name, num in lacking.items())
        left = " ".join(name for name in concepts if name not in lacking)
        advice = f", or leave it out with --network.conditions {left}" if left else ""
        raise CorpusError(
            f"of {len(found.track_ids)} tracks of split {split}: {told}; a triplet needs 2 that "
            "are alike and one that is not; look at the tags and annotations of the corpus, lower "
            f"--similarity.min_tag_strength{advice}"
        )


def plan_concept_triplets(
    found: Recordings,
    row_ids: Sequence[int],
    *,
    plan_index: int,
    seed: int,
    conditions: Sequence[str],
    audio: AudioConfig,
    config: TripletConfig,
    similarity: SimilarityConfig,
) -> pa.Table:
    """Draw the rows `row_ids` of one plan, as a `TRIPLET_SCHEMA` table.

    Raises
    ------
    CorpusError
        No triplet can be drawn under a concept, or no track is long enough for two segments.
    """
    gap = round((audio.segment_s + config.min_gap_s) / audio.level_hop_s)
    triplets = []
    for row_id in row_ids:
        rng = np.random.default_rng([seed, zlib.crc32(b"concepts"), plan_index, row_id])
        if rng.random() < config.track_share:
            kind, condition = "track", ALL
            three, frames = _draw_track(rng, found, gap)
        else:
            kind, condition = "concept", conditions[row_id % len(conditions)]
            three = _draw_three(rng, found, condition, similarity)
            frames = tuple(int(rng.choice(found.starts[place])) for place in three)
        mixes = [
            Mix.of_track(found.track_ids[place], frame * audio.level_hop_s)
            for place, frame in zip(three, frames, strict=True)
        ]
        triplets.append(Triplet(row_id, kind, _GROUP, condition, None, *mixes))
    return to_table(triplets, plan_index, lambda mix: [bool(track) for track in mix.tracks])


def draw_threes(
    found: Recordings, concept: str, num: int, *, seed: int, config: SimilarityConfig
) -> list[Three]:
    """Draw `num` triplets of tracks under one concept; the same seed draws the same.

    Raises
    ------
    CorpusError
        No triplet can be drawn.
    """
    rng = np.random.default_rng([seed, zlib.crc32(b"concept"), zlib.crc32(concept.encode())])
    return [_draw_three(rng, found, concept, config) for _ in range(num)]


def _known(found: Recordings, concept: str) -> Int[np.ndarray, " known"]:
    """Places of the tracks of which something is known: who is alike to itself."""
    of = found.facts[concept]
    return np.flatnonzero(related(concept, of, of, SimilarityConfig())[0])


def _draw_three(
    rng: np.random.Generator, found: Recordings, concept: str, config: SimilarityConfig
) -> Three:
    known, of = _known(found, concept), found.facts[concept]
    for _ in range(MAX_DRAWS if len(known) else 0):
        anchor = int(rng.choice(known))
        alike, different = related(concept, of[anchor], of, config)
        alike[anchor] = False
        if alike.any() and different.any():
            positive = int(rng.choice(np.flatnonzero(alike)))
            return Three(anchor, positive, int(rng.choice(np.flatnonzero(different))))
    raise CorpusError(
        f"condition {concept}: known of {len(known)} of {len(found.track_ids)} tracks, and in "
        f"{MAX_DRAWS} draws none had both one alike and one different; expected two groups at "
        "least; look at the corpus' tags and annotations, or leave it out of --network.conditions"
    )


def _draw_track(
    rng: np.random.Generator, found: Recordings, gap: int
) -> tuple[Three, tuple[int, int, int]]:
    """Draw two segments of one track and one of another, by their frames."""
    for _ in range(MAX_DRAWS):
        one, other = (int(place) for place in rng.choice(len(found.track_ids), 2, replace=False))
        starts = found.starts[one]
        anchor = int(rng.choice(starts))
        apart = starts[np.abs(starts - anchor) >= gap]
        if len(apart):
            frames = anchor, int(rng.choice(apart)), int(rng.choice(found.starts[other]))
            return Three(one, one, other), frames
    raise CorpusError(
        f"in {MAX_DRAWS} draws no track sounds in two segments with triplets.min_gap_s between "
        "them; expected longer clips; lower it, or set --triplets.track_share 0"
    )
