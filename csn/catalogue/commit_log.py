"""The commits of one model's output: numbered, each written once, by whoever comes first.

Conventions
-----------
Below ``<catalogue>/log/model=<digest>/`` lie ``commits/<number>.parquet``, without gaps, and
``checkpoints/<number>.parquet``: what is true after that commit, so that a reader needs few files.
A commit is one object, written only if none of its number is there, so of several runs one makes
it and the others see that they have to look at it first. Commits are never removed, nor are
checkpoints. A file's entries are its rows; shards and the rest are JSON, packed, in its metadata.
"""

import base64
import json
import math
import uuid
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from csn import shared_storage, storage
from csn.catalogue.entries import (
    ENTRY_SCHEMA,
    STATE_SCHEMA,
    Shard,
    ShardFile,
    State,
    numbered,
    resolved,
)
from csn.errors import StorageError

NUM_READERS = 16
MAX_HEADER_BYTES = 2**31 - 1
"""The most that Parquet holds; pyarrow's own limit is 100 MB, which 37,000 shards are unpacked."""
_HEADER = b"csn"


@dataclass(frozen=True, slots=True)
class Commit:
    """What one write makes true."""

    run_id: str
    entries: pa.Table
    shards: tuple[Shard, ...] = ()
    removed: tuple[str, ...] = ()
    """Ids of shards whose living tracks this commit adds to another."""
    commit_id: str = field(default_factory=lambda: uuid.uuid4().hex)


class CommitLog:
    """The log of one model in one catalogue.

    Parameters
    ----------
    folder_uri : str
        ``<catalogue>/log/model=<digest>``.
    patience_s : float
        How long a failing store is asked again.
    """

    def __init__(self, folder_uri: str, patience_s: float = 0.0) -> None:
        self.folder_uri = folder_uri
        self._patience_s = patience_s

    def _commit_uri(self, version: int) -> str:
        return storage.join(self.folder_uri, "commits", f"{version:010}.parquet")

    def last_version(self, after: int = 0) -> int:
        """Look up the number of the last commit; `after` is one known to be there, or 0."""
        return max(_numbers(storage.join(self.folder_uri, "commits"), after), default=after)

    def read(self) -> State:
        """Work out what is true now."""
        return self._patiently(self._read)

    def _read(self) -> State:
        folder = storage.join(self.folder_uri, "checkpoints")
        start = max(_numbers(folder), default=0)
        entries, shards, removed = [STATE_SCHEMA.empty_table()], {}, set()
        if start:
            table, header = _read(storage.join(folder, f"{start:010}.parquet"))
            entries.append(table)
            shards = {shard.shard_id: shard for shard in _shards(header)}
        last = self.last_version(start)
        for version, commit in enumerate(self._commits(start, last), start + 1):
            entries.append(numbered(commit.entries, version))
            shards |= {shard.shard_id: shard for shard in commit.shards}
            removed |= set(commit.removed)
        return resolved(last, pa.concat_tables(entries), shards, frozenset(removed))

    def shards_since(self, time_s: float) -> list[Shard]:
        """Shards that can be named by whoever has read the log since a time of the store's clock.

        These are those of the newest checkpoint from before, and all that were added behind it.
        So a shard that was taken away is among them until a later checkpoint is old enough.
        """
        return self._patiently(lambda: self._shards_since(time_s))

    def _shards_since(self, time_s: float) -> list[Shard]:
        folder = storage.join(self.folder_uri, "checkpoints")
        start = max(_numbers(folder, until_s=time_s), default=0)
        uris = [storage.join(folder, f"{start:010}.parquet")] if start else []
        uris += map(self._commit_uri, range(start + 1, self.last_version(start) + 1))
        with ThreadPoolExecutor(NUM_READERS) as pool:
            found = pool.map(lambda uri: _shards(_opened(uri)[1]), uris)
            return [shard for some in found for shard in some]

    def commits(self, after: int) -> list[Commit]:
        """Read the commits behind number `after`, in their order."""
        return self._patiently(lambda: self._commits(after, self.last_version(after)))

    def _commits(self, after: int, last: int) -> list[Commit]:
        versions = range(after + 1, last + 1)
        if not versions:
            return []
        with ThreadPoolExecutor(NUM_READERS) as pool:
            return list(pool.map(self._one, versions))

    def _one(self, version: int) -> Commit:
        table, header = _read(self._commit_uri(version))
        ids = header["run_id"], header["commit_id"]
        return Commit(ids[0], table, _shards(header), tuple(header["removed"]), ids[1])

    def append(self, version: int, commit: Commit) -> bool:
        """Make `commit` the one of number `version`; whether it is now that one.

        The commit before it must be there. A write whose answer was lost is found to be our own.
        """
        header = {"run_id": commit.run_id, "commit_id": commit.commit_id}
        data = _encoded(commit.entries, commit.shards, header | {"removed": commit.removed})
        uri = self._commit_uri(version)
        if self._patiently(lambda: shared_storage.create(uri, data)):
            return True
        return self._patiently(partial(self._one, version)).commit_id == commit.commit_id

    def write_checkpoint(self, state: State) -> None:
        """Write down what is true; whoever does it for one number writes the same."""
        if not state.version:
            return
        uri = storage.join(self.folder_uri, "checkpoints", f"{state.version:010}.parquet")
        data = _encoded(state.entries, tuple(state.shards.values()), {})
        self._patiently(lambda: storage.write_bytes(uri, data))

    def _patiently(self, function: Any) -> Any:
        return shared_storage.patiently(function, self._patience_s)


