"""How much each varied field mattered for a sweep's metric.

Source
------
F. Hutter, H. Hoos, K. Leyton-Brown: An Efficient Approach for Assessing Hyperparameter Importance
(2014): functional ANOVA, as `optuna.importance` has it. A forest of regression trees is fitted to
the trials; a field's share is the part of the forest's variance that it explains alone.

Choices
-------
Trials that were stopped count with the best value that they had reached, which makes bad values
look worse than they are. Fields that only some trials vary cannot be rated beside the others.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from csn.reports.sweep_data import SweptTrial
from csn.search_space import Sweep, Varied

MIN_TRIALS = 6
"""Fewer trials say nothing of several fields."""


@dataclass(frozen=True, slots=True)
class Importance:
    """Shares of the fields, the largest first; they sum to 1, or there are none."""

    shares: Mapping[str, float]
    notice: str
    """How they came about, or why there are none."""


def importance_of(sweep: Sweep, trials: Sequence[SweptTrial]) -> Importance:
    """Rate the fields of a sweep by functional ANOVA."""
    scored = [trial for trial in trials if trial.best is not None and trial.status != "failed"]
    rated = [
        field
        for field in sweep.space.fields
        if all(field.name in trial.values for trial in scored)
        and len({repr(trial.values[field.name]) for trial in scored}) > 1
    ]
    if len(scored) < MIN_TRIALS or len({trial.best for trial in scored}) < 2 or not rated:
        return Importance(
            {}, f"{len(scored)} trials with a value are too few to tell (at least {MIN_TRIALS})."
        )
    if len(rated) == 1 and len(sweep.space.fields) == 1:
        return Importance({}, "There is one field, so all that is not chance is its own.")
    left_out = [field.name for field in sweep.space.fields if field not in rated]
    notice = (
        f"Share of the variance between {len(scored)} trials that each field explains alone: "
        "functional ANOVA of a forest of regression trees (optuna.importance). Rough below some "
        "dozens of trials; those that were stopped count with the best they had reached."
    )
    if left_out:
        notice += f" Not varied in all trials, so not rated: {', '.join(left_out)}."
    return Importance(_shares(sweep, rated, scored), notice)


def _shares(
    sweep: Sweep, fields: Sequence[Varied], trials: Sequence[SweptTrial]
) -> dict[str, float]:
    import optuna  # half a second, for a page alone

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    direction = "maximize" if sweep.space.mode == "max" else "minimize"
    study = optuna.create_study(direction=direction)
    distributions = {field.name: _distribution(field) for field in fields}
    for trial in trials:
        params = {field.name: _place(field, trial.values[field.name]) for field in fields}
        study.add_trial(
            optuna.trial.create_trial(params=params, distributions=distributions, value=trial.best)
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own innards
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=sweep.config.seed)
        return dict(optuna.importance.get_param_importances(study, evaluator=evaluator))


def _distribution(field: Varied) -> Any:
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if field.kind == "choice":
        return CategoricalDistribution(list(range(len(field.values))))
    if field.kind == "grid":
        return IntDistribution(0, len(field.values) - 1)
    if field.kind == "integer":
        low, high, step = field.values
        return IntDistribution(low, high - (high - low) % step, step=step)
    return FloatDistribution(*field.values, log=field.kind == "loguniform")


def _place(field: Varied, value: Any) -> Any:
    return field.values.index(value) if field.kind in ("choice", "grid") else value
