from dataclasses import replace

import made_up_triplets
import pyarrow as pa
import pytest

from csn import recipes
from csn.conditions import CONCEPTS
from csn.evaluation.comparison import compared_table, scored_systems
from csn.evaluation.triplet_scores import CONCEPT_TRIPLETS, HUMAN_TRIPLETS
from csn.records import SCORE_SCHEMA
from csn.reports.published import NOTICE as OF_SLAKH
from csn.reports.published_r22 import BEST_SUBSETS, NETWORKS, SINGLES, in_words
from csn.reports.text_tables import MISSING, compared_text
from csn.reports.triplet_tables import (
    best_table,
    concept_table,
    network_table,
    singles_table,
    systems_of,
    triplet_systems,
    triplet_tables,
)


def rows_of(table, kind):
    return [(row.label, row.cells) for row in table.rows if row.kind == kind]


def human(condition, num_correct, *, system="csn", seed=0):
    """85 of 120 are 70.8 ± 8.2, as in [H24] Table 3."""
    return {
        "protocol": HUMAN_TRIPLETS,
        "system": system,
        "condition": condition,
        "focus": "human",
        "duration_s": 3.0,
        "num_queries": 120,
        "num_correct": num_correct,
        "num_missing": 3,
        "accuracy": num_correct / 120,
        "low": 0.0,
        "high": 1.0,
        "chance": 0.5,
        "seed": seed,
    }


def ruled(condition, focus, accuracy, *, system="csn"):
    row = human(condition, 0, system=system)
    interval = {"accuracy": accuracy, "low": accuracy - 0.02, "high": accuracy + 0.04}
    return row | {"protocol": CONCEPT_TRIPLETS, "focus": focus} | interval


def table(*rows):
    return pa.Table.from_pylist(list(rows), schema=SCORE_SCHEMA)


@pytest.fixture(scope="module")
def made_up():
    config = recipes.ALL["demo_ribecky2022"]()
    return systems_of(made_up_triplets.scores(CONCEPTS), config)


def test_networks_stand_above_the_printed_ones():
    config = recipes.ALL["ribecky2022"]()
    scores = table(
        *[human(name, 70) for name in CONCEPTS],
        human("all", 85),
        human("all", 60, system="mean_mel"),
    )
    found = network_table(systems_of(scores, config))
    assert rows_of(found, "ours") == [
        ("csn", ("6", "yes", "384", "70.8 ± 8.2", "120", "3")),
        ("mean_mel", (*[MISSING] * 3, "50.0 ± 9.0", "120", "3")),
    ]
    printed = rows_of(found, "printed")
    assert len(printed) == len(NETWORKS)
    # 1.96 sqrt(0.838 * 0.162 / 425) = 0.035.
    assert printed[-1] == ("[R22] proposed", ("6", "yes", "384", "83.80 ± 3.5", "426", MISSING))
    assert printed[1][1][0] == MISSING


def test_several_seeds_have_a_mean_and_their_spread():
    by_seed = [table(human("all", n, seed=seed)) for seed, n in enumerate((84, 85, 86))]
    scores = compared_table([("a", one) for one in by_seed])
    found = network_table(triplet_systems(scored_systems(scores)))
    # The deviation of 84, 85 and 86 is 1; of 120 that is 0.8 %.
    assert rows_of(found, "ours")[0][1][3:] == ("70.8 ± 8.2", "120", "3", "0.8")
    assert rows_of(found, "printed")[0][1][-1] == MISSING


def test_every_row_has_a_cell_for_each_column(made_up):
    for found in triplet_tables(made_up):
        assert {len(row.cells) for row in found.rows} == {len(found.columns)}


def test_subsets_are_named_as_in_the_paper(made_up):
    found = best_table(made_up)
    assert [label for label, _ in rows_of(found, "printed")] == [
        "[R22]: all",
        "[R22]: without tempo",
        "[R22]: genre + instrument + era + tempo",
        "[R22]: without key",
        "[R22]: without instrument",
        "[R22]: genre + mood + instrument + era",
    ]
    ours = rows_of(found, "ours")
    assert len(ours) == 6
    assert {label.partition(":")[0] for label, _ in ours} == {"csn"}
    rates = [float(cells[0].split()[0]) for _, cells in ours]
    assert rates == sorted(rates, reverse=True)


def test_each_condition_alone_is_a_column(made_up):
    found = singles_table(made_up)
    assert found.columns == (*CONCEPTS, "all")
    assert [label for label, _ in rows_of(found, "ours")] == ["csn", "untrained", "mean_mel"]
    assert rows_of(found, "ours")[2][1][:6] == (MISSING,) * 6
    (printed,) = rows_of(found, "printed")
    assert printed[1][4] == "57.98 ± 4.7"


def test_concepts_are_asked_in_their_own_subspace_and_by_the_whole():
    scores = table(
        ruled("genre", "genre", 0.8),
        ruled("genre", "key", 0.6),
        ruled("key", "key", 0.7),
        ruled("all", "genre", 0.9),
        ruled("all", "key", 0.5, system="mean_mel"),
    )
    found = concept_table(systems_of(scores))
    assert found.columns == ("genre", "key", "mean")
    assert rows_of(found, "ours") == [
        ("csn, own subspace", ("80.0 ± 3.0", "70.0 ± 3.0", "75.0")),
        ("csn, whole", ("90.0 ± 3.0", MISSING, "90.0 (1)")),
        ("mean_mel", (MISSING, "50.0 ± 3.0", "50.0 (1)")),
    ]


def test_nothing_scored_is_no_table(made_up):
    assert triplet_tables([]) == []
    alone = [replace(one, human={}, whole=None) for one in made_up]
    assert [found.columns[-1] for found in triplet_tables(alone)] == ["mean"]


def test_text_says_that_the_printed_rows_are_of_another_corpus():
    text = compared_text([network_table([])])
    assert "Million Song Dataset" in text
    assert OF_SLAKH not in text


@pytest.mark.parametrize("share", [*BEST_SUBSETS.values(), *SINGLES.values()])
def test_printed_shares_are_counts_of_the_triplets(share):
    assert round(round(share * 426) / 426, 4) == share


def test_printed_tables_agree_on_the_last_network():
    assert NETWORKS[-1].score == BEST_SUBSETS[CONCEPTS]
    assert NETWORKS[2].num_correct == 353


def test_one_of_two_conditions_is_named_itself():
    assert in_words(("genre",), ("genre", "mood")) == "genre"
    assert in_words(("genre", "mood"), ("genre", "mood")) == "all"
