"""What travels between the stages: small frozen records and the Arrow schemas of the tables.

Conventions
-----------
Times are in seconds from the piece's first onset, levels in dB of full scale. A mix names, for
each part in the order of `INSTRUMENTS`, the track it comes from and where its window starts; the
empty track name leaves that part silent. A recording whose parts are not known (a preview clip) is
a track with one part, `others`: a mix of it is that part alone.
"""

from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from csn.conditions import INSTRUMENTS, MIX

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
ABSENT = ""
"""Track name of a part that a mix leaves out."""


@dataclass(frozen=True, slots=True)
class TrackLocation:
    """Where a track of a corpus lies; all that listing a corpus tells."""

    track_id: str
    split: str
    uri: str


@dataclass(frozen=True, slots=True)
class Stem:
    """One rendered source of a track (Slakh's ``S03``) and the part it belongs to."""

    stem_id: str
    instrument: str
    audio_uri: str
    program: int


@dataclass(frozen=True, slots=True)
class Track:
    """A track as its metadata and MIDI describe it; no audio was read."""

    track_id: str
    corpus: str
    split: str
    tempo_bpm: float
    tempo_stability: float
    """Share of the time from first to last note in which `tempo_bpm` is in force."""
    stems: tuple[Stem, ...]
    first_note_s: float = float("nan")
    """Start of the first note over all stems, by the MIDI; NaN where it is not known."""


@dataclass(frozen=True, slots=True)
class Reject:
    """A file that could not be used, and why."""

    track_id: str
    audio_uri: str
    stage: str
    reason: str
    scope: Literal["stem", "tempo", "track"]
    """What was left out: one stem, the tempo (the track meets no other), or the whole track."""


@dataclass(frozen=True, slots=True)
class Mix:
    """For each part, the track it comes from and where its window starts, in seconds."""

    tracks: tuple[str, ...]
    starts_s: tuple[float, ...]

    @classmethod
    def of_track(cls, track_id: str, start_s: float) -> "Mix":
        """Every part of one track, from one window: a real mix."""
        return cls((track_id,) * len(INSTRUMENTS), (start_s,) * len(INSTRUMENTS))

    @classmethod
    def pseudo(cls, focus: str, focus_track: str, backing_track: str, start_s: float) -> "Mix":
        """A_B^(focus) of [H24] 3.1.1: the focused part of A, all else of B, in one window."""
        tracks = tuple(focus_track if part == focus else backing_track for part in INSTRUMENTS)
        return cls(tracks, (start_s,) * len(INSTRUMENTS))

    def only(self, condition: str) -> "Mix":
        """Keep the one part of `condition` and leave the others silent; of the mix, all."""
        if condition == MIX:
            return self
        kept = [
            track if part == condition else ABSENT
            for part, track in zip(INSTRUMENTS, self.tracks, strict=True)
        ]
        return Mix(tuple(kept), self.starts_s)

    def track_of(self, part: str) -> str:
        """Track that `part` comes from."""
        return self.tracks[INSTRUMENTS.index(part)]

    def start_of(self, part: str) -> float:
        """Start of the window of `part`, in seconds."""
        return self.starts_s[INSTRUMENTS.index(part)]


@dataclass(frozen=True, slots=True)
class Judgement:
    """How many people found which of two songs more like the anchor (a row of Dim-sim)."""

    triplet_id: str
    anchor: str
    songs: tuple[str, str]
    votes: tuple[int, int]

    @property
    def agreement(self) -> float:
        """Share of the votes that the song with more of them has; 0 without a vote."""
        return max(self.votes) / max(sum(self.votes), 1)


TripletKind = Literal["basic", "track", "concept"]
ROLES = ("anchor", "positive", "negative")


@dataclass(frozen=True, slots=True)
class Triplet:
    """Three mixes, and the condition under which they are a triplet.

    With `interchanged_condition`, the same mixes with positive and negative swapped are a second
    triplet under that condition ([H24] 3.1.2). One row holds both, so that each mix is rendered
    and embedded once.
    """

    triplet_id: int
    kind: TripletKind
    tempo_group: str
    condition: str
    interchanged_condition: str | None
    anchor: Mix
    positive: Mix
    negative: Mix


def _mix_fields(prefix: str) -> list[pa.Field]:
    return [
        pa.field(f"{prefix}tracks", pa.list_(pa.string())),
        pa.field(f"{prefix}starts_s", pa.list_(pa.float64())),
    ]


TRIPLET_SCHEMA = pa.schema(
    [
        pa.field("triplet_id", pa.int64()),
        pa.field("plan_index", pa.int32()),
        pa.field("kind", pa.string()),
        pa.field("tempo_group", pa.string()),
        pa.field("condition", pa.string()),
        pa.field("interchanged_condition", pa.string()),
        *_mix_fields("anchor_"),
        *_mix_fields("positive_"),
        *_mix_fields("negative_"),
        *[pa.field(f"{role}_sounds", pa.list_(pa.bool_())) for role in ROLES],
    ]
)
"""A triplet a row. ``<role>_sounds`` says of each part whether it sounds in that mix."""

