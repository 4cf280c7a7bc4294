"""What the best configuration of a sweep scores on the test split, beside the untuned recipe.

Conventions
-----------
Accuracies in per cent. A condition's bracket is its 95 % interval over tracks, averaged over the
seeds; that of the mean, and of the difference, is Student's over the seeds, and missing with one
seed. A difference is paired: seed by seed.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from scipy import stats

from csn.conditions import MIX
from csn.evaluation.triplet_scores import CONCEPT_TRIPLETS
from csn.records import OURS
from csn.reports.score_tables import PROTOCOLS
from csn.reports.text_tables import MISSING, ComparedRow, ComparedTable

TITLES = PROTOCOLS | {CONCEPT_TRIPLETS: "Triplets of concepts"}
LEVEL = 0.95
MEAN = "mean"
TO = "\N{EN DASH}"


def final_tables(
    scores: pa.Table, conditions: Sequence[str], labels: Mapping[str, str]
) -> list[ComparedTable]:
    """One table a protocol and length of segments.

    Parameters
    ----------
    scores : pyarrow.Table
        `csn.evaluation.comparison.COMPARED_SCHEMA`.
    labels : mapping of recipe to label
        Rows in this order; the difference is the last's from the first's.
    """
    rows = [
        row
        for row in scores.to_pylist()
        if row["system"] == OURS
        and row["recipe"] in labels
        and row["condition"] == row["focus"]
        and row["condition"] in conditions
        and row["protocol"] in TITLES
        and row["accuracy"] is not None
    ]
    order = list(TITLES)
    asked = {(row["protocol"], row["duration_s"]) for row in rows}
    return [
        _table(protocol, duration_s, rows, conditions, labels)
        for protocol, duration_s in sorted(asked, key=lambda one: (order.index(one[0]), one[1]))
    ]


def _table(
    protocol: str,
    duration_s: float,
    rows: Sequence[Mapping],
    conditions: Sequence[str],
    labels: Mapping[str, str],
) -> ComparedTable:
    here = [r for r in rows if (r["protocol"], r["duration_s"]) == (protocol, duration_s)]
    scored = [name for name in conditions if any(r["condition"] == name for r in here)]
    columns = (*scored, MEAN)
    accuracies = {recipe: _by_seed(here, recipe, scored) for recipe in labels}
    shown = [
        ComparedRow(
            label,
            tuple(
                _with_interval(accuracies[recipe][name])
                if name == MEAN
                else _condition_cell([r for r in here if _is_of(r, recipe, name)])
                for name in columns
            ),
        )
        for recipe, label in labels.items()
    ]
    first, *_, last = labels
    differences = {
        name: {
            seed: accuracies[last][name][seed] - accuracies[first][name][seed]
            for seed in accuracies[first][name]
            if seed in accuracies[last][name]
        }
        for name in columns
    }
    cells = tuple(_with_interval(differences[name], signed=True) for name in columns)
    shown.append(ComparedRow("difference", cells))
    unit = f"% right on the test split [{LEVEL:.0%} interval]"
    return ComparedTable(
        f"{TITLES[protocol]}, {duration_s:g} s segments", unit, columns, (*shown,)
    )


def _is_of(row: Mapping, recipe: str, condition: str) -> bool:
    return row["recipe"] == recipe and row["condition"] == condition


def _by_seed(
    rows: Sequence[Mapping], recipe: str, conditions: Sequence[str]
) -> dict[str, dict[int, float]]:
    """Accuracy by condition and seed; the mean is over the conditions, without the mix's own."""
    found: dict[str, dict[int, float]] = {name: {} for name in (*conditions, MEAN)}
    for row in rows:
        if row["recipe"] == recipe:
            found[row["condition"]][row["seed"]] = row["accuracy"]
    counted = [name for name in conditions if name != MIX] or list(conditions)
    for seed in sorted(set().union(*(found[name] for name in counted))):
        values = [found[name][seed] for name in counted if seed in found[name]]
        if len(values) == len(counted):
            found[MEAN][seed] = float(np.mean(values))
    return found


def _condition_cell(rows: Sequence[Mapping]) -> str:
    if not rows:
        return MISSING
    mean = float(np.mean([row["accuracy"] for row in rows]))
    bounds = [(row["low"], row["high"]) for row in rows]
    if any(None in pair or math.isnan(sum(pair)) for pair in bounds):
        return f"{100 * mean:.1f}"
    low, high = (100 * bound for bound in np.mean(bounds, axis=0))
    return f"{100 * mean:.1f} [{low:.1f}{TO}{high:.1f}]"


def _with_interval(by_seed: Mapping[int, float], *, signed: bool = False) -> str:
    if not by_seed:
        return MISSING
    values = 100 * np.array(list(by_seed.values()))
    form = "+.1f" if signed else ".1f"
    text = format(float(values.mean()), form)
    if len(values) < 2:
        return text
    half = stats.t.ppf((1 + LEVEL) / 2, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5
    low, high = values.mean() - half, values.mean() + half
    return f"{text} [{low:{form}}{TO}{high:{form}}]"
