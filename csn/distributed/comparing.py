"""Several systems from several seeds: train what is missing, score it, put it side by side.

Conventions
-----------
Each (recipe, seed) is an experiment of its own, as ``jobs/train.py`` makes it. What is finished is
only read. A system that fails is reported at the end; the others go on.

Choices
-------
As many trainings as the cluster holds run at a time, each driven by a Ray task that reserves
nothing: it only waits for its own workers. Where one fits, it is driven by this process. Two
experiments that would make the same teachers, or write the same baseline, never run together.
"""

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import ray
from ray.exceptions import RayError

from csn import curriculum, storage
from csn.config import ExperimentConfig, WorkerConfig, from_json, to_json
from csn.distributed import cluster, experiment, ingest
from csn.distributed.compatibility import check_separator, check_start
from csn.distributed.embedding import read_embeddings
from csn.distributed.progress import Stages
from csn.distributed.reporting import is_reported
from csn.distributed.scoring import distances_of
from csn.distributed.systems import system_digests
from csn.distributed.training import read_finished
from csn.errors import ConfigError, CsnError, TrainingError
from csn.evaluation.comparison import Comparison, Entry, compared_table
from csn.evaluation.criteria import Distances
from csn.evaluation.criteria_scores import criteria_rows, mean_criteria
from csn.paths import Paths
from csn.records import OURS
from csn.reports.comparison import ComparedRun, ComparisonData, render_comparison, tables_of
from csn.reports.text_tables import compared_text

log = logging.getLogger(__name__)


def compare(comparison: Comparison) -> str:
    """Make the whole comparison; returns the address of its page.

    Raises
    ------
    ConfigError
        A system can never run: everything that is wrong is said before anything starts.
    TrainingError
        Some systems failed. What the others gave is written nevertheless.
    """
    entries = comparison.entries()
    storage.check_writable(comparison.root)
    missing = [entry for entry in entries if not _is_finished(entry.config)]
    _refuse(missing, check_separator)
    _refuse(missing, check_start)
    failures: dict[str, str] = {}
    if missing:
        log.info("%s of %s experiments are missing", len(missing), len(entries))
        with cluster.joined():
            _refuse(missing, lambda config: cluster.check_fits(config.workers))
            _prepare(missing)
            failures = _run_all(missing)
    else:
        log.info("all %s experiments are finished", len(entries))
    return _written(comparison, entries, failures)


def _is_finished(config: ExperimentConfig) -> bool:
    # To refuse or to make again is for the experiment itself to do.
    return config.on_existing == "skip" and is_reported(config)


def _refuse(entries: Iterable[Entry], check: Any) -> None:
    """Raise ConfigError with all that `check` refuses, each fault once."""
    faults: dict[str, list[str]] = {}
    for entry in entries:
        try:
            check(entry.config)
        except ConfigError as error:
            faults.setdefault(str(error), []).append(entry.recipe)
    if faults:
        told = (f"{fault} (recipe {', '.join(dict.fromkeys(of))})" for fault, of in faults.items())
        raise ConfigError("; ".join(told))


def _prepare(entries: Sequence[Entry]) -> None:
    """Compose and prepare each corpus once, before experiments that share it start together."""
    seen = []
    for entry in entries:
        paths = Paths(entry.config)
        if (made := (paths.prepared, entry.config.corpus)) not in seen:
            seen.append(made)
            stages = Stages(storage.join(paths.prepared, "stages.json"))
            ingest.compose(entry.config, stages)
            ingest.prepare(entry.config, stages)


