"""Embed a whole catalogue, night by night: what is new or changed, once, and what it cost.

Conventions
-----------
Below ``<root>/catalogues/<name>/`` lie ``model=<digest>/`` (data), ``log/`` (commits, which alone
make data count), ``rejects/``, ``reports/``, and ``current.json``, which points readers to a
model. The same command after a crash goes on, and after the end finds nothing to do.
"""

import json
import logging
import sys
import time
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pyarrow as pa
import ray
from ray.exceptions import RayError

from csn import shared_storage, storage
from csn.catalogue import compaction
from csn.catalogue.committing import Committer
from csn.catalogue.entries import ADD, ENTRY_SCHEMA, REJECT, State
from csn.catalogue.snapshot import current_model, make_current
from csn.config import CatalogueConfig, ExperimentConfig
from csn.distributed import cluster, experiment
from csn.distributed.catalogue_worker import reject
from csn.distributed.night import Night, deletions, planned, unfinished_uri
from csn.distributed.night_report import Spent, write_report
from csn.distributed.progress import Counter
from csn.distributed.shards import Done, Shards
from csn.distributed.shared_root import check_shared
from csn.errors import CatalogueError, CorpusError, StorageError, in_a_line

log = logging.getLogger(__name__)

REJECT_COLUMNS = (
    *("track_id", "uri", "stage", "error", "message", "attempts", "at"),
    "source_digest",
)


@dataclass(slots=True)
class _Run:
    """What a run holds on to."""

    night: Night
    committer: Committer
    done: Done = field(default_factory=Done)
    spent: Spent = field(default_factory=Spent)


def embed(config: ExperimentConfig | CatalogueConfig) -> str:
    """Embed an experiment's split, or a catalogue; returns the address of what is made."""
    if isinstance(config, CatalogueConfig):
        return embed_catalogue(config)
    return experiment.embed_split(config)


def embed_catalogue(config: CatalogueConfig) -> str:
    """Bring a catalogue's embeddings up to date; returns the address of the night's report.

    Raises
    ------
    ConfigError, CorpusError, StorageError
        Nothing could be begun.
    CatalogueError
        The run could not go on. What is committed stays, and the same command goes on from there.
    """
    started = time.monotonic()
    night = planned(config)
    run = _Run(night, Committer(night.log, night.state.version, night.run_id))
    run.spent.plan_s = time.monotonic() - started
    try:
        _tell(run)
        if len(night.difference.todo):
            _embed_todo(run)
        state = _finish(run)
    except StorageError as error:
        raise CatalogueError(
            f"{error}; {run.done.tracks} tracks are committed, the same command goes on from there"
        ) from error
    run.spent.all_s = time.monotonic() - started
    uri, line = write_report(night, state, run.done, run.spent)
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
    return uri


def _tell(run: _Run) -> None:
    """Commit what is known without reading a file: deleted tracks, and those that are no audio."""
    night = run.night
    digest = night.model.settings_digest
    rows = night.difference.faulty.to_pylist()
    faulty = [reject(row, digest, "list", CorpusError(row["fault"])) for row in rows]
    entries = [*deletions(night), *faulty]
    if entries:
        run.done.add_rejects(
            run.committer.commit(pa.Table.from_pylist(entries, schema=ENTRY_SCHEMA))
        )
        # They were not tried: the ceiling is for those that are.
        run.done.newly_failed, run.done.untried = 0, run.done.rejects.total()


def _embed_todo(run: _Run) -> None:
    todo = run.night.difference.todo
    started = time.monotonic()
    with cluster.joined():
        check_shared(run.night.config.root)
        run.spent.ray_s = time.monotonic() - started
        shards = Shards(run.night, run.committer, run.done)
        counter = Counter("catalogue", len(todo), "tracks")
        working = time.monotonic()
        shards.embed(counter)
        run.spent.startup_s = shards.startup_s
        run.spent.embed_s = time.monotonic() - working - shards.startup_s
        run.spent.fleet = shards.fleet
        counter.finish()
        _compact(run)


def _compact(run: _Run) -> None:
    """Join small files, in tasks; a group that others touch meanwhile is left as it is."""
    night, config = run.night, run.night.config
    if not config.compact_mb:
        return
    started = time.monotonic()
    state = night.log.read()
    groups = compaction.groups(state, config.compact_mb * 1e6)
    dead = state.dead_ids()
    run.committer.refresh()
    join: Any = ray.remote(num_cpus=1)(compaction.joined)
    tasks = []
    for group in groups:
        of_group = {s.shard_id: dead[s.shard_id] for s in group if s.shard_id in dead}
        patience_s = config.workers.patience_s
        tasks.append(join.remote(night.output_uri, group, night.date, of_group, patience_s))
    for group, task in zip(groups, tasks, strict=True):
        try:
            shard: Any = ray.get(task)
        except RayError as error:
            said = in_a_line(cluster.own_error(error) or error)
            log.warning("compaction: %s files are left as they are (%s)", len(group), said)
            continue
        entries = compaction.moved(state, group, shard)
        ids = [one.shard_id for one in group]
        run.spent.joined += len(ids) if run.committer.join(entries, shard, ids) else 0
    run.spent.compact_s = time.monotonic() - started


def _finish(run: _Run) -> State:
    """Write what readers and later nights go by; gives what is true now."""
    night, config = run.night, run.night.config
    if run.committer.num_commits == 0 and not run.committer.taken:
        state = night.state
    else:
        state = night.log.read()
        night.log.write_checkpoint(state)
        uri = storage.join(night.output_uri, "rejects", f"model={night.model.digest}.parquet")
        rejects = state.of(REJECT).select(REJECT_COLUMNS).sort_by("track_id")
        write = partial(storage.write_table, uri, rejects)
        shared_storage.patiently(write, config.workers.patience_s)
        before_s = compaction.store_time_s(uri) - 3600 * config.keep_hours
        named = night.log.shards_since(before_s)
        old = compaction.orphans(night.output_uri, night.model.digest, named, before_s)
        run.spent.removed = compaction.remove_all(old, config.workers.patience_s)
    patience_s = config.workers.patience_s
    current = shared_storage.patiently(partial(current_model, night.output_uri), patience_s)
    is_whole = config.only == "all" and config.make_current
    # A model without any rows takes no readers away from one that has some.
    if current is not None and not len(state.of(ADD)):
        is_whole = False
    if is_whole and current != night.model.digest:
        point = partial(make_current, night.output_uri, night.model.digest)
        shared_storage.patiently(point, patience_s)
        log.info("readers are pointed to model %s", night.model.digest)
    if config.only == "all":
        ended = unfinished_uri(night.output_uri, night.model.digest)
        shared_storage.patiently(partial(storage.remove, ended), patience_s)
    return state