MIX_SCHEMA = pa.schema(
    [
        pa.field("mix_id", pa.int64()),
        pa.field("plan_index", pa.int32()),
        pa.field("tempo_group", pa.string()),
        *_mix_fields(""),
    ]
)
"""A plan of mixes of which every part that is not absent sounds: free mixes, or subsets."""

TRACK_SCHEMA = pa.schema(
    [
        pa.field("track_id", pa.string()),
        pa.field("corpus", pa.string()),
        pa.field("split", pa.string()),
        pa.field("sample_rate_hz", pa.int32()),
        pa.field("num_samples", pa.int64()),
        pa.field("tempo_bpm", pa.float64()),
        pa.field("tempo_stability", pa.float64()),
        pa.field("onset_s", pa.float64()),
        pa.field("pcm_scale", pa.float32()),
        pa.field("warnings", pa.list_(pa.string())),
        *[pa.field(f"level_db_{part}", pa.list_(pa.float32())) for part in INSTRUMENTS],
        pa.field("key", pa.int32()),
        pa.field("is_major", pa.bool_()),
        pa.field("tags", pa.list_(pa.string())),
        pa.field("tag_strengths", pa.list_(pa.float32())),
    ]
)
"""A prepared track without its audio: what planning reads. An absent part has no levels (null).
`key` is 0..11 from C, null where it is not known; tags have strengths of 0..100, in the spelling
of `csn.corpora.tag_groups`, and are null where the corpus has none."""

PARTS_SCHEMA = pa.schema(
    [*TRACK_SCHEMA, *[pa.field(f"pcm_{part}", pa.large_binary()) for part in INSTRUMENTS]]
)
"""A prepared track: `TRACK_SCHEMA` and int16 PCM of each part (null where it is absent)."""

REJECT_SCHEMA = pa.schema(
    [pa.field(name, pa.string()) for name in ("track_id", "audio_uri", "stage", "reason", "scope")]
)

EVALUATION_MIX_SCHEMA = pa.schema(
    [
        pa.field("source", pa.string()),
        pa.field("focus", pa.string()),
        pa.field("track_id", pa.string()),
        pa.field("backing_track_id", pa.string()),
        pa.field("segment_index", pa.int32()),
        pa.field("start_s", pa.float64()),
        pa.field("duration_s", pa.float64()),
        *_mix_fields(""),
        *[pa.field(f"sounds_{name}", pa.bool_()) for name in (*INSTRUMENTS, MIX)],
    ]
)
"""A mix to embed and score: a segment of a track (source ``mix``) or of A_B (``pseudo_mix``)."""

OURS = "csn"
"""Name under which the network of an experiment is scored, beside the baselines'."""
SCORE_SCHEMA = pa.schema(
    [
        pa.field("protocol", pa.string()),
        pa.field("system", pa.string()),
        pa.field("condition", pa.string()),
        pa.field("focus", pa.string()),
        pa.field("duration_s", pa.float64()),
        pa.field("k", pa.int32()),
        pa.field("num_queries", pa.int64()),
        pa.field("num_correct", pa.int64()),
        pa.field("num_ids", pa.int64()),
        pa.field("num_missing", pa.int64()),
        pa.field("accuracy", pa.float64()),
        pa.field("low", pa.float64()),
        pa.field("high", pa.float64()),
        pa.field("chance", pa.float64()),
        pa.field("r_precision", pa.float64()),
        pa.field("map_at_r", pa.float64()),
        pa.field("seed", pa.int64()),
    ]
)
"""A row a score. `condition` is the subspace asked (``all``: the whole embedding), `focus` the
instrument whose track is the right answer; they differ only in the leak matrix. `r_precision` and
`map_at_r` are of P1 alone; `k` is null where nothing votes. Of triplets, `condition` may be many,
joined by ``+``, `focus` is whose triplets they are (``human``, or a concept), `num_ids` counts the
tracks in them, and `num_missing` the triplets left out as a track of them is not embedded."""

CRITERIA_SCHEMA = pa.schema(
    [
        pa.field("kind", pa.string()),
        pa.field("a", pa.string()),
        pa.field("b", pa.string()),
        pa.field("rank", pa.int32()),
        pa.field("value", pa.float64()),
        pa.field("seed", pa.int64()),
        pa.field("num_tracks", pa.int64()),
    ]
)
"""How alike the criteria `a` and `b` are: ``pearson``, ``spearman``, or the ``reciprocal_rank`` by
`b` of the `rank`-th neighbour by `a`."""


def embedding_schema(dim: int) -> pa.Schema:
    """Give the schema of an embeddings table whose vectors have `dim` dimensions.

    `segment_index` is -1 for a track's mean. `sounds` says whether the condition's own part sounds
    in that segment. Vectors are raw, not normalised.
    """
    return pa.schema(
        [
            pa.field("track_id", pa.string()),
            pa.field("segment_index", pa.int32()),
            pa.field("start_s", pa.float64()),
            pa.field("duration_s", pa.float64()),
            pa.field("source", pa.string()),
            pa.field("focus", pa.string()),
            pa.field("focus_track_id", pa.string()),
            pa.field("backing_track_id", pa.string()),
            pa.field("sounds", pa.bool_()),
            pa.field("model_digest", pa.string()),
            pa.field("vector", pa.list_(pa.float32(), dim)),
        ]
    )
