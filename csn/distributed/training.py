"""The one driver of training: `fit` makes a trained network of a configuration and tracks.

Conventions
-----------
Ray Train keeps its checkpoints below ``checkpoints/run-<digest>``; a driver that was killed and is
started again with the same configuration finds them there and goes on. The best network ends in
``checkpoints/best``, the history of metrics in ``metrics.parquet``, and ``training.json``, written
last, says that the training is complete and from what.
"""

import json
import logging
import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import ray
import safetensors.torch
from ray.train import (
    CheckpointConfig,
    FailureConfig,
    LoggingConfig,
    RunConfig,
    ScalingConfig,
    TrainingFailedError,
    UserCallback,
)
from ray.train import Result as TrainResult
from ray.train.torch import TorchTrainer

from csn import curriculum, storage
from csn.config import ExperimentConfig, WorkerConfig, to_json
from csn.distributed import cluster
from csn.distributed.bank import load_bank
from csn.distributed.objectives import objective_of, with_facts
from csn.distributed.plans import Offered, note_tracks, plan_rows, split_of
from csn.distributed.progress import Board, Counter, Stages
from csn.distributed.targets import with_targets
from csn.distributed.train_loop import FAULTY_AUDIO, train_worker
from csn.distributed.validation import validation_set
from csn.errors import TrainingError, last_line
from csn.model import checkpoint
from csn.model.network import build_network
from csn.paths import Paths
from csn.records import ABSENT
from csn.triplets.concept_triplets import Recordings
from csn.triplets.planning import any_part

log = logging.getLogger(__name__)

POLL_S = 0.5
START_LIMIT_S = 60.0
"""How long Ray Train waits for all ranks to have a place, before that counts as one try."""
START_TRIES = 5
"""So often, where no further nodes are waited for: a node may come back, or it never does."""
_WORKER_ENVIRONMENT = {
    # Torch's threads sleep while they wait instead of spinning: on a CPU they share their cores
    # with the tasks that render, and this doubles the steps a second.
    "OMP_WAIT_POLICY": "PASSIVE",
    # Keep the memory of large tensors from step to step: a fifth more steps a second.
    "MALLOC_MMAP_THRESHOLD_": "4000000000",
    "MALLOC_TRIM_THRESHOLD_": "8000000000",
}
"""Set before a train worker starts, since torch and the C library read them once."""


@dataclass(frozen=True, slots=True)
class Trained:
    """A finished training."""

    uri: str
    """Folder of the best network."""
    digest: str
    history: list[dict[str, float]]
    best_epoch: int


