"""One trial of a sweep: the same `fit` as ``jobs/train.py``, told of by epoch to Ray Tune.

Conventions
-----------
A trial is the experiment ``<sweep>-<trial id>``; what is known of it lies in
``sweeps/<sweep>/trials/<trial id>.json``. Tune hears of each validation: `EPOCHS` done and
`OBJECTIVE`, the best value of the metric so far, since training keeps its best epoch.

Choices
-------
Tune's actor of a trial reserves a little memory and no CPU, which leaves all CPUs to train workers
and rendering. It only waits for a task outside of its placement group: what it starts itself would
have to fit into that group, where no task that renders ever could. When Tune stops a trial it ends
the actor, and with it all that the actor started.
The actor reads the trial's note for what to tell Tune. Ray's own way from training to Tune is a
queue in a process of its own, which takes two to three seconds of a core to start.
"""

import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import pyarrow as pa
import ray
from ray import tune
from ray.exceptions import RayTaskError, WorkerCrashedError
from ray.train import UserCallback

from csn import curriculum, storage
from csn.config import ExperimentConfig, from_json, to_json
from csn.config.overrides import with_overrides
from csn.distributed import cluster
from csn.distributed.progress import Stages
from csn.distributed.sharing import copy_plan
from csn.errors import StorageError, TrainingError, in_a_line
from csn.paths import Paths
from csn.search_space import Sweep

log = logging.getLogger(__name__)

OBJECTIVE = "objective"
EPOCHS = "epochs"
POLL_S = 1.0
"""How often a trial's note is read while it trains."""
STOPPING_S = 10.0
"""In which a process that is being stopped is gone."""
LISTED = "listed"
"""Key of a trial whose values were listed before, as JSON."""
RESOURCES: dict[str, float] = {"CPU": 0, "memory": 2**20}


def sweep_uri(sweep: Sweep, *names: str) -> str:
    """Folder of a sweep, or what lies below it."""
    return storage.join(storage.absolute(sweep.config.root), "sweeps", sweep.name, *names)


@dataclass(slots=True, kw_only=True)
class Note:
    """What is known of a trial."""

    trial_id: str
    values: dict[str, Any]
    began_at: str = field(default_factory=storage.utc_now)
    rows: list[dict[str, float]] = field(default_factory=list)
    """Metrics of each epoch with a validation."""
    is_finished: bool = False
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0
    """What all of its tries took; of one that was stopped, until its last validation."""

    def add(self, row: Mapping[str, float]) -> None:
        """Add an epoch; one that was repeated after a failure takes the place of the first."""
        self.rows = [one for one in self.rows if one["epoch"] < row["epoch"]] + [dict(row)]

    def best(self, metric: str, mode: str) -> float | None:
        """Best value of `metric`; none before the first."""
        values = [row[metric] for row in self.rows if metric in row]
        return (max if mode == "max" else min)(values, default=None)


def write_note(sweep: Sweep, note: Note) -> None:
    """Write what is known of a trial."""
    storage.write_json(sweep_uri(sweep, "trials", f"{note.trial_id}.json"), asdict(note))


def read_note(sweep: Sweep, trial_id: str) -> Note | None:
    """Read what is known of a trial; none where it never began."""
    uri = sweep_uri(sweep, "trials", f"{trial_id}.json")
    return Note(**storage.read_json(uri)) if storage.exists(uri) else None


