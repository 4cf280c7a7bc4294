"""What a sweep ends with: its table, the best configuration, that one's final score, the page.

Conventions
-----------
The best configuration is the recipe with the values of the best trial, and is trained anew from
each final seed beside the recipe itself, as ``jobs/compare.py`` does: what the sweep found best is
the greatest of many values that chance moves, and so too good.
"""

import logging
from collections.abc import Mapping
from dataclasses import replace

from csn import storage
from csn.config import ExperimentConfig, to_json
from csn.config.overrides import with_overrides
from csn.distributed import comparing
from csn.distributed.trials import Note, read_note, sweep_uri
from csn.errors import TrainingError
from csn.evaluation.comparison import Comparison
from csn.paths import Paths
from csn.reports.sweep import render_sweep, trials_table, trials_text
from csn.reports.sweep_data import Status, SweepData, SweptTrial
from csn.search_space import Sweep

log = logging.getLogger(__name__)


def write_results(sweep: Sweep, metric: str, errors: Mapping[str, str]) -> str:
    """Write all that a sweep ends with; returns the address of its page.

    Parameters
    ----------
    errors : mapping of trial id to text
        Every trial, and why it failed for good, or nothing.

    Raises
    ------
    TrainingError
        No trial has a value, or what is trained at the end failed; what there is is written.
    """
    notes = [read_note(sweep, one) or Note(trial_id=one, values={}) for one in errors]
    notes.sort(key=lambda note: (note.began_at, note.trial_id))
    trials = [
        _trial(sweep, metric, number, note, errors[note.trial_id])
        for number, note in enumerate(notes, start=1)
    ]
    data = SweepData(
        sweep=sweep,
        metric=metric,
        trials=trials,
        warnings=_warnings(trials),
        kept_start=sweep.space.keep_start,
        finished_at=storage.utc_now(),
    )
    storage.write_table(sweep_uri(sweep, "trials.parquet"), trials_table(data))
    for warning in data.warnings:
        log.warning("%s", warning)
    if data.best is None:
        failed = [trial for trial in trials if trial.failures]
        first = f"; the first: {failed[0].failures[-1]}" if failed else ""
        raise TrainingError(f"none of {len(trials)} trials has a value of {metric}{first}")
    best = replace(with_overrides(sweep.config, data.best.values), name=f"{sweep.name}-best")
    storage.write_bytes(sweep_uri(sweep, "best.json"), to_json(best).encode())
    failure = ""
    if sweep.final_seeds:
        try:
            data = _with_final_scores(data, best)
        except TrainingError as error:
            failure = f"the final trainings: {error}"
            data = replace(data, warnings=[*data.warnings, failure])
    for line in trials_text(data).splitlines():
        log.info("%s", line)
    if failure:
        # Without report.html the sweep is not complete: the same command tries this again.
        storage.write_bytes(sweep_uri(sweep, "unfinished.html"), render_sweep(data).encode())
        raise TrainingError(f"{failure}; the trials are in {sweep_uri(sweep, 'unfinished.html')}")
    page = sweep_uri(sweep, "report.html")
    storage.write_bytes(page, render_sweep(data).encode())
    log.info("train it: uv run jobs/train.py --config %s", sweep_uri(sweep, "best.json"))
    return page


def _trial(sweep: Sweep, metric: str, number: int, note: Note, error: str) -> SweptTrial:
    failures = note.failures
    status: Status = "finished" if note.is_finished else "stopped"
    if error:
        status = "failed"
        # A process that was killed had no time to say why.
        failures = failures or [error]
    return SweptTrial(
        trial_id=note.trial_id,
        number=number,
        values=note.values,
        status=status,
        curve=[(int(row["epoch"]), row[metric]) for row in note.rows if metric in row],
        best=note.best(metric, sweep.space.mode),
        failures=failures,
        seconds=note.seconds,
    )


def _warnings(trials: list[SweptTrial]) -> list[str]:
    found = []
    for trial in trials:
        if trial.status == "failed":
            tries = f"{len(trial.failures)} times" if len(trial.failures) > 1 else "once"
            found.append(f"trial {trial.number} failed {tries}: {trial.failures[-1]}")
        elif trial.failures:
            found.append(f"trial {trial.number} failed and was tried again: {trial.failures[0]}")
    return found


def _with_final_scores(data: SweepData, best: ExperimentConfig) -> SweepData:
    """Train the best configuration and the recipe from each final seed, and score them."""
    sweep = data.sweep
    labels = {
        _final_name(sweep, "untuned", sweep.config): f"{sweep.recipe}, untuned",
        _final_name(sweep, "best", best): "best of the sweep",
    }
    configs = [replace(config, on_existing="skip") for config in (sweep.config, best)]
    comparison = Comparison(
        f"sweep-{sweep.name}", dict(zip(labels, configs, strict=True)), sweep.final_seeds
    )
    page = comparing.compare(comparison)
    return replace(
        data,
        final_scores=storage.read_table(storage.join(_folder_of(page), "scores.parquet")),
        final_labels=labels,
        final_href=f"../../comparisons/{comparison.name}/report.html",
    )


def _final_name(sweep: Sweep, which: str, config: ExperimentConfig) -> str:
    """Name an experiment so that a sweep that is made again finds none of another's."""
    return f"{sweep.name}-{which}-{Paths(config).training_digest[:8]}"


def _folder_of(uri: str) -> str:
    return uri.rpartition("/")[0]
