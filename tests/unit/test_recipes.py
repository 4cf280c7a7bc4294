from dataclasses import replace

import pytest

from csn import recipes
from csn.conditions import INSTRUMENTS, MIX
from csn.config import ExperimentConfig, LossConfig, NetworkConfig
from csn.curriculum import before
from csn.paths import Paths


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


def test_demo_is_what_systems_are_compared_with_and_shorter():
    demo, compared = recipes.demo(), recipes.ALL["demo_free_mixing"]()
    assert demo.training.num_epochs == demo.triplets.num_plans == 18
    assert compared.training.num_epochs == compared.triplets.num_plans == 60
    longer = replace(
        demo, name=compared.name, triplets=compared.triplets, training=compared.training
    )
    assert longer == compared


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


def test_hashizume2022_has_the_numbers_of_the_paper():
    config = recipes.hashizume2022()
    assert (config.corpus.num_train_tracks, config.corpus.num_test_tracks) == (180, 20)
    assert config.network.individual
    assert config.network.conditions == (*INSTRUMENTS, MIX)
    assert (config.loss.distance, config.loss.margin) == ("cosine", 0.2)
    assert config.training.num_epochs == 150
    assert config.training.batch_size == 64 * len(config.network.conditions)
    assert not config.triplets.interchanged


def test_hashizume2024_goes_from_teachers_and_pretraining_to_all_triplets():
    config = recipes.hashizume2024()
    assert config.start.pretraining == "mix_and_parts"
    assert config.loss.target_weight == 0.1
    assert config.start.num_tracks == 200
    assert config.start.teacher_epochs == 150


def test_ablations_of_hashizume2024_differ_in_what_table_2_says():
    basic, aux, add = (
        recipes.hashizume2024_basic(),
        recipes.hashizume2024_aux_basic(),
        recipes.hashizume2024_aux_basic_add(),
    )
    assert {c.corpus.num_train_tracks for c in (basic, aux, add)} == {200}
    assert [c.triplets.interchanged for c in (basic, aux, add)] == [False, False, True]
    assert [c.loss.target_weight for c in (basic, aux, add)] == [0.0, 0.1, 0.1]
    assert [c.start.pretraining for c in (basic, aux, add)] == ["none", *["mix_and_parts"] * 2]
    whole = recipes.hashizume2024()
    assert replace(whole, name=add.name, corpus=add.corpus) == add
    assert replace(add, name=aux.name, triplets=aux.triplets) == aux


def test_random_subsets_pretrain_on_them_and_keep_lengths_telling():
    config = recipes.random_subsets()
    assert config.start.pretraining == "random_subsets"
    assert (config.loss.presence_weight, config.loss.target_weight) == (0.5, 0.0)
    assert not config.network.unit_subspaces


@pytest.mark.parametrize("name", [recipe.__name__ for recipe in recipes.SYSTEMS])
def test_sizes_keep_what_makes_the_system(name):
    plain = recipes.ALL[name]()
    for size in ("demo", "tiny"):
        sized = recipes.ALL[f"{size}_{name}"]()
        assert sized.loss == plain.loss
        assert sized.plan_kind == plain.plan_kind
        assert sized.start.pretraining == plain.start.pretraining
        assert sized.triplets.interchanged == plain.triplets.interchanged
        assert sized.network.conditions == plain.network.conditions
        assert sized.frontend.branches == plain.frontend.branches
        assert sized.triplets.track_share == plain.triplets.track_share
        assert sized.network.unit_subspaces == plain.network.unit_subspaces
        # Whole batches, or some of what an epoch plans would be left out.
        assert sized.num_rows % sized.training.batch_size == 0
        assert sized.corpus.uri == ""


def test_ribecky2022_has_the_numbers_of_the_paper():
    config = recipes.ribecky2022()
    assert config.audio.sample_rate_hz == 22_050
    frontend = config.frontend
    assert (frontend.window, frontend.hop, frontend.num_mels) == (512, 256, 128)
    assert frontend.branches == ("mel", "tempogram", "cens")
    assert (config.loss.margin, config.loss.distance) == (0.1, "cosine")
    assert config.loss.mining == "semi_hard"
    optimizer = config.optimizer
    assert (optimizer.learning_rate, optimizer.plateau_factor) == (1e-5, 1 / 5)
    assert (optimizer.plateau_patience, optimizer.plateau_floor) == (10, 1e-10)
    assert config.evaluation.durations_s == (3.0,)
    assert config.evaluation.min_agreement == 0.9


def test_recipes_of_concepts_are_the_rows_of_table_1():
    rows = {
        "ribecky2022": (6, 3, 384),
        "ribecky2022_mel": (6, 1, 384),
        "ribecky2022_mel_258": (6, 1, 258),
        "ribecky2022_tags": (4, 3, 256),
        "ribecky2022_tags_mel": (4, 1, 256),
    }
    for name, row in rows.items():
        config = recipes.ALL[name]()
        layout = config.network.layout
        found = len(layout.conditions), len(config.frontend.branches), layout.embedding_dim
        assert found == row, name


@pytest.mark.parametrize("name", [recipe.__name__ for recipe in recipes.OF_INSTRUMENTS])
def test_large_size_is_the_plain_network_on_a_composed_corpus(name):
    plain, large = recipes.ALL[name](), recipes.ALL[f"large_{name}"]()
    for part in ("audio", "frontend", "network", "loss", "optimizer", "similarity"):
        assert getattr(large, part) == getattr(plain, part)
    assert large.training.batch_size == plain.training.batch_size
    assert large.corpus.uri == ""
    assert large.corpus.generated.num_train_tracks == 300
    assert large.corpus.generated.sample_rate_hz == large.audio.sample_rate_hz
    assert large.workers.use_gpu


@pytest.mark.parametrize("name", [recipe.__name__ for recipe in recipes.OF_INSTRUMENTS])
def test_large_systems_see_as_many_mixes_as_each_other(name):
    def mixes_of(config):
        batches = config.num_rows // config.training.batch_size
        a_row = 3 if "triplets" in config.plan_kind else 1
        return batches * config.training.batch_size * a_row * config.training.num_epochs

    def all_of(config):  # teachers of teachers there are none
        found = {one.name: one for one in before(config)}
        for one in list(found.values()):
            found |= {earlier.name: earlier for earlier in before(one)}
        return mixes_of(config) + sum(map(mixes_of, found.values()))

    # Whole batches of 384 alone are a fortieth less.
    assert 0.97 * 184_320 < all_of(recipes.ALL[f"large_{name}"]()) <= 184_320


@pytest.mark.parametrize("size", ["", "demo_", "tiny_", "large_"])
def test_no_two_systems_learn_the_same(size):
    digests = {}
    for recipe in recipes.OF_INSTRUMENTS if size == "large_" else recipes.SYSTEMS:
        name = size + recipe.__name__
        digests.setdefault(Paths(recipes.ALL[name]()).training_digest, []).append(name)
    assert [names for names in digests.values() if len(names) > 1] == []
