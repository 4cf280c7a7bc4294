import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csn.errors import CorpusError, ProtocolError
from csn.evaluation.listening import (
    ANSWER_SCHEMA,
    ASPECTS,
    AgreedItem,
    agreed,
    copy_of_reference,
    read_answers,
    share_agreed_by_embedding,
    valid_answers,
)

COLUMNS = [
    *("ex_name", "subject_id", "reference", "sample_a", "sample_b"),
    *("answer_timbre", "answer_rhythm", "answer_melody", "answer_total", "choice_time"),
]
X, A, B = (f"set1/0/drums/{name}.wav" for name in ("X_1-1", "A_2-2", "B_3-3"))
LINE = ["ex1", "s1", X, A, B, "A+", "A-", "B+", "NA", "12345"]


@pytest.fixture
def written(tmp_path):
    def write(*lines, columns=COLUMNS, encoding="utf-8"):
        text = "\n".join(",".join(line) for line in [columns, *lines]) + "\n"
        (tmp_path / "answers.csv").write_text(text, encoding=encoding)
        return str(tmp_path / "answers.csv")

    return write


def changed(**values):
    return [values.get(name, value) for name, value in zip(COLUMNS, LINE, strict=True)]


def table(*choices, listener="ex1/s{}", clips=(X, A, B)):
    """Make a table in which each listener chose one sample by every aspect."""
    names = ("reference", "sample_a", "sample_b")
    rows = [
        {"listener": listener.format(place), **dict(zip(names, clips, strict=True))}
        | {f"choice_{aspect}": choice for aspect in ASPECTS}
        for place, choice in enumerate(choices)
    ]
    return pa.Table.from_pylist(rows, schema=ANSWER_SCHEMA)


def item(nearer=A, farther=B):
    return AgreedItem("drums", "XAB", "total", X, nearer, farther, 4, 4)


def test_a_choice_is_the_sample_and_no_answer_is_null(written):
    assert read_answers(written(LINE)).to_pylist() == [
        {
            "listener": "ex1/s1",
            **{"reference": X, "sample_a": A, "sample_b": B},
            **{"choice_timbre": A, "choice_rhythm": A, "choice_melody": B, "choice_total": None},
        }
    ]


def test_other_columns_and_a_byte_order_mark_do_no_harm(written):
    plain = read_answers(written(LINE))
    numbered = written(["0", *LINE], columns=["Unnamed: 0", *COLUMNS], encoding="utf-8-sig")
    assert read_answers(numbered).equals(plain)


def test_the_same_number_in_two_experiments_is_two_listeners(written):
    found = read_answers(written(LINE, changed(ex_name="ex2")))
    assert found["listener"].to_pylist() == ["ex1/s1", "ex2/s1"]


def test_a_missing_column_is_refused(written):
    with pytest.raises(
        CorpusError, match=r"answers\.csv: no column subject_id, .*, found ex_name"
    ):
        read_answers(written(LINE[1:2], columns=["ex_name"]))


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "answers.csv").write_text("")
    with pytest.raises(CorpusError, match=r"no column ex_name, .*, found none"):
        read_answers(str(tmp_path / "answers.csv"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (changed(answer_total="A"), r"line 3: answer_total is 'A', A\+, A-, B\+, B- or NA"),
        (changed(sample_b=A), "line 3: .* is both samples, two expected"),
        (LINE[:-3], "line 3: another number of values than columns"),
        ([*LINE, "1"], "line 3: another number of values than columns"),
    ],
)
def test_a_broken_line_is_refused_by_its_number(written, line, message):
    with pytest.raises(CorpusError, match=message):
        read_answers(written(LINE, line))


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "answers.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CorpusError, match="cannot be read as text"):
        read_answers(str(tmp_path / "answers.csv"))


@pytest.mark.parametrize(
    ("clips", "right"), [((X, X, B), X), ((X, A, X), X), ((X, A, B), None), ((A, X, B), None)]
)
def test_a_dummy_has_the_reference_among_its_samples(clips, right):
    assert copy_of_reference(*clips) == right


def test_a_failed_dummy_takes_all_answers_of_the_listener():
    dummies = table(X, B, None, clips=(X, X, B))
    kept = valid_answers(pa.concat_tables([table(A, A, A, A), dummies]))
    # Listener 1 named B; 2 gave no answer, which is no failure; 3 met no dummy question.
    assert kept["listener"].to_pylist() == ["ex1/s0", "ex1/s2", "ex1/s3"]


