"""Segments read back from embedding tables, in an order of their own.

Conventions
-----------
A table a condition, in the schema of `records.embedding_schema`. Segments are taken in the order
of their keys (focused track, backing track, segment index), so that the order of a table's rows
changes no score; track means (segment -1) are not looked at.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Int, Shaped

from csn.conditions import ALL
from csn.errors import ProtocolError
from csn.evaluation.neighbours import Metric, compared


@dataclass(frozen=True, slots=True)
class Segments:
    """One source, focus and duration of a condition's table, in the order of the keys."""

    condition: str
    focus_ids: Shaped[np.ndarray, " segments"]
    backing_ids: Shaped[np.ndarray, " segments"]
    indices: Int[np.ndarray, " segments"]
    sounds: Bool[np.ndarray, " segments"]
    vectors: Float[np.ndarray, "segments dim"]
    blocks: tuple[int, ...]
    """Dimensions of each condition of which `vectors` has the embeddings side by side."""

    def compared(
        self, rows: Bool[np.ndarray, " segments"], metric: Metric
    ) -> Float[np.ndarray, "kept dim"]:
        """Vectors of some `rows`, as `metric` ranks them; each condition has its own length.

        Raises
        ------
        ProtocolError
            By cosine: if a condition's vector is zero.
        """
        by_condition = np.split(self.vectors[rows], np.cumsum(self.blocks)[:-1], axis=1)
        return np.concatenate([compared(block, metric) for block in by_condition], axis=1)

    def check_alike(self, other: "Segments") -> None:
        """Raise ProtocolError unless `other` holds the same segments."""
        for name in ("focus_ids", "backing_ids", "indices"):
            if not np.array_equal(getattr(self, name), getattr(other, name)):
                raise ProtocolError(
                    f"the table of {other.condition} has {len(other.indices)} segments, the same "
                    f"{len(self.indices)} as in the table of {self.condition} needed "
                    "(did embedding stop half-way? embed again)"
                )


def read_segments(
    tables: Mapping[str, pa.Table], condition: str, source: str, focus: str, duration_s: float
) -> Segments:
    """Take the segments of one source, focus and duration from the table of `condition`.

    Raises
    ------
    ProtocolError
        If there is none, one is there twice, or the table is not of embeddings.
    """
    table = tables[condition]
    wanted = (
        (_column(table, "source") == source)
        & (_column(table, "focus") == focus)
        & (_column(table, "duration_s") == duration_s)
        & (_column(table, "segment_index") >= 0)
    )
    if not wanted.any():
        durations = ", ".join(f"{d:g}" for d in np.unique(_column(table, "duration_s")))
        of_focus = f" with focus {focus}" if focus else ""
        raise ProtocolError(
            f"no {source} segment{of_focus} in the table of {condition}, which has durations of "
            f"{durations or 'nothing'} s (is the part in no track? was it embedded with these "
            "evaluation.durations_s?)"
        )
    chosen = table.filter(pa.array(wanted))
    focus_ids = _column(chosen, "focus_track_id").astype(str)
    backing_ids = _column(chosen, "backing_track_id").astype(str)
    indices = _column(chosen, "segment_index").astype(np.int64)
    order = np.lexsort((indices, backing_ids, focus_ids))
    vectors = _vectors(chosen, condition)[order]
    found = Segments(
        condition,
        focus_ids[order],
        backing_ids[order],
        indices[order],
        _column(chosen, "sounds").astype(bool)[order],
        vectors,
        (vectors.shape[1],),
    )
    _check_unique(found)
    return found


def read_joined(
    tables: Mapping[str, pa.Table], condition: str, source: str, focus: str, duration_s: float
) -> Segments:
    """As `read_segments`; of ``all`` the conditions side by side, sounding where any part does.

    Raises
    ------
    ProtocolError
        Also if the tables hold different segments.
    """
    asked = tables if condition == ALL else [condition]
    found = [read_segments(tables, name, source, focus, duration_s) for name in asked]
    for other in found[1:]:
        found[0].check_alike(other)
    return replace(
        found[0],
        condition=condition,
        sounds=np.any([segments.sounds for segments in found], axis=0),
        vectors=np.concatenate([segments.vectors for segments in found], axis=1),
        blocks=tuple(width for segments in found for width in segments.blocks),
    )


def _check_unique(found: Segments) -> None:
    """Raise ProtocolError for a segment that is there twice: it would find itself."""
    twice = (
        (found.focus_ids[1:] == found.focus_ids[:-1])
        & (found.backing_ids[1:] == found.backing_ids[:-1])
        & (found.indices[1:] == found.indices[:-1])
    )
    if twice.any():
        place = int(np.argmax(twice))
        raise ProtocolError(
            f"segment {found.indices[place]} of {found.focus_ids[place]} with "
            f"{found.backing_ids[place]} is twice in the table of {found.condition}, once needed "
            "(were two models' or two splits' tables read together?)"
        )


def _column(table: pa.Table, name: str) -> np.ndarray:
    if name not in table.column_names:
        raise ProtocolError(
            f"an embeddings table has columns {', '.join(table.column_names)}, and no {name} "
            "(is it of records.embedding_schema?)"
        )
    return table.column(name).to_numpy()


def _vectors(table: pa.Table, condition: str) -> Float[np.ndarray, "segments dim"]:
    column = table.column("vector")
    if not pa.types.is_fixed_size_list(column.type) or column.null_count:
        raise ProtocolError(
            f"the vectors of {condition} are {column.type} with {column.null_count} missing, "
            "fixed_size_list without gaps needed (is it of records.embedding_schema?)"
        )
    values = [chunk.flatten().to_numpy() for chunk in column.chunks]
    return np.concatenate(values).reshape(len(column), column.type.list_size)
