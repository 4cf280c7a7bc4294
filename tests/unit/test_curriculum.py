from dataclasses import replace

import pytest

from csn import curriculum, recipes
from csn.config import LossConfig, StartConfig
from csn.paths import Paths
from csn.recipes import instruments

PRETRAINED = [name for name in recipes.ALL if recipes.ALL[name]().start.pretraining != "none"]
every_pretrained = pytest.mark.parametrize("name", PRETRAINED)


def teachers(config):
    return curriculum.teachers_of(config)


@pytest.fixture
def config():
    return replace(recipes.tiny_sized(recipes.hashizume2024()), root="s3://bucket/csn")


def with_field(config, path, value):
    """`config` with another value at the dotted `path`."""
    name, _, rest = path.partition(".")
    if rest:
        value = with_field(getattr(config, name), rest, value)
    return replace(config, **{name: value})


@every_pretrained
def test_experiments_before_are_named_by_all_that_they_learn_from(name):
    config = recipes.ALL[name]()
    for kind, derived in (
        ("teachers", teachers(config)),
        ("pretraining", curriculum.pretraining_of(config)),
    ):
        assert derived.name == f"{kind}-{Paths(derived).training_digest}"


def test_teachers_are_individual_networks_on_triplets_of_single_parts(config):
    found = teachers(config)
    assert found.network.individual
    assert found.network.conditions == config.network.conditions
    assert found.plan_kind == "track_triplets"
    assert found.num_rows == config.start.teacher_triplets
    assert found.training.num_epochs == config.start.teacher_epochs
    assert found.training.batch_size == config.start.teacher_batch_size
    assert found.loss == LossConfig()
    assert found.start == StartConfig()
    assert not curriculum.before(found)
    assert curriculum.initial_uri(found) == ""


def test_pretraining_learns_targets_on_the_mixes_that_the_start_asks_for(config):
    found = curriculum.pretraining_of(config)
    assert found.plan_kind == "subsets"
    assert found.loss.kind == "target"
    assert found.loss.target_weight == 0
    assert found.mixing.subsets == config.start.pretraining == "mix_and_parts"
    assert found.mixing.num_mixes == config.start.pretraining_mixes
    assert found.training.num_epochs == config.start.pretraining_epochs
    assert found.network == config.network


def test_what_goes_before_takes_the_first_200_tracks_and_its_own_step_size():
    config = recipes.hashizume2024()
    for found in (teachers(config), curriculum.pretraining_of(config)):
        assert found.corpus.num_train_tracks == 200
        assert found.optimizer.learning_rate == 1e-3
    assert config.corpus.num_train_tracks == 1_200
    fewer = with_field(config, "corpus.num_train_tracks", 50)
    assert teachers(fewer).corpus.num_train_tracks == 50
    unlimited = with_field(
        with_field(config, "start.num_tracks", None), "corpus.num_train_tracks", None
    )
    assert teachers(unlimited).corpus.num_train_tracks is None


def test_pretraining_is_of_raw_subspaces_where_the_experiment_s_have_length_one():
    config = with_field(recipes.random_subsets(), "loss.presence_weight", 0.0)
    config = with_field(config, "network.unit_subspaces", True)
    assert not curriculum.pretraining_of(config).network.unit_subspaces
    assert not teachers(config).network.unit_subspaces


@pytest.mark.parametrize("size", ["", "demo_", "tiny_"])
def test_ablations_and_the_lab_s_system_share_teachers(size):
    names = ["aux_basic", "aux_basic_add"]
    configs = [recipes.ALL[f"{size}hashizume2024_{name}"]() for name in names]
    configs += [recipes.ALL[f"{size}{name}"]() for name in ("hashizume2024", "random_subsets")]
    taught_by = [teachers(config).name for config in configs]
    pretrained = [curriculum.pretraining_of(config).name for config in configs]
    # On composed tracks the ablations' teachers have few tracks, and the other systems' have all.
    same = [taught_by] if not size else [taught_by[:2], taught_by[2:]]
    assert [len(set(names)) for names in same] == [1] * len(same)
    assert len(set(taught_by)) == len(same)
    # The ablations share their pre-training too; the lab's is another.
    assert pretrained[0] == pretrained[1]
    assert (pretrained[2] == pretrained[0]) == (not size)
    assert pretrained[3] not in pretrained[:3]


