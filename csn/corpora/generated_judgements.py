"""Triplets as listeners would judge them, made from known factors, in the form of Dim-sim.

Conventions
-----------
The columns are those of Dim-sim's CSV files; positions lie in the preview clips. In the raw form
votes are counts, in the clean one 1 for the song nearer to the anchor and 0 for the other.

Choices
-------
No person judged these: every id begins with ``generated-``. A made-up listener compares shared
genre (twice), mood, instrument, era, tempo and key, and errs the more the less two songs differ.
The clean form keeps rows on which `MIN_AGREEMENT` of the listeners agree.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from csn.corpora.tags import TAGS, Group

ID_PREFIX = "generated-"
"""How a triplet's id says that no person judged it."""
MIN_AGREEMENT = 0.9
EXCERPT_S = 3
"""What a listener hears of each song ([R22] 4.1 and Dim-sim)."""
USUAL_CUT = 50
"""Tags above this strength count."""
ALIKE_BPM = 5.0

_WEIGHTS: dict[Group, float] = {"genre": 2.0, "mood": 1.0, "instrument": 1.0, "era": 1.0}
_SURENESS = 2.5
_FEWEST_VOTES, _MOST_VOTES = 5, 12
_PLACES = ("anchor", "song1", "song2")
COLUMNS = (
    "triplet_id",
    *(f"{one}_{what}" for one in _PLACES for what in ("id", "start_seconds", "start_samples")),
    *("sampling_rate", "clip_lengths_seconds", "clip_lengths_samples"),
    *("song1_vote", "song2_vote"),
)


@dataclass(frozen=True, slots=True)
class Factors:
    """What is known of a song, by which it is compared."""

    track_id: str
    tags: Mapping[str, int]
    """Strengths, 0..100."""
    tempo_bpm: float
    key: int
    is_major: bool
    num_samples: int


def similarity(one: Factors, other: Factors) -> float:
    """How alike two songs are: 0 where they share nothing, 7 where they share all.

    Shared tags count by Jaccard's index within their group; tempi are alike within 5 BPM or an
    octave of it, as in [R22] 3.3.
    """
    total = 0.0
    for group, weight in _WEIGHTS.items():
        mine, its = (
            {t for t in TAGS[group] if x.tags.get(t, 0) > USUAL_CUT} for x in (one, other)
        )
        total += weight * len(mine & its) / len(mine | its) if mine | its else 0.0
    octaves = (0.5, 1.0, 2.0)
    tempo = any(abs(one.tempo_bpm * k - other.tempo_bpm) <= ALIKE_BPM for k in octaves)
    return total + tempo + ((one.key, one.is_major) == (other.key, other.is_major))


def judged(
    rng: np.random.Generator, songs: Sequence[Factors], num_triplets: int, sample_rate_hz: int
) -> list[dict[str, str]]:
    """Rows of the raw form: three different songs each, and how many chose which."""
    rows = []
    for number in range(num_triplets):
        three = [songs[place] for place in rng.choice(len(songs), 3, replace=False)]
        nearer = similarity(three[0], three[1]) - similarity(three[0], three[2])
        num_votes = int(rng.integers(_FEWEST_VOTES, _MOST_VOTES + 1))
        first = int(rng.binomial(num_votes, 1 / (1 + np.exp(-_SURENESS * nearer))))
        row = {"triplet_id": f"{ID_PREFIX}{number + 1:04d}"}
        for place, song in zip(_PLACES, three, strict=True):
            latest = max(song.num_samples - EXCERPT_S * sample_rate_hz, 0)
            start = int(rng.integers(latest + 1))
            row[f"{place}_id"] = song.track_id
            row[f"{place}_start_seconds"] = f"{start / sample_rate_hz:.3f}"
            row[f"{place}_start_samples"] = str(start)
        row["sampling_rate"] = str(sample_rate_hz)
        row["clip_lengths_seconds"] = str(EXCERPT_S)
        row["clip_lengths_samples"] = str(EXCERPT_S * sample_rate_hz)
        rows.append(row | {"song1_vote": str(first), "song2_vote": str(num_votes - first)})
    return rows


def agreed(rows: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Rows of the clean form, of those of the raw one on which listeners agree."""
    clean = []
    for row in rows:
        votes = int(row["song1_vote"]), int(row["song2_vote"])
        if max(votes) >= MIN_AGREEMENT * sum(votes):
            first = int(votes[0] > votes[1])
            clean.append({**row, "song1_vote": str(first), "song2_vote": str(1 - first)})
    return clean


def as_csv(rows: Sequence[Mapping[str, str]]) -> bytes:
    """Rows as the text of a CSV file with Dim-sim's columns."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
