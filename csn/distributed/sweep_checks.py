"""What of a sweep is refused before any trial starts.

Conventions
-----------
Each check raises an error that says what is wanted and what there is. As many trials run at a time
as leave `RENDER_CPUS` for rendering, which all of them share: what renders needs no other to end,
so trials never wait for each other.
"""

import logging
from collections.abc import Collection, Mapping, Sequence

from csn.conditions import MIX
from csn.config import ExperimentConfig, WorkerConfig
from csn.distributed import cluster
from csn.errors import ConfigError
from csn.search_space import Sweep

log = logging.getLogger(__name__)

NOT_VARIED = ("name", "root", "on_existing", "corpus", "audio", "workers", "evaluation")
"""Sections that are not learnt with, or that change what is prepared once for all trials."""


def metric_of(sweep: Sweep) -> str:
    """First metric of the space that training reports; ConfigError where it reports none."""
    known = reported_metrics(sweep.config, {field.name for field in sweep.space.fields})
    for metric in sweep.space.metrics:
        if metric in known:
            return metric
    raise ConfigError(
        f"{sweep.space.name}: training {sweep.recipe} never reports "
        f"{' or '.join(sweep.space.metrics)}; it reports {', '.join(known)}"
    )


def reported_metrics(config: ExperimentConfig, varied: Collection[str] = ()) -> list[str]:
    """Metrics of a training's validations and of its loss, some only where a field is `varied`."""
    network = config.network
    protocols = ["music_id"] if network.individual else ["pseudo_mix_id", "music_id"]
    if network.of_concepts:
        protocols = ["concept_triplets"]
    of = (*(name for name in network.conditions if name != MIX), "mean")
    found = [f"val/{protocol}/{name}" for protocol in protocols for name in of]
    found += ["val/loss"] if network.of_concepts else []
    found += [f"train/loss/{config.loss.kind}", "train/active"]
    found += ["train/learning_rate"] if config.optimizer.plateau_patience is not None else []
    for term in ("target", "presence"):
        field = f"{term}_weight"
        if getattr(config.loss, field) > 0 or f"loss.{field}" in varied:
            found.append(f"train/{term}")
    return found


def check_varied(sweep: Sweep) -> None:
    """Refuse to vary what is prepared: a sweep prepares its tracks once."""
    for field in sweep.space.fields:
        section = field.name.partition(".")[0]
        if section in NOT_VARIED:
            raise ConfigError(
                f"{sweep.space.name}: {field.name} is not learnt with, or changes what is "
                f"prepared once for all trials; vary it by hand, as --{field.name}"
            )
        if field.name == "training.num_epochs" and sweep.scheduler != "none":
            raise ConfigError(
                f"{sweep.space.name}: {field.name} is what trials are stopped by; --scheduler none"
            )


def num_at_once(sweep: Sweep, noted: int | None = None) -> int:
    """How many trials run at a time, `noted` where the sweep began with that; says the arithmetic.

    Raises
    ------
    ConfigError
        So many as are asked for do not fit on the cluster, which would wait for ever.
    """
    nodes, workers = cluster.nodes(), sweep.config.workers
    have = {name: sum(node.get(name, 0) for node in nodes) for name in ("CPU", "GPU", "memory")}
    fit_in = num_fitting(workers, nodes)
    slots = noted or min(sweep.max_concurrent or max(1, fit_in), sweep.num_samples)
    ranks = f"{workers.num_train_workers} x {workers.cpus_per_train_worker:g} CPUs"
    gpus = f" and {workers.num_gpus():g} GPUs" if workers.use_gpu else ""
    needed = slots * workers.num_train_workers * workers.cpus_per_train_worker
    told = (
        f"{slots} trials at a time x {ranks}{gpus} of train workers + {cluster.RENDER_CPUS:g} "
        f"to render = {needed + cluster.RENDER_CPUS:g} CPUs"
    )
    if slots > fit_in:
        tried = (
            "the sweep began with so many; bring more nodes"
            if noted
            else "lower --max_concurrent or --workers.cpus_per_train_worker"
        )
        raise ConfigError(
            f"{told}, the cluster has {cluster.described(have)} on {len(nodes)} nodes, room for "
            f"{fit_in}; {tried}"
        )
    log.info("%s of %g", told, have["CPU"])
    return slots


def num_fitting(workers: WorkerConfig, nodes: Sequence[Mapping[str, float]]) -> int:
    """How many trials fit on nodes beside what renders for all of them.

    One does where the least of its workers fit (`WorkerConfig.min_train_workers`).
    """
    room = cluster.room_beside_rendering(nodes, cluster.reserved(workers))
    if whole := room // workers.num_train_workers:
        return whole
    return int(workers.min_train_workers is not None and not cluster.shortage(workers, nodes))