@every_pretrained
def test_pretraining_asks_for_the_same_teachers_as_what_it_is_for(name):
    config = recipes.ALL[name]()
    assert teachers(curriculum.pretraining_of(config)) == teachers(config)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("loss.margin", 0.3),
        ("seed", 1),
        ("audio.segment_s", 2.0),
        ("frontend.num_mels", 64),
        ("network.subspace_dim", 5),
        ("start.teacher_epochs", 3),
        ("start.num_tracks", 7),
        ("triplets.hop_s", 0.5),
        ("corpus.name", "another"),
    ],
)
def test_what_teachers_learn_from_changes_their_name_and_that_of_pretraining(config, path, value):
    other = with_field(config, path, value)
    assert teachers(other).name != teachers(config).name
    assert curriculum.pretraining_of(other).name != curriculum.pretraining_of(config).name


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("mixing.num_mixes", 128),
        ("triplets.num_triplets", 128),
        ("triplets.interchanged", False),
        ("training.num_epochs", 9),
        ("training.batch_size", 8),
        ("optimizer.learning_rate", 1e-5),
        ("loss.target_weight", 0.5),
        ("loss.presence_weight", 0.5),
        ("loss.distance", "cosine"),
        ("network.unit_subspaces", False),
        ("start.pretraining_epochs", 9),
        ("start.pretraining", "random_subsets"),
        ("evaluation.k", 3),
        ("workers.num_train_workers", 2),
        ("name", "another"),
        ("on_existing", "overwrite"),
    ],
)
def test_what_comes_after_teachers_does_not_change_them(config, path, value):
    assert teachers(with_field(config, path, value)).name == teachers(config).name


@pytest.mark.parametrize(
    ("path", "value"),
    [("mixing.num_mixes", 128), ("training.num_epochs", 9), ("loss.target_weight", 0.5)],
)
def test_what_comes_after_pretraining_does_not_change_it(config, path, value):
    other = with_field(config, path, value)
    assert curriculum.pretraining_of(other).name == curriculum.pretraining_of(config).name


def test_pretraining_goes_before_and_the_teachers_before_it(config):
    assert [found.name.partition("-")[0] for found in curriculum.before(config)] == [
        "pretraining",
        "teachers",
    ]
    (first,) = curriculum.before(curriculum.pretraining_of(config))
    assert first == teachers(config)
    # Without targets of its own, an experiment asks teachers nothing: its pre-training does.
    lab = recipes.tiny_sized(recipes.random_subsets())
    assert curriculum.before(lab) == [curriculum.pretraining_of(lab)]
    assert curriculum.before(recipes.free_mixing()) == []
    assert curriculum.before(recipes.hashizume2022()) == []


def test_training_goes_on_from_the_best_network_of_pretraining(config):
    name = curriculum.pretraining_of(config).name
    expected = f"s3://bucket/csn/experiments/{name}/checkpoints/best"
    assert curriculum.initial_uri(config) == expected
    assert curriculum.teachers_uri(config) == (
        f"s3://bucket/csn/experiments/{teachers(config).name}/checkpoints/best"
    )


def test_named_teachers_are_taken_and_none_trained(config, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    named = with_field(config, "start.teachers_uri", "mine/best")
    # Workers may run in another folder.
    assert curriculum.teachers_uri(named) == str(tmp_path / "mine" / "best")
    (pretraining,) = curriculum.before(named)
    assert curriculum.before(pretraining) == []
    assert curriculum.teachers_uri(pretraining) == curriculum.teachers_uri(named)
    remote = with_field(config, "start.teachers_uri", "s3://bucket/best")
    assert curriculum.teachers_uri(remote) == "s3://bucket/best"
    assert curriculum.pretraining_of(remote).name != curriculum.pretraining_of(config).name


def test_named_checkpoint_is_gone_on_from(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    config = with_field(recipes.tiny(), "start.initial_checkpoint_uri", "mine/best")
    assert curriculum.initial_uri(config) == str(tmp_path / "mine" / "best")
    assert curriculum.before(config) == []
    assert curriculum.initial_uri(recipes.tiny()) == ""


OF_INSTRUMENTS = [r.__name__ for r in recipes.SYSTEMS if not r().network.of_concepts]


@pytest.mark.parametrize("name", OF_INSTRUMENTS)
def test_demo_sees_as_many_mixes_whatever_it_builds_on(name):
    def seen(config, found):
        per_row = 3 if config.loss.kind == "triplet" else 1
        found[config.name] = config.training.num_epochs * config.num_rows * per_row
        for earlier in curriculum.before(config):
            seen(earlier, found)
        return found

    stages = seen(recipes.ALL[f"demo_{name}"](), {})
    assert sum(stages.values()) == instruments.DEMO_EPOCHS * instruments.DEMO_MIXES
    assert len(set(stages.values())) == 1
