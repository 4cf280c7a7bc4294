"""A sweep: trials of one recipe with values from a search space, by Ray Tune.

Conventions
-----------
All of a sweep lies in ``sweeps/<name>/``: ``sweep.json`` says what it is, ``tune/`` is Ray Tune's
own state, ``trials/`` has a note of each trial. A driver that was killed and is started again with
the same command goes on: trials that ended are not run again, those that ran go on from their
last epoch. ``report.html``, written last, says that the sweep is complete.

Choices
-------
ASHA looks at a trial after a ninth and a third of its epochs, or soon after, and stops it where
it is not among the best third that came so far; the last epoch ends by itself, so that its network
is kept.
"""

import json
import logging
import os
import warnings
from collections.abc import Mapping
from functools import partial
from pathlib import PurePath
from typing import Any

import pyarrow as pa
import ray
from ray import tune
from ray.tune.search.optuna import OptunaSearch
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from csn import curriculum, storage
from csn.distributed import cluster, ingest
from csn.distributed.compatibility import check_separator, check_start
from csn.distributed.plans import split_of
from csn.distributed.progress import Stages
from csn.distributed.searching import TrialLog, scheduler_of, suggest, trial_id_of
from csn.distributed.shared_root import check_shared
from csn.distributed.sharing import Maker
from csn.distributed.sweep_checks import (
    check_varied,
    metric_of,
    num_at_once,
)
from csn.distributed.sweep_results import write_results
from csn.distributed.training import fit_before
from csn.distributed.trials import (
    LISTED,
    OBJECTIVE,
    RESOURCES,
    TrialSettings,
    run_trial,
    sweep_uri,
)
from csn.errors import ConfigError, StorageError, last_line
from csn.paths import Paths
from csn.search_space import Sweep

log = logging.getLogger(__name__)

RETRIES = 1
"""How often a trial that failed is tried again."""
_SETTINGS = {
    # Ctrl-C ends the driver as it does everywhere else; the same command goes on.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    # How often Tune writes down which trials there are: what a kill may lose.
    "TUNE_GLOBAL_CHECKPOINT_S": "5",
    # Its newer output prints a table of settings and each error's traceback, however quiet.
    "RAY_AIR_NEW_OUTPUT": "0",
}


def tune_recipe(sweep: Sweep) -> str:
    """Run the whole sweep; returns the address of its page.

    Raises
    ------
    ConfigError
        No trial could ever run, or be judged: said before any of them starts.
    StorageError
        The root cannot be written, or another sweep has this name.
    TrainingError
        All trials failed, or what is trained at the end did.
    """
    root = storage.absolute(sweep.config.root)
    storage.check_writable(root)
    metric = metric_of(sweep)
    check_varied(sweep)
    check_separator(sweep.config)
    check_start(sweep.config)
    page = sweep_uri(sweep, "report.html")
    if _is_complete(sweep, page):
        log.info("sweep %s is finished: nothing to do", sweep.name)
        return page
    with cluster.joined():
        workers = sweep.config.workers
        # Where nodes come when asked, so many that all trials run that may run at a time.
        wanted = _noted_slots(sweep) or min(sweep.max_concurrent or 1, sweep.num_samples)
        cluster.check_fits(workers, wanted if workers.wait_for_nodes_s else 1)
        _claim(sweep)
        slots = _slots(sweep)
        check_shared(root)
        stages = Stages(sweep_uri(sweep, "stages.json"))
        ingest.compose(sweep.config, stages)
        tracks = ingest.prepare(sweep.config, stages)
        if metric.startswith("val/") and not len(split_of(tracks, "validation")):
            raise ConfigError(
                f"{metric} needs validation tracks, {sweep.config.corpus.name} has 0"
            )
        start = _kept_start(sweep, tracks, stages)
        with stages.stage("trials", sweep.num_samples, "trials") as counter:
            errors = _run_trials(sweep, metric, tracks, start, slots)
            counter.done = len(errors)
        cluster.release()
        page = write_results(sweep, metric, errors)
        _add_to_description(sweep, final_seeds=list(sweep.final_seeds))
        return page


# Which sweep it is -----------------------------------------------------------------------------


def _is_complete(sweep: Sweep, page: str) -> bool:
    policy = sweep.config.on_existing
    if policy == "overwrite" or not storage.exists(page):
        return False
    if policy == "error":
        raise StorageError(
            f"{page} is there already; choose another --name, or --on_existing skip"
        )
    _refuse_other(sweep)
    # Other seeds at the end are no other sweep: its trials stand, and are scored from these.
    described = storage.read_json(sweep_uri(sweep, "sweep.json"))
    return described.get("final_seeds") == list(sweep.final_seeds)


def _claim(sweep: Sweep) -> None:
    """Make the sweep's folder this one's, or refuse to touch another's."""
    if sweep.config.on_existing == "overwrite":
        storage.remove(sweep_uri(sweep))
    uri = sweep_uri(sweep, "sweep.json")
    if storage.exists(uri):
        _refuse_other(sweep)
    else:
        storage.write_json(uri, _described(sweep))


