"""Numbers printed in the papers, to stand beside ours.

Conventions
-----------
Accuracies in per cent, as printed. They were measured on Slakh2100 with the papers' own networks
and splits, so they say what to expect, not who is better.

Source
------
[H22] Table 1 and [H24] Tables 1 and 2. The separated bass and guitar of [H22] are not legible
in the text that we have, and [H24] has no separator for guitar and others; they are left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from csn.conditions import INSTRUMENTS
from csn.evaluation.scores import ALL

CITATIONS: dict[str, str] = {
    "H22": "Y. Hashizume, L. Li, T. Toda: Music similarity learning focusing on individual "
    "instrumental sounds.",
    "H24": "Y. Hashizume, L. Li, A. Miyashita, T. Toda: Learning multidimensional disentangled "
    "representations of instrumental sounds for musical similarity assessment. arXiv:2404.06682.",
}
"""What each source key stands for."""


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """One printed row: a system's accuracy in per cent, by condition.

    `ALL` is [H22]'s network for the mix, the nearest that it has to a whole embedding.
    """

    source: str
    table: str
    label: str
    protocol: str
    duration_s: float
    percent: Mapping[str, float]

    @property
    def mean(self) -> float | None:
        """Mean over the five instruments, in per cent; none where one of them is not printed."""
        if any(instrument not in self.percent for instrument in INSTRUMENTS):
            return None
        return sum(self.percent[instrument] for instrument in INSTRUMENTS) / len(INSTRUMENTS)


def _five(*percent: float) -> dict[str, float]:
    return dict(zip(INSTRUMENTS, percent, strict=True))


PUBLISHED: tuple[PublishedRow, ...] = (
    PublishedRow(
        "H22",
        "Table 1",
        "one network an instrument",
        "music_id",
        3.0,
        {"drums": 95.13, "bass": 87.07, "piano": 94.98, "guitar": 91.15, ALL: 93.24},
    ),
    PublishedRow(
        "H22",
        "Table 1",
        "the same, separated sounds",
        "music_id",
        3.0,
        {"drums": 79.35, "piano": 70.12},
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
    ),
    PublishedRow(
        "H24",
        "Table 2",
        "+ auxiliary loss",
        "pseudo_mix_id",
        10.0,
        _five(76.8, 25.7, 23.5, 35.9, 72.0),
    ),
    PublishedRow(
        "H24",
        "Table 2",
        "+ interchanged triplets, 200 tracks",
        "pseudo_mix_id",
        10.0,
        _five(82.5, 31.8, 28.5, 40.4, 72.5),
    ),
    PublishedRow(
        "H24",
        "Table 2",
        "the same, 1,200 tracks",
        "pseudo_mix_id",
        10.0,
        _five(85.5, 37.1, 31.3, 44.7, 74.7),
    ),
)


def published_rows(protocol: str, duration_s: float) -> list[PublishedRow]:
    """Rows that the papers print for `protocol` with segments of `duration_s` seconds."""
    return [row for row in PUBLISHED if row.protocol == protocol and row.duration_s == duration_s]