def _numbers(folder: str, after: int = 0, until_s: float = math.inf) -> list[int]:
    """Numbers behind `after` of files that were written until a time of the store's clock."""
    behind = f"{after:010}.parquet" if after else ""
    files = shared_storage.list_files(folder, behind)
    names = [file.uri.rpartition("/")[2] for file in files if file.modified_s <= until_s]
    return [int(name.partition(".")[0]) for name in names if name[:10].isdigit()]


def _encoded(entries: pa.Table, shards: Sequence[Shard], header: dict[str, Any]) -> bytes:
    header = header | {"shards": [asdict(shard) for shard in shards]}
    sink = pa.BufferOutputStream()
    # A shard is some 2 KB of JSON, and little in it is its own: packed it is 140 bytes.
    packed = base64.b64encode(zlib.compress(json.dumps(header).encode(), 1))
    metadata = {_HEADER: packed}
    pq.write_table(entries.replace_schema_metadata(metadata), sink, compression="zstd")
    return sink.getvalue().to_pybytes()


def _read(uri: str) -> tuple[pa.Table, dict[str, Any]]:
    file, header = _opened(uri)
    with storage.explained(uri, "reading"):
        return file.read().replace_schema_metadata(None), header


def _opened(uri: str) -> tuple[pq.ParquetFile, dict[str, Any]]:
    """Open a commit or a checkpoint, and read its header alone."""
    data = storage.read_bytes(uri)
    with storage.explained(uri, "reading"):
        file = pq.ParquetFile(pa.BufferReader(data), thrift_string_size_limit=MAX_HEADER_BYTES)
    names = file.schema_arrow.names
    header = (file.schema_arrow.metadata or {}).get(_HEADER)
    schema = STATE_SCHEMA if "version" in names else ENTRY_SCHEMA
    if header is None or names != schema.names:
        raise StorageError(
            f"{uri}: not a commit of this version; was it written by another, or by hand?"
        )
    # Older files have it as it is.
    is_packed = not header.startswith(b"{")
    return file, json.loads(zlib.decompress(base64.b64decode(header)) if is_packed else header)


def _shards(header: dict[str, Any]) -> tuple[Shard, ...]:
    return tuple(
        Shard(one["shard_id"], tuple(ShardFile(**file) for file in one["files"]))
        for one in header["shards"]
    )
