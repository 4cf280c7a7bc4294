"""The criteria of [H22] in a report: heat maps of distances, and tables of how alike they are."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from matplotlib.figure import Figure

from csn.conditions import ALL
from csn.evaluation.criteria import Distances
from csn.reports.figures import ShownFigure
from csn.reports.inline import figure_uri
from csn.reports.plots import RULE, TINT

WHOLE = "whole"


@dataclass(frozen=True, slots=True)
class CriteriaSection:
    """All that the page shows of the criteria; empty without distances and comparisons."""

    panels: tuple[ShownFigure, ...]
    names: tuple[str, ...]
    """Criteria in the order of the table of correlations."""
    mix: str
    """The mix's criterion, in words; empty without one."""
    correlations: Mapping[tuple[str, str], float]
    """Of a pair: Pearson where the first comes before the second in `names`, else Spearman."""
    ranks: Mapping[str, Mapping[int, float]]
    """Mean reciprocal rank of each neighbour, by instrument."""
    num_tracks: tuple[int, ...]
    """Least and greatest number of tracks that a pair shares."""


def criteria_section(criteria: pa.Table, distances: Mapping[str, Distances]) -> CriteriaSection:
    """Arrange `criteria` (`CRITERIA_SCHEMA`) in two tables, and draw `distances`."""
    rows = criteria.to_pylist()
    names = tuple(dict.fromkeys(row[side] for side in ("a", "b") for row in rows))
    correlations = {}
    ranks: dict[str, dict[int, float]] = {}
    for row in rows:
        if row["kind"] == "pearson":
            correlations[_named(row["a"]), _named(row["b"])] = row["value"]
        elif row["kind"] == "spearman":
            correlations[_named(row["b"]), _named(row["a"])] = row["value"]
        else:
            ranks.setdefault(row["a"], {})[row["rank"]] = row["value"]
    against = [row["b"] for row in rows if row["kind"] == "reciprocal_rank"]
    sizes = [row["num_tracks"] for row in rows]
    return CriteriaSection(
        panels=distance_panels(distances),
        names=tuple(map(_named, names)),
        mix=_named(against[0]) if against else "",
        correlations=correlations,
        ranks=ranks,
        num_tracks=(min(sizes), max(sizes)) if sizes else (),
    )


def _named(criterion: str) -> str:
    return WHOLE if criterion == ALL else criterion


def distance_panels(distances: Mapping[str, Distances]) -> tuple[ShownFigure, ...]:
    """Draw each criterion's distances, all over the same tracks."""
    return tuple(_shown(name, found, distances) for name, found in distances.items())


def _shown(name: str, found: Distances, distances: Mapping[str, Distances]) -> ShownFigure:
    tracks = np.unique(np.concatenate([one.ids for one in distances.values()]))
    alt = (
        f"Heat map of the distances between {len(found.ids)} tracks under the criterion "
        f"{_named(name)}, the darker the nearer."
    )
    return ShownFigure(figure_uri(distance_map(found, tracks)), alt, _named(name), name)


def distance_map(found: Distances, tracks: np.ndarray) -> Figure:
    """Draw a matrix of distances, the darker the nearer; `tracks` without a centroid stay empty.

    Panels show the same tracks in the same order, so that patterns can be compared by eye.
    """
    figure = Figure(figsize=(2.4, 2.4), layout="constrained")
    ax = figure.add_subplot()
    shown = np.full((len(tracks), len(tracks)), np.nan)
    places = np.searchsorted(tracks, found.ids)
    shown[np.ix_(places, places)] = found.matrix
    np.fill_diagonal(shown, np.nan)  # zero, and so dark that nothing else could be seen
    # The farthest keep some tint: white is for what is not there.
    farthest = 1.3 * float(found.matrix.max())
    ax.imshow(
        np.ma.masked_invalid(shown),
        cmap=TINT.reversed(),
        vmin=float(np.nanmin(shown)),
        vmax=farthest,
        interpolation="nearest",
    )
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_color(RULE)
    return figure
