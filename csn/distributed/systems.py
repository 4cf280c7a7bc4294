"""The systems that are scored side by side: our network and the baselines."""

from collections.abc import Callable
from dataclasses import asdict

import torch
from torch import Tensor, nn

from csn import storage
from csn.conditions import MIX
from csn.config import ExperimentConfig
from csn.errors import ConfigError
from csn.model import checkpoint
from csn.model.network import IndividualNetworks, build_mean_mel, build_network
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


def embedded_by(module: nn.Module, heard: Callable[[str], Tensor]) -> Tensor:
    """Embeddings of mixes by a system's module: of the whole mix, or each part by its network.

    Parameters
    ----------
    heard : callable
        Gives the waveforms of one part of each mix, and of all parts for the condition ``mix``.
    """
    if not isinstance(module, IndividualNetworks):
        return module(heard(MIX))
    # Each network fills its own dimensions and leaves the others zero.
    blocks = []
    for place, condition in enumerate(module.layout.conditions):
        waveforms = heard(condition)
        places = torch.full((len(waveforms),), place, device=waveforms.device)
        blocks.append(module(waveforms, places))
    return torch.stack(blocks).sum(dim=0)
