"""Several systems side by side, each from several seeds: what is compared, and means with spread.

Conventions
-----------
Accuracies are shares in 0..1. The table of scores is `SCORE_SCHEMA` with a column `recipe` before
it; each row is one seed's. Means go over the instruments first, seed by seed, and over the seeds
then. The network for the whole mix ([H22]) is a condition of its own and no part of a mean.

Choices
-------
[H22] prints a variance over five runs and does not say which; ours is the unbiased one (n - 1),
and there is none with a single seed. A baseline counts once, as what the first recipe that has it
scored; once for the recipes of instruments and once for those of concepts, which are asked other
things of other audio.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from csn.conditions import INSTRUMENTS
from csn.config import ExperimentConfig
from csn.evaluation.triplet_scores import TRIPLET_PROTOCOLS
from csn.records import CRITERIA_SCHEMA, OURS, SCORE_SCHEMA

COMPARED_SCHEMA = pa.schema([pa.field("recipe", pa.string()), *SCORE_SCHEMA])
COMPARED_CRITERIA_SCHEMA = pa.schema([pa.field("recipe", pa.string()), *CRITERIA_SCHEMA])
"""From distances averaged over the seeds, so that `seed` is null."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One recipe from one seed: an experiment of its own."""

    recipe: str
    seed: int
    config: ExperimentConfig

    @property
    def name(self) -> str:
        """Name of the experiment."""
        return self.config.name


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is compared: recipes with the same options and the same seeds."""

    name: str
    recipes: Mapping[str, ExperimentConfig]
    seeds: tuple[int, ...]

    @property
    def root(self) -> str:
        """Root that all recipes share."""
        return next(iter(self.recipes.values())).root

    @property
    def of_concepts(self) -> tuple[str, ...]:
        """Recipes whose conditions are concepts, not instruments."""
        return tuple(name for name, one in self.recipes.items() if one.network.of_concepts)

    @property
    def of_instruments(self) -> tuple[str, ...]:
        """Recipes whose conditions are instruments."""
        return tuple(name for name in self.recipes if name not in self.of_concepts)

    @property
    def first_scored(self) -> tuple[str, ...]:
        """Recipes beside which the baselines are scored: of each kind the first that is asked all.

        Individual networks are not asked P2.
        """
        firsts = []
        for kind in (self.of_instruments, self.of_concepts):
            joint = [name for name in kind if not self.recipes[name].network.individual]
            firsts += (joint or list(kind))[:1]
        return tuple(firsts)

    def entries(self) -> list[Entry]:
        """Every experiment, seed by seed: all systems have a first number before a second.

        The baselines are scored by one recipe of a kind alone: they are the same for all, and no
        two experiments write the same embeddings at a time.
        """
        return [
            Entry(recipe, seed, self._experiment(recipe, config, seed))
            for seed in self.seeds
            for recipe, config in self.recipes.items()
        ]

    def _experiment(self, recipe: str, config: ExperimentConfig, seed: int) -> ExperimentConfig:
        evaluation = config.evaluation
        if recipe not in self.first_scored:
            evaluation = replace(evaluation, baselines=())
        return replace(config, name=f"{recipe}-seed{seed}", seed=seed, evaluation=evaluation)


@dataclass(frozen=True)
class Spread:
    """One number from each seed."""

    by_seed: Mapping[int, float]

    @cached_property
    def mean(self) -> float:
        """Mean over the seeds."""
        return float(np.mean(list(self.by_seed.values())))

    @cached_property
    def variance(self) -> float | None:
        """Unbiased variance over the seeds; none from a single one."""
        if len(self.by_seed) < 2:
            return None
        return float(np.var(list(self.by_seed.values()), ddof=1))

    @property
    def deviation(self) -> float | None:
        """Standard deviation over the seeds; none from a single one."""
        return None if self.variance is None else float(np.sqrt(self.variance))


@dataclass(frozen=True)
class Asked:
    """What a score answers: one subspace, one right answer, one length of segments."""

    protocol: str
    duration_s: float
    condition: str
    focus: str


class Counts(NamedTuple):
    """Of all seeds the fewest queries, the most that are missing, and the interval on average."""

    num_queries: int
    num_missing: int
    half_width: float
    """Half of the 95 % interval's; NaN where there is none."""


