from csn.reports.presence_tables import presence_tables
from csn.reports.score_tables import score_tables


def test_gated_and_ungated_means_are_over_the_same_instruments(score, table):
    rows = [
        score("music_id", "csn", "drums", 0.5),
        score("music_id", "csn", "bass", 0.9),
        score("music_id_gated", "csn", "drums", 0.4),
        score("presence", "csn", "drums", 0.7),
        score("presence", "csn", "bass", 0.8),
        score("music_id", "untrained", "drums", 0.1),
    ]
    (found,) = presence_tables(table(rows))
    assert [row.system for row in found.rows] == ["presence", "P1", "P1 gated"]
    assert found.columns == ("drums", "bass")
    assert [round(row.mean, 6) for row in found.rows] == [0.75, 0.5, 0.4]
    assert [row.num_in_mean for row in found.rows] == [2, 1, 1]
    assert {t.protocol for t in score_tables(table(rows))} == {"music_id"}
