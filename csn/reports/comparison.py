"""A comparison of systems as one HTML file that asks for nothing else.

Conventions
-----------
Those of `csn.reports.page`. Links to the experiments' own reports are relative: they work wherever
the whole root lies.

Choices
-------
Teachers and pre-training that several experiments share are counted for each of them, as if it
were alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from csn import recipes
from csn.evaluation.comparison import (
    Comparison,
    ScoredSystem,
    mean_scores,
    missing_seeds,
    scored_systems,
)
from csn.evaluation.criteria import Distances
from csn.records import OURS
from csn.reports import plots
from csn.reports.comparison_plots import mean_bars
from csn.reports.comparison_tables import compared_tables
from csn.reports.concept_section import triplet_kiviat
from csn.reports.criteria_plots import distance_panels
from csn.reports.data import Stage
from csn.reports.figures import ShownFigure
from csn.reports.further_tables import further_tables
from csn.reports.inline import figure_uri
from csn.reports.leak_plots import leak_figure
from csn.reports.page import filled
from csn.reports.published import CITATIONS
from csn.reports.published_r22 import CITATION
from csn.reports.score_tables import PROTOCOLS, leak_matrices
from csn.reports.text_tables import ComparedTable
from csn.reports.triplet_tables import triplet_systems, triplet_tables

EARLIER = ("teachers", "pretraining")
"""Trainings that go before one; their stages are named ``<training>: <stage>``."""


@dataclass(frozen=True, slots=True)
class ComparedRun:
    """One experiment that is finished."""

    recipe: str
    seed: int
    href: str
    """Its own report, relative to the comparison's folder."""
    stages: Sequence[Stage] = ()
    built_on: Sequence[str] = ()
    """Names of the trainings before it, each ``<kind>-<digest>``; several runs may share one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonData:
    """All that the page of a comparison shows."""

    comparison: Comparison
    scores: pa.Table
    """`COMPARED_SCHEMA`."""
    distances: Mapping[str, Mapping[str, Distances]] = field(default_factory=dict)
    """Between tracks under each criterion, averaged over the seeds, by recipe."""
    criteria: Sequence[Mapping[str, Any]] = ()
    """Rows of `CRITERIA_SCHEMA` from these, each with its ``recipe``."""
    runs: Sequence[ComparedRun] = ()
    failures: Mapping[str, str] = field(default_factory=dict)
    """Why experiments failed, by their names."""
    warnings: Sequence[str] = ()
    finished_at: str = ""


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds that one system took, mean over its seeds."""

    recipe: str
    teachers: float | None
    pretraining: float | None
    train: float | None
    other: float
    num_seeds: int

    @property
    def whole(self) -> float:
        """All of it."""
        parts = (self.teachers, self.pretraining, self.train, self.other)
        return sum(seconds for seconds in parts if seconds is not None)


def tables_of(data: ComparisonData) -> list[ComparedTable]:
    """Every table of the papers that `data` can fill."""
    configs = data.comparison.recipes
    individual = [name for name, config in configs.items() if config.network.individual]
    systems = scored_systems(data.scores)
    tables = compared_tables(systems, individual, data.criteria)
    return tables + triplet_tables(triplet_systems(systems, configs))


def fewer_seeds(data: ComparisonData) -> list[str]:
    """Say of each recipe that lacks seeds over how many its means are."""
    comparison = data.comparison
    systems = scored_systems(data.scores)
    lacking = missing_seeds(systems, comparison.recipes, comparison.seeds)
    lines = []
    for recipe, seeds in lacking.items():
        named = f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
        asked, num = len(comparison.seeds), len(comparison.seeds) - len(seeds)
        means = f"its means are over {num} of {asked} seeds" if num else "it has no scores"
        lines.append(f"{recipe} lacks {named}: {means}")
    return lines


def render_comparison(data: ComparisonData) -> str:
    """Render `data` as one self-contained HTML page."""
    return filled("comparison.html.j2", _contents(data), {"seconds": _seconds})


def _contents(data: ComparisonData) -> dict[str, Any]:
    systems = scored_systems(data.scores)
    comparison = data.comparison
    corpora = [one.corpus.uri or one.corpus.name for one in comparison.recipes.values()]
    runs: dict[str, list[ComparedRun]] = {name: [] for name in comparison.recipes}
    for run in data.runs:
        runs[run.recipe].append(run)
    return {
        "data": data,
        "comparison": comparison,
        "corpora": list(dict.fromkeys(corpora)),
        "descriptions": {name: _description(name) for name in comparison.recipes},
        "runs": runs,
        "lacking": fewer_seeds(data),
        "bars": _bar_figures(systems) + _kiviat_figures(systems, comparison),
        "tables": tables_of(data),
        "further": further_tables(data.scores),
        "costs": costs(data.runs),
        "leaks": _leak_figures(systems, comparison),
        "criteria": {
            name: distance_panels(found) for name, found in data.distances.items() if found
        },
        "citations": _citations(comparison),
        "colours": plots.COLOURS,
    }


