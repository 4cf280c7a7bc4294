"""Joining a Ray cluster, or starting one on this machine; quietly, and checked before any work.

Choices
-------
Ray's progress bars are off, because without a terminal they print seven lines every ten seconds;
`csn.distributed.progress` draws ours. The dashboard stays on: without it the Train controller logs
an error every second.
"""

import gc
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import ray
import ray.data
from ray.exceptions import RayTaskError

from csn.config import WorkerConfig
from csn.errors import ConfigError, CsnError

log = logging.getLogger(__name__)

MIN_LOCAL_CPUS = 2
RENDER_CPUS = 1.0
"""CPUs that a task which renders reserves: more tasks than cores only hinder each other."""


@contextmanager
def joined() -> Iterator[None]:
    """Join the cluster of RAY_ADDRESS, or one started here and stopped at the end.

    An error of ours that a task raised leaves here as itself, without Ray's account of where.
    """
    is_ours = not ray.is_initialized()
    if is_ours:
        _start()
    quieten()
    try:
        yield
    except RayTaskError as error:
        raise own_error(error) or error from error.cause
    finally:
        if is_ours:
            ray.shutdown()


def _start() -> None:
    if os.environ.get("RAY_ADDRESS"):
        ray.init(logging_level=logging.WARNING)
    else:
        # One core is not enough to render beside a trainer: overbook it rather than hang.
        cpus = max(MIN_LOCAL_CPUS, os.cpu_count() or 1)
        ray.init(num_cpus=cpus, logging_level=logging.ERROR)
    log.info("Ray has %s", described(ray.cluster_resources()))


def own_error(error: BaseException | None) -> CsnError | None:
    """Give the error of this project that lies within what Ray made of it; none for another's."""
    while isinstance(error, RayTaskError):
        error = error.cause
    return error if isinstance(error, CsnError) else None


def quieten() -> None:
    """Set how Ray Data behaves in this process."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.preserve_order = True
    context.raise_original_map_exception = True
    for name in ("ray.data", "ray.train", "ray.tune"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # Says at every start that the bars are off.
    logging.getLogger("ray.data._internal.progress").setLevel(logging.ERROR)


def described(resources: Mapping[str, float]) -> str:
    """Say what a cluster has, in a few words."""
    gpus = resources.get("GPU", 0)
    memory_gib = resources.get("memory", 0) / 2**30
    return f"{resources.get('CPU', 0):g} CPUs, {gpus:g} GPUs, {memory_gib:.0f} GiB of memory"


def release() -> None:
    """Let go of CPUs that earlier work of this process holds, well ended or failed.

    Ray Data's actors live while anything refers to them, be it a cycle that waits for collection.
    """
    gc.collect()


def check_fits(workers: WorkerConfig) -> None:
    """Refuse a training that the cluster could never start, instead of waiting for ever.

    Raises
    ------
    ConfigError
        GPUs or CPUs do not suffice; the message has the arithmetic.
    """
    have = ray.cluster_resources()
    gpus = workers.num_gpus()
    if gpus > have.get("GPU", 0):
        raise ConfigError(
            f"workers.num_train_workers={workers.num_train_workers} x {workers.gpus_per_worker:g} "
            f"with workers.use_gpu needs {gpus:g} GPUs, the cluster has {described(have)}; lower "
            "it, or set --workers.use_gpu False"
        )
    cpus = workers.num_train_workers * workers.cpus_per_train_worker
    if cpus + RENDER_CPUS > have.get("CPU", 0):
        raise ConfigError(
            f"{workers.num_train_workers} train workers x {workers.cpus_per_train_worker:g} CPUs "
            f"+ {RENDER_CPUS:g} to render = {cpus + RENDER_CPUS:g} CPUs, the cluster has "
            f"{described(have)}; lower --workers.cpus_per_train_worker or "
            "--workers.num_train_workers"
        )
