"""Numbers printed in the papers, to stand beside ours.

Conventions
-----------
Accuracies in per cent, their variances over five runs of shares, correlations and reciprocal ranks
as they are: all as printed, and shown with as many decimals. They were measured on Slakh2100 with
the papers' own networks and splits, so they say what to expect, not who is better.

Source
------
[H22] Tables 1 to 3 and [H24] Tables 1 and 2. The separated bass and guitar of [H22] are not
legible in the text that we have, and [H24] has no separator for guitar and others; they are left
out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal

from csn.conditions import INSTRUMENTS, MIX

CITATIONS: dict[str, str] = {
    "H22": "Y. Hashizume, L. Li, T. Toda: Music similarity learning focusing on individual "
    "instrumental sounds.",
    "H24": "Y. Hashizume, L. Li, A. Miyashita, T. Toda: Learning multidimensional disentangled "
    "representations of instrumental sounds for musical similarity assessment. arXiv:2404.06682.",
}
"""What each source key stands for."""
NOTICE = "Printed in the papers, on another corpus (Slakh2100): not comparable one to one"
DERIVED = "means in [ ] are ours"
"""What to bear in mind of printed rows, and of the means in them that no paper prints."""


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """One printed row: a system's accuracy in per cent, by condition; `MIX` is a network's own."""

    source: str
    table: str
    label: str
    protocol: str
    duration_s: float
    percent: Mapping[str, float]
    variance: Mapping[str, float] = field(default_factory=dict)
    """Over the runs, of shares; only [H22] prints them."""
    decimals: int = 2
    """With which the paper prints the accuracies."""
    printed_mean: float | None = None
    """Mean over the five instruments, where the paper prints one."""

    @property
    def mean(self) -> float | None:
        """Mean over the five instruments, in per cent; none where one of them is not printed."""
        if any(instrument not in self.percent for instrument in INSTRUMENTS):
            return None
        return sum(self.percent[instrument] for instrument in INSTRUMENTS) / len(INSTRUMENTS)

    def text(self, condition: str) -> str:
        """Accuracy of `condition` with the paper's own digits."""
        return printed_number(self.percent.get(condition), self.decimals)

    @property
    def mean_text(self) -> str:
        """Mean as printed; in square brackets where no paper prints it, as `DERIVED` says."""
        if self.printed_mean is not None or self.mean is None:
            return printed_number(self.printed_mean, self.decimals)
        return f"[{printed_number(self.mean, self.decimals)}]"


def _five(*percent: float) -> dict[str, float]:
    return dict(zip(INSTRUMENTS, percent, strict=True))


PUBLISHED: tuple[PublishedRow, ...] = (
    PublishedRow(
        "H22",
        "Table 1",
        "individual networks",
        "music_id",
        3.0,
        {"drums": 95.13, "bass": 87.07, "piano": 94.98, "guitar": 91.15, MIX: 93.24},
        {"drums": 2.3e-5, "bass": 4.7e-4, "piano": 1.6e-5, "guitar": 6.6e-5, MIX: 2.8e-4},
    ),
    PublishedRow(
        "H22",
        "Table 1",
        "the same, separated",
        "music_id",
        3.0,
        {"drums": 79.35, "piano": 70.12},
        {"drums": 1.1e-3, "piano": 6.2e-5},
    ),
    PublishedRow(
        "H24", "Table 1", "CSN", "music_id", 3.0, _five(82.89, 61.94, 67.40, 70.15, 74.08)
    ),
    PublishedRow(
        "H24",
        "Table 1",
        "separated sounds",
        "music_id",
        3.0,
        {"drums": 87.90, "bass": 51.46, "piano": 47.00},
    ),
    PublishedRow(
        "H24", "Table 1", "CSN", "music_id", 10.0, _five(89.69, 84.45, 85.70, 86.26, 84.86)
    ),
    PublishedRow(
        "H24",
        "Table 1",
        "separated sounds",
        "music_id",
        10.0,
        {"drums": 88.91, "bass": 64.87, "piano": 50.34},
    ),
    PublishedRow(
        "H24",
        "Table 2",
        "basic triplets",
        "pseudo_mix_id",
        10.0,
        _five(73.1, 28.9, 26.1, 35.7, 67.2),
        decimals=1,
    ),
    PublishedRow(
        "H24",
        "Table 2",
        "+ auxiliary loss",
        "pseudo_mix_id",
        10.0,
        _five(76.8, 25.7, 23.5, 35.9, 72.0),
        decimals=1,
    ),
    PublishedRow(
        "H24",
        "Table 2",
        "+ interchanged triplets, 200 tracks",
        "pseudo_mix_id",
        10.0,
        _five(82.5, 31.8, 28.5, 40.4, 72.5),
        decimals=1,
    ),
    PublishedRow(
        "H24",
        "Table 2",
        "the same, 1,200 tracks",
        "pseudo_mix_id",
        10.0,
        _five(85.5, 37.1, 31.3, 44.7, 74.7),
        decimals=1,
        printed_mean=54.7,
    ),
)

CRITERIA = (MIX, "drums", "bass", "piano", "guitar")
"""Criteria of similarity that [H22] compares, in the order of its tables."""


def _upper(*rows: tuple[float, ...]) -> dict[tuple[str, str], float]:
    """Upper triangle of a table over `CRITERIA`, given row by row, by its pairs."""
    return {
        (CRITERIA[a], CRITERIA[a + 1 + step]): value
        for a, row in enumerate(rows)
        for step, value in enumerate(row)
    }


PEARSON = _upper((0.23, 0.11, 0.12, 0.32), (-0.014, 0.14, 0.026), (0.028, 0.015), (0.13,))
"""[H22] Table 2 (a): correlation of the tracks' distances under two criteria."""
SPEARMAN = _upper((-0.013, 0.12, -0.078, 0.060), (0.17, -0.014, 0.11), (0.063, 0.047), (0.15,))
"""[H22] Table 2 (b): correlation of the tracks' order of neighbours under two criteria."""
RECIPROCAL_RANKS: dict[str, tuple[float, float, float]] = {
    "drums": (0.31, 0.35, 0.22),
    "bass": (0.20, 0.25, 0.12),
    "piano": (0.28, 0.25, 0.20),
    "guitar": (0.32, 0.22, 0.14),
}
"""[H22] Table 3: mean reciprocal rank, by the mix, of an instrument's nearest three tracks."""


def published_rows(protocol: str, duration_s: float) -> list[PublishedRow]:
    """Rows that the papers print for `protocol` with segments of `duration_s` seconds."""
    return [row for row in PUBLISHED if row.protocol == protocol and row.duration_s == duration_s]


def printed_number(percent: float | None, decimals: int) -> str:
    """Write a number with so many decimals, rounded as on paper.

    Examples
    --------
    >>> printed_number(67.4, 2)
    '67.40'
    """
    if percent is None:
        return "\N{EN DASH}"
    return str(Decimal(str(percent)).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP))
