"""Joining a Ray cluster, or starting one on this machine; quietly, and checked before any work.

Choices
-------
Ray's progress bars are off, because without a terminal they print seven lines every ten seconds;
`csn.distributed.progress` draws ours. The dashboard stays on: without it the Train controller logs
an error every second.

A cluster that starts nodes when they are asked for begins with none, and looks like one that will
never have any: `WorkerConfig.wait_for_nodes_s` says which it is.
"""

import gc
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import ray
import ray.data
from ray.autoscaler.sdk import request_resources
from ray.exceptions import GetTimeoutError, RayTaskError

from csn.config import WorkerConfig
from csn.errors import ClusterError, ConfigError, CsnError, TrainingError, in_a_line

log = logging.getLogger(__name__)

MIN_LOCAL_CPUS = 2
RENDER_CPUS = 1.0
"""CPUs that a task which renders reserves: more tasks than cores only hinder each other."""
RAY_DATA_ADDS = "\nFailed to "
"""What Ray Data writes behind the message of an error begins so."""
POLL_S = 1.0
KNOCK_S = 20.0
LIMIT_S = 3600.0
"""What takes as long to read or to render waits for a CPU that nobody gives back."""


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
    address = os.environ.get("RAY_ADDRESS")
    # One core is not enough to render beside a trainer: overbook it rather than hang.
    cpus = max(MIN_LOCAL_CPUS, os.cpu_count() or 1)
    try:
        if address:
            _knock(address)
            ray.init(logging_level=logging.WARNING)
        else:
            ray.init(num_cpus=cpus, logging_level=logging.ERROR)
    except Exception as error:  # Ray raises plain ones here, and a RuntimeError or two
        said = in_a_line(error)
        if address:
            raise ClusterError(
                f"no cluster can be joined at RAY_ADDRESS={address} ({said}); is it running, and "
                "the address right? Without RAY_ADDRESS a job starts a Ray of its own"
            ) from error
        raise ClusterError(
            f"Ray does not start on this machine ({said}); is it very busy, or its memory or /tmp "
            "full? The same command goes on"
        ) from error
    log.info("Ray has %s", described(ray.cluster_resources()))


def _knock(address: str) -> None:
    """Raise an OSError where nobody listens, which Ray would try for many minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if port.isdigit():  # and not "auto"
        socket.create_connection((host.strip("[]"), int(port)), timeout=KNOCK_S).close()


def own_error(error: BaseException | None) -> CsnError | None:
    """Give the error of this project that lies within what Ray made of it; none for another's."""
    while isinstance(error, RayTaskError):
        error = error.cause
    if not isinstance(error, CsnError):
        return None
    # Ray Data writes advice on its own settings behind the message, which has one line.
    error.args = tuple(
        said.partition(RAY_DATA_ADDS)[0] if isinstance(said, str) else said for said in error.args
    )
    return error


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


def fetched(refs: Any, what: str) -> Any:
    """Fetch what tasks make, as long as anything is left to run them.

    Raises
    ------
    TrainingError
        It took `LIMIT_S`: on what nodes are left, all CPUs are taken by those who wait.
    """
    try:
        return ray.get(refs, timeout=LIMIT_S)
    except GetTimeoutError as error:
        have, free = ray.cluster_resources(), ray.available_resources()
        raise TrainingError(
            f"nothing was {what} for {LIMIT_S:g} s: the cluster has {described(have)}, of which "
            f"{free.get('CPU', 0):g} CPUs are free, and a task needs {RENDER_CPUS:g}; lower "
            "--workers.cpus_per_train_worker or the number of workers, or add nodes; the same "
            "command goes on"
        ) from error


def check_fits(workers: WorkerConfig, at_once: int = 1) -> None:
    """Refuse trainings that the cluster could never start, instead of waiting for ever.

    Parameters
    ----------
    at_once : int
        Trainings of this size that run at a time.

    Raises
    ------
    ConfigError
        GPUs or CPUs do not suffice; the message has the arithmetic.
    """
    ranks = workers.num_train_workers * at_once
    bundles = [reserved(workers)] * ranks + [{"CPU": RENDER_CPUS}]
    _await_nodes(lambda: shortage(workers, nodes(), at_once), bundles, workers.wait_for_nodes_s)


def check_has(limit_s: float, needed: Mapping[str, float], why: str) -> None:
    """Refuse work of which the cluster could never start a task, that takes `needed`.

    Parameters
    ----------
    limit_s : float
        How long to wait for nodes that come when asked (``workers.wait_for_nodes_s``).

    Raises
    ------
    ConfigError
        No node has that much.
    """
    asked = " and ".join(f"{amount:g} {name}" for name, amount in needed.items())

    def lacking() -> str:
        if room_for(nodes(), needed):
            return ""
        return f"{asked} needed {why}, the cluster has {described(ray.cluster_resources())}"

    _await_nodes(lacking, [needed], limit_s)


