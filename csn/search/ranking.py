"""Ranked tracks: a shard's best for a query, and the best of all shards.

Conventions
-----------
The distance of two tracks under a condition is the network's own: Euclidean, or one minus the
cosine, of its vectors in that subspace. All conditions together: the root of the weighted mean of
squared Euclidean distances, or the weighted mean of cosine ones. So a total lies between the
smallest and the largest of its parts, whatever the weights add up to. Of tracks at the same
distance the one whose id sorts first comes first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float, Int

from csn.catalogue.snapshot import together
from csn.evaluation.neighbours import Metric
from csn.evaluation.top_k import NOBODY, SubspaceRows, weighted
from csn.search.shards import ShardRows

DISTANCE, PRESENCE = "distance", "presence"
"""Columns of a ranking; those of one condition are ``distance_drums`` and ``presence_drums``."""


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for."""

    vectors: Mapping[str, Float[np.ndarray, " dim"]]
    """Of every condition; of length 1 by cosine."""
    weights: Mapping[str, float]
    """Of the conditions that count, in their order."""
    metric: Metric
    track_id: str = ""
    """Of the query itself, which is not among its neighbours; empty where it is no track."""

    @property
    def counted(self) -> tuple[str, ...]:
        """Conditions that count."""
        return tuple(self.weights)

    def joined(self) -> Float[np.ndarray, "1 dim"]:
        """Vectors of the conditions that count, side by side."""
        return np.concatenate([self.vectors[name] for name in self.weights])[None]


@dataclass(frozen=True, slots=True)
class SearchResult:
    """A search and what it found."""

    catalogue: str
    model_digest: str
    query: str
    weights: Mapping[str, float]
    where: str
    is_gated: bool
    metric: Metric
    table: pa.Table
    """A row a track, nearest first: what the catalogue says of it, and distances and presence."""
    num_tracks: int
    """Tracks of the catalogue."""
    num_searched: int
    """Of these, such as the filter and the gate let through."""
    seconds: float
    recall: float | None = None
    """Share of the exact answer that an index found; none where no index was asked, or nobody
    compared."""
    exact_s: float | None = None
    """What comparing with every track took; `seconds` are without it."""
    messages: tuple[str, ...] = ()


def ranked(query: Query, rows: ShardRows, top_k: int) -> pa.Table:
    """Rank a shard's tracks, and keep the first; `rows` has the conditions that count."""
    own = pc.index(rows.facts["track_id"], query.track_id).as_py()  # -1, nobody: it is not here
    held = rows.held()
    found = held.nearest(query.joined(), list(query.weights.values()), top_k, np.array([own]))
    return _ranking(query, rows, held, found.rows[0][found.rows[0] != NOBODY])


def ranked_among(
    query: Query, rows: ShardRows, places: Int[np.ndarray, " places"], top_k: int
) -> pa.Table:
    """Rank some rows of a shard alone."""
    table = _ranking(query, rows, rows.held(), places)
    table = table.filter(pc.not_equal(table["track_id"], query.track_id))
    return best([table], top_k)


def _ranking(
    query: Query, rows: ShardRows, held: SubspaceRows, places: Int[np.ndarray, " places"]
) -> pa.Table:
    squared = held.squared_distances(query.joined()[0], places)
    weights = list(query.weights.values())
    columns = {DISTANCE: own_distance(weighted(squared, weights) / sum(weights), query.metric)}
    for number, name in enumerate(query.counted):
        columns |= _columns(name, own_distance(squared[:, number], query.metric), rows, places)
    return _appended(rows.facts.take(pa.array(places)), columns)


def _columns(
    name: str, distances: np.ndarray, rows: ShardRows, places: np.ndarray
) -> dict[str, np.ndarray]:
    return {f"{DISTANCE}_{name}": distances, f"{PRESENCE}_{name}": rows.presence[name][places]}


def _appended(table: pa.Table, columns: Mapping[str, np.ndarray]) -> pa.Table:
    """Append columns; one that is carried under the same name gives way."""
    table = table.drop_columns([name for name in columns if name in table.column_names])
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values, pa.float64(), from_pandas=True))
    return table


def best(rankings: Sequence[pa.Table], top_k: int) -> pa.Table:
    """Find the first tracks of several shards' rankings."""
    table = together(rankings)
    return table.sort_by([(DISTANCE, "ascending"), ("track_id", "ascending")]).slice(0, top_k)


def recall_of(found: pa.Table, exact: pa.Table) -> float:
    """Share of the `exact` ranking's tracks that are among those `found`; of none, all."""
    expected = set(exact["track_id"].to_pylist())
    return len(expected & set(found["track_id"].to_pylist())) / len(expected) if expected else 1.0


def with_condition(ranking: pa.Table, query: Query, name: str, rows: ShardRows) -> pa.Table:
    """Add distance and presence under a condition that does not count, for who looks at it.

    Parameters
    ----------
    ranking : pyarrow.Table
        Of tracks that `rows` has, or some of them: the others have no vector to compare.
    rows : ShardRows
        Of that condition alone.
    """
    places = pc.index_in(ranking["track_id"], rows.facts["track_id"]).to_pandas()
    there = places.notna().to_numpy()
    some = places[there].to_numpy(np.intp)
    squared = rows.held().squared_distances(query.vectors[name], some)[:, 0]
    found = _columns(name, own_distance(squared, query.metric), rows, some)
    columns = {column: np.full(len(ranking), np.nan) for column in found}
    for column, values in found.items():
        columns[column][there] = values
    return _appended(ranking, columns)


def own_distance(
    squared: Float[np.ndarray, " rows"], metric: Metric
) -> Float[np.ndarray, " rows"]:
    """Give the network's own distance of squared Euclidean ones; by cosine of unit vectors."""
    return squared / 2 if metric == "cosine" else np.sqrt(squared)
