"""The large numbers at the head of a report, each held against what it must beat.

Conventions
-----------
Shares in 0..1. A headline that was not scored has no number, and the page says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from csn.evaluation.triplet_scores import CHANCE
from csn.records import OURS
from csn.reports.score_tables import PROTOCOLS, ScoreTable
from csn.reports.triplet_tables import TripletSystem, mean_rate

QUESTIONS = {
    "music_id": "Which track is this segment from?",
    "pseudo_mix_id": "Whose part is it, when all else in the mix is another track's?",
}


@dataclass(frozen=True, slots=True)
class Headline:
    """One number, with what it is to be held against."""

    title: str
    question: str
    mean: float | None = None
    untrained: float | None = None
    chance: float | None = None
    note: str = ""
    """Over what the number is."""


def score_headlines(tables: Sequence[ScoreTable], num_conditions: int) -> list[Headline]:
    """P1 and P2: means over the instruments."""
    return [_headline(protocol, tables, num_conditions) for protocol in PROTOCOLS]


def _headline(protocol: str, tables: Sequence[ScoreTable], num_conditions: int) -> Headline:
    title, question = PROTOCOLS[protocol], QUESTIONS[protocol]
    means: dict[float, float] = {}
    found: ScoreTable | None = None
    for table in tables:
        row = table.row(OURS)
        if table.protocol == protocol and row is not None and row.mean is not None:
            means[table.duration_s] = row.mean
            found = table
    if found is None:
        return Headline(title, question)
    own, untrained = found.row(OURS), found.row("untrained")
    num_in_mean = own.num_in_mean if own else 0
    others = "".join(
        f"; with {seconds:g} s: {100 * mean:.1f} %"
        for seconds, mean in means.items()
        if seconds != found.duration_s
    )
    return Headline(
        title,
        question,
        mean=own.mean if own else None,
        untrained=untrained.mean if untrained else None,
        chance=found.mean_chance,
        note=f"Mean over {num_in_mean} of {num_conditions} subspaces, {found.duration_s:g} s "
        f"segments{others}.",
    )


def triplet_headlines(systems: Sequence[TripletSystem], concepts: Sequence[str]) -> list[Headline]:
    """Human triplets by the whole embedding, and each concept's own by its subspace."""
    by_label = {one.label: one for one in systems}
    ours, untrained = by_label.get(OURS), by_label.get("untrained")
    human = Headline("Human triplets", "Which of two tracks do people find more like a third?")
    if ours and (whole := ours.whole):
        left_out = f"; {whole.num_missing:,} more lack a track" if whole.num_missing else ""
        human = Headline(
            human.title,
            human.question,
            mean=whole.rate,
            untrained=untrained.whole.rate if untrained and untrained.whole else None,
            chance=CHANCE,
            note=f"By the whole embedding, over {whole.num_triplets:,} triplets{left_out}.",
        )
    rule = Headline("Triplets of concepts", "Which of two tracks shares a concept with a third?")
    found = [ours.own(name) for name in concepts] if ours else []
    if any(found):
        others = [untrained.own(name) for name in concepts] if untrained else []
        num = sum(rated is not None for rated in found)
        rule = Headline(
            rule.title,
            rule.question,
            mean=mean_rate(found),
            untrained=mean_rate(others),
            chance=CHANCE,
            note=f"Mean over {num} of {len(concepts)} concepts, each in its own subspace.",
        )
    return [human, rule]
