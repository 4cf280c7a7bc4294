from dataclasses import replace

import pyarrow as pa
import pytest

from csn import recipes
from csn.conditions import INSTRUMENTS, MIX
from csn.evaluation.comparison import (
    COMPARED_SCHEMA,
    Asked,
    Comparison,
    Spread,
    compared_table,
    mean_scores,
    missing_seeds,
    scored_systems,
)
from csn.records import SCORE_SCHEMA


def score(condition, accuracy, seed, *, system="csn", protocol="music_id", focus=None):
    return {
        "protocol": protocol,
        "system": system,
        "condition": condition,
        "focus": focus or condition,
        "duration_s": 3.0,
        "accuracy": accuracy,
        "chance": 0.1,
        "seed": seed,
    }


def table(*rows):
    return pa.Table.from_pylist(list(rows), schema=SCORE_SCHEMA)


@pytest.fixture
def comparison():
    tiny = {
        name: replace(recipes.ALL[name](), root="somewhere")
        for name in ("tiny_hashizume2022", "tiny_free_mixing", "tiny")
    }
    return Comparison("side", tiny, (3, 5))


def test_every_recipe_and_seed_is_an_experiment_of_its_own(comparison):
    entries = comparison.entries()
    assert [entry.name for entry in entries] == [
        f"{recipe}-seed{seed}"
        for seed in (3, 5)
        for recipe in ("tiny_hashizume2022", "tiny_free_mixing", "tiny")
    ]
    assert all(entry.config.seed == entry.seed for entry in entries)
    assert entries[0].config.network == comparison.recipes["tiny_hashizume2022"].network


def test_baselines_are_scored_beside_one_recipe_that_both_protocols_ask(comparison):
    assert comparison.first_scored == ("tiny_free_mixing",)
    scored = {e.recipe for e in comparison.entries() if e.config.evaluation.baselines}
    assert scored == {"tiny_free_mixing"}


def test_individual_networks_have_the_baselines_where_there_is_nothing_else():
    alone = Comparison("alone", {"tiny_hashizume2022": recipes.ALL["tiny_hashizume2022"]()}, (0,))
    assert alone.first_scored == ("tiny_hashizume2022",)


def test_mean_goes_over_instruments_and_leaves_the_mix_out():
    rows = [
        score(name, 0.1 * place, seed)
        for seed in (0, 1)
        for place, name in enumerate((*INSTRUMENTS, MIX))
    ]
    (system,) = scored_systems(compared_table([("a", table(*rows))]))
    found = system.mean("music_id", 3.0)
    assert found is not None
    spread, num = found
    assert num == 5
    assert spread.by_seed == pytest.approx({0: 0.2, 1: 0.2})
    own = system.own("music_id", 3.0, MIX)
    assert own is not None
    assert own.mean == pytest.approx(0.5)


def test_mean_is_over_the_same_instruments_for_every_seed():
    rows = [score("drums", 0.4, 0), score("drums", 0.6, 1), score("bass", 1.0, 0)]
    (system,) = scored_systems(compared_table([("a", table(*rows))]))
    found = system.mean("music_id", 3.0)
    assert found is not None
    assert found[0].by_seed == {0: 0.4, 1: 0.6}
    assert found[1] == 1
    assert system.mean("pseudo_mix_id", 3.0) is None


def test_baseline_appears_once_and_after_the_recipes():
    rows = [score("drums", 0.5, 0), score("drums", 0.2, 0, system="untrained")]
    scores = compared_table([("a", table(*rows)), ("b", table(*rows))])
    assert scores.schema.equals(COMPARED_SCHEMA)
    systems = scored_systems(scores)
    assert [(s.label, s.recipe) for s in systems] == [("a", "a"), ("b", "b"), ("untrained", "a")]


def test_scores_that_are_no_numbers_are_left_out():
    rows = [score("drums", float("nan"), 0), score("drums", None, 1), score("drums", 0.5, 2)]
    (system,) = scored_systems(compared_table([("a", table(*rows))]))
    assert system.spreads[Asked("music_id", 3.0, "drums", "drums")].by_seed == {2: 0.5}


def test_one_seed_has_no_spread():
    assert Spread({0: 0.5}).variance is None
    assert Spread({0: 0.5}).deviation is None


def test_scores_are_averaged_pair_by_pair():
    rows = [
        score("drums", value, seed, protocol="pseudo_mix_id", focus="bass")
        for seed, value in enumerate((0.2, 0.4))
    ]
    (system,) = scored_systems(compared_table([("a", table(*rows))]))
    (mean,) = mean_scores(system).to_pylist()
    assert (mean["condition"], mean["focus"], mean["chance"]) == ("drums", "bass", 0.1)
    assert mean["accuracy"] == pytest.approx(0.3)


def test_seeds_without_a_score_are_named():
    systems = scored_systems(compared_table([("a", table(score("drums", 0.5, 1)))]))
    assert missing_seeds(systems, ["a", "b"], [0, 1]) == {"a": [0], "b": [0, 1]}
    assert missing_seeds(systems, ["a"], [1]) == {}


def test_no_tables_are_an_empty_one():
    assert compared_table([]).schema.equals(COMPARED_SCHEMA)
    assert scored_systems(compared_table([])) == []


def test_baselines_are_scored_once_for_instruments_and_once_for_concepts():
    names = ("tiny_ribecky2022", "tiny", "tiny_ribecky2022_mel", "tiny_free_mixing")
    both = Comparison("both", {name: recipes.ALL[name]() for name in names}, (0,))
    assert both.first_scored == ("tiny", "tiny_ribecky2022")
    assert both.of_concepts == ("tiny_ribecky2022", "tiny_ribecky2022_mel")
    of_concepts = score("all", 0.5, 0, system="untrained", protocol="human_triplets")
    scores = compared_table(
        [
            ("tiny", table(score("drums", 0.2, 0, system="untrained"))),
            ("tiny_ribecky2022", table(of_concepts)),
            ("tiny_ribecky2022_mel", table(of_concepts)),
        ]
    )
    assert [(one.label, one.recipe) for one in scored_systems(scores)] == [
        ("untrained", "tiny"),
        ("untrained", "tiny_ribecky2022"),
    ]


def test_counts_are_the_worst_over_seeds():
    rows = [
        score("drums", 0.5, seed) | counted
        for seed, counted in enumerate(
            [
                {"num_queries": 10, "num_missing": 3, "low": 0.4, "high": 0.6},
                {"num_queries": 12, "num_missing": 1, "low": 0.3, "high": 0.7},
            ]
        )
    ]
    (system,) = scored_systems(compared_table([("a", table(*rows))]))
    assert system.counts[Asked("music_id", 3.0, "drums", "drums")] == pytest.approx((10, 3, 0.15))
