"""Read what the experiments of a comparison have written, for its tables and its page."""

from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from csn import curriculum, storage
from csn.config import ExperimentConfig
from csn.distributed.embedding import read_embeddings
from csn.distributed.progress import Stages
from csn.distributed.scoring import SCORES, WARNINGS, distances_of
from csn.distributed.systems import system_digests
from csn.evaluation.comparison import Comparison, Entry, compared_table
from csn.evaluation.criteria import Distances
from csn.evaluation.criteria_scores import criteria_rows, mean_criteria
from csn.paths import Paths
from csn.records import OURS
from csn.reports.comparison import ComparedRun, ComparisonData


def gathered(
    comparison: Comparison, entries: Sequence[Entry], failures: Mapping[str, str]
) -> ComparisonData:
    """Read what the experiments that did not fail have written."""
    scores, runs, warnings = [], [], []
    heard: dict[str, list[Mapping[str, Distances]]] = {}
    for entry in entries:
        paths = Paths(entry.config)
        if entry.name in failures:
            continue
        scores.append((entry.recipe, scores_of(entry.config)))
        if not entry.config.network.of_concepts:
            heard.setdefault(entry.recipe, []).append(_distances(entry.config))
        told = storage.read_json(paths.experiment(WARNINGS))
        warnings += [f"{entry.name}: {message}" for message in told]
        stages = Stages(paths.experiment("stages.json")).all()
        href = f"../../experiments/{entry.name}/report.html"
        shared = tuple(_built_on(entry.config))
        runs.append(ComparedRun(entry.recipe, entry.seed, href, tuple(stages), shared))
    distances, criteria = {}, []
    for recipe, found in heard.items():
        distances[recipe], told = mean_criteria(found)
        compared = criteria_rows(distances[recipe], seed=None)
        criteria += [{"recipe": recipe, **row} for row in compared.rows]
        warnings += [f"{recipe}: {message}" for message in (*told, *compared.messages)]
    return ComparisonData(
        comparison=comparison,
        scores=compared_table(scores),
        distances=distances,
        criteria=criteria,
        runs=runs,
        failures=failures,
        warnings=warnings,
        finished_at=storage.utc_now(),
    )


def scores_of(config: ExperimentConfig) -> pa.Table:
    """Read an experiment's scores: its network's, and the baselines' that are asked of it here."""
    table = storage.read_table(Paths(config).experiment(SCORES))
    asked = pa.array([OURS, *config.evaluation.baselines])
    return table.filter(pc.is_in(table["system"], asked))


def _distances(config: ExperimentConfig) -> dict[str, Distances]:
    """Read how far apart an experiment's network finds the tracks, under each criterion."""
    paths = Paths(config)
    uri = paths.embeddings(system_digests(config, paths)[OURS])
    return distances_of(config, read_embeddings(uri, config.network.conditions))[0]


def _built_on(config: ExperimentConfig) -> Iterator[str]:
    """Names of all experiments that `config` builds on, each once."""
    names: dict[str, None] = {}
    for earlier in curriculum.before(config):
        names |= dict.fromkeys((*_built_on(earlier), earlier.name))
    yield from names
