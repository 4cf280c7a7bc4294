"""The papers' tables with several systems of ours in them, and the printed rows below.

Conventions
-----------
Accuracies in per cent: ``73.1 ± 1.2`` is the mean and the standard deviation over the seeds. A
mean over fewer than five instruments says over how many: ``73.1 (4)``. In [H22] Table 1 the
bracket is the variance over the seeds of shares, as the paper prints it. The tables of concepts
are those of `csn.reports.triplet_tables`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from csn.conditions import ALL, INSTRUMENTS, MIX
from csn.evaluation.comparison import ScoredSystem, Spread
from csn.reports.published import (
    CRITERIA,
    DERIVED,
    NOTICE,
    PEARSON,
    PUBLISHED,
    RECIPROCAL_RANKS,
    SPEARMAN,
    PublishedRow,
)
from csn.reports.score_tables import PROTOCOLS
from csn.reports.text_tables import MISSING, ComparedRow, ComparedTable

OVER_SEEDS = "%, mean \N{PLUS-MINUS SIGN} standard deviation over seeds"
OF_MEANS = "from distances averaged over seeds"
H22_S = 3.0
"""Length of [H22]'s segments in seconds."""


def compared_tables(
    systems: Sequence[ScoredSystem],
    individual: Collection[str] = (),
    criteria: Sequence[Mapping[str, Any]] = (),
) -> list[ComparedTable]:
    """Every table that `systems` can fill.

    Parameters
    ----------
    systems : sequence of ScoredSystem
        In the order of their rows.
    individual : collection of str
        Recipes that train a network for each instrument, as [H22] does.
    criteria : sequence of mapping
        Rows of `csn.records.CRITERIA_SCHEMA`, each with its ``recipe``.
    """
    durations_s = sorted({duration_s for system in systems for duration_s in system.durations_s})
    alone = [system for system in systems if system.label in individual]
    tables = [_individual_table(alone, durations_s)]
    tables += [_h24_table("music_id", seconds, systems) for seconds in durations_s]
    tables += [_h24_table("pseudo_mix_id", seconds, systems) for seconds in durations_s]
    tables += [
        _correlation_table("pearson", "Table 2 (a): Pearson's correlation", PEARSON, criteria),
        _correlation_table("spearman", "Table 2 (b): Spearman's correlation", SPEARMAN, criteria),
        _rank_table(criteria),
    ]
    return [table for table in tables if any(row.kind == "ours" for row in table.rows)]


def _individual_table(systems: Sequence[ScoredSystem], durations_s: list[float]) -> ComparedTable:
    """[H22] Table 1, with segments as long as its own if they were scored, else the shortest."""
    seconds = H22_S if H22_S in durations_s else min(durations_s, default=H22_S)
    columns = (MIX, *INSTRUMENTS)
    rows = [
        ComparedRow(
            system.label,
            tuple(_with_variance(system.own("music_id", seconds, name)) for name in columns),
        )
        for system in systems
    ]
    rows += [
        ComparedRow(f"[{row.source}] {row.label}", tuple(_printed_cells(row, columns)), "printed")
        for row in PUBLISHED
        if row.source == "H22" and row.duration_s == seconds
    ]
    title = f"[H22] Table 1: {PROTOCOLS['music_id']}, {seconds:g} s segments, individual networks"
    return ComparedTable(title, "% right (variance over seeds)", columns, tuple(rows), NOTICE)


def _printed_cells(row: PublishedRow, columns: Sequence[str]) -> list[str]:
    """Cells of [H22] Table 1, with the variances where they are printed."""
    cells = []
    for name in columns:
        text = row.text(name)
        variance = row.variance.get(name)
        cells.append(text if variance is None else f"{text} ({_short(variance)})")
    return cells


def accuracy_table(
    title: str, protocol: str, duration_s: float, systems: Sequence[ScoredSystem]
) -> ComparedTable:
    """Systems (rows) by instrument, with their mean and the chance, as a protocol scored them."""
    scored = [system for system in systems if system.mean(protocol, duration_s)]
    has_mix = any(system.own(protocol, duration_s, MIX) for system in scored)
    names = (*INSTRUMENTS, "mean", *((MIX,) if has_mix else ()))
    rows = []
    for system in scored:
        cells = [_with_deviation(system.own(protocol, duration_s, name)) for name in INSTRUMENTS]
        cells.append(_mean_cell(system, protocol, duration_s))
        cells += [_with_deviation(system.own(protocol, duration_s, MIX))] * has_mix
        rows.append(ComparedRow(system.label, tuple(cells)))
    if scored:
        rows += _chance_rows(protocol, duration_s, scored, names)
    return ComparedTable(f"{title}, {duration_s:g} s segments", OVER_SEEDS, names, tuple(rows))


def _h24_table(protocol: str, duration_s: float, systems: Sequence[ScoredSystem]) -> ComparedTable:
    """[H24] Table 1 (P1) or 2 (P2) at one length of segments; rows are systems."""
    number = {"music_id": 1, "pseudo_mix_id": 2}[protocol]
    title = f"[H24] Table {number}: {PROTOCOLS[protocol]}"
    table = accuracy_table(title, protocol, duration_s, systems)
    num_more = len(table.columns) - len(INSTRUMENTS) - 1
    printed = [
        ComparedRow(
            f"[{row.source}] {row.label}",
            (*map(row.text, INSTRUMENTS), row.mean_text, *[MISSING] * num_more),
            "printed",
        )
        for row in PUBLISHED
        if (row.source, row.protocol, row.duration_s) == ("H24", protocol, duration_s)
    ]
    return replace(table, rows=(*table.rows, *printed), notice=f"{NOTICE}; {DERIVED}")


