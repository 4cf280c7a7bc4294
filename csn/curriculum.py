"""The trainings that go before a training: teachers, and pre-training on what they say.

Conventions
-----------
Each is an experiment of its own, derived from the one that needs it, and named by the digest of
its configuration: experiments that need the same teachers share them, and none is trained twice.

Source
------
[H24] 3.2: individual networks on single parts, then a network that learns their embeddings, then
triplets. [LAB] for random subsets.

Choices
-------
Teachers and pre-training validate as the experiment does and keep their best epoch. Where the
experiment's subspaces have length 1, pre-training learns raw ones: the weights have the same form.
"""

from dataclasses import replace

from csn import storage
from csn.config import (
    ExperimentConfig,
    LossConfig,
    MixingConfig,
    StartConfig,
    TripletConfig,
)
from csn.errors import ConfigError
from csn.paths import Paths


def needs_teachers(config: ExperimentConfig) -> bool:
    """Whether the training of `config` itself looks at what teachers say."""
    return config.loss.kind == "target" or config.loss.target_weight > 0


def teachers_of(config: ExperimentConfig) -> ExperimentConfig:
    """Experiment that trains the individual networks g_c of `config` ([H24] 3.2)."""
    start = config.start
    return _named(
        "teachers",
        replace(
            _small(config),
            network=replace(config.network, individual=True, unit_subspaces=False),
            start=StartConfig(),
            loss=LossConfig(margin=config.loss.margin),
            mixing=MixingConfig(),
            triplets=replace(
                _windows(config.triplets), interchanged=False, num_triplets=start.teacher_triplets
            ),
            training=replace(
                config.training,
                num_epochs=start.teacher_epochs,
                batch_size=start.teacher_batch_size,
            ),
        ),
    )


def pretraining_of(config: ExperimentConfig) -> ExperimentConfig:
    """Experiment that trains the network of `config` on the targets of its teachers."""
    start, loss = config.start, config.loss
    assert start.pretraining != "none"
    return _named(
        "pretraining",
        replace(
            _small(config),
            network=replace(config.network, unit_subspaces=False),
            start=replace(start, pretraining="none"),
            loss=LossConfig(
                kind="target",
                margin=loss.margin,  # the teachers'
                presence_weight=loss.presence_weight,
                presence_norm=loss.presence_norm,
            ),
            mixing=MixingConfig(num_mixes=start.pretraining_mixes, subsets=start.pretraining),
            triplets=_windows(config.triplets),
            training=replace(config.training, num_epochs=start.pretraining_epochs),
        ),
    )


def check_before(config: ExperimentConfig) -> None:
    """Refuse a configuration from which no teachers, or no pre-training, can be derived.

    Raises
    ------
    ConfigError
        What is wrong with the stage, as a fault of the experiment that needs it.
    """
    try:
        earlier = before(config)
    except ConfigError as error:
        raise ConfigError(
            f"the teachers or the pre-training that {config.name} needs cannot be: {error}; they "
            "have what start.* says of them (start.teacher_batch_size, start.pretraining_mixes, "
            "...), and all else from the experiment itself"
        ) from error
    for one in earlier:
        check_before(one)


def before(config: ExperimentConfig) -> list[ExperimentConfig]:
    """Experiments that `config` itself builds on; each of them may build on others."""
    found = []
    if config.start.pretraining != "none":
        found.append(pretraining_of(config))
    if needs_teachers(config) and not config.start.teachers_uri:
        found.append(teachers_of(config))
    return found


def teachers_uri(config: ExperimentConfig) -> str:
    """Folder of the individual networks that `config` learns from."""
    if named := config.start.teachers_uri:
        return storage.absolute(named)
    return Paths(teachers_of(config)).experiment("checkpoints", "best")


def initial_uri(config: ExperimentConfig) -> str:
    """Folder of the network that `config` goes on from; empty: it begins with new weights."""
    if config.start.pretraining == "none":
        named = config.start.initial_checkpoint_uri
        return storage.absolute(named) if named else ""
    return Paths(pretraining_of(config)).experiment("checkpoints", "best")


def _small(config: ExperimentConfig) -> ExperimentConfig:
    """`config` on the first tracks alone, with the step size of what goes before."""
    limits = [n for n in (config.corpus.num_train_tracks, config.start.num_tracks) if n]
    return replace(
        config,
        corpus=replace(config.corpus, num_train_tracks=min(limits, default=None)),
        optimizer=replace(config.optimizer, learning_rate=config.start.learning_rate),
    )


def _windows(config: TripletConfig) -> TripletConfig:
    """Keep of `config` what says where windows lie: which triplets there are is another's."""
    default = TripletConfig()
    return replace(
        config,
        num_triplets=default.num_triplets,
        interchanged=default.interchanged,
        list_uri=default.list_uri,
    )


def _named(kind: str, config: ExperimentConfig) -> ExperimentConfig:
    return replace(config, name=f"{kind}-{Paths(config).training_digest}")
