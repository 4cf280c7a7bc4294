"""How Ray Tune draws the values of trials, stops those that fall behind, and says what it does."""

import logging
from typing import Any

import optuna
from ray import tune
from ray.tune.schedulers import ASHAScheduler

from csn.config import ExperimentConfig
from csn.distributed.trials import EPOCHS, OBJECTIVE
from csn.search_space import SearchSpace, Sweep, Varied

log = logging.getLogger(__name__)
optuna.logging.set_verbosity(optuna.logging.WARNING)  # a line for each study, in its own form

REDUCTION = 3
"""ASHA keeps the best of so many."""


def scheduler_of(sweep: Sweep) -> ASHAScheduler | None:
    """ASHA by the epochs of the recipe; none where nothing is to be stopped."""
    num_epochs = sweep.config.training.num_epochs
    if sweep.scheduler == "none" or num_epochs < 2:
        return None
    # Two looks at most, and none at the last epoch: there, and at `max_t`, Tune would end a trial
    # before its network is kept.
    grace = num_epochs // REDUCTION**2 + 1
    if grace * REDUCTION == num_epochs:
        grace += 1
    return ASHAScheduler(
        EPOCHS, max_t=num_epochs + 1, grace_period=grace, reduction_factor=REDUCTION
    )


def suggest(trial: Any, space: SearchSpace, config: ExperimentConfig) -> None:
    """Let Optuna draw the values of a trial; of listed values it draws the place."""

    def choose(field: Varied) -> Any:
        name, values = field.name, field.values
        if field.kind == "integer":
            return trial.suggest_int(name, values[0], values[1], step=values[2])
        if field.is_finite:
            last = len(values) - 1
            places = range(len(values))
            place = (
                trial.suggest_int(name, 0, last)
                if field.kind == "grid"
                else trial.suggest_categorical(name, list(places))
            )
            return values[place]
        return trial.suggest_float(name, *values, log=field.kind == "loguniform")

    space.draw(config, choose)


def trial_id_of(trial: Any) -> str:
    """Name a trial's folder."""
    return trial.trial_id


class TrialLog(tune.Callback):
    """Says in a line when a trial begins, validates, and ends; kept with Tune's own state."""

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Say that a trial begins."""
        log.info("trial %s (%s of them so far) begins", trial.trial_id, len(trials))

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Say how far a trial is."""
        done, best = result.get(EPOCHS), result.get(OBJECTIVE)
        log.info("trial %s: epoch %s, best %.4g", trial.trial_id, done, best)

    def on_trial_complete(
        self, iteration: int, trials: list[Any], trial: Any, **info: Any
    ) -> None:
        """Say that a trial ended, by itself or stopped."""
        log.info("trial %s ended", trial.trial_id)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Say that a trial failed, for good or to be tried again."""
        log.warning("trial %s failed", trial.trial_id)
