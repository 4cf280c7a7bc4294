"""The tables of [R22] with ours in them: triplets ordered rightly, and by which conditions.

Conventions
-----------
Per cent of the triplets that could be asked about: ``83.8 ± 3.5`` is the rate and half the width
of its 95 % interval; over several seeds both are means, and [R22] Table 1 has the standard
deviation over them beside. Of the printed rows the interval is ours, from the printed share of
426. Cells are text. Chance is 50 %.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from csn.conditions import ALL, CONCEPTS
from csn.config import ExperimentConfig
from csn.evaluation.comparison import (
    Asked,
    ScoredSystem,
    Spread,
    compared_table,
    scored_systems,
)
from csn.evaluation.intervals import correct_rate, rate_interval
from csn.evaluation.triplet_prediction import Subset, best_subsets
from csn.evaluation.triplet_scores import (
    CONCEPT_TRIPLETS,
    HUMAN_TRIPLETS,
    TRIPLET_PROTOCOLS,
    subset_named,
)
from csn.records import OURS
from csn.reports.published_r22 import (
    BEST_SUBSETS,
    NETWORKS,
    NUM_TRIPLETS,
    SINGLES,
    in_words,
)
from csn.reports.text_tables import MISSING, ComparedRow, ComparedTable

PLUS_MINUS = "\N{PLUS-MINUS SIGN}"
UNIT = f"% ordered rightly {PLUS_MINUS} 95 % interval"
NOTICE = (
    "Printed in [R22], on previews of the Million Song Dataset and other triplets: "
    "not comparable one to one; the intervals are ours"
)


class Rated(NamedTuple):
    """Share of some triplets that is ordered rightly, from each seed."""

    spread: Spread
    half_width: float
    """Half of the 95 % interval's, on average."""
    num_triplets: int
    num_missing: int

    @property
    def rate(self) -> float:
        """Mean over the seeds."""
        return self.spread.mean


@dataclass(frozen=True, slots=True)
class TripletSystem:
    """A system of ours: what it is, and how it orders triplets."""

    label: str
    is_ours: bool
    """Whether it was trained, and is no baseline."""
    conditions: Subset
    """Those that it has subspaces for; of a system without subspaces none."""
    human: Mapping[Subset, Rated]
    """Human triplets by every subset of the conditions, in the order of `subset_scores`."""
    whole: Rated | None
    """Human triplets by the whole embedding."""
    by_concept: Mapping[tuple[str, str], Rated]
    """Triplets of a concept (second) by a condition's subspace, or the whole embedding (first)."""
    num_inputs: int | None = None
    embedding_dim: int | None = None

    @property
    def concepts(self) -> Subset:
        """Concepts of which there are triplets."""
        return in_order(focus for _, focus in self.by_concept)

    def own(self, concept: str) -> Rated | None:
        """Triplets of `concept` in its own subspace; by the whole vector where it has none."""
        return self.by_concept.get((concept if self.conditions else ALL, concept))


def in_order(concepts: Iterable[str]) -> Subset:
    """Put each of `concepts` once, in the order of [R22]."""
    found = set(concepts)
    return tuple(name for name in CONCEPTS if name in found)


def triplet_systems(
    systems: Sequence[ScoredSystem], configs: Mapping[str, ExperimentConfig] | None = None
) -> list[TripletSystem]:
    """Read the scores of triplets in `systems`; those without any are left out.

    Parameters
    ----------
    configs
        By recipe, to say what the networks are.
    """
    return [
        _triplet_system(system, (configs or {}).get(system.recipe))
        for system in systems
        if any(asked.protocol in TRIPLET_PROTOCOLS for asked in system.spreads)
    ]


def systems_of(scores: pa.Table, config: ExperimentConfig | None = None) -> list[TripletSystem]:
    """Read the scores of triplets of one experiment (`SCORE_SCHEMA`)."""
    configs = {OURS: config} if config else None
    return triplet_systems(scored_systems(compared_table([(OURS, scores)])), configs)


def _triplet_system(system: ScoredSystem, config: ExperimentConfig | None) -> TripletSystem:
    human: dict[str, Rated] = {}
    by_concept: dict[tuple[str, str], Rated] = {}
    for asked, spread in system.spreads.items():
        if asked.protocol == HUMAN_TRIPLETS:
            human[asked.condition] = _rated(system, asked, spread)
        elif asked.protocol == CONCEPT_TRIPLETS:
            by_concept[asked.condition, asked.focus] = _rated(system, asked, spread)
    conditions = in_order([*human, *(condition for condition, _ in by_concept)])
    has_subspaces = bool(conditions)
    network = config.network if config and has_subspaces else None
    return TripletSystem(
        label=system.label,
        is_ours=system.system == OURS,
        conditions=conditions,
        human={subset_named(name, conditions): of for name, of in human.items() if conditions},
        whole=human.get(ALL),
        by_concept=by_concept,
        num_inputs=len(config.frontend.branches) if config and has_subspaces else None,
        embedding_dim=network.layout.embedding_dim if network else None,
    )


def _rated(system: ScoredSystem, asked: Asked, spread: Spread) -> Rated:
    counts = system.counts[asked]
    half_width = counts.half_width
    if asked.protocol == HUMAN_TRIPLETS:  # the stored one ends at 0 and at 1
        half_width = rate_interval(spread.mean, counts.num_queries).half_width
    return Rated(spread, half_width, counts.num_queries, counts.num_missing)


