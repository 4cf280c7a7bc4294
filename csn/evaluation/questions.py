"""Questions that a score answers, and how answers become rows.

Choices
-------
Intervals resample the ids that are the right answers; the draws depend on seed and question, not
on the system, so that systems meet the same draws.
"""

import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Shaped

from csn.config import EvaluationConfig
from csn.errors import ProtocolError
from csn.evaluation.intervals import bootstrap_over_ids

Lacking = Mapping[tuple[str, float], str]
"""Why P2 cannot be asked, by focus and duration."""


class Scores(NamedTuple):
    """Rows of `SCORE_SCHEMA`, and a line for each group of rows that could not be made."""

    rows: list[dict[str, Any]]
    messages: list[str]


@dataclass(frozen=True, slots=True)
class Question:
    """One score that is asked for; the fields are those of its row."""

    protocol: str
    system: str
    condition: str
    focus: str
    duration_s: float

    def draws(self, seed: int) -> list[int]:
        """Seed of the interval's resamples: no other question's, and the same for all systems."""
        name = f"{self.protocol}/{self.condition}/{self.focus}/{self.duration_s:g}"
        return [seed, zlib.crc32(name.encode())]

    def answered(
        self,
        correct: Bool[np.ndarray, " queries"],
        ids: Shaped[np.ndarray, " queries"],
        config: EvaluationConfig,
        seed: int,
    ) -> dict[str, Any]:
        """Make the score's row of `correct` and `ids` of each query."""
        seeds = self.draws(seed)
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
            "num_missing": None,
            "accuracy": interval.rate,
            "low": interval.low,
            "high": interval.high,
            "chance": 1 / num_ids,
            "r_precision": None,
            "map_at_r": None,
            "seed": seed,
        }


def check_asked(question: Question, lacking: Lacking) -> None:
    """Raise ProtocolError where the `question` has nothing to ask about, and say why."""
    if reason := lacking.get((question.focus, question.duration_s)):
        raise ProtocolError(reason)


def gathered(
    questions: Iterable[Question], answer: Callable[[Question], dict[str, Any]]
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
