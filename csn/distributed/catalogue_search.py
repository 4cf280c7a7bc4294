"""Search an embedded catalogue: tasks rank shards, and the best of all shards are the answer.

Conventions
-----------
A search reads one snapshot of the catalogue, so that what is committed meanwhile does not matter.
It ends with a ranking (a row a track, nearest first), written as a page and as JSON.
"""

import json
import logging
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

import csn
from csn import storage
from csn.audio.streaming import mono_stream
from csn.catalogue.snapshot import Snapshot, output_uri, read_note, read_snapshot
from csn.config import SearchConfig, parsed_weights
from csn.distributed import cluster
from csn.distributed.ranking import rank, rank_by_index
from csn.distributed.shard_tasks import PLACE
from csn.errors import ConfigError, StorageError
from csn.evaluation.neighbours import Metric, compared
from csn.reports.search import render_search, search_json, search_text
from csn.search.filters import check_columns, check_filter
from csn.search.ranking import Query, SearchResult, best, recall_of, with_condition
from csn.search.shards import Shard, ShardRows, carried, read_shard, shards_of

log = logging.getLogger(__name__)

NUM_READERS = 16


def search(config: SearchConfig) -> str:
    """Search as `config` asks, print the ranking and write it; gives the page's address."""
    check_filter(config.where)
    uri = output_uri(config.root, config.catalogue)
    snapshot = read_snapshot(uri, config.model or None)
    note = read_note(uri, snapshot.model_digest)
    with cluster.joined():
        index_uri = storage.join(uri, "index", f"model={snapshot.model_digest}")
        result = search_in(snapshot, config, note.segments if note else {}, index_uri)
    return write_result(result, storage.join(uri, "searches", storage.digest(config)))


def write_result(result: SearchResult, folder_uri: str) -> str:
    """Print a result as a table and a line of JSON, and write both; gives the page's address."""
    for line in search_text(result).splitlines():
        log.info("%s", line)
    told = search_json(result)
    sys.stdout.write(json.dumps(told, allow_nan=False) + "\n")
    storage.write_json(storage.join(folder_uri, "result.json"), told)
    page = storage.join(folder_uri, "index.html")
    storage.write_bytes(page, render_search(result).encode())
    return page


def search_in(
    snapshot: Snapshot, config: SearchConfig, segments: Mapping[str, float], index_uri: str
) -> SearchResult:
    """Search a snapshot, by tasks on the cluster.

    Parameters
    ----------
    segments : mapping
        How the catalogue's tracks were cut (``duration_s``, ``hop_s``, ``min_tail_s``), for a
        query that is a recording; what is not said is as `csn.load` does it.
    index_uri : str
        Folder of the index, if one is asked.

    Raises
    ------
    ConfigError
        The query is neither a track nor a file, or weights or filter do not fit the catalogue.
    StorageError
        The catalogue cannot be read.
    """
    started = time.monotonic()
    check_filter(config.where)
    shards = shards_of(snapshot)
    if not shards:
        raise StorageError(f"{snapshot.catalogue}: no track is committed yet; embed it first")
    weights = _weights(snapshot, config)
    metric = snapshot.metric
    query, presence = _query(snapshot, shards, config, metric, segments)
    query = replace(query, weights=weights)
    if pointless := [n for n in weights if metric == "cosine" and not query.vectors[n].any()]:
        raise ConfigError(
            f"query={config.query!r} has a zero vector for {', '.join(pointless)}, without a "
            "cosine; weigh other conditions alone"
        )
    messages: list[str] = []
    if config.gate:
        query, messages = _heard(snapshot, query, presence)
    # What does not fit the columns is said before any task starts.
    if config.where:
        with ThreadPoolExecutor(NUM_READERS) as pool:
            names = dict.fromkeys(name for of in pool.map(carried, shards) for name in of)
        check_columns(config.where, names)
        read_shard(shards[0].of(query.counted), where=config.where, track_ids=[])
    thresholds = snapshot.thresholds if config.gate else {}
    asked = {"top_k": config.top_k, "where": config.where, "thresholds": thresholds}
    if config.method == "index":
        table, num_searched = rank_by_index(shards, query, folder_uri=index_uri, **asked)
    else:
        table, num_searched = rank(shards, query, **asked)
    seconds, exact_s, recall = time.monotonic() - started, None, None
    if config.method == "index" and config.compare:
        exact, _ = rank(shards, query, **asked)
        exact_s = time.monotonic() - started - seconds
        recall = recall_of(table, exact)
    if not num_searched:
        messages.append("no track is left to search in: where and gate let none through")
    return SearchResult(
        catalogue=snapshot.catalogue,
        model_digest=snapshot.model_digest,
        query=config.query,
        weights=query.weights,
        where=config.where,
        is_gated=config.gate,
        metric=metric,
        table=_completed(shards, table, query),
        num_tracks=sum(shard.num_living for shard in shards),
        num_searched=num_searched,
        seconds=seconds,
        recall=recall,
        exact_s=exact_s,
        messages=tuple(messages),
    )


