"""Listeners' answers: who is out, what they agree on, and what a subspace makes of it, by hand."""

import pytest

from csn.evaluation.listening import (
    agreed,
    by_instrument_and_test,
    read_answers,
    share_agreed_by_embedding,
    valid_answers,
)

HEADER = (
    ",ex_name,subject_id,reference,sample_a,sample_b,"
    "answer_timbre,answer_rhythm,answer_melody,answer_total,choice_time"
)
X, A, B = (f"set1/0/bass/{name}.wav" for name in ("X_11-1", "A_12-2", "B_13-3"))
X2, Y2, C2 = (f"set1/1/residuals/{name}.wav" for name in ("X_14-1", "Y_14-9", "C_15-3"))
DUMMY = ("samples/dummyX1.wav", "samples/dummyX1.wav", "samples/dummyB1.wav")


def trials():
    """Four listeners and one who fails the dummy; the same two items, in both orders."""
    for subject, dummy, first, second in [
        ("s1", "A+ A+ A+ A+", (X, A, B, "A+ A- NA A+"), (X2, Y2, C2, "A+ A+ A+ A+")),
        ("s2", "A+ A- NA A+", (X, B, A, "B- A+ NA B+"), (X2, C2, Y2, "B+ B+ B+ B+")),
        ("s3", "A- A+ A+ A+", (X, A, B, "A- A- A+ A+"), (X2, Y2, C2, "A+ A+ NA A+")),
        ("s4", "A+ A+ A+ A+", (X, A, B, "A- B- A- B+"), (X2, Y2, C2, "B- A+ NA A+")),
        ("s5", "A+ B- A+ A+", (X, A, B, "B+ B+ B+ B+"), (X2, Y2, C2, "B+ B+ B+ B+")),
    ]:
        for reference, sample_a, sample_b, answers in (first, second, (*DUMMY, dummy)):
            yield ["ex1", subject, reference, sample_a, sample_b, *answers.split(), "20000"]


@pytest.fixture
def answers(tmp_path):
    rows = [f"{place},{','.join(row)}" for place, row in enumerate(trials())]
    (tmp_path / "answers.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    return valid_answers(read_answers(str(tmp_path / "answers.csv")))


def test_dummies_and_whoever_failed_one_are_out(answers):
    # 15 rows; of five listeners one named the other sample of the dummy by rhythm.
    assert answers.num_rows == 8
    assert set(answers["listener"].to_pylist()) == {f"ex1/s{i}" for i in (1, 2, 3, 4)}


@pytest.mark.parametrize(
    ("aspect", "found"),
    [
        # Bass: A A A A, four of four. Others: Y Y Y C, three of four are not more than 75 %.
        ("timbre", [(X, A, 4, 4)]),
        # Bass: A B A B. Others: Y Y Y Y.
        ("rhythm", [(X2, Y2, 4, 4)]),
        # Bass: - - A A. Others: Y Y - -. Two answers are not three.
        ("melody", []),
        # Bass: A A A B, 75 %. Others: Y Y Y Y.
        ("total", [(X2, Y2, 4, 4)]),
    ],
)
def test_more_than_three_quarters_of_at_least_three_agree(answers, aspect, found):
    items = agreed(answers, aspect)
    seen = [(i.reference, i.nearer, i.num_answers, i.num_agreeing) for i in items]
    assert seen == found


def test_items_lie_apart_by_instrument_and_test(answers):
    items = agreed(answers, "timbre", min_agreement=0.5)
    groups = by_instrument_and_test(items)
    assert {kind: [(i.nearer, i.farther) for i in group] for kind, group in groups.items()} == {
        ("bass", "XAB"): [(A, B)],
        ("others", "XYC"): [(Y2, C2)],
    }


def test_share_is_of_items_whose_chosen_sample_is_nearer(answers):
    items = agreed(answers, "timbre", min_agreement=0.5)
    places = {X: 0.0, A: 1.0, B: -3.0, X2: 0.0, Y2: 2.0, C2: -2.0}  # the second: equally near

    interval = share_agreed_by_embedding(items, lambda x, s: abs(places[x] - places[s]))

    # 1 of 2: half width 1.96 sqrt(1/4 / 1), cut to [0, 1].
    assert (interval.rate, interval.low, interval.high) == (0.5, 0.0, 1.0)
    assert interval.half_width == pytest.approx(0.98)
