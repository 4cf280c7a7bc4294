"""Knobs of the scoring, and of what the cluster gives to each stage."""

from dataclasses import dataclass
from typing import Literal

from csn.config.checks import Strict, check, check_range


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationConfig(Strict):
    """P1 and P2 of [H24] 4.2; of concepts, triplets of tracks ([R22] 4)."""

    split: Literal["train", "validation", "test"] = "test"
    """Split that is embedded and scored."""
    checkpoint_uri: str = ""
    """Folder of the network to embed with; empty: the experiment's best."""
    separator: Literal["same", "none", "oracle", "hpss"] = "same"
    """Whose sounds the parts of the evaluated split are; same: as audio.separator says."""
    k: int = 5
    """Neighbours that vote."""
    durations_s: tuple[float, ...] = (3.0, 10.0)
    """Segment lengths, each without overlap; of concepts the first alone is scored."""
    num_focus_tracks: int = 10
    """P2: tracks whose part is asked for, for each instrument."""
    num_versions: int = 4
    """P2: mixes of each such track; the original is one of them [LAB]."""
    min_sounding_share: float = 0.1
    """Tracks that keep a smaller share of their segments without silence are left out."""
    pseudo_mixes_uri: str = ""
    """Text file of pseudo-mixes in the form of [LAB], to ask P2 of these instead of drawing any;
    of one length, durations_s, and as far apart."""
    num_resamples: int = 1000
    """Resamples of the track ids for the 95 % interval."""
    triplets_uri: str = ""
    """Concepts: CSV or JSON file of human triplets in the form of Dim-sim; empty:
    dim-sim/clean-dim-sim.csv in the corpus."""
    min_agreement: float = 0.9
    """Human triplets count where at least this share of the votes agrees ([R22] 4.1)."""
    min_votes: int = 1
    """Human triplets with fewer votes are left out."""
    num_concept_triplets: int = 1_000
    """Triplets of each concept, drawn from the evaluated split by the rules of training."""
    baselines: tuple[Literal["untrained", "mean_mel", "librosa_features"], ...] = (
        "untrained",
        "mean_mel",
    )
    """Systems scored beside ours, on the same mixes."""

    def __post_init__(self) -> None:
        check(self.k >= 1, f"evaluation.k={self.k} must be positive")
        check(
            self.num_versions >= 2,
            f"evaluation.num_versions={self.num_versions}: P2 needs another version to find",
        )
        check(
            bool(self.durations_s) and len(set(self.durations_s)) == len(self.durations_s),
            f"evaluation.durations_s={self.durations_s} must be one or more different lengths",
        )
        check(
            not self.pseudo_mixes_uri or len(self.durations_s) == 1,
            f"evaluation.pseudo_mixes_uri={self.pseudo_mixes_uri}: a list's segments have one "
            f"length, evaluation.durations_s={self.durations_s} has {len(self.durations_s)}; give "
            "the list's alone",
        )
        check_range("evaluation.num_focus_tracks", self.num_focus_tracks, 2)
        check_range("evaluation.min_agreement", self.min_agreement, 0, 1)
        check_range("evaluation.min_votes", self.min_votes, 0)
        check_range("evaluation.num_concept_triplets", self.num_concept_triplets, 2)
        check_range("evaluation.num_resamples", self.num_resamples, 1)
        check_range("evaluation.min_sounding_share", self.min_sounding_share, 0, 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerConfig(Strict):
    """What the cluster gives to each stage."""

    num_train_workers: int = 1
    """Ranks of distributed data-parallel training."""
    min_train_workers: int | None = None
    """As few ranks a training goes on with while nodes are missing; none: with all of them."""
    use_gpu: bool = False
    """Give a GPU to each train and embed worker."""
    gpus_per_worker: float = 1.0
    """GPUs that such a worker reserves; below 1, several trainings share one."""
    cpus_per_train_worker: float = 1.0
    """CPUs that a train worker reserves; what is left of the cluster reads and renders."""
    threads_per_train_worker: int | None = None
    """Torch threads of a train worker; none: as many as the CPUs it reserves."""
    placement: Literal["workers", "device"] = "workers"
    """Render by tasks beside the training, or where it runs: a GPU takes all parts' memory."""
    num_embed_workers: int | None = None
    """Actors that embed; none: one a GPU, or one a free CPU."""
    max_failures: int = 2
    """How often training goes on after a worker died."""
    wait_for_nodes_s: float = 0.0
    """How long to wait for nodes that are missing: on a cluster that starts them when asked."""

    def __post_init__(self) -> None:
        check(
            self.num_train_workers >= 1,
            f"workers.num_train_workers={self.num_train_workers} must be positive",
        )
        check(
            self.cpus_per_train_worker > 0,
            f"workers.cpus_per_train_worker={self.cpus_per_train_worker} must be positive",
        )
        check(
            self.gpus_per_worker > 0 and (self.gpus_per_worker <= 1 or self._whole_gpus()),
            f"workers.gpus_per_worker={self.gpus_per_worker} must be 1, 2, ... or a share of one",
        )
        check(
            self.num_train_workers == 1 or self._whole_gpus(),
            f"workers.num_train_workers={self.num_train_workers} with workers.gpus_per_worker="
            f"{self.gpus_per_worker}: the ranks of one training cannot share a GPU; give each 1",
        )
        check(
            self.min_train_workers is None
            or 1 <= self.min_train_workers <= self.num_train_workers,
            f"workers.min_train_workers={self.min_train_workers} must be between 1 and "
            f"workers.num_train_workers={self.num_train_workers}",
        )
        check_range("workers.max_failures", self.max_failures, 0)
        check_range("workers.wait_for_nodes_s", self.wait_for_nodes_s, 0)
        for name in ("threads_per_train_worker", "num_embed_workers"):
            if getattr(self, name) is not None:
                check_range(f"workers.{name}", getattr(self, name), 1)

    @property
    def least_train_workers(self) -> int:
        """Ranks without which no training starts."""
        return self.min_train_workers or self.num_train_workers

    def _whole_gpus(self) -> bool:
        return self.gpus_per_worker == int(self.gpus_per_worker)

    def num_gpus(self) -> float:
        """GPUs that one training reserves."""
        return self.num_train_workers * self.gpus_per_worker if self.use_gpu else 0
