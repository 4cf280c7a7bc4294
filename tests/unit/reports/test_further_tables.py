import pyarrow as pa

from csn.conditions import INSTRUMENTS
from csn.evaluation.comparison import compared_table
from csn.records import SCORE_SCHEMA
from csn.reports.further_tables import further_tables


def score(protocol, condition, accuracy, seed=0, focus="", **more):
    row = {"protocol": protocol, "system": "csn", "condition": condition, "seed": seed}
    return row | {"focus": focus or condition, "duration_s": 3.0, "accuracy": accuracy, **more}


def tables_of(**rows_by_recipe):
    tables = {
        recipe: pa.Table.from_pylist(rows, schema=SCORE_SCHEMA)
        for recipe, rows in rows_by_recipe.items()
    }
    found = further_tables(compared_table(tables.items()))
    return {table.title: {row.label: row.cells for row in table.rows} for table in found}


def test_scores_that_nobody_has_make_no_table():
    assert tables_of(plain=[score("music_id", name, 0.5) for name in INSTRUMENTS]) == {}


def test_ranks_are_means_over_instruments_and_seeds():
    ranked = [
        score("music_id", name, 0.9, seed, r_precision=0.5 + 0.1 * seed, map_at_r=0.4, chance=0.05)
        for name in (*INSTRUMENTS, "all")
        for seed in (0, 1)
    ]
    unranked = [score("music_id", name, 0.5) for name in INSTRUMENTS]
    found = tables_of(ranked=ranked, unranked=unranked)
    # Seeds 0.5 and 0.6: 0.1 / sqrt(2) apart from each other.
    spread = "55.0 \N{PLUS-MINUS SIGN} 7.1"
    assert found == {
        "P1, music ID, R-precision, 3 s segments": {"ranked": (spread,) * 6},
        "P1, music ID, MAP@R, 3 s segments": {"ranked": ("40.0 \N{PLUS-MINUS SIGN} 0.0",) * 6},
    }


def test_presence_has_a_chance_of_one_half():
    rows = [score("presence", name, 0.8, chance=0.5) for name in ("drums", "bass")]
    (table,) = tables_of(some=rows).values()
    dash = "\N{EN DASH}"
    assert table == {
        "some": ("80.0", "80.0", dash, dash, dash, "80.0 (2)"),
        "chance": ("50.0", "50.0", dash, dash, dash, "50.0"),
    }


def test_gating_stands_below_the_same_instruments_without():
    rows = [score("pseudo_mix_id", name, 0.5, chance=0.1) for name in INSTRUMENTS]
    rows += [score("pseudo_mix_id", "drums", 0.9, focus="bass", chance=0.1)]
    rows += [score("pseudo_mix_id_gated", name, 0.4, chance=0.1) for name in INSTRUMENTS[:2]]
    rows += [score("music_id", name, 0.5, chance=0.1) for name in INSTRUMENTS]
    ungated = [score("pseudo_mix_id", name, 0.7, chance=0.1) for name in INSTRUMENTS]
    found = tables_of(gates=rows, other=ungated)
    dashes = ("\N{EN DASH}",) * 3
    assert found == {
        "P2, pseudo-mix ID, without and with gating by presence, 3 s segments": {
            "gates": ("50.0", "50.0", *dashes, "50.0 (2)"),
            "gates, gated": ("40.0", "40.0", *dashes, "40.0 (2)"),
            "chance": (*("10.0",) * 5, "10.0"),
        }
    }
