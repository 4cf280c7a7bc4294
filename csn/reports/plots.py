"""Figures of a report, each a matplotlib `Figure` of its own without any global state.

Conventions
-----------
Accuracies come as shares in 0..1 and are drawn in per cent. Figures are no wider than a
phone's screen, so that their letters can be read there. A function returns None where there is
nothing to draw. Values that are missing, None or NaN leave a gap.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from csn.conditions import CONCEPTS, INSTRUMENTS
from csn.evaluation.triplet_scores import CONCEPT_TRIPLETS
from csn.reports.projection import Points
from csn.reports.score_tables import PROTOCOLS, is_number

INK = "#1c2530"
MUTED = "#5a6472"
RULE = "#d9dce1"
CONDITION_COLOURS = {
    "drums": "#c4532f",
    "bass": "#1f4e79",
    "piano": "#d1951f",
    "guitar": "#1f8f84",
    "others": "#8a5fb0",
}
"""One colour an instrument, on every figure and table; apart also for colour-blind eyes."""
CONCEPT_COLOURS = dict(
    zip(CONCEPTS, ("#1f4e79", "#c4532f", "#1f8f84", "#8a5fb0", "#d1951f", "#79706e"), strict=True)
)
"""One colour a concept; no page has both them and instruments on one figure."""
COLOURS = CONDITION_COLOURS | CONCEPT_COLOURS
TRACK_COLOURS = (
    "#4e79a7",
    "#f28e2b",
    "#e15759",
    "#76b7b2",
    "#59a14f",
    "#edc948",
    "#b07aa1",
    "#ff9da7",
    "#9c755f",
    "#79706e",
    "#17375e",
    "#8c1d40",
)
TRACK_MARKERS = ("o", "s", "^", "D")
TINT = LinearSegmentedColormap.from_list("csn", ["#f7f8fa", "#b9cde0", "#5f8fb8", "#1f4e79"])
WIDTH_IN = 4.4
VALIDATED = PROTOCOLS | {CONCEPT_TRIPLETS: "triplets of concepts"}
SMALL = 9.5
MEDIUM = 10.5


def condition_colour(condition: str) -> str:
    """Colour of an instrument or a concept; ink for anything else."""
    return COLOURS.get(condition, INK)


def track_mark(place: int) -> tuple[str, str]:
    """Colour and marker of the track at `place` in the legend of the t-SNE panels."""
    colour = TRACK_COLOURS[place % len(TRACK_COLOURS)]
    return colour, TRACK_MARKERS[place % len(TRACK_MARKERS)]


def loss_curves(
    history: Sequence[Mapping[str, Any]], best_epoch: int | None = None
) -> Figure | None:
    """Draw training losses by epoch, and below them the share of triplets that still teach."""
    losses = [key for key in _keys(history) if key.startswith("train/loss/")]
    has_active = "train/active" in _keys(history)
    if not losses and not has_active:
        return None
    figure, axes = _stacked(2 if losses and has_active else 1)
    if losses:
        for place, key in enumerate(losses):
            colour = INK if place == 0 else TRACK_COLOURS[place % len(TRACK_COLOURS)]
            _line(axes[0], history, key, colour=colour, label=key.removeprefix("train/loss/"))
        axes[0].set_ylim(bottom=0)
        _title(axes[0], f"loss: {', '.join(key.removeprefix('train/loss/') for key in losses)}")
        if len(losses) > 1:
            axes[0].legend(frameon=False, fontsize=SMALL, labelcolor=INK)
    if has_active:
        _line(axes[-1], history, "train/active", colour=INK, scale=100.0)
        axes[-1].set_ylim(0, 100)
        if "train/loss/contrastive" in losses:
            _title(axes[-1], "anchors, %: those nearest to another track's part")
        else:
            _title(axes[-1], "active triplets, %: those whose loss is not 0")
    _finish(axes, history, best_epoch)
    return figure


def validation_curves(
    history: Sequence[Mapping[str, Any]], best_epoch: int | None = None
) -> Figure | None:
    """Draw validation scores by epoch: a line a condition, a thick one for their mean.

    They are P1 and P2, or the triplets of concepts, whose loss has a panel of its own.
    """
    keys = _keys(history)
    drawn = [p for p in VALIDATED if any(key.startswith(f"val/{p}/") for key in keys)]
    has_loss = "val/loss" in keys
    if not drawn and not has_loss:
        return None
    figure, axes = _stacked(len(drawn) + has_loss)
    for ax, protocol in zip(axes, drawn, strict=False):
        _validation_panel(ax, history, protocol)
    if has_loss:
        _line(axes[-1], history, "val/loss", colour=INK)
        axes[-1].set_ylim(bottom=0)
        _title(axes[-1], "validation loss")
    _finish(axes, history, best_epoch)
    return figure


def _validation_panel(ax: Axes, history: Sequence[Mapping[str, Any]], protocol: str) -> None:
    keys = _keys(history)
    ends: dict[str, float] = {}
    for condition in (*INSTRUMENTS, *CONCEPTS, "mean"):
        key = f"val/{protocol}/{condition}"
        if key in keys:
            width = 2.4 if condition == "mean" else 1.3
            colour = condition_colour(condition)
            end = _line(ax, history, key, colour=colour, scale=100.0, width=width)
            if not math.isnan(end):
                ends[condition] = end
    ax.set_ylim(0, 100)
    _label_ends(ax, ends)
    _title(ax, f"validation {VALIDATED[protocol]}, % right")


def tsne_panels(points: Mapping[str, Points]) -> dict[str, Figure]:
    """Draw each subspace's segments coloured by track; subspaces without points are left out."""
    return {name: _tsne_panel(found) for name, found in points.items() if len(found.positions)}


