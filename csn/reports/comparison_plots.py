"""Figures of a comparison: every system's mean as a bar, with a point for each seed.

Conventions
-----------
Those of `csn.reports.plots`: shares in, per cent drawn, no wider than a phone's screen.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from csn.conditions import INSTRUMENTS
from csn.evaluation.comparison import ScoredSystem
from csn.records import OURS
from csn.reports.plots import INK, MEDIUM, MUTED, RULE, SMALL, WIDTH_IN
from csn.reports.score_tables import PROTOCOLS

OURS_COLOUR = "#5f8fb8"
BASELINE_COLOUR = "#c3c9d1"


def mean_bars(protocol: str, duration_s: float, systems: Sequence[ScoredSystem]) -> Figure | None:
    """Draw the mean over the instruments of each system; None where none has one."""
    scored = [
        (system, found) for system in systems if (found := system.mean(protocol, duration_s))
    ]
    if not scored:
        return None
    figure = Figure(figsize=(WIDTH_IN, 0.9 + 0.52 * len(scored)), layout="constrained")
    ax = figure.add_subplot()
    for place, (system, (spread, num)) in enumerate(scored):
        colour = OURS_COLOUR if system.system == OURS else BASELINE_COLOUR
        percent = 100 * spread.mean
        ax.barh(place, percent, height=0.36, color=colour, zorder=2)
        points = 100 * np.array(list(spread.by_seed.values()))
        ax.plot(
            points,
            np.full(len(points), place),
            ls="",
            marker="o",
            ms=4,
            color=INK,
            zorder=4,
            clip_on=False,
        )
        few = "" if num == len(INSTRUMENTS) else f" ({num} instruments)"
        ax.text(0, place - 0.27, f"{system.label}{few}", va="bottom", fontsize=SMALL, color=INK)
        ax.text(
            100,
            place - 0.27,
            f"{percent:.1f}",
            va="bottom",
            ha="right",
            fontsize=MEDIUM,
            color=INK,
        )
    chances = [
        chance
        for system, _ in scored
        for asked, chance in system.chances.items()
        if (asked.protocol, asked.duration_s) == (protocol, duration_s)
        and asked.condition == asked.focus in INSTRUMENTS
    ]
    if chances:
        places = np.arange(len(scored))  # beside each bar alone, clear of the names
        chance = np.full(len(scored), 100 * float(np.mean(chances)))
        dashes = (0, (2, 1.4))
        ax.vlines(chance, places - 0.19, places + 0.25, color=INK, lw=1.2, ls=dashes, zorder=3)
    ax.set(xlim=(0, 100), ylim=(len(scored) - 0.6, -0.75), yticks=[])
    ax.spines[["top", "right", "bottom"]].set_visible(False)
    ax.spines["left"].set_color(RULE)
    ax.grid(axis="x", color=RULE, linewidth=0.6)
    ax.set_axisbelow(True)
    ax.tick_params(length=0, labelsize=SMALL, labelcolor=MUTED)
    title = f"{PROTOCOLS[protocol]}, {duration_s:g} s segments, % right"
    ax.set_title(title, loc="left", pad=8, fontsize=MEDIUM, color=INK)
    return figure
