"""The Kiviat (radar) diagram of [R22] Fig. 2: how well each condition alone orders human triplets.

Conventions
-----------
Those of `csn.reports.plots`: shares in, per cent drawn, no wider than a phone's screen. Spokes are
conditions, clockwise from the top. The dashed ring is chance, 50 %. A system without a condition
has a gap at its spoke.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.projections.polar import PolarAxes

from csn.errors import ProtocolError
from csn.reports.figures import ShownFigure
from csn.reports.inline import figure_uri
from csn.reports.plots import INK, MEDIUM, MUTED, RULE, SMALL, WIDTH_IN

CHANCE_PERCENT = 50
STYLES: tuple[tuple[str, str, str], ...] = (
    ("#1f4e79", "o", "-"),
    ("#c4532f", "s", "--"),
    ("#1f8f84", "^", "-."),
    ("#8a5fb0", "D", ":"),
)
"""Colour, marker and dashes of each system: apart by any one of the three."""


def kiviat(systems: Mapping[str, Mapping[str, float]], conditions: Sequence[str]) -> Figure | None:
    """Draw a closed line for each system over a spoke for each condition.

    Parameters
    ----------
    systems
        By a system's name, its share of right answers by condition; missing ones leave a gap.
    conditions
        Spokes in their order.

    Returns
    -------
    Figure or None
        None where no system has a score.

    Raises
    ------
    ProtocolError
        If there are fewer than three conditions, or more systems than can be told apart.
    """
    if len(conditions) < 3 or len(systems) > len(STYLES):
        raise ProtocolError(
            f"{len(conditions)} conditions and {len(systems)} systems found, at least 3 and at "
            f"most {len(STYLES)} expected in a Kiviat diagram (draw bars, or choose systems)"
        )
    percent = {name: _percent(shares, conditions) for name, shares in systems.items()}
    found = np.array(list(percent.values()))
    if not np.isfinite(found).any():
        return None
    num = len(conditions)
    height_in = WIDTH_IN - 0.5 + 0.22 * len(systems)
    figure = Figure(figsize=(WIDTH_IN, height_in), layout="constrained")
    ax = figure.add_subplot(projection="polar")
    assert isinstance(ax, PolarAxes)
    angles = 2 * np.pi * np.arange(num + 1) / num
    for (name, values), (colour, marker, dashes) in zip(percent.items(), STYLES, strict=False):
        closed = np.append(values, values[0])
        ax.plot(angles, closed, color=colour, marker=marker, ls=dashes, lw=1.8, ms=5, label=name)
    _spokes(ax, angles[:-1], conditions, found[np.isfinite(found)])
    figure.legend(loc="outside lower center", frameon=False, fontsize=SMALL, labelcolor=INK)
    return figure


def kiviat_figure(
    systems: Mapping[str, Mapping[str, float]], conditions: Sequence[str]
) -> ShownFigure | None:
    """Diagram of `kiviat` for the page, with its numbers in words."""
    figure = kiviat(systems, conditions)
    if figure is None:
        return None
    phrases = []
    for name, shares in systems.items():
        numbers = zip(conditions, _percent(shares, conditions), strict=True)
        said = [f"{c} {'none' if math.isnan(v) else f'{v:.1f}'}" for c, v in numbers]
        phrases.append(f"{name}: {', '.join(said)}")
    alt = f"Kiviat diagram, per cent of human triplets by condition. {'; '.join(phrases)}."
    caption = (
        "Human triplets ordered rightly by each condition alone, % ([R22] Fig. 2). "
        f"The dashed ring is chance, {CHANCE_PERCENT} %."
    )
    return ShownFigure(figure_uri(figure), alt, caption)


def _percent(shares: Mapping[str, float], conditions: Sequence[str]) -> np.ndarray:
    return np.array([100 * shares.get(name, math.nan) for name in conditions])


def _spokes(
    ax: PolarAxes, angles: np.ndarray, conditions: Sequence[str], percent: np.ndarray
) -> None:
    """Lay out spokes, rings and their names; the centre lies below chance and every score."""
    ax.set_theta_zero_location("N")
    ax.set_theta_direction(-1)
    # Scores lie around 70 %: between 0 and 100 all polygons would look alike.
    centre = min(40, 10 * (math.ceil(percent.min() / 10) - 1))
    rim = max(80, min(100, 10 * (math.floor(percent.max() / 10) + 1)))
    rings = list(range(centre + 10, rim + 1, 10))
    ax.set_ylim(centre, rim)
    ax.set_yticks(rings, [str(ring) for ring in rings])
    ax.set_rlabel_position(180 / len(conditions))
    ax.set_xticks(angles, list(conditions))
    for label, angle in zip(ax.get_xticklabels(), angles, strict=True):
        aside = round(math.sin(angle), 3)  # names begin, or end, outside the rim
        label.set_horizontalalignment("center" if aside == 0 else "left" if aside > 0 else "right")
    ax.tick_params(axis="x", labelsize=MEDIUM, labelcolor=INK, pad=9)
    ax.tick_params(axis="y", labelsize=SMALL - 1, labelcolor=MUTED)
    ax.grid(color=RULE, linewidth=0.6)
    ax.spines["polar"].set_color(RULE)
    ring = np.linspace(0, 2 * np.pi, 181)
    ax.plot(ring, np.full(181, CHANCE_PERCENT), color=INK, lw=1.2, ls=(0, (2, 1.4)), zorder=1.5)
