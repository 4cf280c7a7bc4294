"""Rules that hold for every recipe."""

import inspect
import json

import pytest

from csn import cli, recipes
from csn.conditions import CONCEPTS, INSTRUMENTS, MIX
from csn.config import ExperimentConfig, from_json, to_json

every_recipe = pytest.mark.parametrize("name", recipes.ALL)


@every_recipe
def test_recipe_is_a_function_of_its_own_name(name):
    assert recipes.ALL[name].__name__ == name
    size, _, plain = name.partition("_")
    home = plain if size in ("demo", "tiny", "large") and plain else name
    assert getattr(recipes, home) is recipes.ALL[home]


@every_recipe
def test_recipe_says_in_a_line_what_it_is_for(name):
    text = recipes.ALL[name].__doc__
    assert text
    assert "\n" not in text
    assert text.endswith(".")


@every_recipe
def test_recipe_takes_nothing_and_gives_an_experiment(name):
    assert not inspect.signature(recipes.ALL[name]).parameters
    assert isinstance(recipes.ALL[name](), ExperimentConfig)


@every_recipe
def test_experiment_is_named_after_its_recipe(name):
    # Without --name, results of two recipes must not meet in one folder.
    assert recipes.ALL[name]().name == name


@every_recipe
def test_json_round_trip_is_exact(name):
    config = recipes.ALL[name]()
    text = to_json(config)
    assert from_json(text) == config
    assert to_json(from_json(text)) == text
    json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


@every_recipe
def test_conditions_are_those_of_a_paper_in_its_order_and_the_mix_after_them(name):
    network = recipes.ALL[name]().network
    known = (*INSTRUMENTS, MIX) if network.individual else INSTRUMENTS
    known = CONCEPTS if network.of_concepts else known
    assert set(network.conditions) <= set(known)
    assert list(network.conditions) == sorted(network.conditions, key=known.index)


@every_recipe
def test_every_duration_is_a_whole_number_of_seconds_and_of_level_frames(name):
    config = recipes.ALL[name]()
    durations = (*config.evaluation.durations_s, config.training.validation_duration_s)
    for duration_s in durations:
        assert duration_s == round(duration_s) > 0
        assert (duration_s / config.audio.level_hop_s).is_integer()


@every_recipe
def test_command_line_gives_the_recipe_and_overrides_it(name):
    assert cli.experiment([name]) == recipes.ALL[name]()
    assert cli.experiment([name, "--seed", "123"]).seed == 123


def test_no_public_function_of_the_module_is_left_out():
    functions = {
        name
        for module in (recipes, recipes.instruments, recipes.concepts)
        for name, value in vars(module).items()
        if inspect.isfunction(value)
        and value.__module__ == module.__name__
        and not name.startswith("_")
        and not inspect.signature(value).parameters  # what gives a recipe another size takes one
    }
    assert functions == {"demo", "tiny"} | {recipe.__name__ for recipe in recipes.SYSTEMS}


def test_every_system_comes_in_three_sizes_and_those_for_instruments_in_a_fourth():
    systems = {recipe.__name__ for recipe in recipes.SYSTEMS}
    sized = {f"{size}_{name}" for size in ("demo", "tiny") for name in systems}
    large = {f"large_{recipe.__name__}" for recipe in recipes.OF_INSTRUMENTS}
    assert set(recipes.ALL) == {"demo", "tiny"} | systems | sized | large
