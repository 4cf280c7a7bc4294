"""From embedding tables to scores of triplets of tracks: those of people, and those of a rule.

Conventions
-----------
A table a condition, in the schema of `records.embedding_schema`; only the source ``mix`` and the
first of `EvaluationConfig.durations_s` count. A system without subspaces has the same vectors in
every table and is asked as a whole.

Metrics
-------
`human_triplet_scores` : a row for every subset of the conditions (``genre+mood``; all of them are
``all``), of the focus ``human``.
`concept_triplet_scores` : a row for each subspace asked (`condition`; ``all`` is the whole
embedding) and concept under which two tracks are alike (`focus`). Where the two are the same a
subspace answers for its own concept; the others say what it knows of another.

Source
------
[R22] Section 4, Tables 1 and 2; [R22] Section 3.3 for the rules.

Choices
-------
A track is the mean of all its segments that sound; what is silent throughout is not embedded. Of
two songs the one with more votes is the nearer; where they have as many, people do not tell, and
the triplet is left out. Intervals of human triplets are
those of a rate; triplets of a concept are many of few tracks, so there the anchors are resampled.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from csn.conditions import ALL, SubspaceLayout
from csn.config import AudioConfig, EvaluationConfig, SimilarityConfig
from csn.corpora.generated_judgements import ID_PREFIX
from csn.errors import CorpusError
from csn.evaluation.questions import Question, Scores, gathered
from csn.evaluation.stored_segments import read_joined
from csn.evaluation.triplet_prediction import (
    JudgedTriplet,
    Subset,
    TrackVectors,
    TripletScore,
    ordered,
    subset_scores,
    track_vectors,
    triplet_score,
)
from csn.records import Judgement
from csn.triplets.concept_triplets import draw_threes, recordings

HUMAN_TRIPLETS, CONCEPT_TRIPLETS = "human_triplets", "concept_triplets"
TRIPLET_PROTOCOLS = (HUMAN_TRIPLETS, CONCEPT_TRIPLETS)
HUMAN = "human"
"""Focus of the triplets that people answered."""
CHANCE = 0.5


def subset_name(subset: Subset, layout: Sequence[str]) -> str:
    """Name a subset of the conditions as the rows of scores do.

    Examples
    --------
    >>> subset_name(("genre", "era"), ("genre", "mood", "era"))
    'genre+era'
    >>> subset_name(("genre", "era"), ("genre", "era"))
    'all'
    """
    return ALL if tuple(subset) == tuple(layout) else "+".join(subset)


def subset_named(name: str, layout: Sequence[str]) -> Subset:
    """Give the conditions that `subset_name` named."""
    return tuple(layout) if name == ALL else tuple(name.split("+"))


def human_triplets(
    judgements: Sequence[Judgement], config: EvaluationConfig
) -> tuple[list[JudgedTriplet], list[str]]:
    """Choose the judgements that count, the song with more votes as the nearer.

    Returns
    -------
    list of JudgedTriplet, list of str
        In the order of the judgements; and a line on those left out, and on those that no person
        made, where there are any.
    """
    few, unsure, tied = 0, 0, 0
    triplets: list[JudgedTriplet] = []
    for one in judgements:
        first, second = one.votes
        if first + second < config.min_votes:
            few += 1
        elif first == second:
            tied += 1
        elif one.agreement < config.min_agreement:
            unsure += 1
        else:
            songs = one.songs if first > second else one.songs[::-1]
            triplets.append(JudgedTriplet(one.anchor, *songs))
    reasons = {
        f"have fewer than {config.min_votes} votes": few,
        "are ties": tied,
        f"have less than {100 * config.min_agreement:g} % agreement": unsure,
    }
    lines = []
    if told := ", ".join(f"{num} {reason}" for reason, num in reasons.items() if num):
        num = len(judgements) - len(triplets)
        lines.append(f"human_triplets: {num} of {len(judgements)} are left out: {told}")
    if num := sum(one.triplet_id.startswith(ID_PREFIX) for one in judgements):
        lines.append(
            f"human_triplets: {num} of {len(judgements)} are of our own making, from what is "
            "known of composed tracks; no person judged them"
        )
    return triplets, lines


def concept_triplets(
    tracks: pa.Table,
    concepts: Sequence[str],
    *,
    audio: AudioConfig,
    similarity: SimilarityConfig,
    num: int,
    seed: int,
) -> tuple[dict[str, list[JudgedTriplet]], list[str]]:
    """Draw `num` triplets of prepared `tracks` (one split) under each concept.

    Returns
    -------
    dict, list of str
        By concept its triplets; and a line for each concept of which none can be drawn.
    """
    try:
        found = recordings(tracks, audio, similarity)
    except CorpusError as error:
        return {}, [f"concept_triplets: {error}"]
    ids = found.track_ids
    drawn: dict[str, list[JudgedTriplet]] = {}
    lines = []
    for concept in concepts:
        try:
            threes = draw_threes(found, concept, num, seed=seed, config=similarity)
        except CorpusError as error:
            lines.append(f"concept_triplets: {error}")
            continue
        drawn[concept] = [JudgedTriplet(*(ids[place] for place in three)) for three in threes]
    return drawn, lines


def human_triplet_scores(
    tables: Mapping[str, pa.Table],
    triplets: Sequence[JudgedTriplet],
    *,
    has_subspaces: bool,
    system: str,
    config: EvaluationConfig,
    seed: int,
) -> Scores:
    """Score every subset of the conditions, or a system without subspaces as a whole.

    Raises
    ------
    ProtocolError
        If fewer than two triplets have a vector of each of their tracks.
    """
    duration_s = config.durations_s[0]
    if has_subspaces:
        tracks, layout = _tracks(tables, ALL, duration_s), _layout(tables)
        scores = {
            subset_name(one.conditions, layout.conditions): one.score
            for one in subset_scores(tracks, layout, triplets)
        }
    else:
        scores = {ALL: triplet_score(_tracks(tables, next(iter(tables)), duration_s), triplets)}
    rows = [
        _row(Question(HUMAN_TRIPLETS, system, name, HUMAN, duration_s), score, seed)
        for name, score in scores.items()
    ]
    whole = scores[ALL]
    lines = []
    if whole.num_missing:
        lines.append(
            f"human_triplets: {whole.num_missing} of {len(triplets)} are not asked, as "
            f"{whole.num_missing_tracks} of their tracks are not embedded (of another split, "
            "rejected, or silent)"
        )
    return Scores(rows, lines)


def concept_triplet_scores(
    tables: Mapping[str, pa.Table],
    triplets: Mapping[str, Sequence[JudgedTriplet]],
    *,
    has_subspaces: bool,
    system: str,
    config: EvaluationConfig,
    seed: int,
) -> Scores:
    """Score each subspace and the whole embedding by the triplets of each concept.

    Raises
    ------
    ProtocolError
        If no concept can be scored.
    """
    duration_s = config.durations_s[0]
    tracks = {name: _tracks(tables, name, duration_s) for name in tables}
    whole = _tracks(tables, ALL, duration_s) if has_subspaces else next(iter(tracks.values()))
    asked = {**tracks, ALL: whole} if has_subspaces else {ALL: whole}

    def answer(question: Question) -> dict[str, Any]:
        found = ordered(asked[question.condition], triplets[question.focus])
        row = question.answered(found.right, found.anchors, config, seed)
        counts = {"num_ids": found.num_tracks, "num_missing": found.num_missing}
        return row | counts | {"k": None, "chance": CHANCE}

    return gathered(
        (
            Question(CONCEPT_TRIPLETS, system, condition, focus, duration_s)
            for focus in triplets
            for condition in asked
        ),
        answer,
    )


def _layout(tables: Mapping[str, pa.Table]) -> SubspaceLayout:
    """Layout of the tables' vectors side by side."""
    first = next(iter(tables.values()))
    return SubspaceLayout(tuple(tables), first.schema.field("vector").type.list_size)


def _tracks(tables: Mapping[str, pa.Table], condition: str, duration_s: float) -> TrackVectors:
    """Tracks by one condition's vectors, or by all side by side."""
    found = read_joined(tables, condition, "mix", "", duration_s)
    return track_vectors(found.vectors, found.focus_ids, found.indices * duration_s, duration_s)


def _row(question: Question, score: TripletScore, seed: int) -> dict[str, Any]:
    interval = score.interval
    return {
        "protocol": question.protocol,
        "system": question.system,
        "condition": question.condition,
        "focus": question.focus,
        "duration_s": question.duration_s,
        "k": None,
        "num_queries": score.num_triplets,
        "num_correct": score.num_correct,
        "num_ids": score.num_tracks,
        "num_missing": score.num_missing,
        "accuracy": interval.rate,
        "low": interval.low,
        "high": interval.high,
        "chance": CHANCE,
        "r_precision": None,
        "map_at_r": None,
        "seed": seed,
    }
