"""Named experiments: what ``jobs/train.py NAME`` runs."""

from collections.abc import Callable
from dataclasses import replace

from csn.config import (
    AudioConfig,
    CorpusConfig,
    ExperimentConfig,
    FrontendConfig,
    GeneratedConfig,
    LossConfig,
    MixingConfig,
    NetworkConfig,
    OptimizerConfig,
    TrainingConfig,
    TripletConfig,
    WorkerConfig,
)


def demo() -> ExperimentConfig:
    """Compose a small corpus and go the whole way on two cores in minutes."""
    base = demo_triplets()
    return replace(
        base,
        name="demo",
        mixing=MixingConfig(num_mixes=3_072),
        network=replace(base.network, subspace_dim=32, unit_subspaces=True),
        loss=LossConfig(kind="contrastive"),
        training=replace(base.training, batch_size=96, num_epochs=60, validate_every=6),
        workers=replace(base.workers, placement="device"),
    )


def demo_triplets() -> ExperimentConfig:
    """Train the demo's encoder in the papers' way, on triplets, to compare with."""
    return ExperimentConfig(
        name="demo_triplets",
        corpus=CorpusConfig(name="generated-demo"),
        audio=AudioConfig(sample_rate_hz=16_000),
        triplets=TripletConfig(
            num_triplets=2_048, num_plans=60, hop_s=0.25, max_segments_per_track=None
        ),
        frontend=FrontendConfig(window=1024, hop=512, num_mels=128, standardise=True),
        network=NetworkConfig(
            encoder="strided", channels=(8, 16, 32, 64, 128), pooling="mean_std"
        ),
        optimizer=OptimizerConfig(learning_rate=2e-3, decay_fraction=0.3),
        training=TrainingConfig(num_epochs=40, patience=None),
        workers=WorkerConfig(threads_per_train_worker=2),
    )


def tiny() -> ExperimentConfig:
    """Make the papers' way small enough for seconds: for tests, and to try an installation."""
    base = demo_triplets()
    return replace(
        base,
        name="tiny",
        corpus=CorpusConfig(
            name="generated-tiny",
            generated=GeneratedConfig(
                num_train_tracks=8,
                num_validation_tracks=4,
                num_test_tracks=5,
                duration_s=24.0,
            ),
            max_reject_fraction=0.0,
        ),
        triplets=replace(base.triplets, num_triplets=64),
        network=replace(base.network, channels=(4, 8, 8), subspace_dim=4),
        training=replace(base.training, num_epochs=2, batch_size=16, validation_segments=2),
        evaluation=replace(base.evaluation, num_focus_tracks=2, num_resamples=100),
    )


def hashizume2024() -> ExperimentConfig:
    """Train one CSN for five instruments from basic and interchanged triplets ([H24] 3.1)."""
    return ExperimentConfig(name="hashizume2024", corpus=CorpusConfig(num_train_tracks=1_200))


def free_mixing() -> ExperimentConfig:
    """Train one CSN for five instruments from freely mixed batches: ours, at full size."""
    base = hashizume2024()
    return replace(
        base,
        name="free_mixing",
        mixing=MixingConfig(num_mixes=61_440),
        triplets=replace(base.triplets, num_plans=20),
        network=replace(base.network, subspace_dim=32, unit_subspaces=True, pooling="mean_std"),
        loss=LossConfig(kind="contrastive"),
        optimizer=OptimizerConfig(learning_rate=1e-3, decay_fraction=0.3),
        training=replace(base.training, batch_size=192, num_epochs=100),
    )


ALL: dict[str, Callable[[], ExperimentConfig]] = {
    recipe.__name__: recipe for recipe in (demo, demo_triplets, tiny, hashizume2024, free_mixing)
}
