import pyarrow as pa

from csn.conditions import INSTRUMENTS, MIX
from csn.evaluation.comparison import compared_table, scored_systems
from csn.records import SCORE_SCHEMA
from csn.reports.comparison_tables import compared_tables
from csn.reports.published import DERIVED, NOTICE
from csn.reports.text_tables import compared_text


def score(protocol, condition, accuracy, seed, duration_s=3.0, chance=0.1):
    return {
        "protocol": protocol,
        "system": "csn",
        "condition": condition,
        "focus": condition,
        "duration_s": duration_s,
        "accuracy": accuracy,
        "chance": chance,
        "seed": seed,
    }


def systems_of(**rows_by_recipe):
    tables = {
        recipe: pa.Table.from_pylist(rows, schema=SCORE_SCHEMA)
        for recipe, rows in rows_by_recipe.items()
    }
    return scored_systems(compared_table(tables.items()))


def both():
    joint = [
        score(protocol, name, 0.5 + 0.02 * seed, seed, seconds)
        for protocol in ("music_id", "pseudo_mix_id")
        for name in INSTRUMENTS
        for seed in (0, 1)
        for seconds in (3.0, 10.0)
    ]
    alone = [
        score("music_id", name, 0.9 + 0.02 * seed, seed)
        for name in (*INSTRUMENTS, MIX)
        for seed in (0, 1)
    ]
    return systems_of(joint=joint, alone=alone)


def rows_of(table, kind):
    return {row.label: row.cells for row in table.rows if row.kind == kind}


def test_tables_are_the_papers_in_their_order():
    titles = [table.title.split(",")[0] for table in compared_tables(both(), ["alone"])]
    assert titles == [
        "[H22] Table 1: P1",
        "[H24] Table 1: P1",
        "[H24] Table 1: P1",
        "[H24] Table 2: P2",
        "[H24] Table 2: P2",
    ]


def test_individual_networks_have_their_variance_beside_the_printed_one():
    table = compared_tables(both(), ["alone"])[0]
    # Two seeds 0.02 apart: the variance is 0.02 ** 2 / 2.
    assert rows_of(table, "ours") == {"alone": ("91.0 (2.0e-4)",) * 6}
    printed = rows_of(table, "printed")["[H22] individual networks"]
    assert printed[0] == "93.24 (2.8e-4)"
    assert printed[-1] == "\N{EN DASH}"


def test_mix_has_a_column_of_its_own_after_the_mean():
    table = compared_tables(both(), ["alone"])[1]
    assert table.columns == (*INSTRUMENTS, "mean", "mix")
    ours = rows_of(table, "ours")
    assert ours["joint"] == (*("51.0 \N{PLUS-MINUS SIGN} 1.4",) * 6, "\N{EN DASH}")
    assert ours["alone"][-1] == "91.0 \N{PLUS-MINUS SIGN} 1.4"
    assert rows_of(table, "chance") == {"chance": ("10.0",) * 7}


def test_systems_that_are_asked_of_other_tracks_have_their_own_chance():
    many = [score("music_id", name, 0.5, 0, chance=0.01) for name in INSTRUMENTS]
    few = [score("music_id", name, 0.5, 0, chance=0.05) for name in (*INSTRUMENTS, MIX)]
    table = compared_tables(systems_of(many=many, few=few, also_many=many), ["few"])[1]
    assert rows_of(table, "chance") == {
        "chance of many, also_many": (*("1.0",) * 6, "\N{EN DASH}"),
        "chance of few": ("5.0",) * 7,
    }


def test_individual_networks_have_no_row_in_p2():
    table = compared_tables(both(), ["alone"])[-1]
    assert set(rows_of(table, "ours")) == {"joint"}
    printed = rows_of(table, "printed")
    assert printed["[H24] the same, 1,200 tracks"] == (
        "85.5",
        "37.1",
        "31.3",
        "44.7",
        "74.7",
        "54.7",
    )


def test_means_that_no_paper_prints_are_marked():
    p1, p2 = (compared_tables(both(), ["alone"])[place] for place in (1, -1))
    printed = rows_of(p1, "printed")["[H24] CSN"]
    assert printed[:6] == ("82.89", "61.94", "67.40", "70.15", "74.08", "[71.29]")
    assert rows_of(p2, "printed")["[H24] basic triplets"][5] == "[46.2]"
    assert DERIVED in p1.notice


def test_mean_over_fewer_instruments_says_over_how_many():
    rows = [score("music_id", name, 0.5, 0) for name in INSTRUMENTS[:3]]
    (table,) = compared_tables(systems_of(some=rows))
    assert rows_of(table, "ours")["some"][5] == "50.0 (3)"


def test_criteria_stand_beside_those_of_the_paper():
    values = {"pearson": 0.2, "spearman": 0.3}
    criteria = [
        {
            "recipe": "alone",
            "kind": kind,
            "a": "drums",
            "b": "mix",
            "rank": None,
            "value": value,
        }
        for kind, value in values.items()
    ]
    criteria += [
        {"recipe": "alone", "kind": "reciprocal_rank", "a": "bass", "b": "mix", "rank": rank}
        | {"value": 1 / rank}
        for rank in (1, 2, 3)
    ]
    pearson, spearman, ranks = compared_tables([], criteria=criteria)
    assert rows_of(pearson, "ours") == {"alone, mix": ("0.20", *["\N{EN DASH}"] * 4)}
    assert rows_of(pearson, "printed")["[H22], drums"][:2] == ("", "-0.014")
    # As the paper prints it, with its last zero.
    assert rows_of(spearman, "printed")["[H22], mix"][3] == "0.060"
    assert rows_of(spearman, "ours")["alone, mix"][0] == "0.30"
    assert rows_of(ranks, "ours") == {"alone, bass": ("1.00", "0.50", "0.33")}
    assert rows_of(ranks, "printed")["[H22], drums"] == ("0.31", "0.35", "0.22")


def test_text_marks_what_is_printed():
    text = compared_text(compared_tables(both(), ["alone"]))
    assert "* [H24] CSN" in text
    assert NOTICE in text
    assert DERIVED in text
    assert max(map(len, text.splitlines())) <= 120


def test_nothing_scored_gives_no_table():
    assert compared_tables([]) == []
    assert compared_text([]) == "no scores"
