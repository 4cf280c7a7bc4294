"""A search and what it found: as text for a terminal, as JSON, and as one HTML page.

Conventions
-----------
A bar stands for a distance, in parts of the greatest in its column: the shorter, the more alike.
Instruments that do not count are shown too, and marked.
"""

import math
from collections.abc import Mapping
from typing import Any

from csn.reports.page import filled
from csn.reports.plots import COLOURS
from csn.reports.text_tables import MISSING, aligned
from csn.search.ranking import DISTANCE, PRESENCE, SearchResult

OWN = ("track_id", "uri", "segment_index", "start_s", "duration_s")
OWN += ("source_digest", "model_digest", "code_version")
"""Columns that every catalogue has; all others are carried along from its manifest."""
MAX_NAME = 44


def search_json(result: SearchResult) -> dict[str, Any]:
    """Say all of `result` in what JSON knows; what is missing or no number is null."""
    return {
        "catalogue": result.catalogue,
        "model_digest": result.model_digest,
        "query": result.query,
        "weights": dict(result.weights),
        "where": result.where,
        "gate": result.is_gated,
        "metric": result.metric,
        "num_tracks": result.num_tracks,
        "num_searched": result.num_searched,
        "seconds": round(result.seconds, 3),
        "recall": result.recall,
        "exact_s": None if result.exact_s is None else round(result.exact_s, 3),
        "messages": list(result.messages),
        "results": [_row(result, row, rank) for rank, row in enumerate(_rows(result), 1)],
    }


def search_text(result: SearchResult) -> str:
    """Write `result` for a terminal: a line a track, nearest first."""
    conditions = conditions_of(result)
    lines = [["track", "all", *(_heading(result, name) for name in conditions)]]
    for row in _rows(result):
        name = row["track_id"]
        shown = name if len(name) <= MAX_NAME else f"...{name[3 - MAX_NAME :]}"
        distances = [row[DISTANCE], *(row[f"{DISTANCE}_{name}"] for name in conditions)]
        lines.append([shown, *(_shown(distance) for distance in distances)])
    title = (
        f"Nearest to {result.query} in {result.catalogue}, of {result.num_searched} tracks, "
        f"{result.metric} distance ({_weights_text(result.weights)})"
    )
    return "\n".join([title, aligned(lines), *(f"({told})" for told in notes_of(result))])


def notes_of(result: SearchResult) -> list[str]:
    """Give what to bear in mind of `result`."""
    if result.recall is None or result.exact_s is None:
        return list(result.messages)
    told = (
        f"an index found these in {result.seconds:.2f} s: {100 * result.recall:.0f} % of the "
        f"{result.table.num_rows} nearest, against all tracks compared in {result.exact_s:.2f} s"
    )
    return [*result.messages, told]


def render_search(result: SearchResult) -> str:
    """Render `result` as one self-contained HTML page."""
    conditions = conditions_of(result)
    rows = _rows(result)
    columns = [DISTANCE, *(f"{DISTANCE}_{name}" for name in conditions)]
    greatest = {
        column: max((row[column] or 0 for row in rows), default=0) or 1 for column in columns
    }
    carried = [name for name in result.table.column_names if _is_carried(name, conditions)]
    contents = {
        "result": result,
        "notes": notes_of(result),
        "rows": rows,
        "conditions": conditions,
        "columns": columns,
        "greatest": greatest,
        "carried": carried,
        "weights": _weights_text(result.weights),
        "colours": COLOURS,
    }
    return filled("search.html.j2", contents, {"shown": _shown})


def conditions_of(result: SearchResult) -> list[str]:
    """Conditions of which `result` has distances: those that count first."""
    prefix = f"{DISTANCE}_"
    names = [n.removeprefix(prefix) for n in result.table.column_names if n.startswith(prefix)]
    known = [name for name in names if f"{PRESENCE}_{name}" in result.table.column_names]
    return sorted(known, key=lambda name: -result.weights.get(name, 0))


def _is_carried(name: str, conditions: list[str]) -> bool:
    of_conditions = {f"{kind}_{one}" for kind in (DISTANCE, PRESENCE) for one in conditions}
    return name not in (*OWN, DISTANCE) and name not in of_conditions


def _rows(result: SearchResult) -> list[dict[str, Any]]:
    return [
        {name: _plain(value) for name, value in row.items()} for row in result.table.to_pylist()
    ]


def _row(result: SearchResult, row: Mapping[str, Any], rank: int) -> dict[str, Any]:
    conditions = conditions_of(result)
    return {
        "rank": rank,
        "track_id": row["track_id"],
        "uri": row["uri"],
        "duration_s": row["duration_s"],
        DISTANCE: row[DISTANCE],
        "distances": {name: row[f"{DISTANCE}_{name}"] for name in conditions},
        PRESENCE: {name: row[f"{PRESENCE}_{name}"] for name in conditions},
        "carried": {name: row[name] for name in row if _is_carried(name, conditions)},
    }


def _plain(value: Any) -> Any:
    """Give `value` as JSON has it."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int) else str(value)


def _heading(result: SearchResult, condition: str) -> str:
    return condition if condition in result.weights else f"({condition})"


def _shown(distance: float | None) -> str:
    return MISSING if distance is None else f"{distance:.3f}"


def _weights_text(weights: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {weight:g}" for name, weight in weights.items())