def num_at_once(workers: Iterable[WorkerConfig], have: Mapping[str, float]) -> int:
    """How many trainings as large as the largest of `workers` fit on a cluster; at least 1."""
    fitting = [1 << 16]
    for needed in workers:
        cpus = needed.num_train_workers * needed.cpus_per_train_worker + cluster.RENDER_CPUS
        fitting.append(int(have.get("CPU", 0) // cpus))
        if needed.use_gpu:
            fitting.append(int(have.get("GPU", 0) // needed.num_train_workers))
    return max(1, min(fitting))


def _run_all(entries: Sequence[Entry]) -> dict[str, str]:
    """Run `entries`; returns why some failed, by their names."""
    slots = num_at_once((e.config.workers for e in entries), ray.cluster_resources())
    log.info("%s training%s at a time", slots, "s" if slots > 1 else "")
    ended = _ended_apart(entries, slots) if slots > 1 else _ended_here(entries)
    failures: dict[str, str] = {}
    for place, (name, reason) in enumerate(ended, start=1):
        log.info("%s of %s: %s %s", place, len(entries), name, reason or "is finished")
        if reason:
            failures[name] = reason
    return failures


def _ended_here(entries: Sequence[Entry]) -> Iterator[tuple[str, str]]:
    for entry in entries:
        log.info("%s begins", entry.name)
        yield entry.name, _failure(entry.config)
        cluster.release()


def _ended_apart(entries: Sequence[Entry], slots: int) -> Iterator[tuple[str, str]]:
    """Drive up to `slots` experiments at a time, each in a task of its own."""
    task: Any = ray.remote(num_cpus=0)(_run_apart)
    waiting, running = list(entries), {}
    while waiting or running:
        while len(running) < slots and (entry := next_to_run(waiting, running.values())):
            waiting.remove(entry)
            log.info("%s begins", entry.name)
            running[task.remote(to_json(entry.config))] = entry
        (done, *_), _ = ray.wait(list(running))
        name = running.pop(done).name
        try:
            yield name, ray.get(done)
        except RayError as error:
            yield name, _in_a_line(error)


def next_to_run(waiting: Iterable[Entry], running: Collection[Entry]) -> Entry | None:
    """First of `waiting` that writes nothing that one of `running` writes; none if all do."""
    busy = set().union(*(_claims(entry.config) for entry in running))
    return next((entry for entry in waiting if busy.isdisjoint(_claims(entry.config))), None)


def _claims(config: ExperimentConfig) -> set[str]:
    """Names of what `config` makes that another experiment may need as well."""
    claims = {name for name in config.evaluation.baselines if name == "mean_mel"}
    for earlier in curriculum.before(config):
        if read_finished(Paths(earlier)) is None:
            claims |= {earlier.name, *_claims(earlier)}
    return claims


def _run_apart(config_json: str) -> str:
    """Run one experiment in a task; returns why it failed, or nothing."""
    config = from_json(config_json)
    line = f"%(asctime)s {config.name}: %(message)s"
    logging.basicConfig(level=logging.INFO, format=line, datefmt="%H:%M:%S", force=True)
    return _failure(config)


def _failure(config: ExperimentConfig) -> str:
    """Go the whole way of `config`; returns why that failed, or nothing."""
    try:
        experiment.train(config)
    except CsnError as error:
        return " ".join(str(error).split())
    except Exception as error:  # whatever one system dies of, the others can be compared
        log.exception("%s failed", config.name)
        return _in_a_line(error)
    return ""


def _in_a_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[-1].strip() if lines else 'no message'}"


def _written(comparison: Comparison, entries: Sequence[Entry], failures: dict[str, str]) -> str:
    """Write scores and page, say the tables, and report what failed."""
    data = _gathered(comparison, entries, failures)
    told = f"{len(failures)} of {len(entries)} experiments failed: " + "; ".join(
        f"{name}: {reason}" for name, reason in failures.items()
    )
    if not data.scores.num_rows:
        raise TrainingError(told)
    folder = storage.join(comparison.root, "comparisons", comparison.name)
    folder = storage.absolute(folder)
    storage.write_table(storage.join(folder, "scores.parquet"), data.scores)
    uri = storage.join(folder, "report.html")
    storage.write_bytes(uri, render_comparison(data).encode())
    for line in compared_text(tables_of(data)).splitlines():
        log.info("%s", line)
    for warning in data.warnings:
        log.warning("%s", warning)
    if failures:
        raise TrainingError(f"{told}; the others are in {uri}")
    return uri


def _gathered(
    comparison: Comparison, entries: Sequence[Entry], failures: Mapping[str, str]
) -> ComparisonData:
    """Read what the experiments that did not fail have written."""
    scores, runs, warnings = [], [], []
    heard: dict[str, list[Mapping[str, Distances]]] = {}
    for entry in entries:
        paths = Paths(entry.config)
        if entry.name in failures:
            continue
        scores.append((entry.recipe, storage.read_table(paths.experiment("scores.parquet"))))
        if not entry.config.network.of_concepts:
            heard.setdefault(entry.recipe, []).append(_distances(entry.config))
        told = storage.read_json(paths.experiment("warnings.json"))
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
