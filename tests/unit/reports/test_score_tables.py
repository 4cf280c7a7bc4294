import math

import numpy as np
import pytest

from csn.conditions import ALL
from csn.reports.score_tables import leak_matrices, score_tables


def test_mean_is_over_instruments_and_not_the_whole_embedding(score, table):
    rows = [
        score("music_id", "csn", "drums", 0.9),
        score("music_id", "csn", "bass", 0.5),
        score("music_id", "csn", ALL, 1.0),
    ]
    (found,) = score_tables(table(rows))
    assert found.columns == ("drums", "bass", ALL)
    assert found.rows[0].mean == pytest.approx(0.7)
    assert found.rows[0].cells[ALL].accuracy == 1.0
    assert found.mean_chance == pytest.approx(0.1)


def test_pseudo_mix_table_holds_only_instruments_asked_in_their_own_subspace(score, table):
    rows = [
        score("pseudo_mix_id", "csn", "drums", 0.8),
        score("pseudo_mix_id", "csn", "drums", 0.3, focus="bass"),
        score("pseudo_mix_id", "csn", "bass", 0.2, focus="drums"),
        score("pseudo_mix_id", "csn", "bass", 0.6),
    ]
    (found,) = score_tables(table(rows))
    assert {name: cell.accuracy for name, cell in found.rows[0].cells.items()} == {
        "drums": 0.8,
        "bass": 0.6,
    }


def test_tables_are_ordered_by_protocol_and_length_and_rows_by_system(score, table):
    rows = [
        score("pseudo_mix_id", "csn", "bass", 0.5, duration_s=10.0),
        *[score("music_id", s, "bass", 0.5) for s in ("other", "mean_mel", "untrained", "csn")],
        score("music_id", "csn", "bass", 0.5, duration_s=10.0),
    ]
    found = score_tables(table(rows))
    assert [(t.protocol, t.duration_s) for t in found] == [
        ("music_id", 3.0),
        ("music_id", 10.0),
        ("pseudo_mix_id", 10.0),
    ]
    assert [row.system for row in found[0].rows] == ["csn", "untrained", "mean_mel", "other"]


def test_best_needs_two_systems_and_a_whole_mean(score, table):
    rows = [
        score("music_id", "csn", "drums", 0.9),
        score("music_id", "untrained", "drums", 0.4),
        score("music_id", "untrained", "bass", 0.3),
    ]
    (found,) = score_tables(table(rows))
    assert found.best == {"drums": 0.9}
    assert [row.num_in_mean for row in found.rows] == [1, 2]
    assert found.best_mean is None


@pytest.mark.parametrize("accuracy", [None, math.nan])
def test_a_row_without_an_accuracy_is_no_score(score, table, accuracy):
    rows = [score("music_id", "csn", "drums", 0.9), score("music_id", "csn", "bass", accuracy)]
    (found,) = score_tables(table(rows), ("drums", "bass"))
    assert set(found.rows[0].cells) == {"drums"}
    assert found.columns == ("drums", "bass")
    assert score_tables(table(rows[1:])) == ()


def test_leak_matrix_has_subspaces_as_rows_and_instruments_as_columns(score, table):
    rows = [
        score("pseudo_mix_id", "csn", "drums", 0.8),
        score("pseudo_mix_id", "csn", "drums", 0.3, focus="bass"),
        score("pseudo_mix_id", "csn", "bass", 0.6),
        score("pseudo_mix_id", "untrained", "bass", 0.99, focus="drums"),
        score("music_id", "csn", "bass", 0.98, focus="drums"),
    ]
    (leaks,) = leak_matrices(table(rows), ("drums", "bass"))
    assert leaks.accuracy[0].tolist() == [0.8, 0.3]
    assert math.isnan(leaks.accuracy[1, 0])
    assert leaks.accuracy[1, 1] == 0.6
    assert leaks.chance == pytest.approx(0.1)


def test_concepts_have_the_whole_embedding_as_their_last_row(score, table):
    rows = [
        score("concept_triplets", "csn", "genre", 0.8),
        score("concept_triplets", "csn", ALL, 0.7, focus="key"),
        score("human_triplets", "csn", "genre", 0.9, focus="human"),
    ]
    (leaks,) = leak_matrices(table(rows), ("genre", "key"))
    assert leaks.subspaces == ("genre", "key", ALL)
    assert leaks.accuracy[0, 0] == 0.8
    assert leaks.accuracy[2, 1] == 0.7
    assert np.isfinite(leaks.accuracy).sum() == 2
    assert score_tables(table(rows)) == ()


def test_network_of_the_mix_is_a_column_beside_the_mean(score, table):
    rows = [score("music_id", "csn", name, 0.4) for name in ("drums", "bass")]
    rows += [score("music_id", "csn", "mix", 1.0), score("music_id", "csn", "all", 0.9)]
    (found,) = score_tables(table(rows), ("drums", "bass", "mix"))
    assert found.columns == ("drums", "bass", "mix", "all")
    assert (found.instruments, found.others) == (("drums", "bass"), ("mix", "all"))
    (row,) = found.rows
    assert (row.mean, row.num_in_mean) == (pytest.approx(0.4), 2)
    assert row.cells["mix"].accuracy == 1.0
    assert found.mean_chance == pytest.approx(0.1)


def test_ranks_are_of_music_id_alone(score, table):
    ranked = score("music_id", "csn", "drums", 0.4, r_precision=0.3, map_at_r=0.2)
    (found,) = score_tables(table([ranked]))
    cell = found.rows[0].cells["drums"]
    assert (cell.r_precision, cell.map_at_r, found.has_ranks) == (0.3, 0.2, True)
    (without,) = score_tables(table([score("pseudo_mix_id", "csn", "drums", 0.4)]))
    assert not without.has_ranks
