"""Joining small files, and finding those that nothing refers to.

Conventions
-----------
Shards are joined whole: a file a level and condition, its rows sorted, without the dead ones. The
old files stay for those who read them, until nobody can name them who has read the log since
some time (`CommitLog.shards_since`); then `orphans` finds them.
"""

import uuid
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from csn import shared_storage, storage
from csn.catalogue.entries import ADD, DEAD, ENTRY_SCHEMA, REJECT, Shard, ShardFile, State
from csn.catalogue.rows import encoded

NUM_JOINERS = 4
"""Files joined at a time, which bounds the memory."""
MOSTLY_DEAD = 0.5
"""A shard with a greater share of dead rows is written anew, however large it is."""


def groups(state: State, target_bytes: float) -> list[list[Shard]]:
    """Shards to join: those whose largest file is smaller than half of `target_bytes`.

    Neighbours are put together until their largest files make up `target_bytes`. A shard that has
    nobody to be joined with is left, unless most of it is dead.
    """
    counts = {shard: [0, 0] for shard in state.shards}
    for action, place in ((ADD, 0), (DEAD, 1)):
        for one in pc.value_counts(state.of(action)["shard"].combine_chunks()).to_pylist():
            counts[one["values"]][place] = one["counts"]
    found: list[list[Shard]] = []
    group: list[Shard] = []
    held = 0.0
    for shard in state.shards.values():
        size = max((file.num_bytes for file in shard.files), default=0)
        live, dead = counts[shard.shard_id]
        if size >= target_bytes / 2:
            if dead > MOSTLY_DEAD * (live + dead):
                found.append([shard])
            continue
        if group and held + size > target_bytes:
            found.append(group)
            group, held = [], 0.0
        group.append(shard)
        held += size
    if group:
        found.append(group)
    return [one for one in found if len(one) > 1 or _is_mostly_dead(counts[one[0].shard_id])]


def _is_mostly_dead(counts: Sequence[int]) -> bool:
    return counts[1] > MOSTLY_DEAD * sum(counts)


def joined(
    output_uri: str,
    group: Sequence[Shard],
    date: str,
    dead: dict[str, tuple[str, ...]],
    patience_s: float = 0.0,
) -> Shard:
    """Write the living rows of some shards as one shard more; nothing refers to it yet."""
    shard_id = uuid.uuid4().hex
    join = partial(_join, output_uri, group, date, dead, shard_id, patience_s)
    with ThreadPoolExecutor(NUM_JOINERS) as pool:
        return Shard(shard_id, tuple(pool.map(join, group[0].files)))


def _join(
    output_uri: str,
    group: Sequence[Shard],
    date: str,
    dead: dict[str, tuple[str, ...]],
    shard_id: str,
    patience_s: float,
    one: ShardFile,
) -> ShardFile:
    """Join the files of one level and condition."""
    kind = (one.level, one.condition)
    tables = []
    for shard in group:
        (file,) = (f for f in shard.files if (f.level, f.condition) == kind)
        read = partial(storage.read_bytes, storage.join(output_uri, file.path))
        data = shared_storage.patiently(read, patience_s)
        table = pq.ParquetFile(pa.BufferReader(data)).read()
        ids = pa.array(dead.get(shard.shard_id, ()), pa.string())
        tables.append(table.filter(pc.invert(pc.is_in(table["track_id"], ids))))
    whole = pa.concat_tables(tables, promote_options="permissive").sort_by(
        [("track_id", "ascending"), ("segment_index", "ascending")]
    )
    path = f"{one.path.rpartition('/date=')[0]}/date={date}/{shard_id}.parquet"
    data = encoded(whole)
    uri = storage.join(output_uri, path)
    shared_storage.patiently(partial(storage.write_bytes, uri, data), patience_s)
    return ShardFile(*kind, path, len(whole), data.size)


def moved(state: State, group: Sequence[Shard], shard: Shard) -> pa.Table:
    """Make the entries that say of a group's living tracks that they are in `shard` now.

    What an open reject says of a track is said again behind it: the last word counts.
    """
    live, rejects = state.of(ADD), state.of(REJECT)
    ids = pa.array([one.shard_id for one in group])
    entries = live.filter(pc.is_in(live["shard"], ids)).select(ENTRY_SCHEMA.names)
    place = ENTRY_SCHEMA.get_field_index("shard")
    placed = entries.set_column(
        place, ENTRY_SCHEMA.field("shard"), pa.array([shard.shard_id] * len(entries))
    )
    of_group = rejects.filter(pc.is_in(rejects["track_id"], entries["track_id"]))
    return pa.concat_tables([placed, of_group.select(ENTRY_SCHEMA.names)])


def orphans(
    output_uri: str, model_digest: str, shards: Iterable[Shard], before_s: float
) -> Iterator[str]:
    """Addresses of the model's files that are of none of `shards` and older than a time.

    Parameters
    ----------
    shards : iterable of Shard
        Those that somebody may still read.
    before_s : float
        By the store's own clock, which the times of its files are of.
    """
    named = {file.path for shard in shards for file in shard.files}
    for file in shared_storage.list_files(storage.join(output_uri, f"model={model_digest}")):
        path = file.uri.removeprefix(f"{output_uri.rstrip('/')}/")
        if path not in named and file.modified_s < before_s:
            yield file.uri


def store_time_s(uri: str) -> float:
    """Now by the store's clock: the time of a file that was written just now."""
    (file,) = (f for f in shared_storage.list_folder(uri.rpartition("/")[0] + "/") if f.uri == uri)
    return file.modified_s


def remove_all(uris: Iterable[str], patience_s: float) -> int:
    """Remove files; gives how many."""
    count = 0
    for uri in uris:
        shared_storage.patiently(partial(storage.remove, uri), patience_s)
        count += 1
    return count
