from csn.conditions import INSTRUMENTS, MIX
from csn.reports.published import CITATIONS, PUBLISHED, published_rows


def test_mean_of_the_last_row_of_table_2_is_the_mean_that_the_paper_prints():
    last = published_rows("pseudo_mix_id", 10.0)[-1]
    assert (last.source, last.table) == ("H24", "Table 2")
    assert last.mean is not None
    assert round(last.mean, 1) == 54.7


def test_rows_are_those_of_the_protocol_and_segment_length():
    # [H24] Table 1, proposed method with 10 s inputs, drums to others.
    proposed = published_rows("music_id", 10.0)[0]
    assert [proposed.percent[name] for name in INSTRUMENTS] == [89.69, 84.45, 85.70, 86.26, 84.86]
    assert [row.source for row in published_rows("music_id", 3.0)] == ["H22", "H22", "H24", "H24"]
    assert published_rows("pseudo_mix_id", 3.0) == []


def test_what_a_paper_does_not_print_is_absent():
    networks, separated = published_rows("music_id", 3.0)[:2]
    assert networks.percent[MIX] == 93.24
    assert "others" not in networks.percent
    assert set(separated.percent) == {"drums", "piano"}
    assert networks.mean is None


def test_every_row_names_a_known_source():
    assert {row.source for row in PUBLISHED} <= set(CITATIONS)
