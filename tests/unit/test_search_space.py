import numpy as np
import pytest

from csn import recipes
from csn.config.overrides import value_of, with_overrides
from csn.errors import ConfigError
from csn.search_space import Sweep, load_search_space, read_search_space

HEAD = 'metric = "val/pseudo_mix_id/mean"\nnum_samples = 4\n[space]\n'
MIXED = """# Which one?
metric = "m"
mode = "min"
num_samples = 4
[space]
"loss.kind" = { choice = ["triplet", "contrastive"] }
"loss.margin" = { uniform = [0.1, 0.3], when = { "loss.kind" = "triplet" } }
"loss.temperature" = { loguniform = [0.01, 1.0], when = { "loss.kind" = ["contrastive"] } }
"network.subspace_dim" = { grid = [4, 8] }
"training.batch_size" = { integer = [8, 16, 4] }
"""


def space_of(text):
    return read_search_space("space", HEAD + text)


@pytest.fixture
def mixed():
    return read_search_space("mixed", MIXED)


def test_file_says_what_is_varied(mixed):
    assert (mixed.question, mixed.mode, mixed.metrics) == ("Which one?", "min", ("m",))
    assert [field.kind for field in mixed.fields] == [
        "choice",
        "uniform",
        "loguniform",
        "grid",
        "integer",
    ]
    assert mixed.fields[4].all_values == (8, 12, 16)


def test_conditions_look_at_what_was_drawn_before(mixed):
    config = recipes.tiny()
    drawn = mixed.random(config, 20, seed=0)
    assert len({repr(values) for values in drawn}) == 20
    for values in drawn:
        is_triplet = values["loss.kind"] == "triplet"
        assert ("loss.margin" in values) == is_triplet
        assert ("loss.temperature" in values) != is_triplet
        found = with_overrides(config, values)
        assert all(value_of(found, name) == value for name, value in values.items())
    assert mixed.random(config, 20, seed=0) == drawn


def test_conditions_look_at_the_configuration():
    space = space_of(
        '"loss.margin" = { grid = [0.1, 0.2], when = { "training.patience" = "none" } }'
    )
    assert space.of(recipes.tiny()).example(recipes.tiny()) == {"loss.margin": 0.1}
    with pytest.raises(ConfigError, match=r"varies nothing .* only with training\.patience=none"):
        space.of(recipes.hashizume2024())


def test_grid_has_every_combination_and_no_ranges(mixed):
    text = '"network.subspace_dim" = { grid = [4, 8] }\n"loss.kind" = { choice = ["triplet"] }'
    config = recipes.tiny()
    assert space_of(text).grid(config) == [
        {"network.subspace_dim": 4, "loss.kind": "triplet"},
        {"network.subspace_dim": 8, "loss.kind": "triplet"},
    ]
    with pytest.raises(ConfigError, match=r"no end with loss\.margin, loss\.temperature"):
        mixed.grid(config)


def test_log_uniform_draws_every_decade_alike():
    space = space_of('"optimizer.learning_rate" = { loguniform = [1e-5, 1e-1] }')
    drawn = space.random(recipes.tiny(), 400, seed=1)
    decades = np.floor(np.log10([values["optimizer.learning_rate"] for values in drawn]))
    assert all(70 < (decades == decade).sum() < 130 for decade in (-5, -4, -3, -2))


def test_lists_stand_for_tuples():
    space = space_of('"frontend.branches" = { choice = [["mel"], ["mel", "cens"]] }')
    config = recipes.tiny_sized(recipes.ribecky2022())
    found = [with_overrides(config, values).frontend.branches for values in space.grid(config)]
    assert found == [("mel",), ("mel", "cens")]


