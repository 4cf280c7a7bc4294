"""Shards of a night's tracks, embedded by actors and committed as they come.

Conventions
-----------
The driver hands out shards in an order of its own (drawn by the run), so that two runs at once
begin in different places and share the work; it leaves out what others have committed meanwhile.
A worker that dies takes nothing with it: its shard is done again, in smaller pieces if it keeps
happening, until one track is left, which is then a reject.
"""

import logging
import random
import time
from collections import Counter as Tally
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import ray
from ray.exceptions import RayError, RayTaskError

from csn.catalogue.committing import Committer
from csn.catalogue.difference import shard_places
from csn.catalogue.entries import ADD, ENTRY_SCHEMA, REJECT
from csn.config.catalogue import EmbedderConfig
from csn.distributed import cluster
from csn.distributed.catalogue_worker import CatalogueWorker, ShardResult, reject
from csn.distributed.night import Night
from csn.distributed.progress import Counter
from csn.errors import CatalogueError, last_line

log = logging.getLogger(__name__)

SHARDS_A_WORKER = 4
"""As many at least, where there are tracks enough: all workers then end at about one time."""
SCOUTS = 16
"""Tracks of each worker's first shard: what is wrong with all of them is then soon known."""
REFRESH_S = 10.0
CHECKPOINT_COMMITS = 256
MAX_FAILED_STARTS = 3


