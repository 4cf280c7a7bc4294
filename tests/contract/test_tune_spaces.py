"""Rules that hold for every search space."""

from pathlib import Path

import pytest

from csn import recipes
from csn.config import from_json, to_json
from csn.config.overrides import with_overrides
from csn.distributed.sweep_checks import NOT_VARIED, reported_metrics
from csn.errors import ConfigError
from csn.search_space import load_search_space

SPACES = sorted((Path(__file__).parents[2] / "tune_spaces").glob("*.toml"))
every_space = pytest.mark.parametrize("path", SPACES, ids=lambda path: path.stem)


def recipes_for(space):
    """Recipes of which the space varies something; it must take all that it may draw."""
    found = {}
    for name, recipe in recipes.ALL.items():
        try:
            found[name] = space.of(recipe())
        except ConfigError as error:
            assert "varies nothing" in str(error), f"{name}: {error}"  # noqa: PT017
    return found


@every_space
def test_space_asks_one_question_at_its_top(path):
    question = load_search_space(path).question
    assert question.endswith("?")
    assert question.count("?") == 1


@every_space
def test_space_fits_every_recipe_that_it_varies(path):
    space = load_search_space(path)
    found = recipes_for(space)
    needs_several_inputs = path.stem == "branches"
    assert set(found) == {
        name
        for name, recipe in recipes.ALL.items()
        if not needs_several_inputs or recipe().network.encoder == "inception"
    }
    for name, own in found.items():
        config = recipes.ALL[name]()
        for values in (own.example(config), *own.random(config, 3, seed=0)):
            varied = with_overrides(config, values)
            assert from_json(to_json(varied)) == varied


@every_space
def test_space_is_judged_by_a_metric_of_each_recipe(path):
    space = load_search_space(path)
    for name in recipes_for(space):
        known = reported_metrics(recipes.ALL[name]())
        assert set(space.metrics) & set(known), name


@every_space
def test_space_varies_nothing_that_is_prepared_once(path):
    sections = {field.name.partition(".")[0] for field in load_search_space(path).fields}
    assert not sections & set(NOT_VARIED)
