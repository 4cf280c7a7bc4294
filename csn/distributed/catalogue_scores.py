"""P1 of an embedded catalogue at its whole size: exact neighbours, shard by shard on the cluster.

Conventions
-----------
What takes part are the segments of the length that the catalogue's tracks are cut to, as its note
says, that begin at a multiple of it: no two overlap (see `csn.evaluation.music_id`). Queries are
drawn from all of them; each is compared with all others. A task meets one shard at a time, so
memory does not grow with the catalogue; the driver holds the queries and the best of each so far.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any

import numpy as np
import pyarrow as pa
import ray
from jaxtyping import Float, Int, Shaped

from csn import storage
from csn.catalogue.snapshot import Snapshot, output_uri, read_note, read_snapshot
from csn.config import CatalogueScoreConfig, EvaluationConfig
from csn.distributed import cluster
from csn.distributed.shard_tasks import in_tasks
from csn.errors import ConfigError, ProtocolError
from csn.evaluation.neighbours import Metric
from csn.evaluation.questions import Question
from csn.evaluation.scores import score_table
from csn.evaluation.sharded_neighbours import Neighbours, in_shard, nearer, recovered_by
from csn.evaluation.top_k import NOBODY
from csn.model import checkpoint
from csn.records import OURS
from csn.reports.tables import score_text
from csn.search.shards import Shard, ShardRows, read_shard, shards_of

log = logging.getLogger(__name__)

PROTOCOL = "music_id"


@dataclass(frozen=True, slots=True)
class TakingPart:
    """Which rows of a shard take part."""

    metric: Metric
    duration_s: float
    thresholds: dict[str, float]
    """Empty where what is not heard takes part too."""

    def read(self, shard: Shard) -> ShardRows:
        """Read these rows of a shard."""
        rows = read_shard(shard, metric=self.metric, thresholds=self.thresholds)
        return rows.kept(is_whole(rows.facts, self.duration_s))


@dataclass(frozen=True, slots=True)
class Queries:
    """Segments that are asked, in the order of their shards."""

    vectors: Float[np.ndarray, "queries dim"]
    tracks: Shaped[np.ndarray, " queries"]
    shards: Int[np.ndarray, " queries"]
    rows: Int[np.ndarray, " queries"]
    """Place among the rows of its shard that take part."""


def score_catalogue(config: CatalogueScoreConfig) -> str:
    """Score a catalogue's current embeddings, and write the scores; gives their address."""
    uri = output_uri(config.root, config.catalogue)
    snapshot = read_snapshot(uri, config.model or None)
    duration_s = segment_duration_s(uri, snapshot)
    with cluster.joined():
        table = scores_of(snapshot, config, duration_s)
    for line in score_text(table).splitlines():
        log.info("%s", line)
    written = storage.join(uri, "scores", f"model={snapshot.model_digest}", "scores.parquet")
    storage.write_table(written, table)
    return written


def segment_duration_s(catalogue_uri: str, snapshot: Snapshot) -> float:
    """Length to which tracks are cut; a note that does not say it is of the network's own."""
    note = read_note(catalogue_uri, snapshot.model_digest)
    noted = note.segments.get("duration_s") if note else None
    return noted or checkpoint.read_config(snapshot.checkpoint_uri).audio.segment_s


def scores_of(snapshot: Snapshot, config: CatalogueScoreConfig, duration_s: float) -> pa.Table:
    """Score each condition: a table of `SCORE_SCHEMA`.

    Parameters
    ----------
    duration_s : float
        Length to which the catalogue's tracks are cut; a track that is shorter takes no part.

    Raises
    ------
    ConfigError
        A condition is not one of the catalogue's.
    ProtocolError
        There are too few segments.
    """
    conditions = config.conditions or tuple(snapshot.dims)
    if unknown := [name for name in conditions if name not in snapshot.dims]:
        raise ConfigError(
            f"conditions names {', '.join(unknown)}; {snapshot.catalogue} is embedded by "
            f"{', '.join(snapshot.dims)}"
        )
    shards = shards_of(snapshot, "segment")
    if not shards:
        raise ProtocolError(f"{snapshot.catalogue} has no segments; embed it first")
    metric = snapshot.metric
    rows = []
    for condition in conditions:
        gates = config.gate and condition in snapshot.thresholds
        heard = {condition: snapshot.thresholds[condition]} if gates else {}
        taking_part = TakingPart(metric, duration_s, heard)
        rows.append(_score([s.of([condition]) for s in shards], taking_part, condition, config))
    return score_table(rows)