def test_dummies_can_be_told_by_another_rule():
    marked = table(A, B, A, clips=("dummy.wav", A, B))
    answers = pa.concat_tables([table(A, A, A), marked])

    kept = valid_answers(answers, lambda reference, a, b: a if reference == "dummy.wav" else None)

    assert kept["listener"].to_pylist() == ["ex1/s0", "ex1/s2"]


def test_no_answer_left_is_refused():
    with pytest.raises(ProtocolError, match=r"2 answers found, none left .* 1 listener"):
        valid_answers(table(X, B, clips=(X, X, B)))


@given(st.lists(st.sampled_from([A, B, None]), min_size=1, max_size=12), st.booleans())
@settings(deadline=None)
def test_agreement_is_a_count_in_either_order_of_the_samples(choices, swapped):
    found = agreed(table(*choices, clips=(X, B, A) if swapped else (X, A, B)), "rhythm")
    answered = [choice for choice in choices if choice is not None]
    most = max(answered.count(A), answered.count(B))
    assert len(found) == (len(answered) >= 3 and 4 * most > 3 * len(answered))
    for one in found:
        assert (one.num_answers, one.num_agreeing) == (len(answered), most)
        assert one.nearer == (A if answered.count(A) == most else B)
        assert {one.nearer, one.farther} == {A, B}


def test_both_orders_of_the_samples_are_one_item():
    answers = pa.concat_tables([table(A, A), table(A, B, A, clips=(X, B, A))])
    (found,) = agreed(answers, "total", min_agreement=0.7)
    assert (found.num_answers, found.num_agreeing) == (5, 4)


@pytest.mark.parametrize(
    ("folder", "names", "kind"),
    [
        ("set1/0/residuals", ("X_1-1", "A_2-2", "B_3-3"), ("others", "XAB")),
        ("set1/0/mix", ("X_1-1", "C_2-2", "Y_1-3"), ("mix", "XYC")),
        ("others", ("X_1-1", "Y_1-3", "C_2-2"), ("others", "XYC")),
    ],
)
def test_instrument_and_test_are_told_by_the_path(folder, names, kind):
    clips = tuple(f"{folder}/{name}.wav" for name in names)
    (found,) = agreed(table(*[clips[1]] * 3, clips=clips), "total")
    assert (found.instrument, found.test) == kind


@pytest.mark.parametrize(
    "clips",
    [
        ("drums/X_1-1.wav", "drums/A_2-2.wav", "drums/C_3-3.wav"),
        ("drums/X_1-1.wav", "bass/A_2-2.wav", "drums/B_3-3.wav"),
        ("harp/X_1-1.wav", "harp/A_2-2.wav", "harp/B_3-3.wav"),
        ("drums/Z_1-1.wav", "drums/A_2-2.wav", "drums/B_3-3.wav"),
    ],
)
def test_paths_that_do_not_tell_are_refused(clips):
    with pytest.raises(CorpusError, match="X with A and B or with Y and C in one of the folders"):
        agreed(table(*[clips[1]] * 3, clips=clips), "total")


def test_an_embedding_that_says_what_listeners_say_agrees_with_all():
    distances = {A: 1.0, B: 2.0}
    items = [item(), item(), item(nearer=B, farther=A)]
    assert share_agreed_by_embedding(items, lambda _, s: distances[s]).rate == pytest.approx(2 / 3)
    assert share_agreed_by_embedding(items[:2], lambda _, s: distances[s]).rate == 1.0


def test_equally_near_samples_are_wrong():
    assert share_agreed_by_embedding([item(), item()], lambda *_: 1.0).rate == 0.0


def test_distances_that_are_not_finite_are_refused():
    with pytest.raises(ProtocolError, match=r"X_1-1.wav: distances nan and nan to .* expected"):
        share_agreed_by_embedding([item(), item()], lambda *_: float("nan"))


def test_a_single_item_has_no_interval():
    with pytest.raises(ProtocolError, match="needs at least 2"):
        share_agreed_by_embedding([item()], lambda *_: 1.0)


def test_a_quotation_mark_that_is_not_closed_loses_no_answers(written):
    uri = written(LINE, [f'"{LINE[0]}', *LINE[1:]], LINE)
    with pytest.raises(CorpusError, match=r"line \d: not a row of a CSV file"):
        read_answers(uri)