def _weights(snapshot: Snapshot, config: SearchConfig) -> dict[str, float]:
    """Weights above 0, in the order of the catalogue's conditions."""
    given = parsed_weights(config.weights) or dict.fromkeys(snapshot.dims, 1.0)
    if unknown := [name for name in given if name not in snapshot.dims]:
        raise ConfigError(
            f"weights={config.weights!r} names {', '.join(unknown)}; {snapshot.catalogue} is "
            f"embedded by {', '.join(snapshot.dims)}"
        )
    return {name: given[name] for name in snapshot.dims if given.get(name)}


def _query(
    snapshot: Snapshot,
    shards: Sequence[Shard],
    config: SearchConfig,
    metric: Metric,
    segments: Mapping[str, float],
) -> tuple[Query, dict[str, float]]:
    """Find the query's vectors and presence: it is a track of the catalogue, or a recording."""
    if rows := _found(shards, config.query):
        vectors = {
            name: _directed(found[0], metric)
            for name, found in zip(snapshot.dims, rows.vectors, strict=True)
        }
        presence = {name: float(norms[0]) for name, norms in rows.presence.items()}
        return Query(vectors, {}, metric, config.query), presence
    if not storage.exists(config.query):
        raise ConfigError(
            f"query={config.query!r} is neither a track of {snapshot.catalogue} (model "
            f"{snapshot.model_digest}) nor an audio file; give a track_id of it, or a file"
        )
    vectors, presence = _embedded(config.query, snapshot, segments)
    directed = {name: _directed(vector, metric) for name, vector in vectors.items()}
    return Query(directed, {}, metric), presence


def _directed(vector: np.ndarray, metric: Metric) -> np.ndarray:
    """Give a vector as it is compared; one that is zero has no direction, and stays as it is."""
    return compared(vector[None], metric)[0] if vector.any() else vector


def _found(shards: Sequence[Shard], track_id: str) -> ShardRows | None:
    """Find a track's row in its shard; none where no shard has it."""

    def has_it(shard: Shard) -> bool:
        return bool(len(read_shard(shard.of(shard.conditions[:1]), track_ids=[track_id]).facts))

    with ThreadPoolExecutor(NUM_READERS) as pool:  # rows are sorted: each reads little
        for shard, is_here in zip(shards, pool.map(has_it, shards), strict=True):
            if is_here:
                return read_shard(shard, track_ids=[track_id])
    return None


def _embedded(
    uri: str, snapshot: Snapshot, segments: Mapping[str, float]
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Embed a recording as the catalogue's tracks were; gives vectors and presence."""
    embedder = csn.load(snapshot.checkpoint_uri)
    if embedder.digest != snapshot.model_digest:
        raise ConfigError(
            f"{snapshot.checkpoint_uri} holds network {embedder.digest} now, {snapshot.catalogue} "
            f"is embedded by {snapshot.model_digest}; embed the catalogue by the new one, or ask "
            "about a track of it"
        )
    cut: dict[str, Any] = {
        ours: segments[theirs]
        for ours, theirs in (("segment_s", "duration_s"), ("hop_s", "hop_s"), ("min_tail_s",) * 2)
        if theirs in segments
    }
    with storage.open_read(uri) as opened:
        blocks = mono_stream(uri, opened, embedder.sample_rate_hz)
        found = embedder.embed_blocks(blocks, **cut)
    means = {name: embedder.mean(name, vectors) for name, vectors in found.items()}
    vectors = {name: vector for name, (vector, _) in means.items()}
    return vectors, {name: presence for name, (_, presence) in means.items()}


def _heard(
    snapshot: Snapshot, query: Query, presence: Mapping[str, float]
) -> tuple[Query, list[str]]:
    """Leave out of the weights what is not heard in the query itself, and say so."""
    if not snapshot.thresholds:
        told = (
            f"the network of {snapshot.catalogue} does not tell what sounds: gate changes nothing"
        )
        return query, [told]
    silent = [
        name
        for name in query.counted
        if name in snapshot.thresholds and presence[name] < snapshot.thresholds[name]
    ]
    told = [
        f"{name} is not heard in the query (norm {presence[name]:.3g}, from "
        f"{snapshot.thresholds[name]:.3g} on it is) and does not count"
        for name in silent
    ]
    left = {name: weight for name, weight in query.weights.items() if name not in silent}
    if not left:
        raise ConfigError(f"{'; '.join(told)}; weigh another instrument, or set --gate False")
    return replace(query, weights=left), told


def _completed(shards: Sequence[Shard], ranking: pa.Table, query: Query) -> pa.Table:
    """Add to a ranking the conditions that do not count."""
    places = ranking[PLACE].to_numpy()
    pieces = []
    for place in np.unique(places).tolist():
        piece = ranking.filter(pa.array(places == place))
        ids = piece["track_id"].to_pylist()
        for name in shards[place].conditions:
            if name not in query.weights:
                rows = read_shard(shards[place].of([name]), metric=query.metric, track_ids=ids)
                piece = with_condition(piece, query, name, rows)
        pieces.append(piece)
    return best(pieces or [ranking], len(ranking)).drop_columns([PLACE])