def is_whole(facts: pa.Table, duration_s: float) -> np.ndarray:
    """Whether each segment has that length and begins at a multiple of it."""
    lengths = facts["duration_s"].to_numpy()
    # By its own length, which is of whole samples: late in a long track the difference adds up.
    starts = facts["start_s"].to_numpy() / lengths
    return (np.abs(starts - np.round(starts)) < 1e-3) & (np.abs(lengths / duration_s - 1) < 1e-3)


def _score(
    shards: Sequence[Shard],
    taking_part: TakingPart,
    condition: str,
    config: CatalogueScoreConfig,
) -> dict[str, Any]:
    counts = [number for _, number in in_tasks(shards, partial(_counted, taking_part=taking_part))]
    queries = _drawn(shards, counts, taking_part, config)
    log.info(
        "%s: %s of %s segments, each among all others", condition, len(queries.rows), sum(counts)
    )
    shared = ray.put(queries)
    found = in_tasks(shards, partial(_nearest, taking_part=taking_part, shared=shared, k=config.k))
    nearest = reduce(nearer, (_neighbours(table, config.k) for table, _ in found))
    correct = recovered_by(nearest, queries.tracks)
    evaluation = EvaluationConfig(k=config.k, num_resamples=config.num_resamples)
    question = Question(PROTOCOL, OURS, condition, condition, taking_part.duration_s)
    return question.answered(correct, queries.tracks, evaluation, config.seed)


def _counted(place: int, shard: Shard, *, taking_part: TakingPart) -> tuple[pa.Table, int]:
    return pa.table({"shard": [place]}), len(taking_part.read(shard).facts)


def _drawn(
    shards: Sequence[Shard],
    counts: Sequence[int],
    taking_part: TakingPart,
    config: CatalogueScoreConfig,
) -> Queries:
    """Draw queries from all segments, and fetch them."""
    total = sum(counts)
    num = total if config.num_queries is None else min(config.num_queries, total)
    drawn = np.sort(np.random.default_rng(config.seed).choice(total, num, replace=False))
    ends = np.cumsum(counts)
    of_shard = np.searchsorted(ends, drawn, side="right")
    rows = drawn - (ends - counts)[of_shard]
    fetch = partial(_fetched, taking_part=taking_part, shards=of_shard, rows=rows)
    tables = [table for table, _ in in_tasks(shards, fetch)]
    found = pa.concat_tables(tables)
    vectors = found["vector"].combine_chunks()
    if not num:
        raise ProtocolError("no segment takes part (does --gate leave out all of them?)")
    return Queries(
        vectors.flatten().to_numpy().reshape(num, -1),
        found["track_id"].to_numpy(),
        of_shard,
        rows,
    )


def _fetched(
    place: int, shard: Shard, *, taking_part: TakingPart, shards: np.ndarray, rows: np.ndarray
) -> tuple[pa.Table, int]:
    wanted = rows[shards == place]
    read = taking_part.read(shard)
    numbers = pa.array(read.vectors[0][wanted].ravel())
    columns = {
        "track_id": read.facts["track_id"].take(pa.array(wanted)),
        "vector": pa.FixedSizeListArray.from_arrays(numbers, read.vectors[0].shape[1]),
    }
    return pa.table(columns), len(wanted)


def _nearest(
    place: int, shard: Shard, *, taking_part: TakingPart, shared: Any, k: int
) -> tuple[pa.Table, int]:
    queries: Queries = ray.get(shared)
    read = taking_part.read(shard)
    found = in_shard(
        queries.vectors,
        read.held(),
        read.facts["track_id"].to_pylist(),
        read.facts["segment_index"].to_numpy(),
        k,
        np.where(queries.shards == place, queries.rows, NOBODY),
    )
    columns = {
        "squared": found.squared.ravel(),
        "tracks": pa.array(found.tracks.ravel(), pa.string()),
        "indices": found.indices.ravel(),
    }
    return pa.table(columns), len(queries.rows)


def _neighbours(table: pa.Table, k: int) -> Neighbours:
    return Neighbours(
        table["squared"].to_numpy().reshape(-1, k),
        table["tracks"].to_numpy().astype(object).reshape(-1, k),
        table["indices"].to_numpy().reshape(-1, k),
    )
