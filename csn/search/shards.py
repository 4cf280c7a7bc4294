"""From a catalogue's committed files to vectors that can be searched.

Conventions
-----------
A shard is the files of one name, one for each condition: the same rows in the same order, a track
in one shard alone. Rows of tracks that were replaced or deleted since are left out. By cosine,
vectors are made unit length, and tracks with a zero vector, which has no direction, are left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Float

from csn import storage
from csn.catalogue.snapshot import DataFile, Snapshot
from csn.errors import StorageError
from csn.evaluation.neighbours import Metric
from csn.evaluation.top_k import SubspaceRows
from csn.search.filters import columns_of, matching

KEYS = ("track_id", "segment_index")
"""Columns that say which row is which, in all files of a shard."""


@dataclass(frozen=True, slots=True)
class Shard:
    """Files of the same rows, in the order of `conditions`."""

    conditions: tuple[str, ...]
    files: tuple[DataFile, ...]

    @property
    def num_rows(self) -> int:
        """Rows of each file."""
        return self.files[0].num_rows

    @property
    def num_living(self) -> int:
        """Rows that count, on track level: a file holds at most one row of a track."""
        return self.num_rows - len(self.files[0].dead_track_ids)

    def with_dead(self) -> "Shard":
        """Give the shard with all rows of its files, as if none were dead."""
        return Shard(
            self.conditions, tuple(replace(file, dead_track_ids=()) for file in self.files)
        )

    def of(self, conditions: Sequence[str]) -> "Shard":
        """Files of some conditions alone."""
        files = dict(zip(self.conditions, self.files, strict=True))
        return Shard(tuple(conditions), tuple(files[condition] for condition in conditions))


@dataclass(frozen=True, slots=True)
class ShardRows:
    """What was read of a shard."""

    facts: pa.Table
    """All columns but the vectors, of the shard's first condition."""
    presence: Mapping[str, Float[np.ndarray, " rows"]]
    """Norms that say whether a condition sounds; NaN where the network does not tell."""
    vectors: tuple[Float[np.ndarray, "rows _"], ...]

    def kept(self, rows: Bool[np.ndarray, " rows"]) -> "ShardRows":
        """Give some of the rows."""
        return ShardRows(
            self.facts.filter(pa.array(rows)),
            {condition: norms[rows] for condition, norms in self.presence.items()},
            tuple(some[rows] for some in self.vectors),
        )

    def held(self) -> SubspaceRows:
        """Hold the vectors for searches."""
        return SubspaceRows.of(self.vectors)


def shards_of(snapshot: Snapshot, level: str = "track") -> list[Shard]:
    """Group the files of `level` by their rows, in the order of their addresses.

    Raises
    ------
    StorageError
        A shard lacks a condition, or has another number of rows there.
    """
    conditions = tuple(snapshot.dims)
    groups: dict[str, dict[str, DataFile]] = {}
    for file in snapshot.files:
        if file.level == level:
            name = file.uri.replace(f"/condition={file.condition}/", "/")
            groups.setdefault(name, {})[file.condition] = file
    for name, files in groups.items():
        missing = [condition for condition in conditions if condition not in files]
        counts = {condition: file.num_rows for condition, file in files.items()}
        if missing or len(set(counts.values())) > 1:
            found = ", ".join(f"{condition} {rows} rows" for condition, rows in counts.items())
            raise StorageError(
                f"{name}: {found} found, the same rows of {', '.join(conditions)} expected "
                "(was the catalogue written by another version? embed it again)"
            )
    return [
        Shard(conditions, tuple(files[condition] for condition in conditions))
        for _, files in sorted(groups.items())
    ]