@dataclass(frozen=True, slots=True)
class Fleet:
    """The workers of a night."""

    num_workers: int
    cpus: float
    gpus: float

    @property
    def threads(self) -> int:
        """Threads of a worker's network, and by default of its readers."""
        return max(1, int(self.cpus))

    @classmethod
    def of(
        cls, asked: EmbedderConfig, num_tracks: int, nodes: Sequence[Mapping[str, float]]
    ) -> "Fleet":
        """As many workers as `nodes` hold, or as are asked for."""
        gpus = float(asked.use_gpu)
        cpus = asked.cpus_per_worker or (cluster.cpus_per_gpu(nodes) if gpus else 1.0)
        size = fitting = cluster.room_for(nodes, _reserved(cpus, gpus))
        if asked.num_workers:
            # Where nodes come when asked, workers wait for theirs while others work.
            size = asked.num_workers if asked.wait_for_nodes_s else min(asked.num_workers, fitting)
        return cls(max(1, min(size, -(-num_tracks // SCOUTS))), cpus, gpus)


def _reserved(cpus: float, gpus: float) -> dict[str, float]:
    return {"CPU": cpus} | ({"GPU": gpus} if gpus else {})


@dataclass(slots=True)
class Done:
    """What a night has come to so far; what others had committed first does not count."""

    tracks: int = 0
    segments: int = 0
    audio_s: float = 0.0
    worked_s: float = 0.0
    """Audio that was embedded, whether or not others had committed it first."""
    rejects: Tally[tuple[str, str]] = field(default_factory=Tally)
    """By stage and class of the error."""
    untried: int = 0
    """Of the rejects those that were listed as such."""
    newly_failed: int = 0
    left_to_others: int = 0
    deaths: int = 0
    seconds: Tally[str] = field(default_factory=Tally)
    peak_mb: float = 0.0
    num_bytes: int = 0
    """Of shards of which only a part counts, that part."""

    def add(self, results: Iterable[ShardResult], stood: pa.Table) -> None:
        """Count shards; `stood` are those of their entries that count."""
        self.add_entries(stood)
        for result in results:
            made = _added(result.entries)
            self.worked_s += pc.sum(made["audio_s"]).as_py() or 0.0
            self.seconds.update(result.seconds)
            self.peak_mb = max(self.peak_mb, result.peak_mb)
            if result.shard:
                is_of = pc.equal(stood["shard"], result.shard.shard_id)
                share = (pc.sum(is_of).as_py() or 0) / len(made)
                self.num_bytes += round(share * result.shard.num_bytes)

    def add_entries(self, entries: pa.Table) -> None:
        """Count embedded tracks, and rejects."""
        added = _added(entries)
        self.tracks += len(added)
        self.segments += pc.sum(added["num_segments"]).as_py() or 0
        self.audio_s += pc.sum(added["audio_s"]).as_py() or 0.0
        self.add_rejects(entries)

    def add_rejects(self, entries: pa.Table) -> None:
        """Count rejects."""
        rejected = entries.filter(pc.equal(entries["action"], REJECT))
        self.rejects.update(
            zip(rejected["stage"].to_pylist(), rejected["error"].to_pylist(), strict=True)
        )
        self.newly_failed += sum(n == 1 for n in rejected["attempts"].to_pylist())


def _added(entries: pa.Table) -> pa.Table:
    return entries.filter(pc.equal(entries["action"], ADD))


@dataclass(frozen=True, slots=True)
class _Work:
    tracks: pa.Table
    deaths: int = 0

    def halves(self, deaths: int) -> list["_Work"]:
        middle = len(self.tracks) // 2
        parts = [self.tracks.slice(0, middle), self.tracks.slice(middle)]
        return [_Work(part, deaths) for part in parts]


class Shards:
    """Embeds and commits the tracks of one night."""

    def __init__(self, night: Night, committer: Committer, done: Done) -> None:
        self._night, self._committer, self.done = night, committer, done
        asked = night.config.workers
        least = _reserved(asked.cpus_per_worker or 1.0, float(asked.use_gpu))
        cluster.check_has(asked.wait_for_nodes_s, least, "by a worker that embeds")
        self.fleet = Fleet.of(asked, len(night.difference.todo), cluster.nodes())
        self._pending = deque(self._cut(night.difference.todo))
        self._refreshed = time.monotonic()
        self._failed_starts = 0
        readers = night.config.workers.readers or self.fleet.threads
        self._task = night.task(num_threads=self.fleet.threads, num_readers=readers)
        actor: Any = ray.remote(CatalogueWorker)
        self._actor = actor.options(num_cpus=self.fleet.cpus, num_gpus=self.fleet.gpus)
        self.startup_s = 0.0
        """Until the first worker was ready."""

    def _cut(self, tracks: pa.Table) -> list[_Work]:
        """Cut tonight's tracks into shards, in this run's own order, small ones first."""
        asked, size = self._night.config.workers, self.fleet.num_workers
        fair = max(SCOUTS, -(-len(tracks) // (SHARDS_A_WORKER * size)))
        sizes = tracks["size"].to_numpy().astype(np.float64)
        places = shard_places(sizes, min(asked.shard_tracks, fair), asked.shard_mb * 1e6)
        shards = [tracks.slice(place.start, place.stop - place.start) for place in places]
        random.Random(self._night.run_id).shuffle(shards)
        scouts = [shard.slice(0, SCOUTS) for shard in shards[:size]]
        rests = [shard.slice(SCOUTS) for shard in shards[:size]]
        return [_Work(one) for one in (*scouts, *rests, *shards[size:]) if len(one)]

    def embed(self, counter: Counter) -> None:
        """Embed all; what is committed when something stops the run is not done again.

        Raises
        ------
        CatalogueError
            Too many tracks fail alike, or the store fails for all.
        """
        started = time.monotonic()
        idle: list[Any] = []
        running: dict[Any, tuple[Any, _Work | None]] = {}
        for _ in range(self.fleet.num_workers):
            self._start(running)
        while self._pending or any(work for _, work in running.values()):
            while idle and (work := self._next()):
                worker = idle.pop()
                running[worker.embed.remote(work.tracks)] = (worker, work)
            if not any(work for _, work in running.values()) and not self._pending:
                break
            ray.wait(list(running), num_returns=1)
            ready, _ = ray.wait(list(running), num_returns=len(running), timeout=0)
            results = []
            for reference in ready:
                worker, work = running.pop(reference)
                found = self._result(reference, work)
                if found is None:
                    ray.kill(worker)
                    self._start(running)
                    results += self._again(work) if work else []
                    continue
                self.startup_s = self.startup_s or time.monotonic() - started
                self._failed_starts = 0
                results += found
                idle.append(worker)
            self._commit(results)
            counter.update(self.done.tracks, _note(self.done))
        for worker in [*idle, *(worker for worker, _ in running.values())]:
            ray.kill(worker)

    def _start(self, running: dict[Any, tuple[Any, _Work | None]]) -> None:
        """Start a worker, which is given work when it is ready."""
        # Ray's own restarts would refuse calls until the new process is up; a new actor queues.
        worker = self._actor.remote(self._task)
        running[worker.ready.remote()] = (worker, None)

    def _next(self) -> _Work | None:
        """Give the next shard, without what others have committed meanwhile."""
        if time.monotonic() - self._refreshed > REFRESH_S:
            self._committer.refresh()
            self._refreshed = time.monotonic()
        taken = pa.array(sorted(self._committer.taken), pa.string())
        while self._pending:
            work = self._pending.popleft()
            left = work.tracks.filter(pc.invert(pc.is_in(work.tracks["track_id"], taken)))
            self.done.left_to_others += len(work.tracks) - len(left)
            if len(left):
                return _Work(left, work.deaths)
        return None

    def _result(self, reference: Any, work: _Work | None) -> list[ShardResult] | None:
        """Give what came of a shard, nothing for a worker that is ready; none if it died."""
        try:
            result: Any = ray.get(reference)
        except RayTaskError as error:
            own = cluster.own_error(error)
            if own is None:
                raise
            raise CatalogueError(
                f"{own}; {self.done.tracks} tracks are committed, the same command goes on from "
                "there"
            ) from own
        except RayError as error:  # the worker, its node or its memory is gone
            self._failed_starts += work is None
            if self._failed_starts > MAX_FAILED_STARTS * self.fleet.num_workers:
                raise CatalogueError(f"workers do not start: {last_line(error)}") from error
            return None
        if work:
            return [result]
        if result != self._task.model_digest:
            raise CatalogueError(
                f"{self._task.checkpoint_uri} was overwritten while the night ran: it was "
                f"{self._task.model_digest} and is {result}; {self.done.tracks} tracks are "
                "committed, the same command begins anew with the network that is there now"
            )
        return []

    def _again(self, work: _Work) -> list[ShardResult]:
        """Put a dead worker's shard back; gives what is to be told of a track that kills them."""
        self.done.deaths += 1
        deaths = work.deaths + 1
        log.warning("a worker died over %s tracks; they are done again", len(work.tracks))
        if len(work.tracks) == 1 and deaths >= self._night.config.workers.max_deaths:
            row = work.tracks.to_pylist()[0]
            error = CatalogueError(f"{row['uri']}: {deaths} workers died over it")
            entry = reject(row, self._night.model.settings_digest, "embed", error)
            entries = pa.Table.from_pylist([entry], schema=ENTRY_SCHEMA)
            return [ShardResult(None, entries, {}, 0.0)]
        halved = deaths > 1 and len(work.tracks) > 1
        # Behind all others: these come to their end whatever this shard does.
        self._pending += work.halves(deaths) if halved else [_Work(work.tracks, deaths)]
        return []

    def _commit(self, results: Iterable[ShardResult]) -> None:
        results = list(results)
        if not results:
            return
        entries = pa.concat_tables([result.entries for result in results])
        self._check_failures(entries)
        shards = [result.shard for result in results if result.shard]
        stood = self._committer.commit(entries, shards)
        self.done.add(results, stood)
        self.done.left_to_others += len(entries) - len(stood)
        if self._committer.num_commits % CHECKPOINT_COMMITS == 0:
            self._night.log.write_checkpoint(self._night.log.read())

    def _check_failures(self, entries: pa.Table) -> None:
        """Stop a run that goes wrong as a whole, before these failures of it are committed."""
        done = deepcopy(self.done)
        done.add_entries(entries)
        config, failed = self._night.config, done.newly_failed
        tried = done.tracks + done.rejects.total() - done.untried
        if failed > max(config.min_failed, config.max_failed_share * tried):
            common = done.rejects.most_common()
            (stage, error), count = next(one for one in common if one[0][0] != "list")
            raise CatalogueError(
                f"{failed} of the first {tried} tracks failed that had not failed before, at most "
                f"{config.max_failed_share:.0%} expected; {count} at {stage} with {error}. "
                "Are bucket, credentials and files right? Mend them and run the same command "
                "again, or raise --max_failed_share"
            )


def _note(done: Done) -> str:
    notes = []
    if done.audio_s:
        notes.append(f"{done.audio_s / 3600:.1f} h of audio")
    if rejected := done.rejects.total():
        notes.append(f"{rejected} rejected")
    return ", ".join(notes)
