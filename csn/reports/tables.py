"""Tables as text, for the terminal.

Conventions
-----------
Accuracies in per cent with the bounds of their 95 % interval: ``73.1 [68.0–77.9]``. Rows are
systems, columns instruments; a mean over fewer than all of them says over how many. Triplets are
in the tables of `csn.reports.triplet_tables`, without what is printed in [R22].
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa

from csn.conditions import ALL, MIX
from csn.reports.data import Stage
from csn.reports.presence_tables import presence_tables
from csn.reports.score_tables import PRESENCE, PROTOCOLS, Cell, ScoreRow, ScoreTable, score_tables
from csn.reports.text_tables import aligned, compared_text
from csn.reports.triplet_tables import best_table, concept_table, singles_table, systems_of

MAX_NAME_WIDTH = 9
MISSING = "-"
TITLES = PROTOCOLS | {PRESENCE: "Presence, and neighbours gated by it"}
OTHERS = {MIX: "network of the mix", ALL: "whole embedding"}
TO = "\N{EN DASH}"
MORE = "\N{HORIZONTAL ELLIPSIS}"


def score_text(scores: pa.Table) -> str:
    """`scores` (`SCORE_SCHEMA`) as text for a terminal, at most 109 columns wide."""
    texts = [_table_text(table) for table in score_tables(scores) + presence_tables(scores)]
    systems = systems_of(scores)
    for table in (best_table(systems), singles_table(systems), concept_table(systems)):
        rows = tuple(row for row in table.rows if row.kind == "ours")
        if rows:
            texts.append(compared_text([replace(table, rows=rows)]))
    return "\n\n".join(texts) or "no scores"


def _table_text(table: ScoreTable) -> str:
    title = TITLES.get(table.protocol, table.protocol)
    conditions = table.instruments
    lines = [["", *conditions, "mean"]]
    lines += [
        [
            _name_text(row),
            *(_cell_text(row.cells.get(name)) for name in conditions),
            _mean_text(row, len(conditions)),
        ]
        for row in table.rows
    ]
    chance = [_without_interval(_percent(table.chance.get(name))) for name in conditions]
    if table.chance:
        lines.append(["chance", *chance, _percent(table.mean_chance)])
    text = f"{title}, {table.duration_s:g} s segments: % right [95 % interval]\n{aligned(lines)}"
    for column in table.others:
        scored = [
            f"{row.system} {_cell_text(row.cells[column]).rstrip()}"
            for row in table.rows
            if column in row.cells
        ]
        text += f"\n{OTHERS[column]}: {', '.join(scored)}"
    return text


def _name_text(row: ScoreRow) -> str:
    name = row.system
    return name if len(name) <= MAX_NAME_WIDTH else f"{name[: MAX_NAME_WIDTH - 1]}{MORE}"


def _mean_text(row: ScoreRow, num_conditions: int) -> str:
    text = _percent(row.mean)
    return text if row.num_in_mean in (0, num_conditions) else f"{text} ({row.num_in_mean})"


def _percent(share: float | None) -> str:
    return MISSING if share is None or math.isnan(share) else f"{100 * share:.1f}"


def _cell_text(cell: Cell | None) -> str:
    """``73.1 [68.0–77.9]``; a bound of 100 loses its decimal, which keeps cells of one width."""
    if cell is None:
        return _without_interval(MISSING)
    if math.isnan(cell.low) or math.isnan(cell.high):
        return _without_interval(_percent(cell.accuracy))
    low, high = (_percent(bound).replace("100.0", "100") for bound in (cell.low, cell.high))
    return f"{_percent(cell.accuracy)} [{low:>4}{TO}{high:>4}]"


def _without_interval(text: str) -> str:
    """Keep the place of an interval free, so that accuracies stand below each other."""
    return text + " " * len(" [68.0-77.9]")


def stage_text(stages: Sequence[Stage]) -> str:
    """Time and throughput of `stages` as text for a terminal."""
    if not stages:
        return "no stages"
    lines = [["stage", "seconds", "audio hours", "audio hours/s"]]
    for stage in stages:
        hours, rate = stage.audio_hours, stage.audio_hours_per_second
        lines.append(
            [
                stage.name,
                f"{stage.seconds:.1f}",
                MISSING if hours is None else f"{hours:.2f}",
                MISSING if rate is None else f"{rate:.3g}",
            ]
        )
    details = ["", *(stage.detail for stage in stages)]
    rows = aligned(lines).split("\n")
    return "\n".join(
        f"{row}  {detail}".rstrip() for row, detail in zip(rows, details, strict=True)
    )
