"""Scores arranged in tables: rows are systems, columns conditions.

Conventions
-----------
Accuracies are shares in 0..1. A cell that was not scored is absent from its row, never a zero. In
P2 a cell asks the subspace of the instrument whose track is the right answer. The column `MIX`
asks the network that hears all parts, `ALL` the whole embedding; neither is part of a mean.
Triplets have tables of their own, in `csn.reports.triplet_tables`.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import TypeGuard

import numpy as np
import pyarrow as pa

from csn.conditions import ALL, CONCEPTS, INSTRUMENTS, MIX
from csn.evaluation.triplet_scores import CONCEPT_TRIPLETS, TRIPLET_PROTOCOLS
from csn.records import OURS

SYSTEMS = (OURS, "untrained", "mean_mel", "librosa_features")
"""Systems in the order of their rows; others follow by name."""
PROTOCOLS = {"music_id": "P1, music ID", "pseudo_mix_id": "P2, pseudo-mix ID"}
PRESENCE = "presence"
BY_PRESENCE = (PRESENCE, *(f"{protocol}_gated" for protocol in PROTOCOLS))
"""Protocols of `csn.reports.presence_tables`, which have no row a system."""
ELSEWHERE = (*BY_PRESENCE, *TRIPLET_PROTOCOLS)
"""Protocols that have other tables."""
OUTSIDE_MEAN = (MIX, ALL)
"""Columns beside those of the instruments."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One score and its 95 % interval; for P1 also how the neighbours are ranked."""

    accuracy: float
    low: float
    high: float
    chance: float
    r_precision: float | None = None
    map_at_r: float | None = None


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """One system's scores by condition; the mean is over those instruments that were scored."""

    system: str
    cells: Mapping[str, Cell]
    mean: float | None
    num_in_mean: int


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """All systems under one protocol and segment length."""

    protocol: str
    duration_s: float
    columns: tuple[str, ...]
    rows: tuple[ScoreRow, ...]
    chance: Mapping[str, float]
    mean_chance: float | None
    best: Mapping[str, float]
    """Highest accuracy of a column, where several systems have one."""
    best_mean: float | None

    @property
    def instruments(self) -> tuple[str, ...]:
        """Columns over which a row's mean goes."""
        return tuple(column for column in self.columns if column not in OUTSIDE_MEAN)

    @property
    def others(self) -> tuple[str, ...]:
        """Columns of `OUTSIDE_MEAN` that some row has."""
        return tuple(column for column in self.columns if column in OUTSIDE_MEAN)

    @property
    def has_ranks(self) -> bool:
        """Whether some cell says how the neighbours are ranked."""
        cells = [cell for row in self.rows for cell in row.cells.values()]
        return self.protocol == "music_id" and any(cell.map_at_r is not None for cell in cells)

    def row(self, system: str) -> ScoreRow | None:
        """Find the row of `system`."""
        return next((row for row in self.rows if row.system == system), None)


@dataclass(frozen=True, slots=True)
class LeakMatrix:
    """Accuracy of each subspace (row) for each focus (column); NaN: not scored.

    Of P2 the focus is the instrument whose track is right; of triplets, the concept under which
    two tracks are alike, and the last row is the whole embedding.
    """

    duration_s: float
    subspaces: tuple[str, ...]
    focuses: tuple[str, ...]
    accuracy: np.ndarray
    chance: float | None
    protocol: str = "pseudo_mix_id"


def score_tables(
    scores: pa.Table, conditions: Sequence[str] | None = None
) -> tuple[ScoreTable, ...]:
    """Arrange `scores` (`SCORE_SCHEMA`) in a table for each protocol and segment length.

    Parameters
    ----------
    scores : pa.Table
        Scores of any systems; rows without an accuracy are skipped.
    conditions : sequence of str, optional
        Conditions whose instruments are columns; by default those that any score names.
    """
    rows = [row for row in scores.to_pylist() if is_number(row["accuracy"])]
    rows = [row for row in rows if row["protocol"] not in ELSEWHERE]
    if conditions is None:
        conditions = [row[key] for row in rows for key in ("condition", "focus")]
    instruments = tuple(instrument for instrument in INSTRUMENTS if instrument in conditions)
    protocols = _in_order({row["protocol"] for row in rows}, PROTOCOLS)
    tables = []
    for protocol in protocols:
        of_protocol = [row for row in rows if row["protocol"] == protocol]
        for duration_s in sorted({row["duration_s"] for row in of_protocol}):
            alike = [row for row in of_protocol if row["duration_s"] == duration_s]
            tables.append(_score_table(protocol, duration_s, instruments, alike))
    return tuple(table for table in tables if table.rows)


