"""The figure of a night: what its workers' time went into.

Conventions
-----------
Those of `csn.reports.plots`.
"""

from collections.abc import Mapping

from matplotlib.figure import Figure

from csn.reports.plots import COLOURS, INK, RULE, SMALL, WIDTH_IN

PALETTE = (COLOURS["bass"], COLOURS["piano"], COLOURS["guitar"], RULE)


def share_bar(shares: Mapping[str, float]) -> Figure:
    """Draw shares of a whole, 0..1 each, as parts of one bar with their names below."""
    figure = Figure(figsize=(2 * WIDTH_IN, 1.1), layout="constrained")
    ax = figure.add_subplot()
    left = 0.0
    for colour, (name, share) in zip(PALETTE, shares.items(), strict=False):
        ax.barh(0, share, left=left, height=0.5, color=colour, label=f"{name} {share:.0%}")
        left += share
    ax.set(xlim=(0, max(left, 1e-9)), ylim=(-0.3, 0.3))
    ax.set_axis_off()
    figure.legend(loc="outside lower left", ncols=4, frameon=False, fontsize=SMALL, labelcolor=INK)
    return figure
