"""Writes an embedded catalogue's files as the nightly embedding does, from given vectors."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from csn import storage
from csn.catalogue.snapshot import DataFile, Snapshot


def write_shards(
    folder: str,
    vectors: Mapping[str, np.ndarray],
    *,
    num_shards: int = 3,
    track_ids: Sequence[str] | None = None,
    segments: Sequence[int] | None = None,
    presence: Mapping[str, np.ndarray] | None = None,
    carried: Mapping[str, Sequence[Any]] | None = None,
    dead: Sequence[str] = (),
    number: str = "float32",
) -> tuple[DataFile, ...]:
    """Write rows, dealt to shards in turn, with a file a condition; gives the files.

    `segments` makes them rows of segments. Each of `dead` is in the first shard as well, with
    vectors that would be nearest to everything.
    """
    num = len(next(iter(vectors.values())))
    ids = list(track_ids or (f"track {place:06}" for place in range(num)))
    level = "track" if segments is None else "segment"
    files = []
    for condition, all_vectors in vectors.items():
        for shard in range(num_shards):
            rows = np.arange(shard, num, num_shards)
            if segments is not None:  # a track lies in one shard
                rows = np.flatnonzero([hash_of(one) % num_shards == shard for one in ids])
            rows = rows[np.argsort([ids[row] for row in rows], kind="stable")]
            names, found = [ids[row] for row in rows], all_vectors[rows]
            ghosts = [one for one in dead if shard == 0 and one not in names]
            names = ghosts + names
            found = np.concatenate([np.zeros((len(ghosts), found.shape[1])), found])
            norms = None if presence is None else presence[condition][rows]
            columns: dict[str, Any] = {
                "track_id": names,
                "uri": [f"s3://music/{name}.flac" for name in names],
                "segment_index": [-1] * len(ghosts)
                + ([-1] * len(rows) if segments is None else [segments[row] for row in rows]),
                "start_s": np.zeros(len(names), np.float32),
                "duration_s": np.full(len(names), 180 if segments is None else 3, np.float32),
                "presence": pa.nulls(len(names), pa.float32())
                if norms is None
                else pa.array([9.0] * len(ghosts) + norms.tolist(), pa.float32()),
                "source_digest": ["etag"] * len(names),
                "model_digest": ["model"] * len(names),
                "code_version": ["code"] * len(names),
                "vector": pa.FixedSizeListArray.from_arrays(
                    pa.array(found.astype(number).ravel()), found.shape[1]
                ),
            }
            if segments is not None:
                columns["start_s"] = np.array(columns["segment_index"], np.float32) * 3
            for name, values in (carried or {}).items():
                columns[name] = [None] * len(ghosts) + [values[row] for row in rows]
            uri = storage.join(
                folder,
                "model=model",
                f"level={level}",
                f"condition={condition}",
                "date=2026-01-01",
                f"shard-{shard}.parquet",
            )
            table = pa.table(columns)
            table = table.take(
                pa.compute.sort_indices(
                    table, [("track_id", "ascending"), ("segment_index", "ascending")]
                )
            )
            storage.write_table(uri, table)
            files.append(DataFile(uri, level, condition, len(names), tuple(ghosts)))
    return tuple(files)


def hash_of(text: str) -> int:
    """Same number in every process, unlike `hash`."""
    return sum(text.encode())


def snapshot_of(
    files: Sequence[DataFile], vectors: Mapping[str, np.ndarray], **given: Any
) -> Snapshot:
    """Make a snapshot of such files."""
    given = {
        "catalogue": "music",
        "model_digest": "model",
        "checkpoint_uri": "",
        "thresholds": {},
        "metric": "euclidean",
    } | given
    dims = {condition: found.shape[1] for condition, found in vectors.items()}
    return Snapshot(dims=dims, files=tuple(files), **given)