def _score_table(
    protocol: str, duration_s: float, instruments: tuple[str, ...], scores: list[dict]
) -> ScoreTable:
    """Arrange scores of one protocol and length; the leak matrix's other pairs are left out."""
    rows = []
    for system in _in_order({score["system"] for score in scores}, SYSTEMS):
        cells = {
            score["condition"]: cell_of(score)
            for score in scores
            if score["system"] == system
            and score["condition"] in (*instruments, *OUTSIDE_MEAN)
            and (protocol == "music_id" or score["condition"] == score["focus"])
        }
        num_in_mean = sum(name in cells for name in instruments)
        rows.append(ScoreRow(system, cells, mean_of(cells, instruments), num_in_mean))
    rows = [row for row in rows if row.cells]
    others = [name for name in OUTSIDE_MEAN if any(name in row.cells for row in rows)]
    columns = (*instruments, *others)
    by_column = {name: [row.cells[name] for row in rows if name in row.cells] for name in columns}
    chance = {name: cells[0].chance for name, cells in by_column.items() if cells}
    chances = [chance[name] for name in instruments if is_number(chance.get(name))]
    best = {name: _highest([cell.accuracy for cell in cells]) for name, cells in by_column.items()}
    return ScoreTable(
        protocol=protocol,
        duration_s=duration_s,
        columns=columns,
        rows=tuple(rows),
        chance=chance,
        mean_chance=float(np.mean(chances)) if chances else None,
        best={name: value for name, value in best.items() if value is not None},
        best_mean=_highest([row.mean for row in rows if row.num_in_mean == len(instruments)]),
    )


def mean_of(cells: Mapping[str, Cell], instruments: Sequence[str]) -> float | None:
    """Mean accuracy of those of `instruments` that have a cell."""
    scored = [cells[name].accuracy for name in instruments if name in cells]
    return float(np.mean(scored)) if scored else None


def cell_of(score: Mapping) -> Cell:
    """Cell of a row of scores; what is missing of its interval and chance is NaN."""
    low, high, chance = (
        float(score[key]) if is_number(score[key]) else math.nan
        for key in ("low", "high", "chance")
    )
    ranks = (score["r_precision"], score["map_at_r"])
    return Cell(float(score["accuracy"]), low, high, chance, *ranks)


def _highest(values: Sequence[float | None]) -> float | None:
    numbers = [value for value in values if value is not None]
    return max(numbers) if len(numbers) > 1 else None


def _in_order(names: Collection[str], order: Iterable[str]) -> list[str]:
    known = [name for name in order if name in names]
    return [*known, *sorted(set(names) - set(known))]


def is_number(value: object) -> TypeGuard[float]:
    """Whether `value` is a finite number."""
    return isinstance(value, Real) and math.isfinite(value)


def leak_matrices(
    scores: pa.Table, conditions: Sequence[str] = INSTRUMENTS, system: str = OURS
) -> tuple[LeakMatrix, ...]:
    """P2 of `system` for all pairs of subspace and instrument, one matrix a segment length.

    Of concepts it is their triplets, with the whole embedding as the last subspace.
    """
    of_concepts = any(name in CONCEPTS for name in conditions)
    protocol = CONCEPT_TRIPLETS if of_concepts else "pseudo_mix_id"
    subspaces = (*conditions, ALL) if of_concepts else tuple(conditions)
    rows = [
        row
        for row in scores.to_pylist()
        if (row["protocol"], row["system"]) == (protocol, system)
        and row["condition"] in subspaces
        and row["focus"] in conditions
        and is_number(row["accuracy"])
    ]
    matrices = []
    for duration_s in sorted({row["duration_s"] for row in rows}):
        accuracy = np.full((len(subspaces), len(conditions)), math.nan)
        alike = [row for row in rows if row["duration_s"] == duration_s]
        for row in alike:
            place = subspaces.index(row["condition"]), conditions.index(row["focus"])
            accuracy[place] = row["accuracy"]
        chances = [row["chance"] for row in alike if is_number(row["chance"])]
        chance = float(np.mean(chances)) if chances else None
        matrices.append(
            LeakMatrix(duration_s, subspaces, tuple(conditions), accuracy, chance, protocol)
        )
    return tuple(matrices)
