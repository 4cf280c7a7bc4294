"""A worker of the nightly embedding: decodes a shard's tracks, embeds them, writes its files.

Conventions
-----------
What a worker writes counts for nothing until the driver commits it: files have names that no
other attempt has, so a shard may be done twice, by whomever, and nothing is written over.
"""

import resource
import time
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from csn import shared_storage, storage
from csn.catalogue.difference import ATTEMPTS
from csn.catalogue.entries import ADD, ENTRY_SCHEMA, REJECT, Shard, ShardFile
from csn.catalogue.reading import (
    Begun,
    Cutting,
    Ended,
    Failed,
    Piece,
    Seconds,
    Source,
    read_ahead,
    told,
)
from csn.catalogue.rows import LEVELS, EmbeddedTrack, encoded, row_schema, rows
from csn.model import checkpoint

NUM_WRITERS = 10


@dataclass(frozen=True, slots=True)
class Task:
    """What all shards of one run have in common."""

    checkpoint_uri: str
    model_digest: str
    output_uri: str
    date: str
    cutting: Cutting
    dims: Mapping[str, slice]
    thresholds: Mapping[str, float]
    is_unit: bool
    vector: str
    carried: tuple[pa.Field, ...]
    code_version: str
    settings_digest: str
    num_threads: int
    num_readers: int
    batch_s: float
    use_gpu: bool
    bf16: bool
    patience_s: float


@dataclass(frozen=True, slots=True)
class ShardResult:
    """What became of a shard's tracks."""

    shard: Shard | None
    """None where no track could be embedded."""
    entries: pa.Table
    seconds: Mapping[str, float]
    """Wall seconds of read, decode (threads together), wait, network, write, and all; cpu."""
    peak_mb: float
    """Largest resident memory of the process so far."""


@dataclass(slots=True)
class _Heard:
    """One track, as far as it is embedded."""

    starts: list[int] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    vectors: list[np.ndarray] = field(default_factory=list)
    num_samples: int = 0


