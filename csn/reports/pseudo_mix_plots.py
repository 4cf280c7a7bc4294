"""Pseudo-mixes as points on a plane: whether they lie together by their part, or by the rest.

Conventions
-----------
A panel an instrument, of its own subspace. Colour is the track of the focused part (A of A_B), the
mark which of A's backgrounds is heard (B): a circle is the original, A before its own background.
Backgrounds are many and marks few, so a mark means a background within one colour only.

Source
------
[H24] Section 4.2.2, its figure of pseudo-mixes.
"""

import numpy as np
from jaxtyping import Int, Shaped
from matplotlib.figure import Figure

from csn.reports import plots, projection
from csn.reports.data import ReportData
from csn.reports.figures import ShownFigure
from csn.reports.inline import figure_uri

MARKS = ("o", "^", "s", "D", "v", "P", "X", "*")


def pseudo_mix_figures(data: ReportData) -> list[ShownFigure]:
    """Make a panel for each instrument with enough segments of pseudo-mixes."""
    shown = []
    for focus, (vectors, focus_ids, backing_ids) in data.pseudo_mixes.items():
        tracks = projection.choose_tracks({focus: focus_ids}, data.config.seed)
        points = projection.project(vectors, focus_ids, tracks, data.config.seed)
        if not len(points.positions):
            continue
        versions = version_places(focus_ids, backing_ids)[points.rows]
        num_tracks = len(set(points.track_places.tolist()))
        alt = (
            f"t-SNE of the {focus} subspace: {len(versions)} segments of pseudo-mixes, coloured "
            f"by the {num_tracks} tracks of their {focus}, marked by background."
        )
        uri = figure_uri(pseudo_mix_panel(points, versions))
        shown.append(ShownFigure(uri, alt, focus, focus))
    return shown


def version_places(
    focus_ids: Shaped[np.ndarray, " segments"], backing_ids: Shaped[np.ndarray, " segments"]
) -> Int[np.ndarray, " segments"]:
    """Give each track's backgrounds a number, by name: 0 the original, others from 1 on."""
    named = list(zip(focus_ids.tolist(), backing_ids.tolist(), strict=True))
    others: dict[str, list[str]] = {}
    for focus, backing in sorted(set(named)):
        if focus != backing:
            others.setdefault(focus, []).append(backing)
    return np.array(
        [0 if focus == backing else 1 + others[focus].index(backing) for focus, backing in named],
        dtype=int,
    )


def pseudo_mix_panel(points: projection.Points, versions: Int[np.ndarray, " points"]) -> Figure:
    """Draw one panel; `versions` gives each point's mark."""
    figure = Figure(figsize=(2.4, 2.4), layout="constrained")
    ax = figure.add_subplot()
    for track, version in np.unique(np.stack([points.track_places, versions], axis=1), axis=0):
        here = points.positions[(points.track_places == track) & (versions == version)]
        ax.scatter(
            here[:, 0],
            here[:, 1],
            s=15,
            marker=MARKS[int(version) % len(MARKS)],
            color=plots.track_mark(int(track))[0],
            alpha=0.85,
            linewidths=0,
        )
    ax.set(xticks=[], yticks=[])
    ax.margins(0.06)
    ax.spines[:].set_color(plots.RULE)
    return figure
