"""Recipes whose conditions are concepts: [R22] and the rows of its Table 1, on preview clips.

Conventions
-----------
Names say what differs from `ribecky2022`, the last row of the table: six concepts, 384 dimensions,
three inputs.

Choices
-------
The paper does not say how many triplets and epochs it takes: ours are those of [H24], and training
stops where validation has not got better for 40 epochs. Its first row is the network of Lee et al.
(2020), who have triplets of tracks as well: as many as of each concept.
"""

from dataclasses import replace

from csn.conditions import CONCEPTS
from csn.config import (
    AudioConfig,
    CorpusConfig,
    EvaluationConfig,
    ExperimentConfig,
    FrontendConfig,
    GeneratedMsdConfig,
    LossConfig,
    NetworkConfig,
    OptimizerConfig,
    TrainingConfig,
    TripletConfig,
    WorkerConfig,
)

DEMO_EPOCHS = 15
DEMO_TRIPLETS = 480


def ribecky2022() -> ExperimentConfig:
    """Train one CSN for six concepts from mel, tempogram and CENS ([R22] Table 1, last row)."""
    return ExperimentConfig(
        name="ribecky2022",
        corpus=CorpusConfig(name="msd", layout="msd"),
        audio=AudioConfig(sample_rate_hz=22_050),
        triplets=TripletConfig(interchanged=False, min_gap_s=0.0),
        frontend=FrontendConfig(
            branches=("mel", "tempogram", "cens"),
            window=512,
            hop=256,
            num_mels=128,
            compression="log1p10",
            standardise=True,
        ),
        network=NetworkConfig(
            encoder="inception",
            channels=(64, 64, 128, 128, 256, 256, 512),
            conditions=CONCEPTS,
            subspace_dim=64,
            # The loss sees directions alone; human triplets are ordered by Euclidean distance.
            unit_subspaces=True,
        ),
        loss=LossConfig(margin=0.1, distance="cosine", mining="semi_hard"),
        optimizer=OptimizerConfig(learning_rate=1e-5, plateau_patience=10),
        evaluation=EvaluationConfig(durations_s=(3.0,)),
    )


def ribecky2022_mel() -> ExperimentConfig:
    """Give the same network the mel spectrogram alone ([R22] Table 1: 6 conditions, 384)."""
    base = ribecky2022()
    frontend = replace(base.frontend, branches=("mel",))
    return replace(base, name="ribecky2022_mel", frontend=frontend)


def ribecky2022_mel_258() -> ExperimentConfig:
    """Leave each concept 43 dimensions ([R22] Table 1: 6 conditions, 258, one input)."""
    base = ribecky2022_mel()
    return replace(
        base, name="ribecky2022_mel_258", network=replace(base.network, subspace_dim=43)
    )


def ribecky2022_tags() -> ExperimentConfig:
    """Learn the four concepts of tags alone ([R22] Table 1: 4 conditions, 256, three inputs)."""
    base = ribecky2022()
    network = replace(base.network, conditions=CONCEPTS[:4])
    return replace(base, name="ribecky2022_tags", network=network)


def ribecky2022_tags_mel() -> ExperimentConfig:
    """Train the baseline: four concepts, mel alone, tracks too ([R22] Table 1, first row)."""
    base = ribecky2022_tags()
    return replace(
        base,
        name="ribecky2022_tags_mel",
        frontend=replace(base.frontend, branches=("mel",)),
        triplets=replace(base.triplets, track_share=0.2),
    )


def demo_sized(config: ExperimentConfig) -> ExperimentConfig:
    """Make a recipe small enough for two cores and minutes, on clips composed for it."""
    return replace(
        config,
        name=f"demo_{config.name}",
        corpus=CorpusConfig(
            name="generated-msd",
            layout="msd",
            generated_msd=GeneratedMsdConfig(
                num_train_tracks=500, num_validation_tracks=40, clip_s=20.0
            ),
        ),
        triplets=replace(config.triplets, num_triplets=DEMO_TRIPLETS, num_plans=DEMO_EPOCHS),
        # Windows long enough to tell low notes apart, hops long enough for a CPU.
        frontend=replace(config.frontend, window=2_048, hop=1_024),
        network=replace(
            config.network,
            channels=(8, 16, 16, 32, 32, 64, 64),
            subspace_dim=config.network.subspace_dim // 4,
        ),
        optimizer=OptimizerConfig(kind="muon", learning_rate=2e-3, decay_fraction=0.3),
        training=TrainingConfig(
            num_epochs=DEMO_EPOCHS, batch_size=24, patience=None, validate_every=3
        ),
        workers=WorkerConfig(threads_per_train_worker=2),
    )


def tiny_sized(config: ExperimentConfig) -> ExperimentConfig:
    """Make a recipe small enough for seconds: for tests, and to try an installation."""
    base = demo_sized(config)
    return replace(
        base,
        name=f"tiny_{config.name}",
        corpus=CorpusConfig(
            name="generated-msd-tiny",
            layout="msd",
            generated_msd=GeneratedMsdConfig(
                num_train_tracks=10,
                num_validation_tracks=5,
                num_test_tracks=8,
                clip_s=8.0,
                num_triplets=200,
            ),
            max_reject_fraction=0.0,
        ),
        triplets=replace(base.triplets, num_triplets=24, num_plans=2),
        network=replace(
            base.network,
            channels=(4, 4, 4, 8, 8),
            subspace_dim=base.network.subspace_dim // 4,
        ),
        optimizer=OptimizerConfig(learning_rate=1e-3, plateau_patience=1),
        training=replace(base.training, num_epochs=2, batch_size=12, validate_every=1),
        evaluation=replace(base.evaluation, num_resamples=100, num_concept_triplets=50),
    )