def room_for(nodes: Sequence[Mapping[str, float]], needed: Mapping[str, float]) -> int:
    """How many times `nodes` have what is `needed`."""
    return sum(_places(node, needed) for node in nodes)


def cpus_per_gpu(nodes: Sequence[Mapping[str, float]]) -> float:
    """CPUs beside each GPU, of the node that has the fewest; 1 at least."""
    shares = [node.get("CPU", 0) // node["GPU"] for node in nodes if node.get("GPU")]
    return max(1.0, min(shares, default=1.0))


def _await_nodes(
    lacking: Callable[[], str], bundles: Sequence[Mapping[str, float]], limit_s: float
) -> None:
    """Ask for nodes that hold `bundles`, and wait until `lacking` has nothing to say."""
    said = lacking()
    if said and not limit_s:
        raise ConfigError(
            f"{said}; on a cluster that starts nodes when asked, --workers.wait_for_nodes_s 900 "
            "waits for them"
        )
    if not said:
        return
    log.info("%s; waiting for nodes, %g s at most", said, limit_s)
    deadline = time.monotonic() + limit_s
    request_resources(bundles=[dict(bundle) for bundle in bundles])
    try:
        while said and time.monotonic() < deadline:
            time.sleep(POLL_S)
            said = lacking()
    finally:
        request_resources(bundles=[])  # they stay while they are busy
    if said:
        raise ConfigError(f"{said}; waited {limit_s:g} s for nodes (--workers.wait_for_nodes_s)")


def shortage(workers: WorkerConfig, nodes: Sequence[Mapping[str, float]], at_once: int = 1) -> str:
    """Say what trainings lack on `nodes`, and the arithmetic; nothing where they can start."""
    ranks = workers.least_train_workers * at_once
    field = "min_train_workers" if workers.min_train_workers else "num_train_workers"
    have = {name: sum(n.get(name, 0) for n in nodes) for name in ("CPU", "GPU", "memory")}
    gpus = ranks * workers.gpus_per_worker if workers.use_gpu else 0
    if gpus > have["GPU"]:
        return (
            f"workers.{field}={workers.least_train_workers} with workers.use_gpu needs {gpus:g} "
            f"GPUs, the cluster has {described(have)}; lower it, or set --workers.use_gpu False"
        )
    cpus = ranks * workers.cpus_per_train_worker
    if cpus + RENDER_CPUS > have["CPU"]:
        return (
            f"{ranks} train workers x {workers.cpus_per_train_worker:g} CPUs "
            f"+ {RENDER_CPUS:g} to render = {cpus + RENDER_CPUS:g} CPUs, the cluster has "
            f"{described(have)}; lower --workers.cpus_per_train_worker or --workers.{field}"
        )
    each = reserved(workers)
    asked = " and ".join(f"{amount:g} {name}" for name, amount in each.items())
    found = ", ".join(f"{n.get('CPU', 0):g} CPU and {n.get('GPU', 0):g} GPU" for n in nodes)
    if (fitting := room_for(nodes, each)) < ranks:
        return (
            f"{ranks} train workers, each of {asked} of one node, the nodes have {found}: room "
            f"for {fitting}; lower --workers.cpus_per_train_worker or --workers.{field}"
        )
    # Ray starts as many as fit of those that may be, whatever the least is.
    started = min(workers.num_train_workers * at_once, fitting)
    if room_beside_rendering(nodes, each) < started:
        return (
            f"{started} train workers, each of {asked}, leave no node {RENDER_CPUS:g} CPU to "
            f"render: the nodes have {found}; lower --workers.cpus_per_train_worker or "
            "--workers.num_train_workers"
        )
    return ""


def room_beside_rendering(
    nodes: Sequence[Mapping[str, float]], needed: Mapping[str, float]
) -> int:
    """How many times `nodes` have what is `needed`, while one of them has room to render."""
    rooms = [0]
    for place, node in enumerate(nodes):
        left = node.get("CPU", 0) - RENDER_CPUS
        if left >= 0:
            others = (*nodes[:place], *nodes[place + 1 :])
            rooms.append(room_for([*others, {**node, "CPU": left}], needed))
    return max(rooms)


def reserved(workers: WorkerConfig) -> dict[str, float]:
    """Give what a train worker reserves."""
    gpus = {"GPU": workers.gpus_per_worker} if workers.use_gpu else {}
    return {"CPU": workers.cpus_per_train_worker} | gpus


def nodes() -> list[Mapping[str, float]]:
    """Give what each node has, of those that are there."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _places(node: Mapping[str, float], needed: Mapping[str, float]) -> int:
    """How many times a node has what is `needed`."""
    return min(int(node.get(name, 0) / amount + 1e-6) for name, amount in needed.items())