def trial_config(
    sweep: Sweep, trial_id: str, values: Mapping[str, Any], start: Mapping[str, Any]
) -> ExperimentConfig:
    """Experiment of one trial; `start` says what it begins from where the sweep keeps that."""
    config = with_overrides(sweep.config, values)
    return replace(
        config,
        name=f"{sweep.name}-{trial_id}",
        on_existing="skip",
        start=replace(config.start, **start),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialSettings:
    """What all trials of a sweep share."""

    sweep: Sweep
    metric: str
    tracks: pa.Table
    start: Mapping[str, Any]
    maker: Any
    """The sweep's `csn.distributed.sharing.Maker`."""


class NoteValidations(UserCallback):
    """Notes each validation of a trial; runs where Ray Train's controller does."""

    def __init__(self, sweep: Sweep, metric: str, note: Note) -> None:
        self._sweep, self._metric, self._note = sweep, metric, note
        self._before_s, self._began_at = note.seconds, time.time()

    def after_report(
        self, run_context: Any, metrics: list[dict[str, Any]], checkpoint: Any
    ) -> None:
        """Write down what rank 0 found, if it validated."""
        row = metrics[0]
        if self._metric in row:
            self._note.add(row)
            self._note.seconds = self._before_s + time.time() - self._began_at
            write_note(self._sweep, self._note)


def summary(note: Note, metric: str, mode: str) -> dict[str, Any]:
    """Say what Tune is told of a trial."""
    return {OBJECTIVE: note.best(metric, mode), EPOCHS: int(note.rows[-1]["epoch"]) + 1}


def run_trial(drawn: Mapping[str, Any], settings: TrialSettings) -> None:
    """Train with the values that Tune has drawn; what Tune calls for each trial."""
    sweep, metric = settings.sweep, settings.metric
    trial_id = tune.get_context().get_trial_id()
    note = read_note(sweep, trial_id) or Note(
        trial_id=trial_id, values=sweep.space.decoded(drawn, LISTED)
    )
    write_note(sweep, note)
    before_s, began_at = note.seconds, time.time()
    try:
        config = trial_config(sweep, trial_id, note.values, settings.start)
        drive: Any = ray.remote(num_cpus=0, max_retries=0)(_drive)
        driven = drive.options(scheduling_strategy="DEFAULT", runtime_env=_environment()).remote(
            to_json(config),
            settings.tracks,
            settings.maker,
            metric,
            NoteValidations(sweep, metric, note),
        )
        _tell_until(driven, settings, note)
        note.rows = ray.get(driven)
    except Exception as error:
        if isinstance(error, WorkerCrashedError):
            # Where Tune stops this trial, its task dies first and this process a moment later.
            time.sleep(STOPPING_S)
        with suppress(StorageError):
            note = read_note(sweep, trial_id) or note  # with the epochs until then
        note.failures.append(_reason(error))
        note.seconds = before_s + time.time() - began_at
        write_note(sweep, note)
        raise
    note.is_finished = True
    note.seconds = before_s + time.time() - began_at
    write_note(sweep, note)
    tune.report(summary(note, metric, sweep.space.mode))


def _tell_until(driven: ray.ObjectRef, settings: TrialSettings, note: Note) -> None:
    """Tell Tune of each validation that is noted, until training has ended.

    Those before this try as well: after a driver was lost, Tune knows of none by epoch.
    """
    told = -1.0
    while not ray.wait([driven], timeout=POLL_S)[0]:
        with suppress(StorageError):  # the next look may find more
            note = read_note(settings.sweep, note.trial_id) or note
        for place, row in enumerate(note.rows):
            if row["epoch"] > told:
                told = row["epoch"]
                so_far = replace(note, rows=note.rows[: place + 1])
                tune.report(summary(so_far, settings.metric, settings.sweep.space.mode))


def _reason(error: Exception) -> str:
    own = cluster.own_error(error) or (error.cause if isinstance(error, RayTaskError) else error)
    return in_a_line(own)


def _environment() -> dict[str, Any]:
    """Say which cluster this is to all that a trial starts.

    What frees the CPUs of a stopped trial asks it who still lives, and would find several where
    more than one runs on a machine.
    """
    return {"env_vars": {"RAY_ADDRESS": ray.get_runtime_context().gcs_address}}


def _drive(
    config_json: str, tracks: pa.Table, maker: Any, metric: str, callback: UserCallback
) -> list[dict[str, float]]:
    """Train one trial; returns its epochs that have `metric`."""
    from csn.distributed.training import fit  # imports torch, which the waiting actor can spare

    logging.getLogger().setLevel(logging.WARNING)
    cluster.quieten()
    config = from_json(config_json)
    paths = Paths(config)
    storage.write_bytes(paths.experiment("config.json"), config_json.encode())
    if not storage.exists(paths.plan):
        ray.get(maker.plan.remote(config_json))
        copy_plan(config)
    if curriculum.before(config):
        ray.get(maker.train_before.remote(config_json))
    trained = fit(config, tracks, Stages(paths.experiment("stages.json")), [callback])
    rows = [row for row in trained.history if metric in row]
    if not rows:
        known = sorted({name for row in trained.history for name in row})
        raise TrainingError(f"training never reported {metric}; it reported {', '.join(known)}")
    return rows
