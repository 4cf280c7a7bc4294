"""Score what is embedded, and write the tables of scores beside each other.

Choices
-------
Networks of instruments are asked P1 and P2, those of concepts triplets of tracks. Criteria are
compared for instruments alone: the distances between all tracks of a corpus of clips would not fit
into memory.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from csn import storage
from csn.config import ExperimentConfig
from csn.corpora.dim_sim import read_judgements
from csn.distributed.embedding import read_embeddings
from csn.distributed.plans import split_of
from csn.distributed.progress import Stages
from csn.distributed.systems import WITHOUT_SUBSPACES, metric_of
from csn.errors import CorpusError, ProtocolError
from csn.evaluation.criteria import Distances
from csn.evaluation.criteria_scores import criteria_distances, criteria_rows, criteria_table
from csn.evaluation.presence_scores import gated_scores, presence_scores
from csn.evaluation.questions import Lacking, Scores
from csn.evaluation.scores import music_id_scores, pseudo_mix_id_scores, score_table
from csn.evaluation.triplet_prediction import JudgedTriplet
from csn.evaluation.triplet_scores import (
    concept_triplet_scores,
    concept_triplets,
    human_triplet_scores,
    human_triplets,
)
from csn.model.checkpoint import read_config, read_presence
from csn.paths import Paths
from csn.records import OURS
from csn.reports.tables import score_text

log = logging.getLogger(__name__)

SCORES, CRITERIA = "scores.parquet", "criteria.parquet"
WARNINGS = "warnings.json"
HUMAN_TRIPLETS = "dim-sim/clean-dim-sim.csv"
"""Where a corpus in the Million Song Dataset's layout keeps its human triplets."""


@dataclass(frozen=True, slots=True)
class TripletQuestions:
    """What all systems of concepts are asked; nothing of instruments."""

    human: Sequence[JudgedTriplet] = ()
    by_concept: Mapping[str, Sequence[JudgedTriplet]] = field(default_factory=dict)
    messages: Sequence[str] = ()


def triplet_questions(config: ExperimentConfig, tracks: pa.Table) -> TripletQuestions:
    """Read and draw the triplets that systems of concepts are asked, from all prepared `tracks`.

    Raises
    ------
    CorpusError
        The file of human triplets cannot be read.
    ProtocolError
        There is no triplet to ask, of people or of a concept.
    """
    if not config.network.of_concepts:
        return TripletQuestions()
    evaluation = config.evaluation
    human, messages = _human_triplets(config)
    by_concept, told = concept_triplets(
        split_of(tracks, evaluation.split),
        config.network.conditions,
        audio=config.audio,
        similarity=config.similarity,
        num=evaluation.num_concept_triplets,
        seed=config.seed,
    )
    if not human and not by_concept:
        raise ProtocolError("; ".join([*messages, *told]))
    return TripletQuestions(human, by_concept, [*messages, *told])


def _human_triplets(config: ExperimentConfig) -> tuple[list[JudgedTriplet], list[str]]:
    named = config.evaluation.triplets_uri
    uri = storage.absolute(named) if named else storage.join(Paths(config).corpus, HUMAN_TRIPLETS)
    if not storage.exists(uri):
        if named:
            raise CorpusError(
                f"evaluation.triplets_uri={named}: no such file; expected human triplets in the "
                "form of Dim-sim, CSV or JSON; leave the option out to ask none"
            )
        advice = "name a file in the form of Dim-sim with --evaluation.triplets_uri"
        return [], [f"no human triplets at {uri}, so none are asked; {advice}"]
    return human_triplets(read_judgements(uri), config.evaluation)


def score(
    config: ExperimentConfig,
    uris: Mapping[str, str],
    tracks: pa.Table,
    stages: Stages,
    *,
    lacking: Lacking = MappingProxyType({}),
) -> None:
    """Write the scores of all systems, and how our system's criteria agree.

    Parameters
    ----------
    uris
        For each system the folder of its embeddings.
    tracks
        All prepared tracks (`TRACK_SCHEMA`), of which triplets of concepts are drawn.
    lacking
        Why P2 has no mix of a focus, which is said in place of its scores.

    Raises
    ------
    ProtocolError
        Nothing can be scored.
    """
    found, criteria = Scores([], []), Scores([], [])
    with stages.stage("evaluate", len(uris), "systems") as counter:
        questions = triplet_questions(config, tracks)
        found.messages.extend(questions.messages)
        for system, uri in uris.items():
            tables = read_embeddings(uri, config.network.conditions)
            _extend(found, _protocols(config, system, tables, questions, lacking))
            if system == OURS and not config.network.of_concepts:
                _extend(found, _by_presence(config, tables, lacking))
                criteria = _criteria(config, tables)
            counter.advance()
    _write(Paths(config), found, criteria)


