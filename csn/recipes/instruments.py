"""Recipes whose conditions are instruments: [H22], [H24], [LAB] and ours, on stems.

Conventions
-----------
At the demo's size every recipe sees the same number of mixes, those of its teachers and its
pre-training included; so it does at the large size.
"""

from dataclasses import replace

from csn.conditions import INSTRUMENTS, MIX
from csn.config import (
    AudioConfig,
    CorpusConfig,
    EvaluationConfig,
    ExperimentConfig,
    FrontendConfig,
    GeneratedConfig,
    LossConfig,
    MixingConfig,
    NetworkConfig,
    OptimizerConfig,
    StartConfig,
    TrainingConfig,
    TripletConfig,
    WorkerConfig,
)

DEMO_EPOCHS = 60
"""Passes over `DEMO_MIXES`, all stages of a recipe together."""
DEMO_MIXES = 3_072
DEMO_TRACKS = 144
"""In the train split: composing one takes a third of a second."""
LARGE_EPOCHS = 12
"""As `DEMO_EPOCHS`, of `LARGE_MIXES`: as many mixes as the demo's."""
LARGE_MIXES = 15_360
LARGE_TRACKS = 300
FEW_TRACKS = 200
"""What [H24]'s ablations learn from, instead of 1,200."""


def hashizume2022() -> ExperimentConfig:
    """Train a network for each instrument, and one for the mix, on single parts ([H22] 3)."""
    return ExperimentConfig(
        name="hashizume2022",
        corpus=CorpusConfig(num_train_tracks=180, num_test_tracks=20),
        triplets=TripletConfig(interchanged=False),
        network=NetworkConfig(individual=True, conditions=(*INSTRUMENTS, MIX)),
        loss=LossConfig(distance="cosine"),
        training=TrainingConfig(num_epochs=150, batch_size=384),
    )


def hashizume2022_separated() -> ExperimentConfig:
    """Give the same networks parts that were separated from the mix ([H22] Table 1, [H24] 4.2)."""
    base = hashizume2022()
    return replace(base, name="hashizume2022_separated", audio=AudioConfig(separator="oracle"))


def hashizume2024_separated() -> ExperimentConfig:
    """Train such networks on the parts as they are, and hear separated ones ([H24] Table 1)."""
    base = hashizume2022()
    return replace(
        base,
        name="hashizume2024_separated",
        corpus=CorpusConfig(num_train_tracks=1_200),
        network=replace(base.network, conditions=INSTRUMENTS),
        loss=LossConfig(),
        evaluation=EvaluationConfig(separator="oracle"),
    )


def hashizume2024_scratch() -> ExperimentConfig:
    """Train one CSN from basic and interchanged triplets and nothing before ([H24] 3.1)."""
    return ExperimentConfig(
        name="hashizume2024_scratch", corpus=CorpusConfig(num_train_tracks=1_200)
    )


def hashizume2024() -> ExperimentConfig:
    """Train one CSN for five instruments as [H24] does: teachers, pre-training, all triplets."""
    base = hashizume2024_aux_basic_add()
    return replace(base, **_named("hashizume2024", num_train_tracks=1_200))


def hashizume2024_basic() -> ExperimentConfig:
    """Leave out all but basic triplets, on 200 tracks ([H24] Table 2, "basic")."""
    base = hashizume2024_scratch()
    return replace(
        base,
        **_named("hashizume2024_basic", num_train_tracks=FEW_TRACKS),
        triplets=replace(base.triplets, interchanged=False),
    )


def hashizume2024_aux_basic() -> ExperimentConfig:
    """Go from teachers and pre-training to basic triplets ([H24] Table 2, "aux+basic")."""
    base = hashizume2024_basic()
    return replace(
        base,
        name="hashizume2024_aux_basic",
        start=StartConfig(pretraining="mix_and_parts"),
        loss=LossConfig(target_weight=0.1),
    )


def hashizume2024_aux_basic_add() -> ExperimentConfig:
    """Add interchanged triplets, still on 200 tracks ([H24] Table 2, "aux+basic+add")."""
    base = hashizume2024_aux_basic()
    return replace(
        base,
        name="hashizume2024_aux_basic_add",
        triplets=replace(base.triplets, interchanged=True),
    )


def random_subsets() -> ExperimentConfig:
    """Pre-train on random subsets of the parts, then triplets with the presence loss [LAB]."""
    return replace(
        hashizume2024_scratch(),
        name="random_subsets",
        start=StartConfig(pretraining="random_subsets"),
        loss=LossConfig(presence_weight=0.5),
    )


def free_mixing() -> ExperimentConfig:
    """Train one CSN for five instruments from freely mixed batches: ours."""
    base = hashizume2024_scratch()
    return replace(
        base,
        name="free_mixing",
        mixing=MixingConfig(num_mixes=61_440, batch_windows=(4, 8)),
        triplets=replace(base.triplets, num_plans=20),
        network=replace(base.network, subspace_dim=32, unit_subspaces=True, pooling="mean_std"),
        loss=LossConfig(kind="contrastive"),
        optimizer=OptimizerConfig(kind="muon", learning_rate=1e-3, decay_fraction=0.3),
        training=replace(base.training, batch_size=192, num_epochs=100),
    )