def _chance_rows(
    protocol: str, duration_s: float, systems: Sequence[ScoredSystem], columns: Sequence[str]
) -> list[ComparedRow]:
    """Write what guessing gives: in one row, or in several where systems were asked of others."""
    found: list[tuple[dict[str, str], list[str]]] = []
    for system in systems:
        own = _chances(system, protocol, duration_s)
        if not own:
            continue
        for chances, labels in found:
            if all(chances.get(name, text) == text for name, text in own.items()):
                chances |= own
                labels.append(system.label)
                break
        else:
            found.append((own, [system.label]))
    return [
        ComparedRow(
            "chance" if len(found) == 1 else f"chance of {', '.join(labels)}",
            tuple(chances.get(name, MISSING) for name in columns),
            "chance",
        )
        for chances, labels in found
    ]


def _chances(system: ScoredSystem, protocol: str, duration_s: float) -> dict[str, str]:
    found = {
        asked.condition: chance
        for asked, chance in system.chances.items()
        if asked.condition == asked.focus
        and (asked.protocol, asked.duration_s) == (protocol, duration_s)
    }
    means = [found[name] for name in INSTRUMENTS if name in found]
    if means:
        found["mean"] = float(np.mean(means))
    return {name: f"{100 * chance:.1f}" for name, chance in found.items()}


def _with_deviation(spread: Spread | None) -> str:
    if spread is None:
        return MISSING
    text = f"{100 * spread.mean:.1f}"
    if spread.deviation is None:
        return text
    return f"{text} \N{PLUS-MINUS SIGN} {100 * spread.deviation:.1f}"


def _with_variance(spread: Spread | None) -> str:
    if spread is None:
        return MISSING
    text = f"{100 * spread.mean:.1f}"
    return text if spread.variance is None else f"{text} ({_short(spread.variance)})"


def _short(variance: float) -> str:
    """Write a variance as [H22] does: ``2.8e-4``."""
    return f"{variance:.1e}".replace("e-0", "e-") if variance else "0"


def _mean_cell(system: ScoredSystem, protocol: str, duration_s: float) -> str:
    found = system.mean(protocol, duration_s)
    if found is None:
        return MISSING
    spread, num = found
    text = _with_deviation(spread)
    return text if num == len(INSTRUMENTS) else f"{text} ({num})"


def _correlation_table(
    kind: str,
    title: str,
    printed: Mapping[tuple[str, str], float],
    criteria: Sequence[Mapping[str, Any]],
) -> ComparedTable:
    """[H22] Table 2: a row for each criterion but the last, a column for each but the first."""
    found: dict[str, dict[tuple[str, str], float]] = {}
    for row in criteria:
        if row["kind"] == kind:
            found.setdefault(row["recipe"], {})[_pair(row["a"], row["b"])] = row["value"]
    order = (*CRITERIA, *[name for name in INSTRUMENTS if name not in CRITERIA])
    rows = []
    for recipe, pairs in found.items():
        rows += _triangle(recipe, pairs, order, "ours")
    rows += _triangle("[H22]", printed, order, "printed")
    return ComparedTable(f"[H22] {title}", OF_MEANS, order[1:], tuple(rows), NOTICE)


def _triangle(
    label: str,
    values: Mapping[tuple[str, str], float],
    order: Sequence[str],
    kind: Literal["ours", "printed"],
) -> list[ComparedRow]:
    rows = []
    for a in order[:-1]:
        found = [values.get(_pair(a, b)) if a != b else None for b in order[1:]]
        texts = tuple(MISSING if value is None else f"{value:#.2g}" for value in found)
        later = order.index(a)
        cells = tuple("" if place < later else text for place, text in enumerate(texts))
        if any(cell not in ("", MISSING) for cell in cells):
            rows.append(ComparedRow(f"{label}, {a}", cells, kind))
    return rows


def _pair(a: str, b: str) -> tuple[str, str]:
    """Two criteria in the order of [H22]; the whole embedding stands for the mix."""
    order = (*CRITERIA, *INSTRUMENTS)
    first, second = (MIX if name == ALL else name for name in (a, b))
    return (first, second) if order.index(first) < order.index(second) else (second, first)


def _rank_table(criteria: Sequence[Mapping[str, Any]]) -> ComparedTable:
    """[H22] Table 3: how early the mix finds an instrument's nearest three tracks."""
    found: dict[tuple[str, str], dict[int, float]] = {}
    for row in criteria:
        if row["kind"] != "reciprocal_rank" or MIX not in _pair(row["a"], row["b"]):
            continue
        instrument = _pair(row["a"], row["b"])[1]
        ranks = found.setdefault((row["recipe"], instrument), {})
        ranks[int(row["rank"])] = row["value"]
    rows = [
        ComparedRow(
            f"{recipe}, {instrument}",
            tuple(f"{ranks[n]:.2f}" if n in ranks else MISSING for n in (1, 2, 3)),
        )
        for (recipe, instrument), ranks in found.items()
    ]
    rows += [
        ComparedRow(f"[H22], {instrument}", tuple(f"{value:.2f}" for value in ranks), "printed")
        for instrument, ranks in RECIPROCAL_RANKS.items()
    ]
    title = "[H22] Table 3: mean reciprocal rank by the mix of an instrument's nearest tracks"
    return ComparedTable(title, OF_MEANS, ("1st", "2nd", "3rd"), tuple(rows), NOTICE)