def _write(paths: Paths, found: Scores, criteria: Scores) -> None:
    """Write and say what was `found`; ProtocolError where that is nothing."""
    messages = list(dict.fromkeys(found.messages + criteria.messages))
    if not found.rows:
        raise ProtocolError("; ".join(messages))
    for message in messages:
        log.warning("%s", message)
    table = score_table(found.rows)
    storage.write_table(paths.experiment(CRITERIA), criteria_table(criteria.rows))
    storage.write_table(paths.experiment(SCORES), table)
    storage.write_json(paths.experiment(WARNINGS), messages)
    for line in score_text(table).splitlines():
        log.info("%s", line)


def distances_of(
    config: ExperimentConfig, tables: Mapping[str, pa.Table]
) -> tuple[dict[str, Distances], list[str]]:
    """Criteria's distances at the first duration, in the metric that the network learnt by.

    There are none of concepts.
    """
    if config.network.of_concepts:
        return {}, []
    return criteria_distances(
        tables,
        duration_s=config.evaluation.durations_s[0],
        metric=metric_of(config),
    )


def _protocols(
    config: ExperimentConfig,
    system: str,
    tables: Mapping[str, pa.Table],
    questions: TripletQuestions,
    lacking: Lacking,
) -> Scores:
    """Scores of one system under all protocols that apply."""
    asked: dict[str, Any] = {"system": system, "config": config.evaluation, "seed": config.seed}
    scorings: dict[str, Callable[[], Scores]] = {}
    if config.network.of_concepts:
        asked["has_subspaces"] = system not in WITHOUT_SUBSPACES
        if questions.human:
            scorings["human_triplets"] = partial(
                human_triplet_scores, tables, questions.human, **asked
            )
        if questions.by_concept:
            scorings["concept_triplets"] = partial(
                concept_triplet_scores, tables, questions.by_concept, **asked
            )
    else:
        asked["metric"] = metric_of(config, system)
        scorings["music_id"] = partial(music_id_scores, tables, **asked)
        if not config.network.individual:
            scorings["pseudo_mix_id"] = partial(
                pseudo_mix_id_scores, tables, lacking=lacking, **asked
            )
    return _all_of({f"{protocol} of {system}": of for protocol, of in scorings.items()})


def _by_presence(
    config: ExperimentConfig, tables: Mapping[str, pa.Table], lacking: Lacking
) -> Scores:
    """Scores of our system by the norms that its training fitted; none where it fitted none."""
    uri, network = Paths(config).best_checkpoint, config.network
    # Of individual networks there may be more than are asked.
    fitted = read_presence(uri, read_config(uri).network.conditions)
    thresholds = {name: norm for name, norm in fitted.items() if name in network.conditions}
    if not thresholds:
        return Scores([], [])
    asked: dict[str, Any] = {"system": OURS, "config": config.evaluation, "seed": config.seed}
    ranked = {"metric": metric_of(config), "lacking": lacking}
    protocols = ["music_id"] if network.individual else ["music_id", "pseudo_mix_id"]
    gated = {
        f"{protocol}_gated": partial(gated_scores, protocol, tables, thresholds, **asked, **ranked)
        for protocol in protocols
    }
    return _all_of({"presence": partial(presence_scores, tables, thresholds, **asked)} | gated)


def _all_of(scorings: Mapping[str, Callable[[], Scores]]) -> Scores:
    """Rows of all that can be scored; of what cannot at all, a message."""
    found = Scores([], [])
    for what, scores in scorings.items():
        try:
            _extend(found, scores())
        except ProtocolError as error:
            found.messages.append(f"{what}: {error}")
    return found


def _criteria(config: ExperimentConfig, tables: Mapping[str, pa.Table]) -> Scores:
    distances, messages = distances_of(config, tables)
    found = criteria_rows(distances, seed=config.seed)
    return Scores(found.rows, messages + found.messages)


def _extend(found: Scores, more: Scores) -> None:
    found.rows.extend(more.rows)
    found.messages.extend(more.messages)
