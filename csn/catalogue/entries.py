"""What commits say of tracks, and what is true after all of them. Pure.

Conventions
-----------
A commit holds entries, one a track and action, and the shards that it adds or takes away. A shard
is a set of files, one for each level and condition, that hold the same tracks. Entries stand in
the order of their commits, and the last word about a track counts:

- ``add``: the track's rows are in this shard; rows of it in any other shard are dead.
- ``dead``: this shard holds rows of the track that never counted, or count no longer.
- ``delete``: the track is gone from the catalogue.
- ``reject``: the track could not be embedded. Rows of it that are there stay until better come.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

ADD, DEAD, DELETE, REJECT = "add", "dead", "delete", "reject"

ENTRY_SCHEMA = pa.schema(
    [
        pa.field("track_id", pa.string()),
        pa.field("action", pa.string()),
        pa.field("shard", pa.string()),
        pa.field("uri", pa.string()),
        pa.field("source_digest", pa.string()),
        pa.field("settings_digest", pa.string()),
        pa.field("audio_s", pa.float64()),
        pa.field("num_segments", pa.int32()),
        pa.field("stage", pa.string()),
        pa.field("error", pa.string()),
        pa.field("message", pa.string()),
        pa.field("attempts", pa.int32()),
        pa.field("at", pa.string()),
    ]
)
"""`stage` to `at` are of rejects: where and why, how many nights, and when last (UTC)."""
VERSION = pa.field("version", pa.int64())
STATE_SCHEMA = ENTRY_SCHEMA.append(VERSION)
"""Entries with the number of the commit that they stand in."""


@dataclass(frozen=True, slots=True)
class ShardFile:
    """One file of a shard; `path` is relative to the catalogue's folder."""

    level: str
    condition: str
    path: str
    num_rows: int
    num_bytes: int


@dataclass(frozen=True, slots=True)
class Shard:
    """Files that hold the same tracks."""

    shard_id: str
    files: tuple[ShardFile, ...]

    @property
    def num_bytes(self) -> int:
        """Bytes of all files together."""
        return sum(file.num_bytes for file in self.files)


@dataclass(frozen=True, slots=True)
class State:
    """What is true after some number of commits."""

    version: int = 0
    entries: pa.Table = field(default_factory=STATE_SCHEMA.empty_table)
    shards: Mapping[str, Shard] = field(default_factory=dict)

    def of(self, *actions: str) -> pa.Table:
        """Entries of these actions alone."""
        return self.entries.filter(pc.is_in(self.entries["action"], pa.array(actions)))

    def dead_ids(self) -> dict[str, tuple[str, ...]]:
        """For each shard with dead rows, whose they are, sorted."""
        found: dict[str, list[str]] = {}
        dead = self.of(DEAD)
        for shard, track in zip(
            dead["shard"].to_pylist(), dead["track_id"].to_pylist(), strict=True
        ):
            found.setdefault(shard, []).append(track)
        return {shard: tuple(sorted(tracks)) for shard, tracks in found.items()}


def resolved(
    version: int, entries: pa.Table, shards: Mapping[str, Shard], removed: frozenset[str]
) -> State:
    """Work out what is true.

    Parameters
    ----------
    version : int
        Number of the last commit.
    entries : pyarrow.Table
        `STATE_SCHEMA`, in the order of their commits.
    shards : mapping
        Every shard that was ever added, by its id.
    removed : frozenset of str
        Those that were taken away, after their tracks were added to others.
    """
    if not len(entries):
        return State(version, STATE_SCHEMA.empty_table(), {})
    codes = entries["track_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    actions = entries["action"].combine_chunks()
    is_add, is_dead, is_delete, is_reject = (
        pc.equal(actions, name).to_numpy(zero_copy_only=False)
        for name in (ADD, DEAD, DELETE, REJECT)
    )
    is_current = _is_last(codes, is_add | is_delete)
    placed = np.full(int(codes.max()) + 1, -1)
    placed[codes[is_current]] = np.flatnonzero(is_current)
    is_open = _is_last(codes, is_reject) & (np.arange(len(codes)) > placed[codes])
    dead = is_dead | (is_add & ~is_current)
    shard_ids = entries["shard"].combine_chunks()
    live = set(pc.unique(shard_ids.filter(pa.array(is_add & is_current))).to_pylist())
    kept_ids = [one for one in shards if one in live and one not in removed]
    is_kept = pc.is_in(shard_ids, pa.array(kept_ids, pa.string())).to_numpy(zero_copy_only=False)
    words = np.where(dead, DEAD, actions.to_numpy(zero_copy_only=False))
    place = entries.schema.get_field_index("action")
    marked = entries.set_column(place, ENTRY_SCHEMA.field("action"), pa.array(words, pa.string()))
    kept = is_current | is_open | (dead & is_kept)
    return State(
        version,
        marked.filter(pa.array(kept)).combine_chunks(),
        {one: shards[one] for one in kept_ids},
    )


def _is_last(codes: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Mark, of the rows `among`, each code's last."""
    places = np.flatnonzero(among)
    last = np.full(int(codes.max()) + 1, -1)
    last[codes[places]] = places  # of those with one code the last is assigned last
    marks = np.zeros(len(codes), bool)
    marks[last[last >= 0]] = True
    return marks


def numbered(entries: pa.Table, version: int) -> pa.Table:
    """Give entries of one commit its number."""
    return entries.append_column(VERSION, pa.array(np.full(len(entries), version)))
