"""From embedding tables to rows of scores.

Conventions
-----------
A table a condition, in the schema of `records.embedding_schema`: the vectors of that condition's
subspace. Rows of several sources (``mix``, ``pseudo_mix``) and durations lie together; track means
(segment -1) are not looked at. Segments are taken in the order of their keys (focused track,
backing track, segment index), so that the order of a table's rows changes no score.

Metrics
-------
`music_id_scores` : P1, a row a condition and duration, and one for the whole embedding (``all``).
`pseudo_mix_id_scores` : a row for each subspace asked (`condition`), instrument whose track is the
right answer (`focus`) and duration. Where the two are the same it is P2; the others are the leak
matrix: what a subspace knows of another instrument's part, and should not.

Source
------
[H22] Section 4.2.1; [H24] Sections 4.2.1 and 4.2.2. The leak matrix and the intervals are ours.

Choices
-------
`sounds` in a table is about the table's own condition. An entry of the leak matrix is over
segments in which the *focused* part sounds, so the flags come from the focus's table: all
subspaces answer the very same questions. Hence only instruments that have a table can be the
focus. For ``all``, a segment counts if any condition's part sounds. The share of a track that
sounds (`EvaluationConfig.min_sounding_share`) is of its segments in the table. Intervals resample
the ids that are the right answers; the draws depend on seed and question, not on the system, so
that systems meet the same draws.
"""

import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Int, Shaped

from csn.config import EvaluationConfig
from csn.errors import ProtocolError
from csn.evaluation import music_id, pseudo_mix_id
from csn.evaluation.intervals import bootstrap_over_ids
from csn.records import SCORE_SCHEMA

ALL = "all"
"""Condition of the whole embedding."""


class Scores(NamedTuple):
    """Rows of `SCORE_SCHEMA`, and a line for each group of rows that could not be made."""

    rows: list[dict[str, Any]]
    messages: list[str]


class MeanScore(NamedTuple):
    """Mean over the instruments that have a score, each asked in its own subspace."""

    protocol: str
    system: str
    duration_s: float
    accuracy: float
    num_conditions: int


@dataclass(frozen=True, slots=True)
class _Question:
    protocol: str
    system: str
    condition: str
    focus: str
    duration_s: float

    def answered(
        self,
        correct: Bool[np.ndarray, " queries"],
        ids: Shaped[np.ndarray, " queries"],
        config: EvaluationConfig,
        seed: int,
    ) -> dict[str, Any]:
        """Make the score's row of `correct` and `ids` of each query."""
        name = f"{self.protocol}/{self.condition}/{self.focus}/{self.duration_s:g}"
        seeds = [seed, zlib.crc32(name.encode())]
        interval = bootstrap_over_ids(correct, ids, num_resamples=config.num_resamples, seed=seeds)
        num_ids = len(np.unique(ids))
        return {
            "protocol": self.protocol,
            "system": self.system,
            "condition": self.condition,
            "focus": self.focus,
            "duration_s": self.duration_s,
            "k": config.k,
            "num_queries": len(correct),
            "num_correct": int(correct.sum()),
            "num_ids": num_ids,
            "accuracy": interval.rate,
            "low": interval.low,
            "high": interval.high,
            "chance": 1 / num_ids,
            "seed": seed,
        }


@dataclass(frozen=True, slots=True)
class _Segments:
    """One source, focus and duration of a condition's table, in the order of the keys."""

    condition: str
    focus_ids: Shaped[np.ndarray, " segments"]
    backing_ids: Shaped[np.ndarray, " segments"]
    indices: Int[np.ndarray, " segments"]
    sounds: Bool[np.ndarray, " segments"]
    vectors: Float[np.ndarray, "segments dim"]

    def check_alike(self, other: "_Segments") -> None:
        """Raise ProtocolError unless `other` holds the same segments."""
        for name in ("focus_ids", "backing_ids", "indices"):
            if not np.array_equal(getattr(self, name), getattr(other, name)):
                raise ProtocolError(
                    f"the table of {other.condition} has {len(other.indices)} segments, the same "
                    f"{len(self.indices)} as in the table of {self.condition} needed "
                    "(did embedding stop half-way? embed again)"
                )


def music_id_scores(
    tables: Mapping[str, pa.Table], *, system: str, config: EvaluationConfig, seed: int
) -> Scores:
    """P1 of each condition, and of their concatenation in the order of `tables` (``all``).

    Raises
    ------
    ProtocolError
        If no condition can be scored at any duration.
    """

    def answer(question: _Question) -> dict[str, Any]:
        asked = tables if question.condition == ALL else [question.condition]
        found = [_segments(tables, name, "mix", "", question.duration_s) for name in asked]
        for other in found[1:]:
            found[0].check_alike(other)
        track_ids = found[0].focus_ids
        sounds = np.any([segments.sounds for segments in found], axis=0)
        kept = music_id.taking_part(track_ids, sounds, config.min_sounding_share)
        vectors = np.concatenate([segments.vectors for segments in found], axis=1)
        ids = track_ids[kept]
        return question.answered(
            music_id.accuracy(vectors[kept], ids, config.k), ids, config, seed
        )

    return _gathered(
        (
            _Question("music_id", system, condition, condition, duration_s)
            for duration_s in config.durations_s
            for condition in ((*tables, ALL) if tables else ())
        ),
        answer,
    )


