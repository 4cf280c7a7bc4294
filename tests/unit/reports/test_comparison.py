from dataclasses import replace

import pyarrow as pa

from csn import recipes
from csn.evaluation.comparison import Comparison, compared_table
from csn.records import SCORE_SCHEMA
from csn.reports.comparison import ComparisonData, fewer_seeds, render_comparison, tables_of
from csn.reports.text_tables import compared_text

NAMES = ("tiny_free_mixing", "tiny_hashizume2024", "tiny_random_subsets")


def data():
    """Three recipes from three seeds: one has all of them, one two, one none."""
    rows = {
        name: [
            {"protocol": "music_id", "system": "csn", "condition": "drums", "focus": "drums"}
            | {"duration_s": 3.0, "accuracy": 0.5, "chance": 0.1, "seed": seed}
            for seed in seeds
        ]
        for name, seeds in zip(NAMES, ((0, 1, 2), (0, 2), ()), strict=True)
    }
    tables = {n: pa.Table.from_pylist(of, schema=SCORE_SCHEMA) for n, of in rows.items()}
    configs = {name: replace(recipes.ALL[name](), root="root") for name in NAMES}
    return ComparisonData(
        comparison=Comparison("some", configs, (0, 1, 2)), scores=compared_table(tables.items())
    )


def test_means_over_fewer_seeds_than_asked_say_so_on_the_terminal_and_the_page():
    lines = [
        "tiny_hashizume2024 lacks seed 1: its means are over 2 of 3 seeds",
        "tiny_random_subsets lacks seeds 0, 1, 2: it has no scores",
    ]
    assert fewer_seeds(data()) == lines
    text = compared_text(tables_of(data()), fewer_seeds(data()))
    assert text.splitlines()[-2:] == lines
    page = render_comparison(data())
    assert all(line in page for line in lines)
