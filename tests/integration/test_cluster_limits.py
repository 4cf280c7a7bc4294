"""Work for which a cluster has no room ends after a stated wait, and never hangs."""

import time
from contextlib import contextmanager

import pytest
import ray
import torch

from csn import storage
from csn.conditions import INSTRUMENTS
from csn.config import WorkerConfig
from csn.distributed import cluster, streams
from csn.distributed.bank import load_bank
from csn.errors import ConfigError, TrainingError
from csn.records import Mix


@contextmanager
def held(num_cpus):
    """Hold CPUs as a train worker does, once what earlier tests left has let go of them."""
    cluster.release()
    deadline = time.monotonic() + 20
    while ray.available_resources().get("CPU", 0) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)

    @ray.remote(num_cpus=num_cpus)
    class Holder:
        def ready(self):
            return True

    holder = Holder.remote()
    ray.get(holder.ready.remote())
    try:
        yield
    finally:
        ray.kill(holder)


def test_nodes_that_do_not_come_are_waited_for_as_long_as_is_said(local_ray):
    workers = WorkerConfig(use_gpu=True, wait_for_nodes_s=2)
    started = time.monotonic()
    with pytest.raises(ConfigError, match=r"has 2 CPUs, 0 GPUs.*; waited 2 s for nodes"):
        cluster.check_fits(workers)
    assert 2 <= time.monotonic() - started < 20


def test_nodes_are_not_waited_for_where_that_is_not_asked(local_ray):
    cluster.check_has(0.0, {"CPU": 2}, "to prepare tracks")
    said = r"1 GPU and 1 CPU needed to embed, the cluster has 2 CPUs, 0 GPUs.*wait_for_nodes_s 900"
    with pytest.raises(ConfigError, match=said):
        cluster.check_has(0.0, {"GPU": 1, "CPU": 1}, "to embed")


def test_training_that_leaves_no_cpu_to_render_ends_with_the_reason(tiny, finished, monkeypatch):
    monkeypatch.setattr(cluster, "LIMIT_S", 2.0)
    rows = storage.read_table(finished.plan).slice(0, tiny.training.batch_size)
    tracks = storage.read_table(finished.tracks)["track_id"].to_pylist()
    cpu = torch.device("cpu")
    # More than one of two, as ranks do after a lost node has left them one that is too small.
    with held(1.5):
        batches = streams.rendered(
            [rows], load_bank(finished, tracks), tiny, tiny.training.batch_size, cpu
        )
        with pytest.raises(TrainingError, match=r"nothing was rendered for 2 s: .* 0\.5 CPUs are"):
            next(batches)


def test_actor_whose_tracks_nobody_can_read_ends_with_the_reason(tiny, finished, monkeypatch):
    monkeypatch.setattr(cluster, "LIMIT_S", 2.0)
    track_id = storage.read_table(finished.tracks)["track_id"][0].as_py()
    with held(1.5):
        bank = load_bank(finished, [track_id])
        mix = Mix((track_id,) * len(INSTRUMENTS), (0.0,) * len(INSTRUMENTS))
        with pytest.raises(TrainingError, match=r"nothing was read for 2 s: .* 0\.5 CPUs are"):
            bank.parts_of([mix])
