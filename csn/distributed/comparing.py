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
What failed beside others is tried once more by itself: of several on one GPU, one may lack the
memory that the others took.
An experiment keeps the baselines that an earlier comparison scored beside it, whichever recipes
are named now; the tables show those of this comparison.
"""

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import ray
from ray.exceptions import RayError

from csn import curriculum, storage
from csn.config import CorpusConfig, ExperimentConfig, WorkerConfig, from_json, to_json
from csn.distributed import cluster, experiment, ingest
from csn.distributed.compatibility import check_kept, check_separator, check_start
from csn.distributed.gathering import gathered
from csn.distributed.progress import Stages
from csn.distributed.reporting import is_reported
from csn.distributed.scoring import SCORES
from csn.distributed.shared_root import check_shared
from csn.distributed.systems import BASELINES, baseline_digests
from csn.distributed.training import read_finished
from csn.errors import ConfigError, CsnError, MissingSeedsError, last_line
from csn.evaluation.comparison import COMPARED_CRITERIA_SCHEMA, Comparison, Entry
from csn.paths import Paths
from csn.reports.comparison import (
    fewer_seeds,
    render_comparison,
    tables_of,
)
from csn.reports.text_tables import compared_text

log = logging.getLogger(__name__)


def compare(comparison: Comparison) -> str:
    """Make the whole comparison; returns the address of its page.

    Raises
    ------
    ConfigError
        A system can never run: everything that is wrong is said before anything starts.
    CsnError
        No system has a corpus.
    MissingSeedsError
        Some experiments failed. What the others gave is written nevertheless.
    """
    entries = comparison.entries()
    storage.check_writable(comparison.root)
    missing = [entry for entry in entries if not _is_finished(entry.config)]
    for check in (check_kept, check_separator, check_start):
        _refuse(missing, check)
    failures: dict[str, str] = {}
    if missing:
        log.info("%s of %s experiments are missing", len(missing), len(entries))
        with cluster.joined():
            _refuse(missing, lambda config: cluster.check_fits(config.workers))
            check_shared(comparison.root)
            faults = _prepare(missing)
            if len(faults) == len(entries):
                raise next(iter(faults.values()))
            failures = {name: " ".join(str(fault).split()) for name, fault in faults.items()}
            having = [_with_kept_baselines(e) for e in missing if e.name not in faults]
            if having:
                slots = num_at_once((entry.config.workers for entry in having), cluster.nodes())
                failures |= _run_all(having, slots)
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


def _with_kept_baselines(entry: Entry) -> Entry:
    """Let `entry` score again, beside what it asks for, the baselines that it has scores of."""
    uri = Paths(entry.config).experiment(SCORES)
    if not storage.exists(uri):
        return entry
    had = set(storage.read_table(uri, ["system"])["system"].to_pylist())
    wanted = entry.config.evaluation.baselines
    kept = tuple(name for name in BASELINES if name in had and name not in wanted)
    evaluation = replace(entry.config.evaluation, baselines=(*wanted, *kept))
    return replace(entry, config=replace(entry.config, evaluation=evaluation))


def _prepare(entries: Sequence[Entry]) -> dict[str, CsnError]:
    """Make each corpus once, before experiments that share it start together.

    Returns
    -------
    dict
        What is wrong with the corpus of some experiments, by their names.
    """
    tried: dict[tuple[str, CorpusConfig], CsnError | None] = {}
    faults: dict[str, CsnError] = {}
    for entry in entries:
        for config in (entry.config, entry.config.evaluated):
            corpus = Paths(config).prepared, config.corpus
            if corpus not in tried:
                tried[corpus] = _corpus_fault(config)
            if fault := tried[corpus]:
                faults.setdefault(entry.name, fault)
    return faults


def _corpus_fault(config: ExperimentConfig) -> CsnError | None:
    """Compose and prepare the corpus of `config`; returns why that failed, if it did."""
    stages = Stages(storage.join(Paths(config).prepared, "stages.json"))
    try:
        ingest.compose(config, stages)
        ingest.prepare(config, stages)
    except CsnError as error:
        log.warning("%s: %s", config.corpus.name, error)
        return error
    return None


def num_at_once(workers: Iterable[WorkerConfig], nodes: Sequence[Mapping[str, float]]) -> int:
    """How many trainings as large as the largest of `workers` fit on nodes; at least 1."""
    fitting = [1 << 16]
    have = sum(node.get("CPU", 0) for node in nodes)
    for needed in workers:
        cpus = needed.num_train_workers * needed.cpus_per_train_worker + cluster.RENDER_CPUS
        room = cluster.room_beside_rendering(nodes, cluster.reserved(needed))
        fitting += [int(have // cpus), room // needed.num_train_workers]
    return max(1, min(fitting))


def _run_all(entries: Sequence[Entry], slots: int) -> dict[str, str]:
    """Run `entries`, up to `slots` at a time; returns why some failed, by their names."""
    log.info("%s training%s at a time", slots, "s" if slots > 1 else "")
    if slots == 1:
        return _failures(_ended_here(entries), len(entries))
    failed = _failures(_ended_apart(entries, slots), len(entries))
    again = [entry for entry in entries if entry.name in failed]
    if again:
        log.info("once more, one at a time: %s", ", ".join(failed))
    return _failures(_ended_here(again), len(again))


def _failures(ended: Iterator[tuple[str, str]], num_entries: int) -> dict[str, str]:
    """Say of each that ended how it did; returns why some failed, by their names."""
    failures: dict[str, str] = {}
    for place, (name, reason) in enumerate(ended, start=1):
        log.info("%s of %s: %s %s", place, num_entries, name, reason or "is finished")
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
            yield name, f"{type(error).__name__}: {last_line(error)}"


def next_to_run(waiting: Iterable[Entry], running: Collection[Entry]) -> Entry | None:
    """First of `waiting` that writes nothing that one of `running` writes; none if all do."""
    busy = set().union(*(_claims(entry.config) for entry in running))
    return next((entry for entry in waiting if busy.isdisjoint(_claims(entry.config))), None)


def _claims(config: ExperimentConfig) -> set[str]:
    """Names of what `config` makes that another experiment may need as well."""
    paths = Paths(config)
    claims = set(map(paths.embeddings, baseline_digests(config).values()))
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
        return f"{type(error).__name__}: {last_line(error)}"
    return ""


def _written(comparison: Comparison, entries: Sequence[Entry], failures: dict[str, str]) -> str:
    """Write scores and page, say the tables, and report what failed."""
    data = gathered(comparison, entries, failures)
    told = f"{len(failures)} of {len(entries)} experiments failed: " + "; ".join(
        f"{name}: {reason}" for name, reason in failures.items()
    )
    if not data.scores.num_rows:
        raise MissingSeedsError(told)
    folder = storage.join(comparison.root, "comparisons", comparison.name)
    folder = storage.absolute(folder)
    storage.write_table(storage.join(folder, "scores.parquet"), data.scores)
    criteria = pa.Table.from_pylist([*data.criteria], schema=COMPARED_CRITERIA_SCHEMA)
    storage.write_table(storage.join(folder, "criteria.parquet"), criteria)
    uri = storage.join(folder, "report.html")
    storage.write_bytes(uri, render_comparison(data).encode())
    lacking = fewer_seeds(data)
    for line in compared_text(tables_of(data), lacking).splitlines():
        log.info("%s", line)
    for warning in data.warnings:
        log.warning("%s", warning)
    if failures:
        raise MissingSeedsError(
            f"{told}; {'; '.join(lacking)}, in {uri}; the same command makes what is "
            "missing and leaves the rest as it is"
        )
    return uri
