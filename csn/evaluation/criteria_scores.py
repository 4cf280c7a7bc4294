"""From embedding tables to the criteria of [H22] compared with one another.

Conventions
-----------
A criterion a condition of the tables, and the mix's: the condition ``mix`` where there is one (a
network of its own hears all parts), else ``all``, the whole embedding.

Metrics
-------
`criteria_rows` : Pearson and Spearman correlation of each pair of criteria; for each instrument,
the reciprocal ranks by the mix's criterion of its three nearest tracks.

Source
------
[H22] Section 4.2, Tables 2 and 3.

Choices
-------
A track's centroid is over those of its segments in which the part sounds (of the mix: any part).
Two criteria are compared on the tracks that have both centroids, so each pair has a number of
tracks of its own. An experiment compares the distances of its one run, which `seed` names; as
[H22] does with five, a comparison of systems first averages those of all seeds (`mean_criteria`).
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Int

from csn.conditions import ALL, MIX
from csn.errors import ProtocolError
from csn.evaluation.criteria import (
    Distances,
    centroid_distances,
    mean_over_seeds,
    pearson,
    reciprocal_ranks,
    spearman,
)
from csn.evaluation.neighbours import Metric
from csn.evaluation.questions import Scores
from csn.evaluation.stored_segments import read_joined
from csn.records import CRITERIA_SCHEMA

TOP = 3
"""Neighbours of which [H22] Table 3 gives the reciprocal ranks."""


def mix_criterion(conditions: Iterable[str]) -> str:
    """Name of the mix's criterion among those of `conditions`."""
    return MIX if MIX in conditions else ALL


def criteria_distances(
    tables: Mapping[str, pa.Table],
    *,
    duration_s: float,
    metric: Metric,
) -> tuple[dict[str, Distances], list[str]]:
    """Distances between centroids of the source ``mix``, and a line for each criterion without.

    The instruments come in the order of `tables`, the mix's criterion last.
    """
    mix = mix_criterion(tables)
    found, messages = {}, []
    for name in (*(condition for condition in tables if condition != mix), mix):
        try:
            segments = read_joined(tables, name, "mix", "", duration_s)
            kept = segments.sounds
            found[name] = centroid_distances(
                segments.vectors[kept], segments.focus_ids[kept], metric
            )
        except ProtocolError as error:
            messages.append(f"criterion of {name} at {duration_s:g} s: {error}")
    return found, messages


def mean_criteria(
    runs: Sequence[Mapping[str, Distances]],
) -> tuple[dict[str, Distances], list[str]]:
    """Average what `criteria_distances` found in several runs of a system ([H22] 4.2).

    Only criteria that every run has are averaged; there is a line for each that cannot be.
    """
    found, messages = {}, []
    for name in dict.fromkeys(criterion for run in runs for criterion in run):
        having = [run[name] for run in runs if name in run]
        if len(having) < len(runs):
            messages.append(
                f"criterion of {name}: {len(having)} of {len(runs)} seeds have it, all needed for "
                "a mean (see what the others' reports say)"
            )
            continue
        try:
            found[name] = mean_over_seeds(having)
        except ProtocolError as error:
            messages.append(f"criterion of {name}, averaged over seeds: {error}")
    return found, messages


def criteria_rows(found: Mapping[str, Distances], *, seed: int | None) -> Scores:
    """Compare all criteria in `found`; say of which pairs it could not be done.

    Parameters
    ----------
    seed : int, optional
        Of the run that the distances are of; none where they are means over several.
    """
    rows: list[dict[str, Any]] = []
    messages = []
    for a, b in combinations(found, 2):
        try:
            first, second = _shared(found[a], found[b])
            for kind, measure in (("pearson", pearson), ("spearman", spearman)):
                rows.append(_row(kind, a, b, measure(first, second), first, seed))
            if b == mix_criterion(found):
                ranks = reciprocal_ranks(first, second, TOP)
                rows += [
                    _row("reciprocal_rank", a, b, float(value), first, seed) | {"rank": place}
                    for place, value in enumerate(ranks, start=1)
                ]
        except ProtocolError as error:
            messages.append(f"criteria of {a} and {b}: {error}")
    return Scores(rows, messages)


def criteria_table(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Rows as a table of `CRITERIA_SCHEMA`."""
    return pa.Table.from_pylist([dict(row) for row in rows], schema=CRITERIA_SCHEMA)


def _shared(a: Distances, b: Distances) -> tuple[Distances, Distances]:
    """Both on the tracks that both have."""
    _, *places = np.intersect1d(a.ids, b.ids, return_indices=True)
    return _on(a, places[0]), _on(b, places[1])


def _on(one: Distances, places: Int[np.ndarray, " shared"]) -> Distances:
    return Distances(one.ids[places], one.matrix[np.ix_(places, places)])


def _row(
    kind: str, a: str, b: str, value: float, on: Distances, seed: int | None
) -> dict[str, Any]:
    shared = {"rank": None, "value": value, "seed": seed, "num_tracks": len(on.ids)}
    return {"kind": kind, "a": a, "b": b} | shared
