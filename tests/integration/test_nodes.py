"""Clusters of several nodes, on one machine: what happens to a job whose node is lost."""

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import own_ray
import pyarrow.parquet as pq
import pytest

LIMIT_S = 400
ELASTIC = "--workers.num_train_workers 2 --workers.min_train_workers 1"


@contextmanager
def environment_of_nodes(env):
    """Set what nodes, which are this process's children, are to see: nothing of object storage."""
    with pytest.MonkeyPatch.context() as here:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            here.delenv(name)
        for name in ("RAY_TMPDIR", "RAY_AUTH_MODE"):
            here.setenv(name, env[name])
        here.setenv("RAY_health_check_period_ms", "1000")  # a lost node is missed after 5 s
        yield


@dataclass
class Nodes:
    """A cluster whose head does no work, and the nodes of one test."""

    cluster: Any
    env: dict[str, str]
    running: list[Any] = field(default_factory=list)

    def add(self, num_cpus: int) -> Any:
        with environment_of_nodes(self.env):
            node = self.cluster.add_node(num_cpus=num_cpus)
        self.running.append(node)
        return node

    def lose(self, node: Any) -> None:
        self.running.remove(node)
        self.cluster.remove_node(node, allow_graceful=False)


@pytest.fixture(scope="module")
def cluster(finished):
    """Run a head, whose nodes see no object storage, beside the Ray of the session."""
    from ray.cluster_utils import Cluster

    with own_ray.environment() as env:
        with environment_of_nodes(env):
            started = Cluster(
                initialize_head=True,
                head_node_args={
                    "num_cpus": 0,
                    "include_dashboard": True,  # without it, Train does not clean up
                    "dashboard_port": own_ray.free_ports(1)[0],
                    "object_store_memory": own_ray.OBJECT_STORE,
                    "temp_dir": f"{env['RAY_TMPDIR']}/ray",
                },
            )
        yield Nodes(started, env | {"RAY_ADDRESS": started.address})
        # Not by `shutdown`, which takes from this process what it needs of the session's Ray.
        started.remove_node(started.head_node, allow_graceful=False)


@pytest.fixture
def nodes(cluster):
    yield cluster
    for node in list(cluster.running):
        cluster.lose(node)


@pytest.fixture
def run(nodes, repository, tmp_path):
    """Give what starts a job on the cluster."""
    log, started = tmp_path / "log", []

    def start(job, *options, env=None):
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, f"jobs/{job}.py", *map(str, options)],
                cwd=repository,
                env=nodes.env | (env or {}),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        started.append(process)
        return process, log

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def with_work(nodes, descendants):
    """Give what waits until a node does some work, and names the node."""

    def find(work, process, log, when=lambda: True):
        deadline = time.monotonic() + LIMIT_S
        while True:
            for node in nodes.running:
                (raylet,) = node.all_processes["raylet"]
                if (
                    any(work in what for what in descendants(raylet.process.pid).values())
                    and when()
                ):
                    return node
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)

    return find


@pytest.mark.slow
def test_prepare_and_embed_lose_a_node_each_and_end_with_the_same_rows(
    nodes, run, with_work, tiny_options, finished, tmp_path
):
    root = tmp_path / "root"
    nodes.add(2), nodes.add(2)
    process, log = run(
        *("embed", *tiny_options, "--root", root, "--corpus.uri", finished.corpus),
        *("--evaluation.checkpoint_uri", finished.best_checkpoint),
    )
    prepared = lambda: len(list(root.glob("prepared/*/parts/Track*.parquet")))  # noqa: E731
    nodes.lose(with_work("(_prepare_tracks)", process, log, when=lambda: prepared() >= 2))
    assert prepared() < 17
    nodes.add(2)
    nodes.lose(with_work("MapWorker(MapBatches(Embedder))", process, log))
    assert not list(root.glob("embeddings/model=*/corpus=*/split=*/condition=*"))
    assert process.wait(LIMIT_S) == 0, log.read_text()

    parts = sorted(root.glob("prepared/*/parts/*.parquet"))
    assert len(parts) == 17
    for path in parts:
        assert pq.read_table(path).equals(pq.read_table(f"{finished.parts()}/{path.name}"))
    folders = list((root / "embeddings").glob("model=*/corpus=*/split=test/condition=*"))
    assert len(folders) == 3 * 5  # ours and two baselines, for each instrument
    for folder in folders:
        (file,) = folder.iterdir()
        model, condition = file.parts[-5], file.parts[-2]
        (undisturbed,) = Path(finished.root, "embeddings", model).glob(
            f"corpus=*/split=test/{condition}/*.parquet"
        )
        assert pq.ParquetFile(file).read().equals(pq.ParquetFile(undisturbed).read())


@pytest.mark.slow
def test_training_loses_a_node_and_goes_on_with_the_other_from_its_checkpoint(
    nodes, run, with_work, tiny, tiny_options, noted_history
):
    experiment = Path(tiny.root, "experiments", "elastic")
    # Room for one rank each, and for rendering on the one that stays.
    small, _ = nodes.add(2), nodes.add(3)
    process, log = run(
        *("train", *tiny_options, "--root", tiny.root, "--name", "elastic", *ELASTIC.split()),
        *("--workers.cpus_per_train_worker", 2, "--workers.threads_per_train_worker", 1),
        env={"RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "20"},
    )
    with_work("RayTrainWorker", process, log, when=lambda: noted_history(experiment))
    nodes.lose(small)
    kept = noted_history(experiment)
    assert process.wait(LIMIT_S) == 0, log.read_text()

    metrics = pq.read_table(experiment / "metrics.parquet").sort_by("epoch").to_pylist()
    assert [row["epoch"] for row in metrics] == list(range(tiny.training.num_epochs))
    assert [row["seconds"] for row in metrics[: len(kept)]] == [row["seconds"] for row in kept]
    ranks = [row["ranks"] for row in metrics]
    assert ranks[0] == 2
    assert ranks[-1] == 1
    assert ranks == sorted(ranks, reverse=True)
    assert json.loads((experiment / "training.json").read_text())["counts"]["epochs"] == len(ranks)


@pytest.mark.slow
def test_root_that_a_node_cannot_write_is_refused_before_any_work(
    nodes, run, tiny_options, finished, object_store, bucket
):
    nodes.add(1)
    process, log = run(
        *("prepare", *tiny_options, "--root", bucket, "--corpus.uri", finished.corpus),
        env=object_store.env | {"AWS_MAX_ATTEMPTS": "1"},
    )
    assert process.wait(LIMIT_S) == 2, log.read_text()
    (line,) = [one for one in log.read_text().splitlines() if one.startswith("error: ")]
    assert "cannot use it" in line
    assert bucket in line
    assert "2/7 prepare" not in log.read_text()
