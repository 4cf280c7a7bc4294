"""One experiment, whole, and its form as JSON."""

import math
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import cache
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from csn.config.checks import Strict, check, check_name, check_range
from csn.config.data import (
    AudioConfig,
    CorpusConfig,
    MixingConfig,
    SimilarityConfig,
    TripletConfig,
)
from csn.config.learning import (
    FrontendConfig,
    LossConfig,
    NetworkConfig,
    OptimizerConfig,
    StartConfig,
    TrainingConfig,
)
from csn.config.running import EvaluationConfig, WorkerConfig
from csn.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class ExperimentConfig(Strict):
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
    mixing: MixingConfig = field(default_factory=MixingConfig)
    similarity: SimilarityConfig = field(default_factory=SimilarityConfig)
    frontend: FrontendConfig = field(default_factory=FrontendConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    start: StartConfig = field(default_factory=StartConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    workers: WorkerConfig = field(default_factory=WorkerConfig)

    def __post_init__(self) -> None:
        check_name("name", self.name)
        check_range("seed", self.seed, 0)
        check_range("corpus.generated.seed", self.corpus.generated.seed, 0)
        _check_finite(self)
        durations_s = {f"evaluation.durations_s={d}": d for d in self.evaluation.durations_s}
        validation_s = self.training.validation_duration_s
        durations_s[f"training.validation_duration_s={validation_s}"] = validation_s
        for named, duration_s in durations_s.items():
            frames = duration_s / self.audio.level_hop_s
            check(
                frames > 3.5 and abs(frames - round(frames)) < 1e-9,
                f"{named} must be 4 or more times audio.level_hop_s={self.audio.level_hop_s}, "
                "and a multiple of it",
            )
        check(bool(self.root), "root must be a folder or an s3:// URI, not empty")
        hops = self.triplets.hop_s / self.audio.level_hop_s
        check(
            hops >= 1 and abs(hops - round(hops)) < 1e-9,
            f"triplets.hop_s={self.triplets.hop_s} must be a multiple of "
            f"audio.level_hop_s={self.audio.level_hop_s}",
        )
        self._check_learning()
        if self.loss.kind == "contrastive":
            check(
                4 <= self.training.batch_size <= self.mixing.num_mixes,
                f"training.batch_size={self.training.batch_size} must be between 4, which leaves "
                "two tracks two mixes each, and mixing.num_mixes="
                f"{self.mixing.num_mixes}, the mixes of an epoch",
            )
            most = max(self.mixing.batch_windows)
            check(
                4 * most <= self.training.batch_size,
                f"mixing.batch_windows={self.mixing.batch_windows} leaves a window fewer than 4 "
                f"mixes of the training.batch_size={self.training.batch_size}; lower it",
            )
        check(
            self.num_rows >= self.training.batch_size,
            f"training.batch_size={self.training.batch_size} is larger than the "
            f"{self.num_rows} plan rows of an epoch",
        )
        check(
            self.training.batch_size % self.workers.num_train_workers == 0,
            f"training.batch_size={self.training.batch_size} must be a multiple of "
            f"workers.num_train_workers={self.workers.num_train_workers}",
        )
        for ranks in range(self.workers.least_train_workers, self.workers.num_train_workers):
            check(
                self.training.batch_size % ranks == 0,
                f"training.batch_size={self.training.batch_size} cannot be dealt to {ranks} ranks "
                f"alike, which workers.min_train_workers={self.workers.min_train_workers} allows; "
                "choose a multiple of every number of ranks",
            )
        check(
            self.frontend.window <= self.audio.segment_s * self.audio.sample_rate_hz,
            f"frontend.window={self.frontend.window} is longer than a segment",
        )

    def _check_learning(self) -> None:
        loss, network = self.loss, self.network
        check(
            len(self.frontend.branches) == 1 or network.encoder == "inception",
            f"network.encoder={network.encoder} takes one branch, frontend.branches names "
            f"{', '.join(self.frontend.branches)}; name one, or set network.encoder to inception",
        )
        lengths = loss.presence_weight > 0 or loss.target_weight > 0 or loss.kind == "target"
        check(
            not (network.unit_subspaces and lengths),
            "network.unit_subspaces makes every subspace 1 long, targets and the presence loss "
            "ask for other lengths; set it to False, or loss.presence_weight and "
            "loss.target_weight to 0",
        )
        check(
            not self.start.teachers_uri
            or self.start.pretraining != "none"
            or loss.target_weight > 0
            or loss.kind == "target",
            f"start.teachers_uri={self.start.teachers_uri}: nothing here learns from teachers; "
            "leave it out, or set start.pretraining or loss.target_weight",
        )
        check(
            not network.individual
            or (loss.kind == "triplet" and loss.target_weight == loss.presence_weight == 0),
            f"network.individual learns from triplets of single parts alone, not with loss.kind="
            f"{loss.kind}, loss.target_weight={loss.target_weight} and loss.presence_weight="
            f"{loss.presence_weight}; set them to triplet, 0 and 0",
        )
        check(
            not self.triplets.list_uri or self.plan_kind == "triplets",
            f"triplets.list_uri={self.triplets.list_uri} is for one network and loss.kind=triplet "
            f"on instruments; with network.individual={network.individual}, loss.kind={loss.kind} "
            f"and network.conditions={' '.join(network.conditions)} leave it out",
        )
        self._check_layout()

    def _check_layout(self) -> None:
        loss, concepts = self.loss, self.network.of_concepts
        of = f"network.conditions={' '.join(self.network.conditions)}"
        needed = "msd" if concepts else "slakh"
        check(
            self.corpus.layout == needed,
            f"corpus.layout={self.corpus.layout} with {of}: expected {needed}; instruments are "
            "learnt from stems, concepts from tags, tempo and key",
        )
        check(
            not concepts
            or (
                loss.kind == "triplet"
                and loss.target_weight == loss.presence_weight == 0
                and self.start.pretraining == "none"
                and self.audio.separator == "none"
            ),
            f"{of}: concepts have no parts to mix, pre-train on, or separate; set loss.kind to "
            "triplet, loss.target_weight and loss.presence_weight to 0, start.pretraining and "
            "audio.separator to none",
        )
        check(
            concepts or self.triplets.track_share == 0,
            f"triplets.track_share={self.triplets.track_share} is for concepts, not for {of}; set "
            "it to 0",
        )
        check(
            concepts or (loss.mining == "none" and self.optimizer.plateau_patience is None),
            f"loss.mining={loss.mining} and optimizer.plateau_patience="
            f"{self.optimizer.plateau_patience} are for concepts, not for {of}; set both to none",
        )

    @property
    def plan_kind(
        self,
    ) -> Literal["triplets", "track_triplets", "concept_triplets", "free_mixes", "subsets"]:
        """What the rows of the plan are."""
        if self.network.of_concepts:
            return "concept_triplets"
        if self.network.individual:
            return "track_triplets"
        kinds: dict[str, Literal["triplets", "free_mixes", "subsets"]] = {
            "triplet": "triplets",
            "contrastive": "free_mixes",
            "target": "subsets",
        }
        return kinds[self.loss.kind]

    @property
    def num_rows(self) -> int:
        """Plan rows of one epoch: triplet rows, or whole batches of mixes."""
        if self.plan_kind == "triplets":
            return self.triplets.num_rows
        if self.plan_kind in ("track_triplets", "concept_triplets"):
            return self.triplets.num_triplets
        return self.mixing.num_mixes // self.training.batch_size * self.training.batch_size

    @property
    def evaluated(self) -> "ExperimentConfig":
        """The same, as the evaluated split is heard: through the separator of the evaluation."""
        separator = self.evaluation.separator
        if separator in ("same", self.audio.separator):
            return self
        audio = replace(self.audio, separator=separator, demucs_weights="")
        return replace(self, audio=audio)

    @property
    def min_start_gap_s(self) -> float:
        """Between the starts of two windows that count as alike: a window, and the gap after."""
        return self.audio.segment_s + self.triplets.min_gap_s


def _check_finite(config: ExperimentConfig) -> None:
    """Refuse inf and nan anywhere: JSON has no form for them."""
    for part in fields(config):
        value = getattr(config, part.name)
        for inner in fields(value) if is_dataclass(value) else ():
            number = getattr(value, inner.name)
            if isinstance(number, float):
                named = f"{part.name}.{inner.name}"
                check(math.isfinite(number), f"{named}={number} must be a number, not inf or nan")


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
