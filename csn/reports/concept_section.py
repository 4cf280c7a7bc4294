"""What a report shows of a network of concepts: triplets, and each subspace's share in them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from csn.reports.data import ReportData
from csn.reports.figures import ShownFigure
from csn.reports.headlines import Headline, triplet_headlines
from csn.reports.kiviat import STYLES, kiviat_figure
from csn.reports.text_tables import ComparedTable
from csn.reports.triplet_tables import (
    TripletSystem,
    best_table,
    concept_table,
    in_order,
    network_table,
    singles_table,
    systems_of,
)


@dataclass(frozen=True, slots=True)
class ConceptSection:
    """All that the page shows of triplets; empty where none were asked."""

    headlines: Sequence[Headline]
    human: Sequence[ComparedTable]
    """Tables of human triplets."""
    kiviat: ShownFigure | None
    by_concept: ComparedTable | None


def concept_section(data: ReportData, names: dict[str, str]) -> ConceptSection:
    """Arrange the scores of triplets; `names` are those of the systems in words."""
    systems = systems_of(data.scores, data.config)
    conditions = data.config.network.conditions
    named = [replace(one, label=names.get(one.label, one.label)) for one in systems]
    human = [network_table(named), best_table(named), singles_table(named)]
    if not any(one.human for one in systems):
        human = []
    return ConceptSection(
        headlines=triplet_headlines(systems, conditions),
        human=human,
        kiviat=triplet_kiviat(named),
        by_concept=concept_table(named) if any(one.by_concept for one in systems) else None,
    )


def triplet_kiviat(systems: Sequence[TripletSystem]) -> ShownFigure | None:
    """Kiviat diagram of the first systems with scores by condition; none with too few spokes."""
    shares = {
        one.label: {subset[0]: of.rate for subset, of in one.human.items() if len(subset) == 1}
        for one in systems
        if one.human
    }
    first = dict(list(shares.items())[: len(STYLES)])
    spokes = in_order(name for of in first.values() for name in of)
    return kiviat_figure(first, spokes) if len(spokes) > 2 else None