def pseudo_mix_id_scores(
    tables: Mapping[str, pa.Table], *, system: str, config: EvaluationConfig, seed: int
) -> Scores:
    """P2 (rows whose condition is their focus) and the leak matrix (the others).

    Raises
    ------
    ProtocolError
        If no focus can be scored at any duration.
    """

    def answer(question: _Question) -> dict[str, Any]:
        wanted = ("pseudo_mix", question.focus, question.duration_s)
        focused = _segments(tables, question.focus, *wanted)
        asked = _segments(tables, question.condition, *wanted)
        focused.check_alike(asked)
        kept = focused.sounds
        ids = asked.focus_ids[kept]
        correct = pseudo_mix_id.accuracy(
            asked.vectors[kept], ids, asked.backing_ids[kept], config.k
        )
        return question.answered(correct, ids, config, seed)

    return _gathered(
        (
            _Question("pseudo_mix_id", system, condition, focus, duration_s)
            for duration_s in config.durations_s
            for focus in tables
            for condition in tables
        ),
        answer,
    )


def score_table(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Rows as a table of `SCORE_SCHEMA`."""
    return pa.Table.from_pylist([dict(row) for row in rows], schema=SCORE_SCHEMA)


def means(rows: Iterable[Mapping[str, Any]]) -> list[MeanScore]:
    """Mean accuracy over instruments, for each protocol, system and duration in order of coming.

    Only rows of an instrument asked in its own subspace count: neither the leak matrix nor
    ``all``.
    """
    accuracies: dict[tuple[str, str, float], list[float]] = {}
    for row in rows:
        if row["condition"] == row["focus"] != ALL:
            key = (row["protocol"], row["system"], row["duration_s"])
            accuracies.setdefault(key, []).append(row["accuracy"])
    return [MeanScore(*key, float(np.mean(of)), len(of)) for key, of in accuracies.items()]


def _gathered(
    questions: Iterable[_Question], answer: Callable[[_Question], dict[str, Any]]
) -> Scores:
    """Answer what can be answered; say of the rest why not, each reason once."""
    rows: list[dict[str, Any]] = []
    failed: dict[tuple[str, str], list[str]] = {}
    for question in questions:
        try:
            rows.append(answer(question))
        except ProtocolError as error:
            what = f"{question.protocol} of {question.focus} at {question.duration_s:g} s"
            failed.setdefault((what, str(error)), []).append(question.condition)
    messages = [
        f"{what} (asked of {', '.join(conditions)}): {reason}"
        for (what, reason), conditions in failed.items()
    ]
    if not rows:
        raise ProtocolError("; ".join(messages) or "no table of embeddings given (embed first)")
    return Scores(rows, messages)


def _segments(
    tables: Mapping[str, pa.Table], condition: str, source: str, focus: str, duration_s: float
) -> _Segments:
    table = tables[condition]
    wanted = (
        (_column(table, "source") == source)
        & (_column(table, "focus") == focus)
        & (_column(table, "duration_s") == duration_s)
        & (_column(table, "segment_index") >= 0)
    )
    if not wanted.any():
        durations = ", ".join(f"{d:g}" for d in np.unique(_column(table, "duration_s")))
        of_focus = f" with focus {focus}" if focus else ""
        raise ProtocolError(
            f"no {source} segment{of_focus} in the table of {condition}, which has durations of "
            f"{durations or 'nothing'} s (is the part in no track? was it embedded with these "
            "evaluation.durations_s?)"
        )
    chosen = table.filter(pa.array(wanted))
    focus_ids = _column(chosen, "focus_track_id").astype(str)
    backing_ids = _column(chosen, "backing_track_id").astype(str)
    indices = _column(chosen, "segment_index").astype(np.int64)
    order = np.lexsort((indices, backing_ids, focus_ids))
    found = _Segments(
        condition,
        focus_ids[order],
        backing_ids[order],
        indices[order],
        _column(chosen, "sounds").astype(bool)[order],
        _vectors(chosen, condition)[order],
    )
    _check_unique(found)
    return found


def _check_unique(found: _Segments) -> None:
    """Raise ProtocolError for a segment that is there twice: it would find itself."""
    twice = (
        (found.focus_ids[1:] == found.focus_ids[:-1])
        & (found.backing_ids[1:] == found.backing_ids[:-1])
        & (found.indices[1:] == found.indices[:-1])
    )
    if twice.any():
        place = int(np.argmax(twice))
        raise ProtocolError(
            f"segment {found.indices[place]} of {found.focus_ids[place]} with "
            f"{found.backing_ids[place]} is twice in the table of {found.condition}, once needed "
            "(were two models' or two splits' tables read together?)"
        )


def _column(table: pa.Table, name: str) -> np.ndarray:
    if name not in table.column_names:
        raise ProtocolError(
            f"an embeddings table has columns {', '.join(table.column_names)}, and no {name} "
            "(is it of records.embedding_schema?)"
        )
    return table.column(name).to_numpy()


def _vectors(table: pa.Table, condition: str) -> Float[np.ndarray, "segments dim"]:
    column = table.column("vector")
    if not pa.types.is_fixed_size_list(column.type) or column.null_count:
        raise ProtocolError(
            f"the vectors of {condition} are {column.type} with {column.null_count} missing, "
            "fixed_size_list without gaps needed (is it of records.embedding_schema?)"
        )
    values = [chunk.flatten().to_numpy() for chunk in column.chunks]
    return np.concatenate(values).reshape(len(column), column.type.list_size)
