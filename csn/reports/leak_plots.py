"""What each subspace knows: a heat map of subspaces against instruments, or concepts.

Conventions
-----------
Those of `csn.reports.plots`: shares in, per cent drawn, no wider than a phone's screen.
"""

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from csn.conditions import ALL
from csn.evaluation.triplet_scores import CONCEPT_TRIPLETS
from csn.reports.figures import ShownFigure
from csn.reports.inline import figure_uri
from csn.reports.plots import INK, MEDIUM, MUTED, SMALL, TINT, WIDTH_IN, condition_colour
from csn.reports.score_tables import PROTOCOLS, LeakMatrix


def leak_matrix(leaks: LeakMatrix) -> Figure:
    """Draw accuracy of each subspace (row) for each focus (column).

    The frame marks the subspace's own focus, bold type the row's best.
    """
    of_concepts = leaks.protocol == CONCEPT_TRIPLETS
    height_in = 0.9 + 0.6 * len(leaks.subspaces)
    figure = Figure(figsize=(WIDTH_IN, height_in), layout="constrained")
    ax = figure.add_subplot()
    percent = 100 * leaks.accuracy
    lowest = 40 if of_concepts else 0  # of two answers one is right by chance
    ax.imshow(np.ma.masked_invalid(percent), cmap=TINT, vmin=lowest, vmax=100, aspect="auto")
    for row, values in enumerate(percent):
        best = np.nanmax(values) if np.isfinite(values).any() else math.nan
        for column, value in enumerate(values):
            is_dark = bool(value > lowest + 0.72 * (100 - lowest))
            _annotate(ax, row, column, value, is_best=bool(value == best), is_dark=is_dark)
        if leaks.subspaces[row] in leaks.focuses:
            own = leaks.focuses.index(leaks.subspaces[row])
            corner = (own - 0.44, row - 0.44)
            colour = condition_colour(leaks.subspaces[row])
            ax.add_patch(Rectangle(corner, 0.88, 0.88, fill=False, ec=colour, lw=2.2))
    turned: dict[str, Any] = {"rotation": 35, "ha": "left", "rotation_mode": "anchor"}
    are_many = len(leaks.focuses) > 5
    ax.set_xticks(range(len(leaks.focuses)), leaks.focuses, **turned if are_many else {})
    ax.set_yticks(range(len(leaks.subspaces)), leaks.subspaces)
    asked = "concept in which two tracks are alike" if of_concepts else "whose track is right"
    ax.set_xlabel(asked, color=MUTED, fontsize=SMALL)
    ax.set_ylabel("subspace asked", color=MUTED, fontsize=SMALL)
    ax.xaxis.set_label_position("top")
    ax.tick_params(
        length=0, labelsize=MEDIUM, labelcolor=INK, top=True, labeltop=True, labelbottom=False
    )
    num_rows, num_columns = percent.shape
    white: dict[str, Any] = {"color": "white", "lw": 3, "zorder": 1.5}
    ax.hlines(np.arange(1, num_rows) - 0.5, -0.5, num_columns - 0.5, **white)
    ax.vlines(np.arange(1, num_columns) - 0.5, -0.5, num_rows - 0.5, **white)
    ax.spines[:].set_visible(False)
    return figure


def _annotate(
    ax: Axes, row: int, column: int, value: float, *, is_best: bool, is_dark: bool
) -> None:
    missing = math.isnan(value)
    colour = MUTED if missing else "white" if is_dark else INK
    text = "-" if missing else f"{value:.1f}"
    weight = "bold" if is_best else "normal"
    ax.text(
        column, row, text, ha="center", va="center", color=colour, weight=weight, fontsize=MEDIUM
    )


def leak_figure(leaks: LeakMatrix) -> ShownFigure:
    """Heat map of one leak matrix; its caption counts the subspaces that know their own best."""
    rows, clear, complete = [], 0, 0
    for place, subspace in enumerate(leaks.subspaces):
        values = {
            focus: 100 * value
            for focus, value in zip(leaks.focuses, leaks.accuracy[place], strict=True)
            if not math.isnan(value)
        }
        said = ", ".join(f"{name} {value:.1f}" for name, value in values.items())
        asked = "whole embedding" if subspace == ALL else f"{subspace} subspace"
        rows.append(f"{asked}: {said or 'not scored'}")
        if subspace in values:
            complete += 1
            others = [value for name, value in values.items() if name != subspace]
            clear += all(values[subspace] > value for value in others)
    what, own = f"{PROTOCOLS['pseudo_mix_id']}, {leaks.duration_s:g} s segments", "instrument"
    if leaks.protocol == CONCEPT_TRIPLETS:
        what, own = "Triplets of each concept by each subspace", "concept"
    caption = (
        f"{what}, % right. The own {own} is the row's best in {clear} of {complete} subspaces"
    )
    caption += f"; chance is {100 * leaks.chance:.1f} %." if leaks.chance is not None else "."
    alt = f"Heat map, accuracy in per cent by {own}. {'; '.join(rows)}."
    return ShownFigure(figure_uri(leak_matrix(leaks)), alt, caption)
