import csv
import io
import json

import pytest

from csn.corpora.dim_sim import COLUMNS, read_judgements
from csn.errors import CorpusError
from csn.records import Judgement

ROWS = [
    dict(zip(COLUMNS, row, strict=True))
    for row in [
        ("0001", "TRA", "TRB", "TRC", "7", "2"),
        ("0002", "TRD", "TRB", "TRA", "0", "5"),
        ("0003", "TRC", "TRA", "TRB", "0", "0"),
    ]
]
EXPECTED = [
    Judgement("0001", "TRA", ("TRB", "TRC"), (7, 2)),
    Judgement("0002", "TRD", ("TRB", "TRA"), (0, 5)),
    Judgement("0003", "TRC", ("TRA", "TRB"), (0, 0)),
]


def as_csv(rows, columns=COLUMNS):
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


@pytest.fixture
def write(tmp_path):
    """Write text to a file, and give its address."""

    def write(name, text):
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    return write


def test_csv_and_json_say_the_same(write):
    assert read_judgements(write("raw-dim-sim.csv", as_csv(ROWS))) == EXPECTED
    assert read_judgements(write("raw-dim-sim.json", json.dumps(ROWS))) == EXPECTED
    numbers = [{k: int(v) if k.endswith("vote") else v for k, v in row.items()} for row in ROWS]
    assert read_judgements(write("raw-dim-sim.json", json.dumps(numbers))) == EXPECTED
    by_id = {row["triplet_id"]: {k: row[k] for k in COLUMNS[1:]} for row in ROWS}
    assert read_judgements(write("raw-dim-sim.json", json.dumps(by_id))) == EXPECTED


def test_agreement_is_the_share_of_the_greater_side():
    assert [one.agreement for one in EXPECTED] == [pytest.approx(7 / 9), 1.0, 0.0]


def test_other_columns_and_a_mark_at_the_beginning_do_no_harm(write):
    rows = [{**row, "sampling_rate": "22050"} for row in ROWS]
    text = "\ufeff" + as_csv(rows, ("sampling_rate", *COLUMNS))
    assert read_judgements(write("x.csv", text)) == EXPECTED


@pytest.mark.parametrize("votes", ["many", "", "-1", "0.5", "nan", "inf"])
@pytest.mark.parametrize("form", ["csv", "json"])
def test_votes_that_are_no_counts_are_refused(write, votes, form):
    rows = [ROWS[0], {**ROWS[1], "song2_vote": votes}]
    text = as_csv(rows) if form == "csv" else json.dumps(rows)
    where = rf"x\.{form}: row 2 \(triplet 0002\): song2_vote='{votes}'; expected a count of votes"
    with pytest.raises(CorpusError, match=where):
        read_judgements(write(f"x.{form}", text))


@pytest.mark.parametrize("form", ["csv", "json"])
@pytest.mark.parametrize("num_rows", [0, 3])
def test_missing_columns_are_named(write, form, num_rows):
    columns = [name for name in COLUMNS if name not in ("song1_vote", "anchor_id")]
    rows = [{k: row[k] for k in columns} for row in ROWS[:num_rows]]
    text = as_csv(rows, columns) if form == "csv" else json.dumps(rows)
    if form == "json" and not rows:
        pytest.skip("no row, no columns")
    with pytest.raises(CorpusError, match=r"no column anchor_id, song1_vote; expected .*, found "):
        read_judgements(write(f"x.{form}", text))


@pytest.mark.parametrize(
    ("name", "text"), [("x.csv", as_csv([])), ("x.json", "[]"), ("x.json", "{}")]
)
def test_file_without_rows_is_refused(write, name, text):
    with pytest.raises(CorpusError, match=rf"{name}: no rows; expected triplets with triplet_id"):
        read_judgements(write(name, text))


def test_empty_table_lacks_all_columns(write):
    with pytest.raises(CorpusError, match=r"x\.csv: no column triplet_id, .*, found none"):
        read_judgements(write("x.csv", ""))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"song2_id": "TRB"}, "'TRB' and 'TRB'"),
        ({"anchor_id": "TRC"}, "anchor 'TRC'"),
        ({"song1_id": ""}, "songs '' and 'TRC'"),
    ],
)
def test_song_compared_with_itself_or_none_is_refused(write, change, told):
    with pytest.raises(CorpusError, match=rf"row 1 .*{told}.*expected three different songs"):
        read_judgements(write("x.csv", as_csv([{**ROWS[0], **change}])))


@pytest.mark.parametrize("text", ["no json", "3", "[1, 2]", '{"0001": 3}'])
def test_json_of_another_form_is_refused(write, text):
    with pytest.raises(CorpusError, match=r"x\.json: n\w+ .*; expected a list of triplets, or an"):
        read_judgements(write("x.json", text))


def test_file_that_is_no_text_or_is_not_there_is_refused(tmp_path):
    (tmp_path / "x.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CorpusError, match=r"x\.csv: cannot be read as text"):
        read_judgements(str(tmp_path / "x.csv"))
    with pytest.raises(CorpusError, match=r"y\.csv: .*no such file"):
        read_judgements(str(tmp_path / "y.csv"))


def test_real_rows_are_read(shared_fixtures):
    judgements = read_judgements(str(shared_fixtures / "clean-dim-sim-head.csv"))
    assert len(judgements) == 9
    assert judgements[0] == Judgement(
        "0001", "TROUUFX12903CC9CB2", ("TRMMCKW128F428E54C", "TRXCWAU128F42AA602"), (0, 1)
    )
    assert all(one.agreement == 1 for one in judgements)