@dataclass(frozen=True)
class ScoredSystem:
    """All scores of one recipe's network, or of one baseline, over the seeds."""

    label: str
    recipe: str
    system: str
    spreads: Mapping[Asked, Spread]
    chances: Mapping[Asked, float]
    counts: Mapping[Asked, Counts] = field(default_factory=dict)
    """Where they are known."""

    def own(self, protocol: str, duration_s: float, condition: str) -> Spread | None:
        """Score of `condition` for itself; none where it was not scored."""
        return self.spreads.get(Asked(protocol, duration_s, condition, condition))

    def mean(self, protocol: str, duration_s: float) -> tuple[Spread, int] | None:
        """Mean over the instruments that every seed scored, and how many they are."""
        found = [self.own(protocol, duration_s, instrument) for instrument in INSTRUMENTS]
        scored = [spread.by_seed for spread in found if spread is not None]
        seeds = sorted(set().union(*scored))
        whole = [by_seed for by_seed in scored if set(by_seed) == set(seeds)]
        if not whole:
            return None
        means = {seed: float(np.mean([by_seed[seed] for by_seed in whole])) for seed in seeds}
        return Spread(means), len(whole)

    @property
    def durations_s(self) -> list[float]:
        """Segment lengths that were scored."""
        return sorted({asked.duration_s for asked in self.spreads})


def compared_table(tables: Iterable[tuple[str, pa.Table]]) -> pa.Table:
    """Put recipes' tables (`SCORE_SCHEMA`) together, each row with its recipe before it."""
    parts = [
        table.select(SCORE_SCHEMA.names).add_column(
            0, "recipe", pa.array([recipe] * len(table), pa.string())
        )
        for recipe, table in tables
    ]
    return pa.concat_tables([COMPARED_SCHEMA.empty_table(), *parts]).cast(COMPARED_SCHEMA)


def scored_systems(scores: pa.Table) -> list[ScoredSystem]:
    """Gather `scores` by system: recipes in order of coming, and each baseline once after them."""
    rows: dict[tuple[str, str], list[Mapping]] = {}
    for row in scores.to_pylist():
        if row["accuracy"] is not None and np.isfinite(row["accuracy"]):
            rows.setdefault((row["recipe"], row["system"]), []).append(row)
    ours = [key for key in rows if key[1] == OURS]
    return [
        _scored(recipe if system == OURS else system, recipe, system, rows[recipe, system])
        for recipe, system in (*ours, *_first_baselines(rows))
    ]


def _first_baselines(
    rows: Mapping[tuple[str, str], Sequence[Mapping]],
) -> Iterator[tuple[str, str]]:
    seen: set[tuple[str, bool]] = set()
    for (recipe, system), scores in rows.items():
        kind = system, any(row["protocol"] in TRIPLET_PROTOCOLS for row in scores)
        if system != OURS and kind not in seen:
            seen.add(kind)
            yield recipe, system


def _scored(label: str, recipe: str, system: str, rows: Sequence[Mapping]) -> ScoredSystem:
    by_seed: dict[Asked, dict[int, float]] = {}
    chances: dict[Asked, list[float]] = {}
    counts: dict[Asked, list[Counts]] = {}
    for row in rows:
        asked = Asked(row["protocol"], row["duration_s"], row["condition"], row["focus"])
        by_seed.setdefault(asked, {})[row["seed"]] = row["accuracy"]
        if row["chance"] is not None:
            chances.setdefault(asked, []).append(row["chance"])
        if row["num_queries"] is not None:
            width = math.nan if None in (row["low"], row["high"]) else row["high"] - row["low"]
            found = Counts(row["num_queries"], row["num_missing"] or 0, width / 2)
            counts.setdefault(asked, []).append(found)
    return ScoredSystem(
        label,
        recipe,
        system,
        {asked: Spread(values) for asked, values in by_seed.items()},
        {asked: float(np.mean(values)) for asked, values in chances.items()},
        {asked: _over_seeds(of) for asked, of in counts.items()},
    )


def _over_seeds(counts: Sequence[Counts]) -> Counts:
    queries, missing, widths = zip(*counts, strict=True)
    return Counts(min(queries), max(missing), float(np.mean(widths)))


def mean_scores(system: ScoredSystem) -> pa.Table:
    """Average one system over its seeds: `SCORE_SCHEMA` without counts and intervals."""
    rows = [
        {
            "protocol": asked.protocol,
            "system": system.system,
            "condition": asked.condition,
            "focus": asked.focus,
            "duration_s": asked.duration_s,
            "accuracy": spread.mean,
            "chance": system.chances.get(asked),
        }
        for asked, spread in system.spreads.items()
    ]
    return pa.Table.from_pylist(rows, schema=SCORE_SCHEMA)


def missing_seeds(
    systems: Iterable[ScoredSystem], recipes: Iterable[str], seeds: Sequence[int]
) -> dict[str, list[int]]:
    """Seeds of which a recipe has no score at all, by recipe; who lacks none is left out."""
    have = {
        system.recipe: {seed for spread in system.spreads.values() for seed in spread.by_seed}
        for system in systems
        if system.system == OURS
    }
    lacking = {name: [s for s in seeds if s not in have.get(name, set())] for name in recipes}
    return {name: lacks for name, lacks in lacking.items() if lacks}
