import numpy as np
import pytest

from csn.conditions import SubspaceLayout
from csn.evaluation.triplet_prediction import (
    HumanTriplet,
    TrackVectors,
    TripletScore,
    subset_scores,
)
from csn.reports.comparison_tables import MISSING, PRINTED_NOTICE, compared_text
from csn.reports.published_r22 import BEST_SUBSETS, CONCEPTS, NETWORKS, SINGLES, in_words
from csn.reports.triplet_tables import TripletSystem, network_table, subset_tables


def rows_of(table, kind):
    return [(row.label, row.cells) for row in table.rows if row.kind == kind]


def test_networks_stand_above_the_printed_ones():
    ours = TripletSystem("multi", 6, True, 384, TripletScore(85, 120, 3, 2))
    table = network_table([ours])
    # 85 of 120 are 70.8 ± 8.2, as in [H24] Table 3.
    assert rows_of(table, "ours") == [("multi", ("6", "yes", "384", "70.8 ± 8.2", "120", "3"))]
    printed = rows_of(table, "printed")
    assert len(printed) == len(NETWORKS)
    # 1.96 sqrt(0.838 * 0.162 / 425) = 0.035.
    assert printed[-1] == ("[R22] proposed", ("6", "yes", "384", "83.8 ± 3.5", "426", MISSING))
    assert printed[1][1][0] == MISSING


def test_every_row_has_a_cell_for_each_column():
    table = network_table([])
    assert {len(row.cells) for row in table.rows} == {len(table.columns)}


def test_subsets_are_named_as_in_the_paper():
    rng = np.random.default_rng(0)
    tracks = TrackVectors(np.array(list("abc")), rng.normal(size=(3, 6)))
    triplets = [HumanTriplet("a", "b", "c"), HumanTriplet("b", "c", "a")]
    best, alone = subset_tables(subset_scores(tracks, SubspaceLayout(CONCEPTS, 1), triplets), "x")
    assert [label for label, _ in rows_of(best, "printed")] == [
        "[R22]: all",
        "[R22]: without tempo",
        "[R22]: genre + instrument + era + tempo",
        "[R22]: without key",
        "[R22]: without instrument",
        "[R22]: genre + mood + instrument + era",
    ]
    assert len(rows_of(best, "ours")) == 6
    assert [label for label, _ in rows_of(alone, "ours")] == [f"x: {name}" for name in CONCEPTS]
    assert rows_of(alone, "printed")[4] == ("[R22]: tempo", ("58.0 ± 4.7", "426", MISSING))


def test_nothing_scored_is_no_table():
    assert subset_tables([], "x") == []


def test_text_says_that_the_printed_rows_are_of_another_corpus():
    text = compared_text([network_table([])])
    assert "Million Song Dataset" in text
    assert PRINTED_NOTICE not in text


@pytest.mark.parametrize("share", [*BEST_SUBSETS.values(), *SINGLES.values()])
def test_printed_shares_are_counts_of_the_triplets(share):
    assert round(round(share * 426) / 426, 4) == share


def test_printed_tables_agree_on_the_last_network():
    assert NETWORKS[-1].score == BEST_SUBSETS[CONCEPTS]
    assert NETWORKS[2].num_correct == 353


def test_one_of_two_conditions_is_named_itself():
    assert in_words(("genre",), ("genre", "mood")) == "genre"
    assert in_words(("genre", "mood"), ("genre", "mood")) == "all"