def triplet_tables(systems: Sequence[TripletSystem]) -> list[ComparedTable]:
    """Every table that `systems` can fill: those of [R22], then of triplets of concepts."""
    tables = [
        network_table(systems),
        best_table(systems),
        singles_table(systems),
        concept_table(systems),
    ]
    return [table for table in tables if any(row.kind == "ours" for row in table.rows)]


def network_table(systems: Sequence[TripletSystem]) -> ComparedTable:
    """[R22] Table 1: networks by conditions, inputs and size, each by its whole embedding."""
    scored = [(one, one.whole) for one in systems if one.whole is not None]
    over_seeds = any(whole.spread.deviation is not None for _, whole in scored)
    rows = []
    for one, whole in scored:
        inputs = MISSING if one.num_inputs is None else "yes" if one.num_inputs > 1 else "no"
        cells = [
            str(len(one.conditions) or MISSING),
            inputs,
            str(one.embedding_dim or MISSING),
            *_counted(whole),
        ]
        deviation = whole.spread.deviation
        cells += [MISSING if deviation is None else f"{100 * deviation:.1f}"] * over_seeds
        rows.append(ComparedRow(one.label, tuple(cells)))
    for one in NETWORKS:
        cells = [
            str(one.num_conditions or MISSING),
            "yes" if one.is_multi_input else "no",
            str(one.embedding_dim),
            *_printed(one.score),
            *[MISSING] * over_seeds,
        ]
        rows.append(ComparedRow(f"[R22] {one.label}", tuple(cells), "printed"))
    columns = ["conditions", "several inputs", "size", "right", "triplets", "left out"]
    columns += ["sd of seeds"] * over_seeds
    return ComparedTable(
        "[R22] Table 1: human triplets by network", UNIT, tuple(columns), tuple(rows), NOTICE
    )


def best_table(systems: Sequence[TripletSystem]) -> ComparedTable:
    """[R22] Table 2, upper half: the best six subsets of each system that was trained."""
    rows = []
    for one in (system for system in systems if system.is_ours):
        best = best_subsets({subset: rated.rate for subset, rated in one.human.items()})
        rows += [
            ComparedRow(
                f"{one.label}: {in_words(subset, one.conditions)}", _counted(one.human[subset])
            )
            for subset in best
        ]
    for subset, share in BEST_SUBSETS.items():
        rows.append(ComparedRow(f"[R22]: {in_words(subset)}", _printed(share), "printed"))
    title = "[R22] Table 2: human triplets by the best subsets of conditions"
    return ComparedTable(title, UNIT, ("right", "triplets", "left out"), tuple(rows), NOTICE)


def singles_table(systems: Sequence[TripletSystem]) -> ComparedTable:
    """[R22] Table 2, lower half: each condition alone, and all of them."""
    names = in_order(name for one in systems for name in one.conditions)
    rows = [
        ComparedRow(
            one.label, (*(_cell(one.human.get((name,))) for name in names), _cell(one.whole))
        )
        for one in systems
        if one.whole is not None
    ]
    shares = [SINGLES[name,] for name in names] + [BEST_SUBSETS[CONCEPTS]]
    printed = tuple(_printed(share)[0] for share in shares)
    rows.append(ComparedRow("[R22] six conditions, several inputs", printed, "printed"))
    title = "[R22] Table 2: human triplets by each condition alone"
    return ComparedTable(title, UNIT, (*names, ALL), tuple(rows), NOTICE)


def concept_table(systems: Sequence[TripletSystem]) -> ComparedTable:
    """Triplets of each concept in its own subspace, and by the whole embedding."""
    names = in_order(name for one in systems for name in one.concepts)
    rows = []
    for one in systems:
        asked = {"": [one.own(name) for name in names]}
        if one.conditions:
            asked = {", own subspace": asked[""], ", whole": []}
            asked[", whole"] = [one.by_concept.get((ALL, name)) for name in names]
        for what, found in asked.items():
            if any(found):
                cells = (*map(_cell, found), _mean(found))
                rows.append(ComparedRow(f"{one.label}{what}", cells))
    title = "Triplets of each concept, by the rules of training"
    return ComparedTable(title, UNIT, (*names, "mean"), tuple(rows))


def mean_rate(found: Sequence[Rated | None]) -> float | None:
    """Mean rate of those that are there; none without any."""
    rates = [rated.rate for rated in found if rated is not None]
    return float(np.mean(rates)) if rates else None


def _mean(found: Sequence[Rated | None]) -> str:
    """Mean; over fewer than all it says over how many."""
    mean, num = mean_rate(found), sum(rated is not None for rated in found)
    if mean is None:
        return MISSING
    return f"{100 * mean:.1f}" + ("" if num == len(found) else f" ({num})")


def _cell(rated: Rated | None) -> str:
    return MISSING if rated is None else _percent(rated.rate, rated.half_width)


def _counted(rated: Rated) -> tuple[str, str, str]:
    return _cell(rated), str(rated.num_triplets), str(rated.num_missing)


def _printed(share: float) -> tuple[str, str, str]:
    """Cells of a printed share with its own digits; it is that of a whole number of triplets."""
    interval = correct_rate(round(share * NUM_TRIPLETS), NUM_TRIPLETS)
    text = f"{100 * share:.2f} {PLUS_MINUS} {100 * interval.half_width:.1f}"
    return text, str(NUM_TRIPLETS), MISSING


def _percent(rate: float, half_width: float) -> str:
    return f"{100 * rate:.1f} {PLUS_MINUS} {100 * half_width:.1f}"
