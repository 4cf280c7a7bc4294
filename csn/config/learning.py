"""Knobs of the learning: front end, network, loss, optimizer, epochs."""

from dataclasses import dataclass
from typing import Literal, get_args

from csn.conditions import CONCEPTS, INSTRUMENTS, MIX, SubspaceLayout
from csn.config.checks import Strict, check, check_range

Branch = Literal["mel", "tempogram", "cens"]


@dataclass(frozen=True, kw_only=True, slots=True)
class FrontendConfig(Strict):
    """From waveform to log-mel spectrogram [LAB], tempogram and CENS [R22]."""

    branches: tuple[Branch, ...] = ("mel",)
    """Maps that the network is given; more than one for ``inception`` alone ([R22]: all three)."""
    window: int = 2048
    """STFT window, in samples ([H22] 4.1; [R22]: 512, at 22.05 kHz)."""
    hop: int = 512
    """STFT hop, in samples ([H22] 4.1; [R22]: 256)."""
    num_mels: int = 259
    """Slaney mel bands; 259 make 3 s at 44.1 kHz a square ([R22]: 128)."""
    compression: Literal["db", "log1p10"] = "db"
    """Of a mel magnitude S: 20 log10 S, or log10(1 + 10 S) ([R22] 3.1)."""
    floor: float = 1e-5
    """Magnitudes are clamped here before 20 log10."""
    standardise: bool = False
    """Subtract each example's mean from its mel map and divide by its deviation ([R22] 3.1)."""

    def __post_init__(self) -> None:
        known = get_args(Branch)
        unknown = [str(branch) for branch in self.branches if branch not in known]
        check(
            not unknown,
            f"frontend.branches names {', '.join(unknown)}; there are {', '.join(known)}",
        )
        check(
            0 < len(self.branches) == len(set(self.branches)),
            f"frontend.branches={self.branches} must be one or more different ones of "
            f"{', '.join(known)}",
        )
        check(
            0 < self.hop <= self.window,
            f"frontend.hop={self.hop} must be positive and at most frontend.window={self.window}",
        )
        check(self.num_mels >= 8, f"frontend.num_mels={self.num_mels} must be at least 8")
        check(self.floor > 0, f"frontend.floor={self.floor} must be positive")


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkConfig(Strict):
    """The conditional similarity network."""

    encoder: Literal["unet", "strided", "inception"] = "unet"
    """``unet``: encoder half of a U-Net ([H24] Fig. 4); ``strided``: 5x5 convolutions [LAB];
    ``inception``: Inception blocks, the one for several branches ([R22])."""
    channels: tuple[int, ...] = (32, 64, 128, 256, 512)
    """Channels of the encoder's blocks (the strided one's: 16 32 64 128 256 640) [LAB]. Of
    ``inception``: its first convolution, two blocks of each branch, and the blocks after these,
    which come in fours ([R22] has six blocks; 64 64 128 128 256 256 512)."""
    time_layers: int | None = None
    """``strided``: layers that halve the steps in time; those after them halve bands alone. None:
    all do [LAB]. Other encoders do not look at it."""
    pooling: Literal["mean", "mean_std"] = "mean"
    """Over time: the papers' mean, or mean and standard deviation together. ``inception`` has a
    dense layer of all steps in its place, and takes only ``mean`` here."""
    unit_subspaces: bool = False
    """Give each subspace's vector length 1, so that Euclid ranks as cosine; the papers do not."""
    conditions: tuple[str, ...] = INSTRUMENTS
    """What the subspaces stand for, in order."""
    subspace_dim: int = 128
    """Dimensions of one subspace ([H24] 4.1)."""
    individual: bool = False
    """A network for each condition, which hears that part alone ([H22]; [H24]'s teachers)."""

    def __post_init__(self) -> None:
        check(
            len(self.channels) >= 2 and min(self.channels) > 0,
            f"network.channels={self.channels} must be two or more positive numbers",
        )
        if self.time_layers is not None:
            check_range("network.time_layers", self.time_layers, 0)
        if self.encoder == "inception":
            check(
                len(self.channels) >= 4 and all(c % 4 == 0 for c in self.channels[1:]),
                f"network.channels={self.channels} of inception must be four or more: its first "
                "convolution, two blocks of each branch, and the blocks after these; every block "
                "has four paths, so theirs must be multiples of 4",
            )
            check(
                self.pooling == "mean",
                f"network.pooling={self.pooling} is for unet and strided; inception has a dense "
                "layer in its place; set it to mean",
            )
        known = (*INSTRUMENTS, MIX) if self.individual else (*INSTRUMENTS, *CONCEPTS)
        unknown = [name for name in self.conditions if name not in known]
        check(
            not unknown,
            f"network.conditions names {', '.join(unknown)}; there are {', '.join(known)}"
            f"{'' if self.individual else f' (and {MIX}, with network.individual)'}",
        )
        concepts = [name for name in self.conditions if name in CONCEPTS]
        check(
            len(concepts) in (0, len(self.conditions)),
            f"network.conditions names {', '.join(concepts)} beside instruments; expected "
            f"instruments ({', '.join(INSTRUMENTS)}) or concepts ({', '.join(CONCEPTS)}) alone",
        )
        self.layout  # noqa: B018  the layout makes its own checks

    @property
    def of_concepts(self) -> bool:
        """Whether the conditions are concepts ([R22]), and not instruments."""
        return self.conditions[0] in CONCEPTS

    @property
    def layout(self) -> SubspaceLayout:
        """Conditions and the dimensions that each owns."""
        return SubspaceLayout(self.conditions, self.subspace_dim)


