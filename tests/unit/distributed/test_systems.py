from dataclasses import replace

import pytest
import torch

from csn import recipes
from csn.config import EvaluationConfig, from_json, to_json
from csn.distributed.systems import (
    BASELINES,
    build_system,
    condition_dims,
    embedded_by,
    metric_of,
)
from csn.errors import ConfigError
from csn.model import checkpoint
from csn.model.librosa_features import LibrosaFeatures
from csn.model.network import MeanMel, build_network
from csn.paths import Paths

CONFIG = recipes.tiny()


@pytest.mark.parametrize(
    ("system", "module"), [("mean_mel", MeanMel), ("librosa_features", LibrosaFeatures)]
)
def test_a_baseline_without_subspaces_is_read_whole_by_every_condition(system, module):
    built = build_system(system, CONFIG, Paths(CONFIG))
    assert isinstance(built, module)
    assert not list(built.parameters())
    every = dict.fromkeys(CONFIG.network.conditions, slice(None))
    assert condition_dims(CONFIG, system, Paths(CONFIG)) == every


def test_hand_made_features_are_asked_for_by_name():
    assert EvaluationConfig().baselines == ("untrained", "mean_mel")
    asked = EvaluationConfig(baselines=("librosa_features",))
    config = replace(CONFIG, evaluation=asked)
    assert from_json(to_json(config)) == config
    with pytest.raises(ConfigError, match="baselines"):
        from_json(to_json(config).replace("librosa_features", "openl3"))


def test_networks_are_ranked_by_what_they_learn_and_what_learns_nothing_by_euclid():
    by_cosine = recipes.ALL["tiny_hashizume2022"]()
    assert [metric_of(by_cosine, name) for name in ("csn", *BASELINES)] == [
        "cosine",
        "cosine",
        "euclidean",
        "euclidean",
    ]
    assert {metric_of(CONFIG, name) for name in ("csn", *BASELINES)} == {"euclidean"}


def test_of_individual_networks_those_are_asked_that_are_named(tmp_path):
    config = replace(recipes.ALL["tiny_hashizume2022"](), root=str(tmp_path))
    torch.manual_seed(0)
    network = build_network(config).eval()
    paths = Paths(config)
    checkpoint.save(paths.best_checkpoint, network, config)
    asked = replace(config, network=replace(config.network, conditions=("guitar", "mix")))
    sounds = {name: torch.randn(2, 48_000) for name in config.network.conditions}
    with torch.no_grad():
        every = embedded_by(network, config.network.conditions, sounds.__getitem__)
        some = embedded_by(
            network, ("guitar", "mix"), {k: sounds[k] for k in ("guitar", "mix")}.__getitem__
        )
    dims = condition_dims(asked, "csn", paths)
    assert list(dims) == ["guitar", "mix"]
    for of in dims.values():
        assert every[:, of].abs().sum() > 0
        assert torch.equal(every[:, of], some[:, of])