def _named(name: str, *, num_train_tracks: int) -> dict[str, object]:
    return {"name": name, "corpus": CorpusConfig(num_train_tracks=num_train_tracks)}


def demo_sized(config: ExperimentConfig) -> ExperimentConfig:
    """Make a recipe small enough for two cores and minutes, on a corpus composed for it."""
    is_contrastive = config.loss.kind == "contrastive"
    base = _on_composed(config, "demo", epochs=DEMO_EPOCHS, mixes=DEMO_MIXES, tracks=DEMO_TRACKS)
    return replace(
        base,
        audio=replace(config.audio, sample_rate_hz=16_000),
        triplets=replace(base.triplets, hop_s=0.25, max_segments_per_track=None),
        mixing=replace(base.mixing, batch_windows=(1, 2)),
        frontend=FrontendConfig(window=1024, hop=512, num_mels=128, standardise=True),
        network=replace(
            config.network,
            encoder="strided",
            channels=(8, 16, 32, 64, 128),
            time_layers=3,
            pooling="mean_std",
            subspace_dim=32,
        ),
        start=replace(base.start, teacher_batch_size=64, learning_rate=2e-3),
        optimizer=replace(config.optimizer, learning_rate=2e-3, decay_fraction=0.3),
        training=replace(base.training, batch_size=48 if is_contrastive else 64, validate_every=6),
        workers=WorkerConfig(
            threads_per_train_worker=2, placement="device" if is_contrastive else "workers"
        ),
    )


def large_sized(config: ExperimentConfig) -> ExperimentConfig:
    """Train a recipe's network of the papers' size on a composed corpus: minutes of a GPU."""
    base = _on_composed(
        config, "large", epochs=LARGE_EPOCHS, mixes=LARGE_MIXES, tracks=LARGE_TRACKS
    )
    generated = replace(base.corpus.generated, sample_rate_hz=config.audio.sample_rate_hz)
    return replace(
        base,
        corpus=replace(base.corpus, generated=generated),
        workers=WorkerConfig(use_gpu=True, placement="device"),
    )


def _on_composed(
    config: ExperimentConfig, size: str, *, epochs: int, mixes: int, tracks: int
) -> ExperimentConfig:
    """Let a recipe see `epochs` times `mixes` mixes in all, on a corpus composed for it."""
    # Teachers, pre-training, and the training itself: a third each.
    epochs_each = epochs // (1 if config.start.pretraining == "none" else 3)
    few = config.corpus.num_train_tracks == FEW_TRACKS
    return replace(
        config,
        name=f"{size}_{config.name}",
        # A sixth of the composed tracks are the few, as 200 are of 1,200.
        corpus=CorpusConfig(
            name=f"generated-{size}",
            generated=GeneratedConfig(num_train_tracks=tracks),
            num_train_tracks=tracks // 6 if few else None,
        ),
        triplets=replace(
            config.triplets,
            num_triplets=2 * mixes // 3 if config.triplets.interchanged else mixes // 3,
            num_plans=epochs,
        ),
        mixing=replace(config.mixing, num_mixes=mixes),
        start=replace(
            config.start,
            num_tracks=None,
            teacher_epochs=epochs_each,
            teacher_triplets=mixes // 3,
            pretraining_epochs=epochs_each,
            pretraining_mixes=mixes,
        ),
        training=replace(
            config.training,
            num_epochs=epochs_each,
            patience=None,
            validate_every=max(1, epochs_each // 3),
        ),
    )


def tiny_sized(config: ExperimentConfig) -> ExperimentConfig:
    """Make a recipe small enough for seconds: for tests, and to try an installation."""
    base = demo_sized(config)
    contrastive = config.loss.kind == "contrastive"
    return replace(
        base,
        name=f"tiny_{config.name}",
        corpus=CorpusConfig(
            name="generated-tiny",
            generated=GeneratedConfig(
                num_train_tracks=8,
                num_validation_tracks=4,
                num_test_tracks=5,
                duration_s=24.0,
            ),
            num_train_tracks=6 if base.corpus.num_train_tracks else None,
            max_reject_fraction=0.0,
        ),
        triplets=replace(base.triplets, num_triplets=64),
        mixing=replace(base.mixing, num_mixes=96),
        network=replace(base.network, channels=(4, 8, 8), subspace_dim=4),
        start=replace(
            base.start,
            teacher_epochs=2,
            teacher_triplets=64,
            teacher_batch_size=16,
            pretraining_epochs=2,
            pretraining_mixes=64,
        ),
        training=replace(
            base.training,
            num_epochs=2,
            batch_size=32 if contrastive else 16,
            validate_every=1,
            validation_segments=2,
        ),
        evaluation=replace(base.evaluation, num_focus_tracks=2, num_resamples=100),
    )
