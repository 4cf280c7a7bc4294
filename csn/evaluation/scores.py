"""From embedding tables to rows of scores.

Conventions
-----------
A table a condition, in the schema of `records.embedding_schema`: the vectors of that condition's
subspace. Rows of several sources (``mix``, ``pseudo_mix``) and durations lie together.

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
sounds (`EvaluationConfig.min_sounding_share`) is of its segments in the table. P1's rows have
R-precision and MAP@R of the same segments beside the accuracy; they are empty where no track has
two segments. The condition ``mix`` has rows of its own and is no part of any mean.

Neighbours are ranked by the metric that the network learnt by: [H22]'s by cosine, [H24]'s by
Euclid. For ``all`` each condition's vector is made unit length before they are joined, as each was
learnt by itself. The caller says which; baselines that were never learnt (`mean_mel`,
`librosa_features`) are ranked by Euclid beside every system, so that they are the same wherever
they stand, and the untrained network as the trained one.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Shaped

from csn.conditions import ALL, INSTRUMENTS
from csn.config import EvaluationConfig
from csn.errors import ProtocolError
from csn.evaluation import music_id, pseudo_mix_id
from csn.evaluation.neighbours import Metric
from csn.evaluation.questions import Lacking, Question, Scores, check_asked, gathered
from csn.evaluation.retrieval import retrieve
from csn.evaluation.stored_segments import read_joined, read_segments
from csn.records import SCORE_SCHEMA


class MeanScore(NamedTuple):
    """Mean over the instruments that have a score, each asked in its own subspace."""

    protocol: str
    system: str
    duration_s: float
    accuracy: float
    num_conditions: int


def music_id_scores(
    tables: Mapping[str, pa.Table],
    *,
    system: str,
    config: EvaluationConfig,
    seed: int,
    metric: Metric = "euclidean",
) -> Scores:
    """P1 of each condition, and of their concatenation in the order of `tables` (``all``).

    Raises
    ------
    ProtocolError
        If no condition can be scored at any duration.
    """

    def answer(question: Question) -> dict[str, Any]:
        found = read_joined(tables, question.condition, "mix", "", question.duration_s)
        kept = music_id.taking_part(found.focus_ids, found.sounds, config.min_sounding_share)
        vectors, ids = found.compared(kept, metric), found.focus_ids[kept]
        correct = music_id.accuracy(vectors, ids, config.k)
        return question.answered(correct, ids, config, seed) | _ranked(vectors, ids)

    return gathered(
        (
            Question("music_id", system, condition, condition, duration_s)
            for duration_s in config.durations_s
            for condition in ((*tables, ALL) if tables else ())
        ),
        answer,
    )


def _ranked(
    vectors: Float[np.ndarray, "segments dim"], ids: Shaped[np.ndarray, " segments"]
) -> dict[str, float]:
    """Means of R-precision and MAP@R; nothing where no track has two segments."""
    try:
        found = retrieve(vectors, ids)
    except ProtocolError:  # P1 could be asked, so all is well but the tracks' lengths
        return {}
    return {
        "r_precision": float(found.r_precision.mean()),
        "map_at_r": float(found.average_precision_at_r.mean()),
    }


def pseudo_mix_id_scores(
    tables: Mapping[str, pa.Table],
    *,
    system: str,
    config: EvaluationConfig,
    seed: int,
    metric: Metric = "euclidean",
    lacking: Lacking = MappingProxyType({}),
) -> Scores:
    """P2 (rows whose condition is their focus) and the leak matrix (the others).

    What is `lacking` is said in place of its scores.

    Raises
    ------
    ProtocolError
        If no focus can be scored at any duration.
    """

    def answer(question: Question) -> dict[str, Any]:
        check_asked(question, lacking)
        wanted = ("pseudo_mix", question.focus, question.duration_s)
        focused = read_segments(tables, question.focus, *wanted)
        asked = read_segments(tables, question.condition, *wanted)
        focused.check_alike(asked)
        kept = focused.sounds
        ids = asked.focus_ids[kept]
        correct = pseudo_mix_id.accuracy(
            asked.compared(kept, metric), ids, asked.backing_ids[kept], config.k
        )
        return question.answered(correct, ids, config, seed)

    return gathered(
        (
            Question("pseudo_mix_id", system, condition, focus, duration_s)
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
    ``all`` nor ``mix``.
    """
    accuracies: dict[tuple[str, str, float], list[float]] = {}
    for row in rows:
        if row["condition"] == row["focus"] in INSTRUMENTS:
            key = (row["protocol"], row["system"], row["duration_s"])
            accuracies.setdefault(key, []).append(row["accuracy"])
    return [MeanScore(*key, float(np.mean(of)), len(of)) for key, of in accuracies.items()]