def _tsne_panel(points: Points) -> Figure:
    figure = Figure(figsize=(2.4, 2.4), layout="constrained")
    ax = figure.add_subplot()
    for place in np.unique(points.track_places):
        here = points.positions[points.track_places == place]
        colour, marker = track_mark(int(place))
        ax.scatter(
            here[:, 0],
            here[:, 1],
            s=13,
            marker=marker,
            color=colour,
            alpha=0.85,
            linewidths=0,
        )
    ax.set(xticks=[], yticks=[])
    ax.margins(0.06)
    ax.spines[:].set_color(RULE)
    return figure


def _stacked(num_panels: int) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(WIDTH_IN, 0.5 + 1.95 * num_panels), layout="constrained")
    axes = figure.subplots(num_panels, 1, sharex=True, squeeze=False)[:, 0].tolist()
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
        ax.spines[["left", "bottom"]].set_color(RULE)
        ax.grid(axis="y", color=RULE, linewidth=0.6)
        ax.set_axisbelow(True)
        ax.tick_params(length=0, labelsize=SMALL, labelcolor=MUTED)
    return figure, axes


def _title(ax: Axes, text: str) -> None:
    ax.set_title(text, loc="left", pad=8, fontsize=MEDIUM, color=INK)


def _keys(history: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names that hold a number in some epoch, in the order in which they first do."""
    return list(
        dict.fromkeys(key for row in history for key in row if not math.isnan(_number(row, key)))
    )


def _number(row: Mapping[str, Any], key: str) -> float:
    value = row.get(key)
    return float(value) if is_number(value) else math.nan


def _line(
    ax: Axes,
    history: Sequence[Mapping[str, Any]],
    key: str,
    *,
    colour: str,
    scale: float = 1.0,
    width: float = 1.6,
    label: str = "",
) -> float:
    """Draw `key` over the epochs that have it; returns its last value."""
    rows = [row for row in history if not math.isnan(_number(row, key))]
    epochs = [_number(row, "epoch") for row in rows]
    values = [scale * _number(row, key) for row in rows]
    marker = "o" if len(rows) <= 30 else ""
    ax.plot(epochs, values, color=colour, lw=width, marker=marker, ms=1.4 + width, label=label)
    return values[-1] if values else math.nan


def _label_ends(ax: Axes, ends: Mapping[str, float]) -> None:
    """Name each line at its right end, pushed apart where lines end close together."""
    names = sorted(ends, key=lambda name: ends[name])
    heights = _spread(np.array([ends[name] for name in names]), gap=11.5, highest=100.0)
    for name, height in zip(names, heights, strict=True):
        ax.annotate(
            name,
            (1, height),
            xycoords=("axes fraction", "data"),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            color=_letters(condition_colour(name)),
            fontsize=SMALL,
            weight="bold" if name == "mean" else "normal",
        )


def _letters(colour: str) -> tuple[float, ...]:
    """Darken a colour until thin letters in it can be read on white."""
    return tuple(0.7 * channel for channel in to_rgb(colour))


def _spread(
    heights: Float[np.ndarray, " n"], *, gap: float, highest: float
) -> Float[np.ndarray, " n"]:
    """Rising `heights`, moved as little as a sweep up and one down need to be `gap` apart."""
    spread = heights.astype(float)
    for place in range(1, len(spread)):
        spread[place] = max(spread[place], spread[place - 1] + gap)
    if len(spread):
        spread[-1] = min(spread[-1], highest)
    for place in range(len(spread) - 2, -1, -1):
        spread[place] = min(spread[place], spread[place + 1] - gap)
    return spread


def _finish(
    axes: Sequence[Axes], history: Sequence[Mapping[str, Any]], best_epoch: int | None
) -> None:
    """Mark the best epoch and give all panels whole epochs on one axis."""
    epochs = [e for e in (_number(row, "epoch") for row in history) if not math.isnan(e)]
    for ax in axes:
        if best_epoch is not None:
            ax.axvline(best_epoch, color=MUTED, lw=1, ls=(0, (3, 2)), zorder=1)
        if epochs:
            ax.set_xlim(min(epochs) - 0.5, max(epochs) + 0.5)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    label = "epoch" if best_epoch is None else f"epoch (dashed: {best_epoch}, kept)"
    axes[-1].set_xlabel(label, fontsize=SMALL, color=MUTED)
