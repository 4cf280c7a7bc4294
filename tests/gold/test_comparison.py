"""Means and variances worked by hand, and what the papers print, typed from their tables."""

import pytest

from csn.conditions import INSTRUMENTS, MIX
from csn.evaluation.comparison import Spread
from csn.reports.published import (
    PEARSON,
    PUBLISHED,
    RECIPROCAL_RANKS,
    SPEARMAN,
    printed_number,
    published_rows,
)


def test_mean_and_variance_over_seeds():
    # Mean 0.6; squares of -0.2, 0.0, 0.2 sum to 0.08; over n - 1 = 2 that is 0.04.
    spread = Spread({0: 0.4, 1: 0.6, 2: 0.8})
    assert spread.mean == pytest.approx(0.6)
    assert spread.variance == pytest.approx(0.04)
    assert spread.deviation == pytest.approx(0.2)


def test_h22_table_1():
    networks, separated = (row for row in PUBLISHED if row.source == "H22")
    columns = (MIX, "drums", "bass", "piano", "guitar")
    assert [networks.percent[name] for name in columns] == [93.24, 95.13, 87.07, 94.98, 91.15]
    assert [networks.variance[name] for name in columns] == [
        0.00028,
        0.000023,
        0.00047,
        0.000016,
        0.000066,
    ]
    assert (separated.percent, separated.variance) == (
        {"drums": 79.35, "piano": 70.12},
        {"drums": 0.0011, "piano": 0.000062},
    )


def test_h22_table_2a():
    assert PEARSON == {
        ("mix", "drums"): 0.23,
        ("mix", "bass"): 0.11,
        ("mix", "piano"): 0.12,
        ("mix", "guitar"): 0.32,
        ("drums", "bass"): -0.014,
        ("drums", "piano"): 0.14,
        ("drums", "guitar"): 0.026,
        ("bass", "piano"): 0.028,
        ("bass", "guitar"): 0.015,
        ("piano", "guitar"): 0.13,
    }


def test_h22_table_2b():
    assert SPEARMAN == {
        ("mix", "drums"): -0.013,
        ("mix", "bass"): 0.12,
        ("mix", "piano"): -0.078,
        ("mix", "guitar"): 0.060,
        ("drums", "bass"): 0.17,
        ("drums", "piano"): -0.014,
        ("drums", "guitar"): 0.11,
        ("bass", "piano"): 0.063,
        ("bass", "guitar"): 0.047,
        ("piano", "guitar"): 0.15,
    }


def test_h22_table_3():
    assert [RECIPROCAL_RANKS[name][0] for name in ("drums", "bass", "piano", "guitar")] == [
        0.31,
        0.20,
        0.28,
        0.32,
    ]
    assert RECIPROCAL_RANKS["drums"] == (0.31, 0.35, 0.22)
    assert RECIPROCAL_RANKS["bass"] == (0.20, 0.25, 0.12)
    assert RECIPROCAL_RANKS["piano"] == (0.28, 0.25, 0.20)
    assert RECIPROCAL_RANKS["guitar"] == (0.32, 0.22, 0.14)


@pytest.mark.parametrize(
    ("seconds", "proposed", "separated"),
    [
        (3.0, [82.89, 61.94, 67.40, 70.15, 74.08], [87.90, 51.46, 47.00]),
        (10.0, [89.69, 84.45, 85.70, 86.26, 84.86], [88.91, 64.87, 50.34]),
    ],
)
def test_h24_table_1(seconds, proposed, separated):
    ours, theirs = (row for row in published_rows("music_id", seconds) if row.source == "H24")
    assert [ours.percent[name] for name in INSTRUMENTS] == proposed
    assert theirs.percent == dict(zip(("drums", "bass", "piano"), separated, strict=True))


def test_h24_table_2():
    rows = published_rows("pseudo_mix_id", 10.0)
    assert [[row.percent[name] for name in INSTRUMENTS] for row in rows] == [
        [73.1, 28.9, 26.1, 35.7, 67.2],
        [76.8, 25.7, 23.5, 35.9, 72.0],
        [82.5, 31.8, 28.5, 40.4, 72.5],
        [85.5, 37.1, 31.3, 44.7, 74.7],
    ]
    # The paper prints this mean.
    assert printed_number(rows[-1].mean, 1) == rows[-1].mean_text == "54.7"


def test_printed_numbers_keep_the_digits_of_the_paper():
    assert [printed_number(n, 2) for n in (93.24, 67.4, None)] == ["93.24", "67.40", "\N{EN DASH}"]
    assert printed_number(79.35, 1) == "79.4"  # rounded as on paper