def test_what_optuna_draws_of_a_list_are_places(mixed):
    drawn = {"loss.kind": 1, "loss.temperature": 0.5, "network.subspace_dim": 0}
    assert mixed.decoded(drawn, "listed") == {
        "loss.kind": "contrastive",
        "loss.temperature": 0.5,
        "network.subspace_dim": 4,
    }
    assert mixed.decoded({"listed": '{"loss.margin": 0.1}'}, "listed") == {"loss.margin": 0.1}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            '"loss.margn" = { grid = [1] }',
            r"loss\.margn: LossConfig has no field 'margn'; it has ",
        ),
        ('"lss.margin" = { grid = [1] }', r"lss\.margin: ExperimentConfig has no field 'lss'"),
        ('"loss" = { grid = [1] }', r"loss is a section; name one of its fields: loss\.kind"),
        ('"loss.margin" = { grid = [-1, 1] }', r"loss\.margin=-1\.0 must be positive"),
        ('"loss.margin" = { choice = ["wide"] }', r"loss\.margin='wide': .*valid number"),
        ('"loss.margin" = { uniform = [0.0, 1.0] }', r"loss\.margin=0\.0 must be positive"),
        (
            '"network.subspace_dim" = { uniform = [1, 9] }',
            r"network\.subspace_dim=1\.0: .*integer",
        ),
        ('"loss.kind" = { choice = ["triplet", "hinge"] }', r"loss\.kind='hinge': .*'triplet'"),
        (
            '"loss.margin" = { grid = [1], when = { "loss.knd" = "triplet" } }',
            r"loss\.knd: LossConfig has no field 'knd'",
        ),
    ],
)
def test_what_the_configuration_refuses_is_named(text, told):
    with pytest.raises(ConfigError, match=told):
        space_of(text).of(recipes.tiny())


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('"loss.margin" = { uniform = [1] }', "two numbers, the lower first"),
        ('"loss.margin" = { uniform = [2, 1] }', "two numbers, the lower first"),
        ('"loss.margin" = { loguniform = [0, 1] }', "greater than 0"),
        ('"loss.margin" = { grid = [2, 1] }', "rising order"),
        ('"loss.margin" = { grid = ["a"] }', "must be numbers"),
        ('"loss.margin" = { choice = [] }', "a list of values"),
        ('"seed" = { integer = [0.5, 2] }', "two whole numbers"),
        ('"loss.margin" = { normal = [0, 1] }', "a table of one of uniform, loguniform"),
        ("loss.margin = { grid = [1] }", "a name with dots stands in quotes"),
        ('"loss.margin" = { grid = [1], when = 3 }', "must be a table of fields and values"),
        ("= 3", "not TOML"),
    ],
)
def test_what_is_wrong_in_a_file_is_said(text, told):
    with pytest.raises(ConfigError, match=told):
        space_of(text)


@pytest.mark.parametrize(
    ("head", "told"),
    [
        ("num_samples = 1\n", "metric=None must be the name"),
        ('metric = "m"\nnum_samples = 0\n', "num_samples=0 must be a whole number"),
        ('metric = "m"\nnum_samples = 1\nmode = "up"\n', "mode='up' must be max or min"),
        ('metric = "m"\nnum_samples = 1\nsamples = 2\n', "unknown samples; there are metric"),
        ('metric = "m"\nnum_samples = 1\nkeep_start = 1\n', "must be true or false"),
    ],
)
def test_what_is_wrong_in_a_head_is_said(head, told):
    with pytest.raises(ConfigError, match=told):
        read_search_space("space", f'{head}[space]\n"loss.margin" = {{ grid = [1] }}')


def test_file_that_is_not_there_is_named_with_those_beside_it(tmp_path):
    (tmp_path / "loss.toml").write_text(MIXED)
    with pytest.raises(ConfigError, match=r"los\.toml: No such file.*there are .*loss\.toml"):
        load_search_space(tmp_path / "los.toml")


def test_sweep_lists_what_does_not_depend_on_results():
    config = recipes.tiny()
    space = space_of('"loss.margin" = { grid = [0.1, 0.2, 0.3] }').of(config)
    sweep = {"name": "s", "recipe": "tiny", "config": config, "space": space}
    whole = Sweep(**sweep, num_samples=9, search="grid").listed()
    assert [values["loss.margin"] for values in whole] == [0.1, 0.2, 0.3]
    some = Sweep(**sweep, num_samples=2, search="grid").listed()
    assert len(some) == 2
    assert all(values in whole for values in some)
    assert len(Sweep(**sweep, num_samples=9, search="random").listed()) == 3
    with pytest.raises(ConfigError, match="num_samples=0 must be at least 1"):
        Sweep(**sweep, num_samples=0)