class CatalogueWorker:
    """Holds the network; embeds shard after shard."""

    def __init__(self, task: Task) -> None:
        self._task = task
        torch.set_num_threads(task.num_threads)
        self._device = torch.device("cuda" if task.use_gpu else "cpu")
        self._readers = ThreadPoolExecutor(task.num_readers)
        self._writers = ThreadPoolExecutor(NUM_WRITERS)
        load = partial(checkpoint.load, task.checkpoint_uri)
        loaded = shared_storage.patiently(load, task.patience_s)
        self._network = loaded.network.to(self._device)
        self._digest = loaded.digest

    def ready(self) -> str:
        """Give the network's digest, when it is loaded."""
        return self._digest

    def embed(self, tracks: pa.Table) -> ShardResult:
        """Embed `tracks`, rows of a difference's `todo`, and write their files.

        Raises
        ------
        StorageError
            The store fails for all, not for one file: nothing of the shard is kept.
        """
        started, cpu_started = time.monotonic(), time.process_time()
        seconds = {"wait": 0.0, "network": 0.0}
        reading = Seconds()
        rows_ = tracks.to_pylist()
        heard, failures = self._heard(rows_, reading, seconds)
        embedded = [self._track(row, one) for row, one in zip(rows_, heard, strict=True) if one]
        writing = time.monotonic()
        shard = self._written(embedded) if embedded else None
        now = time.monotonic()
        seconds |= {"read": reading.read, "decode": reading.decode, "blocked": reading.blocked}
        seconds |= {"write": now - writing, "all": now - started}
        seconds["cpu"] = time.process_time() - cpu_started
        entries = self._entries(rows_, heard, failures, shard)
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return ShardResult(shard, entries, seconds, peak_mb)

    def _heard(
        self, rows_: list[dict[str, Any]], reading: Seconds, seconds: dict[str, float]
    ) -> tuple[list[_Heard | None], dict[int, Failed]]:
        """Embed each track's segments; gives none and a failure where that cannot be done."""
        task = self._task
        heard: list[_Heard | None] = [_Heard() for _ in rows_]
        failures: dict[int, Failed] = {}
        waiting: list[Piece] = []
        sources = [Source(row["uri"], row["size"]) for row in rows_]
        with read_ahead(
            sources,
            task.cutting,
            pool=self._readers,
            num_threads=min(task.num_readers, len(sources)),
            piece_s=task.batch_s / 4,
            patience_s=task.patience_s,
            seconds=reading,
        ) as queue:
            open_tracks = len(rows_)
            while open_tracks:
                asked = time.monotonic()
                item = queue.get()
                seconds["wait"] += time.monotonic() - asked
                match item:
                    case Begun(place):
                        heard[place] = _Heard()
                        waiting = [piece for piece in waiting if piece.place != place]
                    case Piece():
                        waiting = self._embedded(waiting, item, heard, failures, seconds)
                    case Ended(place, num_samples):
                        if track := heard[place]:
                            track.num_samples = num_samples
                        open_tracks -= 1
                    case Failed(is_ours=True):
                        raise item.error
                    case Failed(place):
                        heard[place] = None
                        waiting = [piece for piece in waiting if piece.place != place]
                        failures[place] = item
                        open_tracks -= 1
        self._run(waiting, heard, seconds)
        for place, track in enumerate(heard):
            if track and (fault := self._fault(track)):
                stage, message = fault
                error = ValueError(f"{rows_[place]['uri']}: {message}")
                failures[place] = Failed(place, stage, error)
                heard[place] = None
        return heard, failures

    def _embedded(
        self,
        waiting: list[Piece],
        piece: Piece,
        heard: list[_Heard | None],
        failures: dict[int, Failed],
        seconds: dict[str, float],
    ) -> list[Piece]:
        """Embed `piece` with those that wait, if together they fill a batch; gives what waits."""
        cutting = self._task.cutting
        if piece.waveforms.shape[1] != cutting.length:  # a short track's only segment
            try:
                self._run([piece], heard, seconds)
            except RuntimeError as error:  # too short for the network, whatever min_tail_s says
                failures[piece.place] = Failed(piece.place, "embed", error)
                heard[piece.place] = None
            return waiting
        waiting = [*waiting, piece]
        samples = sum(one.waveforms.size for one in waiting)
        if samples < self._task.batch_s * cutting.sample_rate_hz:
            return waiting
        self._run(waiting, heard, seconds)
        return []

    def _run(
        self, pieces: list[Piece], heard: list[_Heard | None], seconds: dict[str, float]
    ) -> None:
        """Embed segments of one length, and hand each its track."""
        if not pieces:
            return
        started = time.monotonic()
        batch = np.concatenate([piece.waveforms for piece in pieces])
        cuda = self._device.type == "cuda"
        with (
            torch.inference_mode(),
            torch.autocast(self._device.type, torch.bfloat16, enabled=cuda and self._task.bf16),
        ):
            found = self._network(torch.from_numpy(batch).to(self._device))
        vectors = found.float().cpu().numpy()
        begin = 0
        for piece in pieces:
            track = heard[piece.place]
            assert track is not None
            track.starts += piece.starts
            track.lengths += [piece.waveforms.shape[1]] * len(piece.starts)
            track.vectors.append(vectors[begin : begin + len(piece.starts)])
            begin += len(piece.starts)
        seconds["network"] += time.monotonic() - started

    def _fault(self, track: _Heard) -> tuple[str, str] | None:
        """Say at which stage an embedded track turned out to be useless, and why."""
        rate_hz = self._task.cutting.sample_rate_hz
        if not track.starts:
            least_s = self._task.cutting.min_tail / rate_hz
            said = f"{track.num_samples / rate_hz:.2f} s long, at least {least_s:g} s expected"
            return "decode", f"{said} (segments.min_tail_s)"
        finite = all(np.isfinite(vectors).all() for vectors in track.vectors)
        return None if finite else ("embed", "the network gave values that are not numbers")

    def _track(self, row: Mapping[str, Any], heard: _Heard) -> EmbeddedTrack:
        rate_hz = self._task.cutting.sample_rate_hz
        return EmbeddedTrack(
            row["track_id"],
            row["uri"],
            row["source_digest"],
            heard.num_samples / rate_hz,
            np.array(heard.starts) / rate_hz,
            np.array(heard.lengths) / rate_hz,
            np.concatenate(heard.vectors),
            {field.name: row[field.name] for field in self._task.carried},
        )

    def _written(self, tracks: list[EmbeddedTrack]) -> Shard:
        """Write a file a level and condition, each while the next is made."""
        shard_id = uuid.uuid4().hex
        files = []
        for level in LEVELS:
            for condition in self._task.dims:
                # Not in the threads: each would keep the memory that this took.
                file, data = self._made(tracks, shard_id, level, condition)
                files.append((file, self._writers.submit(self._store, file.path, data)))
        for _, stored in files:
            stored.result()
        return Shard(shard_id, tuple(file for file, _ in files))

    def _made(
        self, tracks: list[EmbeddedTrack], shard_id: str, level: str, condition: str
    ) -> tuple[ShardFile, pa.Buffer]:
        task = self._task
        dims = task.dims[condition]
        schema = row_schema(dims.stop - dims.start, task.vector, task.carried)
        constants = {"model_digest": task.model_digest, "code_version": task.code_version}
        threshold = task.thresholds.get(condition)
        table = rows(
            tracks, level, dims, schema, constants, threshold=threshold, is_unit=task.is_unit
        )
        path = file_path(task.model_digest, level, condition, task.date, shard_id)
        data = encoded(table)
        return ShardFile(level, condition, path, len(table), data.size), data

    def _store(self, path: str, data: pa.Buffer) -> None:
        uri = storage.join(self._task.output_uri, path)
        shared_storage.patiently(partial(storage.write_bytes, uri, data), self._task.patience_s)

    def _entries(
        self,
        rows_: list[dict[str, Any]],
        heard: list[_Heard | None],
        failures: Mapping[int, Failed],
        shard: Shard | None,
    ) -> pa.Table:
        rate_hz = self._task.cutting.sample_rate_hz
        made = []
        for place, (row, track) in enumerate(zip(rows_, heard, strict=True)):
            if track is None:
                failed = failures[place]
                made.append(reject(row, self._task.settings_digest, failed.stage, failed.error))
                continue
            assert shard is not None
            made.append(
                _common(row, self._task.settings_digest)
                | {"action": ADD, "shard": shard.shard_id}
                | {"audio_s": track.num_samples / rate_hz, "num_segments": len(track.starts)}
            )
        return pa.Table.from_pylist(made, schema=ENTRY_SCHEMA)


def file_path(digest: str, level: str, condition: str, date: str, shard_id: str) -> str:
    """Where a shard's file lies below the catalogue's output."""
    return f"model={digest}/level={level}/condition={condition}/date={date}/{shard_id}.parquet"


def _common(row: Mapping[str, Any], settings_digest: str) -> dict[str, Any]:
    names = ("track_id", "uri", "source_digest")
    return {name: row[name] for name in names} | {"settings_digest": settings_digest}


def reject(
    row: Mapping[str, Any], settings_digest: str, stage: str, error: Exception
) -> dict[str, Any]:
    """Make the entry of a track that failed, one more time."""
    name, message = told(error)
    return _common(row, settings_digest) | {
        "action": REJECT,
        "stage": stage,
        "error": name,
        "message": message,
        "attempts": row[ATTEMPTS] + 1,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