def fit(
    config: ExperimentConfig,
    tracks: pa.Table,
    stages: Stages,
    callbacks: Sequence[UserCallback] = (),
) -> Trained:
    """Train the network of `config` on prepared `tracks` (`TRACK_SCHEMA`), or find it trained.

    What it builds on (`csn.curriculum`) is trained before, where that is not done yet; `callbacks`
    are told of the training itself alone.

    Raises
    ------
    ConfigError
        The cluster cannot hold the workers.
    CorpusError
        No triplets can be drawn from the train split.
    TrainingError
        The loss is not a number, or workers died more often than `WorkerConfig.max_failures`.
    """
    paths = Paths(config)
    finished = read_finished(paths)
    if finished is not None:
        log.info("train: %s is trained already", finished.uri)
        return finished
    cluster.check_fits(config.workers)
    fit_before(config, tracks, stages)
    started_at = storage.utc_now()
    rows, found = plan_rows(config, tracks, stages)
    objective = objective_of(config)
    bank = load_bank(paths, _tracks_of(rows), _horizons_s(config, found))
    if curriculum.needs_teachers(config):
        rows, bank = with_targets(config, rows, bank, stages)
    if isinstance(found, Recordings):
        rows = with_facts(rows, found, config.network.conditions)
    cluster.release()
    validation = validation_set(config, split_of(tracks, "validation"))
    num_steps = config.training.num_epochs * (config.num_rows // config.training.batch_size)
    with stages.stage("train", num_steps, "steps") as counter:
        with _followed(counter) as board:
            settings = {
                "config": to_json(config),
                "rows": ray.put(rows),
                "bank": bank,
                "initial": curriculum.initial_uri(config),
                "validation": validation,
                "board": board,
            }
            result = _run(config, paths, settings, callbacks)
        trained = _export(config, paths, result, started_at)
        mixes = len(trained.history) * num_steps // config.training.num_epochs
        mixes *= config.training.batch_size * objective.mixes_per_row
        counter.done = mixes
        counter.unit = "mixes"
        counter.audio_hours = mixes * config.audio.segment_s / 3600
        counter.known_s = sum(row["seconds"] for row in trained.history)
        counter.detail = f"{len(trained.history)} epochs, best {trained.best_epoch + 1}"
    return trained


def fit_before(config: ExperimentConfig, tracks: pa.Table, stages: Stages) -> None:
    """Train what `config` builds on, where that is not trained yet."""
    for earlier in curriculum.before(config):
        note_tracks(earlier, tracks)
        fit(earlier, tracks, stages.within(earlier.name.partition("-")[0]))


def _tracks_of(rows: pa.Table) -> set[str]:
    names: set[str] = set()
    for name in rows.schema.names:
        if name.endswith("tracks"):
            names |= set(pa.compute.unique(rows[name].combine_chunks().flatten()).to_pylist())
    return names - {ABSENT}


def _horizons_s(config: ExperimentConfig, found: Offered) -> dict[str, float]:
    """How much of each track can be drawn: with a limit on segments, often only its beginning."""
    if isinstance(found, Recordings) or config.triplets.list_uri:
        return {}  # all of it
    hop_s = config.audio.level_hop_s
    return {
        track: float(np.flatnonzero(any_part(parts)).max() * hop_s + config.audio.segment_s)
        for track, parts in found.sounding.items()
        if parts.any()
    }


class StopOnOwnErrors(UserCallback):
    """Ends a training for a fault that would only come again; Ray Train tries all of them again.

    What a callback raises is the controller's own error, for which there is no second try.
    """

    def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
        """Raise what a worker raised, if it is ours; rather of the rank with the faulty audio."""
        own = [cause for e in worker_exceptions.values() if (cause := cluster.own_error(e))]
        if own:
            # Where ranks share their embeddings, one rank's audio spoils the loss of them all.
            raise next((cause for cause in own if FAULTY_AUDIO in str(cause)), own[0])


def discard_torn_notes(run_uri: str) -> None:
    """Remove Ray Train's list of a run's checkpoints where a kill cut its writing short.

    Ray Train would refuse to start, for ever; without the list it starts anew.
    """
    uri = storage.join(run_uri, "checkpoint_manager_snapshot.json")
    if not storage.exists(uri):
        return
    try:
        json.loads(storage.read_bytes(uri))
    except ValueError:
        log.warning("%s was cut short: training starts anew", uri)
        storage.remove(uri)


def _run(
    config: ExperimentConfig,
    paths: Paths,
    settings: dict[str, Any],
    callbacks: Sequence[UserCallback],
) -> TrainResult:
    workers = config.workers
    run = f"run-{paths.training_digest}"
    discard_torn_notes(paths.experiment("checkpoints", run))
    trainer = TorchTrainer(
        train_worker,
        train_loop_config=settings,
        scaling_config=ScalingConfig(
            num_workers=_num_ranks(workers),
            use_gpu=workers.use_gpu,
            resources_per_worker=cluster.reserved(workers),
        ),
        run_config=RunConfig(
            name=run,
            storage_path=paths.experiment("checkpoints"),
            failure_config=FailureConfig(
                max_failures=workers.max_failures,
                controller_failure_limit=START_TRIES
                + math.ceil(workers.wait_for_nodes_s / START_LIMIT_S),
            ),
            checkpoint_config=CheckpointConfig(num_to_keep=2),
            logging_config=LoggingConfig(log_level="ERROR"),
            callbacks=[StopOnOwnErrors(), *callbacks],
            worker_runtime_env={"env_vars": _WORKER_ENVIRONMENT},
        ),
    )
    try:
        return trainer.fit()
    except TrainingFailedError as error:
        if cause := cluster.own_error(getattr(error, "controller_failure", None)):
            raise cause from error
        raise TrainingError(
            f"training failed ({last_line(error)}); its checkpoints are in "
            f"{paths.experiment('checkpoints')}, the same command goes on from the last one"
        ) from error


def _num_ranks(workers: WorkerConfig) -> int | tuple[int, int]:
    """Ranks as Ray Train takes them: how many, or the least and the most."""
    if workers.min_train_workers is None:
        return workers.num_train_workers
    return workers.min_train_workers, workers.num_train_workers


@contextmanager
def _followed(counter: Counter) -> Iterator[Any]:
    """Show what rank 0 posts while the driver waits for the training to end, if anybody looks."""
    if not counter.is_seen:
        yield None
        return
    actor: Any = ray.remote(num_cpus=0)(Board)
    board = actor.remote()
    stop = threading.Event()

    def follow() -> None:
        while not stop.wait(POLL_S):
            done, note = ray.get(board.read.remote())
            if note:
                counter.update(done, note)

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield board
    finally:
        stop.set()
        thread.join()


def _export(
    config: ExperimentConfig, paths: Paths, result: TrainResult, started_at: str
) -> Trained:
    assert result.checkpoint is not None  # every epoch reports one
    with result.checkpoint.as_directory() as folder:
        progress = json.loads((Path(folder) / "progress.json").read_text())
        network = build_network(config)
        network.load_state_dict(safetensors.torch.load_file(Path(folder) / "best.safetensors"))
    uri = paths.experiment("checkpoints", "best")
    digest = checkpoint.save(uri, network, config)
    if progress["presence"]:
        storage.write_json(storage.join(uri, "presence.json"), progress["presence"])
    history = progress["history"]
    names = sorted({name for row in history for name in row})
    columns = {name: [row.get(name) for row in history] for name in names}
    storage.write_table(paths.experiment("metrics.parquet"), pa.table(columns))
    manifest = storage.Manifest.finished(
        started_at,
        config_digest=paths.training_digest,
        corpus_digest=paths.corpus_digest,
        checkpoint_digest=digest,
        counts={"epochs": len(history), "best_epoch": progress["best_epoch"]},
    )
    storage.write_manifest(paths.experiment("training.json"), manifest)
    return Trained(uri, digest, history, progress["best_epoch"])


def read_finished(paths: Paths) -> Trained | None:
    """Find a complete training of this very configuration; none where there is not."""
    uri, best = paths.experiment("training.json"), paths.experiment("checkpoints", "best")
    if not storage.exists(uri) or not storage.exists(best):
        return None
    manifest = storage.read_manifest(uri)
    if manifest.config_digest != paths.training_digest:
        return None
    metrics = storage.read_table(paths.experiment("metrics.parquet")).to_pylist()
    history = [{k: v for k, v in row.items() if v is not None} for row in metrics]
    return Trained(best, manifest.checkpoint_digest, history, int(manifest.counts["best_epoch"]))
