"""Knobs of the data: which corpus, how its audio is read, which triplets are drawn."""

from dataclasses import dataclass, field
from typing import Literal

from csn.config.checks import Strict, check, check_name, check_range
from csn.records import SPLITS


@dataclass(frozen=True, kw_only=True, slots=True)
class GeneratedConfig(Strict):
    """Size of a corpus that we compose and render ourselves."""

    num_train_tracks: int = 72
    """Pieces in the train split."""
    num_validation_tracks: int = 12
    """Pieces in the validation split."""
    num_test_tracks: int = 20
    """Pieces in the test split."""
    duration_s: float = 60.0
    """About how long a piece is."""
    sample_rate_hz: int = 16_000
    """Rate at which stems are rendered and written."""
    seed: int = 0
    """Seed of the composer; the same seed writes the same corpus."""

    def __post_init__(self) -> None:
        for split in SPLITS:
            count = getattr(self, f"num_{split}_tracks")
            check(count >= 0, f"corpus.generated.num_{split}_tracks={count} must not be negative")
        check(
            self.sample_rate_hz >= 8_000,
            f"corpus.generated.sample_rate_hz={self.sample_rate_hz} must be at least 8000",
        )
        check(
            self.duration_s >= 5,
            f"corpus.generated.duration_s={self.duration_s} must be at least 5",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class GeneratedMsdConfig(Strict):
    """Size of a corpus of our own making in the Million Song Dataset's layout."""

    num_train_tracks: int = 160
    """Tracks in the train split."""
    num_validation_tracks: int = 30
    """Tracks in the validation split."""
    num_test_tracks: int = 60
    """Tracks in the test split."""
    clip_s: float = 30.0
    """About how long a preview clip is; the real ones have 30 to 60 s."""
    num_triplets: int = 4_000
    """Rows of raw-dim-sim.csv; clean-dim-sim.csv has those on which the judgements agree."""
    seed: int = 0
    """Seed of the composer and of all other chance; the same seed writes the same corpus."""

    def __post_init__(self) -> None:
        for name in (*(f"num_{split}_tracks" for split in SPLITS), "num_triplets", "seed"):
            count = getattr(self, name)
            check(count >= 0, f"corpus.generated_msd.{name}={count} must not be negative")
        check(
            self.num_triplets == 0 or self.num_test_tracks >= 3,
            f"corpus.generated_msd.num_test_tracks={self.num_test_tracks} must be at least 3, "
            "of which a triplet is made; or set corpus.generated_msd.num_triplets to 0",
        )
        check_range("corpus.generated_msd.clip_s", self.clip_s, 5)


@dataclass(frozen=True, kw_only=True, slots=True)
class MsdConfig(Strict):
    """Where the files of the Million Song Dataset lie; its pieces are often kept apart."""

    songs_uri: str = ""
    """Folder of the tree of h5 files; empty: the corpus' own."""
    tags_uri: str = ""
    """Last.FM's sqlite file, or the folder of its JSON files; empty: lastfm_tags.db, or else
    lastfm/, in the corpus."""
    splits_uri: str = ""
    """Folder of train.txt, validation.txt (or valid.txt) and test.txt, an MSD id a line, or a CSV
    file with split, msd_id and sevendigital_id; empty: splits/ in the corpus."""
    annotations: Literal["h5", "librosa", "csv"] = "h5"
    """Who tells tempo and key: the h5 files, librosa by listening, or a CSV file."""
    annotations_uri: str = ""
    """CSV file with track_id, tempo_bpm, key (0..11 from C) and is_major; for `csv` alone."""

    def __post_init__(self) -> None:
        check(
            bool(self.annotations_uri) == (self.annotations == "csv"),
            f"corpus.msd.annotations_uri={self.annotations_uri!r} with corpus.msd.annotations="
            f"{self.annotations}: csv needs a file, and nothing else does",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class CorpusConfig(Strict):
    """Which tracks there are and where they lie."""

    name: str = "slakh2100-redux"
    """Name of the corpus; part of the folder names of all that is made from it."""
    layout: Literal["slakh", "msd"] = "slakh"
    """How the corpus lies there: tracks of stems as Slakh2100, or previews, tags and h5 files as
    the Million Song Dataset."""
    uri: str = ""
    """Folder or s3:// URI of the corpus in that layout; empty: compose one under the root."""
    generated: GeneratedConfig = field(default_factory=GeneratedConfig)
    """Size of the composed corpus of stems; not looked at when `uri` is given."""
    generated_msd: GeneratedMsdConfig = field(default_factory=GeneratedMsdConfig)
    """Size of the composed corpus of clips; not looked at when `uri` is given."""
    msd: MsdConfig = field(default_factory=MsdConfig)
    """Where the files lie, in the Million Song Dataset's layout."""
    num_train_tracks: int | None = None
    """Use only the first so many tracks of the train split ([H24]: 1,200; teachers 200)."""
    num_validation_tracks: int | None = None
    """Use only the first so many tracks of the validation split."""
    num_test_tracks: int | None = None
    """Use only the first so many tracks of the test split."""
    max_reject_fraction: float = 0.01
    """Fail when more than this share of the tracks cannot be read."""
    exclude_known_faults: bool = True
    """Leave out the stems of Slakh2100 that are known to be noise or to miss notes."""

    def __post_init__(self) -> None:
        check_name("corpus.name", self.name)
        check(
            0 <= self.max_reject_fraction <= 1,
            f"corpus.max_reject_fraction={self.max_reject_fraction} must be between 0 and 1",
        )
        for split in SPLITS:
            count = self.num_tracks(split)
            check(
                count is None or count > 0,
                f"corpus.num_{split}_tracks={count} must be positive, or none for all",
            )

    def num_tracks(self, split: str) -> int | None:
        """How many tracks of `split` to use; none: all."""
        limits: dict[str, int | None] = {
            "train": self.num_train_tracks,
            "validation": self.num_validation_tracks,
            "test": self.num_test_tracks,
        }
        return limits.get(split)


@dataclass(frozen=True, kw_only=True, slots=True)
class AudioConfig(Strict):
    """How audio is decoded, aligned and called silent."""

    sample_rate_hz: int = 44_100
    """Rate of the prepared parts; sources of another rate are resampled [LAB]."""
    segment_s: float = 3.0
    """Length of a training segment ([H22] 4.1, [H24] 4.1)."""
    level_hop_s: float = 0.25
    """Grid on which levels are measured and windows start; must divide `segment_s`."""
    silence_db: float = -40.0
    """A segment is silent below this mean power (dB of full scale; [H24]'s author: 1e-4)."""
    flat_db: float = -90.0
    """A segment is silent also when one quarter of it lies below this power [LAB]."""
    onset_source: Literal["audio", "midi"] = "audio"
    """Where a piece begins: at its first sound, or at its first note in the MIDI."""
    onset_db: float = -40.0
    """First sound: the first sample of the mix within so many dB of its peak."""
    max_track_s: float = 900.0
    """Longer tracks are read up to here, which bounds the memory a worker needs."""
    max_length_difference_s: float = 1.0
    """Stems of a track may differ by so much (padded, with a warning), not by more."""
    separator: Literal["none", "oracle", "hpss", "demucs"] = "none"
    """Hear parts as they are, or as something separates them from the mix ([H22], [H24])."""
    bleed_db: float = -20.0
    """`oracle`: how loud all else comes through in a part, against the part itself."""
    demucs_weights: str = ""
    """`demucs`: a network's safetensors file, at one path on every node."""

    def __post_init__(self) -> None:
        check(
            self.sample_rate_hz >= 8_000,
            f"audio.sample_rate_hz={self.sample_rate_hz} must be at least 8000",
        )
        check(self.segment_s > 0, f"audio.segment_s={self.segment_s} must be positive")
        check_range("audio.max_track_s", self.max_track_s, self.segment_s)
        check_range("audio.max_length_difference_s", self.max_length_difference_s, 0)
        check(
            bool(self.demucs_weights) == (self.separator == "demucs"),
            f"audio.demucs_weights={self.demucs_weights!r} with audio.separator={self.separator}: "
            "demucs needs a file of weights, and nothing else does; download the .safetensors "
            "file of a model's repository on the Hugging Face hub, of adefossez/HTDemucs-6s say",
        )
        for name in ("silence_db", "flat_db", "onset_db", "bleed_db"):
            check_range(f"audio.{name}", getattr(self, name), -200, 0)
        frames = self.segment_s / self.level_hop_s if self.level_hop_s > 0 else 0.5
        check(
            abs(frames - round(frames)) < 1e-9 and round(frames) % 4 == 0,
            f"audio.level_hop_s={self.level_hop_s} must divide a quarter of "
            f"audio.segment_s={self.segment_s}",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class TripletConfig(Strict):
    """Which triplets are drawn."""

    num_triplets: int = 20_000
    """Triplets of an epoch, interchanged ones counted ([H24] 4.1)."""
    interchanged: bool = True
    """Use each three mixes a second time, swapped, under another condition ([H24] 3.1.2)."""
    num_plans: int = 1
    """Different plans that epochs cycle through; the papers train on one."""
    hop_s: float = 1.5
    """Grid of window starts: 50 % overlap of 3 s ([H22] 4.1); a multiple of audio.level_hop_s."""
    max_segments_per_track: int | None = 40
    """Windows are drawn from a track's first so many non-silent segments ([H22] 4.1)."""
    min_gap_s: float = 3.0
    """Silence in time between two windows of one part that count as alike; ours never overlap."""
    tempo_group_bpm: float = 2.0
    """Width of a tempo group; only tracks of one group meet."""
    min_group_tracks: int = 4
    """Smaller groups join their nearest neighbour, or are left out."""
    max_merge_bpm: float = 2.0
    """How far apart a small group and the one it joins may be."""
    min_tempo_stability: float = 0.9
    """Tracks whose tempo holds for a smaller share of their length meet no others."""
    track_share: float = 0.0
    """Share of the triplets of concepts that are of one track and another instead, under all
    conditions together (Lee et al. 2020: track regularisation)."""
    list_uri: str = ""
    """Text file of triplets in the form of [LAB], to train on these instead of drawing any; its
    segments are hop_s apart, and num_triplets must be theirs."""

    def __post_init__(self) -> None:
        check(
            self.num_triplets >= 1, f"triplets.num_triplets={self.num_triplets} must be positive"
        )
        check(self.num_plans >= 1, f"triplets.num_plans={self.num_plans} must be positive")
        check_range("triplets.min_gap_s", self.min_gap_s, 0)
        check_range("triplets.max_merge_bpm", self.max_merge_bpm, 0)
        check_range("triplets.min_tempo_stability", self.min_tempo_stability, 0, 1)
        check_range("triplets.track_share", self.track_share, 0, 1)
        if self.max_segments_per_track is not None:
            check_range("triplets.max_segments_per_track", self.max_segments_per_track, 1)
        check(
            self.tempo_group_bpm > 0,
            f"triplets.tempo_group_bpm={self.tempo_group_bpm} must be positive",
        )
        check(
            self.min_group_tracks >= 4,
            f"triplets.min_group_tracks={self.min_group_tracks}: a triplet needs four tracks",
        )

    @property
    def num_rows(self) -> int:
        """Plan rows of one epoch: a row is three mixes, which serve one or two triplets."""
        return -(-self.num_triplets // 2) if self.interchanged else self.num_triplets


@dataclass(frozen=True, kw_only=True, slots=True)
class MixingConfig(Strict):
    """Which free mixes are drawn, for the contrastive loss; `triplets` has windows and groups."""

    num_mixes: int = 20_480
    """Mixes of an epoch."""
    tempo: Literal["group", "any"] = "group"
    """A batch draws on tracks of one tempo group, or of any."""
    batch_windows: tuple[int, ...] = (0,)
    """Batches take turns by these numbers: so many windows have all mixes of a batch between them,
    so that a part is heard again at the same time before other backgrounds; 0: each mix has a
    window of its own."""
    subsets: Literal["mix_and_parts", "random_subsets"] = "mix_and_parts"
    """What a pre-training mix holds: all parts of a track or one alone ([H24]), or any of them."""

    def __post_init__(self) -> None:
        check(self.num_mixes >= 2, f"mixing.num_mixes={self.num_mixes} must be 2 or more")
        check(
            bool(self.batch_windows) and min(self.batch_windows) >= 0,
            f"mixing.batch_windows={self.batch_windows} must be one or more numbers from 0 on",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class SimilarityConfig(Strict):
    """When two recordings are alike under a concept ([R22] 3.3)."""

    min_tag_strength: float = 50.0
    """Tags count from above this strength (of 100)."""
    tempo_within_bpm: float = 5.0
    """Tempi this near each other, or near an octave of each other, are alike."""
    relative_keys: bool = False
    """Relative keys (C major, A minor) are alike too; parallel ones (C major, C minor) always."""

    def __post_init__(self) -> None:
        check_range("similarity.min_tag_strength", self.min_tag_strength, 0, 100)
        check_range("similarity.tempo_within_bpm", self.tempo_within_bpm, 0)