def read_shard(
    shard: Shard,
    *,
    metric: Metric = "euclidean",
    where: str = "",
    thresholds: Mapping[str, float] | None = None,
    track_ids: Sequence[str] | None = None,
    keep_zero: bool = False,
) -> ShardRows:
    """Read the rows of a shard that take part.

    Parameters
    ----------
    metric : {"euclidean", "cosine"}
        By cosine, vectors are made unit length.
    where : str
        A filter on carried columns (`csn.search.filters`).
    thresholds : mapping, optional
        Leave out tracks in which one of these conditions is not heard.
    track_ids : sequence of str, optional
        Read the rows of these tracks alone.
    keep_zero : bool
        By cosine, keep tracks with a zero vector.

    Raises
    ------
    StorageError
        A file cannot be read, or the files do not have the same rows.
    ConfigError
        `where` does not fit the columns.
    """
    tables = [_read(file, track_ids) for file in shard.files]
    facts = tables[0].drop_columns(["vector", "presence"])
    _check_aligned(shard, tables)
    presence = {
        condition: table["presence"].cast(pa.float64()).to_numpy()
        for condition, table in zip(shard.conditions, tables, strict=True)
    }
    vectors = [_vectors(table, file) for table, file in zip(tables, shard.files, strict=True)]
    kept = np.zeros(len(facts), dtype=bool)
    kept[matching(facts, where).to_numpy()] = True
    for condition, threshold in (thresholds or {}).items():
        kept &= ~(presence[condition] < threshold)
    if metric == "cosine":
        vectors, has_direction = _directions(vectors)
        kept &= has_direction | keep_zero
    rows = ShardRows(facts, presence, tuple(vectors))
    return rows if kept.all() else rows.kept(kept)


def taking_part(
    shard: Shard, *, where: str, thresholds: Mapping[str, float]
) -> tuple[pa.Array, Bool[np.ndarray, " rows"]]:
    """Say which rows of a shard's files take part, without reading a vector.

    Returns
    -------
    tuple
        The track of every row, dead ones too, and whether the row takes part.
    """
    files = dict(zip(shard.conditions, shard.files, strict=True))
    first = shard.files[0]
    asked = columns_of(where) & set(carried(shard)) if where else set()
    facts = storage.read_table(first.uri, columns=["track_id", *sorted(asked - {"track_id"})])
    kept = np.zeros(len(facts), dtype=bool)
    kept[matching(facts, where).to_numpy()] = True
    dead = pc.is_in(facts["track_id"], pa.array(first.dead_track_ids, pa.string()))
    kept &= ~dead.to_numpy()
    for condition, threshold in thresholds.items():
        norms = storage.read_table(files[condition].uri, columns=["presence"])["presence"]
        kept &= ~(norms.cast(pa.float64()).to_numpy() < threshold)
    return facts["track_id"].combine_chunks(), kept


def carried(shard: Shard) -> list[str]:
    """Names of the columns that a shard's tracks carry, beside vector and presence."""
    return _read(shard.files[0], []).drop_columns(["vector", "presence"]).column_names


def _read(file: DataFile, track_ids: Sequence[str] | None) -> pa.Table:
    wanted = None
    if track_ids is not None:
        wanted = pc.field("track_id").isin(pa.array(track_ids, pa.string()))
    table = storage.read_table(file.uri, filters=wanted)
    missing = {*KEYS, "presence", "vector"} - set(table.column_names)
    if missing or not pa.types.is_fixed_size_list(table.schema.field("vector").type):
        raise StorageError(
            f"{file.uri}: columns {', '.join(table.column_names)} found, expected those of an "
            "embedded catalogue, with vector a fixed_size_list (did another version write it?)"
        )
    if file.dead_track_ids:
        dead = pc.is_in(table["track_id"], pa.array(file.dead_track_ids, pa.string()))
        table = table.filter(pc.invert(dead))
    return table


def _check_aligned(shard: Shard, tables: Sequence[pa.Table]) -> None:
    for file, table in zip(shard.files, tables, strict=True):
        if not all(table[key].equals(tables[0][key]) for key in KEYS):
            raise StorageError(
                f"{file.uri} does not have the rows of {shard.files[0].uri}, the same expected "
                "(was the catalogue written by another version? embed it again)"
            )


def _vectors(table: pa.Table, file: DataFile) -> Float[np.ndarray, "rows dim"]:
    column = table["vector"]
    if column.null_count:
        raise StorageError(
            f"{file.uri}: {column.null_count} vectors are missing, none expected (embed it again)"
        )
    pieces = [chunk.flatten().to_numpy() for chunk in column.chunks]
    flat = np.concatenate(pieces) if pieces else np.empty(0)
    return flat.astype(np.float32, copy=False).reshape(len(table), column.type.list_size)


def _directions(
    vectors: Sequence[Float[np.ndarray, "rows _"]],
) -> tuple[list[Float[np.ndarray, "rows _"]], Bool[np.ndarray, " rows"]]:
    """Give vectors of length 1, and which rows have none that is zero."""
    norms = [np.linalg.norm(some, axis=1, keepdims=True) for some in vectors]
    directed = [
        some / np.where(norm > 0, norm, 1) for some, norm in zip(vectors, norms, strict=True)
    ]
    return directed, np.all([norm[:, 0] > 0 for norm in norms], axis=0)
