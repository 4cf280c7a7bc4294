from dataclasses import replace

import pytest

from csn import recipes
from csn.config import ExperimentConfig, LossConfig, NetworkConfig


@pytest.mark.parametrize("recipe", recipes.ALL.values(), ids=recipes.ALL)
def test_recipe_gives_the_same_configuration_each_time(recipe):
    assert recipe() == recipe()


def test_hashizume2024_has_the_numbers_of_the_paper():
    config = recipes.hashizume2024()
    assert config.corpus.num_train_tracks == 1_200
    assert (config.triplets.num_triplets, config.triplets.num_rows) == (20_000, 10_000)
    assert config.triplets.interchanged
    assert config.triplets.num_plans == 1
    assert (config.audio.segment_s, config.triplets.hop_s) == (3.0, 1.5)
    assert config.triplets.max_segments_per_track == 40
    assert (config.training.num_epochs, config.training.batch_size) == (400, 64)
    assert config.loss.margin == 0.2
    assert config.network.layout.embedding_dim == 640
    assert (config.evaluation.k, config.evaluation.durations_s) == (5, (3.0, 10.0))
    assert (config.evaluation.num_focus_tracks, config.evaluation.num_versions) == (10, 4)


def test_defaults_are_the_paper_s():
    paper = recipes.hashizume2024()
    assert replace(paper.loss, target_weight=0.0) == LossConfig()
    assert paper.network == NetworkConfig()
    assert paper.audio == ExperimentConfig(name="x").audio


def test_demo_needs_no_data_and_no_gpu():
    config = recipes.demo()
    assert config.corpus.uri == ""
    assert not config.workers.use_gpu
    assert config.root == "csn-data"


def test_tiny_is_the_demo_made_smaller():
    tiny, demo = recipes.tiny(), recipes.demo()
    assert tiny.audio == demo.audio
    assert tiny.frontend == demo.frontend
    assert tiny.network.encoder == demo.network.encoder
    assert tiny.triplets.num_rows < demo.triplets.num_rows
    assert tiny.training.num_epochs < demo.training.num_epochs


def test_composed_corpora_offer_the_four_tracks_that_a_triplet_and_p2_need():
    for config in (recipes.demo(), recipes.tiny()):
        sizes = config.corpus.generated
        assert sizes.num_train_tracks >= config.triplets.min_group_tracks
        assert sizes.num_test_tracks >= config.evaluation.num_focus_tracks
        assert sizes.num_test_tracks >= config.evaluation.num_versions