def _citations(comparison: Comparison) -> dict[str, str]:
    """Those of the papers whose tables can be filled."""
    of_instruments = CITATIONS if comparison.of_instruments else {}
    return of_instruments | ({"R22": CITATION} if comparison.of_concepts else {})


def _description(recipe: str) -> str:
    made = recipes.ALL.get(recipe)
    return (made.__doc__ or "") if made else ""


def _bar_figures(systems: Sequence[ScoredSystem]) -> list[ShownFigure]:
    """P2 first, which tells systems apart by what they are for; each at its longest segments."""
    shown = []
    for protocol in ("pseudo_mix_id", "music_id"):
        durations_s = {s for system in systems for s in system.durations_s}
        seconds = max((s for s in durations_s if _any_mean(systems, protocol, s)), default=None)
        if seconds is None or (figure := mean_bars(protocol, seconds, systems)) is None:
            continue
        said = [
            f"{system.label} {100 * found[0].mean:.1f}"
            for system in systems
            if (found := system.mean(protocol, seconds))
        ]
        title = f"{PROTOCOLS[protocol]}, {seconds:g} s segments"
        alt = f"Bar chart, {title}, mean over instruments in per cent: {', '.join(said)}."
        caption = (
            f"{title}: mean over the instruments. Points are seeds, the dashed line is chance."
        )
        shown.append(ShownFigure(figure_uri(figure), alt, caption))
    return shown


def _kiviat_figures(systems: Sequence[ScoredSystem], comparison: Comparison) -> list[ShownFigure]:
    """Human triplets by condition, of the first systems that have conditions."""
    figure = triplet_kiviat(triplet_systems(systems, comparison.recipes))
    return [] if figure is None else [figure]


def _any_mean(systems: Iterable[ScoredSystem], protocol: str, duration_s: float) -> bool:
    return any(system.mean(protocol, duration_s) for system in systems)


def _leak_figures(
    systems: Iterable[ScoredSystem], comparison: Comparison
) -> list[tuple[str, ShownFigure]]:
    """Leak matrix of each recipe at its longest segments, averaged over the seeds.

    Of recipes of concepts it is that of their triplets.
    """
    shown = []
    for system in systems:
        if system.system == OURS:
            conditions = comparison.recipes[system.recipe].network.conditions
            longest = leak_matrices(mean_scores(system), conditions)[-1:]
            shown += [(system.label, leak_figure(matrix)) for matrix in longest]
    return shown


def costs(runs: Sequence[ComparedRun]) -> list[Cost]:
    """Seconds of each recipe's trainings, mean over its seeds, from what the stages took.

    The stages of a shared training lie with the run that made it; all that build on it count them.
    """
    earlier_s: dict[str, float] = {}
    for run in runs:
        for kind in EARLIER:
            seconds = [stage.seconds for stage in run.stages if _part_of(stage) == kind]
            if seconds:
                same = [name for name in run.built_on if name.partition("-")[0] == kind]
                earlier_s |= dict.fromkeys(same, sum(seconds))
    by_recipe: dict[str, list[ComparedRun]] = {}
    for run in runs:
        by_recipe.setdefault(run.recipe, []).append(run)
    return [_cost(recipe, of, earlier_s) for recipe, of in by_recipe.items()]


def _cost(recipe: str, runs: Sequence[ComparedRun], earlier_s: Mapping[str, float]) -> Cost:
    def mean(kind: str) -> float | None:
        found = [
            seconds
            for run in runs
            for seconds in (
                [s.seconds for s in run.stages if s.name == kind]
                if kind not in EARLIER
                else [earlier_s[n] for n in run.built_on if n.startswith(kind) and n in earlier_s]
            )
        ]
        return sum(found) / len(found) if found else None

    other = sum(
        stage.seconds
        for run in runs
        for stage in run.stages
        if stage.name not in ("train", "compose", "prepare") and _part_of(stage) not in EARLIER
    )
    teachers, pretraining = (mean(kind) for kind in EARLIER)
    return Cost(recipe, teachers, pretraining, mean("train"), other / len(runs), len(runs))


def _part_of(stage: Stage) -> str:
    """Name of the training before this one that `stage` belongs to; empty for its own."""
    before, separator, _ = stage.name.partition(": ")
    return before if separator else ""


def _seconds(seconds: float | None) -> str:
    return "\N{EN DASH}" if seconds is None else f"{seconds:,.1f}"
