"""The tables of [R22] with ours in them: human triplets ordered rightly, and by which conditions.

Conventions
-----------
Per cent of the triplets that could be asked about: ``83.8 ± 3.5`` is the rate and half the width
of its 95 % interval. Of the printed rows the interval is ours, from the printed share of 426.
Cells are text, as in `csn.reports.comparison_tables`. Chance is 50 %.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from csn.evaluation.intervals import Interval, correct_rate
from csn.evaluation.triplet_prediction import SubsetScore, TripletScore, best_subsets, singles
from csn.reports.comparison_tables import MISSING, ComparedRow, ComparedTable
from csn.reports.published_r22 import (
    BEST_SUBSETS,
    NETWORKS,
    NUM_TRIPLETS,
    SINGLES,
    in_words,
)

UNIT = "% of human triplets ordered rightly \N{PLUS-MINUS SIGN} 95 % interval"
NOTICE = (
    "Printed in [R22], on previews of the Million Song Dataset and other triplets: "
    "not comparable one to one"
)


@dataclass(frozen=True, slots=True)
class TripletSystem:
    """A system of ours: what it is, and how it orders human triplets."""

    label: str
    num_conditions: int | None
    """None for what was not trained on conditions."""
    is_multi_input: bool
    embedding_dim: int
    score: TripletScore


def network_table(systems: Sequence[TripletSystem]) -> ComparedTable:
    """[R22] Table 1: networks by conditions, inputs and size, each by its whole embedding."""
    rows = [
        ComparedRow(
            one.label,
            (
                *_kind(one.num_conditions, one.is_multi_input, one.embedding_dim),
                *_counted(one.score),
            ),
        )
        for one in systems
    ]
    rows += [
        ComparedRow(
            f"[R22] {one.label}",
            (
                *_kind(one.num_conditions, one.is_multi_input, one.embedding_dim),
                _percent(correct_rate(one.num_correct, NUM_TRIPLETS)),
                str(NUM_TRIPLETS),
                MISSING,
            ),
            "printed",
        )
        for one in NETWORKS
    ]
    columns = ("conditions", "several inputs", "size", "right", "triplets", "left out")
    return ComparedTable("[R22] Table 1: networks", UNIT, columns, tuple(rows), NOTICE)


def subset_tables(scores: Sequence[SubsetScore], label: str) -> list[ComparedTable]:
    """[R22] Table 2 of one system: its best six subsets, and each condition alone.

    Parameters
    ----------
    scores : sequence of SubsetScore
        From `csn.evaluation.triplet_prediction.subset_scores`, all together last; none: no table.
    label : str
        Name of the system.
    """
    if not scores:
        return []
    halves = {
        "the best subsets of conditions": (best_subsets(scores), BEST_SUBSETS),
        "each condition alone": (singles(scores), SINGLES),
    }
    layout = scores[-1].conditions
    return [
        _subset_table(f"[R22] Table 2: {what}", label, layout, ours, printed)
        for what, (ours, printed) in halves.items()
    ]


def _subset_table(
    title: str,
    label: str,
    layout: Sequence[str],
    ours: Sequence[SubsetScore],
    printed: Mapping[tuple[str, ...], float],
) -> ComparedTable:
    rows = [
        ComparedRow(f"{label}: {in_words(one.conditions, layout)}", _counted(one.score))
        for one in ours
    ]
    for conditions, share in printed.items():
        rate = _percent(correct_rate(round(share * NUM_TRIPLETS), NUM_TRIPLETS))
        cells = (rate, str(NUM_TRIPLETS), MISSING)
        rows.append(ComparedRow(f"[R22]: {in_words(conditions)}", cells, "printed"))
    return ComparedTable(title, UNIT, ("right", "triplets", "left out"), tuple(rows), NOTICE)


def _kind(
    num_conditions: int | None, is_multi_input: bool, embedding_dim: int
) -> tuple[str, str, str]:
    """Cells that say what a network is."""
    conditions = MISSING if num_conditions is None else str(num_conditions)
    return conditions, "yes" if is_multi_input else "no", str(embedding_dim)


def _counted(score: TripletScore) -> tuple[str, str, str]:
    return _percent(score.interval), str(score.num_triplets), str(score.num_missing)


def _percent(interval: Interval) -> str:
    return f"{100 * interval.rate:.1f} \N{PLUS-MINUS SIGN} {100 * interval.half_width:.1f}"