def _refuse_other(sweep: Sweep) -> None:
    uri = sweep_uri(sweep, "sweep.json")
    before, now = storage.read_json(uri), _described(sweep)
    changed = [key for key in now if before.get(key) != now[key]]
    if changed:
        found = "; ".join(f"{key} was {before.get(key)}, now {now[key]}" for key in changed[:3])
        raise StorageError(
            f"{uri} is of another sweep ({found}); choose another --name, or --on_existing "
            "overwrite"
        )


def _described(sweep: Sweep) -> dict[str, Any]:
    """Say all that makes it this sweep, in JSON's own forms."""
    fields = {field.name: [field.kind, list(field.values)] for field in sweep.space.fields}
    return {
        "config_digest": Paths(sweep.config).training_digest,
        "metrics": list(sweep.space.metrics),
        "mode": sweep.space.mode,
        "space": fields,
        "keep_start": sweep.space.keep_start,
        "num_samples": sweep.num_samples,
        "search": sweep.search,
        "scheduler": sweep.scheduler,
        "max_concurrent": sweep.max_concurrent,
    }


def _slots(sweep: Sweep) -> int:
    """How many trials run at a time; Tune goes on with as many as it began with."""
    slots = num_at_once(sweep, _noted_slots(sweep))
    _add_to_description(sweep, at_once=slots)
    return slots


def _noted_slots(sweep: Sweep) -> int | None:
    uri = sweep_uri(sweep, "sweep.json")
    return storage.read_json(uri).get("at_once") if storage.exists(uri) else None


def _add_to_description(sweep: Sweep, **more: Any) -> None:
    uri = sweep_uri(sweep, "sweep.json")
    storage.write_json(uri, {**storage.read_json(uri), **more})


# The trials ------------------------------------------------------------------------------------


def _kept_start(sweep: Sweep, tracks: pa.Table, stages: Stages) -> dict[str, Any]:
    """Train what the recipe builds on, where all trials are to begin from that."""
    config = sweep.config
    if not sweep.space.keep_start or not curriculum.before(config):
        return {}
    fit_before(config, tracks, stages)
    kept: dict[str, Any] = {}
    if curriculum.needs_teachers(config):
        kept["teachers_uri"] = curriculum.teachers_uri(config)
    if config.start.pretraining != "none":
        kept |= {"pretraining": "none", "initial_checkpoint_uri": curriculum.initial_uri(config)}
    return kept


def _run_trials(
    sweep: Sweep, metric: str, tracks: pa.Table, start: Mapping[str, Any], slots: int
) -> dict[str, str]:
    """Run all trials; returns why each failed, or nothing, by their ids."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    # Where the driver is: a node that may be lost would take the makers of all trials to come.
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    maker: Any = ray.remote(num_cpus=0)(Maker).options(scheduling_strategy=here)
    settings = TrialSettings(
        sweep=sweep,
        metric=metric,
        tracks=tracks,
        start=start,
        maker=maker.remote([ray.put(tracks)]),
    )
    trainable = tune.with_resources(tune.with_parameters(run_trial, settings=settings), RESOURCES)
    folder = sweep_uri(sweep, "tune")
    space: dict[str, Any] = {}
    if sweep.search != "optuna":
        space[LISTED] = tune.grid_search([json.dumps(values) for values in sweep.listed()])
    if _is_restorable(folder):
        log.info("sweep %s goes on", sweep.name)
        tuner = tune.Tuner.restore(folder, trainable=trainable, param_space=space)
    else:
        tuner = _new_tuner(sweep, trainable, space, slots)
    # A trial that goes on tells its epochs once more, which Optuna knows and warns of.
    warnings.filterwarnings("ignore", "The reported value is ignored", UserWarning)
    # We say ourselves what becomes of trials, in a line each.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    results = tuner.fit()
    return {
        PurePath(result.path).name: (
            "" if (e := result.error) is None else last_line(cluster.own_error(e) or e)
        )
        for result in results
    }


def _is_restorable(folder: str) -> bool:
    """Whether Tune can go on from its state in `folder`; removes what a kill cut short of it.

    Tune has a state some seconds after it began, and until then would refuse for ever to go on:
    it begins anew.
    """
    uris = [uri for uri in storage.list_uris(folder, ".json") if "/experiment_state-" in uri]
    for uri in reversed(uris):
        try:
            json.loads(storage.read_bytes(uri))
        except ValueError:
            log.warning("%s was cut short: what was known before counts", uri)
            storage.remove(uri)
        else:
            return tune.Tuner.can_restore(folder)
    storage.remove(folder)
    return False


def _new_tuner(sweep: Sweep, trainable: Any, space: dict[str, Any], slots: int) -> tune.Tuner:
    is_listed = bool(space)
    search = partial(suggest, space=sweep.space, config=sweep.config)
    mode = sweep.space.mode
    return tune.Tuner(
        trainable,
        param_space=space,
        tune_config=tune.TuneConfig(
            metric=OBJECTIVE,
            mode=mode,
            num_samples=1 if is_listed else sweep.num_samples,
            max_concurrent_trials=slots,
            search_alg=None
            if is_listed
            else OptunaSearch(search, metric=OBJECTIVE, mode=mode, seed=sweep.config.seed),
            scheduler=scheduler_of(sweep),
            trial_dirname_creator=trial_id_of,
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=sweep_uri(sweep),
            failure_config=tune.FailureConfig(max_failures=RETRIES),
            callbacks=[TrialLog()],
            verbose=0,
        ),
    )
