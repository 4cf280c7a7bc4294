import pytest

from csn import cli, recipes
from csn.config import to_json
from csn.errors import ConfigError

LOSS = """# How far?
metric = "val/pseudo_mix_id/mean"
num_samples = 5
[space]
"loss.margin" = { uniform = [0.1, 0.5], when = { "loss.kind" = "triplet" } }
"""
GRID = LOSS.replace("uniform = [0.1, 0.5]", "grid = [0.1, 0.2, 0.3]")


@pytest.fixture
def loss(tmp_path):
    path = tmp_path / "loss.toml"
    path.write_text(LOSS)
    return str(path)


def test_without_a_word_the_demo_is_swept():
    found = cli.sweep([])
    assert (found.name, found.recipe, found.space.name) == ("demo-loss", "demo", "loss")
    assert found.config == recipes.demo()
    assert found.final_seeds == (0, 1, 2)


def test_options_of_the_sweep_and_of_its_trials(loss):
    words = f"tiny --space {loss} --num_samples 3 --search random --scheduler none --name mine"
    words += " --max_concurrent 2 --final_seeds 4 --loss.margin 0.3 --root there"
    found = cli.sweep(words.split())
    assert (found.name, found.num_samples, found.search, found.scheduler) == (
        "mine",
        3,
        "random",
        "none",
    )
    assert (found.max_concurrent, found.final_seeds) == (2, (4,))
    assert (found.config.loss.margin, found.config.root, found.config.name) == (
        0.3,
        "there",
        "tiny",
    )


def test_number_of_trials_is_the_spaces_or_a_whole_grid(loss, tmp_path):
    assert cli.sweep(["tiny", "--space", loss, "--final_seeds"]).num_samples == 5
    path = tmp_path / "grid.toml"
    path.write_text(GRID)
    assert cli.sweep(["tiny", "--space", str(path), "--search", "grid"]).num_samples == 3


def test_space_may_say_how_it_is_searched_and_the_command_line_otherwise(tmp_path):
    path = tmp_path / "grid.toml"
    path.write_text(GRID.replace("num_samples = 5", 'num_samples = 5\nsearch = "grid"'))
    found = cli.sweep(["tiny", "--space", str(path)])
    assert (found.search, found.num_samples) == ("grid", 3)
    found = cli.sweep(["tiny", "--space", str(path), "--search", "random"])
    assert (found.search, found.num_samples) == ("random", 5)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("nope", "unknown recipe 'nope'"),
        ("tiny --num_samples 0", "num_samples=0 must be at least 1"),
        ("tiny --num_samples x", "--num_samples"),
        ("tiny --max_concurrent 0", "max_concurrent=0 must be at least 1"),
        ("tiny --search hyperband", "--search.*hyperband.*optuna"),
        ("tiny --search grid", r"a grid has no end with loss\.margin"),
        ("tiny --name a/b", "name='a/b'"),
        ("demo", r"loss varies nothing of this configuration: loss\.margin only with"),
        ("tiny --loss.margn 3", r"did you mean --loss\.margin"),
        ("tiny --space nowhere.toml", r"nowhere\.toml: No such file"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(words, told, loss):
    given = words.split()
    if "--space" not in given:
        given += ["--space", loss]
    with pytest.raises(ConfigError, match=told) as caught:
        cli.sweep(given)
    assert "\n" not in str(caught.value)


def test_help_shows_the_sweeps_own_options(capsys):
    with pytest.raises(SystemExit) as left:
        cli.sweep(["tiny", "--help"])
    assert not left.value.code
    shown = capsys.readouterr().out
    assert "--num_samples" in shown
    assert "--loss.margin" in shown


def test_configuration_from_a_file_stands_for_a_recipe(tmp_path):
    path = tmp_path / "best.json"
    config = recipes.ALL["tiny_free_mixing"]()
    path.write_text(to_json(config))
    assert cli.experiment(["--config", str(path)]) == config
    assert cli.experiment([f"--config={path}", "--seed", "7"]).seed == 7
    with pytest.raises(ConfigError, match=r"give a recipe \(tiny\) or --config .*, not both"):
        cli.experiment(["tiny", "--config", str(path)])
    with pytest.raises(ConfigError, match=r"--config .*none\.json"):
        cli.experiment(["--config", str(tmp_path / "none.json")])
    path.write_text('{"name": "a", "nme": 3}')
    with pytest.raises(ConfigError, match=r"not a configuration of this version: nme"):
        cli.experiment(["--config", str(path)])
