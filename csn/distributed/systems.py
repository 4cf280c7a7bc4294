"""The systems that are scored side by side: our network and the baselines."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib.metadata import version

import torch
from torch import Tensor, nn

from csn import storage
from csn.conditions import MIX
from csn.config import ExperimentConfig
from csn.distributed.compatibility import check_scored
from csn.evaluation.neighbours import Metric
from csn.model import checkpoint
from csn.model.librosa_features import LibrosaFeatures
from csn.model.network import IndividualNetworks, build_mean_mel, build_network
from csn.paths import Paths
from csn.records import OURS

BASELINES = ("untrained", "mean_mel", "librosa_features")
"""All that `EvaluationConfig.baselines` can name."""
WITHOUT_SUBSPACES = ("mean_mel", "librosa_features")
"""Baselines of which every condition reads the whole vector."""


def metric_of(config: ExperimentConfig, system: str = OURS) -> Metric:
    """How neighbours of `system` are ranked: of a network as it learns, else by Euclid."""
    learns_by_cosine = config.loss.distance == "cosine" and system not in WITHOUT_SUBSPACES
    return "cosine" if learns_by_cosine else "euclidean"


def system_digests(config: ExperimentConfig, paths: Paths) -> dict[str, str]:
    """Digest of each system that is scored: the network's, and those of the baselines."""
    loaded = checkpoint.load(paths.best_checkpoint)
    check_scored(paths.best_checkpoint, loaded.config, config)
    return {OURS: loaded.digest} | baseline_digests(config)


def baseline_digests(config: ExperimentConfig) -> dict[str, str]:
    """Digest of each baseline that `config` asks for; they need no trained network."""
    heard = [asdict(config.frontend), config.audio.sample_rate_hz]
    # P2's mixes are drawn by the seed: seeds that ran side by side would write into one folder.
    asked = [list(config.network.conditions), config.seed]
    digests = {
        "untrained": storage.digest(["untrained", heard, asdict(config.network), config.seed]),
        "mean_mel": storage.digest(["mean_mel", heard, asked]),
        "librosa_features": storage.digest(
            ["librosa_features", version("librosa"), config.audio.sample_rate_hz, asked]
        ),
    }
    return {name: digests[name] for name in config.evaluation.baselines}


def build_system(system: str, config: ExperimentConfig, paths: Paths) -> nn.Module:
    """Make the module that embeds for `system`."""
    if system == OURS:
        return checkpoint.load(paths.best_checkpoint).network
    if system == "untrained":
        torch.manual_seed(config.seed)
        return build_network(config).eval()
    if system == "librosa_features":
        return LibrosaFeatures(config.audio.sample_rate_hz)
    return build_mean_mel(config).eval()


def condition_dims(config: ExperimentConfig, system: str, paths: Paths) -> dict[str, slice]:
    """Dimensions that each condition reads; without subspaces, all of them."""
    conditions = config.network.conditions
    if system in WITHOUT_SUBSPACES:
        return dict.fromkeys(conditions, slice(None))
    # Of individual networks there may be more than are asked.
    theirs = checkpoint.read_config(paths.best_checkpoint) if system == OURS else config
    return {condition: theirs.network.layout.dims(condition) for condition in conditions}


def embedded_by(
    module: nn.Module, conditions: Sequence[str], heard: Callable[[str], Tensor]
) -> Tensor:
    """Embeddings of mixes by a system's module: of the whole mix, or each part by its network.

    Parameters
    ----------
    conditions
        Those of individual networks that are asked; the others' dimensions stay zero.
    heard : callable
        Gives the waveforms of one part of each mix, and of all parts for the condition ``mix``.
    """
    if not isinstance(module, IndividualNetworks):
        return module(heard(MIX))
    # Each network fills its own dimensions and leaves the others zero.
    blocks = []
    for condition in conditions:
        place = module.layout.conditions.index(condition)
        waveforms = heard(condition)
        places = torch.full((len(waveforms),), place, device=waveforms.device)
        blocks.append(module(waveforms, places))
    return torch.stack(blocks).sum(dim=0)
