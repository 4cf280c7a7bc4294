import pytest

from csn import cli, recipes
from csn.errors import ConfigError


def test_without_a_word_the_demos_are_compared():
    found = cli.comparison([])
    assert tuple(found.recipes) == cli.COMPARED_RECIPES
    assert (found.name, found.seeds) == (cli.COMPARISON_NAME, (0,))


def test_words_before_the_first_option_are_recipes():
    found = cli.comparison(["tiny", "demo", "--seeds", "0", "2", "--name", "ours"])
    assert list(found.recipes) == ["tiny", "demo"]
    assert (found.name, found.seeds) == ("ours", (0, 2))


def test_options_hold_for_all_recipes():
    words = (
        "tiny demo --root there --training.num_epochs 7 --evaluation.durations_s 3 10 --seeds 1"
    )
    found = cli.comparison(words.split())
    assert found.root == "there"
    for config in found.recipes.values():
        assert config.training.num_epochs == 7
        assert config.evaluation.durations_s == (3.0, 10.0)
    assert found.recipes["tiny"].network == recipes.tiny().network


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("foo tiny bar", ["'foo'", "'bar'", "there are demo"]),
        ("tiny demo --training.num_epoch 3", ["--training.num_epoch", "recipe tiny, demo"]),
        ("tiny --training.batch_size 0", ["training.batch_size=0"]),
        ("tiny --seeds x", ["--seeds"]),
        ("tiny --seeds", ["--seeds"]),
        ("tiny --seeds -1", ["seed=-1"]),
        ("tiny --seed 3", ["--seeds 3"]),
        ("tiny tiny", ["tiny is named twice"]),
        ("tiny --seeds 1 1", ["1 is named twice"]),
        ("tiny --name a/b", ["name='a/b'"]),
    ],
)
def test_what_is_wrong_is_said_in_a_line(words, told):
    with pytest.raises(ConfigError) as caught:
        cli.comparison(words.split())
    assert "\n" not in str(caught.value)
    assert all(part in str(caught.value) for part in told)


def test_help_shows_the_comparisons_own_options(capsys):
    with pytest.raises(SystemExit) as left:
        cli.comparison(["tiny", "--help"])
    assert not left.value.code
    shown = capsys.readouterr().out
    assert "--seeds" in shown
    assert "--loss.margin" in shown
