"""What no paper prints, with several systems side by side: ranks, presence and gating.

Conventions
-----------
Those of `csn.reports.comparison_tables`. A score without gating is shown for those instruments
that have a gated one, so that the means below each other are over the same instruments.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from csn.evaluation.comparison import Asked, ScoredSystem, Spread, scored_systems
from csn.reports.comparison_tables import accuracy_table
from csn.reports.score_tables import PRESENCE, PROTOCOLS
from csn.reports.text_tables import ComparedTable

RANKS = {"r_precision": "R-precision", "map_at_r": "MAP@R"}
"""How all neighbours of a segment are ranked, by column of the scores."""


def further_tables(scores: pa.Table) -> list[ComparedTable]:
    """Every such table that `scores` (`COMPARED_SCHEMA`) can fill."""
    systems = scored_systems(scores)
    asked = [
        (f"{PROTOCOLS['music_id']}, {said}", "music_id", scored_systems(_ranked(scores, field)))
        for field, said in RANKS.items()
    ]
    asked.append(("Presence, by the length of the subspace", PRESENCE, systems))
    asked += [
        (f"{said}, without and with gating by presence", protocol, [*_gated(protocol, systems)])
        for protocol, said in PROTOCOLS.items()
    ]
    return [
        accuracy_table(title, protocol, seconds, some)
        for title, protocol, some in asked
        for seconds in _durations_s(protocol, some)
    ]


def _durations_s(protocol: str, systems: Sequence[ScoredSystem]) -> list[float]:
    found = {seconds for system in systems for seconds in system.durations_s}
    return [s for s in sorted(found) if any(system.mean(protocol, s) for system in systems)]


def _ranked(scores: pa.Table, field: str) -> pa.Table:
    """Scores of P1 with what `field` says in the place of the accuracy, without a chance."""
    scores = scores.filter(pc.equal(scores["protocol"], "music_id"))
    for name, values in {"accuracy": scores[field], "chance": pa.nulls(len(scores))}.items():
        place = scores.schema.get_field_index(name)
        scores = scores.set_column(place, scores.schema.field(place), values.cast(pa.float64()))
    return scores


def _gated(protocol: str, systems: Sequence[ScoredSystem]) -> Iterator[ScoredSystem]:
    """Each system that has gated scores twice: without gating, and with it."""
    for system in systems:
        gated: dict[Asked, Spread] = {
            replace(asked, protocol=protocol): spread
            for asked, spread in system.spreads.items()
            if asked.protocol == f"{protocol}_gated"
        }
        if gated:
            plain = {asked: system.spreads[asked] for asked in gated if asked in system.spreads}
            yield replace(system, spreads=plain)
            yield replace(system, label=f"{system.label}, gated", spreads=gated)
