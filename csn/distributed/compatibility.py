"""Refuse a network or separator that does not fit a configuration, before any work."""

from contextlib import suppress
from pathlib import Path, PurePath

from csn import curriculum, storage
from csn.audio.separation import separator_of
from csn.conditions import MIX
from csn.config import ExperimentConfig
from csn.errors import ConfigError, StorageError
from csn.model import checkpoint
from csn.paths import Paths

ADVICE = "use the recipe and options it was trained with"


def check_hears(uri: str, theirs: ExperimentConfig, ours: ExperimentConfig) -> None:
    """Raise ConfigError unless the network at `uri`, of `theirs`, hears what `ours` prepares."""
    if (ours.frontend, ours.audio.sample_rate_hz) != (
        theirs.frontend,
        theirs.audio.sample_rate_hz,
    ):
        raise ConfigError(
            f"{uri} hears {theirs.audio.sample_rate_hz} Hz through {theirs.frontend}, the corpus "
            f"is prepared at {ours.audio.sample_rate_hz} Hz for {ours.frontend}; {ADVICE}"
        )


def check_layout(uri: str, theirs: ExperimentConfig, ours: ExperimentConfig) -> None:
    """Raise ConfigError unless the two have the same subspaces."""
    if ours.network.layout != theirs.network.layout:
        raise ConfigError(
            f"{uri} has {theirs.network.subspace_dim} dimensions for each of "
            f"{', '.join(theirs.network.conditions)}, this configuration "
            f"{ours.network.subspace_dim} for each of {', '.join(ours.network.conditions)}; "
            f"{ADVICE}"
        )


def check_scored(uri: str, theirs: ExperimentConfig, ours: ExperimentConfig) -> None:
    """Raise ConfigError unless the network at `uri` can be asked what `ours` asks, as it learnt.

    Individual networks hear a part alone, the same before every background; neighbours are ranked
    by the distance that was learnt; and scores of an experiment's own network bear its seed.
    """
    check_hears(uri, theirs, ours)
    if not _individual_among(theirs, ours):
        check_layout(uri, theirs, ours)
    fields: list[tuple[str, object, object]] = [
        ("network.individual", theirs.network.individual, ours.network.individual),
        ("loss.distance", theirs.loss.distance, ours.loss.distance),
    ]
    if not ours.evaluation.checkpoint_uri:
        fields.append(("seed", theirs.seed, ours.seed))
    for field, learnt, asked in fields:
        if learnt != asked:
            raise ConfigError(
                f"{uri} was trained with {field}={learnt}, this configuration says {asked}; "
                f"{ADVICE}, or set --{field} {learnt}"
            )


def _individual_among(theirs: ExperimentConfig, ours: ExperimentConfig) -> bool:
    """Whether `theirs` are individual networks for all that `ours` asks, and perhaps for more."""
    sizes = {one.network.subspace_dim for one in (theirs, ours)}
    asked, learnt = (set(one.network.conditions) for one in (ours, theirs))
    return theirs.network.individual and len(sizes) == 1 and asked <= learnt


def check_separator(config: ExperimentConfig) -> None:
    """Refuse a separator that cannot be had, or leaves together what `config` asks for apart.

    That of the evaluation too, where it is another.

    Raises
    ------
    ConfigError
        Says what the separator gives.
    """
    for audio in (config.audio, config.evaluated.audio):
        separator = separator_of(audio)
        lacking = set(config.network.conditions) - {*separator.holds, MIX} if separator else ()
        if separator and lacking:
            raise ConfigError(
                f"audio.separator={audio.separator} gives {', '.join(separator.holds)}; "
                f"network.conditions asks for {', '.join(sorted(lacking))} as well; leave them "
                "out with --network.conditions, or choose another separator"
            )


def check_kept(config: ExperimentConfig) -> None:
    """Refuse to read a network from the folder that is about to be made again.

    Raises
    ------
    ConfigError
        A checkpoint that is named lies in the experiment's own folder, which `on_existing`
        ``overwrite`` removes first.
    """
    if config.on_existing != "overwrite":
        return
    folder = _whole(Paths(config).experiment())
    named = {
        "start.initial_checkpoint_uri": config.start.initial_checkpoint_uri,
        "start.teachers_uri": config.start.teachers_uri,
        "evaluation.checkpoint_uri": config.evaluation.checkpoint_uri,
    }
    for field, uri in named.items():
        if uri and _whole(uri).is_relative_to(folder):
            raise ConfigError(
                f"{field}={uri} lies in {Paths(config).experiment()}, which --on_existing "
                "overwrite would remove; choose another --name for the new experiment"
            )


def _whole(uri: str) -> PurePath:
    """Path of `uri` without detours; of an object storage as it is written."""
    uri = storage.absolute(uri)
    return PurePath(uri) if "://" in uri else Path(uri).resolve()


def check_start(config: ExperimentConfig) -> None:
    """Refuse networks to start from that do not fit `config`, and stages before it that cannot be.

    Raises
    ------
    ConfigError
        Teachers, or the initial network, of another front end, sample rate, layout or form; or
        `config` makes no whole configuration of its teachers or its pre-training.
    StorageError
        There is no such checkpoint.
    """
    curriculum.check_before(config)
    if uri := config.start.teachers_uri:
        theirs = checkpoint.load(storage.absolute(uri)).config
        if not theirs.network.individual:
            raise ConfigError(
                f"{uri} is one network for {', '.join(theirs.network.conditions)}; teachers are "
                "individual networks (recipe hashizume2022, or any with network.individual)"
            )
        check_hears(uri, theirs, config)
        if not _individual_among(theirs, config):
            check_layout(uri, theirs, config)
    if uri := config.start.initial_checkpoint_uri:
        theirs = checkpoint.load(storage.absolute(uri)).config
        check_hears(uri, theirs, config)
        check_layout(uri, theirs, config)
        forms = [_form(one) for one in (theirs, config)]
        if forms[0] != forms[1]:
            raise ConfigError(
                f"{uri} is a network of {forms[0]}, this configuration one of {forms[1]}; {ADVICE}"
            )


def started_from(config: ExperimentConfig) -> dict[str, str]:
    """Digests of what `config` names to learn from, by field; of what is still there.

    A configuration holds addresses only, and at an address may lie something else than before.
    """
    start, found = config.start, {}
    for field in ("initial_checkpoint_uri", "teachers_uri"):
        if uri := getattr(start, field):
            with suppress(StorageError):
                found[f"start.{field}"] = checkpoint.load(storage.absolute(uri)).digest
    if uri := config.triplets.list_uri:
        with suppress(StorageError):
            found["triplets.list_uri"] = storage.digest(storage.read_bytes(uri).hex())
    return found


def _form(config: ExperimentConfig) -> str:
    """Say what, beside the layout, the shapes of a network's weights depend on."""
    network = config.network
    kind = "individual networks, " if network.individual else ""
    layers = len(network.channels)
    halving = layers if network.time_layers is None else min(network.time_layers, layers)
    time = f" (time halved by {halving} layers)" if network.encoder == "strided" else ""
    return f"{kind}{network.encoder} {network.channels}{time}, pooling {network.pooling}"
