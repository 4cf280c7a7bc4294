from dataclasses import replace

import pytest

from csn import recipes
from csn.config import EvaluationConfig, from_json, to_json
from csn.distributed.systems import BASELINES, build_system, condition_dims, metric_of
from csn.errors import ConfigError
from csn.model.librosa_features import LibrosaFeatures
from csn.model.network import MeanMel
from csn.paths import Paths

CONFIG = recipes.tiny()


@pytest.mark.parametrize(
    ("system", "module"), [("mean_mel", MeanMel), ("librosa_features", LibrosaFeatures)]
)
def test_a_baseline_without_subspaces_is_read_whole_by_every_condition(system, module):
    built = build_system(system, CONFIG, Paths(CONFIG))
    assert isinstance(built, module)
    assert not list(built.parameters())
    assert condition_dims(CONFIG, system) == dict.fromkeys(CONFIG.network.conditions, slice(None))


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
