"""Rows of a catalogue's output, as Parquet files hold them.

Conventions
-----------
One file holds one level (``track`` or ``segment``) of one condition. On track level
`segment_index` is -1, `start_s` 0 and `duration_s` the track's length; its vector is the mean of
the segments in which the condition sounds by the network's threshold, or of all where there is
none, of length 1 again where the network's vectors are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float

from csn.model.embedder import track_mean

LEVELS = ("track", "segment")
ROW_GROUP_BYTES = 32 * 2**20
"""Vectors in a row group: a reader takes one at a time."""


def row_schema(dim: int, vector: str, carried: Sequence[pa.Field] = ()) -> pa.Schema:
    """Give the schema of one file whose vectors have `dim` numbers of the type `vector`."""
    number = pa.float16() if vector == "float16" else pa.float32()
    return pa.schema(
        [
            pa.field("track_id", pa.string()),
            pa.field("uri", pa.string()),
            pa.field("segment_index", pa.int32()),
            pa.field("start_s", pa.float32()),
            pa.field("duration_s", pa.float32()),
            pa.field("presence", pa.float32()),
            pa.field("source_digest", pa.string()),
            pa.field("model_digest", pa.string()),
            pa.field("code_version", pa.string()),
            pa.field("vector", pa.list_(number, dim)),
            *carried,
        ]
    )


OWN_COLUMNS = frozenset(row_schema(1, "float32").names) | {
    *("size", "fault", "attempts", "base_version"),  # a night's own
    *("model", "level", "condition", "date", "shard"),  # readers' and folders'
}
"""Names that a manifest's other columns cannot have."""


@dataclass(frozen=True, slots=True)
class EmbeddedTrack:
    """One track's segments, embedded."""

    track_id: str
    uri: str
    source_digest: str
    duration_s: float
    start_s: Float[np.ndarray, " segments"]
    segment_s: Float[np.ndarray, " segments"]
    vectors: Float[np.ndarray, "segments embedding"]
    carried: Mapping[str, Any]


def rows(
    tracks: Sequence[EmbeddedTrack],
    level: str,
    dims: slice,
    schema: pa.Schema,
    constants: Mapping[str, str],
    *,
    threshold: float | None,
    is_unit: bool,
) -> pa.Table:
    """Make one level's table of one condition.

    Parameters
    ----------
    tracks : sequence of EmbeddedTrack
        In the order of the table.
    dims : slice
        The condition's place in the vectors.
    constants : mapping
        ``model_digest`` and ``code_version`` of all rows.
    threshold : float or None
        Norm from which on the condition sounds; none where norms say nothing of it.
    is_unit : bool
        Whether vectors have length 1.
    """
    made = [_track_rows(one, level, dims, threshold, is_unit) for one in tracks]
    counts = [len(vectors) for vectors, _ in made]
    flat = np.concatenate([vectors for vectors, _ in made]) if made else np.empty((0, 0))
    number = schema.field("vector").type.value_type
    numbers = pa.array(flat.astype(np.float16 if number == pa.float16() else np.float32).ravel())
    whole = level == "track"
    columns: dict[str, Any] = {
        "segment_index": np.concatenate(
            [[-1] if whole else np.arange(len(one.vectors)) for one in tracks] or [[]]
        ),
        "start_s": np.concatenate([[0.0] if whole else one.start_s for one in tracks] or [[]]),
        "duration_s": np.concatenate(
            [[one.duration_s] if whole else one.segment_s for one in tracks] or [[]]
        ),
        "presence": np.concatenate([norms for _, norms in made]) if made else [],
    }
    of_track = {
        name: [getattr(one, name) for one in tracks]
        for name in ("track_id", "uri", "source_digest")
    }
    carried = schema.names[schema.get_field_index("vector") + 1 :]
    of_track |= {name: [one.carried[name] for one in tracks] for name in carried}
    arrays = {
        name: pa.array(value, schema.field(name).type, from_pandas=True)
        for name, value in columns.items()
    }
    arrays |= {name: pa.repeat(value, int(sum(counts))) for name, value in constants.items()}
    arrays["vector"] = pa.FixedSizeListArray.from_arrays(numbers, dims.stop - dims.start)
    owners = pa.array(np.repeat(np.arange(len(tracks)), counts))
    for name, values in of_track.items():
        arrays[name] = pa.array(values, schema.field(name).type).take(owners)
    return pa.table([arrays[name] for name in schema.names], schema=schema)


def _track_rows(
    track: EmbeddedTrack, level: str, dims: slice, threshold: float | None, is_unit: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Vectors and norms of a track's rows; norms are NaN where they say nothing."""
    vectors = track.vectors[:, dims]
    norms = np.linalg.norm(vectors, axis=1)
    if threshold is None:
        norms = np.full(len(vectors), np.nan)
    if level == "segment":
        return vectors, norms
    mean, norm = track_mean(vectors, threshold, is_unit=is_unit)
    return mean[None], np.array([norm])


def encoded(table: pa.Table) -> pa.Buffer:
    """Write a table as a Parquet file: zstd, vectors as they are, row groups of one size."""
    kind = table.schema.field("vector").type
    row_bytes = kind.list_size * kind.value_type.bit_width // 8
    sink = pa.BufferOutputStream()
    names = [name for name in table.column_names if name != "vector"]
    pq.write_table(
        table,
        sink,
        row_group_size=max(1, ROW_GROUP_BYTES // row_bytes),
        compression={**dict.fromkeys(names, "zstd"), "vector.list.element": "none"},
        use_dictionary=names,
        write_statistics=names,
        write_page_index=True,
        sorting_columns=pq.SortingColumn.from_ordering(
            table.schema, [("track_id", "ascending"), ("segment_index", "ascending")]
        ),
    )
    return sink.getvalue()
