"""Figures of a sweep: what mattered, where good trials lie, how they learnt.

Conventions
-----------
Those of `csn.reports.plots`. The parallel coordinates are twice as wide, and scroll on a phone.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from csn.reports.plots import INK, MEDIUM, MUTED, RULE, SMALL, TINT, WIDTH_IN
from csn.reports.sweep_data import SweptTrial
from csn.search_space import SearchSpace, Varied

BEST_COLOUR = "#c4532f"
BAR_COLOUR = "#5f8fb8"
NOT_VARIED = -0.09
"""Height of a line where its trial does not vary the field."""


def importance_bars(shares: Mapping[str, float]) -> Figure:
    """Draw each field's share as a bar, the largest at the top."""
    figure = Figure(figsize=(WIDTH_IN, 0.6 + 0.5 * len(shares)), layout="constrained")
    ax = figure.add_subplot()
    for place, (name, share) in enumerate(shares.items()):
        ax.barh(place, 100 * share, height=0.36, color=BAR_COLOUR, zorder=2)
        ax.text(0, place - 0.27, name, va="bottom", fontsize=SMALL, color=INK)
        ax.text(
            100, place - 0.27, f"{share:.0%}", va="bottom", ha="right", fontsize=SMALL, color=INK
        )
    ax.set(xlim=(0, 100), ylim=(len(shares) - 0.6, -0.75), yticks=[])
    _house_style(ax, "x")
    ax.spines["bottom"].set_visible(False)
    ax.set_title("importance, % of the variance", loc="left", pad=8, fontsize=MEDIUM, color=INK)
    return figure


def learning_curves(metric: str, trials: Sequence[SweptTrial], best: str) -> Figure:
    """Draw the metric of each trial by epoch."""
    figure = Figure(figsize=(WIDTH_IN, 3.0), layout="constrained")
    ax = figure.add_subplot()
    for trial in trials:
        epochs, values = [epoch for epoch, _ in trial.curve], [value for _, value in trial.curve]
        is_best = trial.trial_id == best
        colour, width = (BEST_COLOUR, 2.4) if is_best else (BAR_COLOUR, 1.1)
        marker = "o" if len(epochs) == 1 else ""
        ax.plot(epochs, values, color=colour, lw=width, marker=marker, ms=4, zorder=2 + is_best)
        if trial.status == "stopped" and epochs:
            ax.plot(epochs[-1], values[-1], marker="x", color=colour, ms=6, mew=1.6, zorder=4)
    _house_style(ax, "y")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.set_xlabel("epoch", fontsize=SMALL, color=MUTED)
    ax.set_title(metric, loc="left", pad=8, fontsize=MEDIUM, color=INK)
    return figure


def parallel_coordinates(
    space: SearchSpace, metric: str, trials: Sequence[SweptTrial], best: str
) -> Figure:
    """Draw each trial as a line through its values, one axis a field, the metric last."""
    fields = space.fields
    figure = Figure(figsize=(2 * WIDTH_IN, 3.6), layout="constrained")
    ax = figure.add_subplot()
    scores = np.array([trial.best for trial in trials], dtype=float)
    low, high = float(scores.min()), float(scores.max())
    heights = (scores - low) / (high - low) if high > low else np.full(len(scores), 0.5)
    good = heights if space.mode == "max" else 1 - heights
    for place in np.argsort(good):
        trial, is_best = trials[place], trials[place].trial_id == best
        line = [_height(field, trial.values.get(field.name)) for field in fields]
        colour = BEST_COLOUR if is_best else TINT(0.25 + 0.75 * float(good[place]))
        ax.plot(
            range(len(fields) + 1),
            [*line, float(heights[place])],
            color=colour,
            lw=2.6 if is_best else 1.4,
            marker="o",
            ms=3,
            zorder=4 if is_best else 2,
        )
    for place, field in enumerate(fields):
        _axis(ax, place, field.name, _ticks(field))
    _axis(ax, len(fields), metric, {0.0: f"{low:.3g}", 1.0: f"{high:.3g}"} if high > low else {})
    ax.set(xlim=(-0.35, len(fields) + 0.55), ylim=(-0.15, 1.2), xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    return figure


def _height(field: Varied, value: Any) -> float:
    """Where a value lies on its field's axis, from 0 to 1."""
    if value is None:
        return NOT_VARIED
    if field.kind in ("choice", "grid"):
        return field.values.index(value) / max(1, len(field.values) - 1)
    low, high = field.values[:2]
    if field.kind == "loguniform":
        low, high, value = (math.log(number) for number in (low, high, value))
    return float((value - low) / (high - low))


def _ticks(field: Varied) -> dict[float, str]:
    """Heights and words along a field's axis."""
    if field.kind in ("choice", "grid"):
        return {_height(field, value): _word(value) for value in field.values}
    low, high = field.values[:2]
    middle = (low * high) ** 0.5 if field.kind == "loguniform" else (low + high) / 2
    return {_height(field, value): f"{value:.3g}" for value in (low, middle, high)}


def _word(value: Any) -> str:
    return " + ".join(map(str, value)) if isinstance(value, list) else str(value)


def _axis(ax: Axes, place: int, name: str, ticks: Mapping[float, str]) -> None:
    ax.vlines(place, 0, 1, color=RULE, lw=1.4, zorder=1)
    section, _, last = name.rpartition("/" if "/" in name else ".")
    ax.text(
        place,
        1.05,
        f"{section}\n{last}" if section else last,
        ha="center",
        va="bottom",
        fontsize=SMALL,
        color=INK,
    )
    for height, word in ticks.items():
        ax.text(
            place + 0.04,
            height,
            word,
            va="center",
            fontsize=SMALL - 1,
            color=MUTED,
            zorder=5,
            bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.6},
        )


def _house_style(ax: Axes, grid: str) -> None:
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(RULE)
    ax.grid(axis=grid, color=RULE, linewidth=0.6)  # pyright: ignore[reportArgumentType]
    ax.set_axisbelow(True)
    ax.tick_params(length=0, labelsize=SMALL, labelcolor=MUTED)