@dataclass(frozen=True, kw_only=True, slots=True)
class LossConfig(Strict):
    """The training loss, which also says what is planned: triplets, free mixes, or subsets."""

    kind: Literal["triplet", "contrastive", "target"] = "triplet"
    """``triplet``: the papers'; ``contrastive``: ours, all subspaces of free mixes at once;
    ``target``: pre-training on what the teachers make of the parts."""
    margin: float = 0.2
    """Smallest wanted gap between negative and positive distance ([H22] 4.1, [H24] 4.1.4)."""
    distance: Literal["euclid", "cosine"] = "euclid"
    """Distance of the triplets, and of neighbours where the network is scored: [H24]'s, or
    [H22]'s. ``contrastive`` learns directions alone: without `network.unit_subspaces`, cosine."""
    temperature: float = 0.1
    """Cosine similarities are divided by it; contrastive only."""
    target_weight: float = 0.0
    """Lambda of [H24] Eq. 6, which the paper has at 0.1: how much the targets count of anchors, or
    of free mixes."""
    presence_weight: float = 0.0
    """How much it counts that a subspace's length says whether its part sounds ([LAB]: 0.5)."""
    presence_norm: float = 0.2
    """A subspace of this length says as much for its part as against it."""
    mining: Literal["none", "semi_hard"] = "none"
    """Negatives of concept triplets: those planned, or semi-hard ones found in the batch for every
    pair that is alike ([R22] 3)."""
    mine_across_ranks: bool = False
    """Look for them in the whole batch, and not in each rank's own share alone."""

    def __post_init__(self) -> None:
        check(self.margin > 0, f"loss.margin={self.margin} must be positive")
        check(self.temperature > 0, f"loss.temperature={self.temperature} must be positive")
        check(self.presence_norm > 0, f"loss.presence_norm={self.presence_norm} must be positive")
        check_range("loss.target_weight", self.target_weight, 0)
        check_range("loss.presence_weight", self.presence_weight, 0)
        check(
            self.mining == "none" or (self.kind == "triplet" and self.distance == "cosine"),
            f"loss.mining={self.mining} is for triplets by cosine distance, not for loss.kind="
            f"{self.kind} and loss.distance={self.distance}; set them to triplet and cosine, or "
            "loss.mining to none",
        )
        check(
            not self.mine_across_ranks or self.mining != "none",
            "loss.mine_across_ranks=True has nothing to do with loss.mining=none; set it to "
            "semi_hard, or leave the other out",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimizerConfig(Strict):
    """How weights are stepped."""

    kind: Literal["adam", "muon"] = "adam"
    """``adam``: without weight decay [LAB]; ``muon``: for matrices and convolutions, and Adam for
    all other weights."""
    learning_rate: float = 1e-4
    """Step size of Adam ([LAB]: 1e-4 or 5e-5 for triplets)."""
    muon_learning_rate: float = 0.02
    """Step size of Muon."""
    decay_fraction: float = 0.0
    """The last share of the steps, over which the step size falls."""
    final_ratio: float = 0.02
    """What the step size has fallen to at the end, as a share of `learning_rate`."""
    plateau_patience: int | None = None
    """Multiply the step size by `plateau_factor` after so many validations without a lower loss
    ([R22]: 10); none: never."""
    plateau_factor: float = 0.2
    """([R22]: 1/5)."""
    plateau_floor: float = 1e-10
    """No step size below this one ([R22])."""

    def __post_init__(self) -> None:
        check(
            self.learning_rate > 0,
            f"optimizer.learning_rate={self.learning_rate} must be positive",
        )
        check(
            self.muon_learning_rate > 0,
            f"optimizer.muon_learning_rate={self.muon_learning_rate} must be positive",
        )
        check(
            0 <= self.decay_fraction <= 1,
            f"optimizer.decay_fraction={self.decay_fraction} must be between 0 and 1",
        )
        check_range("optimizer.final_ratio", self.final_ratio, 0, 1)
        check(
            0 < self.plateau_factor < 1,
            f"optimizer.plateau_factor={self.plateau_factor} must lie between 0 and 1, or the "
            "step size would not fall",
        )
        check_range("optimizer.plateau_floor", self.plateau_floor, 0)
        if self.plateau_patience is not None:
            check_range("optimizer.plateau_patience", self.plateau_patience, 0)
            check(
                self.decay_fraction == 0,
                f"optimizer.plateau_patience={self.plateau_patience} and optimizer.decay_fraction="
                f"{self.decay_fraction} exclude each other; set the one to none or the other to 0",
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingConfig(Strict):
    """How long to train, and when to stop."""

    num_epochs: int = 400
    """Passes over a plan ([H24] 4.1)."""
    batch_size: int = 64
    """Triplet rows, or free mixes, of one step, over all workers together ([H24] 4.1)."""
    patience: int | None = 40
    """Stop after so many validations without a better P2; none: never."""
    validate_every: int = 1
    """Validate after every so many epochs, and after the last."""
    validation_segments: int = 8
    """At most so many segments of each mix are embedded in a validation."""
    validation_duration_s: float = 3.0
    """Length of the segments of validation."""
    bf16: bool = True
    """Run the encoder in bfloat16 where the device is a GPU."""

    def __post_init__(self) -> None:
        for name in ("num_epochs", "batch_size", "validate_every", "validation_segments"):
            check(
                getattr(self, name) >= 1, f"training.{name}={getattr(self, name)} must be positive"
            )
        check(
            self.patience is None or self.patience >= 1,
            f"training.patience={self.patience} must be positive, or none",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class StartConfig(Strict):
    """What a training starts from: new weights, pre-training on teachers, or a checkpoint."""

    initial_checkpoint_uri: str = ""
    """Folder of the network to go on from; empty: new weights, or what pre-training made."""
    teachers_uri: str = ""
    """Folder of trained individual networks; empty: they are trained where they are needed."""
    num_tracks: int | None = 200
    """Teachers and pre-training use the first so many train tracks ([H24] 4.1)."""
    teacher_epochs: int = 150
    """Passes of the teachers over their triplets ([H22] 4.1)."""
    teacher_triplets: int = 20_000
    """Triplets of an epoch, over all teachers together."""
    teacher_batch_size: int = 320
    """Triplets of a step, over all teachers together: 64 each ([H22] 4.1)."""
    pretraining: Literal["none", "mix_and_parts", "random_subsets"] = "none"
    """On what the network learns the teachers' targets first: mixes and single parts ([H24]), or
    random subsets of the parts of a mix [LAB]."""
    pretraining_epochs: int = 100
    """Passes over the mixes of pre-training."""
    pretraining_mixes: int = 20_480
    """Mixes of an epoch of pre-training."""
    learning_rate: float = 1e-3
    """Step size of the teachers and of pre-training [LAB]."""

    def __post_init__(self) -> None:
        for name in (
            "teacher_epochs",
            "teacher_triplets",
            "teacher_batch_size",
            "pretraining_epochs",
            "pretraining_mixes",
        ):
            check_range(f"start.{name}", getattr(self, name), 1)
        check(self.learning_rate > 0, f"start.learning_rate={self.learning_rate} must be positive")
        check(
            self.num_tracks is None or self.num_tracks >= 2,
            f"start.num_tracks={self.num_tracks} must be 2 or more, or none for all",
        )
        check(
            not (self.initial_checkpoint_uri and self.pretraining != "none"),
            f"start.initial_checkpoint_uri={self.initial_checkpoint_uri} and start.pretraining="
            f"{self.pretraining} exclude each other; leave one out",
        )
