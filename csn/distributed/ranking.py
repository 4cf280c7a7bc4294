"""Rank the tracks of a catalogue: all of them exactly, or exactly what an index finds.

Conventions
-----------
The index is a file a shard, which is built when it is missing. Its rows are those of the shard's
files, dead ones too, so that it stays true while tracks of its shard are replaced. Of a shard in
which few tracks take part, all are candidates.
"""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from csn import storage
from csn.distributed.shard_tasks import PLACE, in_tasks
from csn.search.approximate import NUM_CANDIDATES, CodedRows
from csn.search.ranking import Query, best, ranked
from csn.search.shards import Shard, read_shard, taking_part

ALIKE = "alike"


def rank(
    shards: Sequence[Shard],
    query: Query,
    *,
    top_k: int,
    where: str = "",
    thresholds: Mapping[str, float],
) -> tuple[pa.Table, int]:
    """Rank all tracks; gives the first, each with the place of its shard, and how many there were.

    Parameters
    ----------
    thresholds : mapping
        Norms from which on a condition is heard; those that count must be.
    """
    wanted = {name: thresholds[name] for name in query.counted if name in thresholds}
    counted = [shard.of(query.counted) for shard in shards]
    rank_some = partial(_ranked, query=query, top_k=top_k, where=where, thresholds=wanted)
    rankings, num_searched = [], 0
    for ranking, num in in_tasks(counted, rank_some):
        rankings.append(ranking)
        num_searched += num
    return best(rankings, top_k), num_searched


def _ranked(
    place: int,
    shard: Shard,
    *,
    query: Query,
    top_k: int,
    where: str,
    thresholds: Mapping[str, float],
) -> tuple[pa.Table, int]:
    rows = read_shard(shard, metric=query.metric, where=where, thresholds=thresholds)
    ranking = ranked(query, rows, top_k)
    is_here = pc.index(rows.facts["track_id"], query.track_id).as_py() >= 0
    places = pa.array(np.full(len(ranking), place))
    return ranking.append_column(PLACE, places), len(rows.facts) - is_here


def rank_by_index(
    shards: Sequence[Shard],
    query: Query,
    *,
    top_k: int,
    folder_uri: str,
    where: str = "",
    thresholds: Mapping[str, float],
) -> tuple[pa.Table, int]:
    """Rank what the index finds; otherwise as `rank`.

    Parameters
    ----------
    folder_uri : str
        Where the index lies.
    """
    num = max(NUM_CANDIDATES, 10 * top_k)
    look = partial(
        _candidates,
        query=query,
        num=num,
        folder_uri=folder_uri,
        where=where,
        thresholds={name: thresholds[name] for name in query.counted if name in thresholds},
    )
    found, num_searched = [], 0
    for table, number in in_tasks(shards, look):
        found.append(table)
        num_searched += number
    candidates = _first(pa.concat_tables(found), num)
    of_place = candidates.group_by(PLACE).aggregate([("track_id", "list")]).sort_by(PLACE)
    places = of_place[PLACE].to_pylist() or [0]
    names = of_place["track_id_list"].to_pylist() or [[]]
    rank_some = partial(_ranked_among, query=query, top_k=top_k, names=names, places=places)
    some = [shards[place].of(query.counted) for place in places]
    return best([table for table, _ in in_tasks(some, rank_some)], top_k), num_searched


def _first(candidates: pa.Table, num: int) -> pa.Table:
    """Give the first `num` of those that were compared, and all of shards that were not coded."""
    is_coded = pc.is_finite(candidates[ALIKE])
    coded = candidates.filter(is_coded).sort_by([(ALIKE, "descending")]).slice(0, num)
    return pa.concat_tables([candidates.filter(pc.invert(is_coded)), coded])


def _candidates(
    place: int,
    shard: Shard,
    *,
    query: Query,
    num: int,
    folder_uri: str,
    where: str,
    thresholds: Mapping[str, float],
) -> tuple[pa.Table, int]:
    track_ids, kept = taking_part(shard, where=where, thresholds=thresholds)
    kept &= track_ids.to_numpy(zero_copy_only=False) != query.track_id
    weights = [query.weights.get(name, 0.0) for name in shard.conditions]
    joined = np.concatenate([query.vectors[name] for name in shard.conditions])
    if kept.sum() <= num:
        rows = np.flatnonzero(kept)
        alike = np.full(len(rows), np.inf)
    else:
        # Where few take part, more must be asked to find as many of those.
        asked = int(num / kept.mean()) + 1
        rows, alike = _coded(shard, query, folder_uri).candidates(joined, weights, asked)
    wanted = kept[rows]
    columns = {
        "track_id": track_ids.take(pa.array(rows[wanted])),
        ALIKE: alike[wanted].astype(np.float64),
        PLACE: np.full(int(wanted.sum()), place),
    }
    return pa.table(columns).slice(0, num), int(kept.sum())


def _coded(shard: Shard, query: Query, folder_uri: str) -> CodedRows:
    """Load a shard's index; build it where there is none."""
    uri = storage.join(folder_uri, f"{storage.digest([file.uri for file in shard.files])}.faiss")
    widths = tuple(len(query.vectors[name]) for name in shard.conditions)
    if storage.exists(uri):
        return CodedRows.from_bytes(storage.read_bytes(uri), widths)
    rows = read_shard(shard.with_dead(), metric=query.metric, keep_zero=True)
    coded = CodedRows.of(rows.held())
    storage.write_bytes(uri, coded.to_bytes())
    return coded


def _ranked_among(
    place: int,
    shard: Shard,
    *,
    query: Query,
    top_k: int,
    names: Sequence[Sequence[str]],
    places: Sequence[int],
) -> tuple[pa.Table, int]:
    rows = read_shard(shard, metric=query.metric, track_ids=names[place])
    ranking = ranked(query, rows, top_k)
    return ranking.append_column(PLACE, pa.array(np.full(len(ranking), places[place]))), 0
