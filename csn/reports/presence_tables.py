"""Scores by presence arranged in tables: rows are questions, columns instruments.

Conventions
-----------
As in `csn.reports.score_tables`, whose tables these are; only the run's own network has them. A
score without gating is shown for those instruments that have a gated one, so that the means beside
each other are over the same instruments.
"""

import pyarrow as pa

from csn.conditions import INSTRUMENTS
from csn.records import OURS
from csn.reports.score_tables import (
    PRESENCE,
    Cell,
    ScoreRow,
    ScoreTable,
    cell_of,
    is_number,
    mean_of,
)

QUESTIONS = {
    PRESENCE: "presence",
    "music_id": "P1",
    "music_id_gated": "P1 gated",
    "pseudo_mix_id": "P2",
    "pseudo_mix_id_gated": "P2 gated",
}
"""Names of the rows, by protocol."""


def presence_tables(scores: pa.Table) -> tuple[ScoreTable, ...]:
    """Arrange the scores by presence in a table for each segment length; none without such."""
    rows = [
        row
        for row in scores.to_pylist()
        if row["system"] == OURS
        and row["protocol"] in QUESTIONS
        and row["condition"] == row["focus"] in INSTRUMENTS
        and is_number(row["accuracy"])
    ]
    by_length: dict[float, dict[str, dict[str, Cell]]] = {}
    for row in rows:
        cells = by_length.setdefault(row["duration_s"], {name: {} for name in QUESTIONS})
        cells[row["protocol"]][row["condition"]] = cell_of(row)
    tables = (_table(duration_s, cells) for duration_s, cells in sorted(by_length.items()))
    return tuple(table for table in tables if table.rows)


def _table(duration_s: float, cells: dict[str, dict[str, Cell]]) -> ScoreTable:
    for protocol in ("music_id", "pseudo_mix_id"):
        gated = cells[f"{protocol}_gated"]
        cells[protocol] = {
            name: cells[protocol][name] for name in gated if name in cells[protocol]
        }
    scored = {name for of in cells.values() for name in of}
    instruments = tuple(name for name in INSTRUMENTS if name in scored)
    rows = [
        ScoreRow(QUESTIONS[protocol], of, mean_of(of, instruments), len(of))
        for protocol, of in cells.items()
        if of
    ]
    return ScoreTable(
        protocol=PRESENCE,
        duration_s=duration_s,
        columns=instruments,
        rows=tuple(rows),
        chance={},
        mean_chance=None,
        best={},
        best_mean=None,
    )
