import made_up_triplets

from csn.conditions import ALL, CONCEPTS, INSTRUMENTS
from csn.reports.data import Stage
from csn.reports.tables import score_text, stage_text


def test_scores_read_as_a_table(score, table):
    rows = [
        score("music_id", "csn", "drums", 0.731, low=0.68, high=0.779),
        score("music_id", "csn", "bass", 0.091, low=0.05, high=0.132),
        score("music_id", "csn", ALL, 1.0, low=0.98, high=1.0),
        score("music_id", "untrained", "drums", 0.4, low=0.3, high=0.5),
    ]
    assert score_text(table(rows)).splitlines() == [
        "P1, music ID, 3 s segments: % right [95 % interval]",
        "                      drums              bass      mean",
        "csn        73.1 [68.0–77.9]   9.1 [ 5.0–13.2]      41.1",  # noqa: RUF001
        "untrained  40.0 [30.0–50.0]     -              40.0 (1)",  # noqa: RUF001
        "chance     10.0              10.0                  10.0",
        "whole embedding: csn 100.0 [98.0– 100]",  # noqa: RUF001
    ]


def test_scores_stay_narrow_at_the_widest(score, table):
    rows = [
        score(protocol, system, condition, accuracy)
        for protocol in ("music_id", "pseudo_mix_id")
        for system, accuracy in (("csn", 1.0), ("a_baseline_with_a_very_long_name", 0.999))
        for condition in INSTRUMENTS
    ]
    rows += [score("music_id", "partial", condition, 1.0) for condition in INSTRUMENTS[1:]]
    text = score_text(table(rows))
    assert max(map(len, text.splitlines())) < 110
    assert text.count("100.0 [95.0– 100]") == 3 * len(INSTRUMENTS) - 1  # noqa: RUF001


def test_a_score_without_an_interval_stands_alone(score, table):
    text = score_text(table([score("music_id", "csn", "drums", 0.5, low=None, high=None)]))
    assert "csn     50.0" in text
    assert "nan" not in text


def test_no_scores_and_no_stages_are_said(table):
    assert score_text(table([])) == "no scores"
    assert stage_text([]) == "no stages"


def test_stages_read_as_a_table():
    stages = [
        Stage("train", 100.0, 50.0, "20 epochs"),
        Stage("evaluate", 9.44),
        Stage("x", 0.0, 1.0),
    ]
    assert stage_text(stages).splitlines() == [
        "stage     seconds  audio hours  audio hours/s",
        "train       100.0        50.00            0.5  20 epochs",
        "evaluate      9.4            -              -",
        "x             0.0         1.00              -",
    ]


def test_network_of_the_mix_has_a_line_of_its_own(score, table):
    rows = [score("music_id", "csn", "drums", 0.4), score("music_id", "csn", "mix", 1.0)]
    lines = score_text(table(rows)).splitlines()
    assert lines[1].split() == ["drums", "mean"]
    assert lines[2].endswith(" 40.0")
    assert lines[-1].startswith("network of the mix: csn 100.0 [")


def test_scores_by_presence_follow_in_a_table_of_their_own(score, table):
    rows = [
        score(name, "csn", "drums", 0.4) for name in ("music_id", "music_id_gated", "presence")
    ]
    last = score_text(table(rows)).split("\n\n")[-1].splitlines()
    assert last[0].startswith("Presence, and neighbours gated by it, 3 s segments")
    assert [line.split()[0] for line in last[2:]] == ["presence", "P1", "P1"]


def test_triplets_are_told_in_few_lines():
    lines = score_text(made_up_triplets.scores(CONCEPTS)).splitlines()
    assert max(map(len, lines)) < 110
    # Best six; three systems alone; two networks, own and whole, and the spectrum.
    assert len(lines) == (2 + 6) + 1 + (2 + 3) + 1 + (2 + 5)
    assert lines[2].split()[0] == "csn:"
    assert not any("[R22]:" in line or "Printed" in line for line in lines)
