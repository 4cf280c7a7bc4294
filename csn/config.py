"""Every knob of an experiment, on one page; the defaults are the papers'.

Conventions
-----------
Frozen dataclasses whose fields' docstrings are the ``--help`` texts. ``__post_init__`` checks and
never changes. Values that a paper leaves open and a
follow-up's public code fills in are marked [LAB].
"""

from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

from csn.conditions import INSTRUMENTS, SubspaceLayout
from csn.errors import ConfigError
from csn.records import SPLITS


def _check(holds: bool, message: str) -> None:
    if not holds:
        raise ConfigError(message)


class _Strict:
    """Makes pydantic refuse unknown keys; a dataclass can only be told through its class."""

    __slots__ = ()
    __pydantic_config__ = ConfigDict(extra="forbid")


@dataclass(frozen=True, kw_only=True, slots=True)
class GeneratedConfig(_Strict):
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
            _check(count >= 0, f"corpus.generated.num_{split}_tracks={count} must not be negative")
        _check(
            self.sample_rate_hz >= 8_000,
            f"corpus.generated.sample_rate_hz={self.sample_rate_hz} must be at least 8000",
        )
        _check(
            self.duration_s >= 5,
            f"corpus.generated.duration_s={self.duration_s} must be at least 5",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class CorpusConfig(_Strict):
    """Which tracks there are and where they lie."""

    name: str = "slakh2100-redux"
    """Name of the corpus; part of the folder names of all that is made from it."""
    uri: str = ""
    """Folder or s3:// URI of the corpus in Slakh's layout; empty: compose one under the root."""
    generated: GeneratedConfig = field(default_factory=GeneratedConfig)
    """Size of the composed corpus; not looked at when `uri` is given."""
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
        _check(
            bool(self.name) and "/" not in self.name,
            f"corpus.name={self.name!r} must be a name without '/'",
        )
        _check(
            0 <= self.max_reject_fraction <= 1,
            f"corpus.max_reject_fraction={self.max_reject_fraction} must be between 0 and 1",
        )
        for split in SPLITS:
            count = self.num_tracks(split)
            _check(
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
class AudioConfig(_Strict):
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
    onset_db: float = -40.0
    """The piece begins at its first sample above this level below the mix's peak."""
    max_track_s: float = 900.0
    """Longer tracks are read up to here, which bounds the memory a worker needs."""
    max_length_difference_s: float = 1.0
    """Stems of a track may differ by so much (padded, with a warning), not by more."""

    def __post_init__(self) -> None:
        _check(
            self.sample_rate_hz >= 8_000,
            f"audio.sample_rate_hz={self.sample_rate_hz} must be at least 8000",
        )
        _check(self.segment_s > 0, f"audio.segment_s={self.segment_s} must be positive")
        frames = self.segment_s / self.level_hop_s if self.level_hop_s > 0 else 0.5
        _check(
            abs(frames - round(frames)) < 1e-9 and round(frames) % 4 == 0,
            f"audio.level_hop_s={self.level_hop_s} must divide a quarter of "
            f"audio.segment_s={self.segment_s}",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class TripletConfig(_Strict):
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

    def __post_init__(self) -> None:
        _check(
            self.num_triplets >= 1, f"triplets.num_triplets={self.num_triplets} must be positive"
        )
        _check(self.num_plans >= 1, f"triplets.num_plans={self.num_plans} must be positive")
        _check(
            self.tempo_group_bpm > 0,
            f"triplets.tempo_group_bpm={self.tempo_group_bpm} must be positive",
        )
        _check(
            self.min_group_tracks >= 4,
            f"triplets.min_group_tracks={self.min_group_tracks}: a triplet needs four tracks",
        )

    @property
    def num_rows(self) -> int:
        """Plan rows of one epoch: a row is three mixes, which serve one or two triplets."""
        return -(-self.num_triplets // 2) if self.interchanged else self.num_triplets


@dataclass(frozen=True, kw_only=True, slots=True)
class FrontendConfig(_Strict):
    """From waveform to log-mel spectrogram [LAB]."""

    window: int = 2048
    """STFT window, in samples ([H22] 4.1)."""
    hop: int = 512
    """STFT hop, in samples ([H22] 4.1)."""
    num_mels: int = 259
    """Slaney mel bands; 259 make 3 s at 44.1 kHz a square."""
    floor: float = 1e-5
    """Magnitudes are clamped here before 20 log10."""
    standardise: bool = False
    """Subtract each example's mean and divide by its deviation."""

    def __post_init__(self) -> None:
        _check(
            0 < self.hop <= self.window,
            f"frontend.hop={self.hop} must be positive and at most frontend.window={self.window}",
        )
        _check(self.num_mels >= 8, f"frontend.num_mels={self.num_mels} must be at least 8")
        _check(self.floor > 0, f"frontend.floor={self.floor} must be positive")


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkConfig(_Strict):
    """The conditional similarity network."""

    encoder: Literal["unet", "strided"] = "unet"
    """``unet``: encoder half of a U-Net ([H24] Fig. 4); ``strided``: 5x5 convolutions [LAB]."""
    channels: tuple[int, ...] = (32, 64, 128, 256, 512)
    """Channels of the encoder's blocks (the strided one's: 16 32 64 128 256 640) [LAB]."""
    pooling: Literal["mean", "mean_std"] = "mean"
    """Over time: the papers' mean, or mean and standard deviation together."""
    conditions: tuple[str, ...] = INSTRUMENTS
    """What the subspaces stand for, in order."""
    subspace_dim: int = 128
    """Dimensions of one subspace ([H24] 4.1)."""

    def __post_init__(self) -> None:
        _check(
            len(self.channels) >= 2 and min(self.channels) > 0,
            f"network.channels={self.channels} must be two or more positive numbers",
        )
        unknown = [name for name in self.conditions if name not in INSTRUMENTS]
        _check(
            not unknown,
            f"network.conditions names {', '.join(unknown)}; there are {', '.join(INSTRUMENTS)}",
        )
        self.layout  # noqa: B018  the layout makes its own checks

    @property
    def layout(self) -> SubspaceLayout:
        """Conditions and the dimensions that each owns."""
        return SubspaceLayout(self.conditions, self.subspace_dim)


@dataclass(frozen=True, kw_only=True, slots=True)
class LossConfig(_Strict):
    """The training loss."""

    margin: float = 0.2
    """Smallest wanted gap between negative and positive distance ([H22] 4.1, [H24] 4.1.4)."""

    def __post_init__(self) -> None:
        _check(self.margin > 0, f"loss.margin={self.margin} must be positive")


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimizerConfig(_Strict):
    """Adam without weight decay [LAB]."""

    learning_rate: float = 1e-4
    """Step size ([LAB]: 1e-4 or 5e-5 for triplets)."""
    decay_fraction: float = 0.0
    """The last share of the steps, over which the step size falls."""
    final_ratio: float = 0.02
    """What the step size has fallen to at the end, as a share of `learning_rate`."""

    def __post_init__(self) -> None:
        _check(
            self.learning_rate > 0,
            f"optimizer.learning_rate={self.learning_rate} must be positive",
        )
        _check(
            0 <= self.decay_fraction <= 1,
            f"optimizer.decay_fraction={self.decay_fraction} must be between 0 and 1",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingConfig(_Strict):
    """How long to train, and when to stop."""

    num_epochs: int = 400
    """Passes over a plan ([H24] 4.1)."""
    batch_size: int = 64
    """Plan rows (three mixes each) of one step, over all workers together ([H24] 4.1)."""
    patience: int | None = 40
    """Stop after so many validations without a better P2; none: never."""
    validate_every: int = 1
    """Validate after every so many epochs, and after the last."""
    validation_segments: int = 8
    """At most so many segments of each mix are embedded in a validation."""
    validation_duration_s: float = 3.0
    """Length of the segments of validation; a whole number of seconds."""
    bf16: bool = True
    """Run the encoder in bfloat16 where the device is a GPU."""

    def __post_init__(self) -> None:
        for name in ("num_epochs", "batch_size", "validate_every", "validation_segments"):
            _check(
                getattr(self, name) >= 1, f"training.{name}={getattr(self, name)} must be positive"
            )
        _check(
            self.patience is None or self.patience >= 1,
            f"training.patience={self.patience} must be positive, or none",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationConfig(_Strict):
    """P1 and P2 of [H24] 4.2."""

    split: Literal["train", "validation", "test"] = "test"
    """Split that is embedded and scored."""
    checkpoint_uri: str = ""
    """Folder of the network to embed with; empty: the experiment's best."""
    k: int = 5
    """Neighbours that vote."""
    durations_s: tuple[float, ...] = (3.0, 10.0)
    """Segment lengths, each without overlap."""
    num_focus_tracks: int = 10
    """P2: tracks whose part is asked for, for each instrument."""
    num_versions: int = 4
    """P2: mixes of each such track; the original is one of them [LAB]."""
    min_sounding_share: float = 0.1
    """Tracks that keep a smaller share of their segments without silence are left out."""
    num_resamples: int = 1000
    """Resamples of the track ids for the 95 % interval."""
    baselines: tuple[Literal["untrained", "mean_mel"], ...] = ("untrained", "mean_mel")
    """Systems scored beside ours, on the same mixes."""

    def __post_init__(self) -> None:
        _check(self.k >= 1, f"evaluation.k={self.k} must be positive")
        _check(
            self.num_versions >= 2,
            f"evaluation.num_versions={self.num_versions}: P2 needs another version to find",
        )
        _check(bool(self.durations_s), "evaluation.durations_s must name at least one length")


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerConfig(_Strict):
    """What the cluster gives to each stage."""

    num_train_workers: int = 1
    """Ranks of distributed data-parallel training."""
    use_gpu: bool = False
    """Give a GPU to each train and embed worker."""
    cpus_per_train_worker: float = 1.0
    """CPUs that a train worker reserves; what is left of the cluster reads and renders."""
    threads_per_train_worker: int | None = None
    """Torch threads of a train worker; none: as many as the CPUs it reserves."""
    num_embed_workers: int | None = None
    """Actors that embed; none: one a GPU, or one a free CPU."""
    max_failures: int = 2
    """How often training goes on after a worker died."""

    def __post_init__(self) -> None:
        _check(
            self.num_train_workers >= 1,
            f"workers.num_train_workers={self.num_train_workers} must be positive",
        )
        _check(
            self.cpus_per_train_worker > 0,
            f"workers.cpus_per_train_worker={self.cpus_per_train_worker} must be positive",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ExperimentConfig(_Strict):
    """One experiment, whole."""

    name: str
    """Name of the experiment, and of its folder under the root."""
    root: str = "csn-data"
    """Folder or s3:// URI under which everything lands."""
    on_existing: Literal["error", "skip", "overwrite"] = "skip"
    """What to do where a finished result stands: refuse, keep it, or make it again."""
    seed: int = 0
    """Seed of all chance in planning, training and resampling."""
    corpus: CorpusConfig = field(default_factory=CorpusConfig)
    audio: AudioConfig = field(default_factory=AudioConfig)
    triplets: TripletConfig = field(default_factory=TripletConfig)
    frontend: FrontendConfig = field(default_factory=FrontendConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    workers: WorkerConfig = field(default_factory=WorkerConfig)

    def __post_init__(self) -> None:
        _check(
            bool(self.name) and "/" not in self.name,
            f"name={self.name!r} must be a name without '/'",
        )
        _check(bool(self.root), "root must be a folder or an s3:// URI, not empty")
        hops = self.triplets.hop_s / self.audio.level_hop_s
        _check(
            hops >= 1 and abs(hops - round(hops)) < 1e-9,
            f"triplets.hop_s={self.triplets.hop_s} must be a multiple of "
            f"audio.level_hop_s={self.audio.level_hop_s}",
        )
        _check(
            self.triplets.num_rows >= self.training.batch_size,
            f"training.batch_size={self.training.batch_size} is larger than the "
            f"{self.triplets.num_rows} plan rows of an epoch",
        )
        _check(
            self.training.batch_size % self.workers.num_train_workers == 0,
            f"training.batch_size={self.training.batch_size} must be a multiple of "
            f"workers.num_train_workers={self.workers.num_train_workers}",
        )
        _check(
            self.frontend.window <= self.audio.segment_s * self.audio.sample_rate_hz,
            f"frontend.window={self.frontend.window} is longer than a segment",
        )


@cache
def _adapter() -> Any:  # a TypeAdapter; beartype takes its name for no type
    return TypeAdapter(ExperimentConfig)


def to_json(config: ExperimentConfig) -> str:
    """`config` as JSON text; `from_json` gives an equal one back."""
    return _adapter().dump_json(config, indent=2).decode()


def from_json(text: str | bytes) -> ExperimentConfig:
    """Read what `to_json` wrote, strictly; ConfigError names every field that does not fit."""
    try:
        return _adapter().validate_json(text, strict=True)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc'])) or 'config'}: {fault['msg']}"
            for fault in error.errors(include_url=False)
        )
        raise ConfigError(
            f"not a configuration of this version: {faults}; was it written by another version?"
        ) from error
