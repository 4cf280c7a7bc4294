"""The systems that are scored side by side: our network and the baselines."""

from dataclasses import asdict

import torch
from torch import nn

from csn import storage
from csn.config import ExperimentConfig
from csn.errors import ConfigError
from csn.model import checkpoint
from csn.model.network import build_mean_mel, build_network
from csn.paths import Paths

OURS = "csn"


def system_digests(config: ExperimentConfig, paths: Paths) -> dict[str, str]:
    """Digest of each system that is scored: the network's, and those of the baselines."""
    loaded = checkpoint.load(paths.best_checkpoint)
    ours, theirs = config, loaded.config
    if (ours.frontend, ours.audio.sample_rate_hz) != (
        theirs.frontend,
        theirs.audio.sample_rate_hz,
    ):
        raise ConfigError(
            f"{paths.best_checkpoint} hears {theirs.audio.sample_rate_hz} Hz through "
            f"{theirs.frontend}, the corpus is prepared at {ours.audio.sample_rate_hz} Hz for "
            f"{ours.frontend}; use the recipe and options it was trained with"
        )
    if ours.network.layout != theirs.network.layout:
        raise ConfigError(
            f"{paths.best_checkpoint} has {theirs.network.subspace_dim} dimensions for each of "
            f"{', '.join(theirs.network.conditions)}, this configuration "
            f"{ours.network.subspace_dim} for each of {', '.join(ours.network.conditions)}; use "
            "the recipe and options it was trained with"
        )
    heard = [asdict(ours.frontend), ours.audio.sample_rate_hz]
    digests = {
        "untrained": storage.digest(["untrained", heard, asdict(ours.network), ours.seed]),
        "mean_mel": storage.digest(["mean_mel", heard]),
    }
    return {OURS: loaded.digest} | {name: digests[name] for name in config.evaluation.baselines}


def build_system(system: str, config: ExperimentConfig, paths: Paths) -> nn.Module:
    """Make the module that embeds for `system`."""
    if system == OURS:
        return checkpoint.load(paths.best_checkpoint).network
    if system == "untrained":
        torch.manual_seed(config.seed)
        return build_network(config).eval()
    return build_mean_mel(config).eval()


def condition_dims(config: ExperimentConfig, system: str) -> dict[str, slice]:
    """Dimensions that each condition reads; without subspaces, all of them."""
    layout = config.network.layout
    if system == "mean_mel":
        return dict.fromkeys(layout.conditions, slice(None))
    return {condition: layout.dims(condition) for condition in layout.conditions}
