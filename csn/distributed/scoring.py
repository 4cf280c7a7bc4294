"""Score what is embedded, and write the tables of scores beside each other."""

import logging
from collections.abc import Callable, Mapping
from functools import partial

import pyarrow as pa

from csn import storage
from csn.config import ExperimentConfig
from csn.distributed.embedding import read_embeddings
from csn.distributed.progress import Stages
from csn.errors import ProtocolError
from csn.evaluation.criteria import Distances
from csn.evaluation.criteria_scores import criteria_distances, criteria_rows, criteria_table
from csn.evaluation.presence_scores import gated_scores, presence_scores
from csn.evaluation.questions import Scores
from csn.evaluation.scores import music_id_scores, pseudo_mix_id_scores, score_table
from csn.model.checkpoint import read_presence
from csn.paths import Paths
from csn.records import OURS
from csn.reports.tables import score_text

log = logging.getLogger(__name__)

SCORES, CRITERIA = "scores.parquet", "criteria.parquet"
WARNINGS = "warnings.json"


def score(config: ExperimentConfig, uris: Mapping[str, str], stages: Stages) -> None:
    """Write the scores of all systems, and how our system's criteria agree.

    Raises
    ------
    ProtocolError
        Nothing can be scored.
    """
    paths = Paths(config)
    found, criteria = Scores([], []), Scores([], [])
    with stages.stage("evaluate", len(uris), "systems") as counter:
        for system, uri in uris.items():
            tables = read_embeddings(uri, config.network.conditions)
            _extend(found, _protocols(config, system, tables))
            if system == OURS:
                _extend(found, _by_presence(config, tables))
                criteria = _criteria(config, tables)
            counter.advance()
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
    """Criteria's distances at the first duration, in the metric that the network learnt by."""
    return criteria_distances(
        tables,
        duration_s=config.evaluation.durations_s[0],
        metric="cosine" if config.loss.distance == "cosine" else "euclidean",
    )


def _protocols(config: ExperimentConfig, system: str, tables: Mapping[str, pa.Table]) -> Scores:
    """Scores of one system under all protocols that apply."""
    protocols = {"music_id": music_id_scores}
    if not config.network.individual:
        protocols["pseudo_mix_id"] = pseudo_mix_id_scores
    asked = {"system": system, "config": config.evaluation, "seed": config.seed}
    return _all_of(
        {
            f"{protocol} of {system}": partial(scores, tables, **asked)
            for protocol, scores in protocols.items()
        }
    )


def _by_presence(config: ExperimentConfig, tables: Mapping[str, pa.Table]) -> Scores:
    """Scores of our system by the norms that its training fitted; none where it fitted none."""
    thresholds = read_presence(Paths(config).best_checkpoint, config.network.conditions)
    if not thresholds:
        return Scores([], [])
    asked = {"system": OURS, "config": config.evaluation, "seed": config.seed}
    protocols = ["music_id"] if config.network.individual else ["music_id", "pseudo_mix_id"]
    gated = {
        f"{protocol}_gated": partial(gated_scores, protocol, tables, thresholds, **asked)
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
