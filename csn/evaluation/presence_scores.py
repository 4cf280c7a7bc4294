"""Scores of what a subspace's length says: whether its part sounds, and neighbours chosen by it.

Conventions
-----------
Thresholds are a norm a condition, of the validation split: a part is heard where the norm of its
subspace's vector reaches it. Conditions without a threshold are not scored.

Metrics
-------
`presence_scores` : balanced accuracy of hearing the part, over all segments of the source ``mix``.
`gated_scores` : P1 and P2 where each query meets only the segments in which its subspace hears the
part (protocols ``music_id_gated`` and ``pseudo_mix_id_gated``).

Source
------
Ours; the presence loss is [LAB]'s.

Choices
-------
A gated score asks the very queries of the ungated one. A query whose own norm says that the part
does not sound counts as wrong, so that silence cannot be had for free. Neighbours are all segments
that are heard, whether their part sounds or not: P1 is told by the stems which of them sound, a
search has nothing but the norm. Norms are those of raw vectors, also where the neighbours are
ranked by cosine. Where fewer than `k` are heard, all of those vote; where none is,
the answer is wrong: a network that hears too little must not get rid of its questions.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Int, Shaped

from csn.config import EvaluationConfig
from csn.evaluation import music_id
from csn.evaluation.intervals import bootstrap_balanced
from csn.evaluation.neighbours import Metric, compared, nearest, vote
from csn.evaluation.presence import presence_accuracy
from csn.evaluation.questions import Lacking, Question, Scores, check_asked, gathered
from csn.evaluation.stored_segments import Segments, read_segments

CHANCE = 0.5


def presence_scores(
    tables: Mapping[str, pa.Table],
    thresholds: Mapping[str, float],
    *,
    system: str,
    config: EvaluationConfig,
    seed: int,
) -> Scores:
    """Balanced accuracy of each condition that has a threshold, at each duration.

    Raises
    ------
    ProtocolError
        If no condition can be scored: each sounds in all segments, or in none.
    """

    def answer(question: Question) -> dict[str, Any]:
        found = read_segments(tables, question.condition, "mix", "", question.duration_s)
        threshold = thresholds[question.condition]
        accuracy = presence_accuracy(_norms(found), found.sounds, threshold)
        right = _heard(found, threshold) == found.sounds
        low, high = bootstrap_balanced(
            right,
            found.sounds,
            found.focus_ids,
            num_resamples=config.num_resamples,
            seed=question.draws(seed),
        )
        row = question.answered(right, found.focus_ids, config, seed)
        scored = {"accuracy": accuracy, "low": low, "high": high, "chance": CHANCE}
        return row | scored | {"k": None}

    return gathered(_questions("presence", system, thresholds, config), answer)


def gated_scores(
    protocol: str,
    tables: Mapping[str, pa.Table],
    thresholds: Mapping[str, float],
    *,
    system: str,
    config: EvaluationConfig,
    seed: int,
    metric: Metric = "euclidean",
    lacking: Lacking = MappingProxyType({}),
) -> Scores:
    """P1 or P2 (`protocol` without ``_gated``) of each condition in its own subspace, gated.

    Parameters
    ----------
    lacking : mapping
        Why a focus was embedded in no mix of a duration; it is said in place of a score of P2.

    Raises
    ------
    ProtocolError
        If no condition can be scored at any duration.
    """
    asks = {"music_id": _music_id, "pseudo_mix_id": partial(_pseudo_mix_id, lacking)}
    answer = partial(asks[protocol], _Gate(tables, thresholds, config, seed, metric))
    return gathered(_questions(f"{protocol}_gated", system, thresholds, config), answer)


def gated_recovered(
    vectors: Float[np.ndarray, "segments dim"],
    labels: Shaped[np.ndarray, " segments"],
    groups: Int[np.ndarray, " segments"],
    heard: Bool[np.ndarray, " segments"],
    k: int,
    metric: Metric = "euclidean",
) -> Bool[np.ndarray, " segments"]:
    """Whether the k nearest heard vectors outside a vector's group vote for its label.

    Where there are fewer than `k`, all of them vote. A vector that is not heard itself, or has
    nobody to ask, is never recovered.
    """
    correct = np.zeros(len(labels), dtype=bool)
    rows = np.flatnonzero(heard)
    directed = compared(vectors[rows], metric)
    _, codes = np.unique(labels[rows], return_inverse=True)
    _, own, sizes = np.unique(groups[rows], return_inverse=True, return_counts=True)
    voters = np.minimum(k, len(rows) - sizes[own])
    for num_voters in np.unique(voters[voters > 0]):
        asking = voters == num_voters
        found = nearest(directed[asking], directed, int(num_voters), excluded=(own[asking], own))
        correct[rows[asking]] = vote(codes[found]) == codes[asking]
    return correct


@dataclass(frozen=True, slots=True)
class _Gate:
    """What all gated questions of one system are answered from."""

    tables: Mapping[str, pa.Table]
    thresholds: Mapping[str, float]
    config: EvaluationConfig
    seed: int
    metric: Metric

    def answered(
        self,
        question: Question,
        found: Segments,
        groups: Int[np.ndarray, " segments"],
        asked: Bool[np.ndarray, " segments"],
    ) -> dict[str, Any]:
        """Ask all of `found`, outside their `groups`, and score those of `asked`."""
        heard = _heard(found, self.thresholds[question.condition])
        correct = gated_recovered(
            found.vectors, found.focus_ids, groups, heard, self.config.k, self.metric
        )
        return question.answered(correct[asked], found.focus_ids[asked], self.config, self.seed)


def _music_id(gate: _Gate, question: Question) -> dict[str, Any]:
    found = read_segments(gate.tables, question.condition, "mix", "", question.duration_s)
    share = gate.config.min_sounding_share
    asked = music_id.taking_part(found.focus_ids, found.sounds, share)
    return gate.answered(question, found, np.arange(len(asked)), asked)


def _pseudo_mix_id(lacking: Lacking, gate: _Gate, question: Question) -> dict[str, Any]:
    check_asked(question, lacking)
    focus = question.focus
    found = read_segments(gate.tables, focus, "pseudo_mix", focus, question.duration_s)
    _, mixes = np.unique([found.focus_ids, found.backing_ids], axis=1, return_inverse=True)
    return gate.answered(question, found, mixes, found.sounds)


def _questions(
    protocol: str, system: str, thresholds: Mapping[str, float], config: EvaluationConfig
) -> list[Question]:
    return [
        Question(protocol, system, condition, condition, duration_s)
        for duration_s in config.durations_s
        for condition in thresholds
    ]


def _norms(found: Segments) -> Float[np.ndarray, " segments"]:
    return np.linalg.norm(found.vectors, axis=1)


def _heard(found: Segments, threshold: float) -> Bool[np.ndarray, " segments"]:
    return _norms(found) >= threshold
