"""What listeners chose in the Inst-Sim-ABX test, and how often a subspace chooses the same.

Conventions
-----------
A trial plays a reference X and two samples; the listener says which of them is nearer to it, by
``timbre``, ``rhythm``, ``melody`` and in ``total``. Clips go by their paths in the answers' file:
``set2/0/bass/X_2090-41.wav`` is segment 41 of Track02090's bass (``mix``: of all parts). In test
``XAB`` all three are of different tracks; in ``XYC`` Y is of X's own track and C of another.
Rates are shares in [0, 1].

Metrics
-------
`share_agreed_by_embedding` : share of the items that listeners agree on whose chosen sample is the
nearer one also by the embedding.

Source
------
Hashizume et al., "Investigation of perceptual music similarity focusing on each instrumental
part", arXiv:2502.02138, and the description of the data it is published with (CSV, and the rule
that a listener who fails a dummy question is out). Intervals as in [H24] Table 3.

Choices
-------
An item is a reference and its two samples, in whichever order they were played. A listener is one
experiment's subject: numbers begin anew in each. "Agree" is strict: 3 of 4 are not more than 75 %.
An N/A is no answer, in that aspect alone; sure (+) and unsure (-) answers weigh the same. To name
the other sample of a dummy question in any aspect fails it; an N/A does not. A sample that is
equally near as the other is not nearer: wrong.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

import numpy as np
import pyarrow as pa

from csn.conditions import INSTRUMENTS
from csn.corpora.csv_tables import read_rows
from csn.errors import CorpusError, ProtocolError
from csn.evaluation.intervals import Interval, correct_rate

Aspect = Literal["timbre", "rhythm", "melody", "total"]
ASPECTS: tuple[Aspect, ...] = ("timbre", "rhythm", "melody", "total")

ANSWER_SCHEMA = pa.schema(
    [
        *[pa.field(n, pa.string()) for n in ("listener", "reference", "sample_a", "sample_b")],
        *[pa.field(f"choice_{aspect}", pa.string()) for aspect in ASPECTS],
    ]
)
"""A row a trial. A choice is the path of the chosen sample, or null for N/A."""

_COLUMNS = (
    *("ex_name", "subject_id", "reference", "sample_a", "sample_b"),
    *(f"answer_{aspect}" for aspect in ASPECTS),
)
_CHOSEN = {
    **dict.fromkeys(("A+", "A-"), "sample_a"),
    **dict.fromkeys(("B+", "B-"), "sample_b"),
    **dict.fromkeys(("NA", "N/A", ""), None),
}
_FOLDERS = {"residuals": "others", "mix": "mix", **{name: name for name in INSTRUMENTS}}
_TESTS = {"XAB": "XAB", "XCY": "XYC"}
"""Test by the initials of the reference and, sorted, of the samples."""


@dataclass(frozen=True, slots=True)
class AgreedItem:
    """A reference, and the sample that enough listeners call the nearer of two by one aspect."""

    instrument: str
    test: str
    aspect: str
    reference: str
    nearer: str
    farther: str
    num_answers: int
    num_agreeing: int


def read_answers(uri: str) -> pa.Table:
    """Read the answers' CSV as `ANSWER_SCHEMA`, dummy questions included.

    Parameters
    ----------
    uri : str
        CSV with the columns ``ex_name, subject_id, reference, sample_a, sample_b, answer_timbre,
        answer_rhythm, answer_melody, answer_total``; others (``choice_time``) are not looked at.

    Raises
    ------
    CorpusError
        If a column is missing or a value is none of those allowed; names the line.
    """
    rows = [_answer(row, f"{uri}: line {line}") for line, row in read_rows(uri, _COLUMNS)]
    return pa.Table.from_pylist(rows, schema=ANSWER_SCHEMA)


def copy_of_reference(reference: str, sample_a: str, sample_b: str) -> str | None:
    """Right answer to a dummy question: the sample that is the reference itself; else None.

    Examples
    --------
    >>> copy_of_reference("samples/dummyX2.wav", "samples/dummyA2.wav", "samples/dummyX2.wav")
    'samples/dummyX2.wav'
    """
    return reference if reference in (sample_a, sample_b) else None


def valid_answers(
    answers: pa.Table,
    dummy_answer: Callable[[str, str, str], str | None] = copy_of_reference,
) -> pa.Table:
    """Leave out the dummy questions, and every answer of a listener who failed one.

    Parameters
    ----------
    answers
        Rows of `ANSWER_SCHEMA`.
    dummy_answer
        From reference and samples: the right sample of a dummy question, None for any other
        question. A listener who met no dummy question stays.

    Raises
    ------
    ProtocolError
        If no answer is left.
    """
    rows = answers.to_pylist()
    right = [dummy_answer(row["reference"], row["sample_a"], row["sample_b"]) for row in rows]
    failed = {
        row["listener"]
        for row, sample in zip(rows, right, strict=True)
        if sample is not None
        and any(row[f"choice_{aspect}"] not in (None, sample) for aspect in ASPECTS)
    }
    kept = [
        sample is None and row["listener"] not in failed
        for row, sample in zip(rows, right, strict=True)
    ]
    if not any(kept):
        raise ProtocolError(
            f"{len(rows)} answers found, none left without dummy questions and the {len(failed)} "
            "listener(s) who failed one (is the file whole, and the rule for dummies right?)"
        )
    return answers.filter(pa.array(kept, pa.bool_()))


def agreed(
    answers: pa.Table, aspect: Aspect, *, min_answers: int = 3, min_agreement: float = 0.75
) -> list[AgreedItem]:
    """Items that enough listeners answered, and on which most of them chose the same sample.

    Parameters
    ----------
    answers
        Rows of `ANSWER_SCHEMA`, from `valid_answers`.
    min_answers : int > 0
        Answers (N/A is none) that an item needs at least.
    min_agreement : float in [0.5, 1)
        *More* than this share of them must be for one sample.

    Returns
    -------
    list of AgreedItem
        In the order of the paths of reference and samples; empty where nobody agrees.

    Raises
    ------
    CorpusError
        If a clip's path does not tell instrument and test.
    """
    votes: dict[tuple[str, str, str], Counter[str]] = {}
    for row in answers.to_pylist():
        item = (row["reference"], *sorted((row["sample_a"], row["sample_b"])))
        if row[f"choice_{aspect}"] is not None:
            votes.setdefault(item, Counter())[row[f"choice_{aspect}"]] += 1
    found = []
    for (reference, *samples), counts in sorted(votes.items()):
        num_answers = counts.total()
        nearer, num_agreeing = counts.most_common(1)[0]
        if num_answers < min_answers or num_agreeing <= min_agreement * num_answers:
            continue
        (farther,) = (sample for sample in samples if sample != nearer)
        kind = _kind(reference, samples)
        found.append(
            AgreedItem(*kind, aspect, reference, nearer, farther, num_answers, num_agreeing)
        )
    return found


def by_instrument_and_test(
    items: Iterable[AgreedItem],
) -> dict[tuple[str, str], list[AgreedItem]]:
    """Items of each instrument and test (``XAB``, ``XYC``), which are scored apart."""
    groups: dict[tuple[str, str], list[AgreedItem]] = {}
    for item in items:
        groups.setdefault((item.instrument, item.test), []).append(item)
    return groups


def share_agreed_by_embedding(
    items: Iterable[AgreedItem], distance: Callable[[str, str], float]
) -> Interval:
    """Share of items whose `nearer` sample is the nearer one, with [H24] Table 3's interval.

    Parameters
    ----------
    items
        Of one instrument and test.
    distance
        From the paths of a reference and a sample: their distance in the instrument's subspace.

    Raises
    ------
    ProtocolError
        If there are fewer than two items, or a distance is not finite.
    """
    correct = []
    for item in items:
        near, far = (float(distance(item.reference, s)) for s in (item.nearer, item.farther))
        if not np.isfinite([near, far]).all():
            raise ProtocolError(
                f"{item.reference}: distances {near} and {far} to {item.nearer} and "
                f"{item.farther} found, finite ones expected (were all clips embedded?)"
            )
        correct.append(near < far)
    return correct_rate(sum(correct), len(correct))


def _answer(row: Mapping[str, str], where: str) -> dict[str, str | None]:
    """Make the row of `ANSWER_SCHEMA` of one line."""
    if row["sample_a"] == row["sample_b"]:
        raise CorpusError(f"{where}: {row['sample_a']} is both samples, two expected")
    answer: dict[str, str | None] = {n: row[n] for n in ("reference", "sample_a", "sample_b")}
    answer["listener"] = f"{row['ex_name']}/{row['subject_id']}"
    for aspect in ASPECTS:
        found = row[f"answer_{aspect}"]
        if found not in _CHOSEN:
            raise CorpusError(
                f"{where}: answer_{aspect} is {found!r}, A+, A-, B+, B- or NA expected "
                "(is a column shifted?)"
            )
        sample = _CHOSEN[found]
        answer[f"choice_{aspect}"] = None if sample is None else row[sample]
    return answer


def _kind(reference: str, samples: Sequence[str]) -> tuple[str, str]:
    """Instrument and test of an item, by its clips' folder and initials."""
    clips = [PurePosixPath(clip) for clip in (reference, *samples)]
    folders = {clip.parent.name for clip in clips}
    initial, *others = (clip.name.partition("_")[0] for clip in clips)
    test = _TESTS.get("".join([initial, *sorted(others)]))
    if len(folders) != 1 or not folders <= _FOLDERS.keys() or test is None:
        raise CorpusError(
            f"clips {', '.join(map(str, clips))} found, X with A and B or with Y and C in one of "
            f"the folders {', '.join(_FOLDERS)} expected (is it a dummy question? take "
            "valid_answers)"
        )
    return _FOLDERS[folders.pop()], test
